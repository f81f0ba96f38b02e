"""From finished runs to the next sweep: what becomes of each parameter, then all that follows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness import observations
from harness.analysis.columns import Bond, find_bonds, read_columns
from harness.claims.base import constant_metric
from harness.errors import UsageError
from harness.records import MAIN, Result, Value
from harness.refine.fixed import decide_constant
from harness.refine.given import decide_given
from harness.refine.inferring import infer, is_levels
from harness.refine.levels import decide_levels
from harness.refine.next_sweep import Past, Sizes, proposed
from harness.refine.ranges import decide_range
from harness.refine.sample import Sample, sample_of
from harness.refine.terms import Terms
from harness.refine.values import Proposal, Revision
from harness.sweeps.space import Choice, Constant, Distribution, Given, LogUniform, Uniform
from harness.sweeps.sweep import Sweep
from harness.text import listed_values, parameter_name, parameter_value
from harness.verdicts import Evidence, Metric

KNOWN = (Constant, Uniform, LogUniform, Choice, Given)


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
    name: str | None = None,
    runs: int | None = None,
    steps: int | None = None,
) -> Proposal:
    """Return the next sweep after the one whose ``results``, of all arms, these are.

    Nothing is left out of it that these runs do not show to be worse, by more than the margin. Over
    all parameters, something is wrongly left out of a sweep that nothing matters to in at most
    ``alpha`` of all cases.

    Parameters
    ----------
    source
        The name of the sweep, or of the table that the runs are from.
    sweep
        The sweep as declared; without it, the space is inferred from the runs.
    is_table
        Whether the runs are those of a table: a stored sweep is the baseline of the next one, of a
        table only the counts are.
    metric
        What the runs are judged by; ΔPerf where None.
    margin
        The difference that matters; the sweep's own where None. Without either nothing is narrowed.
    name, runs, steps
        Of the next sweep; where None, as they were.

    Raises
    ------
    UsageError
        Where no run has finished, or the next sweep cannot be as it is asked for.
    """
    metric = metric or Metric()
    main = [result for result in results if result.run.arm == MAIN]
    arms: dict[str, list[Result]] = {}
    for result in results:
        if result.run.arm != MAIN:
            arms.setdefault(result.run.arm, []).append(result)
    observed = observations.observe(main)
    if observed.total == 0:
        raise UsageError(f"no run of {source} has finished: there is nothing to refine it by")
    if sweep is not None:
        margin, alpha = sweep.margin if margin is None else margin, sweep.alpha
    sample = sample_of(main, metric)
    bonds = _bonds(sample, {} if sweep is None else sweep.parameters.dependencies, rng)
    space = infer(sample.configs, bonds) if sweep is None else sweep.parameters.distributions
    _check_known(source, space)
    together = _together(space, bonds)
    tests = 2 * sum(
        name not in together and not isinstance(before, Constant) for name, before in space.items()
    )
    terms = Terms(alpha / max(1, tests), alpha, margin, metric, rng)
    past = Past(source, sweep, is_table, observed, arms, metric, margin, alpha)
    constant = constant_metric(Evidence(source, tuple(main), metric=metric))
    if constant is None:
        revisions = _revised(past, space, sample, terms, together)
    else:
        revisions = [Revision(name, "keep", d, d, f"{constant}; kept") for name, d in space.items()]
        tests = 0
    asked = Sizes(name or f"{_as_name(source)}_refined", runs, steps)
    return proposed(past, revisions, asked, tests)


def _revised(
    past: Past,
    space: Mapping[str, Distribution],
    sample: Sample,
    terms: Terms,
    together: Mapping[str, Bond],
) -> list[Revision]:
    """Return what becomes of each parameter, in order; a parameter comes after what it is given."""
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
                done[name] = decide_given(name, before, parent, sample, terms, decide=_decide)
            elif isinstance(before, Constant):
                arm = past.arms.get(name, ())
                done[name] = decide_constant(name, before, past.observed, arm, terms)
            else:
                done[name] = _decide(name, before, sample, terms, True)
    return [_with_children(done[name], space) for name in space]


def _with_children(revision: Revision, space: Mapping[str, Distribution]) -> Revision:
    """Say which parameters go with one that loses values, so that their effect may be its own."""
    if revision.action not in ("fix", "narrow"):
        return revision
    children = {
        parameter_name(name): "; ".join(_case(value, drawn) for value in drawn.cases)
        for name, drawn in space.items()
        if isinstance(drawn, Given) and drawn.parameter == revision.parameter
    }
    if not children:
        return revision
    cases = " and ".join(f"{name} ({values})" for name, values in children.items())
    told = f"with it goes {cases}, and these runs cannot tell which of them it is"
    if revision.pairs is not None:
        told += f": the pairs change {parameter_name(revision.parameter)} alone"
        told += (
            f", and keep the {listed_values(children)} of {listed_values(revision.after.values())}"
        )
    return replace(revision, why=f"{revision.why}; {told}")


def _case(value: Value, drawn: Given) -> str:
    case = drawn.cases[value]
    joint = " to " if isinstance(case, Uniform | LogUniform) else ", "
    return f"{parameter_value(value)}: {joint.join(map(parameter_value, case.values()))}"


def _decide(
    name: str, before: Distribution, sample: Sample, terms: Terms, may_fix: bool
) -> Revision:
    """Return what becomes of a parameter that is given no other, or of one case of one that is."""
    if isinstance(before, Uniform | LogUniform):
        return decide_range(name, before, sample, terms)
    if isinstance(before, Choice) and is_levels(before):
        return decide_levels(name, before, sample, terms, may_fix=may_fix)
    if isinstance(before, Choice):
        return decide_range(name, before, sample, terms)
    return Revision(name, "keep", before, before, "always the same: nothing to tell by")


def _bonds(
    sample: Sample, given: Mapping[str, str], rng: np.random.Generator
) -> dict[str, tuple[Bond, ...]]:
    columns, _ = read_columns(sample.configs)
    return find_bonds(columns, given, rng)


def _together(
    space: Mapping[str, Distribution], bonds: Mapping[str, Sequence[Bond]]
) -> dict[str, Bond]:
    """Return the parameters that go with another in the runs, without being given it.

    Those that are given the same parameter are compared within its values, where what they share
    through it is out of the way.
    """

    def root(name: str) -> str:
        before = space.get(name)
        return root(before.parameter) if isinstance(before, Given) else name

    found = {}
    for name in space:
        others = [b for b in bonds.get(name, ()) if root(b.parameter) != root(name)]
        if others:
            found[name] = max(others, key=lambda bond: bond.strength)
    return found


def _goes_with(bond: Bond) -> str:
    other = parameter_name(bond.parameter)
    return (
        f"goes with {other} in the runs (Cramér's V {bond.strength:.2f}), so that what looks like "
        f"its effect may be that of {other}: kept"
    )


def _check_known(source: str, space: Mapping[str, Distribution]) -> None:
    for name, before in space.items():
        kinds = [before, *(before.cases.values() if isinstance(before, Given) else ())]
        for kind in kinds:
            if not isinstance(kind, KNOWN):
                raise UsageError(
                    f"{source}: {name} is drawn from {type(kind).__name__}, a distribution of its "
                    f"own, which refine cannot write down; use Choice, Uniform, LogUniform or Given"
                )


def _as_name(source: str) -> str:
    """Return a sweep's name for what is called ``source``."""
    stem = Path(source).stem if "." in source or "/" in source else source
    return re.sub(r"[^A-Za-z0-9_.]", "_", stem).lstrip("_.") or "table"
