"""What becomes of a parameter that was the same in every run: what its pairs have shown."""

from __future__ import annotations

from collections.abc import Sequence

from harness import observations, statistics
from harness.claims.non_inferiority import FEWEST_PAIRS
from harness.observations import Observations
from harness.records import Result
from harness.refine.terms import Terms, figure_of
from harness.refine.values import Revision
from harness.statistics import Comparison
from harness.sweeps.space import Choice, Constant
from harness.sweeps.sweep import Pairs
from harness.text import (
    interval,
    listed_values,
    number,
    p_text,
    parameter_name,
    parameter_value,
    plural,
    signed,
)


def decide_constant(
    name: str, before: Constant, main: Observations, arm: Sequence[Result], terms: Terms
) -> Revision:
    """Return what becomes of a parameter that all main runs have the same value of.

    ``arm`` are the runs that change it alone, matched with main runs. Nothing is left out by it, so
    that it is judged as the question that the pairs are for: at α, over the number of values where
    the fixed one is to be shown to be worse.
    """
    values = dict.fromkeys(result.run.config.get(name) for result in arm)
    tested = {
        value: _tested(main, [r for r in arm if r.run.config.get(name) == value], terms)
        for value in values
        if value != before.value
    }
    tested = {value: found for value, found in tested.items() if found.n >= 2}
    if not tested or terms.margin is None:
        return Revision(name, "keep", before, before, "the same in every run: nothing to tell by")
    margin = number(terms.margin)
    lines = [
        f"against {parameter_value(value)} {signed(found.estimate)}, {interval(found)} "
        f"({plural(found.n, 'pair')})"
        for value, found in tested.items()
    ]
    enough = {value: found for value, found in tested.items() if found.n >= FEWEST_PAIRS}
    level = terms.alpha / len(tested)
    worse = [value for value, found in enough.items() if found.p_less <= level]
    shown = "; ".join(lines)
    if worse:
        p_value = min(enough[value].p_less for value in worse)
        return Revision(
            name,
            "reopen",
            before,
            Choice(before.value, *worse),
            f"{parameter_value(before.value)} is worse than {listed_values(worse)} by more than "
            f"{margin} ({p_text(p_value)}, needed: {level:.2g}): {shown}",
            figure=figure_of(enough[worse[0]], p_value, level),
        )
    least = max(found.p_greater for found in tested.values())
    figure = figure_of(min(tested.values(), key=lambda found: found.low), least, terms.alpha)
    if len(enough) == len(tested) and least <= terms.alpha:
        why = f"no worse than {listed_values(tested)} by {margin} ({p_text(least)}): {shown}"
        return Revision(name, "keep", before, before, f"{why}; needs no more pairs", figure=figure)
    return Revision(
        name,
        "keep",
        before,
        before,
        f"not shown yet to be no worse than {listed_values(tested)} by {margin} ({p_text(least)}): "
        f"{shown}; tested again",
        gives_up=f"{parameter_name(name)} {listed_values(tested)}, but for the pairs of the arm",
        figure=figure,
        pairs=Pairs(FEWEST_PAIRS, tuple(tested)),
    )


def _tested(main: Observations, arm: Sequence[Result], terms: Terms) -> Comparison:
    differences = observations.paired_differences(main, observations.observe(arm))
    return statistics.non_inferiority(differences, terms.margin or 1.0)
