"""Estimate the effect of each parameter on the outcome, and find pairs that interact."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness import statistics
from harness.analysis.columns import Association
from harness.analysis.ranges import LEVEL
from harness.analysis.units import Units
from harness.observations import FloatArray
from harness.observations.columns import Column
from harness.records import Span, Value, finite
from harness.statistics import Comparison, Estimate

MOST_PAIRED = 12
"""The most parameters that are tested in pairs: the most important ones."""

FEW_LEVELS = 8
"""A parameter with more levels than this is not tested in pairs: too few runs share a cell."""

MANY_RUNS = 500
"""Beyond this many runs, importance needs fewer repetitions."""

Cell = Value | Span
"""A level, or the two ends of a third of a range."""


@dataclass(frozen=True, slots=True)
class LevelMean:
    """The completed runs at a level: their mean, and its difference from all other runs."""

    value: Value
    runs: int
    mean: Estimate
    difference: Comparison


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a parameter on the outcome, averaged over the other parameters.

    A range has Spearman's correlation ``rho`` and the ``slope``: the change per unit, or per factor
    of ten where it ``is_log``. A parameter of few values has the means of its ``levels``.
    ``p_value`` tests that the parameter has any effect. ``p_within`` tests the same among runs that
    agree on a parameter it goes with; it is None where those runs all agree on this one too.
    ``p_holm`` is the largest of these, corrected for the number of parameters. ``importance`` and
    ``share`` are shares of the variance: what a prediction of held-out runs loses without the
    parameter, and what lies between its levels.
    """

    parameter: str
    is_log: bool
    rho: float | None
    slope: Estimate | None
    levels: tuple[LevelMean, ...]
    p_value: float
    p_within: Mapping[str, float | None]
    goes_with: tuple[Association, ...]
    share: float | None
    importance: float | None = None
    p_holm: float = 1.0

    @property
    def p_adjusted(self) -> float:
        """The p value of an effect that the parameters it goes with do not explain."""
        within = (1.0 if p is None else p for p in self.p_within.values())
        return max(self.p_value, *within, 0.0)


@dataclass(frozen=True, slots=True)
class Interaction:
    """Two parameters whose effects do not simply add up.

    ``share`` is the interaction's share of the variance. The cell that stands out most has these
    ``values``; the mean of its ``runs`` lies ``beyond`` the sum of the two effects.
    """

    parameters: tuple[str, str]
    share: float
    p_value: float
    values: tuple[Cell, Cell]
    runs: int
    beyond: float
    p_holm: float = 1.0


@dataclass(frozen=True, slots=True)
class Interactions:
    """The interactions that are shown, the number of ``pairs`` tested, and the least p of all."""

    shown: tuple[Interaction, ...]
    pairs: int
    smallest: float | None


def find_effects(
    columns: Mapping[str, Column],
    associations: Mapping[str, tuple[Association, ...]],
    units: Units,
    rng: np.random.Generator,
) -> tuple[tuple[Effect, ...], float | None]:
    """Estimate each parameter's effect, and the share of the variance that all predict together."""
    done = units.finished
    importance, predicted = statistics.permutation_importance(
        [column.codes[done] for column in columns.values()],
        units.outcomes[done],
        rng,
        repeats=10 if done.sum() <= MANY_RUNS else 2,
    )
    found = [
        replace(_effect(column, columns, associations[name], units, rng), importance=finite(worth))
        for (name, column), worth in zip(columns.items(), importance, strict=True)
    ]
    holm = statistics.holm([effect.p_adjusted for effect in found])
    corrected = (replace(one, p_holm=p) for one, p in zip(found, holm, strict=True))
    return tuple(corrected), finite(predicted)


def find_interactions(
    columns: Mapping[str, Column],
    effects: Sequence[Effect],
    units: Units,
    rng: np.random.Generator,
    alpha: float,
) -> Interactions:
    """Find the interactions that are shown, at ``alpha`` over all pairs of parameters."""
    order = sorted(effects, key=lambda effect: -(effect.importance or 0.0))
    among = [
        columns[effect.parameter]
        for effect in order
        if len(columns[effect.parameter].levels) <= FEW_LEVELS
    ][:MOST_PAIRED]
    pairs = list(itertools.combinations(among, 2))
    done = units.finished
    outcomes = units.outcomes[done]
    resamples = statistics.resamples_for(len(pairs), alpha)
    tested = []
    for one, two in pairs:
        codes = one.codes[done], two.codes[done]
        share, p_value = statistics.interaction(*codes, outcomes, rng, resamples)
        cell, runs, beyond = _outstanding(*codes, outcomes)
        values = (one.levels[cell[0]], two.levels[cell[1]])
        names = (one.name, two.name)
        tested.append(Interaction(names, share, p_value, values, runs, beyond))
    holm = statistics.holm([one.p_value for one in tested])
    corrected = [replace(one, p_holm=p) for one, p in zip(tested, holm, strict=True)]
    corrected.sort(key=lambda one: (one.p_holm, -one.share))
    shown = tuple(one for one in corrected if one.p_holm <= alpha)
    smallest = min((one.p_value for one in tested), default=None)
    return Interactions(shown, len(pairs), smallest)


def _effect(
    column: Column,
    columns: Mapping[str, Column],
    associations: tuple[Association, ...],
    units: Units,
    rng: np.random.Generator,
) -> Effect:
    numbers, done = column.numbers, units.finished
    known = np.ones(done.size, dtype=bool) if numbers is None else np.isfinite(numbers)
    within: dict[str, float | None] = {}
    for other in associations:
        blocks = columns[other.parameter].codes
        varies = numbers is not None or column.varies_within(blocks)
        within[other.parameter] = (
            _test(column, units.outcomes, known, rng, blocks)[1] if varies else None
        )
    rho, p_value = _test(column, units.outcomes, known, rng)
    gain: Estimate | None = None
    if numbers is not None:
        scaled = np.log10(numbers) if column.is_log else numbers
        both = known & done
        gain = statistics.slope(scaled[both], units.outcomes[both], LEVEL)
    return Effect(
        parameter=column.name,
        is_log=column.is_log,
        rho=rho,
        slope=gain,
        levels=() if numbers is not None else _level_means(column, units),
        p_value=p_value,
        p_within=within,
        goes_with=associations,
        share=finite(statistics.variance_share(column.codes[done], units.outcomes[done])),
    )


def _test(
    column: Column,
    outcomes: FloatArray,
    known: NDArray[np.bool_],
    rng: np.random.Generator,
    blocks: NDArray[np.intp] | None = None,
) -> tuple[float | None, float]:
    """Return Spearman's ρ of a range, and the p value that the outcome depends on the parameter."""
    inside = None if blocks is None else blocks[known]
    if column.numbers is not None:
        return statistics.trend(column.numbers[known], outcomes[known], rng, inside)
    return None, statistics.levels_differ(column.codes, outcomes, rng, inside)


def _level_means(column: Column, units: Units) -> tuple[LevelMean, ...]:
    means = []
    for code, level in enumerate(column.levels):
        there = units.outcomes[units.finished & (column.codes == code)]
        rest = units.outcomes[units.finished & (column.codes != code)]
        means.append(
            LevelMean(
                value=level if not isinstance(level, Span) else None,
                runs=int(there.size),
                mean=statistics.mean_interval(there, LEVEL),
                difference=statistics.welch(there, rest, LEVEL),
            )
        )
    return tuple(means)


def _outstanding(
    codes: NDArray[np.intp], others: NDArray[np.intp], outcomes: FloatArray
) -> tuple[tuple[int, int], int, float]:
    """Return the cell that stands out most from the sum of both effects, its runs, and how far."""
    width = int(others.max()) + 1
    one, two = np.eye(int(codes.max()) + 1)[codes], np.eye(width)[others]
    design = np.hstack([one, two])
    weights, *_ = np.linalg.lstsq(design, outcomes, rcond=None)
    cells, index, sizes = np.unique(codes * width + others, return_inverse=True, return_counts=True)
    beyond = np.bincount(index.ravel(), outcomes - design @ weights) / sizes
    place = int(np.argmax(np.abs(beyond) * np.sqrt(sizes)))
    return (
        (int(cells[place]) // width, int(cells[place]) % width),
        int(sizes[place]),
        float(beyond[place]),
    )
