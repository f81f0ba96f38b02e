"""Compare several things at once, so that the best of them may be picked from what is found.

The best of k differences looks larger than it is, even where fresh data measure all of them. Here
what is said of one holds for all of them together: the chance that any is wrong is at most α.

Bonferroni's inequality does it, with Student's t for each by itself. It holds whatever the
differences have in common, as the reference that all are compared with, and however unequally they
vary. Dunnett's test pools one variance over all of them. With 8 blocks and 3 candidates its bound
is 2.19 SE in place of 2.64, but it is wrong in .09 where the reference varies three times as much
as the others. Dunnett's or Šidák's bounds without pooling are 2.55 and 2.63.

References
----------
Dunn (1961), JASA 56:52 (Bonferroni's intervals for several means); Dunnett (1955), JASA 50:1096;
Šidák (1967), JASA 62:626; Hsu (1981), Ann. Stat. 9:1026 (which may be the best); Berger (1982),
Technometrics 24:295 (tests that must all reject).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from harness.statistics.agreement import matched
from harness.statistics.values import Comparison, FloatArray, check_level


def matched_each(differences: Sequence[ArrayLike], level: float = 0.90) -> tuple[Comparison, ...]:
    """Compare the means of k samples of matched differences with 0, all of them together.

    Each is compared by `matched`. The intervals hold together: with ``level`` 1 − 2α the chance
    that any true mean lies below its interval is at most α, and so is that of any above. The p
    values are corrected for the number of samples.

    Parameters
    ----------
    differences
        k samples, which may be of unequal sizes and depend on each other.
    level
        The confidence of all intervals together.

    Raises
    ------
    ValueError
        Where a difference is not finite, or ``level`` is not between 0 and 1.
    """
    check_level(level)
    k = max(1, len(differences))
    found = (matched(one, level=1.0 - (1.0 - level) / k) for one in differences)
    return tuple(
        replace(
            one,
            level=level,
            p_greater=min(1.0, k * one.p_greater),
            p_less=min(1.0, k * one.p_less),
        )
        for one in found
    )


def not_best(better: ArrayLike) -> FloatArray:
    """Return for each of k things the p value of "another one is better" [k].

    Those with more than α may be the best. The one that truly is has a smaller one with a chance of
    at most α: it would have to be worse than one of the k − 1 others in a test at α / (k − 1). It
    need not hold for the others, which are not the best (Hsu 1981).

    Parameters
    ----------
    better
        The one-sided p values [k, k] of "the first is better than the second". The diagonal does
        not count.

    Raises
    ------
    ValueError
        Where ``better`` is not square.
    """
    p = np.array(better, dtype=np.float64)
    if p.ndim != 2 or p.shape[0] != p.shape[1]:
        raise ValueError(f"better must be square, got shape {p.shape}")
    np.fill_diagonal(p, np.inf)
    least = p.min(axis=0, initial=np.inf)
    return np.asarray(np.minimum(1.0, max(1, p.shape[0] - 1) * least))
