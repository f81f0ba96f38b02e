"""Comparisons of a sample with a number or with another sample, in both directions.

References
----------
Boschloo (1970), Statistica Neerlandica 24:1; Newcombe (1998), Stat. Med. 17:873, method 10
(interval of a difference of proportions); Welch (1947), Biometrika 34:28; Brown & Forsythe (1974),
JASA 69:364; Schuirmann (1987), J. Pharmacokin. Biopharm. 15:657 (two one-sided tests); Hodges &
Lehmann (1954), J. R. Stat. Soc. B 16:261 (a null hypothesis that is an interval); Mann & Whitney
(1947), Ann. Math. Stat. 18:50; Holm (1979), Scand. J. Stat. 6:65.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import numpy as np
import scipy
from numpy.typing import ArrayLike
from scipy import special

from harness.statistics.estimates import clopper_pearson, net_sd, wilson
from harness.statistics.values import (
    Comparison,
    Equivalence,
    FloatArray,
    agreeing,
    as_values,
    average_ranks,
    check_counts,
    check_level,
    check_margin,
    check_rate,
    is_constant,
    unknown,
)

MAX_TABLES = 40_000
"""Boschloo's test is exact up to this many tables (n × other_n); Fisher's stands in beyond."""

_MOST_PAIRS = 1_000

_FEW = 8
"""Up to this many values of a sample its ranks are compared exactly, where there are no ties."""


def binomial(successes: int, n: int, rate: float = 0.5, level: float = 0.90) -> Comparison:
    """Compare a success rate with ``rate`` (0 to 1) by the exact one-sided binomial tests.

    The Clopper–Pearson interval at ``level`` agrees with them.
    """
    check_counts(successes, n)
    check_rate(rate)
    share = clopper_pearson(successes, n, level)
    greater = float(special.betainc(successes, n - successes + 1, rate)) if successes else 1.0
    less = float(special.betaincc(successes + 1, n - successes, rate)) if successes < n else 1.0
    return Comparison(share.value, share.low, share.high, level, greater, less, n, "exact binomial")


def binomial_threshold(n: int, rate: float = 0.5, alpha: float = 0.05) -> int | None:
    """Return the fewest successes of ``n`` that show a rate above ``rate``; None if none does."""
    successes = np.arange(1, n + 1)
    enough = special.betainc(successes, n - successes + 1, rate) <= alpha
    return int(successes[np.argmax(enough)]) if enough.any() else None


def boschloo(
    successes: int, n: int, other_successes: int, other_n: int, level: float = 0.90
) -> Comparison:
    """Compare two success rates by Boschloo's exact unconditional test, one-sided each way.

    The estimate is the difference of the rates. Its interval is Newcombe's hybrid score interval;
    an end that would contradict the test is moved to 0. Beyond 40,000 tables (n × other_n) Fisher's
    exact test stands in for Boschloo's, which it approaches from the conservative side.
    """
    check_counts(successes, n)
    check_counts(other_successes, other_n)
    check_level(level)
    exact = n * other_n <= MAX_TABLES
    method = "Boschloo's exact test" if exact else "Fisher's exact test"
    if n == 0 or other_n == 0:
        return unknown(method, level, n + other_n)
    ours, theirs = successes / n, other_successes / other_n
    greater = _boschloo_greater(successes, n, other_successes, other_n)
    less = _boschloo_greater(other_successes, other_n, successes, n)
    one, two = wilson(successes, n, level), wilson(other_successes, other_n, level)
    low = ours - theirs - math.hypot(ours - one.low, two.high - theirs)
    high = ours - theirs + math.hypot(one.high - ours, theirs - two.low)
    low, high = agreeing(low, high, level, greater=greater, less=less)
    return Comparison(ours - theirs, low, high, level, greater, less, n + other_n, method)


@lru_cache(maxsize=1024)
def _boschloo_greater(successes: int, n: int, other_successes: int, other_n: int) -> float:
    table = [[successes, other_successes], [n - successes, other_n - other_successes]]
    if successes / n <= other_successes / other_n and successes in (0, n):
        return 1.0
    if n * other_n > MAX_TABLES:
        return float(scipy.stats.fisher_exact(np.array(table), alternative="greater")[1])
    p_value = float(scipy.stats.boschloo_exact(table, alternative="greater").pvalue)
    return min(1.0, p_value) if math.isfinite(p_value) else 1.0


def welch(values: ArrayLike, others: ArrayLike, level: float = 0.90) -> Comparison:
    """Compare two means ([n] against [m]) without assuming equal spread.

    Unknown where either has fewer than two values or both are constant.
    """
    a, b = as_values(values), as_values(others, "others")
    method, n, difference = "Welch's t test", a.size + b.size, _difference(a, b)
    if min(a.size, b.size) < 2 or (is_constant(a) and is_constant(b)):
        return unknown(method, level, n, difference)
    part_a, part_b = float(np.var(a, ddof=1)) / a.size, float(np.var(b, ddof=1)) / b.size
    shares = np.array([part_a, part_b]) / (part_a + part_b)
    freedom = 1.0 / (shares[0] ** 2 / (a.size - 1) + shares[1] ** 2 / (b.size - 1))
    error = math.sqrt(part_a + part_b)
    return _student(difference, error, freedom, level=level, n=n, method=method)


def brown_forsythe(values: ArrayLike, others: ArrayLike, level: float = 0.90) -> Comparison:
    """Compare the spread of two samples ([n] against [m]) by the Brown–Forsythe test, one-sided.

    This is the pooled t test of the absolute deviations from the medians. Its square is the F of
    Levene's test with medians.
    """
    a, b = as_values(values), as_values(others, "others")
    method = "one-sided Brown–Forsythe test"
    n = a.size + b.size
    if min(a.size, b.size) < 2:
        return unknown(method, level, n)
    one, two = np.abs(a - np.median(a)), np.abs(b - np.median(b))
    squares = float(((one - one.mean()) ** 2).sum() + ((two - two.mean()) ** 2).sum())
    if is_constant(one) and is_constant(two):
        return unknown(method, level, n, _difference(one, two))
    error = math.sqrt(squares / (n - 2) * (1 / a.size + 1 / b.size))
    return _student(_difference(one, two), error, n - 2, level=level, n=n, method=method)


def sd_ratio(
    values: ArrayLike,
    others: ArrayLike,
    standard_errors: ArrayLike | None = None,
    other_errors: ArrayLike | None = None,
) -> float:
    """Return the ratio of two standard deviations, net of measurement noise where SEs are given.

    NaN where it does not exist.
    """
    a, b = as_values(values), as_values(others, "others")
    one = net_sd(a, np.zeros(a.size) if standard_errors is None else standard_errors)
    two = net_sd(b, np.zeros(b.size) if other_errors is None else other_errors)
    return one / two if two > 0.0 else math.nan


def paired(differences: ArrayLike, null: float = 0.0, level: float = 0.90) -> Comparison:
    """Compare the mean of paired ``differences`` [n] with ``null`` by Student's t test.

    Unknown where n < 2 or all differences are equal: then the data show no noise to judge by.
    """
    d = as_values(differences, "differences")
    method = "paired t test"
    if d.size < 2 or is_constant(d):
        return unknown(method, level, d.size, float(d.mean()) if d.size else math.nan)
    error = float(np.std(d, ddof=1)) / math.sqrt(d.size)
    return _student(
        float(d.mean()), error, d.size - 1, level=level, n=d.size, method=method, null=null
    )


def equivalent(values: ArrayLike, others: ArrayLike, margin: float, level: float = 0.90) -> bool:
    """Return whether two means are shown to differ by less than ``margin`` (TOST by Welch)."""
    compared = welch(values, others, level)
    return -margin < compared.low and compared.high < margin


def paired_equivalence(differences: ArrayLike, margin: float, level: float = 0.90) -> Equivalence:
    """Test whether the mean of paired ``differences`` [n] lies within ±``margin``, and beyond it.

    Within: by two one-sided t tests (Schuirmann 1987); the interval at ``level`` = 1 − 2α agrees
    with them. Beyond: the p value is the probability of a mean as far out, on either side, if the
    true mean lies at the margin (Hodges & Lehmann 1954, with the standard error as estimated).
    Where the margin is wide for the noise this is the one-sided test on the far side of the margin,
    and the interval agrees with it. Where the margin is narrow both sides count; as it goes to 0
    this becomes the two-sided t test, and "interval outside of the margin" alone would say "beyond"
    up to 2α of the time.

    Unknown where n < 2 or all differences are equal.

    Raises
    ------
    ValueError
        If ``margin`` is not positive.
    """
    check_margin(margin)
    d = as_values(differences, "differences")
    compared = paired(d, level=level)
    method = "paired t, two one-sided tests"
    estimate, low, high, n = compared.estimate, compared.low, compared.high, compared.n
    if not math.isfinite(low):
        return Equivalence(estimate, low, high, level, margin, 1.0, 1.0, n, method)
    error, freedom = float(np.std(d, ddof=1)) / math.sqrt(n), n - 1
    near, far = (margin - abs(estimate)) / error, (margin + abs(estimate)) / error
    within = float(special.stdtr(freedom, -near))
    beyond = float(special.stdtr(freedom, near) + special.stdtr(freedom, -far))
    return Equivalence(estimate, low, high, level, margin, within, min(1.0, beyond), n, method)


def pairs_to_decide(
    differences: ArrayLike, margin: float, level: float = 0.90, power: float = 0.8
) -> int | None:
    """Return the number of pairs with which `paired_equivalence` decides with chance ``power``.

    The mean and spread are taken to be those of ``differences`` [n]. The decision is the one that
    this mean calls for: within ±``margin``, or beyond. None where it takes more than 1,000 pairs,
    or where the data do not say.

    Raises
    ------
    ValueError
        If ``margin`` is not positive.
    """
    check_margin(margin)
    d = as_values(differences, "differences")
    check_level(level)
    if d.size < 2 or is_constant(d):
        return None
    mean, spread = abs(float(d.mean())), float(np.std(d, ddof=1))
    n = np.arange(2, _MOST_PAIRS + 1)
    error = spread / np.sqrt(n)
    needed = special.stdtrit(n - 1, (1 + level) / 2)
    beyond = special.stdtr(n - 1, (mean - margin) / error - needed)
    low, high = (
        special.stdtr(n - 1, room / error - needed) for room in (margin - mean, margin + mean)
    )
    enough = np.asarray(beyond if mean > margin else low + high - 1.0) >= power
    return int(n[np.argmax(enough)]) if np.any(enough) else None


def rank_sum(values: ArrayLike, others: ArrayLike) -> tuple[float, float]:
    """Return the p values of "``values`` [n] lie higher than ``others`` [m]" and of "lower".

    By the Mann–Whitney test: exact without ties where one has at most 8 values, else by the normal
    distribution with correction for ties and continuity. (1, 1) where either is empty.
    """
    a, b = as_values(values), as_values(others, "others")
    if not (a.size and b.size) or is_constant(np.concatenate([a, b])):
        return 1.0, 1.0
    pooled = np.concatenate([a, b])
    counts = np.unique(pooled, return_counts=True)[1].astype(np.float64)
    n, m = a.size, b.size
    won = float(average_ranks(pooled)[:n].sum()) - n * (n + 1) / 2  # of the n · m pairs
    if min(n, m) <= _FEW and counts.size == n + m:
        at_most = _rank_sums(min(n, m), max(n, m))
        return at_most[n * m - int(won)], at_most[int(won)]
    ties = float((counts**3 - counts).sum()) / ((n + m) * (n + m - 1))
    deviation = math.sqrt(n * m / 12 * (n + m + 1 - ties))
    beyond = np.array([n * m - won, won]) - n * m / 2 + 0.5
    higher, lower = special.ndtr(beyond / deviation)
    return float(higher), float(lower)


@lru_cache(maxsize=256)
def _rank_sums(n: int, m: int) -> list[float]:
    """Return the chance that at most 0, 1, … n · m pairs are won by ``n`` values, of ``m`` others.

    The ways to win u of them are the coefficients of the product of (1 − q^(m+i)) / (1 − q^i) over
    i from 1 to n.
    """
    ways = [1, *[0] * (n * m)]
    for i in range(1, n + 1):
        for u in range(n * m, m + i - 1, -1):
            ways[u] -= ways[u - m - i]
        for u in range(i, n * m + 1):
            ways[u] += ways[u - i]
    every = math.comb(n + m, n)
    return [reached / every for reached in accumulate(ways)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number by Holm's step-down procedure, in order."""
    p = as_values(list(p_values), "p_values")
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"p values must lie between 0 and 1, got {p_values}")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, stepped)
    return [float(value) for value in corrected]


def _student(
    estimate: float,
    error: float,
    freedom: float,
    *,
    level: float,
    n: int,
    method: str,
    null: float = 0.0,
) -> Comparison:
    check_level(level)
    statistic = (estimate - null) / error
    half = float(special.stdtrit(freedom, (1 + level) / 2)) * error
    return Comparison(
        estimate,
        estimate - half,
        estimate + half,
        level,
        float(special.stdtr(freedom, -statistic)),
        float(special.stdtr(freedom, statistic)),
        n,
        method,
    )


def _difference(a: FloatArray, b: FloatArray) -> float:
    return float(a.mean() - b.mean()) if a.size and b.size else math.nan
