"""The patterns in a finished sweep, how much of them chance gives, and which are evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness import observations, statistics
from harness.analysis.columns import Bond, LeftOut, find_bonds, read_columns
from harness.analysis.effects import (
    Effect,
    Interaction,
    Interactions,
    LevelMean,
    find_effects,
    find_interactions,
)
from harness.analysis.patterns import (
    Conclusion,
    Implication,
    Pattern,
    Standing,
    conclude,
    find_patterns,
)
from harness.analysis.ranges import Range, Ranges, by_range, check_edges, choose_parameter
from harness.analysis.units import units_of
from harness.errors import UsageError
from harness.observations import FloatArray
from harness.records import Result
from harness.verdicts import DELTA_PERF, Metric

__all__ = [
    "HIGH",
    "Analysis",
    "Bond",
    "Conclusion",
    "Effect",
    "HighPerformers",
    "Implication",
    "Interaction",
    "Interactions",
    "LeftOut",
    "LevelMean",
    "Pattern",
    "Range",
    "Ranges",
    "Standing",
    "analyze",
]

HIGH = 0.1
"""The ΔPerf that a high performer exceeds, unless told otherwise."""

FEWEST = 4
"""Runs below which there is no pattern to speak of."""


@dataclass(frozen=True, slots=True)
class HighPerformers:
    """The best runs: those ``above`` a threshold, or the best third from it on.

    ``count`` of the units analysed are, and ``null`` (such runs, all runs) of the arm that cannot
    learn, where there is one. ``patterns`` are all that were looked at.
    """

    threshold: float
    rule: Literal["above", "best third"]
    count: int
    null: tuple[int, int] | None
    patterns: tuple[Pattern, ...]
    conclusions: tuple[Conclusion, ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """The patterns in a finished sweep.

    ``units`` count by themselves: all final ``runs``, or the configurations whose repeats were
    ``merged``; ``diverged`` of them have no outcome. ``unmeasured`` says that nothing is known of
    how the outcome was measured: no standard errors, no held-out prompts. ``predicted`` is the
    share of the variance that an additive model of all parameters predicts of held-out runs.
    ``left_out`` are parameters that are not analysed, and why.
    """

    sweep: str
    metric: Metric
    runs: int
    units: int
    merged: bool
    diverged: int
    unmeasured: bool
    alpha: float
    high: HighPerformers
    ranges: Ranges | None
    effects: tuple[Effect, ...]
    predicted: float | None
    interactions: Interactions
    left_out: Mapping[str, LeftOut]


def analyze(
    sweep: str,
    results: Sequence[Result],
    *,
    arms: Mapping[str, Sequence[Result]] | None = None,
    metric: Metric = DELTA_PERF,
    given: Mapping[str, str] | None = None,
    seed: int = 0,
    high: float | None = None,
    parameter: str | None = None,
    ranges: Sequence[float] | None = None,
    alpha: float = 0.05,
) -> Analysis:
    """Return the patterns in the main runs ``results`` of a sweep. An equal seed gives equal ones.

    Parameters
    ----------
    arms
        Other runs by arm; of these the "null" ones are counted beside the high performers.
    metric
        What the runs are judged by.
    given
        For a parameter whose values depend on another's by declaration, that other.
    high
        The outcome that a high performer exceeds; where None, 0.1 of a ΔPerf, and the best third
        of the runs by any other metric.
    parameter, ranges
        The numeric parameter whose ranges are shown, and their edges; chosen where None.
    alpha
        The level at which patterns, parameters and interactions are each shown, corrected for
        their number.

    Raises
    ------
    UsageError
        Where there is nothing to analyse: too few runs, no outcome that varies, no parameter that
        varies; or where the parameter or the ranges asked for cannot be used.
    """
    if ranges is not None:
        check_edges(ranges)
    units = units_of(results)
    observed = units.observed
    _check_outcomes(sweep, observed, metric)
    columns, left_out = read_columns(units.configs)
    if not columns:
        raise UsageError(
            f"no parameter of {sweep} can be compared: "
            + ("; ".join(f"{name}: {why}" for name, why in left_out.items()) or "it has none")
        )
    column = choose_parameter(columns, left_out, parameter)
    if ranges is not None and column is None:
        raise UsageError(f"--ranges: no parameter of {sweep} has a range; name one by --parameter")
    rng = np.random.default_rng([abs(seed), 0xA7A1])
    bonds = find_bonds(columns, given or {}, rng)
    effects, predicted = find_effects(columns, bonds, units, rng)
    threshold, rule = _marking(units.outcomes, metric, high)

    def marked(outcomes: FloatArray) -> NDArray[np.bool_]:
        return outcomes > threshold if rule == "above" else outcomes >= threshold

    best = marked(units.outcomes)
    patterns: tuple[Pattern, ...] = ()
    if best.any() and not best.all():
        patterns = find_patterns(columns, bonds, best, rng, alpha)
    useless = observations.observe((arms or {}).get("null", ()))
    return Analysis(
        sweep=sweep,
        metric=metric,
        runs=observations.observe(results).total,
        units=observed.total,
        merged=units.merged,
        diverged=len(observed.diverged),
        unmeasured=observed.se is None and not np.isfinite(observed.prompts).any(),
        alpha=alpha,
        high=HighPerformers(
            threshold=threshold,
            rule=rule,
            count=int(best.sum()),
            null=(int(marked(useless.delta).sum()), useless.total) if useless.total else None,
            patterns=patterns,
            conclusions=conclude(columns, bonds, patterns, best, alpha),
        ),
        ranges=None if column is None else by_range(observed, column, ranges),
        effects=effects,
        predicted=predicted,
        interactions=find_interactions(columns, effects, units, rng, alpha),
        left_out=left_out,
    )


def _check_outcomes(sweep: str, observed: observations.Observations, metric: Metric) -> None:
    if observed.total < FEWEST:
        some = f"{observed.total or 'no'} run{'' if observed.total == 1 else 's'} of {sweep}"
        raise UsageError(
            f"{some} ha{'s' if observed.total == 1 else 've'} finished with a {metric.name}; "
            f"a pattern takes at least {FEWEST}"
        )
    if not observed.completed:
        raise UsageError(
            f"all {observed.total} runs of {sweep} diverged: there is no {metric.name} to analyse"
        )
    if not observed.diverged and statistics.is_constant(observed.delta):
        value = f"{observed.delta[0]:+.6g}".replace("-", "−")
        raise UsageError(
            f"{metric.name} is {value} in every one of {observed.total} runs of {sweep}: a "
            "constant is no measurement of training, and there is no pattern in it"
        )


def _marking(
    outcomes: FloatArray, metric: Metric, asked: float | None
) -> tuple[float, Literal["above", "best third"]]:
    """Return the outcome that tells high performers from the others, and by which rule."""
    if asked is not None:
        return asked, "above"
    if metric.name == DELTA_PERF.name:
        return HIGH, "above"
    finite = np.sort(outcomes[np.isfinite(outcomes)])
    return float(finite[-max(1, outcomes.size // 3) :].min()), "best third"
