"""What a sweep is judged on: its finished runs, and those of its baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.judging.baselines import Named, name_of, of_imported
from harness.records import IMPORTED, MAIN, Result, Run
from harness.sweeps.plan import Plan, Selection, plan
from harness.sweeps.sweep import Sweep
from harness.verdicts import Baseline, Counts, Evidence

if TYPE_CHECKING:
    from harness.store import Store

Lookup = Callable[[Mapping[str, Run]], Mapping[str, Result]]
"""From runs by key to the results there are of them, each of its run as given."""


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

    Whoever makes a report looks up all of its runs several times: that is to cost reading once, and
    to agree while other sessions add to the store.
    """
    known: dict[str, Result | None] = {}

    def remembered(runs: Mapping[str, Run]) -> Mapping[str, Result]:
        new = {key: run for key, run in runs.items() if key not in known}
        if new:
            known.update(dict.fromkeys(new) | dict(lookup(new)))
        return {key: result for key in runs if (result := known[key]) is not None}

    return remembered


def shortfall(wanted: Mapping[str, Run], lookup: Lookup, what: str = "runs") -> Shortfall | None:
    """Return which of ``wanted`` runs have not finished, None where all have."""
    found = lookup(wanted)
    missing = [key for key in wanted if key not in found or not found[key].is_final]
    if not missing:
        return None
    states: Counter[str] = Counter(found[key].outcome.status for key in missing if key in found)
    return Shortfall(len(missing), len(wanted), what, states)


def resolve_baseline(
    name: str, sweeps: Mapping[str, Sweep], store: Store, planned: Plan
) -> tuple[Baseline | None, Shortfall | None]:
    """Return the finished runs of the baseline called ``name``, and what it still lacks.

    Runs of unequal declarations, steps or conditions are never pooled: of a sweep that was run in
    more than one way, those that are most like ``planned`` count. Runs of another backend count
    only where they are all there and those of this one are not. Of a sweep that is declared here,
    runs of another declaration are left out, and what is missing of its runs is told.
    """
    groups: dict[tuple[object, ...], list[Result]] = {}
    for result in store.results(sweep=name, arm=MAIN, traces=False):
        if result.is_final:
            groups.setdefault(_circumstances(result), []).append(result)
    sweep = sweeps.get(name)
    candidates = [
        results
        for results in groups.values()
        if sweep is None or results[0].run.declaration == sweep.declaration
    ]
    if not candidates:
        return None, None
    wanted = 0 if sweep is None else min(planned.selection.runs or sweep.runs, sweep.runs)
    best = max(candidates, key=lambda results: _likeness(results, planned, wanted))
    if best[0].conditions.backend == IMPORTED:
        return of_imported(name, best), None
    lacking = None
    if len(best) < wanted:
        lacking = Shortfall(wanted - len(best), wanted, f"runs of {name}", {})
    return Baseline(name, tuple(best)), lacking


def gather(
    planned: Plan, lookup: Lookup, baseline: Baseline | Counts | None, baseline_name: str | None
) -> Evidence:
    """Return the finished runs of a plan as evidence beside its baseline."""
    found = lookup(planned.runs)
    arms: dict[str, list[Result]] = {}
    for key, run in planned.runs.items():
        if key in found and found[key].is_final:
            arms.setdefault(run.arm, []).append(found[key])
    main = arms.pop(MAIN, [])
    return Evidence(
        sweep=planned.sweep.name,
        runs=tuple(main),
        arms={arm: tuple(results) for arm, results in arms.items()},
        baseline=baseline,
        baseline_name=baseline_name,
        alpha=planned.sweep.alpha,
        margin=planned.sweep.margin,
        min_gain=planned.sweep.min_gain,
        seed=planned.sweep.seed,
        apart=baseline.apart if isinstance(baseline, Baseline) else None,
    )


@dataclass(frozen=True, slots=True)
class Gathered:
    """What there is to judge a sweep on; ``absent`` are runs of its baseline still to finish."""

    planned: Plan
    evidence: Evidence
    absent: Shortfall | None


def gathered(
    sweep: Sweep,
    sweeps: Mapping[str, Sweep],
    store: Store,
    selection: Selection,
    *,
    baseline: Named | None = None,
    lookup: Lookup | None = None,
    running: Iterable[str] = (),
    planned: Plan | None = None,
) -> Gathered:
    """Return the finished runs of ``sweep`` beside its baseline's.

    Parameters
    ----------
    baseline
        A baseline in place of the declared one.
    lookup
        Where to find runs by key, in place of the store.
    running
        Names of the sweeps that this session runs: a baseline among them must be complete.
    planned
        The plan of ``sweep``, where it is at hand.
    """
    planned = planned or plan(sweep, selection, trains=False)
    lookup = lookup or store.of
    named = baseline_of(sweep, baseline)
    absent: Shortfall | None = None
    at_hand: Baseline | Counts | None
    if not isinstance(named, str):
        at_hand = named
    elif named in set(running) and named in sweeps:
        beside = plan(sweeps[named], selection, trains=False).of_arms()
        absent = shortfall(beside, lookup, f"runs of {named}")
        found = lookup(beside)
        at_hand = Baseline(named, tuple(result for result in found.values() if result.is_final))
    else:
        at_hand, absent = resolve_baseline(named, sweeps, store, planned)
    name = None if named is None else name_of(named)
    return Gathered(planned, gather(planned, lookup, at_hand, name), absent)


def baseline_of(sweep: Sweep, named: Named | None = None) -> Named | None:
    """Return what ``sweep`` is compared with: what is ``named``, or else what it declares."""
    return sweep.baseline if named is None else named


def _circumstances(result: Result) -> tuple[object, ...]:
    if result.conditions.backend == IMPORTED:
        return (IMPORTED,)  # the runs of one table, of which no more is known
    conditions = replace(result.conditions, device="", trainer="")
    run = result.run
    return (run.declaration, run.steps, run.declared_steps, conditions)


def _likeness(results: list[Result], planned: Plan, wanted: int) -> tuple[object, ...]:
    """Return how well a group of results suits ``planned``, to be compared with that of others.

    ``wanted`` is how many runs a whole group has at least.
    """
    run, theirs, ours = results[0].run, results[0].conditions, planned.conditions
    alike = [
        getattr(theirs, name) == getattr(ours, name)
        for name in ("task", "task_version", "model", "precision", "trainer_version")
    ]
    asked = run.steps == (planned.selection.steps or run.declared_steps)
    whole, same = len(results) >= wanted, theirs.backend == ours.backend
    latest = max(r.finished_at or "" for r in results)
    return (sum(alike), asked, whole, same, len(results), latest)
