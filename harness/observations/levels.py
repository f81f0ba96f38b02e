"""The values of a parameter over runs: a few levels, or a range of numbers cut in thirds."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from harness import records
from harness.records import Span, Value

RANGE_FROM = 8
"""A numeric parameter with at least this many values is a range, not a set of levels."""

MOST_LEVELS = 50
"""A parameter with more values than this, not numbers, is an identifier."""


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """The levels of a parameter that varies, over n runs.

    ``values`` are its values in order. A range has the thirds of the runs instead, each by its two
    ends, and None for runs that do not set it. ``codes`` [n] number them. ``numbers`` [n] are the
    values of a range, NaN where not set; None for a parameter of few levels.
    """

    values: tuple[Value | Span, ...]
    codes: NDArray[np.intp]
    numbers: NDArray[np.float64] | None = None


def levels_of(values: Sequence[Value]) -> Levels | None:
    """Return the levels of a parameter's ``values`` [n].

    None where they do not vary, or are too many to compare without being a range.
    """
    distinct = set(values)
    if len(distinct) < 2:
        return None
    if is_range(distinct):
        return _thirds(values)
    if len(distinct) > max(RANGE_FROM, min(MOST_LEVELS, len(values) // 2)):
        return None
    levels = tuple(sorted(distinct, key=in_order))
    number = {value: code for code, value in enumerate(levels)}
    return Levels(levels, np.array([number[value] for value in values], dtype=np.intp))


def is_range(values: Collection[Value]) -> bool:
    """Return whether ``values`` are many numbers, apart from None where not set."""
    known = set(values) - {None}
    return len(known) >= RANGE_FROM and are_numbers(known)


def are_numbers(values: Collection[Value]) -> bool:
    """Return whether all ``values`` are numbers by `is_number`."""
    # Types are few, and a check of each value by itself takes seconds for a hundred thousand.
    if set(map(type, values)) <= {int, float}:
        return all(map(math.isfinite, values))  # type: ignore[arg-type]
    return all(map(is_number, values))


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether ``value`` is a finite number and not a bool."""
    return records.is_number(value) and math.isfinite(value)


def is_domain_end(numbers: Collection[float], end: float) -> bool:
    """Return whether the lowest or highest of ``numbers`` is an end that none can lie beyond.

    0 is where no number is negative, and 1 where all are counts; so is 1 above fractions.
    """
    low, high = min(numbers), max(numbers)
    if end == low:
        return low == 0.0 or (low == 1.0 and all(value == int(value) for value in numbers))
    return high == 1.0 and low >= 0.0 and any(0.0 < value < 1.0 for value in numbers)


def in_order(value: Value) -> tuple[int, float, str, tuple[object, ...]]:
    """Return a key that sorts numbers by size, then other values, tuples, and then None."""
    if is_number(value):
        return (0, float(value), "", ())
    if isinstance(value, tuple):
        return (2, 0.0, "", tuple(map(in_order, value)))
    return (3, 0.0, "", ()) if value is None else (1, 0.0, str(value), ())


def _thirds(values: Sequence[Value]) -> Levels:
    numbers = np.array([float(value) if is_number(value) else math.nan for value in values])
    cuts = np.quantile(numbers[np.isfinite(numbers)], [1 / 3, 2 / 3])
    codes = np.searchsorted(cuts, numbers)
    codes[np.isnan(numbers)] = 3
    _, codes = np.unique(codes, return_inverse=True)
    thirds: list[Value | Span] = []
    for code in range(int(codes.max()) + 1):
        part = numbers[codes == code]
        whole = bool(np.isfinite(part).all())
        thirds.append(Span(float(part.min()), float(part.max())) if whole else None)
    return Levels(tuple(thirds), codes.astype(np.intp), numbers)
