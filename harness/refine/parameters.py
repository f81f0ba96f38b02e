"""Refine a sweep by its finished runs: decide on each parameter, then build the next sweep."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness import observations
from harness.analysis.columns import Association, find_associations
from harness.analysis.effects import find_effects
from harness.claims.base import constant_metric
from harness.errors import UsageError
from harness.metrics import Metric
from harness.observations.columns import read_columns
from harness.records import MAIN, Result, Value
from harness.refine.levels import FEWEST_HIGH, decide_constant, decide_levels
from harness.refine.next_sweep import Past, proposed
from harness.refine.proposal import Action, Figure, Proposal, Revision
from harness.refine.ranges import decide_range
from harness.refine.sample import Criteria, Sample, Shown, sample_of, shown_by
from harness.refine.space import KNOWN, infer, is_levels
from harness.sweeps.distributions import (
    DISTRIBUTIONS,
    Choice,
    Constant,
    Distribution,
    Given,
    Range,
)
from harness.sweeps.sweep import Sweep
from harness.text import listed, listed_values, p_text, parameter_name, parameter_value
from harness.verdicts import Evidence, Verdict, by_arm


def refine(
    source: str,
    results: Sequence[Result],
    *,
    rng: np.random.Generator,
    sweep: Sweep | None = None,
    metric: Metric | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
    is_table: bool = False,
    asked: Sequence[Verdict] = (),
    name: str | None = None,
    runs: int | None = None,
    steps: int | None = None,
) -> Proposal:
    """Return the next sweep after the one with these ``results``, of all arms.

    It leaves out only what these runs show to be worse by more than the margin, of parameters that
    are shown to matter with the others held equal. Of sweeps in which no parameter matters, at most
    a share of ``alpha`` loses anything, over all parameters.

    Parameters
    ----------
    source
        The name of the sweep, or of the table that the runs are from.
    sweep
        The sweep as declared; without it, the space is inferred from the runs.
    is_table
        Whether the runs are from a table. A stored sweep becomes the baseline of the next one; of a
        table only its counts do.
    asked
        The verdicts of a report on these runs. What they say of a parameter decides here too.
    metric
        The metric that the runs are judged by; ΔPerf where None.
    margin
        The difference that matters; the sweep's own where None. Without either nothing is narrowed.
    name, runs, steps
        Those of the next sweep; where None, they stay as they were.

    Raises
    ------
    UsageError
        Where no run has finished, or the next sweep cannot be as asked.
    """
    metric = metric or Metric()
    arms = by_arm(results)
    main = arms.pop(MAIN, ())
    observed = observations.observe(main)
    if observed.total == 0:
        raise UsageError(f"no run of {source} has finished: there is nothing to refine it by")
    if sweep is not None:
        margin, alpha = sweep.margin if margin is None else margin, sweep.alpha
    declared = {} if sweep is None else sweep.parameters.dependencies
    sample = sample_of(main, metric, None if sweep is None else declared)
    columns, _ = read_columns(sample.configs)
    associations = find_associations(columns, declared, rng)
    space = infer(sample.configs, associations) if sweep is None else sweep.parameters.distributions
    _check_known(source, space)
    together = _together(space, associations)
    tests = 2 * sum(
        name not in together and not isinstance(before, Constant) for name, before in space.items()
    )
    past = Past(source, sweep, is_table, observed, arms, metric, margin, alpha)
    evidence = Evidence(
        source,
        main,
        alpha=alpha,
        margin=margin,
        metric=metric,
        given=None if sweep is None else declared,
    )
    constant = constant_metric(evidence)
    if constant is None:
        effects = find_effects(evidence, columns, asked)
        shown = {effect.parameter: shown_by(effect, alpha) for effect in effects}
        criteria = Criteria(alpha / max(1, tests), alpha, margin, metric, rng, shown)
        revisions = _revised(past, space, sample, criteria, together)
    else:
        revisions = [Revision(name, "keep", d, d, f"{constant}; kept") for name, d in space.items()]
        tests = 0
    name = name or f"{_as_name(source)}_refined"
    return proposed(past, revisions, tests, name=name, runs=runs, steps=steps)


def _revised(
    past: Past,
    space: Mapping[str, Distribution],
    sample: Sample,
    criteria: Criteria,
    together: Mapping[str, Association],
) -> list[Revision]:
    """Decide on each parameter; first on those that others depend on."""
    done: dict[str, Revision] = {}
    waiting = dict(space)
    while waiting:
        for name, before in list(waiting.items()):
            if isinstance(before, Given) and before.parameter in waiting:
                continue
            del waiting[name]
            if name in together:
                done[name] = Revision(name, "keep", before, before, _goes_with(together[name]))
            elif isinstance(before, Given):
                parent = done[before.parameter]
                done[name] = _decide_given(name, before, parent, sample, criteria)
            elif isinstance(before, Constant):
                arm = past.arms.get(name, ())
                done[name] = decide_constant(name, before, past.observed, arm, criteria)
            else:
                done[name] = _decide(name, before, sample, criteria, True)
    return [_with_children(done[name], space) for name in space]


def _kept_unless(shown: Shown, revision: Revision) -> Revision:
    """Return the revision, which changes nothing unless the parameter is ``shown`` to matter."""
    if shown.matters or revision.action == "keep":
        return revision
    return Revision(
        revision.parameter,
        "keep",
        revision.before,
        revision.before,
        f"{revision.why}; but {shown.words}: kept",
        figure=revision.figure,
    )


def _with_children(revision: Revision, space: Mapping[str, Distribution]) -> Revision:
    """Name in the reason the parameters that depend on one that loses values."""
    if revision.action not in ("fix", "narrow"):
        return revision
    children = {
        parameter_name(name): "; ".join(_values_of_case(value, drawn) for value in drawn.cases)
        for name, drawn in space.items()
        if isinstance(drawn, Given) and drawn.parameter == revision.parameter
    }
    if not children:
        return revision
    cases = " and ".join(f"{name} ({values})" for name, values in children.items())
    depend = "depends" if len(children) == 1 else "depend"
    told = f"these runs cannot tell its effect from that of {cases}, which {depend} on it"
    if revision.pairs is not None:
        told += f": the pairs change {parameter_name(revision.parameter)} alone"
        told += (
            f", and keep the {listed_values(children)} of {listed_values(revision.after.values())}"
        )
    return replace(revision, why=f"{revision.why}; {told}")


def _values_of_case(value: Value, drawn: Given) -> str:
    case = drawn.cases[value]
    joint = " to " if isinstance(case, Range) else ", "
    return f"{parameter_value(value)}: {joint.join(map(parameter_value, case.values()))}"


def _decide(
    name: str, before: Distribution, sample: Sample, criteria: Criteria, may_fix: bool
) -> Revision:
    """Decide on an independent parameter, or on one case of a dependent one."""
    if isinstance(before, Choice) and is_levels(before):
        found = decide_levels(name, before, sample, criteria, may_fix=may_fix)
        return _kept_unless(criteria.shown_of(name), found)
    if isinstance(before, Range | Choice):
        found = decide_range(name, before, sample, criteria)
        return _kept_unless(criteria.shown_of(name), found)
    return Revision(name, "keep", before, before, "always the same: nothing to compare it with")


def _together(
    space: Mapping[str, Distribution], associations: Mapping[str, Sequence[Association]]
) -> dict[str, Association]:
    """Return the parameters that go with another in the runs, though neither depends on the other.

    Two that depend on the same parameter do not count: they are compared within each of its values.
    """

    def root(name: str) -> str:
        before = space.get(name)
        return root(before.parameter) if isinstance(before, Given) else name

    found = {}
    for name in space:
        others = [o for o in associations.get(name, ()) if root(o.parameter) != root(name)]
        if others:
            found[name] = max(others, key=lambda one: one.strength)
    return found


def _goes_with(association: Association) -> str:
    other = parameter_name(association.parameter)
    return (
        f"goes with {other} in the runs (Cramér's V {association.strength:.2f}), so what "
        f"looks like its effect may be that of {other}: kept"
    )


def _check_known(source: str, space: Mapping[str, Distribution]) -> None:
    for name, before in space.items():
        kinds = [before, *(before.cases.values() if isinstance(before, Given) else ())]
        for kind in kinds:
            if not isinstance(kind, KNOWN):
                raise UsageError(
                    f"{source}: {name} is drawn from {type(kind).__name__}, a distribution of its "
                    f"own, which refine cannot write down; use {listed(DISTRIBUTIONS, 'or')}"
                )


def _as_name(source: str) -> str:
    """Return a valid name of a sweep for ``source``, a sweep or a file."""
    stem = Path(source).stem if "." in source or "/" in source else source
    return re.sub(r"[^A-Za-z0-9_.]", "_", stem).lstrip("_.") or "table"


# ---- a parameter whose values depend on another's -----------------------------------------------


def _decide_given(
    name: str, before: Given, parent: Revision, sample: Sample, criteria: Criteria
) -> Revision:
    """Decide on a parameter that depends on the one of ``parent``.

    Runs are compared only within each value of the parent, so that its effect is not mistaken for
    this parameter's. If the parent is fixed, only the case of its value is left.
    """
    cases = [value for value in parent.after.values() if value in before.cases]
    shared = criteria.shared(len(before.cases))
    alone = isinstance(parent.after, Constant)
    found = {}
    for value in cases:
        inside = sample.having(before.parameter, value)
        found[value] = _decide(name, before.cases[value], inside, shared, alone)
    told = _implied(name, before, sample)
    if alone and len(found) == 1:
        (value, one), whose = next(iter(found.items())), parameter_name(before.parameter)
        why = f"{told}within {whose} {parameter_value(value)}: {one.why}"
        return Revision(
            name, one.action, before, one.after, why, one.gives_up, one.figure, one.pairs
        )
    changed = {value: one for value, one in found.items() if one.action != "keep"}
    after = before
    if changed or len(cases) < len(before.cases):
        after = Given(before.parameter, {value: one.after for value, one in found.items()})
    return Revision(
        parameter=name,
        action=_action(changed),
        before=before,
        after=after,
        why=told + _why(before, found),
        gives_up="; ".join(
            f"{_case(before, value)}: {one.gives_up}" for value, one in changed.items()
        ),
        figure=_figure(changed or found),
    )


def _why(before: Given, found: Mapping[Value, Revision]) -> str:
    """Give the reasons of the cases that show something, and name the others."""
    telling = {value: one for value, one in found.items() if _shows(one)}
    lines = [f"within {_case(before, value)}: {one.why}" for value, one in telling.items()]
    rest = {value: one for value, one in found.items() if value not in telling}
    if rest:
        whose = f"{parameter_name(before.parameter)} {listed_values(rest)}"
        each = ", each by itself," if len(rest) > 1 else ""
        lines.append(f"within {whose}{each} nothing is shown to be worse")
        figure = _figure(rest)
        if figure is not None:
            lines[-1] += f" (smallest {p_text(figure.p_value)}, needed: {figure.needed:.2g})"
    return "; ".join(lines)


def _shows(one: Revision) -> bool:
    figure = one.figure
    return one.action != "keep" or (figure is not None and figure.p_value <= figure.needed)


def _case(before: Given, value: Value) -> str:
    return f"{parameter_name(before.parameter)} {parameter_value(value)}"


def _action(changed: Mapping[Value, Revision]) -> Action:
    actions = {one.action for one in changed.values()}
    if not actions:
        return "keep"
    return actions.pop() if len(actions) == 1 else "move"


def _figure(found: Mapping[Value, Revision]) -> Figure | None:
    figures = [one.figure for one in found.values() if one.figure is not None]
    return min(figures, key=lambda figure: figure.p_value, default=None)


def _implied(name: str, before: Given, sample: Sample) -> str:
    """Say if the high performers share values of this parameter only because of the parent."""
    best = [config for config, high in zip(sample.configs, sample.high, strict=True) if high]
    used = {config.get(name) for config in best}
    parents = list(dict.fromkeys(config.get(before.parameter) for config in best))
    allowed = {
        value
        for parent in parents
        if parent in before.cases
        for value in before.cases[parent].values()
    }
    if len(best) < FEWEST_HIGH or not used <= allowed or allowed >= set(before.values()):
        return ""
    ordered = [value for value in before.values() if value in allowed]
    return (
        f"that the {len(best)} high performers ({sample.high_means}) have {parameter_name(name)} "
        f"{listed_values(ordered, 'or')} is no evidence: {parameter_name(before.parameter)} "
        f"{listed_values(parents)} allows no others; "
    )
