"""Decide on a parameter of few values, or of one value that arms compare with others.

Values that are shown to be worse are left out. One value is left alone only if an arm of pairs
tests it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from harness import observations, statistics
from harness.claims.base import gain
from harness.claims.non_inferiority import FEWEST_PAIRS
from harness.metrics import Metric
from harness.observations import FloatArray, Observations
from harness.observations.levels import is_number
from harness.records import Result, Value
from harness.refine.proposal import Figure, Revision
from harness.refine.sample import Criteria, Sample, best_of, figure_of, of_runs
from harness.statistics import FEWEST_COMPARED, Comparison, Worse
from harness.sweeps.distributions import Choice, Constant
from harness.sweeps.sweep import Pairs
from harness.text import (
    interval,
    listed_values,
    number,
    p_text,
    parameter_name,
    parameter_value,
    plural,
)

FEWEST_HIGH = 4
"""Fewer high performers than this say nothing by what they have in common."""

MOST_PAIRED = 4
"""A fixed value is paired with at most this many others: those with the best means."""

Pair = tuple[Value, Value]
"""A value, and another that it is compared with."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """A value that all high performers have, with the probability of that by chance."""

    value: Value
    p_value: float
    words: str


@dataclass(frozen=True, slots=True, eq=False)
class _Levels:
    """A parameter of few values: the outcomes at each, and the comparisons of each pair.

    ``left`` is what selection leaves of each outcome.

    ``worse`` says how much worse the first value of a pair is than the second. The ``p_values`` are
    corrected for their number by Holm's procedure. Repeats of a configuration may be ``merged``.
    """

    name: str
    before: Choice
    at: Mapping[Value, FloatArray]
    left: Mapping[Value, FloatArray]
    worse: Mapping[Pair, Worse]
    p_values: Mapping[Pair, float]
    criteria: Criteria
    merged: bool

    @property
    def runs(self) -> int:
        return sum(outcomes.size for outcomes in self.at.values())

    @property
    def shown(self) -> list[Pair]:
        """Return the pairs whose first value is shown to be worse, the clearest first."""
        clear = [pair for pair, p_value in self.p_values.items() if p_value <= self.criteria.level]
        return sorted(clear, key=lambda pair: self.p_values[pair])

    @property
    def kept(self) -> list[Value]:
        """Return the values that are not shown to be worse than another."""
        gone = {one for one, _ in self.shown}
        return [option for option in self.before.options if option not in gone]


def decide_levels(
    name: str, before: Choice, sample: Sample, criteria: Criteria, *, may_fix: bool = True
) -> Revision:
    """Decide on a parameter of few values.

    It is left with one value only if that one is named as the best. Without ``may_fix`` it never
    is, since only pairs of runs could test it.
    """
    levels = _compared(name, before, sample, criteria)
    shared = _shared(levels, sample)
    alone = levels.kept[0] if len(levels.kept) == 1 else None
    if shared is not None and shared.value in levels.kept:
        alone = shared.value
    else:
        shared = None
    if alone is not None and may_fix and alone == criteria.shown_of(name).best:
        return _fixed(levels, alone, shared)
    if levels.shown and len(levels.kept) > 1:
        return _narrowed(levels)
    return _kept(levels, may_fix=may_fix)


def _compared(name: str, before: Choice, sample: Sample, criteria: Criteria) -> _Levels:
    column = sample.column(name)
    having = {option: [found == option for found in column] for option in before.options}
    at = {option: sample.outcomes[which] for option, which in having.items()}
    left = {option: sample.left[which] for option, which in having.items()}
    known = [option for option, outcomes in at.items() if outcomes.size >= FEWEST_COMPARED]
    margin = 0.0 if criteria.margin is None else criteria.margin
    worse = {
        (one, other): statistics.worse_by(at[one], at[other], margin)
        for one, other in permutations(known, 2)
    }
    corrected = statistics.holm([found.p_value for found in worse.values()]) if worse else []
    if criteria.margin is None:  # nothing says how much worse is bad enough
        corrected = [1.0] * len(worse)
    return _Levels(
        name,
        before,
        at,
        left,
        worse,
        dict(zip(worse, corrected, strict=True)),
        criteria,
        sample.merged,
    )


def _shared(levels: _Levels, sample: Sample) -> _Shared | None:
    """Return the value that all high performers have, where chance does not explain it."""
    high, n, criteria = int(sample.high.sum()), len(sample), levels.criteria
    column = sample.column(levels.name)
    best = {value for value, is_high in zip(column, sample.high, strict=True) if is_high}
    if criteria.margin is None or high < FEWEST_HIGH or 2 * high > n or len(best) != 1:
        return None
    value = best.pop()
    runs = sum(found == value for found in column)
    chance = statistics.all_of_one(high, runs, n)
    p_value = min(1.0, len(levels.before.options) * chance)
    if p_value > criteria.level:
        return None
    words = (
        f"all {high} high performers ({sample.high_means}) have {parameter_value(value)}, as "
        f"{of_runs(runs, levels.runs)} do: by chance {p_text(p_value)} ({criteria.needed})"
    )
    return _Shared(value, p_value, words)


def _fixed(levels: _Levels, value: Value, shared: _Shared | None) -> Revision:
    at, criteria = levels.at, levels.criteria
    others = [option for option in levels.before.options if option != value]
    ranked = sorted(others, key=lambda option: -_mean(at[option]))
    best = set(ranked[:MOST_PAIRED])
    paired = tuple(option for option in others if option in best)
    p_values = {option: levels.p_values.get((option, value), 1.0) for option in others}
    words = [] if shared is None else [shared.words]
    words += [
        f"against {parameter_value(option)} {_difference(at[value], at[option], criteria.metric)}"
        + ("" if shared else f", worse by more than the margin {p_text(p_values[option])}")
        for option in paired
    ]
    given_up = (
        f"{parameter_name(levels.name)} {listed_values(others)}, except in the pairs of the arm"
    )
    lost = np.concatenate([at[option] for option in others])
    if lost.size:
        left = np.concatenate([levels.left[option] for option in others])
        given_up += f"; the best run with {'it' if len(others) == 1 else 'one of them'} had "
        given_up += best_of(lost, left, levels.criteria.metric)
    compared = statistics.welch(at[value], at[ranked[0]])
    p_value = shared.p_value if shared else max(p_values.values())
    return Revision(
        parameter=levels.name,
        action="fix",
        before=levels.before,
        after=Constant(value),
        why="; ".join(words) + _at_an_end(levels.before, value),
        gives_up=given_up,
        figure=figure_of(compared, p_value, criteria.level),
        pairs=Pairs(FEWEST_PAIRS, paired),
    )


def _narrowed(levels: _Levels) -> Revision:
    kept, before, criteria = levels.kept, levels.before, levels.criteria
    gone = [option for option in before.options if option not in kept]
    words = []
    for option in gone:
        pair = next(pair for pair in levels.shown if pair[0] == option)
        words.append(
            f"{parameter_value(option)} is worse than {parameter_value(pair[1])}, by more than "
            f"{number(criteria.margin or 0.0)}: "
            f"{_difference(levels.at[option], levels.at[pair[1]], criteria.metric)}, "
            f"{p_text(levels.p_values[pair])} ({criteria.needed})"
        )
    best = max(kept, key=lambda option: _mean(levels.at[option]))
    weights = [w for o, w in zip(before.options, before.weights, strict=True) if o in kept]
    lost = np.concatenate([levels.at[option] for option in gone])
    left = np.concatenate([levels.left[option] for option in gone])
    return Revision(
        parameter=levels.name,
        action="narrow",
        before=before,
        after=Choice(*kept, weights=weights),
        why="; ".join(words) + _at_an_end(before, best),
        gives_up=f"{parameter_name(levels.name)} {listed_values(gone)}: "
        f"{of_runs(lost.size, levels.runs)}, the best of them "
        f"{best_of(lost, left, criteria.metric)}",
        figure=_figure(levels, levels.shown[0]),
    )


def _kept(levels: _Levels, *, may_fix: bool) -> Revision:
    name, before, criteria = levels.name, levels.before, levels.criteria
    count = len(before.options)
    kept = "both kept" if count == 2 else "all kept"
    if not levels.worse:
        units = "configurations" if levels.merged else "runs"
        why = f"too few {units} to compare any two values ({FEWEST_COMPARED} of each); {kept}"
        return Revision(name, "keep", before, before, why)
    pair = min(levels.worse, key=lambda p: (levels.p_values[p], levels.worse[p].estimate))
    one, other = pair
    over = _difference(levels.at[other], levels.at[one], criteria.metric)
    found = f"{parameter_value(other)} over {parameter_value(one)} {over}"
    if criteria.margin is None:
        why = f"{found}; no margin says how much worse a value must be to be left out (--margin)"
    elif len(levels.kept) == 1:
        known, reason = criteria.shown_of(name), "which only pairs of runs could test"
        if may_fix:
            named = "which is not named as the best, the other parameters held equal"
            reason = named if known.matters else f"but {known.words}"
        why = f"{found}; one value would be left, {reason}"
    else:
        gap = "" if count == 2 else ", the clearest difference"
        why = (
            f"none is shown to be worse by {number(criteria.margin)}: {found}{gap}, "
            f"{p_text(levels.p_values[pair])} ({criteria.needed})"
        )
    return Revision(name, "keep", before, before, f"{why}; {kept}", figure=_figure(levels, pair))


def _figure(levels: _Levels, pair: Pair) -> Figure:
    return figure_of(levels.worse[pair], levels.p_values[pair], levels.criteria.level)


def _mean(outcomes: FloatArray) -> float:
    return float(outcomes.mean()) if outcomes.size else -np.inf


def _difference(ours: FloatArray, theirs: FloatArray, metric: Metric) -> str:
    """Return the difference of two means as "+0.120, 90% interval +0.050 to +0.190"."""
    if not (ours.size and theirs.size):
        return "no runs to compare"
    compared = statistics.welch(ours, theirs)
    estimate = gain(compared.estimate, metric)
    return f"{estimate}, {interval(compared)}" if np.isfinite(compared.low) else estimate


def _at_an_end(before: Choice, value: Value) -> str:
    """Say that nothing beyond the best number was tried, if it is the largest or smallest."""
    numbers: Sequence[float] = [option for option in before.options if is_number(option)]
    if len(numbers) < max(3, len(before.options)) or not is_number(value):
        return ""
    if value == max(numbers):
        return f"; nothing above {parameter_value(value)} was tried"
    return f"; nothing below {parameter_value(value)} was tried" if value == min(numbers) else ""


# ---- a parameter that was the same in every run -------------------------------------------------


def decide_constant(
    name: str, before: Constant, main: Observations, arm: Sequence[Result], criteria: Criteria
) -> Revision:
    """Decide on a parameter that has the same value in all main runs.

    The runs of ``arm`` change it alone, and are matched with main runs. The decision leaves nothing
    out, so its level is that of the question the pairs were run for, α. To show that the fixed
    value is worse, α is divided by the number of other values.
    """
    values = dict.fromkeys(result.run.config.get(name) for result in arm)
    tested = {
        value: _by_pairs(main, [r for r in arm if r.run.config.get(name) == value], criteria)
        for value in values
        if value != before.value
    }
    tested = {value: found for value, found in tested.items() if found.n >= 2}
    if not tested or criteria.margin is None:
        return Revision(
            name, "keep", before, before, "the same in every run: nothing to compare it with"
        )
    margin = number(criteria.margin)
    lines = [
        f"against {parameter_value(value)} {gain(found.estimate, criteria.metric)}, "
        f"{interval(found)} ({plural(found.n, 'pair')})"
        for value, found in tested.items()
    ]
    enough = {value: found for value, found in tested.items() if found.n >= FEWEST_PAIRS}
    level = criteria.alpha / len(tested)
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
    figure = figure_of(min(tested.values(), key=lambda found: found.low), least, criteria.alpha)
    if len(enough) == len(tested) and least <= criteria.alpha:
        why = f"no worse than {listed_values(tested)} by {margin} ({p_text(least)}): {shown}"
        return Revision(name, "keep", before, before, f"{why}; needs no more pairs", figure=figure)
    return Revision(
        name,
        "keep",
        before,
        before,
        f"not yet shown to be no worse than {listed_values(tested)} by {margin} ({p_text(least)}): "
        f"{shown}; tested again",
        gives_up=f"{parameter_name(name)} {listed_values(tested)}, except in the pairs of the arm",
        figure=figure,
        pairs=Pairs(FEWEST_PAIRS, tuple(tested)),
    )


def _by_pairs(main: Observations, arm: Sequence[Result], criteria: Criteria) -> Comparison:
    differences = observations.paired_differences(main, observations.observe(arm))
    return statistics.non_inferiority(differences, criteria.margin or 1.0)
