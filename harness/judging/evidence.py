"""Gather the evidence on a sweep: its finished runs, and those of its baseline."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.judging.baselines import (
    Named,
    check_comparable,
    check_metric,
    name_of,
    of_imported,
)
from harness.metrics import DELTA_PERF, Metric
from harness.observations.repeats import each_run, merge, merge_arms, unlike
from harness.observations.sample import observe
from harness.records import CONFIRM, IMPORTED, MAIN, Config, Outcome, Result, Run
from harness.sweeps.confirming import (
    FEWEST_SEEDS,
    MEDIAN,
    Confirm,
    Place,
    most_leaders,
    reference_place,
)
from harness.sweeps.plan import Plan, plan
from harness.sweeps.sweep import Sweep
from harness.verdicts import Baseline, Counts, Evidence, by_arm

if TYPE_CHECKING:
    from harness.store import Store

Lookup = Callable[[Mapping[str, Run]], Mapping[str, Result]]
"""Looks up runs by key, and returns the results there are of them."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Runs that a question needs and that have not finished."""

    missing: int
    needed: int
    what: str
    statuses: Mapping[str, int]

    def __str__(self) -> str:
        states = ", ".join(f"{count} {status}" for status, count in self.statuses.items())
        return f"{self.missing} of {self.needed} {self.what} missing" + (
            f" ({states})" if states else ""
        )


def once(lookup: Lookup) -> Lookup:
    """Return a lookup that asks ``lookup`` for each run once, and so answers the same each time.

    A report looks up all of its runs several times. They are read once, and agree even while other
    sessions add to the store.
    """
    known: dict[str, Result | None] = {}

    def remembered(runs: Mapping[str, Run]) -> Mapping[str, Result]:
        new = {key: run for key, run in runs.items() if key not in known}
        if new:
            known.update(dict.fromkeys(new) | dict(lookup(new)))
        return {key: result for key in runs if (result := known[key]) is not None}

    return remembered


def shortfall(
    wanted: Mapping[str, Run], lookup: Lookup, what: str = "runs", *, more: int = 0
) -> Shortfall | None:
    """Return the shortfall of ``wanted`` runs that have not finished; None where all have.

    ``more`` runs are wanted too, whose configs are not known yet.
    """
    found = lookup(wanted)
    missing = [key for key in wanted if key not in found or not found[key].is_final]
    if not missing and not more:
        return None
    states: Counter[str] = Counter(found[key].outcome.status for key in missing if key in found)
    return Shortfall(len(missing) + more, len(wanted) + more, what, states)


@dataclass(frozen=True, slots=True)
class Pooled:
    """Stored runs of a sweep that may be looked at together, and how many ``others`` there are.

    A config that was trained with several seeds is one result, the mean over them.
    """

    main: tuple[Result, ...]
    arms: Mapping[str, tuple[Result, ...]]
    others: int


def pooled(
    results: Iterable[Result], planned: Plan | None = None, declared: Sweep | None = None
) -> Pooled | None:
    """Return the stored runs of one sweep that count together; None where no main run is final.

    Runs of unequal declarations, steps or conditions are never pooled. If a sweep was run in more
    than one way, the runs most like ``planned`` count, or else the largest group. Runs of another
    backend count only where all of them are there and those of this backend are not. If the sweep
    is ``declared`` here, runs of another declaration are left out, and seeds beyond its number.
    """
    seeds = math.inf if declared is None else _seeds(declared, planned)
    final = [
        result
        for result in results
        if result.is_final and (result.run.repeat < seeds or result.run.arm == CONFIRM)
    ]
    groups: dict[tuple[object, ...], list[Result]] = {}
    for result in final:
        if result.run.arm == MAIN:
            groups.setdefault((_steps(result), *_circumstances(result)), []).append(result)
    candidates = [
        group
        for group in groups.values()
        if declared is None or group[0].run.declaration == declared.declaration
    ]
    if not candidates:
        return None
    wanted = _whole(declared, planned)
    best = max(candidates, key=lambda group: _likeness(group, planned, wanted))
    steps, alike = _steps(best[0]), _circumstances(best[0])
    arms = by_arm(
        result
        for result in final
        if result.run.arm != MAIN
        and _circumstances(result) == alike
        and (steps is None or result.run.steps in (steps, max(1, steps // 2)))
    )
    others = len(final) - len(best) - sum(map(len, arms.values()))
    main = tuple(best)
    if any(result.run.repeat for result in main):
        main, arms = _merged(main, arms, {result.run.id: result.run.config for result in main})
    return Pooled(main, arms, others)


def _merged(
    main: Sequence[Result],
    arms: Mapping[str, Sequence[Result]],
    configs: Mapping[str, Config],
    *,
    several: bool = False,
) -> tuple[tuple[Result, ...], dict[str, tuple[Result, ...]]]:
    """Return main runs and arms with the seeds of each config merged; see `repeats.merge`."""
    merged = merge(main, several=several)
    return merged.results, merge_arms(arms, merged, configs)


def judged_by(metric: Metric, results: Iterable[Result]) -> tuple[Result, ...]:
    """Return stored results as they are judged by ``metric``: more is better, the curve too.

    By a sweep's own metric, the outcome of a completed run is that of its value; of perf before and
    after, and of rewards in training, nothing is then known.
    """
    if metric == DELTA_PERF:
        return tuple(results)
    return tuple(
        replace(
            result,
            outcome=_turned(metric, result.outcome),
            repeats=judged_by(metric, result.repeats),
        )
        for result in results
    )


def _turned(metric: Metric, found: Outcome) -> Outcome:
    done = found.status == "completed" and found.value is not None
    return replace(
        found,
        perf_before=None,
        perf_after=None,
        delta_perf=metric.outcome(found.value) if done and found.value is not None else None,
        train_delta_perf=None,
        prompts_changed=None,
        clusters_changed=None,
        curve=tuple(point._replace(perf=metric.change(point.perf)) for point in found.curve),
    )


def resolve_baseline(
    name: str, sweeps: Mapping[str, Sweep], store: Store, planned: Plan
) -> tuple[Baseline | None, Shortfall | None]:
    """Return the finished runs of the baseline called ``name``, and those it lacks if declared.

    They are judged by the metric of ``planned``.

    Raises
    ------
    UsageError
        Where the runs of a baseline that is not declared were trained for another metric.
    """
    sweep, metric = sweeps.get(name), planned.sweep.judged_by
    found = pooled(store.results(sweep=name, arm=MAIN, traces=False), planned, sweep)
    if found is None:
        return None, None
    if sweep is None:
        theirs = Metric.of(found.main[0].conditions)
        check_metric(
            planned.sweep.name, replace(metric, zero=theirs.zero, target=0.0), name, theirs
        )
    main = judged_by(metric, found.main)
    if found.main[0].conditions.backend == IMPORTED:
        return of_imported(name, main, metric), None
    wanted, lacking = _whole(sweep, planned), None
    finished = len(each_run(found.main))
    if finished < wanted:
        lacking = Shortfall(wanted - finished, wanted, f"runs of {name}", {})
    return Baseline(name, main), lacking


def gather(
    planned: Plan,
    lookup: Lookup,
    baseline: Baseline | Counts | None = None,
    baseline_name: str | None = None,
) -> Evidence:
    """Return the finished runs of a plan as evidence beside its baseline."""
    found = lookup(planned.runs)
    results = (found[key] for key in planned.runs if key in found)
    configs = {run.id: run.config for run in planned.of_arms().values()}
    merging = configs if planned.size < len(configs) else None
    return evidence_of(planned.sweep, results, baseline, baseline_name, merging=merging)


def evidence_of(
    sweep: Sweep,
    results: Iterable[Result],
    baseline: Baseline | Counts | None = None,
    baseline_name: str | None = None,
    *,
    merging: Mapping[str, Config] | None = None,
) -> Evidence:
    """Return the finished runs among the stored ``results`` as evidence on ``sweep``.

    They are judged by its metric, under its thresholds. The ``baseline`` is judged so already.
    With ``merging``, the configs of the main runs by their ids, each config is one result, the mean
    over its seeds.
    """
    found = Evidence.from_results(
        sweep.name,
        judged_by(sweep.judged_by, results),
        baseline=baseline,
        baseline_name=baseline_name,
        alpha=sweep.alpha,
        margin=sweep.margin,
        min_gain=sweep.min_gain or 0.0,
        seed=sweep.seed,
        metric=sweep.judged_by,
    )
    main, arms = found.runs, found.arms
    if merging is not None:
        main, arms = _merged(main, arms, merging, several=True)
    theirs = baseline.results if isinstance(baseline, Baseline) else None
    return replace(
        found,
        runs=main,
        arms=arms,
        unlike=None if theirs is None else unlike(main, theirs),
        runs_having=sweep.runs_having,
        given=sweep.parameters.dependencies,
        questions=len(sweep.questions),
    )


def with_leaders(planned: Plan, lookup: Lookup) -> Plan:
    """Return a plan whose confirming runs have their configs, once all main runs are final.

    The leaders are the configs with the best results, each config once. The median is the middle
    one of those that completed, the lower of two.
    """
    if not planned.open or shortfall(planned.of_arms(), lookup) is not None:
        return planned
    main = gather(replace(planned, runs=planned.of_arms(), open=()), lookup).runs
    observed = observe(merge(main, several=True).results)
    order = np.argsort(-observed.delta, kind="stable")
    ranked = [
        Place(result.run.config, result.run.id)
        for result in map(observed.completed.__getitem__, order)
    ]
    reference = reference_place(planned.sweep, planned.of_arms().values())
    if reference is None and len(ranked) > 1:
        reference = ranked[len(ranked) // 2]
        ranked = ranked[: len(ranked) // 2]
    if reference is None:
        return planned.with_places({})
    leaders = [place for place in ranked if place.config != reference.config]
    return planned.with_places(dict(enumerate([reference, *leaders])))


@dataclass(frozen=True, slots=True)
class Gathered:
    """The evidence on a planned sweep; ``absent`` are runs of its baseline still to finish.

    ``lookup`` finds its runs, asking for each once. ``store`` holds the questions that were
    registered before the first run.
    """

    planned: Plan
    evidence: Evidence
    absent: Shortfall | None
    lookup: Lookup
    store: Store


def gathered(
    planned: Plan,
    sweeps: Mapping[str, Sweep],
    store: Store,
    *,
    baseline: Named | None = None,
    lookup: Lookup | None = None,
    running: Iterable[str] = (),
) -> Gathered:
    """Return the finished runs of a planned sweep beside its baseline's.

    Parameters
    ----------
    sweeps
        The sweeps that are declared, by name.
    baseline
        A baseline in place of the declared one.
    lookup
        Where to find runs by key, in place of the store.
    running
        Names of the sweeps that this session runs: a baseline among them must be complete.
    """
    lookup = once(lookup or store.of)
    planned = with_leaders(planned, lookup)
    named = baseline_of(planned.sweep, baseline)
    check_comparable(planned.sweep, named, sweeps)
    absent: Shortfall | None = None
    at_hand: Baseline | Counts | None
    if not isinstance(named, str):
        at_hand = named
    elif named in set(running) and named in sweeps:
        theirs = plan(sweeps[named], planned.selection, trains=False)
        absent = shortfall(theirs.of_arms(), lookup, f"runs of {named}")
        at_hand = Baseline(named, gather(theirs, lookup).runs)
    else:
        at_hand, absent = resolve_baseline(named, sweeps, store, planned)
    name = None if named is None else name_of(named)
    evidence = gather(planned, lookup, at_hand, name)
    return Gathered(planned, evidence, absent, lookup, store)


def with_confirmed(found: Gathered) -> Evidence:
    """Return the evidence with the stored runs that confirm its leaders, as `sweep confirm` trains.

    Where the sweep declares them they are there already. Runs of configs that lead no more are left
    out, and so is a reference other than the median.
    """
    planned, evidence = found.planned, found.evidence
    sweep = planned.sweep
    if CONFIRM in sweep.arms or not evidence.runs:
        return evidence
    stored = found.store.results(sweep.name, arm=CONFIRM, traces=False)
    most = most_leaders(planned.configs, MEDIAN)
    if not stored or most < 1:
        return evidence
    top = max(1, min(most, max(result.run.index for result in stored)))
    size = Confirm(top, max(FEWEST_SEEDS, 1 + max(result.run.repeat for result in stored)))
    asked = replace(sweep, arms={CONFIRM: size}, questions={})
    selection = replace(planned.selection, arms=None)
    whole = with_leaders(plan(asked, selection, trains=False), found.lookup)
    results = found.store.of(whole.of_arms((CONFIRM,)), traces=False).values()
    confirmed = judged_by(sweep.judged_by, (result for result in results if result.is_final))
    return replace(evidence, arms={**evidence.arms, CONFIRM: confirmed}) if confirmed else evidence


def baseline_of(sweep: Sweep, named: Named | None) -> Named | None:
    """Return the baseline of ``sweep``: the one ``named``, or else the one it declares."""
    return sweep.baseline if named is None else named


def _whole(sweep: Sweep | None, planned: Plan | None) -> int:
    """Return how many main runs a whole declared sweep has; 0 where none is declared."""
    if sweep is None:
        return 0
    asked = planned.selection.runs if planned is not None else None
    return min(asked or sweep.runs, sweep.runs) * _seeds(sweep, planned)


def _seeds(sweep: Sweep, planned: Plan | None) -> int:
    """Return how many seeds of a config count: those asked for, up to those it declares."""
    asked = planned.selection.seeds if planned is not None else None
    return min(asked or sweep.seeds, sweep.seeds)


def _steps(result: Result) -> int | None:
    """Return the steps that pooled main runs agree on; None for those of an imported table."""
    return None if result.conditions.backend == IMPORTED else result.run.steps


def _circumstances(result: Result) -> tuple[object, ...]:
    """Return the circumstances that pooled runs share, except their number of steps."""
    if result.conditions.backend == IMPORTED:
        return (IMPORTED,)  # the runs of one table; nothing more is known of them
    conditions = replace(result.conditions, device="", trainer="")
    return (result.run.declaration, result.run.declared_steps, conditions)


def _likeness(results: list[Result], planned: Plan | None, wanted: int) -> tuple[object, ...]:
    """Return how well a group of results suits ``planned``, as a key to compare groups by.

    ``wanted`` is the least number of runs of a whole group.
    """
    latest = max(r.finished_at or "" for r in results)
    if planned is None:
        return (len(results), latest)
    run, theirs, ours = results[0].run, results[0].conditions, planned.conditions
    alike = [
        getattr(theirs, name) == getattr(ours, name)
        for name in ("task", "task_version", "model", "precision", "trainer_version")
    ]
    asked = run.steps == (planned.selection.steps or run.declared_steps)
    whole, same = len(results) >= wanted, theirs.backend == ours.backend
    return (sum(alike), asked, whole, same, len(results), latest)
