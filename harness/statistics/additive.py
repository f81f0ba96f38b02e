"""Test one parameter of an additive model beside the others, and compare its levels.

The metric is ranked. The other parameters enter as columns, some always and some forward by the
metric; the parameter that is tested is never looked at then. Its partial F is judged by permuting
its rows, within strata where it was drawn within strata, or by permuting residuals where it was not
drawn independently of the others.

References
----------
Conover & Iman (1981), Am. Stat. 35:124 (rank transform); Freedman & Lane (1983), J. Bus. Econ.
Stat. 1:292 (permuted residuals); Draper & Stoneman (1966), Technometrics 8:695 (permuting a
regressor); Besag & Clifford (1991), Biometrika 78:301 (sequential Monte Carlo p values); MacKinnon
& White (1985), J. Econometrics 29:305 (HC2); Bell & McCaffrey (2002), Survey Methodology 28:169
(its degrees of freedom); Hsu (1981), Ann. Stat. 9:1026 (multiple comparisons with the best);
Bartlett (1941), Biometrika 32:29 (canonical correlations).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from harness.statistics.estimates import chunks
from harness.statistics.groups import one_hot, parts_of
from harness.statistics.values import FloatArray, average_ranks

ENTERS = 0.05
"""The level at which another parameter enters the model, and at which two are associated."""

ASYMPTOTIC_FROM = 500
"""Beyond this many runs the F distribution gives the p value."""

_ENOUGH = 30
"""Permutations that reach the observed F, after which no more are drawn."""

_WIDEST = 12
"""The most columns of a product of two parameters."""

_MOST_SELECTED = 5_000
"""The most runs on which it is found what enters the model."""

_TINY = 1e-9

_ROUNDING = 1e-7
"""The share of their length up to which what others leave of columns is taken for rounding."""


@dataclass(frozen=True, eq=False)
class Factor:
    """A parameter as columns of an additive model, over n runs.

    ``columns`` [n, d] are centred: linear and quadratic for numbers, indicators for levels.
    ``leads`` of them are used in products with other parameters.
    """

    columns: FloatArray
    leads: int


@dataclass(frozen=True, slots=True)
class PartialTest:
    """The partial F test of a parameter: its F, degrees of freedom, p value and share.

    ``share`` is the share of the variance of the ranks that it explains beside the others,
    corrected for its columns, at least 0.
    """

    f: float
    columns: int
    dof: int
    p_value: float
    share: float


@dataclass(frozen=True, eq=False)
class AdjustedLevels:
    """The adjusted means [k] of a parameter's levels, of ``counts`` [k] runs.

    ``weights`` [k, n] are those of the n runs in each mean, ``residuals`` [n] theirs, and
    ``free`` [n] is what their own value leaves of each (1 − leverage). ``shared`` [n, n] are the
    squares of the matrix that makes residuals; None of many runs, where only its diagonal counts.
    """

    means: FloatArray
    counts: NDArray[np.intp]
    weights: FloatArray
    residuals: FloatArray
    free: FloatArray
    shared: FloatArray | None

    def intervals(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return the lower and upper ends [k] of intervals that hold for all levels together."""
        tail = (1 - level) / (2 * self.means.size)
        half = np.array([self._beyond(row, tail) for row in self.weights])
        return self.means - half, self.means + half

    def difference(self, one: int, two: int, level: float = 0.95) -> tuple[float, float]:
        """Return the ends of the interval of a difference; it holds for all pairs together."""
        tail = (1 - level) / (2 * max(1, math.comb(self.means.size, 2)))
        half = self._beyond(self.weights[one] - self.weights[two], tail)
        apart = float(self.means[one] - self.means[two])
        return apart - half, apart + half

    def all_within(self, margin: float, alpha: float = 0.05) -> bool:
        """Return whether every difference of two levels is shown to lie within ±``margin``.

        Each by two one-sided tests at ``alpha``; all must pass, so nothing is corrected.
        """
        return all(
            abs(float(self.means[i] - self.means[j]))
            + self._beyond(self.weights[i] - self.weights[j], alpha)
            < margin
            for i, j in combinations(range(self.means.size), 2)
        )

    def not_best(self) -> FloatArray:
        """Return for each level [k] the p value of "another level is better".

        Hsu's comparison with the best: the smallest p value of the k − 1 one-sided t tests, with
        Bonferroni's correction for their number. Whichever level is truly best has a p value up to
        α with a probability of at most α.
        """
        k = self.means.size
        smallest = np.ones(k)
        for i, j in combinations(range(k), 2):
            error, dof = self._error(self.weights[j] - self.weights[i])
            t = float(self.means[j] - self.means[i]) / error
            for place, side in ((i, t), (j, -t)):
                smallest[place] = min(smallest[place], float(special.stdtr(dof, -side)))
        return np.minimum(1.0, (k - 1) * smallest)

    def _beyond(self, contrast: FloatArray, tail: float) -> float:
        """Return how far an estimate lies beyond the truth with a probability of ``tail``."""
        error, dof = self._error(contrast)
        return -error * float(special.stdtrit(dof, tail))

    def _error(self, contrast: FloatArray) -> tuple[float, float]:
        """Return the standard error of a ``contrast`` [n] of runs, and its degrees of freedom.

        HC2, and the degrees of freedom of Bell & McCaffrey; infinite where the contrast rests on a
        run whose residual is 0 whatever it gives.
        """
        known = self.free > _TINY
        if (np.abs(contrast[~known]) > _TINY * np.abs(contrast).max(initial=0.0)).any():
            return math.inf, 1.0
        squares = np.where(known, contrast**2 / np.where(known, self.free, 1.0), 0.0)
        variance = float(squares @ self.residuals**2)
        if self.shared is None:
            spread = float(((squares * self.free) ** 2).sum())
        else:
            spread = float(squares @ self.shared @ squares)
        dof = float(squares @ self.free) ** 2 / max(spread, 1e-300)
        return (math.sqrt(variance), max(1.0, dof)) if variance > 0.0 else (math.inf, 1.0)


def rank_shares(outcomes: FloatArray) -> FloatArray:
    """Return the ranks of ``outcomes`` [n], which may hold −inf, as shares from 0 to 1."""
    return np.asarray((average_ranks(outcomes) - 0.5) / max(1, outcomes.size))


def p_spreads_differ(residuals: FloatArray, codes: NDArray[np.intp]) -> float:
    """Return the p value of "the spread of ``residuals`` [n] differs between levels ``codes`` [n]".

    Brown & Forsythe (1974), JASA 69:364, over levels of at least two runs; 1 where fewer than two.
    """
    parts = [residuals[codes == code] for code in np.unique(codes)]
    apart = [np.abs(part - np.median(part)) for part in parts if part.size > 1]
    n, k = sum(part.size for part in apart), len(apart)
    if k < 2 or n <= k:
        return 1.0
    means = np.array([part.mean() for part in apart])
    within = sum(float(((part - part.mean()) ** 2).sum()) for part in apart)
    overall = float(np.concatenate(apart).mean())
    sizes = np.array([part.size for part in apart])
    between = float((sizes * (means - overall) ** 2).sum())
    if within <= 1e-12 * max(between, 1e-300):
        return 1.0
    return float(special.fdtrc(k - 1, n - k, between / (k - 1) / (within / (n - k))))


def factor(
    numbers: FloatArray | None,
    codes: NDArray[np.intp],
    branches: NDArray[np.intp] | None = None,
) -> Factor:
    """Return a parameter as columns of a model.

    ``numbers`` [n], in the scale that it acts on and NaN where it is not set, give a linear and a
    quadratic column; without them the levels ``codes`` [n] give indicators. With ``branches`` [n]
    columns are centred within each branch and 0 where it is not set; without, whether it is set is
    a column of its own.
    """
    n = codes.size
    if numbers is None:
        indicators = one_hot(codes)
        _centre(indicators, np.ones(n, dtype=np.bool_), branches)
        return Factor(indicators, indicators.shape[1])
    is_set = np.isfinite(numbers)
    linear = np.where(is_set, numbers, 0.0)[:, None]
    _centre(linear, is_set, branches)
    linear /= np.abs(linear).max(initial=0.0) or 1.0
    columns = linear
    if np.unique(numbers[is_set]).size > 2:
        quadratic = linear**2
        _centre(quadratic, is_set, branches)
        columns = np.hstack([linear, quadratic])
    if branches is None and not is_set.all():
        columns = np.column_stack([columns, is_set - is_set.mean()])
    return Factor(columns, 1)


def within_levels(numbers: FloatArray, codes: NDArray[np.intp]) -> FloatArray:
    """Return how far ``numbers`` [n] lie from the mean of their level ``codes`` [n]; 0 for NaN."""
    known = np.where(np.isfinite(numbers), numbers, 0.0)[:, None]
    _centre(known, np.isfinite(numbers), codes)
    return np.asarray(known[:, 0] / (np.abs(known).max(initial=0.0) or 1.0))


def trial_order(order: NDArray[np.intp]) -> FloatArray:
    """Return the place of each of n trials in time as columns: linear and quadratic."""
    return factor(order.astype(np.float64), order).columns


def p_associated(factors: Sequence[Factor]) -> FloatArray:
    """Return the p value [m, m] that each two of m parameters are independent; 1 with itself.

    Bartlett's χ² of their canonical correlations, so that any linear or quadratic dependence of
    numbers counts, and any dependence of levels. 0 where one is a function of the other.
    """
    m = len(factors)
    found = np.ones((m, m))
    if m < 2:
        return found
    bases = [_basis(one.columns) for one in factors]
    n = bases[0].shape[0]
    ends = np.cumsum([0, *(basis.shape[1] for basis in bases)])
    joint = np.hstack(bases)
    joint = joint.T @ joint
    for i, j in combinations(range(m), 2):
        cross = joint[ends[i] : ends[i + 1], ends[j] : ends[j + 1]]
        rows, columns = cross.shape
        if not (rows and columns):
            continue
        left = np.linalg.slogdet(np.eye(min(cross.shape)) - _gram(cross))
        freedom = n - 1 - (rows + columns + 1) / 2
        if left.sign <= 0 or left.logabsdet < -20 or freedom <= 0:
            found[i, j] = 0.0
        else:
            found[i, j] = special.chdtrc(rows * columns, -freedom * left.logabsdet)
        found[j, i] = found[i, j]
    return found


def nuisance(
    ranks: FloatArray,
    always: Sequence[Factor],
    others: Sequence[Factor],
    extra: FloatArray | None = None,
    spare: int = 0,
) -> tuple[FloatArray, int]:
    """Return an orthonormal basis [n, q] of the model of the other parameters, and what entered.

    The constant, the parameters that ``always`` stay and the ``extra`` columns [n, e] are in it.
    The ``others``, and products of any two parameters, enter forward, the one of the smallest p
    value first, while that is below .05; that of a product is corrected for their number. At most
    n / 4 columns enter, and at least ``spare`` degrees of freedom are left. ``ranks`` [n] are those
    of the metric. The number returned is how many of ``others`` and products entered.
    """
    n = ranks.size
    fixed = [np.ones((n, 1)), *(one.columns for one in always)]
    if extra is not None:
        fixed.append(extra)
    columns = np.hstack(fixed)
    basis = _basis(columns)
    # Which terms enter may be found on some of many runs: X is not looked at.
    few = np.linspace(0, n - 1, min(n, _MOST_SELECTED)).round().astype(np.intp)
    room = min(few.size // 4, n - basis.shape[1] - spare)
    if room < 1:
        return basis, 0
    every = _terms(always, others)
    part = every if few.size == n else [tuple(one[few] for one in term) for term in every]
    begun = basis if few.size == n else _basis(columns[few])
    entered = _forward(ranks[few], begun, [_product(*term) for term in part], len(others), room)
    added = [_product(*every[place]) for place in entered]
    return (_basis(np.hstack([basis, *added])) if added else basis), len(entered)


def _terms(always: Sequence[Factor], others: Sequence[Factor]) -> list[tuple[FloatArray, ...]]:
    """Return the columns of each of ``others``, and then those of any two parameters together."""
    leading = [one.columns[:, : one.leads] for one in (*always, *others)]
    pairs = combinations(leading, 2)
    few = (pair for pair in pairs if pair[0].shape[1] * pair[1].shape[1] <= _WIDEST)
    return [*((one.columns,) for one in others), *few]


def _product(one: FloatArray, two: FloatArray | None = None) -> FloatArray:
    """Return the products [n, d · e] of the columns [n, d] and [n, e] of two parameters."""
    if two is None:
        return one
    if one.shape[1] == two.shape[1] == 1:
        return one * two
    return np.asarray((one[:, :, None] * two[:, None, :]).reshape(one.shape[0], -1))


def rank_beside(tested: FloatArray, basis: FloatArray | None = None) -> int:
    """Return the rank of the columns ``tested`` [n, d], or of what ``basis`` [n, q] leaves."""
    left = tested if basis is None else tested - basis @ (basis.T @ tested)
    return int(_basis(left, of=tested).shape[1])


def partial_test(
    ranks: FloatArray,
    tested: FloatArray,
    basis: FloatArray,
    rng: np.random.Generator,
    draws: int,
    *,
    strata: NDArray[np.intp] | None = None,
    drawn: bool = True,
) -> PartialTest | None:
    """Test the columns ``tested`` [n, d] of a parameter beside the model ``basis`` [n, q].

    A ``drawn`` parameter is permuted within ``strata`` [n]; for another the residuals of the model
    are permuted (Freedman & Lane). Up to ``draws`` permutations are drawn, fewer where the p value
    is plainly large; of more than 500 runs the F distribution gives it. None where the other
    parameters leave nothing of this one.
    """
    n = ranks.size
    residuals = ranks - basis @ (basis.T @ ranks)
    left = _basis(tested - basis @ (basis.T @ tested), of=tested)
    columns = left.shape[1]
    dof = n - basis.shape[1] - columns
    total = float(((ranks - ranks.mean()) ** 2).sum())
    if columns == 0 or dof < 1:
        return None
    unexplained = float(residuals @ residuals)
    squares = float(((residuals @ left) ** 2).sum())
    error = max(unexplained - squares, 1e-12 * max(total, 1e-300)) / dof
    f = squares / columns / error
    share = max(0.0, squares - columns * error) / total if total > 0 else 0.0
    if unexplained <= 1e-12 * max(total, 1e-300):
        return PartialTest(0.0, columns, dof, 1.0, 0.0)
    if n > ASYMPTOTIC_FROM:
        p_value = float(special.fdtrc(columns, dof, f))
    elif drawn:
        explained = _by_rows(residuals, tested, basis, parts_of(strata, n), rng)
        p_value = _sequential(explained, squares, draws, n * (tested.shape[1] + 1))
    else:
        explained = _by_residuals(residuals, left, basis, rng)
        p_value = _sequential(explained, squares / unexplained, draws, n)
    return PartialTest(f, columns, dof, p_value, share)


def adjusted_levels(
    outcomes: FloatArray, codes: NDArray[np.intp], basis: FloatArray
) -> AdjustedLevels:
    """Return the adjusted means of the levels ``codes`` [n], averaged over the other parameters.

    Least squares of ``outcomes`` [n] on the levels beside the model ``basis`` [n, q]. The spread of
    runs may differ between levels.
    """
    levels = one_hot(codes)
    design = np.hstack([levels, basis - basis.mean(axis=0)])
    inverse = np.linalg.pinv(design.T @ design, rcond=1e-10, hermitian=True)
    bread = design @ inverse
    free = 1.0 - np.einsum("nd,nd->n", bread, design)
    shared = None
    if outcomes.size <= ASYMPTOTIC_FROM:
        shared = (np.eye(outcomes.size) - bread @ design.T) ** 2
    estimates = bread.T @ outcomes
    k = levels.shape[1]
    return AdjustedLevels(
        means=estimates[:k],
        counts=np.asarray(levels.sum(axis=0), dtype=np.intp),
        weights=bread[:, :k].T,
        residuals=outcomes - design @ estimates,
        free=free,
        shared=shared,
    )


def _forward(
    ranks: FloatArray,
    basis: FloatArray,
    terms: Sequence[FloatArray],
    mains: int,
    room: int,
) -> list[int]:
    """Return which of ``terms`` (each [n, d]) enter forward; see `nuisance`.

    The first ``mains`` are parameters, the others products, which are corrected for their number.
    """
    weights = np.where(np.arange(len(terms)) < mains, 1.0, max(1, len(terms) - mains))
    n, entered = ranks.size, list[int]()
    residuals = ranks - basis @ (basis.T @ ranks)
    by_width: dict[int, list[int]] = {}
    for place, term in enumerate(terms):
        if term.shape[1]:
            by_width.setdefault(term.shape[1], []).append(place)
    # Terms of equal width are one array [terms, n, d], so that each step is a few products.
    groups = {
        width: (np.array(places), np.stack([terms[place] for place in places]))
        for width, places in by_width.items()
    }
    sizes = {width: np.linalg.norm(stack, axis=1) ** 2 for width, (_, stack) in groups.items()}
    for width, (places, stack) in groups.items():
        groups[width] = places, stack - basis @ (basis.T @ stack)
    while room > 0:
        best: tuple[float, int, int] | None = None
        unexplained = float(residuals @ residuals)
        for width, (places, stack) in groups.items():
            squares, ranks_of = _explained(stack, residuals, sizes[width])
            dof = n - basis.shape[1] - ranks_of
            usable = (ranks_of > 0) & (ranks_of <= room) & (dof > 0)
            if not usable.any():
                continue
            rest = np.maximum(unexplained - squares, 1e-12 * unexplained)
            f = squares * dof / np.where(usable, ranks_of * rest, 1.0)
            p = np.where(usable, special.fdtrc(ranks_of, np.maximum(dof, 1), f), 1.0)
            p = p * weights[places]
            place = int(p.argmin())
            if best is None or p[place] < best[0]:
                best = float(p[place]), width, place
        if best is None or best[0] > ENTERS:
            break
        _, width, place = best
        added = _basis(groups[width][1][place])
        basis = np.hstack([basis, added])
        residuals = residuals - added @ (added.T @ residuals)
        room -= added.shape[1]
        entered.append(int(groups[width][0][place]))
        groups = {
            key: (places, stack - added @ (added.T @ stack))
            for key, (places, stack) in groups.items()
        }
    return entered


def _explained(
    stack: FloatArray, residuals: FloatArray, sizes: FloatArray
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return the squares that each term of ``stack`` [terms, n, d] explains, and its rank.

    ``sizes`` [terms, d] are the squared lengths of its columns before others were taken out.
    """
    along = residuals @ stack
    if stack.shape[2] == 1:
        squared = np.einsum("tn,tn->t", stack[:, :, 0], stack[:, :, 0])
        left = squared > _TINY * np.maximum(sizes[:, 0], 1e-300)
        return np.where(left, along[:, 0] ** 2 / np.where(left, squared, 1.0), 0.0), left * 1
    values, vectors = np.linalg.eigh(stack.transpose(0, 2, 1) @ stack)
    kept = values > _TINY * np.maximum(sizes.max(axis=1), 1e-300)[:, None]
    turned = np.einsum("td,tde->te", along, vectors)
    squares = np.where(kept, turned**2 / np.where(kept, values, 1.0), 0.0).sum(axis=1)
    return squares, kept.sum(axis=1)


def _by_rows(
    residuals: FloatArray,
    tested: FloatArray,
    basis: FloatArray,
    parts: Sequence[NDArray[np.intp]],
    rng: np.random.Generator,
) -> Callable[[int], FloatArray]:
    """Return a function that draws the squares explained by permuted rows of ``tested``.

    Rows are permuted within the ``parts``. Residuals and degrees of freedom stay the same, so the
    squares decide.
    """
    n, width = tested.shape
    gram = tested.T @ tested

    def explained(size: int) -> FloatArray:
        order = np.empty((size, n), dtype=np.intp)
        for part in parts:
            order[:, part] = rng.permuted(np.broadcast_to(part, (size, part.size)), axis=1)
        if width == 1:
            column = tested[:, 0][order]
            rest = gram[0, 0] - ((column @ basis) ** 2).sum(axis=1)
            return _ratio((column @ residuals) ** 2, rest, gram[0, 0])
        rows = tested[order].transpose(0, 2, 1)  # [size, width, n]
        of = rows @ basis
        return _quadratic(rows @ residuals, gram - of @ of.transpose(0, 2, 1), gram)

    return explained


def _by_residuals(
    residuals: FloatArray, left: FloatArray, basis: FloatArray, rng: np.random.Generator
) -> Callable[[int], FloatArray]:
    """Return a function that draws the share that ``left`` explains of permuted residuals."""
    total = float(residuals @ residuals)

    def explained(size: int) -> FloatArray:
        rows = rng.permuted(np.broadcast_to(residuals, (size, residuals.size)), axis=1)
        rest = total - ((rows @ basis) ** 2).sum(axis=1)
        return _ratio(((rows @ left) ** 2).sum(axis=1), rest, total)

    return explained


def _sequential(
    explained: Callable[[int], FloatArray], observed: float, draws: int, width: int
) -> float:
    """Return the Monte Carlo p value; drawing stops when enough draws reach ``observed``."""
    drawn = reached = 0
    batch = min(draws, 199)
    while drawn < draws:
        for size in chunks(min(batch, draws - drawn), width):
            hits = np.flatnonzero(explained(size) >= observed * (1 - _TINY))
            if reached + hits.size >= _ENOUGH:
                return _ENOUGH / (drawn + int(hits[_ENOUGH - reached - 1]) + 1)
            drawn, reached = drawn + size, reached + hits.size
        batch *= 4
    return (1 + reached) / (drawn + 1)


def _quadratic(along: FloatArray, grams: FloatArray, of: FloatArray) -> FloatArray:
    """Return the quadratic forms [b] of ``along`` [b, d] with the inverses of ``grams``."""
    values, vectors = np.linalg.eigh(grams)
    kept = values > _TINY * max(float(np.trace(of)), 1e-300)
    turned = np.einsum("bd,bde->be", along, vectors)
    forms = np.where(kept, turned**2 / np.where(kept, values, 1.0), 0.0).sum(axis=1)
    return np.asarray(forms)


def _ratio(squares: FloatArray, rest: FloatArray, of: float) -> FloatArray:
    kept = rest > _TINY * max(of, 1e-300)
    return np.where(kept, squares / np.where(kept, rest, 1.0), 0.0)


def _centre(
    columns: FloatArray, is_set: NDArray[np.bool_], branches: NDArray[np.intp] | None
) -> None:
    """Centre ``columns`` [n, d] in place within each branch, over the runs that are set."""
    for part in parts_of(branches, is_set.size):
        inside = part[is_set[part]]
        if inside.size:
            columns[inside] -= columns[inside].mean(axis=0)


def _basis(columns: FloatArray, of: FloatArray | None = None) -> FloatArray:
    """Return an orthonormal basis [n, rank] of what ``columns`` [n, d] span.

    What is left of the columns ``of`` by rounding does not count.
    """
    if columns.shape[1] == 0:
        return columns
    left, upper, _ = linalg.qr(columns, mode="economic", pivoting=True, check_finite=False)
    scale = float(np.linalg.norm(columns if of is None else of))
    rank = int((np.abs(np.diag(upper)) > _ROUNDING * max(scale, 1e-300)).sum())
    return np.ascontiguousarray(left[:, :rank])


def _gram(cross: FloatArray) -> FloatArray:
    """Return the smaller of the two products of a matrix with itself."""
    return cross @ cross.T if cross.shape[0] <= cross.shape[1] else cross.T @ cross
