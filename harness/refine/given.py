"""What becomes of a parameter whose values depend on another's: judged within that other alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.records import Value
from harness.refine.levels import FEWEST_HIGH
from harness.refine.sample import Sample
from harness.refine.terms import Terms
from harness.refine.values import Action, Figure, Revision
from harness.sweeps.space import Constant, Distribution, Given
from harness.text import listed_values, p_text, parameter_name, parameter_value

Decide = Callable[[str, Distribution, Sample, Terms, bool], Revision]


def decide_given(
    name: str,
    before: Given,
    parent: Revision,
    sample: Sample,
    terms: Terms,
    *,
    decide: Decide,
) -> Revision:
    """Return what becomes of a parameter that is given ``parent``'s.

    Runs are compared within each value of the parent only, so that what the parent does is not
    taken for this parameter's. Where the parent is fixed, its one case is what is left.
    """
    cases = [value for value in parent.after.values() if value in before.cases]
    shared = terms.shared(len(before.cases))
    alone = isinstance(parent.after, Constant)
    found = {
        value: decide(
            name,
            before.cases[value],
            sample.having(before.parameter, value),
            shared,
            alone,
        )
        for value in cases
    }
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
    """Give the reasons of the cases in which something is shown, and say which the others are."""
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
    """Say that what the high performers share of this parameter is the parent's doing."""
    best = [config for config, high in zip(sample.configs, sample.high, strict=True) if high]
    used = {config.get(name) for config in best}
    parents = list(dict.fromkeys(config.get(before.parameter) for config in best))
    allowed = {
        value for parent in parents if parent in before.cases for value in _values(before, parent)
    }
    if len(best) < FEWEST_HIGH or not used <= allowed or allowed >= set(before.values()):
        return ""
    ordered = [value for value in before.values() if value in allowed]
    return (
        f"that the {len(best)} high performers ({sample.mark.words}) have {parameter_name(name)} "
        f"{listed_values(ordered, 'or')} is no evidence: {parameter_name(before.parameter)} "
        f"{listed_values(parents)} allows no others; "
    )


def _values(before: Given, parent: Value) -> tuple[Value, ...]:
    case = before.cases[parent]
    return case.values()
