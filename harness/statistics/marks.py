"""Test whether marked runs share more values than chance alone would give them.

The marks (of the best runs, say) are fixed in number and dealt to the runs at random. With blocks,
each block keeps its number of marks, and they are dealt within it.

References
----------
Fisher (1935), "The logic of inductive inference", J. R. Stat. Soc. 98:39 (the margins taken as
given); Mantel & Haenszel (1959), J. Natl. Cancer Inst. 22:719 (2×2 tables summed over blocks);
Phipson & Smyth (2010), Stat. Appl. Genet. 9:39 (the +1 rule).
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy import special

from harness.statistics.groups import parts_of
from harness.statistics.values import FloatArray, as_values

_LONG = 2_000
_NEGLIGIBLE = 1e-30


def overlap(marked: ArrayLike, having: ArrayLike, blocks: ArrayLike | None = None) -> float:
    """Return the probability that chance alone gives at least as many marked runs a property.

    ``marked`` and ``having`` [n] are truth values, ``blocks`` [n] numbers of blocks. Exact: the
    tail of a hypergeometric distribution, or of a sum of them over blocks.
    """
    is_marked, has = np.asarray(marked, dtype=bool), np.asarray(having, dtype=bool)
    parts = parts_of(blocks, is_marked.size)
    counts = [
        (int(has[part].size), int(has[part].sum()), int(is_marked[part].sum())) for part in parts
    ]
    seen = int((is_marked & has).sum())
    if len(counts) == 1:
        return min(1.0, float(scipy.stats.hypergeom.sf(seen - 1, *counts[0])))
    least, total = 0, np.ones(1)
    for n, with_it, drawn in counts:
        low, high = max(0, drawn + with_it - n), min(drawn, with_it)
        mass = np.asarray(scipy.stats.hypergeom.pmf(np.arange(low, high + 1), n, with_it, drawn))
        skipped, mass = _trimmed(mass)
        least, total = least + low + skipped, np.convolve(total, mass)
    return min(1.0, float(total[max(0, seen - least) :].sum()))


def levels_covered(
    codes: NDArray[np.intp],
    marked: ArrayLike,
    rng: np.random.Generator,
    blocks: ArrayLike | None = None,
    resamples: int = 1999,
) -> tuple[int, float]:
    """Return the number of runs at the levels of the marked ones, and the p value of so few.

    ``codes`` [n] are level numbers. The marks are dealt ``resamples`` times.
    """
    is_marked = np.asarray(marked, dtype=bool)
    sizes = np.bincount(codes)
    seen = np.bincount(codes[is_marked], minlength=sizes.size)
    covered = int(sizes[seen > 0].sum())
    drawn = np.zeros((resamples, sizes.size), dtype=np.int64)
    for part in parts_of(blocks, codes.size):
        there = np.bincount(codes[part], minlength=sizes.size)
        drawn += rng.multivariate_hypergeometric(
            there, int(is_marked[part].sum()), resamples, method="marginals"
        )
    as_few = int(((drawn > 0) @ sizes <= covered).sum())
    return covered, (1 + as_few) / (resamples + 1)


def range_covered(
    values: ArrayLike,
    marked: ArrayLike,
    rng: np.random.Generator,
    blocks: ArrayLike | None = None,
    resamples: int = 1999,
) -> tuple[int, float]:
    """Return the number of runs within the range of the marked ones, and the p value of so few.

    ``values`` [n] are a parameter's. The marks are dealt ``resamples`` times.
    """
    x, is_marked = as_values(values), np.asarray(marked, dtype=bool)
    if not is_marked.any():
        return 0, 1.0
    ordered = np.sort(x)

    def covered(low: ArrayLike, high: ArrayLike) -> NDArray[np.intp]:
        first = np.searchsorted(ordered, low, side="left")
        return np.asarray(np.searchsorted(ordered, high, side="right") - first)

    seen = int(covered(x[is_marked].min(), x[is_marked].max()))
    low, high = np.full(resamples, np.inf), np.full(resamples, -np.inf)
    for part in parts_of(blocks, x.size):
        count, inside = int(is_marked[part].sum()), np.sort(x[part])
        if count:
            first = last = _first_of(np.full(resamples, part.size), count, rng)
            if count > 1:
                last = part.size - 1 - _first_of(part.size - 1 - first, count - 1, rng)
            low, high = np.minimum(low, inside[first]), np.maximum(high, inside[last])
    as_few = int((covered(low, high) <= seen).sum())
    return seen, (1 + as_few) / (resamples + 1)


def _first_of(n: NDArray[np.intp], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the place, from 0, of the first of ``count`` marks dealt to ``n`` [m] places.

    Drawn by the inverse of its distribution: it lies beyond r places with probability
    C(n − r, count) / C(n, count).
    """

    def log_ways(places: NDArray[np.intp]) -> FloatArray:
        room = np.maximum(places - count, 0)
        ways = special.gammaln(places + 1) - special.gammaln(room + 1)
        return np.where(places < count, -np.inf, ways)

    beyond = np.log(1.0 - rng.random(n.size)) + log_ways(n)
    low, high = np.zeros_like(n), n - count
    while (low < high).any():
        middle = (low + high) // 2
        is_before = log_ways(n - 1 - middle) < beyond
        low, high = np.where(is_before, low, middle + 1), np.where(is_before, middle, high)
    return low


def _trimmed(mass: FloatArray) -> tuple[int, FloatArray]:
    """Return how many values are cut below, and a long distribution without negligible ends."""
    if mass.size <= _LONG:
        return 0, mass
    kept = np.flatnonzero(mass > _NEGLIGIBLE)
    return int(kept[0]), mass[kept[0] : kept[-1] + 1]
