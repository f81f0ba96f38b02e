"""The response of an outcome to one parameter along its range.

The bracket test asks whether the best value lies inside the range: whether the outcome rises to it
from the left and falls from it to the right. Each of the two is a maximum of Kendall's S, divided
by its null standard deviation, over windows that reach to an end of the range; the maximum is
judged by permuting the outcomes over the values, so that the choice of window is paid for. That
the best value lies inside needs both (an intersection–union test).

References
----------
Kendall (1938), Biometrika 30:81 and Kendall (1975), "Rank correlation methods", ch. 4 (S, its
variance, ties); Hirsch, Slack & Smith (1982), Water Resour. Res. 18:107 (S and its variance summed
over blocks); Berger (1982), Technometrics 24:295 (intersection–union); Phipson & Smyth (2010),
Stat. Appl. Genet. 9:39 (the +1 rule).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.statistics.comparisons import equivalent
from harness.statistics.estimates import chunks
from harness.statistics.values import (
    Bracket,
    FloatArray,
    as_values,
    average_ranks,
    check_margin,
)

Ranks = NDArray[np.int8] | NDArray[np.int16]

HARDLY_TIED = 0.8
"""The share of distinct values from which ties may be broken at random."""

MAX_RUNS = 500
"""The most runs of the bracket test, which compares every pair in every permutation."""

_CHUNK = 8_000_000


def smallest_window(n: int) -> int:
    """Return the fewest runs that a window of the bracket test holds: max(4, ⌈n/4⌉)."""
    return max(4, math.ceil(n / 4))


def bracket(
    values: ArrayLike,
    outcomes: ArrayLike,
    rng: np.random.Generator,
    blocks: Sequence[Hashable] | None = None,
    resamples: int = 1999,
    *,
    shares_null: bool = False,
) -> Bracket:
    """Test whether ``outcomes`` rise to, and fall from, a best value of ``values`` (each [n]).

    Only the order of ``outcomes`` counts: −inf ranks a run worst. With ``blocks`` [n] only runs of
    one block are compared, and outcomes are permuted within blocks. A window never parts runs of
    equal value. Both p values are 1 where no window fits. If there are more than 500 runs, 500 at
    even ranks along the range are taken.

    With ``shares_null``, for many parameters of the same runs, few ties are broken at random; the
    permutations are then the same for all samples of a size, and are drawn once.
    """
    x = as_values(values)
    y = np.asarray(outcomes, dtype=np.float64)
    if y.shape != x.shape or np.isnan(y).any():
        raise ValueError(f"outcomes must be {x.size} numbers, got shape {y.shape}")
    label, order = _labels(blocks, x.size), _along(x)
    x, y = x[order], y[order]
    if shares_null and blocks is None and min(map(_distinct, (x, y))) >= HARDLY_TIED * x.size:
        return _with_shared_null(x, y, rng, resamples)
    windows = _Windows.of(x, label[order])
    if windows is None:
        return Bracket(1.0, 1.0, math.nan, math.nan, _peak(x, y), x.size)
    ranks = _ranks(np.unique(y, return_inverse=True)[1])
    rising, falling = windows.scores(ranks[None, :])
    reached = windows.drawn(ranks, resamples, rng) >= windows.largest(ranks[None, :]) - 1e-9
    p_rising, p_falling = (1 + reached.sum(axis=0)) / (resamples + 1)
    return Bracket(
        p_rising=float(p_rising),
        p_falling=float(p_falling),
        rising_to=float(x[windows.ends[int(rising[0].argmax())]]),
        falling_from=float(x[windows.starts[int(falling[0].argmax())]]),
        peak=_peak(x, y),
        n=x.size,
    )


def _with_shared_null(
    x: FloatArray, y: FloatArray, rng: np.random.Generator, resamples: int
) -> Bracket:
    """Return the bracket test of ``x`` in order and ``y`` (each [n]), with few ties broken."""
    places = np.lexsort((rng.random(x.size), x))
    ranks = np.empty(x.size, dtype=np.intp)
    ranks[np.lexsort((rng.random(x.size), y[places]))] = np.arange(x.size)
    windows = _untied(x.size)
    if windows is None:
        return Bracket(1.0, 1.0, math.nan, math.nan, _peak(x, y), x.size)
    seen = _ranks(ranks)[None, :]
    rising, falling = windows.scores(seen)
    reached = _shared_null(x.size, resamples) >= windows.largest(seen) - 1e-9
    p_rising, p_falling = (1 + reached.sum(axis=0)) / (resamples + 1)
    return Bracket(
        p_rising=float(p_rising),
        p_falling=float(p_falling),
        rising_to=float(x[windows.ends[int(rising[0].argmax())]]),
        falling_from=float(x[windows.starts[int(falling[0].argmax())]]),
        peak=_peak(x, y),
        n=x.size,
    )


@lru_cache(maxsize=8)
def _untied(n: int) -> _Windows | None:
    """Return the windows of n runs without ties."""
    return _Windows.of(np.arange(n, dtype=np.float64), np.zeros(n, dtype=np.intp))


@lru_cache(maxsize=8)
def _shared_null(n: int, resamples: int) -> FloatArray:
    """Return the largest z of rising and of falling [resamples, 2] of n runs without ties."""
    windows = _untied(n)
    assert windows is not None
    return windows.drawn(_ranks(np.arange(n)), resamples, np.random.default_rng([n, resamples]))


def _distinct(values: FloatArray) -> int:
    return int(np.unique(values).size)


def bracket_p_values(
    values: ArrayLike,
    outcomes: ArrayLike,
    rng: np.random.Generator,
    blocks: Sequence[Hashable] | None = None,
    resamples: int = 1999,
) -> FloatArray:
    """Return the p values of rising and of falling [m, 2] for m arrangements of outcomes [m, n].

    The outcomes have no ties and lie on the same ``values`` [n], so that their permutation
    distribution is the same and is drawn once. All 1 where no window fits. If there are more than
    500 runs, 500 at even ranks along the range are taken.
    """
    x, y = as_values(values), np.asarray(outcomes, dtype=np.float64)
    if y.ndim != 2 or y.shape[1] != x.size:
        raise ValueError(f"outcomes must be rows of {x.size} numbers, got shape {y.shape}")
    label, order = _labels(blocks, x.size), _along(x)
    windows = _Windows.of(x[order], label[order])
    if windows is None:
        return np.ones((y.shape[0], 2))
    ranks = _ranks(np.argsort(np.argsort(y[:, order], axis=1), axis=1))
    p_values, start = np.empty((y.shape[0], 2)), 0
    null = np.sort(windows.drawn(ranks[0], resamples, rng), axis=0)
    for size in chunks(y.shape[0], order.size**2, _CHUNK):
        seen = windows.largest(ranks[start : start + size])
        for side in range(2):
            reached = resamples - np.searchsorted(null[:, side], seen[:, side] - 1e-9)
            p_values[start : start + size, side] = (1 + reached) / (resamples + 1)
        start += size
    return p_values


def flat(values: ArrayLike, outcomes: ArrayLike, margin: float, level: float = 0.90) -> bool:
    """Return whether the mean outcome is shown to be the same within ``margin`` along the range.

    The runs are parted into thirds by value; every pairwise difference of their means must have
    both one-sided bounds within ±``margin``. A third with fewer than two runs, or with an outcome
    that is not finite, shows nothing.
    """
    x, y = as_values(values), np.asarray(outcomes, dtype=np.float64)
    check_margin(margin)
    if x.size < 6 or not np.isfinite(y).all():
        return False
    third = np.minimum(2, ((average_ranks(x) - 0.5) * 3 / x.size).astype(np.intp))
    parts = [y[third == index] for index in range(3)]
    return all(equivalent(one, two, margin, level) for one, two in combinations(parts, 2))


@dataclass(frozen=True, slots=True)
class _Windows:
    """The windows along runs ordered by value, and the pairs that count in them."""

    ends: NDArray[np.intp]
    """The last index of each proper prefix [prefixes]."""
    starts: NDArray[np.intp]
    """The first index of each proper suffix [suffixes]."""
    prefix_sd: FloatArray
    suffix_sd: FloatArray
    earlier: tuple[slice | NDArray[np.intp], ...]
    """The runs that each run [n] is compared with: of its block, and of a smaller value."""
    label: NDArray[np.intp]
    """The number of each run's block [n]."""

    @classmethod
    def of(cls, x: FloatArray, label: NDArray[np.intp]) -> _Windows | None:
        n, least = x.size, smallest_window(x.size)
        cuts = np.flatnonzero(np.diff(x) > 0.0)
        ends, starts = cuts[cuts + 1 >= least], cuts[n - cuts - 1 >= least] + 1
        prefix_sd = _null_sd(x, label)[ends]
        suffix_sd = _null_sd(x[::-1], label[::-1])[::-1][starts]
        ends, prefix_sd = ends[prefix_sd > 0.0], prefix_sd[prefix_sd > 0.0]
        starts, suffix_sd = starts[suffix_sd > 0.0], suffix_sd[suffix_sd > 0.0]
        if not (ends.size and starts.size):
            return None
        return cls(ends, starts, prefix_sd, suffix_sd, _earlier(x, label), label)

    def scores(self, ranks: Ranks) -> tuple[FloatArray, FloatArray]:
        """Return Kendall's z of rising in each prefix and of falling in each suffix.

        ``ranks`` [m, n] are the outcomes of m arrangements; the scores are [m, windows].
        """
        runs = np.ascontiguousarray(ranks.T)  # each comparison is of all arrangements at once
        risen, left = np.zeros_like(runs), np.zeros_like(runs)
        for place, earlier in enumerate(self.earlier):
            now, before = runs[place], runs[earlier]
            signs = (now > before).view(np.int8) - (now < before).view(np.int8)
            signs.sum(axis=0, dtype=runs.dtype, out=risen[place])
            left[earlier] += signs
        rising = np.cumsum(risen, axis=0, dtype=np.int32)[self.ends]
        falling = -np.cumsum(left[::-1], axis=0, dtype=np.int32)[::-1][self.starts]
        return (rising / self.prefix_sd[:, None]).T, (falling / self.suffix_sd[:, None]).T

    def largest(self, ranks: Ranks) -> FloatArray:
        """Return the largest z of rising and of falling [m, 2] for ``ranks`` [m, n]."""
        return np.stack([scores.max(axis=1) for scores in self.scores(ranks)], axis=1)

    def drawn(self, ranks: Ranks, resamples: int, rng: np.random.Generator) -> FloatArray:
        """Return `largest` [resamples, 2] of ``ranks`` [n], permuted within blocks."""
        found = []
        for size in chunks(resamples, ranks.size**2, _CHUNK):
            rows = np.empty((size, ranks.size), dtype=ranks.dtype)
            for block in np.unique(self.label):
                inside = np.flatnonzero(self.label == block)
                there = np.broadcast_to(ranks[inside], (size, inside.size))
                rows[:, inside] = rng.permuted(there, axis=1)
            found.append(self.largest(rows))
        return np.concatenate(found)


def _ranks(ranks: NDArray[Any]) -> Ranks:
    """Return ``ranks`` [..., n] of at most `MAX_RUNS` runs as the smallest integers that hold them.

    Pairs are compared eight times as fast by one byte as by two.
    """
    return ranks.astype(np.int8) if ranks.shape[-1] < 128 else ranks.astype(np.int16)


def _earlier(x: FloatArray, label: NDArray[np.intp]) -> tuple[slice | NDArray[np.intp], ...]:
    """Return the places of the runs of the block and of a smaller value, for each run along ``x``.

    ``label`` [n] are the numbers of the blocks. A slice, where there is one block.
    """
    below = np.searchsorted(x, x)
    if (label == label[0]).all():
        return tuple(slice(0, int(end)) for end in below)
    return tuple(
        np.flatnonzero(label[:end] == mine) for end, mine in zip(below, label, strict=True)
    )


def _along(x: FloatArray) -> NDArray[np.intp]:
    """Return the runs in the order of ``x``, at most 500 of them."""
    order = np.argsort(x, kind="stable")
    if order.size > MAX_RUNS:
        order = order[np.linspace(0, order.size - 1, MAX_RUNS).round().astype(np.intp)]
    return order


def _null_sd(x: FloatArray, label: NDArray[np.intp]) -> FloatArray:
    """Return the null standard deviation of S of the first runs of ``x``, for each number of them.

    S is summed over the blocks ``label`` [n]. Its variance is that of k(k − 1)(2k + 5) / 18 for the
    k runs of each block, less the same for the k runs of each tie: run k + 1 adds 6k(k + 2) / 18.
    """
    block, tie = _before(label), _before(label * x.size + np.unique(x, return_inverse=True)[1])
    added = block * (block + 2) - tie * (tie + 2)
    return np.asarray(np.sqrt(np.cumsum(6 * added) / 18.0))


def _before(codes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return how many of ``codes`` [n] before each are equal to it."""
    order = np.argsort(codes, kind="stable")
    found = np.empty_like(order)
    found[order] = np.arange(codes.size) - np.searchsorted(codes[order], codes[order])
    return found


def _peak(x: FloatArray, y: FloatArray) -> float:
    """Return the median value of the neighbouring runs whose outcomes rank best on average."""
    if x.size == 0:
        return math.nan
    width = min(x.size, smallest_window(x.size))
    ranks = average_ranks(y)
    sums = np.convolve(ranks, np.ones(width), mode="valid")
    best = int(sums.argmax())
    return float(np.median(x[best : best + width]))


def _labels(blocks: Sequence[Hashable] | None, n: int) -> NDArray[np.intp]:
    """Return the number of each run's block [n]."""
    if blocks is None:
        return np.zeros(n, dtype=np.intp)
    if len(blocks) != n:
        raise ValueError(f"blocks must match the {n} values, got {len(blocks)}")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(block, len(numbers)) for block in blocks], dtype=np.intp)
