"""The values that estimates and comparisons return."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

FEWEST_BRACKETED = 8
"""The fewest runs of the bracket test: its two windows of four runs overlap with fewer."""

FEWEST_WITH_INTERVAL = 3
"""The fewest values whose mean has an interval. From two Student's is 13 standard errors wide each
way, a bootstrap has three samples to draw, and neither says anything of the spread."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its two-sided interval at confidence ``level``.

    What the data cannot give is NaN (``value``) or infinite (``low``, ``high``).
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    method: str

    @property
    def error(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Comparison:
    """A test in both directions, with the two-sided interval that agrees with it.

    ``p_greater`` is the one-sided p value of "the estimate is truly above the null value",
    ``p_less`` of "below". At ``level`` 1 − 2α the interval lies above the null value exactly when
    ``p_greater`` ≤ α, and below it exactly when ``p_less`` ≤ α. Where the data cannot tell, both
    p values are 1 and the interval is unbounded.
    """

    estimate: float
    low: float
    high: float
    level: float
    p_greater: float
    p_less: float
    n: int
    method: str


@dataclass(frozen=True, slots=True)
class Equivalence:
    """A mean compared with the range from −``margin`` to ``margin``, with its two-sided interval.

    ``p_within`` is the p value of "the true mean lies inside that range", ``p_beyond`` of "it lies
    outside". At ``level`` 1 − 2α the interval lies inside the range exactly when ``p_within`` ≤ α,
    and outside of it wherever ``p_beyond`` ≤ α. Where the data cannot tell, both p values are 1 and
    the interval is unbounded.
    """

    estimate: float
    low: float
    high: float
    level: float
    margin: float
    p_within: float
    p_beyond: float
    n: int
    method: str


@dataclass(frozen=True, slots=True)
class Bracket:
    """The result of the bracket test along n runs.

    ``p_rising`` is the p value of "the outcome rises from the lower end", ``p_falling`` of "it
    falls to the upper end". ``rising_to`` is the last value of the window that rises most,
    ``falling_from`` the first of the one that falls most, ``peak`` the middle of the best
    neighbourhood; NaN where there is none.
    """

    p_rising: float
    p_falling: float
    rising_to: float
    falling_from: float
    peak: float
    n: int

    @property
    def p_value(self) -> float:
        """The p value of "the best value lies inside": the larger of the two."""
        return max(self.p_rising, self.p_falling)


@dataclass(frozen=True, slots=True)
class Window:
    """The learning rate in a window of the training, as shares of its peak (0 to 1).

    Medians over runs: at its start, at its end, and its mean over the window.
    """

    start: float
    end: float
    mean: float
    runs: int

    @property
    def annealed(self) -> bool:
        """Whether the mean rate in the window was below half of the peak."""
        return self.mean < 0.5


def unknown(method: str, level: float, n: int, estimate: float = math.nan) -> Comparison:
    """Return the comparison that says nothing."""
    return Comparison(estimate, -math.inf, math.inf, level, 1.0, 1.0, n, method)


def strictest(method: str, first: Comparison, *others: Comparison) -> Comparison:
    """Combine tests that must all agree: the largest p value and the widest interval.

    All are tests of one null value at one level; the estimate is that of the ``first``. Where one
    says nothing, nothing is shown.
    """
    compared = (first, *others)
    return replace(
        first,
        low=min(one.low for one in compared),
        high=max(one.high for one in compared),
        p_greater=max(one.p_greater for one in compared),
        p_less=max(one.p_less for one in compared),
        method=method,
    )


def as_values(values: ArrayLike, name: str = "values") -> FloatArray:
    """Return ``values`` as a float array [n].

    Raises
    ------
    ValueError
        If it is not one-dimensional or holds a number that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
    return array


def check_level(level: float) -> None:
    """Raise ValueError unless ``level`` lies between 0 and 1."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level}")


def check_counts(successes: int, n: int) -> None:
    """Raise ValueError unless 0 ≤ ``successes`` ≤ ``n``."""
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie between 0 and n, got {successes} of {n}")


def check_margin(margin: float) -> None:
    """Raise ValueError unless ``margin`` is positive."""
    if not margin > 0.0:
        raise ValueError(f"margin must be positive, got {margin}")


def check_rate(rate: float) -> None:
    """Raise ValueError unless ``rate`` lies between 0 and 1."""
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"rate must lie between 0 and 1, got {rate}")


def agreeing(
    low: float, high: float, level: float, *, greater: float, less: float
) -> tuple[float, float]:
    """Return an interval with an end moved to 0 where it would contradict a test.

    ``greater`` and ``less`` are the one-sided p values of the test, at α = (1 − ``level``) / 2.
    """
    alpha = (1.0 - level) / 2.0 + 1e-12
    return (
        max(low, 0.0) if greater <= alpha else min(low, 0.0),
        min(high, 0.0) if less <= alpha else max(high, 0.0),
    )


def average_ranks(values: FloatArray) -> FloatArray:
    """Return the ranks of ``values`` [n], from 1; equal ones have the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])


def is_constant(values: NDArray[Any]) -> bool:
    """Whether all values are equal, up to rounding in the last digits.

    Values closer than 1e-150 are, whatever their size: the squares of their differences are 0.
    """
    if values.size == 0:
        return True
    return bool(np.ptp(values) <= max(1e-150, 1e-12 * float(np.max(np.abs(values)))))
