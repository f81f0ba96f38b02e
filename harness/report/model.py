"""Compute everything that a report of a sweep says; documents only write it down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from harness.metrics import DELTA_PERF, Metric
from harness.observations.budget import NoiseBudget, noise_budget
from harness.observations.health import Health, health
from harness.observations.repeats import SeedSpread, each_run, seed_spread
from harness.observations.selection import Selection, Worth, selection
from harness.records import CONFIRM, MAIN, Conditions, Result, Value
from harness.report.failures import Failure, failures
from harness.report.figures import (
    Arm,
    Curve,
    Range,
    Side,
    arms,
    common_rule,
    curve,
    published_side,
    ranges,
    side,
)
from harness.verdicts import (
    Baseline,
    Confirmed,
    Counts,
    Evidence,
    Finding,
    Judgement,
    NotNeeded,
    Outlook,
    Regressions,
    Verdict,
)


@dataclass(frozen=True, eq=False)
class Report:
    """A sweep's report. It is compared by identity, so that documents made of it can be cached.

    ``missing`` says in words which runs have not finished. ``runs`` are all that have a result, of
    any arm and status; a config with several seeds is one of them, and ``seeds`` tell the spread
    between configs from that between their seeds. ``own`` are the figures of the main runs,
    ``against`` those of the baseline if it is known. ``not_needed`` are runs that the sweep was
    answered without. ``compared`` has the questions of a reference report. ``baseline_read`` are
    lines on how a baseline that is a table was read. ``alpha`` is the level at which Holm's p is a
    headline. ``health`` is that of training, where it was measured. ``selection`` is what the
    main runs are worth after the best of them are chosen. ``budget`` is where their spread comes
    from, and ``outlook`` what further runs buy. A report ``of_table`` is of runs that are not
    trained here.
    """

    sweep: str
    baseline: str | None
    scaled_down: bool
    missing: tuple[str, ...]
    conditions: Conditions | None
    steps: int | None
    environment: Mapping[str, Value]
    runs: tuple[Result, ...]
    verdicts: tuple[Verdict, ...]
    findings: tuple[Finding, ...]
    own: Side
    against: Side | None = None
    baseline_runs: tuple[Result, ...] = ()
    counts: Counts | None = None
    ranges: tuple[Range, ...] = ()
    baseline_ranges: tuple[Range, ...] = ()
    curves: tuple[Curve, ...] = ()
    arms: tuple[Arm, ...] = ()
    seeds: SeedSpread | None = None
    scale: str = ""
    metric: Metric = DELTA_PERF
    not_needed: NotNeeded | None = None
    compared: Regressions | None = None
    baseline_read: tuple[str, ...] = ()
    alpha: float = 0.05
    of_table: bool = False
    health: Health | None = None
    selection: Selection = field(default_factory=lambda: Selection(None, 0))
    budget: NoiseBudget = field(default_factory=NoiseBudget)
    outlook: Outlook | None = None

    @property
    def complete(self) -> bool:
        """True if every planned run has finished or is not needed."""
        return not self.missing

    @property
    def settled(self) -> bool:
        """True if the report is complete and every question has been judged."""
        return self.complete and all(one.verdict != "not judged" for one in self.verdicts)

    @property
    def asked(self) -> tuple[Verdict, ...]:
        """The verdicts on what the sweep asks; the others are standard questions it leaves out."""
        return tuple(verdict for verdict in self.verdicts if verdict.claim)

    def about_parameters(self, asks: Literal["matters", "best"]) -> list[Verdict]:
        """Return the verdicts that say which parameters matter, or which values are best."""
        return [v for v in self.asked if v.effect is not None and v.effect.asks == asks]

    @property
    def confirmed(self) -> tuple[Confirmed, ...]:
        """The reference and the leaders with fresh seeds; empty where no question asks for them."""
        return next((verdict.confirmed for verdict in self.asked if verdict.confirmed), ())

    @cached_property
    def main(self) -> tuple[Result, ...]:
        """The sweep's own runs that are finished."""
        return tuple(r for r in self.runs if r.run.arm == MAIN and r.is_final)

    @cached_property
    def failures(self) -> tuple[Failure, ...]:
        """The runs that do not count, by their reason; those of a sweep are trained again."""
        return failures(result for result in self.singles if not result.is_final)

    @cached_property
    def singles(self) -> tuple[Result, ...]:
        """All runs that have a result, one by one: the seeds of a config too."""
        return each_run(self.runs)

    def level(self, result: Result) -> float | None:
        """Return the value of the metric that a run ended with; None where it has none."""
        found = result.outcome
        if found.delta_perf is None:
            return None
        measured = None if self.metric.is_change else found.value
        return self.metric.level(found.delta_perf) if measured is None else measured

    def worth(self, result: Result) -> Worth | None:
        """Return what a run is worth after selection; None where it is not known."""
        return self.selection.of.get(result.run.id) if result.run.arm == MAIN else None

    @property
    def lr_transfer(self) -> float:
        """The factor between the sweep's learning rates and the task's own."""
        return self.conditions.lr_transfer if self.conditions else 1.0


def build(judged: Judgement) -> Report:
    """Return the report of a judged sweep or table."""
    evidence = judged.evidence
    main, metric = evidence.runs, evidence.metric
    arm_runs = [result for results in evidence.arms.values() for result in results]
    every = (*main, *arm_runs, *judged.unfinished)
    baseline = evidence.baseline
    theirs = baseline.results if isinstance(baseline, Baseline) else ()
    rule = common_rule(main, theirs)
    own = side(evidence.sweep, main, evidence.seed, rule, theirs, metric=metric)
    against: Side | None = None
    if isinstance(baseline, Baseline):
        against = side(baseline.name, theirs, evidence.seed, rule, main, metric=metric)
    elif isinstance(baseline, Counts):
        against = published_side(baseline)
    # Leaders with fresh seeds have a table of their own, and are no sample of the sweep.
    told = any(verdict.confirmed for verdict in judged.verdicts)
    beside = {arm: of for arm, of in evidence.arms.items() if arm != CONFIRM or not told}
    return Report(
        sweep=evidence.sweep,
        baseline=baseline.name if baseline else evidence.baseline_name,
        scaled_down=judged.scaled_down,
        scale=judged.scale,
        missing=judged.missing,
        conditions=judged.conditions or (main[0].conditions if main else None),
        steps=judged.steps if judged.steps is not None else (main[0].run.steps if main else None),
        environment=_environment(each_run(every)),
        runs=every,
        verdicts=judged.verdicts,
        findings=judged.findings,
        own=own,
        against=against,
        baseline_runs=theirs,
        counts=baseline if isinstance(baseline, Counts) else None,
        ranges=ranges(main, own.improved, metric),
        baseline_ranges=ranges(theirs, against.improved, metric) if against else (),
        curves=_curves(evidence, theirs),
        arms=arms(beside, main, evidence.seed, rule, metric=metric),
        seeds=seed_spread(main) if any(result.repeats for result in main) else None,
        metric=metric,
        not_needed=judged.not_needed,
        compared=judged.compared,
        baseline_read=baseline.notes if isinstance(baseline, Baseline) else (),
        alpha=evidence.alpha,
        of_table=judged.of_table,
        health=health(main),
        selection=selection(main, evidence.given),
        budget=noise_budget(main, evidence.given),
        outlook=judged.outlook,
    )


def _curves(evidence: Evidence, theirs: Sequence[Result]) -> tuple[Curve, ...]:
    metric = evidence.metric
    lines = [curve(evidence.sweep, evidence.runs, metric)]
    if "half" in evidence.arms:
        lines.append(curve("half", evidence.arms["half"], metric))
    if theirs:
        lines.append(curve(evidence.baseline_name or "baseline", theirs, metric))
    return tuple(line for line in lines if line is not None)


def _environment(results: Sequence[Result]) -> dict[str, Value]:
    """Return the environment of all runs; an entry that differs has all of its values."""
    found: dict[str, dict[Value, None]] = {}
    for result in results:
        for name, value in result.environment.items():
            found.setdefault(name, {})[value] = None
    return {
        name: next(iter(values)) if len(values) == 1 else ", ".join(map(str, values))
        for name, values in found.items()
    }
