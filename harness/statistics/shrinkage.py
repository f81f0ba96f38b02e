"""Estimate what results are truly worth when the best of them were chosen for being high.

Each of n results is its true value plus noise of a known standard error. The true values are draws
from one normal distribution, whose mean and SD the results themselves tell: empirical Bayes. A
result is moved towards the mean, the further the more of the spread is noise.

The mean has a flat prior and is integrated in closed form. The SD τ of the true values has a
half-Cauchy prior of five typical standard errors, flat where the data can tell it (Gelman 2006),
and is integrated by quadrature, so that not knowing it is part of what is said. With it few results
can be used too, and standard errors may be unequal.

References
----------
Efron & Morris (1975), JASA 70:311 (empirical Bayes of many means); Rubin (1981), J. Educ. Stat.
6:377, and Gelman, Carlin, Stern, Dunson, Vehtari & Rubin (2013), Bayesian Data Analysis, section
5.4, equations 5.17, 5.20 and 5.21 (unequal standard errors, τ integrated); Gelman (2006), Bayesian
Analysis 1:515 (the prior of τ); Efron & Morris (1972), JASA 67:130 (limited translation);
Šidák (1967), JASA 62:626 (the largest of n).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from harness.statistics.estimates import chunks
from harness.statistics.values import FloatArray, as_values, check_level

PRIOR_SCALE = 5.0
"""The scale of the half-Cauchy prior of τ, in typical standard errors."""

EXACT = 0.01
"""An error of 0 counts as this share of the median of the others: exact values have no density."""

_COARSE, _FINE, _FEW = 100, 48, 12
"""Values of τ: to find where its posterior lies, for means, and for the probability of the best."""

_NEGLIGIBLE = 15.0
"""How far below its maximum, in natural logarithms, the density of τ is taken for 0."""

_MOST = 5_000
"""The most results for which the probability of the best is found for more than one τ, by their
number: of many, the results tell τ well."""

_CELLS, _FEWEST_CELLS = 240, 40
"""Cells in which the value of the best is looked for; fewer of many results."""

_MOST_CELLS = 2_000_000
"""Of many results, the most cells times results."""

_MOST_READ = 5_000
"""The most results that τ is found from: so many tell it within a few per cent."""

_REACH = 7.0
"""How many SDs from its mean a normal value is looked for."""


@dataclass(frozen=True, eq=False)
class Shrunk:
    """Estimates of the true values of n results, of which the largest are looked at.

    ``means`` [n] are the true values that are expected, ``errors`` [n] the SDs of what they may be.
    ``low`` and ``high`` [n] are the ends of the intervals of `selection_interval`. ``best`` [n] is
    the probability that a result is truly the largest; they add up to 1. ``centre`` and ``spread``
    are the mean and SD of the distribution of true values, as expected.
    """

    means: FloatArray
    errors: FloatArray
    low: FloatArray
    high: FloatArray
    best: FloatArray
    centre: float
    spread: float


def shrink(
    values: ArrayLike,
    errors: ArrayLike,
    dof: ArrayLike = math.inf,
    level: float = 0.95,
) -> Shrunk:
    """Estimate the true values of results of which the largest are looked at.

    No estimate is moved further than the longer half of its interval (limited translation), for any
    τ: where one result is far ahead of all others, the normal distribution of the true values is
    wrong. It is then moved too far all the same.

    Parameters
    ----------
    values
        The results [n]; more is better. At least two.
    errors
        Their standard errors [n], or one for all; at least one is above 0. One of 0 counts as a
        hundredth of the median of the others.
    dof
        The degrees of freedom of the errors, [n] or one for all; infinite where they are known.
        Only the intervals depend on them.
    level
        The confidence of the intervals.

    Returns
    -------
    Shrunk
        In the unit of the values.

    Raises
    ------
    ValueError
        Where there are fewer than two results, a value is not finite, an error is negative or not
        finite, all errors are 0, or ``level`` is not between 0 and 1.
    """
    y = as_values(values)
    s = _usable_errors(errors, y.size)
    if y.size < 2:
        raise ValueError(f"{y.size} values are no selection; at least 2 are needed")
    low, high = selection_interval(y, s, dof, level)
    scale = float(np.median(s))
    begun = float(y.mean())
    furthest = np.maximum(y - low, high - y)
    # In units of a typical error, about the mean, so that no size of numbers matters.
    posterior = _posterior((y - begun) / scale, s / scale, furthest / scale)
    return Shrunk(
        means=begun + scale * posterior.means,
        errors=scale * posterior.errors,
        low=low,
        high=high,
        best=posterior.best,
        centre=begun + scale * posterior.centre,
        spread=scale * posterior.spread,
    )


def selection_interval(
    values: ArrayLike, errors: ArrayLike, dof: ArrayLike = math.inf, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Return the ends [n] of intervals that cover after the largest of n results was chosen.

    [y − c·SE, y + z·SE], with z the normal quantile at (1 + level)/2 and c that at its n-th root
    (Šidák), 3.07 for 24 results at 95%. It covers at least so often whatever the true values are,
    if the noise is normal, independent between results, and its SE known. Below: the chosen noise
    is at most the largest of n. Above: the chance to be chosen rises with a result's own noise, so
    that the chosen is too low less often than any one result. This holds for whatever is chosen for
    being high: the largest, or those above a threshold; not for one chosen for being low. For an
    estimated SE the quantiles are Student's with ``dof`` degrees of freedom.

    Raises
    ------
    ValueError
        As `shrink`, but a single result is enough: then it is the ordinary interval.
    """
    check_level(level)
    y = as_values(values)
    s = _usable_errors(errors, y.size)
    freedom = np.broadcast_to(np.asarray(dof, dtype=np.float64), y.shape)
    upper = (1 + level) / 2
    return (
        y - _quantile(upper ** (1 / max(1, y.size)), freedom) * s,
        y + _quantile(upper, freedom) * s,
    )


def _usable_errors(errors: ArrayLike, size: int) -> FloatArray:
    """Return the errors [size], those of 0 made small."""
    s = np.broadcast_to(np.asarray(errors, dtype=np.float64), (size,)).copy()
    if not (np.isfinite(s).all() and (s >= 0.0).all()):
        raise ValueError("a standard error is negative or not finite")
    if size and not s.any():
        raise ValueError("every standard error is 0: there is no noise to allow for")
    s[s == 0.0] = EXACT * float(np.median(s[s > 0.0])) if size else 0.0
    return s


def _quantile(share: float, dof: FloatArray) -> FloatArray:
    """Return the quantile of Student's t [n], the normal one where ``dof`` [n] is infinite."""
    known = np.isfinite(dof)
    student = special.stdtrit(np.where(known, dof, 1.0), share)
    return np.where(known, student, special.ndtri(share))


# ---- the posterior -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Posterior:
    means: FloatArray
    errors: FloatArray
    best: FloatArray
    centre: float
    spread: float


def _posterior(y: FloatArray, s: FloatArray, furthest: FloatArray) -> _Posterior:
    """Return the posterior of the true values of ``y`` [n] with errors ``s`` [n].

    For each τ they are expected at most ``furthest`` [n] from ``y``.
    """
    typical = 1.0 / math.sqrt(float(np.mean(s**-2.0)))
    taus, weights = _spreads(y, s, typical)
    mean, square, centre = np.zeros_like(y), np.zeros_like(y), 0.0
    for tau, weight in zip(taus, weights, strict=True):
        given = _given(y, s, float(tau), furthest)
        mean += weight * given.means
        # What is left beside the centre, and what the centre itself may be.
        square += weight * (given.means**2 + given.variances + given.by_centre)
        centre += weight * given.centre
    errors = np.sqrt(np.maximum(square - mean**2, 0.0))
    # Where the steps of the distribution of τ are cut into equal parts, a few values stand for all.
    few = max(1, min(_FEW, _MOST // y.size))
    at = np.searchsorted(np.cumsum(weights), (np.arange(few) + 0.5) / few)
    best = np.zeros_like(y)
    for place, times in Counter(np.minimum(at, taus.size - 1).tolist()).items():
        given = _given(y, s, float(taus[place]), furthest)
        best += times * _largest(given.means, np.sqrt(given.variances))
    return _Posterior(mean, errors, best / best.sum(), float(centre), float(weights @ taus))


@dataclass(frozen=True, eq=False)
class _Given:
    """The posterior for one τ: of each true value for one centre, and of the centre."""

    means: FloatArray
    variances: FloatArray
    by_centre: FloatArray
    centre: float


def _given(y: FloatArray, s: FloatArray, tau: float, furthest: FloatArray) -> _Given:
    """Return the posterior of the true values for one τ (Bayesian Data Analysis, 5.17 and 5.20)."""
    precision = 1.0 / (tau**2 + s**2)
    total = float(precision.sum())
    centre = float(precision @ y) / total
    pulled = s**2 * precision
    moved = np.clip(pulled * (centre - y), -furthest, furthest)
    return _Given(y + moved, (1.0 - pulled) * s**2, pulled**2 / total, centre)


def _spreads(y: FloatArray, s: FloatArray, typical: float) -> tuple[FloatArray, FloatArray]:
    """Return values of τ and their posterior weights, which add up to 1."""
    # τ = c·p/(1 − p) for p from 0 to 1 has no upper end, and is dense where the data are.
    c = max(typical, float(y.std()))
    if y.size > _MOST_READ:
        few = np.linspace(0, y.size - 1, _MOST_READ).round().astype(np.intp)
        order = np.argsort(y, kind="stable")[few]
        y, s = y[order], s[order]

    def density(shares: FloatArray) -> tuple[FloatArray, FloatArray]:
        taus = c * shares / (1.0 - shares)
        prior = -np.log1p((taus / (PRIOR_SCALE * typical)) ** 2) - 2.0 * np.log1p(-shares)
        return taus, prior + _log_likelihood(y, s, taus)

    shares = (np.arange(_COARSE) + 0.5) / _COARSE
    _, log = density(shares)
    likely = np.flatnonzero(log > log.max() - _NEGLIGIBLE)
    low, high = likely[0] / _COARSE, (likely[-1] + 1) / _COARSE
    taus, log = density(low + (high - low) * (np.arange(_FINE) + 0.5) / _FINE)
    weights = np.exp(log - log.max())
    return taus, weights / weights.sum()


def _log_likelihood(y: FloatArray, s: FloatArray, taus: FloatArray) -> FloatArray:
    """Return the logarithm of the likelihood of each τ, the centre integrated (5.21)."""
    found: list[FloatArray] = []
    start = 0
    for size in chunks(taus.size, y.size):
        part = taus[start : start + size, None]
        start += size
        precision = 1.0 / (part**2 + s**2)
        total = precision.sum(axis=1)
        centre = (precision @ y) / total
        squares = (precision * (y - centre[:, None]) ** 2).sum(axis=1)
        found.append(0.5 * (np.log(precision).sum(axis=1) - np.log(total) - squares))
    return np.concatenate(found)


def _largest(means: FloatArray, sds: FloatArray) -> FloatArray:
    """Return the probability [n] that each of n independent normal values is the largest.

    ∫ Π over j ≠ i of Φ_j dΦ_i, cell by cell: the change of Φ_i times the mean of the product at the
    ends. So a value that is known far better than a cell is wide counts right too.
    """
    cells = min(_CELLS, max(_FEWEST_CELLS, _MOST_CELLS // means.size))
    edges = np.linspace(
        float((means - _REACH * sds).max()), float((means + _REACH * sds).max()), cells + 1
    )
    found = np.zeros_like(means)
    start = 0
    for size in chunks(cells, means.size):
        part = edges[start : start + size + 1]
        log = special.log_ndtr((part[:, None] - means) / sds)
        others = np.exp(np.minimum(log.sum(axis=1, keepdims=True) - log, 0.0))
        own = np.exp(log)
        if start == 0:
            found += own[0] * others[0]  # all of what lies below the first edge
        found += (np.diff(own, axis=0) * (others[1:] + others[:-1]) / 2.0).sum(axis=0)
        start += size
    return np.asarray(found / found.sum())
