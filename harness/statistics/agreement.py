"""Comparisons that hold their level where values are skewed: several tests must agree.

A sweep in which some runs collapse is skewed to the left. A sample with few of the collapsed runs
overrates the mean and underrates the spread, so a t test says "higher" too often. Here an ordinary
test is joined by tests that fail differently, and a result must be shown by all of them: the
largest p value decides, and the widest interval agrees with it.

*Corrected for skewness* means the t statistic in the cubic form of Hall (1992), with the unbiased
third moments of the samples. It sees the collapsed runs in a sample, not those that might have been
in it: where 15% of runs collapse, a sample of n has none with probability .85ⁿ.

References
----------
Hall (1992), "On the removal of skewness by transformation", J. R. Stat. Soc. B 54:221; Zhou & Dinh
(2005), "Nonparametric confidence intervals for the one- and two-sample problems", Biostatistics
6:187 (its two-sample form); Janssen (1997), Stat. Probab. Lett. 36:9 (permuting Welch's
statistic); Brown & Forsythe (1974), JASA 69:364; Manistre & Hancock (2005), N. Am. Actuar. J. 9:129
(influence function of the CVaR); Miller (1974), "The jackknife – a review", Biometrika 61:1 (its
correction for bias); Berger (1982), Technometrics 24:295 (tests that must all reject).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from harness.statistics.comparisons import brown_forsythe, paired, welch
from harness.statistics.estimates import cvar_rows
from harness.statistics.permutation import cvar_permutation, welch_permutation
from harness.statistics.values import Comparison, FloatArray, as_values, check_margin, strictest

PERMUTED_UP_TO = 2_000
"""Beyond this many values the t distribution stands in for a permutation of Welch's statistic."""

SKEWNESS_KNOWN_FROM = 16
"""Fewer matched pairs than this say too little about their skewness to correct for it."""

CLUSTER_KNOWN_FROM = 4
"""Fewer values in a tail than this do not show whether it is a cluster."""

CLUSTERED = 6.0
"""A tail is a cluster if its variance grows by this factor at a rank that may be the true one."""


def compare_means(
    values: ArrayLike,
    others: ArrayLike,
    rng: np.random.Generator,
    level: float = 0.90,
    resamples: int = 4999,
) -> Comparison:
    """Compare two means ([n] against [m]) by Welch's t test, as it is, corrected and permuted.

    Corrected for skewness, that is. The permutation is exact where the two have one distribution,
    however skewed, and of unequal numbers.
    """
    a, b = as_values(values), as_values(others, "others")
    ordinary = welch(a, b, level)
    if not math.isfinite(ordinary.low):
        return ordinary
    found = [ordinary, _by_hall(_mean(a), _mean(b), level)]
    if a.size + b.size <= PERMUTED_UP_TO:
        found.append(welch_permutation(a, b, rng, level=level, resamples=resamples))
    return strictest("Welch's t test, corrected for skewness, and permuted", *found)


def compare_spreads(values: ArrayLike, others: ArrayLike, level: float = 0.90) -> Comparison:
    """Compare the spread of two samples ([n] against [m]) by their absolute deviations.

    The deviations are from each sample's median. Their means are compared by the Brown–Forsythe
    test, and by Welch's t test as it is and corrected for skewness.
    """
    a, b = as_values(values), as_values(others, "others")
    pooled = brown_forsythe(a, b, level)
    if not math.isfinite(pooled.low):
        return pooled
    one, two = np.abs(a - np.median(a)), np.abs(b - np.median(b))
    return strictest(
        "one-sided Brown–Forsythe test, and Welch's of the deviations, corrected for skewness",
        pooled,
        welch(one, two, level),
        _by_hall(_mean(one), _mean(two), level),
    )


def compare_tails(
    values: ArrayLike,
    others: ArrayLike,
    rng: np.random.Generator,
    *,
    share: float = 0.25,
    level: float = 0.90,
    resamples: int = 4999,
) -> Comparison:
    """Compare the mean of the worst ``share`` of two samples ([n] against [m]).

    By a studentised permutation test, and by t tests of the CVaRs, as they are and jackknifed,
    corrected for skewness. A CVaR is the mean of its influence values, and as skewed as they are;
    only the values in the tail count as degrees of freedom. Without any spread in either tail the
    permutation test decides.
    """
    a, b = as_values(values), as_values(others, "others")
    permuted = cvar_permutation(a, b, rng, share=share, level=level, resamples=resamples)
    by_t = tails_by_t(a, b, share, level)
    if by_t is None:
        return permuted
    return strictest(f"{permuted.method}, and {by_t.method}", permuted, by_t)


def tails_by_t(
    values: ArrayLike, others: ArrayLike, share: float = 0.25, level: float = 0.90
) -> Comparison | None:
    """Compare the mean of the worst ``share`` of two samples ([n] against [m]) by t tests.

    The CVaRs are compared as they are and jackknifed, both times corrected for skewness, and both
    tests must agree. None where a side has fewer than two values, or neither tail any spread.
    """
    a, b = as_values(values), as_values(others, "others")
    if min(a.size, b.size) < 2:
        return None
    sides = _tails(a[None, :], b[None, :], share)
    if not (sides[0][0].error[0] or sides[0][1].error[0]):
        return None
    return strictest(
        "t test corrected for skewness",
        *(_by_hall(ours, theirs, level) for ours, theirs in sides),
    )


def tails_shown_by_t(
    values: FloatArray, others: FloatArray, share: float = 0.25, alpha: float = 0.05
) -> NDArray[np.bool_]:
    """Return for each row of ``values`` [m, n] and ``others`` [m, k] whether its tail is better.

    By the tests of `tails_by_t`, at the one-sided level ``alpha``. Without any spread in either
    tail they have nothing against it.
    """
    shown = np.ones(values.shape[0], dtype=np.bool_)
    for ours, theirs in _tails(values, others, share):
        _, error, _, freedom, statistic = _hall_tests(ours, theirs)
        shown &= (error == 0.0) | (special.stdtr(freedom, -statistic) <= alpha)
    return shown


def skewed_paired(differences: ArrayLike, null: float = 0.0, level: float = 0.90) -> Comparison:
    """Compare the mean of paired ``differences`` [n] with ``null``.

    By Student's t test, as it is and corrected for skewness.
    """
    d = as_values(differences, "differences")
    ordinary = paired(d, null, level)
    if not math.isfinite(ordinary.low):
        return ordinary
    method = f"{ordinary.method}, corrected for skewness"
    return strictest(method, ordinary, _by_hall(_mean(d), None, level, null))


def matched(differences: ArrayLike, null: float = 0.0, level: float = 0.90) -> Comparison:
    """Compare the mean of ``differences`` [n] of matched runs with ``null``.

    Such differences are symmetric where both runs of a pair are as likely to collapse. From 16 on
    they are corrected for skewness all the same; fewer say too little about it.
    """
    enough = as_values(differences, "differences").size >= SKEWNESS_KNOWN_FROM
    return (skewed_paired if enough else paired)(differences, null, level)


def non_inferiority(differences: ArrayLike, margin: float, level: float = 0.90) -> Comparison:
    """Test whether the mean of matched ``differences`` [n] lies above −``margin``.

    ``p_greater`` ≤ α shows "no worse by ``margin``", ``p_less`` ≤ α shows "worse by more".

    Raises
    ------
    ValueError
        If ``margin`` is not positive.
    """
    check_margin(margin)
    return matched(differences, -margin, level)


@dataclass(frozen=True, slots=True)
class _Part:
    """An estimate from each of m samples, with its share of the cumulants of a difference."""

    value: FloatArray
    error: FloatArray
    """Its standard error [m]."""
    third: FloatArray
    """The cube root of its third cumulant [m]."""
    freedom: float
    n: int


def _mean(x: FloatArray) -> _Part:
    return _part(x.mean(keepdims=True), x[None, :], x.size - 1)


def _tails(
    values: FloatArray, others: FloatArray, share: float
) -> tuple[tuple[_Part, _Part], tuple[_Part, _Part]]:
    """Return the CVaRs of the rows of both sides, as they are and jackknifed."""
    sides = tuple((_tail(x, share), x) for x in (values, others))
    ours, theirs = (part for part, _ in sides)
    one, two = (replace(part, value=_jackknifed(x, share)) for part, x in sides)
    return (ours, theirs), (one, two)


def _tail(x: FloatArray, share: float) -> _Part:
    """Return the CVaR of each row of ``x`` [m, n], with the cumulants of its influence values.

    The quantile behind these values has a rank that is itself uncertain. Where the tail is a
    cluster, one run more or fewer in it would change everything, and its own spread does not show
    that. So where a rank higher by its standard error makes the variance several times as large,
    the influence values are taken at that rank.
    """
    n, tail = x.shape[1], math.ceil(x.shape[1] * share - 1e-9)
    ordered, freedom = np.sort(x, axis=1), max(1, tail - 1)
    value = cvar_rows(x, share)[0]

    def at(rank: int) -> _Part:
        quantile = ordered[:, min(rank, n) - 1, None]
        return _part(value, quantile - np.maximum(0.0, quantile - x) / share, freedom)

    found = at(tail)
    if tail < CLUSTER_KNOWN_FROM:
        return found
    higher = at(tail + math.ceil(math.sqrt(n * share * (1.0 - share))))
    clustered = higher.error**2 > CLUSTERED * found.error**2
    return replace(
        found,
        error=np.where(clustered, higher.error, found.error),
        third=np.where(clustered, higher.third, found.third),
    )


def _jackknifed(x: FloatArray, share: float) -> FloatArray:
    """Return the CVaR of each row of ``x`` [m, n] less its bias, which flatters a wide sample."""
    n, ordered = x.shape[1], np.sort(x, axis=1)
    # Without one value of the tail, the next one joins those that count; without any other, none.
    size = (n - 1) * share
    count = math.ceil(size - 1e-9)
    lowest = np.cumsum(ordered, axis=1)[:, count, None]
    next_one, last = ordered[:, count, None], ordered[:, count - 1]
    without = next_one - (count * next_one - (lowest - ordered[:, :count])) / size
    rest = last - (count * last - (lowest[:, 0] - ordered[:, count])) / size
    left_out = (without.sum(axis=1) + (n - count) * rest) / n
    return np.asarray(n * cvar_rows(x, share)[0] - (n - 1) * left_out)


def _part(value: FloatArray, x: FloatArray, freedom: float) -> _Part:
    """Return estimates [m] that are the means of the rows of ``x`` [m, n], up to their bias."""
    n, centred = x.shape[1], x - x.mean(axis=1, keepdims=True)
    size = np.abs(centred).max(axis=1)
    z = centred / np.where(size > 0.0, size, 1.0)[:, None]
    third = (z**3).sum(axis=1) / (n * (n - 1) * (n - 2)) if n > 2 else np.zeros_like(size)
    error = np.sqrt((z**2).sum(axis=1) / (n * (n - 1)))
    return _Part(value, size * error, size * np.cbrt(third), freedom, n)


def _by_hall(one: _Part, two: _Part | None, level: float, null: float = 0.0) -> Comparison:
    """Compare one estimate, or the difference of two, with ``null``, corrected for skewness."""
    tested = (float(found[0]) for found in _hall_tests(one, two, null))
    estimate, error, skewness, freedom, statistic = tested
    critical = float(special.stdtrit(freedom, (1 + level) / 2))
    return Comparison(
        estimate,
        estimate - error * _hall_inverse(critical, skewness),
        estimate - error * _hall_inverse(-critical, skewness),
        level,
        float(special.stdtr(freedom, -statistic)),
        float(special.stdtr(freedom, statistic)),
        one.n + (0 if two is None else two.n),
        "corrected for skewness",
    )


def _hall_tests(one: _Part, two: _Part | None, null: float = 0.0) -> tuple[FloatArray, ...]:
    """Return the estimate, its error, skewness and degrees of freedom, and the statistic, each [m].

    Where the error is 0 the others mean nothing.
    """
    none = np.zeros(1)
    other = _Part(none, none, none, math.inf, 0) if two is None else two
    estimate, error = one.value - other.value, np.hypot(one.error, other.error)
    known = np.where(error > 0.0, error, 1.0)
    skewness = (one.third / known) ** 3 - (other.third / known) ** 3
    shares = (one.error / known) ** 2, (other.error / known) ** 2
    inverse = shares[0] ** 2 / one.freedom + shares[1] ** 2 / other.freedom
    freedom = 1.0 / np.where(error > 0.0, inverse, 1.0)
    return estimate, error, skewness, freedom, _hall((estimate - null) / known, skewness)


def _hall(t: FloatArray, skewness: FloatArray) -> FloatArray:
    """Return t statistics less their skewness: rising in ``t``, whatever the skewness."""
    return t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / 6


def _hall_inverse(z: float, skewness: float) -> float:
    if abs(skewness) < 1e-6:
        return z
    return 3.0 / skewness * (float(np.cbrt(1.0 + skewness * (z - skewness / 6))) - 1.0)
