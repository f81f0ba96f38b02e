"""The tables of a report as plain values: estimates from `harness.statistics`, nothing rounded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.records import Counts, Result, Value, finite

LEVEL = 0.95
"""Confidence of the intervals in tables; a verdict's own interval says its level."""

SHOWN = "shown by its own interval"
POSITIVE = "ΔPerf > 0"


@dataclass(frozen=True, slots=True)
class Estimated:
    """A number and its 95% interval; None where the data do not give it."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def error(self) -> float | None:
        """Half of the interval's width."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Side:
    """A set of runs in numbers: the sweep itself, its baseline, or an arm.

    ``successes`` counts by ``rule``, over all ``runs``; a diverged run is no success and has no
    part in the other figures. ``spread_net`` is the spread without measurement noise.
    """

    name: str
    runs: int
    diverged: int
    steps: tuple[int, ...]
    rule: str
    successes: int
    success: Estimated
    positive: int | None = None
    mean: Estimated = Estimated()
    spread: Estimated = Estimated()
    spread_net: float | None = None
    worst_quarter: Estimated = Estimated()
    middle_half: Estimated = Estimated()


@dataclass(frozen=True, slots=True)
class Range:
    """The runs of one range of learning rates."""

    low: float
    high: float
    runs: int
    mean: Estimated
    successes: int


@dataclass(frozen=True, slots=True)
class Curve:
    """The mean learning curve of ``runs`` runs over the steps at which all of them have a point."""

    name: str
    runs: int
    steps: tuple[int, ...]
    perf: tuple[Estimated, ...]


@dataclass(frozen=True, slots=True)
class Arm:
    """An arm beside the main runs it is matched with.

    ``value`` is what an arm of a parameter sets it to, and ``difference`` the mean of arm minus
    main over ``pairs`` pairs. ``moved`` counts runs whose ΔPerf is not exactly zero.
    """

    name: str
    value: Value
    side: Side
    difference: Estimated
    pairs: int
    moved: int


def side(name: str, results: Sequence[Result], seed: int, *, rule: str | None = None) -> Side:
    """Return the figures of ``results``; random numbers for the bootstrap come from ``seed``."""
    from harness.statistics.estimates import interquartile_mean, mean_interval, net_sd, wilson

    import_rng = _generator(seed)
    deltas, errors = deltas_of(results), errors_of(results)
    rule = rule or rule_of(results)
    successes = sum(is_success(result, rule) for result in results)
    return Side(
        name=name,
        runs=len(results),
        diverged=sum(result.outcome.status == "diverged" for result in results),
        steps=tuple(sorted({result.run.steps for result in results})),
        rule=rule,
        successes=successes,
        success=estimated(wilson(successes, len(results), LEVEL)) if results else Estimated(),
        positive=sum(delta > 0 for delta in deltas),
        mean=estimated(mean_interval(deltas, LEVEL)),
        spread=_spread(deltas),
        spread_net=finite(net_sd(deltas, errors)) if errors else None,
        worst_quarter=_worst_quarter(deltas),
        middle_half=estimated(interquartile_mean(deltas, import_rng, LEVEL)),
    )


def published_side(counts: Counts) -> Side:
    """Return what published counts say."""
    from harness.statistics.estimates import wilson

    return Side(
        name=counts.name,
        runs=counts.runs,
        diverged=0,
        steps=(),
        rule=counts.rule,
        successes=counts.successes,
        success=estimated(wilson(counts.successes, counts.runs, LEVEL)),
    )


def ranges(results: Sequence[Result], rule: str) -> tuple[Range, ...]:
    """Return the runs by range of learning rate, with edges at 1 and 3 of every decade.

    The outermost edges are clipped to the data. Without two learning rates there is no table.
    """
    from harness.statistics.estimates import mean_interval

    rated = [(rate, r) for r in results if (rate := learning_rate_of(r)) is not None]
    rates = [rate for rate, _ in rated]
    if len(set(rates)) < 2:
        return ()
    edges = _edges(min(rates), max(rates))
    rows = []
    for low, high in zip(edges, edges[1:], strict=False):
        last = high == edges[-1]
        inside = [r for rate, r in rated if low <= rate and (rate < high or last)]
        if inside:
            rows.append(
                Range(
                    low=low,
                    high=high,
                    runs=len(inside),
                    mean=estimated(mean_interval(deltas_of(inside), LEVEL)),
                    successes=sum(is_success(result, rule) for result in inside),
                )
            )
    return tuple(rows)


def curve(name: str, results: Sequence[Result]) -> Curve | None:
    """Return the mean learning curve of the completed runs, None where they share no point."""
    from harness.statistics.estimates import mean_interval

    curves = [
        {point.step: point.perf for point in result.outcome.curve}
        for result in results
        if result.outcome.status == "completed" and result.outcome.curve
    ]
    common = set.intersection(*(set(points) for points in curves)) if curves else set()
    if len(common) < 2:
        return None
    steps = tuple(sorted(common))
    return Curve(
        name=name,
        runs=len(curves),
        steps=steps,
        perf=tuple(
            estimated(mean_interval([points[step] for points in curves], LEVEL)) for step in steps
        ),
    )


def arms(
    by_arm: Mapping[str, Sequence[Result]], main: Sequence[Result], rule: str, seed: int
) -> tuple[Arm, ...]:
    """Return each arm beside its main runs; an arm of a parameter by the values it sets."""
    from harness.statistics.estimates import mean_interval

    matched = {result.run.id: result.outcome.delta_perf for result in main}
    rows = []
    for name, all_results in by_arm.items():
        groups: dict[Value, list[Result]] = {}
        for result in all_results:
            value = result.run.config.get(name) if name in result.run.config else None
            groups.setdefault(value, []).append(result)
        for value, results in groups.items():
            differences = [
                delta - other
                for result in results
                if (delta := result.outcome.delta_perf) is not None
                and (other := matched.get(result.run.pair or "")) is not None
            ]
            rows.append(
                Arm(
                    name=name,
                    value=value,
                    side=side(name, results, seed, rule=rule),
                    difference=estimated(mean_interval(differences, LEVEL)),
                    pairs=len(differences),
                    moved=sum(delta != 0 for delta in deltas_of(results)),
                )
            )
    return tuple(rows)


def rule_of(*groups: Iterable[Result]) -> str:
    """Return the rule a success is counted by: by its interval where every run has one."""
    results = [result for group in groups for result in group]
    known = [result for result in results if result.outcome.delta_perf is not None]
    return SHOWN if all(r.outcome.delta_perf_se is not None for r in known) else POSITIVE


def is_success(result: Result, rule: str) -> bool:
    """Return whether a run counts as a success by ``rule``."""
    from harness.statistics.estimates import shown_to_improve

    outcome = result.outcome
    if outcome.delta_perf is None:
        return False
    if rule == POSITIVE or outcome.delta_perf_se is None:
        return rule == POSITIVE and outcome.delta_perf > 0
    prompts = math.nan if outcome.prompts is None else float(outcome.prompts)
    changed = math.nan if outcome.prompts_changed is None else float(outcome.prompts_changed)
    shown = shown_to_improve([outcome.delta_perf], [outcome.delta_perf_se], [prompts], [changed])
    return bool(shown[0])


def deltas_of(results: Iterable[Result]) -> list[float]:
    """Return the ΔPerf of those that have one."""
    return [r.outcome.delta_perf for r in results if r.outcome.delta_perf is not None]


def errors_of(results: Iterable[Result]) -> list[float]:
    """Return the standard errors of ΔPerf, none at all where one is missing."""
    known = [r.outcome.delta_perf_se for r in results if r.outcome.delta_perf is not None]
    return [] if None in known else [error for error in known if error is not None]


def learning_rate_of(result: Result) -> float | None:
    """Return a run's learning rate where it is a number above zero."""
    rate = result.run.config.get("learning_rate")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0:
        return None
    return finite(rate)


def estimated(estimate: object) -> Estimated:
    """Return an estimate of `harness.statistics` with None in the place of what is not finite."""
    return Estimated(*(finite(getattr(estimate, name)) for name in ("value", "low", "high")))


def _edges(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inner = (float(f"{m}e{d}") for d in decades for m in (1, 3))
    return [low, *(edge for edge in inner if low < edge < high), high]


def _worst_quarter(deltas: Sequence[float]) -> Estimated:
    from scipy import stats

    from harness.statistics.estimates import cvar, cvar_standard_error

    value = finite(cvar(deltas))
    error = finite(cvar_standard_error(deltas))
    if value is None or error is None:
        return Estimated(value)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(deltas) - 1)) * error
    return Estimated(value, value - half, value + half)


def _spread(deltas: Sequence[float]) -> Estimated:
    """Return the standard deviation with the interval of Bonett (2006), which tails do not fool.

    Comput. Stat. Data Anal. 50:775. It needs five values that are not all equal.
    """
    import numpy as np
    from scipy import stats

    x = np.asarray(deltas, dtype=np.float64)
    if x.size < 2:
        return Estimated()
    deviation = float(np.std(x, ddof=1))
    squares = float(((x - x.mean()) ** 2).sum())
    if x.size < 5 or squares <= 0 or np.ptp(x) <= 1e-12 * np.max(np.abs(x)):
        return Estimated(deviation)
    trimmed = stats.trim_mean(x, 1 / (2 * math.sqrt(x.size - 4))) if x.size > 5 else np.median(x)
    kurtosis = x.size * float(((x - trimmed) ** 4).sum()) / squares**2
    z = float(stats.norm.ppf((1 + LEVEL) / 2))
    correction = x.size / (x.size - z)
    error = correction * math.sqrt(max(0.0, kurtosis - (x.size - 3) / x.size) / (x.size - 1))
    middle = math.log(correction * deviation**2)
    low, high = (math.sqrt(math.exp(middle + sign * z * error)) for sign in (-1, 1))
    return Estimated(deviation, min(low, deviation), max(high, deviation))


def _generator(seed: int) -> object:
    import numpy as np

    return np.random.default_rng(seed)
