"""Test whether columns of a design go together, and find the lattice of a metric.

References
----------
Cramér (1946), "Mathematical methods of statistics", §21.9 (V); Mielke & Berry (2007), "Permutation
methods", ch. 2 (a gamma curve by the moments of a permutation distribution); Phipson & Smyth
(2010), Stat. Appl. Genet. 9:39 (the +1 rule).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy import special

from harness.statistics.estimates import chunks
from harness.statistics.values import FloatArray, as_values

STRONG = 0.3
"""Below this Cramér's V two parameters can be told apart well enough."""

SUSPICION = 0.01
"""The rate at which independent parameters may wrongly be taken to go together, over all pairs."""

_PERMUTED_UP_TO = 500
_MOST_DRAWS = 199_999
_MOST_CELLS = 4_000_000
"""Small tables are drawn further, up to this many cells in all: it takes no longer."""
_HARDLY = 1e-4
_FEW_DRAWS = 1_999
_FAR_BELOW, _FAR_ABOVE = 0.01, 10.0
"""A p value by a curve is trusted where it is this much of the level; it errs downwards."""


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """Which of k columns go together, pair by pair.

    ``strength`` [k, k] is Cramér's V of each pair, 0 on the diagonal; ``shown`` [k, k] says which
    pairs go together.
    """

    strength: FloatArray
    shown: NDArray[np.bool_]


def association(
    codes: NDArray[np.intp],
    others: NDArray[np.intp],
    rng: np.random.Generator,
    resamples: int = 1999,
) -> tuple[float, float]:
    """Return Cramér's V of two columns of level numbers [n], and its p value by permutation.

    Beyond 500 rows the χ² distribution gives the p value. (0, 1) where a column is constant.
    """
    table = _Table.of(_compact(codes), _compact(others))
    if table.is_constant:
        return 0.0, 1.0
    if table.n > _PERMUTED_UP_TO:
        return table.strength, table.tail
    if table.has_no_repeats:
        return table.strength, 1.0
    reached = _Null(table).reached(table, resamples, rng)
    return table.strength, (1 + reached) / (resamples + 1)


def go_together(columns: Sequence[NDArray[np.intp]], rng: np.random.Generator) -> Together:
    """Find which of k ``columns`` of level numbers [n] go together.

    Two do if Cramér's V is at least `STRONG` and shown at `SUSPICION`, corrected for the number of
    pairs. Only strong pairs are tested: by permutation, beyond 500 rows by χ². Pairs of equal
    margins have one null distribution, which is drawn once.
    """
    compact, k = [_compact(codes) for codes in columns], len(columns)
    strength, shown = np.zeros((k, k)), np.zeros((k, k), dtype=np.bool_)
    level = SUSPICION / max(1, k * (k - 1) // 2)
    nulls: dict[tuple[tuple[int, ...], ...], _Null] = {}
    for one in range(k):
        for two in range(one + 1, k):
            table = _Table.of(compact[one], compact[two])
            strength[one, two] = strength[two, one] = table.strength
            if table.strength >= STRONG:
                shown[one, two] = shown[two, one] = _is_shown(table, level, nulls, rng)
    return Together(strength, shown)


def _is_shown(
    table: _Table,
    level: float,
    nulls: dict[tuple[tuple[int, ...], ...], _Null],
    rng: np.random.Generator,
) -> bool:
    """Return whether a table is shown at ``level`` to be more than chance."""
    if table.n > _PERMUTED_UP_TO:
        return table.tail <= level
    if table.has_no_repeats:
        return False
    null = nulls.setdefault(table.margins, _Null(table))
    if 1 + null.reached(table, 199, rng) > 0.05 * 200:
        return False
    by_curve = null.tail(table, rng) / level
    if not _FAR_BELOW < by_curve < _FAR_ABOVE:
        return by_curve < 1.0
    # Drawn until chance can hardly change on which side of the level p is.
    reached = draws = 0
    enough = max(_MOST_DRAWS, _MOST_CELLS // (table.of_codes.size * table.of_others.size))
    stages = (math.ceil(expected / level) for expected in (4, 10, 20, 40, 70, 100, 200, 400))
    for most in (_FEW_DRAWS, 10 * _FEW_DRAWS, *stages):
        more = min(enough, most)
        if more <= draws:
            continue
        draws = more
        reached = null.reached(table, draws, rng)
        below, above = special.bdtr(reached, draws, level), special.bdtrc(reached - 1, draws, level)
        if min(below, above) < _HARDLY:
            break
    return (1 + reached) / (1 + draws) <= level


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Two columns crossed: their ``margins``, sorted, and Pearson's ``chi2``."""

    n: int
    of_codes: NDArray[np.intp]
    of_others: NDArray[np.intp]
    chi2: float

    @classmethod
    def of(cls, codes: NDArray[np.intp], others: NDArray[np.intp]) -> _Table:
        """Cross two columns [n], whose levels are numbered from 0 without gaps."""
        n = codes.size
        rows, columns = (int(column.max(initial=-1)) + 1 for column in (codes, others))
        counts = np.bincount(codes * columns + others, minlength=rows * columns)
        counts = counts.reshape(rows, columns)
        of_codes, of_others = counts.sum(axis=1), counts.sum(axis=0)
        if min(rows, columns) < 2:
            return cls(n, of_codes, of_others, 0.0)
        # Σ (O − E)² / E = n (Σ O² / (row × column) − 1)
        parts = counts.astype(np.float64) ** 2 / np.outer(of_codes, of_others)
        return cls(n, of_codes, of_others, max(0.0, n * (float(parts.sum()) - 1.0)))

    @property
    def is_constant(self) -> bool:
        """Whether a column has no two levels."""
        return min(self.of_codes.size, self.of_others.size) < 2

    @property
    def has_no_repeats(self) -> bool:
        """Whether a column has levels of one run each: then every permutation is as strong."""
        return self.n in (self.of_codes.size, self.of_others.size)

    @property
    def strength(self) -> float:
        """Cramér's V."""
        if self.is_constant:
            return 0.0
        smaller = min(self.of_codes.size, self.of_others.size)
        return math.sqrt(self.chi2 / (self.n * (smaller - 1)))

    @property
    def tail(self) -> float:
        """The p value by the χ² distribution."""
        freedom = (self.of_codes.size - 1) * (self.of_others.size - 1)
        return float(special.chdtrc(freedom, self.chi2))

    @property
    def margins(self) -> tuple[tuple[int, ...], ...]:
        """Both margins, each sorted: the null distribution of χ² depends on nothing else."""
        rows, columns = (tuple(sorted(m.tolist())) for m in (self.of_codes, self.of_others))
        return tuple(sorted((rows, columns)))


@dataclass(slots=True, eq=False)
class _Null:
    """χ² under permutation of tables with the margins of ``table``, drawn as far as is needed.

    Permuting a column gives the tables with these margins, each as often as SciPy's `random_table`
    does.
    """

    table: _Table
    drawn: FloatArray = field(default_factory=lambda: np.empty(0))

    def reached(self, table: _Table, draws: int, rng: np.random.Generator) -> int:
        """Return how many of the first ``draws`` are at least as large as in ``table``."""
        self._draw(draws - self.drawn.size, rng)
        return int((self.drawn[:draws] >= table.chi2 * (1 - 1e-9)).sum())

    def tail(self, table: _Table, rng: np.random.Generator) -> float:
        """Return the p value of ``table`` by a gamma curve with mean and variance of few draws."""
        self._draw(_FEW_DRAWS - self.drawn.size, rng)
        few = self.drawn[:_FEW_DRAWS]
        scale = float(few.var() / few.mean())
        return float(special.gammaincc(few.mean() / scale, table.chi2 / scale)) if scale else 1.0

    def _draw(self, more: int, rng: np.random.Generator) -> None:
        if more <= 0:
            return
        rows, columns = self.table.of_codes, self.table.of_others
        expected = np.outer(rows, columns) / self.table.n
        permuted = scipy.stats.random_table(rows, columns, seed=rng)
        found = [
            ((permuted.rvs(size) - expected) ** 2 / expected).sum(axis=(1, 2))
            for size in chunks(more, expected.size)
        ]
        self.drawn = np.concatenate([self.drawn, *found])


def _compact(codes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return level numbers [n] without gaps."""
    return np.unique(codes, return_inverse=True)[1].astype(np.intp)


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
