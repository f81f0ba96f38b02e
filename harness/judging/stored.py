"""Judge a stored sweep: its questions, and the audit."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from harness.claims.judging import judge_one, not_asked, with_holm
from harness.judging.baselines import Named, name_of, named
from harness.judging.early import EarlyAnswers, not_needed
from harness.judging.evidence import (
    Gathered,
    Lookup,
    Shortfall,
    gathered,
    judged_by,
    pooled,
    shortfall,
)
from harness.judging.outlook import outlook_of_sweep
from harness.metrics import DELTA_PERF, Metric
from harness.records import CONFIRM, IMPORTED, MAIN, Conditions, Result, digest, run_key
from harness.sweeps.confirming import Confirm, reference_option
from harness.sweeps.plan import ANSWERED, Plan, Selection, plan, trained_with
from harness.sweeps.sources import changes
from harness.sweeps.sweep import Sweep
from harness.text import listed, plural
from harness.verdicts import (
    Evidence,
    Judgement,
    Need,
    Regressions,
    Verdict,
    confirming,
    training,
)

FEW = 3
"""Of more files that changed only the number is said."""

if TYPE_CHECKING:
    from harness.judging.reference import Reference
    from harness.store import Store


SMOKE = "-smoke"
"""The end of the name of a folder for reports of a part of a sweep."""


def question_hashes(sweep: Sweep) -> dict[str, str]:
    """Return a hash of each question of ``sweep``, over its claim and thresholds.

    The number of seeds takes part where means over them are judged by how they spread, and the
    size of the arm that confirms leaders where they are compared.
    """
    metric = sweep.judged_by
    thresholds: list[object] = [sweep.alpha, sweep.margin, sweep.min_gain]
    if metric != DELTA_PERF:
        thresholds += [metric.name, metric.direction, sweep.target]
    seeds = [sweep.seeds] if sweep.seeds > 1 else []
    confirm = sweep.arms.get(CONFIRM)
    sizes = [confirm.top, confirm.seeds] if isinstance(confirm, Confirm) else []
    return {
        id_: digest(
            [
                claim.describe(metric),
                *thresholds,
                *(seeds if claim.on_spread else []),
                *(sizes if claim.confirms_against is not None else []),
            ]
        )
        for id_, claim in sweep.questions.items()
    }


def decided_by_arm(sweep: Sweep) -> dict[str, str]:
    """Return the questions of ``sweep`` that the runs of one arm alone decide, with the arm."""
    return {
        id_: CONFIRM for id_, claim in sweep.questions.items() if claim.confirms_against is not None
    }


@dataclass(frozen=True, slots=True)
class JudgedSweep:
    """A declared sweep, judged by its stored runs; ``notes`` say how these were looked up.

    ``baseline`` is the one that was named in place of the declared one.
    """

    planned: Plan
    judgement: Judgement
    baseline: Named | None
    notes: tuple[str, ...]


def judge_stored(
    sweep: Sweep,
    sweeps: Mapping[str, Sweep],
    store: Store,
    selection: Selection,
    baseline: str | None = None,
) -> JudgedSweep:
    """Judge a declared sweep by its stored runs.

    Parameters
    ----------
    sweeps
        The sweeps that are declared, by name.
    baseline
        What a question is asked against in place of the declared baseline: a stored sweep, a table,
        or counts.

    Raises
    ------
    UsageError
        Where the baseline cannot be read, or the sweep cannot be planned under ``selection``.
    """
    against: Named | None = None
    if baseline is not None:
        metrics = [sweep.judged_by]
        against = named(baseline, sweeps, (), store, [sweep.name], metrics=metrics)
    planned = plan(sweep, selection, trains=False)
    found = gathered(planned, sweeps, store, baseline=against)
    judgement = judge_sweep(found)
    return JudgedSweep(found.planned, judgement, against, looked_up(found))


def looked_up(found: Gathered) -> tuple[str, ...]:
    """Say how the runs of a planned sweep were looked up, and what has changed since them."""
    planned = found.planned
    means = trained_with(planned.conditions, planned.selection, device=False)
    others = not_counted(planned, found.store)
    how = f"runs looked up: {means or 'by the code as it is now'}{others}" if means + others else ""
    changed = changed_since(found.lookup(planned.runs).values(), planned.conditions)
    return tuple(filter(None, (how, changed)))


def undeclared(name: str, results: Iterable[Result]) -> tuple[Evidence, tuple[str, ...]] | None:
    """Return the stored runs of a sweep that is not declared here, with notes on them.

    Runs of unequal declarations, steps or conditions are never pooled: the largest group that
    agrees counts. None where no main run is final.
    """
    found = pooled(results)
    if found is None:
        return None
    notes = []
    if found.others:
        runs = plural(found.others, "stored run")
        notes.append(f"{runs} of it, trained otherwise, left out")
    if found.main[0].conditions.backend == IMPORTED:
        files = dict.fromkeys(str(r.environment.get("imported_from")) for r in found.main)
        notes.append(f"{name} was imported from {', '.join(files)}: it was trained elsewhere")
    metric = Metric.of(found.main[0].conditions)
    arms = {arm: judged_by(metric, runs) for arm, runs in found.arms.items()}
    evidence = Evidence(name, judged_by(metric, found.main), arms, metric=metric)
    if metric != DELTA_PERF:
        evidence = replace(evidence, margin=None, min_gain=0.0)
    return evidence, tuple(notes)


def judge_undeclared(name: str, results: Sequence[Result]) -> tuple[Judgement, tuple[str, ...]]:
    """Judge a stored sweep that is not declared here, with notes on its runs: it asks nothing."""
    from harness.audit import audit

    evidence, notes = undeclared(name, results) or (Evidence(name, ()), ())
    unfinished = judged_by(evidence.metric, (r for r in results if not r.is_final))
    return Judgement(evidence, findings=audit(evidence), unfinished=unfinished), notes


def judge_sweep(found: Gathered, reference: Reference | None = None) -> Judgement:
    """Judge a sweep by the evidence on it; ``reference`` is an earlier report to compare with."""
    from harness.audit import audit, best_asked
    from harness.judging.regressions import compare

    planned, evidence, lookup = found.planned, found.evidence, found.lookup
    sweep, selection = planned.sweep, planned.selection
    early: dict[str, Verdict] = {}
    answered = False
    if selection.until == ANSWERED:
        answers = EarlyAnswers(planned)
        early = answers.verdicts(evidence, baseline_ready=found.absent is None)
        answered = answers.all_answered(evidence, baseline_ready=found.absent is None)
    verdicts = _judge(found, early)
    findings = audit(
        evidence,
        questions=sweep.questions,
        given=sweep.parameters.dependencies,
        planned_runs=planned.configs,
        declared_runs=sweep.runs,
        planned_seeds=planned.seeds,
        declared_seeds=sweep.seeds,
        declared_arms=sweep.arms,
        post_hoc=_changed(sweep, found.store) if evidence.runs else (),
        best_asked=best_asked(verdicts),
    )
    compared = None
    if reference is not None:
        regressions = compare(sweep, reference, evidence, verdicts)
        compared = Regressions(str(reference.path), regressions)
    every = tuple(lookup(planned.runs).values())
    return Judgement(
        evidence,
        verdicts,
        tuple(findings),
        scaled_down=planned.is_scaled_down,
        scale=planned.scale,
        missing=() if answered else _all_missing(planned, lookup),
        unfinished=judged_by(evidence.metric, (r for r in every if not r.is_final)),
        not_needed=not_needed(planned, every) if answered else None,
        compared=compared,
        conditions=planned.conditions,
        steps=selection.steps or sweep.steps,
        outlook=outlook_of_sweep(sweep, tuple(planned.runs.values()), evidence, verdicts),
    )


def report_folder(planned: Plan, baseline: Named | None = None, *, settled: bool = True) -> str:
    """Return the name of the folder that a report of ``planned`` is written to.

    The report of a whole sweep is never overwritten by one of a part of it, nor by a comparison
    with a ``baseline`` named in place of the declared one. ``settled`` says that all runs are in
    and every question is judged.
    """
    smoke = smoke_folder(planned, baseline)
    whole = settled and not planned.is_scaled_down and not planned.lacks_arms
    return smoke.removesuffix(SMOKE) if whole else smoke


def scope_of(planned: Plan, baseline: Named | None = None, *, settled: bool = True) -> str:
    """Return what part of the sweep a report of ``planned`` is about; empty for the whole.

    It is what the name of the report's folder has beside the sweep's.
    """
    folder = report_folder(planned, baseline, settled=settled)
    return folder[len(planned.sweep.name) :].lstrip("-")


def smoke_folder(planned: Plan, baseline: Named | None = None) -> str:
    """Return the name of the folder that a report of a part of ``planned`` is written to."""
    name = planned.sweep.name
    if baseline is not None:
        # Counts are called 6/19, and a table as its file is: neither may name a folder of its own.
        name += "-vs-" + re.sub(r"[^\w.=,+-]", "_", name_of(baseline))
    return name + SMOKE


def not_counted(planned: Plan, store: Store) -> str:
    """Say how many of the planned runs are stored only as trained otherwise; empty without any.

    That is by another backend or, with a sweep's own training function, by code that has changed.
    """
    from harness.training.backends import BACKENDS

    if planned.conditions.backend not in BACKENDS:
        return _by_earlier_code(planned, store)
    found = {}
    for name in BACKENDS.keys() - {planned.conditions.backend}:
        under = replace(planned.conditions, backend=name)
        runs = {run_key(run, under): run for run in planned.runs.values()}
        found[name] = sum(r.is_final for r in store.of(runs, traces=False).values())
    more = " and ".join(f"{count} more by {name}" for name, count in sorted(found.items()) if count)
    return f" ({more}, not counted)" if more else ""


def changed_since(results: Iterable[Result], now: Conditions) -> str:
    """Say what changed since ``results`` were trained that is no part of a run's identity.

    Those are packages, and files that the code of a training function names. Empty without any.
    """
    states = Counter(tuple(r.conditions.noted.items()) for r in results if r.is_final)
    names: Counter[str] = Counter()
    since = 0
    for state, runs in states.items():
        then = {name: at for name, at in state if name in now.noted}
        found = changes({name: now.noted[name] for name in then}, then)
        names.update(dict.fromkeys(found, runs))
        since += runs if found else 0
    if not since:
        return ""
    return f"changed since {since} of these runs, which are used as they are: {_few(names)}"


def _by_earlier_code(planned: Plan, store: Store) -> str:
    """Say how many planned runs are stored only as earlier code trained them, and what changed."""
    done = {r.run.id for r in store.of(planned.runs, traces=False).values() if r.is_final}
    wanted = {run.id: run for run in planned.runs.values() if run.id not in done}
    earlier = {
        result.run.id: result.conditions
        for result in (store.results(planned.sweep.name, traces=False) if wanted else ())
        if result.is_final
        and result.run.id in wanted
        and run_key(wanted[result.run.id], result.conditions) == result.key
    }
    if not earlier:
        return ""
    now = planned.conditions
    changed = [
        name
        for then in earlier.values()
        if then.trainer_version != now.trainer_version
        for name in (changes(now.files, then.files) if then.files else ["the code"])
    ]
    why = f"{_few(Counter(changed))} changed since" if changed else "trained otherwise"
    return f" ({len(earlier)} more not counted: {why})"


def _few(names: Counter[str]) -> str:
    """Return the first few of ``names``, the most frequent first, and how many more there are."""
    every = [name for name, _ in names.most_common()]
    more = [f"{len(every) - FEW} more"] if len(every) > FEW else []
    return listed([*every[:FEW], *more])


def _judge(found: Gathered, early: Mapping[str, Verdict]) -> tuple[Verdict, ...]:
    """Judge every question whose runs have finished; the others are ``not judged``, with a reason.

    ``early`` are verdicts that no further run can change.
    """
    planned, evidence = found.planned, found.evidence
    enabled = {run.arm for run in (*planned.runs.values(), *planned.open)}

    @cache
    def lacking_of(arms: tuple[str, ...]) -> Shortfall | None:
        return shortfall(planned.of_arms(arms), found.lookup, more=planned.opens(arms))

    judged: dict[str, Verdict] = {}
    waiting = set()
    for id_, claim in planned.sweep.questions.items():
        verdict = early.get(id_)
        if verdict is None:
            verdict = judge_one(id_, claim, evidence)
            whose = [planned.sweep.name]
            lacking = lacking_of((MAIN, *(arm for arm in claim.arms if arm in enabled)))
            if lacking is None and claim.uses_baseline and found.absent is not None:
                lacking, whose = found.absent, [evidence.baseline_name or "", *whose]
            if lacking is not None:
                waiting.add(id_)
                verdict = _not_judged(verdict, lacking, whose)
                if claim.confirms_against is not None and lacking_of((MAIN,)) is None:
                    verdict = replace(verdict, needs=(confirming(planned.sweep.name),))
        judged[id_] = _as_asked(verdict, planned)
    # A question that waits counts in the correction as one that shows nothing, and has no figures.
    corrected = (
        replace(verdict, p_value=None, p_holm=None) if verdict.id in waiting else verdict
        for verdict in with_holm(list(judged.values()), evidence.alpha)
    )
    return (*corrected, *not_asked(judged, evidence))


def _all_missing(planned: Plan, lookup: Lookup) -> tuple[str, ...]:
    """Return in words what has not finished, arm by arm."""
    lacking = (
        shortfall(
            planned.of_arms((arm,)),
            lookup,
            "runs" if arm == MAIN else f"runs of arm {arm}",
            more=planned.opens((arm,)),
        )
        for arm in dict.fromkeys(run.arm for run in (*planned.runs.values(), *planned.open))
    )
    return tuple(str(short) for short in lacking if short is not None)


def _changed(sweep: Sweep, store: Store) -> tuple[str, ...]:
    """Return the questions that were added or changed after there were runs."""
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
        needs=(training(*whose),),
        details=(),
    )


def _as_asked(verdict: Verdict, planned: Plan) -> Verdict:
    """Return ``verdict`` with commands that train what a plan lacks, where it was found."""
    return replace(verdict, needs=tuple(_declared(need, planned) for need in verdict.needs))


def _declared(need: Need, planned: Plan) -> Need:
    """Return a need in the words of one who has declared a sweep."""
    selection = planned.selection
    if need.kind == "training":
        return replace(need, text=selection.command(need.sweeps, need.options))
    if need.kind == "confirm":
        size = planned.sweep.arms.get(CONFIRM)
        # Runs that the sweep does not declare are in a report of their own.
        text = "an arm confirm=Confirm(top=3, seeds=8) in the sweep; or, as a report of its own: "
        text = need.text if isinstance(size, Confirm) else text + need.text
        seeds = size.seeds if isinstance(size, Confirm) and not need.options else None
        chosen = (
            ("top", size.top if isinstance(size, Confirm) else None),
            ("seeds", seeds),
            ("against", reference_option(planned.sweep)),
            ("runs", selection.runs),
            ("steps", selection.steps),
        )
        text += "".join(
            f" --{name} {shlex.quote(str(value))}" for name, value in chosen if value is not None
        )
        return replace(need, text=text + selection.options("--"))
    if need.kind == "margin":
        return replace(need, text="a margin: Sweep(…, margin=X), before the first run")
    if need.kind == "metric":
        return replace(need, text="a target to reach: Sweep(…, target=X), before the first run")
    return need
