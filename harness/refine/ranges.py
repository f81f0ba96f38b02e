"""Decide on a range: cut ends that are shown to be worse, widen it if the best is at an edge."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness import statistics
from harness.claims.base import outcome
from harness.observations import FloatArray
from harness.observations.levels import is_number
from harness.refine.proposal import Action, Figure, Revision
from harness.refine.sample import Criteria, Sample, best_of, figure_of, of_runs, rounded
from harness.statistics import FEWEST_BRACKETED, Bracket, WorseEnd
from harness.sweeps.distributions import Choice, LogInt, Range
from harness.text import number, p_text, parameter_name, parameter_value, plural

Ordered = Range | Choice
"""The distributions of numeric parameters with many values; a choice spans its options."""

End = Literal["lower", "upper"]

MOST_WIDER = 10.0
"""A logarithmic range is widened at most by this factor."""

_RESAMPLES = (1_999, 9_999)


@dataclass(frozen=True, slots=True, eq=False)
class _Range:
    """A numeric parameter of many values: the values ``x`` [n] and outcomes ``y`` [n] of n runs.

    ``left`` [n] is what selection leaves of each outcome.
    """

    name: str
    before: Ordered
    x: FloatArray
    y: FloatArray
    left: FloatArray
    criteria: Criteria


@dataclass(frozen=True, slots=True)
class _Side:
    """One end of a range.

    ``falls``: the outcome is shown to fall towards this end. ``best``: it is shown to fall towards
    the other end only, and the best runs lie at this one. ``worse`` is the part of this end that is
    shown to be worse.
    """

    name: str
    p_value: float
    falls: bool
    best: bool
    worse: WorseEnd | None

    @property
    def is_lower(self) -> bool:
        return self.name == "lower"


def decide_range(name: str, before: Ordered, sample: Sample, criteria: Criteria) -> Revision:
    """Decide on a numeric parameter of many values.

    It is widened beyond an end only where the metric is shown to rise all the way to it.
    """
    values = sample.column(name)
    x = np.array([float(value) for value in values if is_number(value)], dtype=np.float64)
    numbers = [is_number(v) for v in values]
    y, left = sample.outcomes[numbers], sample.left[numbers]
    found = _Range(name, before, x, y, left, criteria)
    distinct = np.unique(x).size
    if x.size < FEWEST_BRACKETED or distinct < 3:
        few = f"too few to tell: {plural(x.size, 'run')} with {plural(distinct, 'value')}; kept"
        return Revision(name, "keep", before, before, few)
    lower, upper = _sides(found)
    after = _changed(before, lower, upper)
    return Revision(
        parameter=name,
        action=_action(before, after),
        before=before,
        after=after,
        why="; ".join(_why(found, after, lower, upper)),
        gives_up=_gives_up(found, after),
        figure=_figure(found, after, min(lower.p_value, upper.p_value)),
    )


def _sides(found: _Range) -> tuple[_Side, _Side]:
    """Return the lower and the upper end.

    Neither is cut if each is worse only than the part that the other would leave out.
    """
    x, y, criteria = found.x, found.y, found.criteria
    resamples = min(max(_RESAMPLES[0], math.ceil(10 / criteria.level)), _RESAMPLES[1])
    tested = statistics.bracket(x, y, criteria.rng, resamples=resamples)
    lower, upper = _side(found, tested, "lower"), _side(found, tested, "upper")
    if lower.worse and upper.worse:
        inside = (x >= lower.worse.kept_to) & (x <= upper.worse.kept_to)
        if int(inside.sum()) < statistics.smallest_window(x.size):
            return replace(lower, worse=None), replace(upper, worse=None)
    return lower, upper


def _side(found: _Range, tested: Bracket, name: str) -> _Side:
    criteria, ordered = found.criteria, np.sort(found.x)
    window = statistics.smallest_window(ordered.size)
    if name == "lower":
        p_value, other, towards = tested.p_rising, tested.p_falling, "falls"
        at_edge = tested.peak <= ordered[window - 1]
    else:
        p_value, other, towards = tested.p_falling, tested.p_rising, "rises"
        at_edge = tested.peak >= ordered[-window]
    falls, worse = p_value <= criteria.level, None
    if falls and criteria.margin is not None:
        worse = statistics.worse_end(
            found.x, found.y, criteria.margin, upper=name == "upper", alpha=criteria.alpha
        )
    best = other <= criteria.level and p_value > criteria.alpha and at_edge
    best = best and criteria.shown_of(found.name).shape == towards
    return _Side(name, p_value, falls, best, worse)


def _changed(before: Ordered, lower: _Side, upper: _Side) -> Ordered:
    """Return the range without its worse parts, and wider if the best is at an edge.

    Ends are rounded outwards to two digits, so that only what is shown to be worse is cut.
    """
    low = lower.worse.kept_to if lower.worse else -math.inf
    high = upper.worse.kept_to if upper.worse else math.inf
    if isinstance(before, Choice):
        kept = {
            option: weight
            for option, weight in zip(before.options, before.weights, strict=True)
            if is_number(option) and low <= option <= high
        }
        same = len(kept) == len(before.options)
        return before if same else Choice(*kept, weights=list(kept.values()))
    low = max(before.low, rounded(low, up=False) if lower.worse else low)
    high = min(before.high, rounded(high, up=True) if upper.worse else high)
    wide = _as_far_again(before, low, high)
    low = wide[0] if lower.best else low
    high = wide[1] if upper.best else high
    return _drawn_like(before, low, high)


def widened(drawn: Range, end: End) -> Range:
    """Return a range that goes as far again beyond one end; the same where nothing lies there."""
    low, high = _as_far_again(drawn, drawn.low, drawn.high)
    if end == "lower":
        return _drawn_like(drawn, low, drawn.high)
    return _drawn_like(drawn, drawn.low, high)


def _as_far_again(before: Range, low: float, high: float) -> tuple[float, float]:
    """Return the ends of a range from ``low`` to ``high`` that goes as far again beyond both."""
    if before.is_log:
        factor = min(high / low, MOST_WIDER)
        ends = low / factor, high * factor
    else:  # a range that does not go below 0, or within 0 to 1, stays there
        ends = low - (high - low), high + (high - low)
        ends = max(ends[0], 0.0) if before.low >= 0.0 else ends[0], ends[1]
        ends = ends[0], min(ends[1], 1.0) if before.low >= 0.0 and before.high <= 1.0 else ends[1]
    return rounded(ends[0], up=False), rounded(ends[1], up=True)


def _drawn_like(before: Range, low: float, high: float) -> Range:
    """Return a range with these ends, drawn as another is; that one itself where it is the same."""
    if isinstance(before, LogInt):
        low, high = max(1, math.floor(low)), math.ceil(high)
    unchanged = (low, high) == (before.low, before.high) or low >= high
    return before if unchanged else type(before)(low, high)


def _ends(drawn: Ordered) -> tuple[float, float]:
    numbers = [float(value) for value in drawn.values() if is_number(value)]
    return min(numbers), max(numbers)


def _action(before: Ordered, after: Ordered) -> Action:
    (low, high), (new_low, new_high) = _ends(before), _ends(after)
    wider = new_low < low or new_high > high
    if new_low > low or new_high < high:
        return "move" if wider else "narrow"
    return "widen" if wider else "keep"


def _outside(found: _Range, after: Ordered) -> NDArray[np.bool_]:
    """Mark the runs [n] outside the range that is kept."""
    low, high = _ends(after)
    return np.asarray((found.x < low) | (found.x > high))


def _figure(found: _Range, after: Ordered, p_value: float) -> Figure:
    outside = _outside(found, after)
    if not outside.any():
        return Figure(p_value, found.criteria.level)
    compared = statistics.welch(found.y[outside], found.y[~outside])
    return figure_of(compared, p_value, found.criteria.level)


def _why(found: _Range, after: Ordered, lower: _Side, upper: _Side) -> list[str]:
    ends, edges, down = _ends(after), _ends(found.before), found.criteria.metric.worsening
    words = []
    for side, end in zip((lower, upper), ends, strict=True):
        words += _why_cut(found, side, end)
    for side, edge, end in zip((lower, upper), edges, ends, strict=True):
        if side.best:
            shown = f"{parameter_value(edge)}, where no {down.rise} is shown "
            shown += f"({p_text(side.p_value)})"
            tried = f"nothing {'below' if side.is_lower else 'above'} it was tried"
            wider = f"as far again, to {parameter_value(end)}" if end != edge else tried
            words.append(f"the best runs lie at the {side.name} edge, {shown}: {wider}")
    return words or [
        f"no end is shown to be worse: {down.rising} to the lower {p_text(lower.p_value)}, to the "
        f"upper {p_text(upper.p_value)} ({found.criteria.needed}); kept as it is"
    ]


def _why_cut(found: _Range, side: _Side, end: float) -> list[str]:
    """Say that the outcome falls towards an end, and what follows; nothing if it does not."""
    if not side.falls:
        return []
    y, criteria = found.y, found.criteria
    metric = criteria.metric
    shown = f"{metric.name} {metric.worsening.rises} to the {side.name} end "
    shown += f"({p_text(side.p_value)}, {criteria.needed})"
    beyond = found.x < end if side.is_lower else found.x > end
    if criteria.margin is None:
        return [f"{shown}; no margin says how much worse a run must be to be left out (--margin)"]
    if side.worse is None or not beyond.any():
        return [
            f"{shown}, but no part of it is shown to be worse by {number(criteria.margin)}: kept"
        ]
    gone, left = float(y[beyond].mean()), float(y[~beyond].mean())
    count = int(beyond.sum())
    return [
        f"{shown}, and the {plural(count, 'run')} {'below' if side.is_lower else 'above'} "
        f"{parameter_value(end)} average {outcome(gone, metric)} against "
        f"{outcome(left, metric)} of the other {y.size - count}"
    ]


def _gives_up(found: _Range, after: Ordered) -> str:
    (low, high), edges, outside = _ends(after), _ends(found.before), _outside(found, after)
    parts = [f"below {parameter_value(low)}"] if low > edges[0] else []
    parts += [f"above {parameter_value(high)}"] if high < edges[1] else []
    if not parts:
        return ""
    where = f"{parameter_name(found.name)} {' and '.join(parts)}"
    if not outside.any():
        return where
    seen = of_runs(int(outside.sum()), outside.size)
    best = best_of(found.y[outside], found.left[outside], found.criteria.metric)
    return f"{where}: {seen}, the best of them {best}"
