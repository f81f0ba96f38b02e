"""A parameter beside the others: the additive model in which its effect is tested and estimated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness import statistics
from harness.observations import repeats
from harness.observations.columns import Column, LeftOut, read_columns
from harness.observations.sample import ById, FloatArray, Observations, observe
from harness.records import Config, Result, Span, Value
from harness.text import plural

if TYPE_CHECKING:
    from harness.statistics import AdjustedLevels, Factor, PartialTest

FEWEST_DOF = 6
"""Residual degrees of freedom below which a parameter is not tested."""

FEWEST_MODELLED = FEWEST_DOF + 2
"""Completed runs below which no spread is told apart from what the parameters do."""

CROSSED = 0.8
"""Runs are crossed in a parameter when this share has a like run that differs in it alone."""


@dataclass(frozen=True)
class Obstacle:
    """The reason why a parameter cannot be told apart from the others in these runs.

    ``by_design`` says that more runs of the same design would not help. ``runs`` are those that it
    would take, where that is known, or configurations where repeats are ``merged``. ``beside`` says
    that others must stay in the model.
    """

    reason: str
    by_design: bool = False
    runs: int | None = None
    beside: bool = False
    merged: bool = False


@dataclass(frozen=True, eq=False)
class Adjusted:
    """A parameter of n final runs beside the others, whose model is chosen by the metric alone.

    ``tested`` [n, d] are its columns, ``basis`` [n, q] an orthonormal basis of the model of the
    others. ``strata`` [n] are the joint levels of the parameters that give it or are given by it.
    ``drawn`` says that it was drawn independently of the others within them. ``linked`` are the
    parameters that it may be taken for, which are in the model whatever they do; ``entered`` counts
    what entered by the metric. ``merged`` says that the repeats of a configuration count once,
    ``has_repeats`` that several runs are of one configuration.
    ``compared`` [n] are the runs whose levels are compared: where another parameter decides whether
    this one is set, those that set it.
    """

    parameter: str
    column: Column
    observed: Observations
    ranks: FloatArray
    tested: FloatArray
    basis: FloatArray
    strata: NDArray[np.intp] | None
    drawn: bool
    linked: tuple[str, ...]
    entered: int
    merged: bool
    has_repeats: bool
    compared: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """The number of runs, diverged ones included."""
        return self.ranks.size

    @cached_property
    def residuals(self) -> FloatArray:
        """The ranks [n] of the metric, from 0 to 1, without what the others explain."""
        return np.asarray(self.ranks - self.basis @ (self.basis.T @ self.ranks))

    def test(self, rng: np.random.Generator, draws: int) -> PartialTest | None:
        """Test whether the parameter changes the metric's distribution, the others held equal."""
        return statistics.partial_test(
            self.ranks,
            self.tested,
            self.basis,
            rng,
            draws,
            strata=self.strata,
            drawn=self.drawn,
        )

    @cached_property
    def levels(self) -> AdjustedLevels:
        """The adjusted means of its levels, over the completed runs, in the metric's unit."""
        of = self._done
        return self._compared(self.observed.delta[of[: self.observed.delta.size]])

    @cached_property
    def by_ranks(self) -> tuple[Value | Span, Value | Span] | None:
        """The best and the worst level by ranks, where the means of the two ends disagree."""
        means, ranks = self.levels.means, self._compared(self.ranks[self._done]).means
        if ranks[means.argmax()] >= ranks[means.argmin()]:
            return None
        return self.named[int(ranks.argmax())], self.named[int(ranks.argmin())]

    def _compared(self, outcomes: FloatArray) -> AdjustedLevels:
        """Return the adjusted means of the levels of ``outcomes``, those of the runs compared."""
        of = self._done
        codes, basis, inside = self.column.codes[of], self.basis[of], self.column.scaled
        if self.column.numbers is not None and inside is not None:
            # What a range does within its thirds is not to be taken for what another does.
            basis = np.column_stack([basis, statistics.within_levels(inside[of], codes)])
        return statistics.adjusted_levels(outcomes, codes, basis)

    @property
    def named(self) -> tuple[Value | Span, ...]:
        """The levels whose means are in `levels`, in their order."""
        return tuple(self.column.levels[code] for code in np.unique(self.column.codes[self._done]))

    @cached_property
    def spreads_differ(self) -> float:
        """The p value of "the spread differs between levels" (Brown–Forsythe, residuals)."""
        of = self.compared
        return statistics.p_spreads_differ(self.residuals[of], self.column.codes[of])

    @property
    def _done(self) -> NDArray[np.bool_]:
        return self.compared & (np.arange(self.n) < len(self.observed.completed))


def beside_others(
    results: Sequence[Result],
    parameter: str,
    given: Mapping[str, str] | None = None,
    *,
    in_order: bool = False,
) -> Adjusted | Obstacle:
    """Return ``parameter`` beside the others in the final runs among ``results``.

    ``given`` names the parameter that another's values depend on by declaration; None where the
    design is not known. With ``in_order`` a run's place in time is in the model: later runs may
    depend on earlier outcomes.
    """
    links = None if given is None else tuple(sorted(given.items()))
    return _beside_others(ById(tuple(results)), parameter, links, in_order=in_order)


@lru_cache(maxsize=64)
def _beside_others(
    sample: ById, parameter: str, links: tuple[tuple[str, str], ...] | None, *, in_order: bool
) -> Adjusted | Obstacle:
    crossed = _crossed(sample, parameter)
    units = _of_sample(sample, merged=crossed is None)
    known, given = units.columns, units.given(None if links is None else dict(links))
    if parameter not in known:
        return _not_varied(parameter, units.left_out.get(parameter))
    column = known[parameter]
    giver = given.get(parameter)
    children = [name for name, by in given.items() if by == parameter]
    # What is set at some of its levels only belongs to these: what it does is part of their noise.
    nested = [name for name in _below(parameter, given) if units.is_within(name, parameter)]
    shared = [name for name in (giver, *children) if name is not None and name not in nested]
    strata = _joint([known[name].codes for name in shared])
    if strata is not None and not column.varies_within(strata):
        names = " and ".join(shared)
        return Obstacle(f"{parameter} does not vary among runs of equal {names}", by_design=True)
    strata = strata if crossed is None else crossed
    branches = known[giver].codes if giver else None
    decided = giver is not None and units.is_nested(parameter, giver)
    own = statistics.factor(column.scaled, column.codes, branches)
    relatives = [*_above(parameter, given), *_below(parameter, given)]
    factors = units.factors(given, without=(parameter, *nested))
    associated = units.associated(parameter) - set(relatives)
    linked = [name for name in factors if name in {*relatives, *associated}]
    order = units.order if in_order else None
    always = units.stepwise(factors, linked, own.columns.shape[1])
    others = [one for name, one in factors.items() if name not in linked]
    left = 0
    # Of few runs, a line along the range takes one degree of freedom less.
    for tested in (own.columns, own.columns[:, : own.leads]):
        rank = statistics.rank_beside(tested)
        basis, entered = statistics.nuisance(
            units.ranks, always, others, extra=order, spare=FEWEST_DOF + rank
        )
        left = units.ranks.size - basis.shape[1] - rank
        if left >= FEWEST_DOF:
            break
    else:
        beside = f" beside {', '.join(linked)}" if linked else ""
        return Obstacle(
            f"{plural(units.ranks.size, 'configuration' if units.merged else 'run')} leave "
            f"{plural(max(0, left), 'residual degree of freedom', 'residual degrees of freedom')} "
            f"for {parameter}{beside}; it takes {FEWEST_DOF}",
            runs=units.ranks.size - left + FEWEST_DOF,
            beside=bool(linked),
            merged=units.merged,
        )
    if statistics.rank_beside(tested, basis) < 1:
        names = " and ".join(linked)
        return Obstacle(f"{parameter} is given by {names}: it never varies alone", by_design=True)
    return Adjusted(
        parameter=parameter,
        column=column,
        observed=units.observed,
        ranks=units.ranks,
        tested=tested,
        basis=basis,
        strata=strata,
        drawn=crossed is not None or links is not None or not associated,
        linked=tuple(linked),
        entered=entered,
        merged=units.merged,
        has_repeats=crossed is not None and _has_repeats(sample),
        compared=column.is_set if decided else np.ones_like(column.is_set),
    )


@dataclass(frozen=True, eq=False)
class Modelled:
    """The additive model of all parameters of n completed results that count once.

    ``results`` [n] have the outcomes ``delta`` [n]; ``basis`` [n, q] is an orthonormal basis of the
    model. ``dof`` are the residual degrees of freedom.
    """

    results: tuple[Result, ...]
    delta: FloatArray
    basis: FloatArray
    dof: int

    def left_of(self, columns: FloatArray) -> FloatArray:
        """Return what the model leaves of ``columns`` [n] or [n, m]."""
        return np.asarray(columns - self.basis @ (self.basis.T @ columns))

    @property
    def sd(self) -> float:
        """The residual SD, in the metric's unit."""
        left = self.left_of(self.delta)
        return math.sqrt(float(left @ left) / self.dof)


def modelled(
    results: Sequence[Result], given: Mapping[str, str] | None = None, *, whole: bool = False
) -> Modelled | None:
    """Return the additive model of all parameters.

    Which parameters and products are in the model is found by ranks, as beside a parameter that is
    tested. None where no parameter varies, or too few runs leave fewer than `FEWEST_DOF` degrees of
    freedom beside a single one. With ``whole`` all parameters are in it, and no product, if at
    least a third of the degrees of freedom is left: a model that is chosen by the results leaves
    less of them than there is.
    """
    # As beside a parameter, so that what was read of these runs is not read again.
    units = _of_sample(ById(tuple(results)), merged=True)
    delta = units.observed.delta
    if delta.size < FEWEST_MODELLED or not units.columns:
        return None
    factors = list(units.factors(units.given(given), without=()).values())
    if whole:
        basis, _ = statistics.nuisance(units.ranks, factors, [])
        found = _left_by(basis, units)
        if found is not None and 3 * found.dof >= delta.size - 1:
            return found
    basis, _ = statistics.nuisance(units.ranks, [], factors, spare=FEWEST_DOF)
    return _left_by(basis, units)


def _left_by(basis: FloatArray, units: _Units) -> Modelled | None:
    """Return the model of this basis [n, q] over the completed runs, which come first."""
    delta = units.observed.delta
    # Without the diverged runs the columns are no basis any more.
    u, singular, _ = np.linalg.svd(basis[: delta.size], full_matrices=False)
    known = u[:, singular > 1e-9 * delta.size]
    dof = delta.size - known.shape[1]
    return Modelled(units.observed.completed, delta, known, dof) if dof >= FEWEST_DOF else None


@dataclass(frozen=True, eq=False)
class _Units:
    """The n final runs that count once, as columns, with the ranks [n] of their metric."""

    observed: Observations
    merged: bool

    @cached_property
    def configs(self) -> tuple[Config, ...]:
        return tuple(result.run.config for result in self.observed.final)

    @cached_property
    def _read(self) -> tuple[dict[str, Column], dict[str, LeftOut]]:
        return read_columns(self.configs)

    @property
    def columns(self) -> dict[str, Column]:
        """The parameters that vary."""
        return self._read[0]

    @property
    def left_out(self) -> dict[str, LeftOut]:
        """The parameters that do not vary, or have too many values."""
        return self._read[1]

    @cached_property
    def ranks(self) -> FloatArray:
        """The ranks of the metric, from 0 to 1; a diverged run ranks worst."""
        return statistics.rank_shares(self.observed.ranked)

    @cached_property
    def order(self) -> FloatArray:
        """The place of each run in time, as columns of a model."""
        places = np.array([result.run.index for result in self.observed.final])
        return statistics.trial_order(np.argsort(np.argsort(places, kind="stable")))

    @cached_property
    def _associated(self) -> FloatArray:
        """The p value that each two parameters are independent."""
        # Few numbers may go together by their values alone: 4 with 20 and 30, 8 with 16 and 24.
        plain = [
            statistics.factor(None if one.numbers is None else one.scaled, one.codes)
            for one in self.columns.values()
        ]
        return statistics.p_associated(plain)

    def associated(self, parameter: str) -> set[str]:
        """Return the parameters that go with one, by their p value alone."""
        names = list(self.columns)
        row = self._associated[names.index(parameter)]
        return {name for name, p in zip(names, row, strict=True) if p < statistics.ENTERS}

    def given(self, declared: Mapping[str, str] | None) -> dict[str, str]:
        """Return the parameters that are given by others: as declared, or else as the runs show.

        A parameter that is set at some levels of another, always, and at its others never, is
        given by it; by the one that is itself set in the fewest runs, and of these by that of the
        fewest levels.
        """
        known = self.columns
        if declared is not None:
            return {name: by for name, by in declared.items() if {name, by} <= known.keys()}
        runs = {name: int(one.is_set.sum()) for name, one in known.items()}
        found: dict[str, str] = {}
        for name in known:
            givers = [by for by in known if runs[name] < runs[by] and self.is_nested(name, by)]
            if givers:
                found[name] = min(givers, key=lambda by: (runs[by], len(known[by].levels)))
        return found

    def is_nested(self, name: str, giver: str) -> bool:
        """Return whether a parameter is set at some levels of another, and at the rest never."""
        is_set, codes = self.columns[name].is_set, self.columns[giver].codes
        shares = np.bincount(codes, is_set) / np.bincount(codes)
        return bool(shares.min() == 0.0 and np.isin(shares, (0.0, 1.0)).all())

    def is_within(self, name: str, giver: str) -> bool:
        """Return whether a parameter is never set at some levels of another."""
        return bool(np.bincount(self.columns[giver].codes, self.columns[name].is_set).min() == 0.0)

    def factors(self, given: Mapping[str, str], without: Sequence[str]) -> dict[str, Factor]:
        """Return the parameters but for some as columns of the model beside the first of those."""
        found = {}
        for name, one in self.columns.items():
            if name in without:
                continue
            giver = given.get(name)
            # Within the levels of the tested parameter a child is not centred: the strata hold it.
            branches = self.columns[giver].codes if giver and giver not in without[:1] else None
            found[name] = statistics.factor(one.scaled, one.codes, branches)
        return found

    def stepwise(
        self, factors: Mapping[str, Factor], linked: Sequence[str], tested: int
    ) -> list[Factor]:
        """Return the ``linked`` parameters as columns, those of few numbers by their levels.

        What a curve through these leaves of a step would be taken for an effect of the tested
        parameter, which has as many columns. Where that takes more than half of the runs, the
        fewest levels come first and the rest are curves.
        """
        found = {name: factors[name] for name in linked}
        room = self.ranks.size // 2 - tested - sum(one.columns.shape[1] for one in found.values())
        few = [name for name in linked if self.columns[name].numbers is None]
        for name in sorted(few, key=lambda name: len(self.columns[name].levels)):
            one, curve = self.columns[name], found[name].columns
            steps = statistics.factor(None, one.codes).columns
            room -= len(one.levels) - 1 - curve.shape[1]
            if room < 0:
                break
            # With the curve, which may be centred within branches, beside the steps.
            found[name] = statistics.Factor(np.hstack([curve, steps]), factors[name].leads)
        return list(found.values())


@lru_cache(maxsize=8)
def _of_sample(sample: ById, *, merged: bool) -> _Units:
    if not merged:
        return _Units(observe(sample.results), merged=False)
    found = repeats.merge(sample.results)
    return _Units(observe(found.results), merged=found.merged)


def _crossed(sample: ById, parameter: str) -> NDArray[np.intp] | None:
    """Return the numbers [n] of final runs that differ in one parameter alone; None if few do.

    Repeats of a configuration share what is its own, and count once. Where runs are crossed, that
    is shared by the levels of the parameter, and repeats are runs like others.
    """
    values = _hashed(sample)
    if parameter not in values:
        return None
    own = values[parameter]
    _, rest = np.unique(sum(values.values()) - own, return_inverse=True)
    rest = rest.ravel()
    distinct = np.unique(np.stack([rest, own.astype(np.int64)], axis=1), axis=0)
    several = np.bincount(distinct[:, 0]) > 1
    if several[rest].sum() < CROSSED * rest.size:
        return None
    return np.asarray(rest)


@lru_cache(maxsize=8)
def _hashed(sample: ById) -> dict[str, NDArray[np.uint64]]:
    """Return a random number for each value of each parameter [n]: sums tell configs apart."""
    configs = [result.run.config for result in observe(sample.results).final]
    rng = np.random.default_rng(0)
    found = {}
    for name in dict.fromkeys(name for config in configs for name in config):
        codes: dict[Value, int] = {}
        numbers = [codes.setdefault(config.get(name), len(codes)) for config in configs]
        drawn = rng.integers(2**63, size=len(codes), dtype=np.uint64)
        found[name] = drawn[np.array(numbers, dtype=np.intp)]
    return found


@lru_cache(maxsize=8)
def _has_repeats(sample: ById) -> bool:
    together = sum(_hashed(sample).values())
    return bool(np.unique(together).size < np.size(together))


def _above(parameter: str, given: Mapping[str, str]) -> list[str]:
    """Return the parameters that one is given by, at any height."""
    found: list[str] = []
    above = given.get(parameter)
    while above is not None and above not in found:
        found.append(above)
        above = given.get(above)
    return found


def _below(parameter: str, given: Mapping[str, str]) -> list[str]:
    """Return the parameters that one gives, at any depth."""
    found: list[str] = []
    next_ones = [name for name, by in given.items() if by == parameter]
    while next_ones:
        name = next_ones.pop()
        if name not in found:
            found.append(name)
            next_ones += [child for child, by in given.items() if by == name]
    return found


def _joint(columns: Sequence[NDArray[np.intp]]) -> NDArray[np.intp] | None:
    """Return the numbers [n] of the joint levels of ``columns``, each [n]; None of none."""
    if not columns:
        return None
    _, joint = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    return np.asarray(joint.ravel())


def _not_varied(parameter: str, left_out: LeftOut | None) -> Obstacle:
    if left_out is None:
        return Obstacle(f"no run has a value for {parameter}", by_design=True)
    return Obstacle(
        f"{parameter} is {left_out}" if left_out.is_constant else f"{parameter} has {left_out}",
        by_design=True,
    )
