"""Compare two samples by permuting their values, studentised.

The test is exact where the two have one distribution. Where they only agree in what is compared it
is close to its level, since the statistic is divided by its standard error in the data and in every
permutation.

References
----------
Janssen (1997), Stat. Probab. Lett. 36:9 and Chung & Romano (2013), Ann. Stat. 41:484 (studentised
permutation); Phipson & Smyth (2010), Stat. Appl. Genet. 9:39 (the +1 rule).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from harness.statistics.estimates import chunks, cvar_rows
from harness.statistics.values import (
    Comparison,
    FloatArray,
    agreeing,
    as_values,
    check_level,
    unknown,
)

NORMAL_FROM = 10_000
"""From this many values on the statistic is compared with the normal distribution, to which its
permutation distribution converges."""

Rows = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""Takes samples [m, n] to their estimates [m] and the variances of these [m]."""


def cvar_permutation(
    values: ArrayLike,
    others: ArrayLike,
    rng: np.random.Generator,
    *,
    share: float = 0.25,
    level: float = 0.90,
    resamples: int = 4999,
) -> Comparison:
    """Compare the mean of the worst ``share`` of two samples ([n] against [m]).

    The standard error is by influence functions. The interval inverts the same permutation
    distribution.
    """
    method, tails = "studentised permutation test of CVaR", partial(cvar_rows, share=share)
    return _compared(values, others, tails, rng, method=method, level=level, resamples=resamples)


def welch_permutation(
    values: ArrayLike,
    others: ArrayLike,
    rng: np.random.Generator,
    *,
    level: float = 0.90,
    resamples: int = 4999,
) -> Comparison:
    """Compare the means of two samples ([n] against [m]) by permuting Welch's statistic.

    The interval inverts the same permutation distribution.
    """
    method = "studentised permutation test of the mean"
    return _compared(values, others, _means, rng, method=method, level=level, resamples=resamples)


def _compared(
    values: ArrayLike,
    others: ArrayLike,
    rows_of: Rows,
    rng: np.random.Generator,
    *,
    method: str,
    level: float,
    resamples: int,
) -> Comparison:
    a, b = as_values(values), as_values(others, "others")
    check_level(level)
    n = a.size + b.size
    if min(a.size, b.size) < 2:
        return unknown(method, level, n)
    pooled = np.concatenate([a, b])
    # Permutations are compared with the data: work on a scale on which rounding is the same.
    scale = float(np.max(np.abs(pooled - pooled.mean()))) or 1.0
    scaled = (pooled - pooled.mean()) / scale
    difference, error, observed = studentised(scaled[None, :], a.size, rows_of)
    if n >= NORMAL_FROM:
        statistics = -special.ndtri(np.arange(resamples, 0, -1) / (resamples + 1))
    else:
        drawn: list[FloatArray] = []
        for size in chunks(resamples, n):
            rows = rng.permuted(np.broadcast_to(scaled, (size, n)), axis=1)
            drawn.append(studentised(rows, a.size, rows_of)[2])
        statistics = np.sort(np.concatenate(drawn))
    seen = float(observed[0])
    slack = 1e-9 * max(1.0, abs(seen)) if math.isfinite(seen) else 0.0
    greater = (1 + int((statistics >= seen - slack).sum())) / (resamples + 1)
    less = (1 + int((statistics <= seen + slack).sum())) / (resamples + 1)
    rank = max(1, math.floor((1 - level) / 2 * (resamples + 1) + 1e-9))
    low, high = -math.inf, math.inf
    if error[0] > 0.0:
        low = scale * float(difference[0] - statistics[-rank] * error[0])
        high = scale * float(difference[0] - statistics[rank - 1] * error[0])
    low, high = agreeing(low, high, level, greater=greater, less=less)
    return Comparison(scale * float(difference[0]), low, high, level, greater, less, n, method)


def studentised(
    rows: FloatArray, n: int, rows_of: Rows
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the differences of the first ``n`` columns and the others, their errors, and ratios.

    Each is [m], one a row.
    """
    one, variance_one = rows_of(rows[:, :n])
    two, variance_two = rows_of(rows[:, n:])
    difference = one - two
    difference[np.abs(difference) < 1e-12] = 0.0
    error = np.sqrt(variance_one + variance_two)
    error[error < 1e-12] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.where(difference == 0.0, 0.0, difference / error)
    return difference, error, statistic


def _means(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    return rows.mean(axis=1), rows.var(axis=1, ddof=1) / rows.shape[1]
