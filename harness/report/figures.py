"""Estimate the figures of a report's tables, without rounding, as values of the metric."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np

from harness import statistics
from harness.metrics import DELTA_PERF, Metric
from harness.observations import (
    count_successes,
    identity,
    moved_by,
    observe,
    partner,
    rule_text,
    worst_value,
)
from harness.records import CONFIRM, Config, Result, Value, finite, is_number
from harness.statistics import Estimate
from harness.verdicts import Counts, Rule

LEVEL = 0.95
"""Confidence of the intervals in tables; a verdict's own interval says its level."""


UNKNOWN = Estimate(math.nan, -math.inf, math.inf, LEVEL, 0, "")
"""An estimate that the data do not give."""


@dataclass(frozen=True, slots=True)
class Side:
    """A set of runs in numbers: the sweep itself, its baseline, or an arm.

    ``successes`` counts by ``rule``, over all ``runs``; a diverged run is no success, ranks worst
    in the worst quarter, and has no part in the other figures. ``positive`` are the runs that are
    better than 0, or than the target. ``spread_net`` is the spread without measurement noise.
    ``improved`` are the ids of the successes.
    """

    name: str
    runs: int
    rule: str
    successes: int
    success: Estimate
    diverged: int = 0
    steps: tuple[int, ...] = ()
    positive: int | None = None
    mean: Estimate = UNKNOWN
    spread: Estimate = UNKNOWN
    spread_net: float | None = None
    worst_quarter: Estimate = UNKNOWN
    middle_half: Estimate = UNKNOWN
    improved: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Range:
    """The runs of one range of learning rates."""

    low: float
    high: float
    runs: int
    mean: Estimate
    successes: int


@dataclass(frozen=True, slots=True)
class Curve:
    """The mean learning curve of ``runs`` runs, at the steps where all of them have a point."""

    name: str
    runs: int
    steps: tuple[int, ...]
    perf: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True)
class Arm:
    """An arm beside the main runs it is matched with.

    An arm of a parameter sets it to ``value``, which may be None. ``difference`` is the mean of arm
    minus main over ``pairs`` pairs. ``moved`` is the number of runs that did not end where they
    started, of the ``known`` ones: see `observations.moved`.
    """

    name: str
    is_of_parameter: bool
    value: Value
    side: Side
    difference: Estimate
    pairs: int
    moved: int
    known: int


def side(
    name: str,
    results: Sequence[Result],
    seed: int,
    rule: Rule,
    others: Sequence[Result] = (),
    *,
    metric: Metric = DELTA_PERF,
) -> Side:
    """Return the figures of ``results``; the bootstrap draws from a generator of ``seed``.

    Diverged runs rank at the worst ΔPerf of ``results`` and ``others``, as they do when compared.
    By a metric without a zero no run is a success.
    """
    observed = observe(results)
    counted = count_successes(observed, min_gain=0.0, rule=rule)
    ranked = [*observed.delta, *[worst_value(observed, observe(others))] * len(observed.diverged)]
    generator = np.random.default_rng(seed)
    return Side(
        name=name,
        runs=observed.total,
        diverged=len(observed.diverged),
        steps=tuple(sorted({result.run.steps for result in results})),
        rule=rule_text(counted.rule, metric),
        successes=counted.successes,
        success=statistics.wilson(counted.successes, counted.runs, LEVEL),
        positive=int((observed.delta > 0).sum()),
        mean=own(metric, statistics.mean_interval(observed.delta, LEVEL)),
        spread=statistics.sd_interval(observed.delta, LEVEL),
        spread_net=statistics.net_sd(observed.delta, observed.se)
        if observed.se is not None and observed.se.size
        else None,
        # Of another metric than ΔPerf nobody knows a value for runs that all diverged.
        worst_quarter=own(metric, statistics.cvar_interval(ranked, LEVEL))
        if observed.delta.size or metric == DELTA_PERF
        else UNKNOWN,
        middle_half=own(metric, statistics.interquartile_mean(observed.delta, generator, LEVEL)),
        improved=frozenset(counted.improved if metric.knows_success else ()),
    )


def published_side(counts: Counts) -> Side:
    """Return the figures of published counts."""
    return Side(
        name=counts.name,
        runs=counts.runs,
        rule=counts.rule,
        successes=counts.successes,
        success=statistics.wilson(counts.successes, counts.runs, LEVEL),
    )


def own(metric: Metric, outcome: Estimate) -> Estimate:
    """Return an estimated outcome as a value of the metric, with its interval."""
    low, high = metric.ends(outcome.low, outcome.high)
    return replace(outcome, value=metric.level(outcome.value), low=low, high=high)


def ranges(
    results: Sequence[Result], improved: frozenset[str], metric: Metric = DELTA_PERF
) -> tuple[Range, ...]:
    """Return the runs by range of learning rate, with edges at 1 and 3 of every decade.

    The outermost edges are clipped to the data. Without two learning rates there is no table.
    """
    rated = [(rate, r) for r in results if (rate := rate_of(r.run.config)) is not None]
    rates = [rate for rate, _ in rated]
    if len(set(rates)) < 2:
        return ()
    edges = _edges(min(rates), max(rates))
    inside: dict[int, list[Result]] = {}
    for rate, result in rated:
        place = bisect.bisect_right(edges, rate) - 1
        inside.setdefault(min(place, len(edges) - 2), []).append(result)
    return tuple(
        Range(
            low=edges[place],
            high=edges[place + 1],
            runs=len(runs),
            mean=own(metric, statistics.mean_interval(deltas_of(runs), LEVEL)),
            successes=sum(result.run.id in improved for result in runs),
        )
        for place, runs in sorted(inside.items())
    )


def curve(name: str, results: Sequence[Result], metric: Metric = DELTA_PERF) -> Curve | None:
    """Return the mean learning curve of the completed runs; None where they share no point."""
    curves = [
        {step: metric.change(perf) for step, perf, _, _ in result.outcome.curve}
        for result in results
        if result.outcome.status == "completed" and result.outcome.curve
    ]
    common = set.intersection(*map(set, curves)) if curves else set()
    if len(common) < 2:
        return None
    steps = tuple(sorted(common))
    perfs = np.array([itemgetter(*steps)(curve) for curve in curves])
    return Curve(
        name=name,
        runs=len(curves),
        steps=steps,
        perf=tuple(statistics.mean_interval(column, LEVEL) for column in perfs.T),
    )


def arms(
    by_arm: Mapping[str, Sequence[Result]],
    main: Sequence[Result],
    seed: int,
    rule: Rule,
    *,
    metric: Metric = DELTA_PERF,
) -> tuple[Arm, ...]:
    """Return each arm beside its main runs, an arm of a parameter once for each value.

    Runs that confirm the leaders share no seed with them, and are no pairs.
    """
    if not by_arm:
        return ()
    matched = {identity(result): result.outcome.delta_perf for result in main}
    rows = []
    for name, all_results in by_arm.items():
        groups: dict[Value, list[Result]] = {}
        for result in all_results:
            value = result.run.config.get(name)
            groups.setdefault(value, []).append(result)
        for value, results in groups.items():
            differences = [
                metric.change(delta - other)
                for result in results
                if (delta := result.outcome.delta_perf) is not None
                and (other := matched.get(partner(result))) is not None
                and name != CONFIRM
            ]
            movements = list(moved_by(results, metric))
            rows.append(
                Arm(
                    name=name,
                    is_of_parameter=any(name in result.run.config for result in results),
                    value=value,
                    side=side(name, results, seed, rule, metric=metric),
                    difference=statistics.mean_interval(differences, LEVEL),
                    pairs=len(differences),
                    moved=sum(moved != 0.0 for moved in movements),
                    known=len(movements),
                )
            )
    return tuple(rows)


def common_rule(*samples: Sequence[Result]) -> Rule:
    """Return the success rule that all of ``samples`` allow."""
    seen = [observe(sample) for sample in samples]
    shown = all(observed.rule == "shown" for observed in seen if observed.completed)
    return "shown" if shown and any(observed.completed for observed in seen) else "above zero"


def deltas_of(results: Iterable[Result]) -> list[float]:
    """Return the ΔPerf of the results that have one."""
    return [delta for r in results if (delta := finite(r.outcome.delta_perf)) is not None]


def rate_of(config: Config) -> float | None:
    """Return a config's learning rate where it is a number above zero."""
    rate = config.get("learning_rate")
    return finite(rate) if is_number(rate) and rate > 0 else None


def _edges(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inner = (float(f"{m}e{d}") for d in decades for m in (1, 3))
    return [low, *(edge for edge in inner if low < edge < high), high]
