"""Test whether the effects of two parameters add up.

References
----------
Freedman & Lane (1983), J. Bus. Econ. Stat. 1:292 (permuted residuals); Phipson & Smyth (2010),
Stat. Appl. Genet. 9:39 (the +1 rule).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from harness.statistics.estimates import chunks
from harness.statistics.groups import one_hot
from harness.statistics.values import FloatArray, as_values

FEW_DRAWS, PLAINLY_NOTHING = 199, 0.2
"""A share of the first few permutations that settles that nothing is shown."""

PERMUTED_UP_TO = 500
"""Beyond this many runs the limiting distribution gives the p value."""


def interaction(
    codes: NDArray[np.intp],
    others: NDArray[np.intp],
    outcomes: ArrayLike,
    rng: np.random.Generator,
    resamples: int = 1999,
    *,
    beside: FloatArray | None = None,
) -> tuple[float, float]:
    """Return the interaction of two parameters as a share of the variance, and its p value.

    The share is of the variance of ``outcomes`` [n], beyond the sum of both effects, corrected for
    its degrees of freedom. The p value is of the F test of the cells against that sum, by permuting
    its residuals. ``beside`` [n, q] are held equal: what a range does within its parts, which
    chance may distribute unevenly over the cells. (0, 1) where nothing is left to test.
    """
    y = as_values(outcomes, "outcomes")
    known = [one_hot(codes), one_hot(others), *([] if beside is None else [beside])]
    additive = _basis(np.hstack(known))
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
        return share, float(special.fdtrc(beyond.shape[1], freedom, observed / beyond.shape[1]))
    reached = done = 0
    few = min(FEW_DRAWS, resamples)
    for size in (few, *chunks(resamples - few, y.size)):
        drawn, spread = explained(rng.permuted(np.tile(residuals, (size, 1)), axis=1))
        reached += int((drawn / spread >= observed * (1 - 1e-9)).sum())
        done += size
        if done == few and reached > PLAINLY_NOTHING * few:
            break
    return share, (1 + reached) / (done + 1)


def _basis(columns: FloatArray) -> FloatArray:
    """Return an orthonormal basis [n, rank] of what ``columns`` [n, d] span."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, sizes > 1e-9 * max(1.0, float(sizes.max(initial=0.0)))])
