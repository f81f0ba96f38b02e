"""What estimates and comparisons return."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


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


def unknown(method: str, level: float, n: int, estimate: float = math.nan) -> Comparison:
    """Return the comparison that says nothing."""
    return Comparison(estimate, -math.inf, math.inf, level, 1.0, 1.0, n, method)


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


def is_constant(values: NDArray[Any]) -> bool:
    """Whether all values are equal, up to rounding in the last digits."""
    if values.size == 0:
        return True
    return bool(np.ptp(values) <= 1e-12 * max(1e-300, float(np.max(np.abs(values)))))
