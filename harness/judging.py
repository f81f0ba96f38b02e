"""From stored runs to a report: gather the evidence, judge the questions, audit the sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import UsageError, nearest
from harness.planning import Plan, Selection, plan
from harness.published import PUBLISHED
from harness.records import (
    MAIN,
    Baseline,
    Counts,
    Evidence,
    Result,
    Run,
    Verdict,
    digest,
    run_key,
)
from harness.sweep import Sweep

if TYPE_CHECKING:
    from harness.report.model import Report
    from harness.store import Store

Lookup = Callable[[Iterable[str]], Mapping[str, Result]]

COMMAND = "pytest experiments/ --sweep"
"""How a command begins that trains the sweeps whose names follow."""


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
    lacking = None
    if len(best) < wanted:
        lacking = Shortfall(wanted - len(best), wanted, f"runs of {name}", {})
    return Baseline(name, tuple(best)), lacking


def require_baseline(
    name: str,
    sweeps: Mapping[str, Sweep],
    running: Iterable[str],
    store: Store,
    judged: Iterable[str] = (),
) -> None:
    """Check that an explicitly named baseline is at hand or about to be.

    Raises
    ------
    UsageError
        Where it is neither published, nor in the store, nor among the sweeps being run.
    """
    if name in set(judged):
        raise UsageError(f"baseline {name!r} is the sweep itself; name another, or published")
    stored = {summary.sweep for summary in store.sweeps()}
    known = {PUBLISHED.name, *running, *stored}
    if name not in known:
        run_it = (
            f"; run it first or beside: --sweep {name},…"
            if name in sweeps
            else nearest(name, known)
        )
        raise UsageError(
            f"baseline {name!r} is not in the store, which has "
            f"{', '.join(sorted(stored)) or 'no sweeps yet'}{run_it}"
        )


def gather(
    planned: Plan, lookup: Lookup, baseline: Baseline | Counts | None, baseline_name: str | None
) -> Evidence:
    """Return the finished runs of a plan as evidence beside its baseline."""
    # The plan's own runs: a stored one may have been named by an earlier version of the sweep file.
    found = {
        key: replace(result, run=planned.runs[key]) for key, result in lookup(planned.runs).items()
    }
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
    )


def judge(
    planned: Plan, evidence: Evidence, lookup: Lookup, absent: Shortfall | None = None
) -> tuple[Verdict, ...]:
    """Judge every question whose runs have finished; the others are ``not judged``, with a reason.

    ``absent`` are runs of the baseline that this session has still to finish.
    """
    from harness.claims import judge_all, with_holm

    verdicts = judge_all(planned.sweep.questions, evidence)
    judged = []
    waiting = set()
    for verdict in verdicts:
        claim = planned.sweep.questions.get(verdict.id)
        lacking, whose = None, [planned.sweep.name]
        if claim is not None:
            enabled = {run.arm for run in planned.runs.values()}
            arms = (MAIN, *(arm for arm in claim.arms if arm in enabled))
            lacking = shortfall(planned.of_arms(arms), lookup)
            if lacking is None and claim.uses_baseline and absent is not None:
                lacking, whose = absent, [evidence.baseline_name or "", *whose]
        if lacking is not None:
            waiting.add(verdict.id)
        said = verdict if lacking is None else _not_judged(verdict, lacking, whose)
        judged.append(_as_asked(said, planned.selection))
    # A question that waits counts in the correction as one that shows nothing, and has no figures.
    return tuple(
        replace(verdict, p_value=None, p_holm=None) if verdict.id in waiting else verdict
        for verdict in with_holm(judged)
    )


def question_hashes(sweep: Sweep) -> dict[str, str]:
    """Return what identifies each question of ``sweep``: claim, thresholds and baseline."""
    thresholds = [sweep.alpha, sweep.margin, sweep.min_gain]
    return {id_: digest([claim.describe(), *thresholds]) for id_, claim in sweep.questions.items()}


def report_on(
    sweep: Sweep,
    sweeps: Mapping[str, Sweep],
    store: Store,
    selection: Selection,
    *,
    baseline: str | None = None,
    lookup: Lookup | None = None,
    running: Iterable[str] = (),
) -> Report:
    """Return the report of ``sweep`` from what is stored.

    Parameters
    ----------
    baseline
        The name of a baseline in place of the declared one.
    lookup
        Where to find runs by key, in place of the store.
    running
        Names of the sweeps that this session runs: a baseline among them must be complete.
    """
    from harness.audit import audit
    from harness.report.model import build

    planned = plan(sweep, selection, trains=False)
    lookup = lookup or store.get
    named = PUBLISHED if baseline == PUBLISHED.name else baseline or sweep.baseline
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
    name = named.name if isinstance(named, Counts) else named
    evidence = gather(planned, lookup, at_hand, name)
    verdicts = judge(planned, evidence, lookup, absent)
    findings = audit(
        evidence,
        questions=sweep.questions,
        given=sweep.parameters.dependencies,
        planned_runs=len(planned.of_arms()),
        declared_runs=sweep.runs,
        post_hoc=_changed(sweep, store) if evidence.runs else (),
    )
    return build(
        evidence,
        verdicts,
        findings,
        scaled_down=planned.is_scaled_down,
        scale=planned.scale,
        missing=_all_missing(planned, lookup),
        unfinished=tuple(r for r in lookup(planned.runs).values() if not r.is_final),
        conditions=planned.conditions,
        steps=selection.steps or sweep.steps,
    )


def report_folder(planned: Plan, report: Report, baseline: str | None = None) -> str:
    """Return the name of the folder that ``report`` is written to.

    What is less than the declared sweep never overwrites the report of the whole one, and neither
    does a comparison with a ``baseline`` named in place of the declared one.
    """
    name = planned.sweep.name + (f"-vs-{baseline}" if baseline else "")
    judged = all(verdict.verdict != "not judged" for verdict in report.verdicts)
    whole = report.complete and judged and not planned.is_scaled_down and not planned.lacks_arms
    return name if whole else f"{name}-smoke"


def not_counted(planned: Plan, store: Store) -> str:
    """Say how many of the planned runs are in the store by another backend; empty without any."""
    from harness.training.backends import BACKENDS

    found = {}
    for name in BACKENDS.keys() - {planned.conditions.backend}:
        under = replace(planned.conditions, backend=name)
        keys = (run_key(run, under) for run in planned.runs.values())
        found[name] = sum(r.is_final for r in store.get(keys, traces=False).values())
    more = " and ".join(f"{count} more by {name}" for name, count in sorted(found.items()) if count)
    return f" ({more}, not counted)" if more else ""


def _all_missing(planned: Plan, lookup: Lookup) -> tuple[Shortfall, ...]:
    lacking = []
    for arm in dict.fromkeys(run.arm for run in planned.runs.values()):
        what = "runs" if arm == MAIN else f"runs of arm {arm}"
        short = shortfall(planned.of_arms((arm,)), lookup, what)
        if short is not None:
            lacking.append(short)
    return tuple(lacking)


def _changed(sweep: Sweep, store: Store) -> tuple[str, ...]:
    """Return the questions that were not, or not so, before there were runs."""
    registered = store.registered(sweep.name, sweep.declaration)
    return tuple(
        id_
        for id_, hash_ in question_hashes(sweep).items()
        if id_ not in registered or registered[id_].hash != hash_
    )


def _not_judged(verdict: Verdict, lacking: Shortfall, whose: list[str]) -> Verdict:
    return replace(
        verdict,
        verdict="not judged",
        answer=f"not judged: {lacking}",
        estimate=None,
        low=None,
        high=None,
        level=None,
        p_value=1.0,
        reason=str(lacking),
        needs=(f"{COMMAND} {','.join(whose)}",),
        beside=(),
    )


def _as_asked(verdict: Verdict, selection: Selection) -> Verdict:
    """Return ``verdict`` with the commands it needs training as ``selection`` does.

    By another backend they would make runs that are not those which it lacks.
    """
    needs = (need + selection.means * need.startswith(COMMAND) for need in verdict.needs)
    return replace(verdict, needs=tuple(needs))


def _circumstances(result: Result) -> tuple[object, ...]:
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
