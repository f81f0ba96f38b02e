"""Judging before all of the data are in, at a known price.

A count costs nothing: it is decided once the remaining observations cannot change its test
(curtailment). Any other test is made at looks, and its level α is spent over them by a function of
the share of the data that is in. The nominal level of each look follows from the joint distribution
of the statistics: at shares s < t of the data they have the correlation √(s/t), since each look
adds an independent increment. Where two looks have more in common than that, as against a baseline
that does not grow, the levels are conservative.

References
----------
Lan & DeMets (1983), Biometrika 70:659 (error spending, and the function used here, which is like
the boundary of O'Brien & Fleming 1979, Biometrics 35:549); Armitage, McPherson & Rowe (1969), J. R.
Stat. Soc. A 132:235 (the recursion for the levels); Jennison & Turnbull (2000), "Group sequential
methods", ch. 9, and Liu & Anderson (2008), JASA 103:1621 (p values over looks); Alling (1963),
JASA 58:713 (curtailment).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy import optimize, special

from harness.statistics.comparisons import binomial_threshold, boschloo
from harness.statistics.values import FloatArray, check_counts

Direction = Literal["greater", "less", "neither"]
"""The result of a test in both directions: above, below, or neither shown."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(120)
_FAR = 9.0
_SMALLEST = 1e-9
"""The smallest p value over several looks that is given."""


def spent(alpha: float, share: float) -> float:
    """Return how much of ``alpha`` is spent once ``share`` (0 to 1) of the data is in.

    α*(t) = 2 − 2Φ(z(α/2)/√t): of .05, .0056 at one half, .0236 at three quarters, all at the end.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share must lie in (0, 1], got {share}")
    return 2.0 * float(special.ndtr(special.ndtri(alpha / 2.0) / math.sqrt(share)))


@lru_cache(maxsize=4096)
def look_levels(alpha: float, shares: tuple[float, ...], tests: int = 1) -> tuple[float, ...]:
    """Return the nominal one-sided level of the test at each look, so that all spend ``alpha``.

    ``shares`` of the data that are in at the looks rise to 1 at most. Under independent increments
    the chance to reject at look k and not before is what `spent` grows by at it. Of several
    ``tests``, of which any may reject, each spends its equal part; the level is that of the
    smallest p value times their number (Bonferroni).

    Raises
    ------
    ValueError
        If ``alpha`` does not lie between 0 and 1, or ``shares`` do not rise.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    if any(late <= early for early, late in pairwise(shares)):
        raise ValueError(f"shares must rise, got {shares}")
    if tests > 1:
        return tuple(tests * level for level in look_levels(alpha / tests, shares))
    levels: list[float] = []
    at, before, points = 0.0, 0.0, np.zeros(1)
    density = np.ones(1)  # of the undecided at ``points`` of the Brownian scale, by weight
    for share in shares:
        step, wanted = math.sqrt(share - at), spent(alpha, share) - before
        bound = _bound(points, density, step, wanted)
        levels.append(float(special.ndtr(-bound / math.sqrt(share))))
        lowest = -_FAR * math.sqrt(share)
        if bound > lowest:
            half = (bound - lowest) / 2.0
            ends = lowest + half * (_NODES + 1.0)
            z = (ends[:, None] - points[None, :]) / step
            spread = np.exp(-(z**2) / 2.0) / (math.sqrt(2.0 * math.pi) * step)
            points, density = ends, half * _WEIGHTS * (spread @ density)
        at, before = share, before + wanted
    return tuple(levels)


def _bound(points: FloatArray, density: FloatArray, step: float, wanted: float) -> float:
    """Return the bound that the next sum exceeds with probability ``wanted``."""

    def excess(bound: float) -> float:
        return float(density @ special.ndtr((points - bound) / step)) - wanted

    low, high = -2.0 * _FAR, 4.0 * _FAR
    return float(optimize.brentq(excess, low, high)) if excess(low) > 0.0 else low


def p_over_looks(p_values: Sequence[float], shares: tuple[float, ...], tests: int = 1) -> float:
    """Return the p value of a test made at the first looks of ``shares`` with these ``p_values``.

    It is the smallest α at which one of them lies at or below its look's level, so it is at most α
    exactly when the test at α rejects at one of those looks. For ``tests`` see `look_levels`.
    """
    found = (_alpha_at(p_value, look, shares, tests) for look, p_value in enumerate(p_values))
    return min(found, default=1.0)


def _alpha_at(p_value: float, look: int, shares: tuple[float, ...], tests: int) -> float:
    """Return the α at which ``p_value`` is the level of a look."""

    def excess(log: float) -> float:
        return look_levels(math.exp(log), shares, tests)[look] - p_value

    low, high = math.log(_SMALLEST), math.log1p(-_SMALLEST)
    if excess(high) <= 0.0:
        return 1.0
    if excess(low) >= 0.0:
        return _SMALLEST
    return math.exp(float(optimize.brentq(excess, low, high, xtol=1e-10)))


def curtailed_binomial(
    successes: int,
    failures: int,
    n: int,
    total: int,
    *,
    rate: float = 0.5,
    alpha: float = 0.05,
) -> Direction | None:
    """Predict the binomial tests of ``total`` trials when ``n`` are in.

    "greater": that successes are shown to be more frequent than ``rate``; "less": that failures
    are shown to be more frequent than 1 − ``rate``, and successes not; "neither". A trial may be
    neither a success nor a failure. None where what remains can still decide.
    """
    check_counts(successes + failures, n)
    check_counts(n, total)
    left = total - n
    enough, too_many = _enough(total, rate, alpha), _enough(total, 1.0 - rate, alpha)
    if successes >= enough:
        return "greater"
    if successes + left >= enough:
        return None
    if failures >= too_many:
        return "less"
    return None if failures + left >= too_many else "neither"


def _enough(total: int, rate: float, alpha: float) -> int:
    """Return the fewest of ``total`` that show more than ``rate``; ``total`` + 1 where none do."""
    found = binomial_threshold(total, rate, alpha) if total else None
    return total + 1 if found is None else found


def curtailed_boschloo(
    successes: int,
    n: int,
    total: int,
    others: tuple[int, int],
    *,
    alpha: float = 0.05,
    above: float | None = None,
) -> Direction | None:
    """Predict Boschloo's test of ``total`` trials against a fixed other sample.

    ``n`` of the trials are in, ``others`` are the successes and the size of the other sample. With
    ``above``, "greater" also takes the binomial test against that rate. None where what remains can
    still decide.
    """
    check_counts(successes, n)
    check_counts(n, total)
    most = successes + total - n
    enough, too_few = boschloo_bounds(total, others, alpha)
    if above is not None:
        enough = max(enough, _enough(total, above, alpha))
    if successes >= enough:
        return "greater"
    if most <= too_few:
        return "less"
    return "neither" if most < enough and successes > too_few else None


@lru_cache(maxsize=256)
def boschloo_bounds(total: int, others: tuple[int, int], alpha: float = 0.05) -> tuple[int, int]:
    """Return the fewest successes of ``total`` shown to be more than in ``others``, by rate.

    The second number is the most that are shown to be fewer. ``total`` + 1 and −1 where no count
    shows it.
    """
    counts = range(total + 1)
    more = bisect_left(counts, True, key=lambda n: boschloo(n, total, *others).p_greater <= alpha)
    not_fewer = bisect_left(counts, True, key=lambda n: boschloo(n, total, *others).p_less > alpha)
    return more, not_fewer - 1
