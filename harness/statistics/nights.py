"""Tell whether the last nights of a training that runs every night are worse than those before.

Rows of ``values`` [n, d] are nights in their order, the last one is tonight; columns are metrics of
which more is worse. If nothing has changed, the nights are exchangeable: every choice of m of the
n nights is as likely to be the worst as the last m are. So the rank of the last m among all choices
is a test that is exact for any distribution and any number of metrics, dependent or not, as long as
the statistic treats all nights alike: location and scale are taken from all n nights.

References
----------
Pitman (1937), J. R. Stat. Soc. Suppl. 4:119, eq. 1 ff. (the permutation test), Lehmann & Romano
(2005), "Testing statistical hypotheses", theorem 15.2.1 (exact under exchangeability), Westfall &
Young (1993), "Resampling-based multiple testing", §2.3 (the largest statistic of several), Hampel
(1974), JASA 69:383 (median and median deviation), Wald & Wolfowitz (1943), Ann. Math. Stat. 14:378
(serial correlation by permutation), Page (1954), Biometrika 41:100 (the cumulative sum), Phipson &
Smyth (2010), Stat. Appl. Genet. 9:39 (the +1 rule).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.statistics.estimates import chunks
from harness.statistics.values import FloatArray

ONE_IN = 200
"""Unchanged nights page at most once in so many."""

MOST_NIGHTS = 4
"""The most nights that are judged together."""

PLENTY = 800
"""With so many choices four of them may page: the worst past nights no longer decide alone."""

MOST_CHOICES = 4_000_000
"""So many choices are counted in about a second. Of a longer history the latest nights count."""

FAR = 3.0
"""A night further off than this, in SDs, is drawn in: a past accident must not hide a fault."""

_DRAWN_CHOICES = 5_000
"""Power is found with so many choices, where there are more."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class LastNights:
    """The last nights among all choices of so many.

    ``rank`` of ``choices`` choices have a statistic at least as large, the last nights themselves
    among them. ``statistic`` is the largest mean of `robust_z` over the metrics, and ``metric`` the
    column that has it.
    """

    rank: int
    choices: int
    statistic: float
    metric: int

    @property
    def p_value(self) -> float:
        """The exact p value of "the last nights are worse"."""
        return self.rank / self.choices

    @property
    def pages(self) -> bool:
        """Whether they rank in the top 1/200."""
        return self.rank * ONE_IN <= self.choices


@dataclass(frozen=True, slots=True)
class Trend:
    """The column with the largest trend: its ``size``, and the p value over all columns.

    ``since`` is the row where it began, where that means something.
    """

    metric: int
    size: float
    p_value: float
    since: int = 0


def fewest_before(nights: int) -> int:
    """Return the least number of nights before the last ``nights`` with which these can page.

    199, 19, 9 and 6 for 1 to 4: there must be 200 choices.
    """
    _check_nights(nights)
    before = 1
    while math.comb(before + nights, nights) < ONE_IN:
        before += 1
    return before


def usual_nights(total: int) -> int:
    """Return how many of ``total`` nights, the last of them, to judge together.

    It is the smallest number with `PLENTY` choices, `MOST_NIGHTS` where none has: fewer nights are
    judged sooner, more find smaller changes.
    """
    enough = (m for m in range(1, MOST_NIGHTS) if math.comb(total, m) >= PLENTY)
    return next(enough, MOST_NIGHTS)


def most_total(nights: int) -> int:
    """Return the largest number of nights with at most `MOST_CHOICES` choices of ``nights``."""
    _check_nights(nights)
    low, high = nights, MOST_CHOICES
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if math.comb(middle, nights) <= MOST_CHOICES else (low, middle - 1)
        )
    return low


def robust_z(values: ArrayLike) -> FloatArray:
    """Return how far each night [n, d] is on the bad side, in SDs of all n nights.

    What lies further than `FAR` median deviations (times 1.4826) from the median is drawn in, to
    `FAR` and the logarithm of the rest; then each column is brought to mean 0 and SD 1. Where more
    than half of the nights are equal, the mean deviation (times 1.2533) stands for the median one.
    It is the same for the same nights in any order, and for any unit of a metric.

    Raises
    ------
    ValueError
        Where a column is constant or not finite.
    """
    x = _as_nights(values)
    centre = np.median(x, axis=0)
    x = x - centre
    size = np.abs(x)
    middle = 1.4826 * np.median(size, axis=0)
    scale = np.where(middle > 1e-12 * np.abs(centre), middle, 1.2533 * size.mean(axis=0))
    if not (scale > 0.0).all():
        raise ValueError("a metric that is the same in every night has no scale")
    size = size / scale
    drawn_in = np.where(size > FAR, FAR + np.log1p(np.maximum(size - FAR, 0.0)), size)
    z = np.copysign(drawn_in, x)
    return np.asarray((z - z.mean(axis=0)) / z.std(axis=0))


def rank_last(values: ArrayLike, nights: int) -> LastNights:
    """Rank the last ``nights`` of ``values`` [n, d] among all choices of so many nights, exactly.

    Raises
    ------
    ValueError
        Where there are too few or too many nights, or a column is constant or not finite.
    """
    z = robust_z(values)
    if len(z) < nights + fewest_before(nights):
        raise ValueError(
            f"{nights} nights take {fewest_before(nights)} before, not {len(z)} in all"
        )
    if len(z) > most_total(nights):
        raise ValueError(f"at most {most_total(nights)} nights are ranked, not {len(z)}")
    means = z[-nights:].mean(axis=0)
    metric = int(means.argmax())
    least = float(z[-nights:].sum(axis=0).max())
    rank = sum(_reaching(z, nights, least - _ROUNDING * max(1.0, abs(least))))
    return LastNights(rank, math.comb(len(z), nights), float(means[metric]), metric)


def _reaching(z: FloatArray, nights: int, least: float) -> Iterator[int]:
    """Yield numbers of choices of which some metric's sum is at least ``least``.

    All choices of one night fewer are summed; each is then completed by every later night.
    """
    n, d = z.shape
    sums, last = np.zeros((1, d)), np.array([-1])
    for _ in range(nights - 1):
        later = n - 1 - last
        sums = np.repeat(sums, later, axis=0)
        start = np.repeat(np.cumsum(later) - later, later)
        last = np.repeat(last, later) + 1 + np.arange(later.sum()) - start
        sums += z[last]
    order = np.argsort(last, kind="stable")
    sums, last = sums[order], last[order]
    ends = np.searchsorted(last, np.arange(-1, n), side="right")
    for after in range(-1, n - 1):
        begin = 0 if after < 0 else int(ends[after])
        group, others = sums[begin : int(ends[after + 1])], z[after + 1 :]
        place = 0
        for size in chunks(len(group), len(others)) if len(group) else ():
            part = group[place : place + size]
            place += size
            top = part[:, :1] + others[:, 0]
            for column in range(1, d):
                np.maximum(top, part[:, column, None] + others[:, column], out=top)
            yield int(np.count_nonzero(top >= least))


def power_of_shift(
    values: ArrayLike, nights: int, shift: float, rng: np.random.Generator, draws: int = 300
) -> float:
    """Return how often ``nights`` nights page that are worse by ``shift`` SDs in one metric.

    The nights are those of ``values`` [n, d], the difference between the last ones and those before
    taken out. In each of ``draws`` trials one metric, in turn, is made worse in nights drawn at
    random, by SDs of the nights before. With more than 5,000 choices as many are drawn.
    """
    x = _as_nights(values).copy()
    n, d = x.shape
    x[-nights:] += x[:-nights].mean(axis=0) - x[-nights:].mean(axis=0)
    sds = x[:-nights].std(axis=0, ddof=1)
    chosen = _some_choices(n, nights, rng)
    unchanged = robust_z(x)
    sums = unchanged[chosen].sum(axis=1)
    others = [np.delete(sums, one, axis=1).max(axis=1, initial=-math.inf) for one in range(d)]
    pages = 0
    for column in range(d):
        trials = draws // d + (column < draws % d)
        if not trials:
            break
        faulty = np.argsort(rng.random((trials, n)), axis=1)[:, :nights]
        shifted = np.repeat(x[:, column, None], trials, axis=1)
        shifted[faulty.T, np.arange(trials)] += shift * sds[column]
        z = robust_z(shifted)
        theirs = np.delete(unchanged[faulty].sum(axis=1), column, axis=1)
        own = np.maximum(
            z[faulty.T, np.arange(trials)].sum(axis=0), theirs.max(axis=1, initial=-math.inf)
        )
        top = np.maximum(sum(z[one] for one in chosen.T), others[column][:, None])
        share = (top >= own - _ROUNDING * np.maximum(1.0, np.abs(own))).mean(axis=0)
        pages += int((share <= 1.0 / ONE_IN).sum())
    return pages / draws


def _some_choices(n: int, nights: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return all choices of ``nights`` of ``n`` nights, or `_DRAWN_CHOICES` at random."""
    if math.comb(n, nights) <= _DRAWN_CHOICES:
        return np.array(list(combinations(range(n), nights)))
    # With so many nights, most draws of a few have no night twice.
    drawn = np.sort(rng.integers(n, size=(4 * _DRAWN_CHOICES, nights)), axis=1)
    return drawn[(np.diff(drawn, axis=1) > 0).all(axis=1)][:_DRAWN_CHOICES]


def autocorrelation(values: ArrayLike, rng: np.random.Generator, resamples: int = 1999) -> Trend:
    """Test whether nights [n, d] resemble the ones before them: then they are not exchangeable.

    The statistic is the largest serial correlation of `robust_z` over the metrics, its p value by
    permuting the nights. A night that resembles the one before pages together with it, and so more
    often than is promised.
    """
    z = robust_z(values)
    z = z - z.mean(axis=0)

    def correlations(rows: FloatArray) -> FloatArray:
        return np.asarray((rows[:, 1:] * rows[:, :-1]).sum(axis=1) / (z**2).sum(axis=0))

    own = correlations(z[None])[0]
    p = _permuted(z, float(own.max()), lambda rows: correlations(rows).max(axis=1), rng, resamples)
    return Trend(int(own.argmax()), float(own.max()), p)


def slow_decline(
    values: ArrayLike, rng: np.random.Generator, resamples: int = 1999, slack: float = 0.25
) -> Trend:
    """Test whether a metric of nights [n, d] has been getting worse, too slowly for a page.

    The statistic is the cumulative sum of `robust_z` less ``slack``, never below 0, as it stands
    after the last night; its p value, over all metrics, is by permuting the nights.
    """
    z = robust_z(values)

    def sums(rows: FloatArray) -> FloatArray:
        found = np.zeros((len(rows), z.shape[1]))
        for night in range(len(z)):
            found = np.maximum(0.0, found + rows[:, night] - slack)
        return found

    own = sums(z[None])[0]
    metric = int(own.argmax())
    p = _permuted(z, float(own.max()), lambda rows: sums(rows).max(axis=1), rng, resamples)
    since, total = 0, 0.0
    for night, one in enumerate(z[:, metric]):
        total = max(0.0, total + float(one) - slack)
        since = night + 1 if total == 0.0 else since
    return Trend(metric, float(own[metric]), p, min(since, len(z) - 1))


def _permuted(
    z: FloatArray,
    seen: float,
    statistic: Callable[[FloatArray], FloatArray],
    rng: np.random.Generator,
    resamples: int,
) -> float:
    """Return the p value of ``seen``: rows [m, n, d] are the nights in m random orders."""
    reached = 0
    for size in chunks(resamples, z.size):
        rows = z[np.argsort(rng.random((size, len(z))), axis=1)]
        reached += int((statistic(rows) >= seen - _ROUNDING * max(1.0, abs(seen))).sum())
    return (1 + reached) / (1 + resamples)


def _as_nights(values: ArrayLike) -> FloatArray:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"nights and metrics have the shape [n, d], not {list(x.shape)}")
    if not np.isfinite(x).all():
        raise ValueError("every night has a finite number of every metric")
    return x


def _check_nights(nights: int) -> None:
    if not 1 <= nights <= MOST_NIGHTS:
        raise ValueError(f"1 to {MOST_NIGHTS} nights are judged together, not {nights}")
