"""Count and average the runs by range of a numeric parameter."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness import observations, statistics
from harness.errors import UsageError, nearest
from harness.observations import FloatArray, Observations
from harness.observations.columns import RATE, Column, LeftOut
from harness.observations.levels import is_number
from harness.statistics import Estimate
from harness.verdicts import Rule

LEVEL = 0.95
"""The confidence of the intervals that are printed."""

MOST_RANGES = 12
"""With more ranges than this, edges at 1 and 3 of every decade become edges at 1."""

ABOUT = 4
"""The approximate number of ranges on a scale that is not logarithmic."""


@dataclass(frozen=True, slots=True)
class Range:
    """The final runs with ``low`` ≤ value < ``high``, or with one value where the two are equal.

    ``mean`` and ``spread`` (SD) are those of the completed runs; ``diverged`` ones count as no
    success.
    """

    low: float
    high: float
    runs: int
    diverged: int
    mean: Estimate
    spread: float
    successes: int
    success: Estimate
    positive: int
    positive_share: Estimate


@dataclass(frozen=True, slots=True)
class Ranges:
    """The runs by range of ``parameter``.

    Successes are counted by ``rule``. ``outside`` is the number of runs in none of the ranges.
    ``given`` says that the user gave the edges.
    """

    parameter: str
    rows: tuple[Range, ...]
    rule: Rule
    outside: int
    given: bool


def choose_parameter(
    columns: Mapping[str, Column], left_out: Mapping[str, LeftOut], asked: str | None
) -> Column | None:
    """Return the parameter to show by range; None where no parameter has numbers.

    It is the one asked for, or else the learning rate, or else the range that spans the most orders
    of magnitude.

    Raises
    ------
    UsageError
        Where the one asked for is unknown, does not vary, or is not numeric.
    """
    ranges = [column for column in columns.values() if column.numbers is not None]
    if asked is None:
        rate = columns.get(RATE)
        return rate if rate and rate.is_numeric else max(ranges, key=_suits, default=None)
    numeric = ", ".join(name for name, column in columns.items() if column.is_numeric)
    there = f"those with numbers that vary are {numeric}" if numeric else "none varies in numbers"
    if asked in left_out:
        raise UsageError(f"--parameter {asked}: {left_out[asked]}; {there}")
    if asked not in columns:
        raise UsageError(
            f"--parameter {asked}: no such parameter; {there}{nearest(asked, columns)}"
        )
    if not columns[asked].is_numeric:
        values = ", ".join(str(level) for level in columns[asked].levels)
        raise UsageError(f"--parameter {asked}: its values are no numbers ({values}); {there}")
    return columns[asked]


def by_range(observed: Observations, column: Column, edges: Sequence[float] | None) -> Ranges:
    """Return the final runs by range of ``column``: between ``edges``, or else round numbers.

    A parameter of few values is shown by value, unless edges are given.

    Raises
    ------
    UsageError
        Where no run lies between the edges given.
    """
    values = [result.run.config.get(column.name) for result in observed.final]
    numbers = np.array([float(v) if is_number(v) else math.nan for v in values])
    known = numbers[np.isfinite(numbers)]
    if edges is None and column.numbers is None:
        bounds = [(float(value), float(value)) for value in np.unique(known)]
    else:
        chosen = round_edges(known, is_log=column.is_log) if edges is None else list(edges)
        bounds = list(itertools.pairwise(chosen))
    count = observations.count_successes(observed, min_gain=0.0)
    improved = set(count.improved)
    success = np.array([result.run.id in improved for result in observed.final], dtype=bool)
    rows, inside = [], 0
    for low, high in bounds:
        last = (low, high) == bounds[-1]
        member = (numbers >= low) & ((numbers < high) | ((last or low == high) & (numbers <= high)))
        inside += int(member.sum())
        if member.any():
            rows.append(_range(low, high, observed.ranked[member], int(success[member].sum())))
    if not rows:
        shown, ends = ",".join(f"{edge:g}" for edge in edges or ()), (known.min(), known.max())
        raise UsageError(
            f"--ranges {shown}: no run lies in them; {column.name} goes from {ends[0]:g} to "
            f"{ends[1]:g}"
        )
    outside = observed.total - inside
    return Ranges(column.name, tuple(rows), count.rule, outside, edges is not None)


def check_edges(edges: Sequence[float]) -> None:
    """Check that ``edges`` divide a range.

    Raises
    ------
    UsageError
        Where they are fewer than two, not finite, or do not rise.
    """
    shown = ",".join(f"{edge:g}" for edge in edges)
    if len(edges) < 2:
        raise UsageError(f"--ranges {shown}: two edges make a range; give at least two, as 1,3,10")
    if not all(map(math.isfinite, edges)):
        raise UsageError(f"--ranges {shown}: every edge must be a finite number")
    for early, late in itertools.pairwise(edges):
        if not early < late:
            raise UsageError(
                f"--ranges {shown}: {late:g} does not lie above {early:g}; give edges that rise"
            )


def round_edges(values: FloatArray, *, is_log: bool) -> list[float]:
    """Return edges at 1 and 3 of every decade, or at round steps where the scale is not ``is_log``.

    The outermost are the ends of ``values``, rounded outwards to one digit.
    """
    low, high = float(values.min()), float(values.max())
    if not is_log:
        return _steps(low, high)
    first, last = _one_digit(low, math.floor), _one_digit(high, math.ceil)
    decades = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    for digits in ((1, 3), (1,)):
        inner = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
        edges = [first, *(edge for edge in inner if first < edge < last), last]
        if len(edges) <= MOST_RANGES + 1:
            break
    return edges


def _range(low: float, high: float, delta: FloatArray, successes: int) -> Range:
    finite = delta[np.isfinite(delta)]
    positive, runs = int((finite > 0.0).sum()), int(delta.size)
    return Range(
        low=low,
        high=high,
        runs=runs,
        diverged=runs - int(finite.size),
        mean=statistics.mean_interval(finite, LEVEL),
        spread=float(np.std(finite, ddof=1)) if finite.size > 1 else math.nan,
        successes=successes,
        success=statistics.wilson(successes, runs, LEVEL),
        positive=positive,
        positive_share=statistics.wilson(positive, runs, LEVEL),
    )


def _suits(column: Column) -> tuple[float, int]:
    assert column.numbers is not None
    known = column.numbers[np.isfinite(column.numbers)]
    orders = math.log10(known.max() / known.min()) if column.is_log else 0.0
    return orders, int(np.unique(known).size)


def _one_digit(value: float, rounding: Callable[[float], int]) -> float:
    exponent = math.floor(math.log10(value))
    mantissa = round(value / 10.0**exponent, 9)
    return float(f"{rounding(mantissa)}e{exponent}")


def _steps(low: float, high: float) -> list[float]:
    raw = (high - low) / ABOUT
    unit = 10.0 ** math.floor(math.log10(raw))
    step = unit * next(factor for factor in (1, 2, 5, 10) if factor * unit >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]
