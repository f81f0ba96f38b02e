"""Find the patterns in a finished sweep, how likely chance gives them, and which are evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from harness import observations, statistics
from harness.analysis.columns import find_associations
from harness.analysis.effects import (
    Effect,
    Interaction,
    Interactions,
    find_effects,
    find_interactions,
)
from harness.analysis.patterns import Conclusion, Pattern, conclude, find_patterns
from harness.analysis.ranges import Ranges, by_range, check_edges, choose_parameter
from harness.analysis.units import HighRule, high_rule, units_of
from harness.errors import UsageError
from harness.metrics import Metric
from harness.observations.budget import NoiseBudget, noise_budget
from harness.observations.columns import LeftOut, read_columns
from harness.observations.repeats import SeedSpread, each_run, merge, seed_spread
from harness.observations.selection import Selection, selection
from harness.records import USELESS, Result
from harness.text import exact, plural
from harness.verdicts import Evidence, Outlook, Verdict

__all__ = [
    "Analysis",
    "Conclusion",
    "Effect",
    "Interaction",
    "Pattern",
    "Ranges",
    "analyze",
    "high_rule",
    "interactions_of",
]

FEWEST = 4
"""The fewest runs in which a pattern is looked for."""


@dataclass(frozen=True, slots=True)
class HighPerformers:
    """The high performers, by the `HighRule` of this ``threshold`` and kind of ``rule``.

    ``count`` is their number among the units analysed. ``useless`` has their number and that of all
    runs in each arm of useless training that there is. ``patterns`` are all that were tested.
    """

    threshold: float
    rule: Literal["above", "best third"]
    count: int
    useless: Mapping[str, tuple[int, int]]
    patterns: tuple[Pattern, ...]
    conclusions: tuple[Conclusion, ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """The patterns in a finished sweep.

    ``units`` is the number of final ``runs``, or of configurations where repeats were ``merged``;
    ``diverged`` of them have no outcome. ``unmeasured`` means that neither standard errors nor
    held-out prompts are known. ``effects`` are those of each parameter with the others held equal,
    the largest first. ``left_out`` has the parameters that are not analysed, each with a reason.
    ``seeds`` tell the spread between configurations from that between the runs of one.
    ``selection`` is what the runs are worth after the best of them are chosen, a configuration
    counting once, and ``leaders`` are the high performers among these, the best first. ``budget``
    is where the spread of the runs comes from, ``outlook`` what further ones buy.
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
    interactions: Interactions
    left_out: Mapping[str, LeftOut]
    seeds: SeedSpread | None = None
    selection: Selection = field(default_factory=lambda: Selection(None, 0))
    leaders: tuple[Result, ...] = ()
    budget: NoiseBudget = field(default_factory=NoiseBudget)
    outlook: Outlook | None = None


def analyze(
    evidence: Evidence,
    *,
    asked: Sequence[Verdict] = (),
    outlook: Outlook | None = None,
    high: float | None = None,
    parameter: str | None = None,
    ranges: Sequence[float] | None = None,
) -> Analysis:
    """Find the patterns in the main runs of a sweep; equal evidence gives an equal analysis.

    Patterns, parameters and interactions are each shown at the evidence's α, corrected for their
    number.

    Parameters
    ----------
    evidence
        The runs. How many in its arms of useless training are as high as the best is counted.
    asked
        The verdicts of a report on these runs. What it says of a parameter is said here too.
    outlook
        What further runs buy, as a report on these runs says.
    high
        The outcome that a high performer exceeds; where None, see `high_rule`.
    parameter, ranges
        The numeric parameter to show by range, and the edges of the ranges; chosen where None.

    Raises
    ------
    UsageError
        Where there is nothing to analyse: too few runs, no outcome that varies, no parameter that
        varies; or where the parameter or the ranges asked for cannot be used.
    """
    sweep, metric, alpha = evidence.sweep, evidence.metric, evidence.alpha
    if ranges is not None:
        check_edges(ranges)
    runs = each_run(evidence.runs)
    units = units_of(runs)
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
    rng = np.random.default_rng([abs(evidence.seed), 0xA7A1])
    associations = find_associations(columns, evidence.given or {}, rng)
    effects = find_effects(evidence, columns, asked)
    rule = high_rule(units.outcomes, metric, high)
    best = rule.of(units.outcomes)
    patterns: tuple[Pattern, ...] = ()
    if best.any() and not best.all():
        patterns = find_patterns(columns, associations, best, rng, alpha)
    chosen = selection(evidence.runs, evidence.given)
    useless = {arm: observations.observe(evidence.arms.get(arm, ())) for arm in USELESS}
    return Analysis(
        sweep=sweep,
        metric=metric,
        runs=observations.observe(runs).total,
        units=observed.total,
        merged=units.merged,
        diverged=len(observed.diverged),
        unmeasured=observed.se is None and not np.isfinite(observed.prompts).any(),
        alpha=alpha,
        high=HighPerformers(
            threshold=rule.threshold,
            rule=rule.kind,
            count=int(best.sum()),
            useless={
                arm: (int(rule.of(runs.delta).sum()), runs.total)
                for arm, runs in useless.items()
                if runs.total
            },
            patterns=patterns,
            conclusions=conclude(columns, associations, patterns, best, alpha),
        ),
        ranges=None if column is None else by_range(observed, column, ranges),
        effects=effects,
        interactions=find_interactions(columns, effects, units, rng, alpha),
        left_out=left_out,
        seeds=seed_spread(runs) if merge(runs).merged else None,
        selection=chosen,
        leaders=_leaders(chosen, rule),
        budget=noise_budget(evidence.runs, evidence.given),
        outlook=outlook,
    )


def _leaders(chosen: Selection, rule: HighRule) -> tuple[Result, ...]:
    """Return the high performers among what could be chosen, the best first."""
    outcomes = np.array([result.outcome.delta_perf for result in chosen.results], dtype=np.float64)
    high = rule.of(outcomes)
    return tuple(
        chosen.results[place] for place in np.argsort(-outcomes, kind="stable") if high[place]
    )


def interactions_of(evidence: Evidence, asked: Sequence[Verdict]) -> Interactions:
    """Find the pairs of parameters whose effects do not add up, as `analyze` does.

    The parameters are those that the verdicts ``asked`` are about.
    """
    units = units_of(evidence.runs)
    if units.finished.sum() < FEWEST:
        return Interactions((), 0, None)
    columns, _ = read_columns(units.configs)
    told = Counter(verdict.effect.parameter for verdict in asked if verdict.effect)
    effects = find_effects(evidence, [name for name in columns if told[name] == 2], asked)
    rng = np.random.default_rng([abs(evidence.seed), 0xA7A1])
    return find_interactions(columns, effects, units, rng, evidence.alpha)


def _check_outcomes(sweep: str, observed: observations.Observations, metric: Metric) -> None:
    if observed.total < FEWEST:
        some = plural(observed.total, "run") if observed.total else "no runs"
        have = "has" if observed.total == 1 else "have"
        raise UsageError(
            f"{some} of {sweep} {have} finished with {metric.name}; a pattern takes at "
            f"least {FEWEST}"
        )
    if not observed.completed:
        raise UsageError(
            f"all {observed.total} runs of {sweep} diverged: there is no {metric.name} to analyse"
        )
    if not observed.diverged and statistics.is_constant(observed.delta):
        raise UsageError(
            f"{metric.name} is {exact(observed.delta[0])} in every one of {observed.total} runs of "
            f"{sweep}: a constant is no measurement of training, and there is no pattern in it"
        )
