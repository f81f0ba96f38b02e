"""Measure how the configs of a sweep cover its space, and find configs that occur twice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.records import Config, Run, Value
from harness.sweeps.distributions import Choice, Constant, Distribution, Given, Range
from harness.sweeps.space import Space


@dataclass(frozen=True, slots=True)
class Coverage:
    """The part of a parameter's range or levels that the runs cover.

    A range has the drawn ends ``low`` and ``high``, the ``share`` (0 to 1) of the declared range
    between them, and the widest ``gap`` without a run, from one value or end of the range to
    the next, with its ``gap_share`` of the range. A range that is drawn on a logarithmic scale is
    measured on it, and has the ``orders`` of magnitude between the ends, of ``declared`` ones. A
    choice has ``levels``: each of its values with the number of runs that have it.
    """

    parameter: str
    levels: tuple[tuple[Value, int], ...] = ()
    low: float | None = None
    high: float | None = None
    share: float | None = None
    orders: float | None = None
    declared: float | None = None
    gap: tuple[float, float] | None = None
    gap_share: float | None = None


def coverage(space: Space, configs: Sequence[Config]) -> tuple[Coverage, ...]:
    """Measure how ``configs`` cover each parameter of ``space``, in its order."""
    found = []
    for name, distribution in space.distributions.items():
        values = [config[name] for config in configs]
        ends = _range(distribution)
        if ends is None:
            found.append(Coverage(name, _levels(distribution, values)))
        else:
            numbers = sorted(float(v) for v in values if isinstance(v, int | float))
            found.append(_covered(name, numbers, *ends))
    return tuple(found)


def duplicates(runs: Sequence[Run]) -> tuple[tuple[Run, ...], ...]:
    """Return the groups of two or more ``runs`` that have the same config."""
    groups: dict[Config, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.config, []).append(run)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _covered(name: str, values: list[float], low: float, high: float, log: bool) -> Coverage:
    """Measure how sorted ``values`` [n ≥ 1] cover the range from ``low`` to ``high``."""
    scale = math.log10 if log else float
    width = scale(high) - scale(low)
    points = [low, *values, high]
    gaps = [scale(two) - scale(one) for one, two in pairwise(points)]
    widest = max(range(len(gaps)), key=gaps.__getitem__)
    spanned = scale(values[-1]) - scale(values[0])
    return Coverage(
        parameter=name,
        low=values[0],
        high=values[-1],
        share=spanned / width,
        orders=spanned if log else None,
        declared=width if log else None,
        gap=(points[widest], points[widest + 1]),
        gap_share=gaps[widest] / width,
    )


def _range(distribution: Distribution) -> tuple[float, float, bool] | None:
    """Return the ends of a range and whether its scale is logarithmic; None for a choice."""
    cases = _cases(distribution)
    ranges = [case for case in cases if isinstance(case, Range)]
    if not ranges or len(ranges) < len(cases):
        return None
    log = all(case.is_log for case in ranges)
    return min(case.low for case in ranges), max(case.high for case in ranges), log


def _levels(distribution: Distribution, values: Sequence[Value]) -> tuple[tuple[Value, int], ...]:
    """Return each value with the number of runs that have it, which may be 0."""
    counted = Counter(values)
    finite = [case for case in _cases(distribution) if isinstance(case, Choice | Constant)]
    known = [value for case in finite for value in case.values()]
    ordered = sorted(dict.fromkeys([*known, *values]), key=_rank)
    return tuple((value, counted[value]) for value in ordered)


def _cases(distribution: Distribution) -> list[Distribution]:
    """Return the distributions that a parameter is drawn from, one a case."""
    if not isinstance(distribution, Given):
        return [distribution]
    return [one for case in distribution.cases.values() for one in _cases(case)]


def _rank(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else math.inf
