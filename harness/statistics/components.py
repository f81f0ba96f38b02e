"""The spread of values within groups and between them: components of variance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import harmonic_mean

import numpy as np
import scipy
from numpy.typing import ArrayLike

from harness.statistics.values import Estimate, as_values, check_level


@dataclass(frozen=True, slots=True)
class Components:
    """The spread of values in ``groups`` groups, taken apart: SDs ``between`` and ``within`` them.

    ``each`` is the harmonic mean of the numbers of values in a group. ``n`` of ``between`` is the
    number of groups, that of ``within`` the number of all values.
    """

    groups: int
    each: float
    between: Estimate
    within: Estimate

    @property
    def of_mean(self) -> float:
        """The SD of a group's mean that its own values leave: ``within`` over √each."""
        return self.within.value / math.sqrt(self.each)


def variance_components(groups: Sequence[ArrayLike], level: float = 0.95) -> Components | None:
    """Return how much of the spread of values lies between groups, and how much within them.

    The model is one-way with random effects: a value is a mean, plus what its group adds, plus what
    is its own, each normal with one variance (Searle, Casella and McCulloch 1992, chapter 3). The
    mean squares are those of the unweighted group means, so that groups may be of unequal size
    (Thomas and Hultquist 1978); of equal sizes they are those of the analysis of variance. The
    variance between groups is (S₁² − S₂²)/ñ, 0 where that is negative.

    The interval within is the exact one by χ². That between is the modified large-sample interval
    (Ting, Burdick, Graybill, Jeyaratnam and Lu 1990; Burdick and Graybill 1992, chapter 3): its
    lower end is above 0 exactly where the F test of no difference between groups rejects.

    Parameters
    ----------
    groups
        Values [n_i] of each group, all finite; an empty one is left out.

    Returns
    -------
    Components
        In the unit of the values. None with fewer than two groups, or without a group of two.

    Raises
    ------
    ValueError
        Where ``level`` is not between 0 and 1.
    """
    check_level(level)
    values = [as_values(group) for group in groups]
    values = [group for group in values if group.size]
    sizes = [group.size for group in values]
    n, count = sum(sizes), len(values)
    if count < 2 or n == count:
        return None
    each = float(harmonic_mean(sizes))
    means = np.array([group.mean() for group in values])
    residuals = np.concatenate([group - mean for group, mean in zip(values, means, strict=True)])
    d1, d2 = count - 1, n - count
    s1, s2 = each * float(np.var(means, ddof=1)), float(residuals @ residuals) / d2
    tail = (1 - level) / 2
    ends = [s2 * d2 / float(scipy.stats.chi2.ppf(share, d2)) for share in (1 - tail, tail)]
    within = Estimate(
        math.sqrt(s2), math.sqrt(ends[0]), math.sqrt(ends[1]), level, n, "χ² of the residuals"
    )
    low, high = (end / each for end in _difference(s1, d1, s2, d2, tail))
    variance = max(0.0, (s1 - s2) / each)
    between = Estimate(
        math.sqrt(variance),
        math.sqrt(max(0.0, low)),
        math.sqrt(max(variance, high)),
        level,
        count,
        "modified large-sample",
    )
    return Components(count, each, between, within)


def _difference(s1: float, d1: int, s2: float, d2: int, tail: float) -> tuple[float, float]:
    """Return the ends of the interval of σ₁² − σ₂² that mean squares with d₁ and d₂ degrees give.

    ``tail`` is the probability beyond each end; the formulas are those of Ting and others (1990).
    """

    def end(share: float) -> float:
        """Return the half-width beyond which lies ``share`` of the upper tail, or of the lower."""
        f = float(scipy.stats.f.ppf(1 - share, d1, d2))
        first = 1 - d1 / float(scipy.stats.chi2.ppf(1 - share, d1))
        second = d2 / float(scipy.stats.chi2.ppf(share, d2)) - 1
        both = ((f - 1) ** 2 - (first * f) ** 2 - second**2) / f
        return math.sqrt(max(0.0, (first * s1) ** 2 + (second * s2) ** 2 + both * s1 * s2))

    return s1 - s2 - end(tail), s1 - s2 + end(1 - tail)
