"""Estimate the effect of a parameter on an outcome over a sweep, and test it.

Tests are rank tests, judged by permuting the outcomes over the runs. With blocks, outcomes are
permuted within blocks, so that differences between blocks do not count. An outcome of −inf ranks
worst.

References
----------
Kruskal & Wallis (1952), JASA 47:583; Spearman (1904), Am. J. Psychol. 15:72; van Elteren (1960),
Bull. Int. Stat. Inst. 37:351 (ranks within blocks); Strasser & Weber (1999), Math. Methods Stat.
8:220 (the quadratic form all of these share, and its χ² limit); Phipson & Smyth (2010), Stat. Appl.
Genet. 9:39 (the +1 rule); MacKinnon & White (1985), J. Econometrics 29:305 (HC3); Kelley (1935),
PNAS 21:554 (ε²); Freedman & Lane (1983), J. Bus. Econ. Stat. 1:292 (permuted residuals); Breiman
(2001), Mach. Learn. 45:5 and Fisher, Rudin & Dominici (2019), JMLR 20:177 (permutation importance
over all pairs of runs).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from harness.statistics.estimates import chunks
from harness.statistics.groups import one_hot, parts_of
from harness.statistics.values import Estimate, FloatArray, as_values, check_level, is_constant

PERMUTED_UP_TO = 500
"""Beyond this many runs the limiting distribution gives the p value."""

FEWEST_FOLDED = 10
"""Runs below which nothing can be held out to measure importance on."""

_PENALTY = 1.0
"""Shrinkage of the additive model: each level's effect is drawn to 0 as by one run."""


def trend(
    values: ArrayLike,
    outcomes: ArrayLike,
    rng: np.random.Generator,
    blocks: ArrayLike | None = None,
    resamples: int = 1999,
) -> tuple[float, float]:
    """Return Spearman's ρ of ``values`` and ``outcomes`` (each [n]) and its two-sided p value.

    With ``blocks`` [n], ranks are taken within blocks. (0, 1) where either does not vary.
    """
    x, y = as_values(values), _outcomes(outcomes)
    parts = parts_of(blocks, x.size)
    ranks, others = _ranked(x, parts), _ranked(y, parts)
    spread = math.sqrt(float((ranks**2).sum() * (others**2).sum()))
    rho = float(ranks @ others) / spread if spread > 0.0 else 0.0
    return rho, _independence(ranks[:, None], others, parts, rng, resamples)


def levels_differ(
    codes: NDArray[np.intp],
    outcomes: ArrayLike,
    rng: np.random.Generator,
    blocks: ArrayLike | None = None,
    resamples: int = 1999,
) -> float:
    """Return the p value of "the outcomes of the levels ``codes`` [n] differ" (Kruskal–Wallis).

    With ``blocks`` [n], ranks are taken within blocks. 1 where nothing varies.
    """
    parts = parts_of(blocks, codes.size)
    indicators = one_hot(codes)
    for part in parts:
        indicators[part] -= indicators[part].mean(axis=0)
    return _independence(indicators, _ranked(_outcomes(outcomes), parts), parts, rng, resamples)


def slope(values: ArrayLike, outcomes: ArrayLike, level: float = 0.95) -> Estimate:
    """Return the least-squares slope of ``outcomes`` on ``values`` (each [n]) with its interval.

    Student's interval with HC3 standard errors, so that the spread may change along the values.
    Unbounded where n < 4 or ``values`` take fewer than three values.
    """
    x, y = as_values(values), as_values(outcomes, "outcomes")
    check_level(level)
    method = "least squares, HC3"
    if x.size < 2 or is_constant(x):
        return Estimate(math.nan, -math.inf, math.inf, level, x.size, method)
    centred = x - x.mean()
    total = float(centred @ centred)
    estimate = float(centred @ y) / total
    if x.size < 4 or np.unique(x).size < 3:
        return Estimate(estimate, -math.inf, math.inf, level, x.size, method)
    residuals = y - y.mean() - estimate * centred
    leverage = 1.0 / x.size + centred**2 / total
    errors = residuals / np.maximum(1.0 - leverage, 1e-9)
    error = math.sqrt(float(centred**2 @ errors**2)) / total
    half = float(stats.t.ppf((1 + level) / 2, x.size - 2)) * error
    return Estimate(estimate, estimate - half, estimate + half, level, x.size, method)


def variance_share(codes: NDArray[np.intp], outcomes: ArrayLike) -> float:
    """Return the share of the variance of ``outcomes`` [n] that lies between levels (ε²).

    Corrected for the number of levels: 0 on average where they do nothing, and never below 0. NaN
    where there are as many levels as runs, or the outcomes are equal.
    """
    y = as_values(outcomes, "outcomes")
    design = one_hot(codes)
    n, levels = design.shape
    if n <= levels or is_constant(y):
        return math.nan
    means = (design.T @ y) / design.sum(axis=0)
    within = float(((y - design @ means) ** 2).sum()) / int(n - levels)
    return max(0.0, 1.0 - within / float(np.var(y, ddof=1)))


def interaction(
    codes: NDArray[np.intp],
    others: NDArray[np.intp],
    outcomes: ArrayLike,
    rng: np.random.Generator,
    resamples: int = 1999,
) -> tuple[float, float]:
    """Return the interaction of two parameters as a share of the variance, and its p value.

    The share is of the variance of ``outcomes`` [n], beyond the sum of both effects, corrected for
    its degrees of freedom. The p value is of the F test of the cells against that sum, by permuting
    its residuals. (0, 1) where the cells leave nothing to test.
    """
    y = as_values(outcomes, "outcomes")
    additive = _basis(np.hstack([one_hot(codes), one_hot(others)]))
    cells = one_hot(codes * (int(others.max(initial=0)) + 1) + others)
    beyond = _basis(cells - additive @ (additive.T @ cells))
    freedom = y.size - additive.shape[1] - beyond.shape[1]
    residuals = y - additive @ (additive.T @ y)
    left = float(residuals @ residuals)
    total = float(((y - y.mean()) ** 2).sum())
    if beyond.shape[1] == 0 or freedom < 1 or left <= 1e-12 * max(total, 1e-300):
        return 0.0, 1.0

    def explained(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        squares = ((rows @ beyond) ** 2).sum(axis=1)
        rest = left - ((rows @ additive) ** 2).sum(axis=1) - squares
        return squares, np.maximum(rest, 1e-12 * left) / freedom

    squares, noise = explained(residuals[None, :])
    observed = float(squares[0] / noise[0])
    share = max(0.0, float(squares[0] - beyond.shape[1] * noise[0])) / total
    if y.size > PERMUTED_UP_TO:
        return share, float(stats.f.sf(observed / beyond.shape[1], beyond.shape[1], freedom))
    reached = 0
    for size in chunks(resamples, y.size):
        drawn, spread = explained(rng.permuted(np.tile(residuals, (size, 1)), axis=1))
        reached += int((drawn / spread >= observed * (1 - 1e-9)).sum())
    return share, (1 + reached) / (resamples + 1)


def permutation_importance(
    columns: Sequence[NDArray[np.intp]],
    outcomes: ArrayLike,
    rng: np.random.Generator,
    folds: int = 5,
    repeats: int = 10,
) -> tuple[FloatArray, float]:
    """Estimate each parameter's importance for predicting runs that the model was not fitted to.

    The model adds up one effect for each level (least squares, each drawn to 0 as by one run). A
    parameter's importance is the increase of the squared error on held-out runs when their values
    of it are swapped for those of all runs, in units of the variance of ``outcomes`` [n]. It is the
    expectation over all swaps, not a sample, and may be slightly below 0. Parameters that go
    together share their importance. The last number returned is the share of the variance that the
    model predicts (held-out R²), which may be below 0.

    ``columns`` are level numbers [n], one array a parameter; the result is [parameters]. NaN with
    fewer than 10 runs, or where the outcomes are equal.
    """
    y = as_values(outcomes, "outcomes")
    n, worth = y.size, np.full(len(columns), math.nan)
    if n < FEWEST_FOLDED or is_constant(y) or not columns:
        return worth, math.nan
    blocks = [one_hot(codes) for codes in columns]
    ends = np.cumsum([0, *(block.shape[1] for block in blocks)])
    design = np.hstack(blocks)
    increase, error = np.zeros(len(columns)), 0.0
    for _ in range(repeats):
        fold = rng.permutation(np.arange(n) % folds)
        for number in range(folds):
            held = fold == number
            fitted = design[~held]
            centre, mean = fitted.mean(axis=0), float(y[~held].mean())
            centred = fitted - centre
            gram = centred.T @ centred + _PENALTY * np.eye(design.shape[1])
            weights = np.linalg.solve(gram, centred.T @ (y[~held] - mean))
            effects = (design - centre) * weights
            parts = np.add.reduceat(effects, ends[:-1], axis=1)
            residuals = y[held] - mean - parts[held].sum(axis=1)
            squared = float((residuals**2).sum())
            error += squared
            for index in range(len(columns)):
                without, swapped = residuals + parts[held, index], parts[:, index]
                increase[index] += float((without**2).sum()) - squared
                increase[index] += without.size * float((swapped**2).mean())
                increase[index] -= 2.0 * float(without.sum()) * float(swapped.mean())
    total = repeats * float(((y - y.mean()) ** 2).sum())
    return increase / total, 1.0 - error / total


def _independence(
    scores: FloatArray,
    outcomes: FloatArray,
    parts: Sequence[NDArray[np.intp]],
    rng: np.random.Generator,
    resamples: int,
) -> float:
    """Return the p value of the quadratic form of ``scores`` [n, d] and ``outcomes`` [n].

    Both are centred within the blocks whose indices are ``parts``.
    """
    variance = np.zeros((scores.shape[1], scores.shape[1]))
    for part in parts:
        if part.size > 1:
            spread = float((outcomes[part] ** 2).sum()) / (part.size - 1)
            variance += spread * (scores[part].T @ scores[part])
    values, vectors = np.linalg.eigh(variance)
    kept = values > 1e-9 * max(float(values[-1]), 1e-300)
    if not kept.any() or float(values[-1]) <= 1e-12:
        return 1.0
    whitened = scores @ (vectors[:, kept] / np.sqrt(values[kept]))
    observed = float(((outcomes @ whitened) ** 2).sum())
    if outcomes.size > PERMUTED_UP_TO:
        return float(stats.chi2.sf(observed, int(kept.sum())))
    reached = 0
    for size in chunks(resamples, outcomes.size):
        rows = np.empty((size, outcomes.size))
        for part in parts:
            rows[:, part] = rng.permuted(np.tile(outcomes[part], (size, 1)), axis=1)
        reached += int((((rows @ whitened) ** 2).sum(axis=1) >= observed * (1 - 1e-9)).sum())
    return (1 + reached) / (resamples + 1)


def _ranked(values: FloatArray, parts: Sequence[NDArray[np.intp]]) -> FloatArray:
    """Return ranks within blocks, as shares of the block and centred on 0."""
    ranks = np.empty(values.size)
    for part in parts:
        ranks[part] = (stats.rankdata(values[part]) - (part.size + 1) / 2) / (part.size + 1)
    return ranks


def _outcomes(outcomes: ArrayLike) -> FloatArray:
    """Return ``outcomes`` [n], which may hold −inf."""
    y = np.asarray(outcomes, dtype=np.float64)
    if y.ndim != 1 or np.isnan(y).any():
        raise ValueError(f"outcomes must be one-dimensional numbers, got shape {y.shape}")
    return y


def _basis(columns: FloatArray) -> FloatArray:
    """Return an orthonormal basis [n, rank] of what ``columns`` [n, d] span."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, sizes > 1e-9 * max(1.0, float(sizes.max(initial=0.0)))])
