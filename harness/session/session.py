"""A sweep session: choose runs, train them, and judge the sweeps. No pytest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.judging.baselines import Named, check_comparable, named
from harness.judging.evidence import (
    Gathered,
    Shortfall,
    baseline_of,
    gathered,
    resolve_baseline,
    shortfall,
    with_leaders,
)
from harness.judging.stored import (
    changed_since,
    decided_by_arm,
    judge_sweep,
    not_counted,
    question_hashes,
    report_folder,
    scope_of,
    smoke_folder,
)
from harness.records import Result, Run
from harness.session.answers import Answers, in_order
from harness.session.jobs import (
    READING,
    check_trainable,
    check_writable,
    discard_checkpoint,
    discard_files,
    log_file,
    make_executor,
    make_job,
)
from harness.session.progress import Observer
from harness.session.queue import Queue, now
from harness.session.results import Results
from harness.session.settings import Settings
from harness.session.tally import Tally
from harness.sweeps.plan import ANSWERED, Plan, plan, trained_with, transfer_in_words
from harness.sweeps.sweep import Sweep
from harness.verdicts import Baseline, Regression, Verdict

if TYPE_CHECKING:
    from harness.judging.reference import Reference
    from harness.report.model import Report
    from harness.store import Store

POLL_SECONDS = 0.25


class SweepSession:
    """The runs and questions of the chosen sweeps, with one store and one executor.

    `Results` has what is known of runs, `Queue` what is still to be trained. The store and the
    executor are opened when they are first needed. ``on_finished`` is called once for each run that
    this session has trained to its end, however it ended, after it was saved.
    """

    def __init__(
        self,
        settings: Settings,
        sweeps: Mapping[str, Sweep],
        observer: Observer | None = None,
        on_finished: Callable[[Result], None] | None = None,
    ) -> None:
        self.settings = settings
        self.sweeps = dict(sweeps)
        self.observer = observer or Observer()
        self.tally = Tally(metrics={name: sweep.judged_by for name, sweep in sweeps.items()})
        self.chosen: tuple[str, ...] = ()
        self._selected: dict[str, list[Run]] = {}
        self._plans: dict[str, Plan] = {}
        self._keys: dict[str, str] = {}
        since = settings.since or now()
        self._results = Results(since=since, fresh=settings.fresh and not settings.offline)
        self._answers: Answers | None = None  # if runs are trained only until all is answered
        self._reports: dict[str, Report] = {}
        self._baseline: Named | None = None
        self._references: Mapping[str, Reference] = {}
        self._since = since
        self._store: Store | None = None
        self._queue: Queue | None = None
        self._launched = False
        self._on_finished = on_finished
        self._told: set[tuple[str, str | None]] = set()
        self._expected: dict[str, list[Run]] = {}  # of leaders that are not known yet

    @property
    def store(self) -> Store:
        """The store, opened at first use."""
        if self._store is None:
            from harness.store import Store

            offline = self.settings.offline
            self._store = Store.open(self.settings.store, create=not offline, read_only=offline)
        return self._store

    def choose(self, selected: Mapping[str, Iterable[Run]]) -> None:
        """Choose the runs that this session trains, by sweep, and check that they can be trained.

        Raises
        ------
        HarnessError
            Where a backend, a device, a task, a value of a config, the store, an explicit baseline,
            a reference or a folder to be written cannot be used. Nothing has been trained then.
        """
        if self.settings.reports.is_file():
            raise UsageError(f"{self.settings.reports} is a file; give a folder for the reports")
        self.chosen = tuple(selected)
        self._selected = {name: list(runs) for name, runs in selected.items()}
        for name in self.chosen:
            self._plans[name] = plan(
                self.sweeps[name], self.settings.selection, trains=not self.settings.offline
            )
            self._name_keys(name)
            if not self.settings.offline:
                is_text = self._plans[name].conditions.model_source
                with self.observer.waiting(READING) if is_text else nullcontext():
                    check_trainable(self._plans[name], self.settings)
        if not self.settings.offline:
            check_writable(self.settings, self._plans.values())
        if self.settings.baseline is not None:
            judged = self.chosen if len(self.chosen) == 1 else ()
            self._baseline = named(
                self.settings.baseline,
                self.sweeps,
                self.chosen,
                self.store,
                judged,
                metrics={self.sweeps[name].judged_by for name in self.chosen},
            )
        for name in self.chosen:
            against = baseline_of(self.sweeps[name], self._baseline)
            check_comparable(self.sweeps[name], against, self.sweeps)
            if isinstance(against, str) and against not in self.sweeps:
                resolve_baseline(against, self.sweeps, self.store, self._plans[name])
        self._references = self._find_references()
        if self.settings.selection.until == ANSWERED:
            self._answers = Answers(
                self._plans, self._baseline, self._gather, lambda: self._results.ended
            )
        if not self.settings.offline:
            self._queue = Queue(
                self.store,
                partial(make_executor, self.settings),
                since=self._since,
                retries=self.settings.retries,
                fresh=self.settings.fresh,
                shared=self.settings.shared,
                tally=self.tally,
                observer=self.observer,
            )
        for name, planned in self._plans.items():
            self._results.load(self.store.of(planned.runs, check=True))
            if not self.settings.offline:
                sweep = self.sweeps[name]
                self.store.register(
                    name, sweep.declaration, question_hashes(sweep), decided_by_arm(sweep)
                )
        for name in self.chosen:
            self._find_leaders(name)

    def stored(self, name: str) -> int:
        """Return the number of runs of a chosen sweep that need no training."""
        return sum(self._results.is_done(key) for key in self._plans[name].runs)

    def known(self, run: Run) -> Run:
        """Return ``run`` with its config, if it confirms a leader that is known now."""
        planned = self._plans.get(run.sweep)
        key = self._keys.get(run.id)
        return run if planned is None or key is None else planned.runs[key]

    def no_leader(self, run: Run) -> str:
        """Say why there is no config for ``run`` to confirm; empty where there is one."""
        if run.id in self._keys:
            return ""
        planned = self._plans[run.sweep]
        if planned.open:
            lacking = shortfall(planned.of_arms(), self._results.lookup)
            return f"{lacking}, and the leaders are known once all main runs have finished"
        return "too few configs completed for as many leaders"

    def not_counted(self, name: str) -> str:
        """Say how many runs of a chosen sweep were trained otherwise; empty if none."""
        return not_counted(self._plans[name], self.store)

    def changed_since(self, name: str) -> str:
        """Say what changed since the stored runs of a chosen sweep; empty if nothing did."""
        planned = self._plans[name]
        return changed_since(self._results.lookup(planned.runs).values(), planned.conditions)

    def unfinished(self) -> list[Run]:
        """Return the selected runs that need training, in the order in which they begin."""
        known = [
            self._plans[n].runs[k] for n, k in self._in_order() if not self._results.is_done(k)
        ]
        return [*known, *(run for name in self.chosen for run in self._selected_open(name))]

    def planned(self, name: str) -> int:
        """Return the number of runs of a chosen sweep, arms included."""
        return len(self._plans[name].runs) + len(self._plans[name].open)

    def trained_with(self) -> str:
        """Return backend, device and precision in words; empty if no sweep uses our trainers.

        If only some do, they are named.
        """
        said = {
            name: trained_with(
                planned.conditions, planned.selection, device=not self.settings.offline
            )
            for name, planned in self._plans.items()
        }
        ours = [name for name, words in said.items() if words]
        if not ours:
            return ""
        which = "sweep" if len(ours) == len(said) else f"sweep {', '.join(ours)}"
        return f"{which}: {said[ours[0]]}"

    def transfer_in_words(self, name: str) -> str:
        """Say where the factor of a chosen sweep's learning rates comes from, or nothing."""
        planned = self._plans[name]
        return transfer_in_words(planned.sweep, planned.selection, planned.conditions)

    @property
    def baseline_read(self) -> tuple[str, ...]:
        """The notes on how the baseline's table was read; empty without one."""
        return self._baseline.notes if isinstance(self._baseline, Baseline) else ()

    def result(self, run: Run) -> Result | None:
        """Return the result of ``run``; first train it and the other selected runs if needed.

        None if it is not stored and this session does not train it (see `not_needed`).
        """
        self._launch()
        self._wait(lambda queue: self._is_open(run, queue))
        key = self._keys.get(run.id)
        return None if key is None or self.not_needed(run) else self._results.get(key)

    def try_again(self, run: Run) -> None:
        """Train ``run`` once more at the next call of `result`, unless its result is final."""
        key = self._keys.get(run.id)
        if self._queue is not None and key is not None and self._results.reopen(key):
            planned = self._plans[run.sweep]
            self._queue.add([make_job(self.settings, key, planned.runs[key], planned)])
            self._advance()

    def not_needed(self, run: Run) -> bool:
        """Return whether ``run`` has not finished and its sweep is answered without it."""
        key = self._keys.get(run.id, "")
        ended = self._results.has_ended(key) or self._results.is_done(key)
        waits = self._queue is not None and key in self._queue
        return not ended and not waits and self.is_answered(run.sweep)

    def is_answered(self, name: str) -> bool:
        """Return whether a chosen sweep trains until it is answered, and now is."""
        return self._answers is not None and self._answers.is_answered(name)

    def finish(self, names: Iterable[str] | None = None) -> None:
        """Wait for every selected run of some sweeps (all, by default)."""
        self._launch()
        wanted = self.chosen if names is None else [n for n in names if n in self._plans]
        # The runs that confirm leaders join the plan when the last main run is in.
        self._wait(lambda queue: any(key in queue for n in wanted for key in self._plans[n].runs))

    def verdict(self, name: str, question: str) -> Verdict:
        """Wait for the runs selected for a question, and return its verdict."""
        claim = self.sweeps[name].questions[question]
        needed = {name}
        baseline = baseline_of(self.sweeps[name], self._baseline)
        if claim.uses_baseline and isinstance(baseline, str):
            needed.add(baseline)
        self.finish(needed)
        return next(v for v in self.report(name).verdicts if v.id == question)

    def results(self, name: str) -> tuple[Result, ...]:
        """Wait for a sweep's runs, and return their results in the order of the plan."""
        self.finish([name])
        found = self._results.lookup(self._plans[name].runs)
        return tuple(found[key] for key in self._plans[name].runs if key in found)

    def report(self, name: str) -> Report:
        """Return the report of a chosen sweep so far. It is made once for the same results."""
        from harness.report.model import build

        if name not in self._reports:
            judged = judge_sweep(self._gather(name), self._references.get(name))
            self._reports[name] = build(judged)
        return self._reports[name]

    def regression(self, name: str, question: str) -> Regression | None:
        """Return how a question that the reference supports compares with it; None for others."""
        compared = self.report(name).compared
        found = compared.questions if compared else ()
        return next((one for one in found if one.id == question), None)

    def references(self) -> dict[str, tuple[Path, int]]:
        """Return the references by sweep, with the number of questions that each supports."""
        return {name: (r.path, len(r.supported)) for name, r in self._references.items()}

    def report_folder(self, name: str) -> Path:
        """Return the folder of a chosen sweep's report."""
        settled = self.report(name).settled
        folder = report_folder(self._plans[name], self._baseline, settled=settled)
        return self.settings.reports / folder

    def scope(self, name: str) -> str:
        """Return what part of a chosen sweep its report is about; empty for the whole."""
        settled = self.report(name).settled
        return scope_of(self._plans[name], self._baseline, settled=settled)

    def log(self, run: Run) -> Path:
        """Return the file that a run of this session prints to, if it has trained any."""
        return log_file(self.settings.home, self._keys[run.id], run)

    def smoke_folder(self, name: str) -> Path:
        """Return the folder of reports of a part of a chosen sweep."""
        return self.settings.reports / smoke_folder(self._plans[name], self._baseline)

    def missing(self, name: str) -> Shortfall | None:
        """Return the runs of a chosen sweep that are needed and not finished; None if all are."""
        if self.is_answered(name):
            return None
        planned = self._plans[name]
        return shortfall(planned.runs, self._results.lookup, more=len(planned.open))

    def refresh(self) -> None:
        """Read the results that the other processes of a shared session have stored."""
        for planned in self._plans.values():
            found = self.store.of(planned.runs)
            self._results.refresh(found)
            self._tell(found.values())
        for name in self.chosen:
            self._tell(self._find_leaders(name))
        self._reports.clear()

    def tell_of(self, id_: str) -> None:
        """Tell of a run that another process of this shared session has trained to its end."""
        for name, planned in list(self._plans.items()):
            if any(run.id == id_ for run in planned.open):
                self._results.refresh(self.store.of(planned.runs))
                self._find_leaders(name)
        for planned in self._plans.values():
            runs = {key: run for key, run in planned.runs.items() if run.id == id_}
            self._tell(self.store.of(runs).values() if runs else ())

    def results_known(self) -> tuple[Result, ...]:
        """Return the stored results of the chosen sweeps that count, in the order of the plan."""
        return tuple(
            result
            for planned in self._plans.values()
            for result in self._results.lookup(planned.runs).values()
        )

    def stop(self) -> None:
        """Stop the workers. Runs in flight are interrupted; finished ones are saved."""
        self.observer.pause()
        if self._queue is not None:
            queue, self._queue = self._queue, None
            self._note(queue, queue.stop())

    def close(self) -> None:
        """Stop the workers and close the store; `StoreError` if results could not be saved."""
        try:
            self.stop()
        finally:
            self.observer.close()
            if self._store is not None:
                self._store.close()
                self._store = None

    def _find_references(self) -> Mapping[str, Reference]:
        given, needed = self.settings.references, self.settings.needs_references
        if not (given or needed):
            return {}
        from harness.judging.reference import references

        folders = {
            name: self.settings.reports / report_folder(planned, self._baseline)
            for name, planned in self._plans.items()
        }
        return references(self._plans, folders, given, required=needed)

    def _gather(self, name: str) -> Gathered:
        """Return the evidence on a chosen sweep so far."""
        return gathered(
            self._plans[name],
            self.sweeps,
            self.store,
            baseline=self._baseline,
            lookup=self._results.lookup,
            running=self.chosen,
        )

    def _launch(self) -> None:
        """Queue the selected runs that need training, once."""
        if self._launched or self._queue is None:
            return
        self._launched = True
        for name in self.chosen:
            self._expected[name] = self._selected_open(name)
            for run in self._expected[name]:
                self.tally.expect(run)
        self._add(key for _, key in self._in_order())
        self._advance()

    def _add(self, keys: Iterable[str]) -> None:
        """Queue those of some selected runs that need training."""
        assert self._queue is not None
        plans = {key: planned for planned in self._plans.values() for key in planned.runs}
        jobs = [
            make_job(self.settings, key, plans[key].runs[key], plans[key])
            for key in keys
            if not self._results.is_done(key)
        ]
        if not jobs:
            return
        if self.settings.fresh:
            for job in jobs:
                discard_files(self.settings.home, job.key, job.run)
        from harness.session.environment import environment

        self._queue.add(jobs, environment(self.settings.root, self.settings.home))

    def _is_open(self, run: Run, queue: Queue) -> bool:
        """Return whether ``run`` is queued, or a main run that its config depends on."""
        key = self._keys.get(run.id)
        waits_for = self._plans[run.sweep].of_arms() if key is None else (key,)
        return any(one in queue for one in waits_for)

    def _name_keys(self, name: str) -> None:
        """Note the keys of the planned runs of a chosen sweep."""
        self._keys.update({run.id: key for key, run in self._plans[name].runs.items()})

    def _selected_open(self, name: str) -> list[Run]:
        """Return the selected runs of a chosen sweep whose configs are not known yet."""
        ids = {run.id for run in self._plans[name].open}
        return [run for run in self._selected[name] if run.id in ids]

    def _find_leaders(self, name: str) -> Sequence[Result]:
        """Add the runs that confirm the leaders of a chosen sweep, once its main runs are in.

        Those that are selected are queued, if the others have been. Return what is stored of them.
        """
        planned = self._plans[name]
        if not planned.open:
            return ()
        selected = {self._keys[run.id] for run in self._selected[name] if run.id in self._keys}
        found = with_leaders(planned, lambda runs: self._results.lookup(runs, anew=selected))
        if found is planned:
            return ()
        waited = self._selected_open(name)
        self._plans[name] = found
        self._name_keys(name)
        added = {key: run for key, run in found.runs.items() if key not in planned.runs}
        stored = self.store.of(added, check=True)
        self._results.refresh(stored)
        self._reports.clear()
        if self._launched and self._queue is not None:
            for run in self._expected.pop(name, ()):
                self.tally.drop(run)
            selected = {run.id for run in waited}
            self._add(key for key, run in added.items() if run.id in selected)
        return tuple(stored.values())

    def _give_up_leaders(self, name: str, queue: Queue) -> None:
        """Expect no runs of leaders any more where a main run has ended, and not for good."""
        if name in self._expected and not any(key in queue for key in self._plans[name].of_arms()):
            for run in self._expected.pop(name):
                self.tally.drop(run)

    def _in_order(self) -> list[tuple[str, str]]:
        """Return sweep and key of the selected runs in the order in which they begin."""
        chosen = [
            (name, self._keys[run.id])
            for name in self.chosen
            for run in self._selected[name]
            if run.id in self._keys
        ]
        if self._answers is None:
            return chosen
        selected = set(chosen)
        return [one for one in in_order(self._plans, self._baseline) if one in selected]

    def _advance(self) -> None:
        """Submit all waiting jobs, or only as many as free workers while answers may come."""
        assert self._queue is not None
        if self._answers is not None:
            for name in filter(self._answers.is_over, self._queue.sweeps):
                self._queue.drop(name)
        self._queue.begin(all_at_once=self._answers is None)

    def _wait(self, is_open: Callable[[Queue], bool]) -> None:
        """Train until nothing that is waited for is open."""
        try:
            while self._queue is not None and is_open(self._queue):
                self._step(self._queue)
        finally:
            self.observer.pause()

    def _step(self, queue: Queue) -> None:
        self._note(queue, queue.poll(POLL_SECONDS))
        self._advance()

    def _note(self, queue: Queue, results: Iterable[Result]) -> None:
        """Note the results of runs that have ended, and tell of those that ended here."""
        ended = list(results)
        for result in ended:
            self._results.add(result)
            self._reports.clear()
            if result.is_final:  # a user's training function may have left it
                discard_checkpoint(self.settings, result.key)
        for name in {result.run.sweep for result in ended} & self._plans.keys():
            self._find_leaders(name)
            self._give_up_leaders(name, queue)
        self._tell(filter(queue.is_own, ended))

    def _tell(self, results: Iterable[Result]) -> None:
        """Tell of runs that have ended since this session began, of each end once."""
        if self._on_finished is None:
            return
        for result in results:
            end = (result.key, result.finished_at)
            if (result.finished_at or "") >= self._since and end not in self._told:
                self._told.add(end)
                self.observer.pause()
                self._on_finished(result)
