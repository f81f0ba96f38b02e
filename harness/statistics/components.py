"""The spread of values within groups and between them: components of variance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import harmonic_mean
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from harness.statistics.values import Estimate, FloatArray, as_values, check_level

MOST_EXPLAINED = 1e6
"""From this ratio of explained variance to noise on, no interval is worked out."""


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


def variance_components(
    groups: Sequence[ArrayLike], level: float = 0.95, *, spent: int = 0
) -> Components | None:
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
    spent
        Degrees of freedom within groups that the values have lost to what was taken out of them.

    Returns
    -------
    Components
        In the unit of the values. None with fewer than two groups, or where no degree of freedom
        is left within them.

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
    if count < 2 or n - count - spent < 1:
        return None
    each = float(harmonic_mean(sizes))
    means = np.array([group.mean() for group in values])
    residuals = np.concatenate([group - mean for group, mean in zip(values, means, strict=True)])
    d1, d2 = count - 1, n - count - spent
    s1, s2 = each * float(np.var(means, ddof=1)), float(residuals @ residuals) / d2
    within = residual_sd(math.sqrt(s2), d2, level, n)
    return Components(
        count, each, _above(_MeanSquare(s1, d1), _MeanSquare(s2, d2), each, level, count), within
    )


def residual_sd(sd: float, dof: int, level: float = 0.95, n: int | None = None) -> Estimate:
    """Return an SD of ``dof`` degrees of freedom with its interval by χ², exact if normal.

    ``n`` is the number of values, one more than ``dof`` where None.
    """
    check_level(level)
    tail = (1 - level) / 2
    low, high = (
        sd * math.sqrt(dof / float(scipy.stats.chi2.ppf(share, dof))) for share in (1 - tail, tail)
    )
    return Estimate(sd, low, high, level, dof + 1 if n is None else n, "χ² of the residuals")


def root_mean_square(groups: Sequence[ArrayLike], level: float = 0.95) -> Estimate:
    """Return the root mean square of values above 0 or at it, each group of them counting once.

    The interval is Student's, of the groups' mean squares, on the logarithm of their mean (delta
    method): its ends are above 0. Unbounded with one group of one value; the values of a single
    group count one by one.

    Raises
    ------
    ValueError
        Where there is no value, or ``level`` is not between 0 and 1.
    """
    check_level(level)
    values = [as_values(group) ** 2 for group in groups]
    values = [group for group in values if group.size]
    if not values:
        raise ValueError("a root mean square takes at least one value, got none")
    squares = values[0] if len(values) == 1 else np.array([group.mean() for group in values])
    mean, n = float(squares.mean()), sum(group.size for group in values)
    method = "t of the mean square, on its logarithm"
    if squares.size == 1 or mean == 0.0:
        high = math.inf if squares.size == 1 else 0.0
        return Estimate(math.sqrt(mean), 0.0, high, level, n, method)
    error = float(squares.std(ddof=1)) / math.sqrt(squares.size) / mean
    wide = math.exp(float(scipy.stats.t.isf((1 - level) / 2, squares.size - 1)) * error / 2)
    sd = math.sqrt(mean)
    return Estimate(sd, sd / wide, sd * wide, level, n, method)


def beyond(whole: Estimate, part: Estimate) -> Estimate:
    """Return the SD that ``whole`` has beyond an independent ``part`` of it; 0 where it has less.

    The interval is that of a difference of variances from the two intervals (Zou and Donner 2008,
    Statistics in Medicine 27, equation 5: the method of variance estimates recovery).
    """
    variance, taken = whole.value**2, part.value**2
    difference = variance - taken
    low = difference - math.hypot(variance - whole.low**2, part.high**2 - taken)
    high = difference + math.hypot(whole.high**2 - variance, taken - part.low**2)
    return Estimate(
        math.sqrt(max(0.0, difference)),
        math.sqrt(max(0.0, low)),
        math.sqrt(max(0.0, difference, high)),
        whole.level,
        whole.n,
        "difference of variances (MOVER)",
    )


def explained(squares: float, sd: float, dof: int, n: int, level: float = 0.95) -> Estimate:
    """Return the SD over n values of what a model of them explains.

    ``squares`` is the sum of squares about the mean, ``sd`` the residual one of ``dof`` degrees of
    freedom. The variance is (SS of the model − its degrees of freedom · sd²)/(n − 1), 0 where that
    is negative. The interval inverts the noncentral F of the model (Steiger 2004, Psychological
    Methods 9, p. 173) with ``sd`` as it is: for these configurations, and a model not chosen by
    the values.
    """
    check_level(level)
    width, noise, tail = n - 1 - dof, sd * sd, (1 - level) / 2
    method = "noncentral F"
    if width < 1:
        return Estimate(0.0, 0.0, math.inf, level, n, method)
    fitted = max(0.0, squares - dof * noise)
    variance = max(0.0, (fitted - width * noise) / (n - 1))
    if noise * MOST_EXPLAINED <= fitted:
        return Estimate(
            math.sqrt(variance), math.sqrt(variance), math.sqrt(variance), level, n, method
        )
    f = fitted / width / noise

    def noncentrality(share: float) -> float:
        """Return the noncentrality at which a smaller F has the probability ``share``."""
        if scipy.special.fdtr(width, dof, f) <= share:
            return 0.0
        top = 2.0 * (fitted / noise + width + 10.0)
        while scipy.special.ncfdtr(width, dof, top, f) > share:
            top *= 2.0
        return float(
            scipy.optimize.brentq(
                lambda at: scipy.special.ncfdtr(width, dof, at, f) - share, 0.0, top
            )
        )

    low, high = (math.sqrt(noncentrality(share) * noise / (n - 1)) for share in (1 - tail, tail))
    value = math.sqrt(variance)
    return Estimate(value, min(low, value), max(high, value), level, n, method)


def crossed(
    left: FloatArray, columns: FloatArray, dof: int, level: float = 0.95
) -> tuple[Estimate, FloatArray, int] | None:
    """Return the SD between the levels of a random factor beside what else is in a model.

    By Henderson's third method (Searle, Casella and McCulloch 1992, section 5.5): the levels' mean
    square, the rest held equal, is σ²·k + σ_e² with k = tr(Z'Z)/r. The interval is the modified
    large-sample one, approximate where levels have unequal numbers of values.

    Parameters
    ----------
    left
        What the rest of the model leaves of the values [n].
    columns
        What it leaves of the indicators of the m levels [n, m]; their rank is r.
    dof
        The residual degrees of freedom of that model.

    Returns
    -------
    tuple
        The estimate, the fitted effects of the levels [m], and r. None where no level can
        be told from the rest, or no degree of freedom is left.
    """
    check_level(level)
    u, singular, rows = np.linalg.svd(columns, full_matrices=False)
    rank = int((singular > 1e-8 * max(1.0, math.sqrt(left.size))).sum())
    if rank < 1 or dof - rank < 1:
        return None
    basis = u[:, :rank]
    fitted = basis @ (basis.T @ left)
    each = float((columns**2).sum()) / rank
    s1 = float(fitted @ fitted) / rank
    s2 = float(left @ left - fitted @ fitted) / (dof - rank)
    effects = rows[:rank].T @ ((basis.T @ left) / singular[:rank])
    between, rest = _MeanSquare(s1, rank), _MeanSquare(max(0.0, s2), dof - rank)
    return _above(between, rest, each, level, rank + 1), effects, rank


class _MeanSquare(NamedTuple):
    """A mean square with its degrees of freedom."""

    value: float
    dof: int


def _above(first: _MeanSquare, second: _MeanSquare, each: float, level: float, n: int) -> Estimate:
    """Return the SD whose variance is (S₁² − S₂²)/each, with its modified large-sample interval."""
    variance = max(0.0, (first.value - second.value) / each)
    low, high = (end / each for end in _difference(first, second, (1 - level) / 2))
    return Estimate(
        math.sqrt(variance),
        math.sqrt(max(0.0, low)),
        math.sqrt(max(variance, high)),
        level,
        n,
        "modified large-sample",
    )


def _difference(one: _MeanSquare, other: _MeanSquare, tail: float) -> tuple[float, float]:
    """Return the ends of the interval of σ₁² − σ₂² that two mean squares give.

    ``tail`` is the probability beyond each end; the formulas are those of Ting and others (1990).
    """
    (s1, d1), (s2, d2) = one, other

    def end(share: float) -> float:
        """Return the half-width beyond which lies ``share`` of the upper tail, or of the lower."""
        f = float(scipy.stats.f.ppf(1 - share, d1, d2))
        first = 1 - d1 / float(scipy.stats.chi2.ppf(1 - share, d1))
        second = d2 / float(scipy.stats.chi2.ppf(share, d2)) - 1
        both = ((f - 1) ** 2 - (first * f) ** 2 - second**2) / f
        return math.sqrt(max(0.0, (first * s1) ** 2 + (second * s2) ** 2 + both * s1 * s2))

    return s1 - s2 - end(tail), s1 - s2 + end(1 - tail)
