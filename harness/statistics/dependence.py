"""Test whether two columns of a design go together, and find the lattice of a metric.

References
----------
Cramér (1946), "Mathematical methods of statistics", §21.9 (V); Phipson & Smyth (2010), Stat. Appl.
Genet. 9:39 (the +1 rule).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from harness.statistics.estimates import chunks
from harness.statistics.values import as_values

STRONG = 0.3
"""Below this Cramér's V two parameters can be told apart well enough."""

SUSPICION = 0.01
"""The rate at which independent parameters may wrongly be taken to go together, over all pairs."""

_PERMUTED_UP_TO = 500
_MOST_DRAWS = 199_999
_HARDLY = 1e-4


def association(
    codes: NDArray[np.intp],
    others: NDArray[np.intp],
    rng: np.random.Generator,
    resamples: int = 1999,
) -> tuple[float, float]:
    """Return Cramér's V of two columns of level numbers [n], and its p value by permutation.

    Beyond 500 rows the χ² distribution gives the p value. (0, 1) where a column is constant.
    """
    table = stats.contingency.crosstab(codes, others).count
    n, smaller = len(codes), min(table.shape)
    if n < 2 or smaller < 2:
        return 0.0, 1.0
    of_codes, of_others = table.sum(axis=1), table.sum(axis=0)
    expected = np.outer(of_codes, of_others) / n
    observed = float(((table - expected) ** 2 / expected).sum())
    strength = math.sqrt(observed / (n * (smaller - 1)))
    if n > _PERMUTED_UP_TO:
        freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
        return strength, float(stats.chi2.sf(observed, freedom))
    if max(table.shape) == n:  # levels of one run each: every permutation is as strong
        return strength, 1.0
    # Permuting a column gives the tables with these margins, each as often as `random_table` does.
    permuted = stats.random_table(of_codes, of_others, seed=rng)
    reached = 0
    for size in chunks(resamples, table.size):
        drawn = ((permuted.rvs(size) - expected) ** 2 / expected).sum(axis=(1, 2))
        reached += int((drawn >= observed * (1 - 1e-9)).sum())
    return strength, (1 + reached) / (resamples + 1)


def go_together(
    codes: NDArray[np.intp], others: NDArray[np.intp], rng: np.random.Generator, tests: int
) -> tuple[float, bool]:
    """Return Cramér's V of two columns of level numbers [n], and whether they go together.

    They do if V is at least `STRONG` and shown at `SUSPICION`, corrected for the number of
    ``tests``.
    """
    strength, p_value = association(codes, others, rng, 199)
    if strength < STRONG or p_value > 0.05:
        return strength, False
    level = SUSPICION / max(1, tests)
    if len(codes) > _PERMUTED_UP_TO:
        return strength, p_value <= level
    # Drawn until chance can hardly change on which side of the level p is.
    drawn = reached = 0
    for expected in (4, 10, 20, 40, 70, 100):
        draws = min(_MOST_DRAWS, math.ceil(expected / level)) - drawn
        if draws <= 0:
            break
        _, p_value = association(codes, others, rng, draws)
        drawn, reached = drawn + draws, reached + round(p_value * (draws + 1)) - 1
        below, above = special.bdtr(reached, drawn, level), special.bdtrc(reached - 1, drawn, level)
        if min(below, above) < _HARDLY:
            break
    return strength, (1 + reached) / (1 + drawn) <= level


def lattice_step(values: ArrayLike) -> float | None:
    """Return the step of the lattice that ``values`` [n] lie on; None where they lie on none.

    On a lattice every difference is a multiple of the smallest one; it takes at least three levels.
    """
    x = np.unique(np.round(as_values(values), 9))
    gaps = np.diff(x)
    gaps = gaps[gaps > 1e-8]
    if gaps.size < 2:
        return None
    step = float(gaps.min())
    multiples = (x - x[0]) / step
    return step if np.allclose(multiples, np.round(multiples), atol=0.01) else None
