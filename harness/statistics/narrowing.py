"""Find the part of a design that is shown to be worse, so that the next one can leave it out.

Two samples are compared by their means and by their ranks, and "worse" needs both
(intersection–union): Welch's t test keeps a few great runs from being outvoted by many that are
slightly better; the rank test is exact where the two do not differ at all, however skewed they are.

References
----------
Welch (1947), Biometrika 34:28; Mann & Whitney (1947), Ann. Math. Stat. 18:50; Berger (1982),
Technometrics 24:295 (intersection–union); Maurer, Hothorn & Lehmacher (1995), in "Biometrie in der
chemisch-pharmazeutischen Industrie" 6 (hypotheses tested in a fixed order, each at α).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from harness.statistics.comparisons import rank_sum, welch
from harness.statistics.response import smallest_window
from harness.statistics.values import FloatArray, as_values

FEWEST_COMPARED = 4
"""Runs on a side below which nothing is shown to be worse."""

_WIDEST_WINDOW = 24
_FINEST_WINDOW = 1 / 50


@dataclass(frozen=True, slots=True)
class Worse:
    """The amount by which values are worse than others: the difference of the means, and its test.

    ``p_value`` is that of "worse by more than the margin"; 1 where the data cannot tell.
    """

    estimate: float
    low: float
    high: float
    level: float
    p_value: float
    n: int


@dataclass(frozen=True, slots=True)
class WorseEnd:
    """The part of a range, from its end inwards, that is shown to be worse than another part.

    ``kept_to`` is the outermost value that is kept; ``removed`` runs lie beyond it. ``inside`` are
    the ends of the part that the last comparison found them worse than.
    """

    kept_to: float
    removed: int
    inside: tuple[float, float]
    compared: Worse


def worse_by(values: ArrayLike, others: ArrayLike, margin: float, level: float = 0.90) -> Worse:
    """Test whether ``values`` [n] are worse than ``others`` [m] by more than ``margin`` (≥ 0).

    The p value is the larger of Welch's and of the Mann–Whitney test's, of ``values`` moved up by
    the margin. The interval is Welch's.
    """
    a, b = as_values(values), as_values(others, "others")
    if not margin >= 0.0:
        raise ValueError(f"margin must not be negative, got {margin}")
    compared = welch(a, b, level)
    p_value = 1.0
    if min(a.size, b.size) >= FEWEST_COMPARED:
        p_value = max(welch(a + margin, b, level).p_less, rank_sum(a + margin, b)[1])
    return Worse(compared.estimate, compared.low, compared.high, level, p_value, compared.n)


def worse_end(
    values: ArrayLike,
    outcomes: ArrayLike,
    margin: float,
    *,
    upper: bool,
    alpha: float = 0.05,
) -> WorseEnd | None:
    """Return how much of the ``upper`` or lower end of a range is shown to be worse; None if none.

    A window of runs (a quarter of them, 4 to 24, or a fiftieth where that is more) moves inwards
    from the end. Each position is compared with every quarter of the runs further in, at α over
    their number, and the first that is not shown to be worse than any of them ends the search.
    Positions are tested in a fixed order, so one that is no worse is taken for worse in at most α
    of all cases. Only the outer quarter of the last window found worse goes, since the window may
    reach into what is good.

    `bracket` tells whether there is a fall at all, and pays for the choice between ends.
    """
    x, y = as_values(values), as_values(outcomes, "outcomes")
    if y.shape != x.shape:
        raise ValueError(f"outcomes must be {x.size} numbers, got shape {y.shape}")
    order = np.argsort(x if upper else -x, kind="stable")
    x, y, n = x[order], y[order], x.size
    width = min(smallest_window(n), max(_WIDEST_WINDOW, int(n * _FINEST_WINDOW)))
    quarters = np.linspace(0, n, 5).round().astype(np.intp)
    kept, found = n, None
    for start in range(n - width, -1, -max(1, width // 8)):
        tried = _worse_than_a_quarter(y, start, width, quarters, margin)
        if tried is None or tried[1].p_value > alpha:
            break
        kept, found = start + width - width // 4, tried
    if found is None or not (x[kept:] != x[kept - 1]).any():
        return None
    quarter, compared = found
    low, high = sorted((float(x[quarters[quarter]]), float(x[quarters[quarter + 1] - 1])))
    return WorseEnd(
        kept_to=float(x[kept - 1]),
        removed=int((x[kept:] != x[kept - 1]).sum()),
        inside=(low, high),
        compared=compared,
    )


def all_of_one(top: int, members: int, n: int) -> float:
    """Return the chance that ``top`` runs drawn from ``n`` are all among ``members`` of them."""
    return float(scipy.stats.hypergeom.sf(top - 1, n, members, top)) if 0 < top <= n else 1.0


def _worse_than_a_quarter(
    y: FloatArray, start: int, width: int, quarters: NDArray[np.intp], margin: float
) -> tuple[int, Worse] | None:
    """Return the quarter below ``start`` to which a window compares worst, and the comparison.

    The p value is corrected for the number of quarters. None where there is no quarter below.
    """
    window = y[start : start + width]
    below = [q for q in range(4) if quarters[q + 1] <= start]
    if not below:
        return None
    compared = {q: worse_by(window, y[quarters[q] : quarters[q + 1]], margin) for q in below}
    worst = min(below, key=lambda q: compared[q].p_value)
    corrected = min(1.0, len(below) * compared[worst].p_value)
    return worst, replace(compared[worst], p_value=corrected)
