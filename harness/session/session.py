"""A sweep session: launches runs, waits for them, stores what comes back, and judges. No pytest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.judging.baselines import Named, named
from harness.judging.evidence import Shortfall, baseline_of, gathered, shortfall
from harness.judging.stored import judge_sweep, not_counted, question_hashes, report_folder
from harness.protocols import Event, Executor, MayBegin
from harness.records import Job, Result, Run
from harness.session.progress import Observer, Tally
from harness.session.queue import Work, in_order, now, users
from harness.session.settings import Settings
from harness.sweeps.plan import ANSWERED, Plan, plan, trained_with
from harness.sweeps.sweep import Sweep
from harness.verdicts import Baseline, Regression, Verdict

if TYPE_CHECKING:
    from harness.judging.early import EarlyAnswers
    from harness.judging.reference import Reference
    from harness.report.model import Report
    from harness.store import Store

POLL_SECONDS = 0.25


class SweepSession:
    """The runs and questions of the chosen sweeps, over one store and one executor.

    Nothing is opened before it is needed, and only this object writes the store.
    """

    def __init__(
        self, settings: Settings, sweeps: Mapping[str, Sweep], observer: Observer | None = None
    ) -> None:
        self.settings = settings
        self.sweeps = dict(sweeps)
        self.observer = observer or Observer()
        self.tally = Tally()
        self.chosen: tuple[str, ...] = ()
        self._selected: dict[str, list[Run]] = {}
        self._plans: dict[str, Plan] = {}
        self._keys: dict[str, str] = {}
        self._results: dict[str, Result] = {}
        self._ended: set[str] = set()  # the runs that ended while this session lasts
        self._early: dict[str, EarlyAnswers] = {}
        self._answered: set[str] = set()
        self._asked: dict[str, int] = {}  # after how many ended runs it was last looked at
        self._reports: dict[str, Report] = {}
        self._baseline: Named | None = None
        self._references: Mapping[str, Reference] = {}
        self._since = settings.since or now()
        self._store: Store | None = None
        self._work: Work | None = None
        self._launched = False

    @property
    def store(self) -> Store:
        """The store, opened at first use."""
        if self._store is None:
            from harness.store import Store

            offline = self.settings.offline
            self._store = Store.open(self.settings.store, create=not offline, read_only=offline)
        return self._store

    def choose(self, selected: Mapping[str, Iterable[Run]]) -> None:
        """Take ``selected`` runs of each sweep as this session's work, and check it can be done.

        Raises
        ------
        HarnessError
            Where a backend, a device, a task, a value of a config, the store, an explicit baseline
            or a reference cannot be used: before anything is trained.
        """
        if self.settings.reports.is_file():
            raise UsageError(f"{self.settings.reports} is a file; give a folder for the reports")
        self.chosen = tuple(selected)
        self._selected = {name: list(runs) for name, runs in selected.items()}
        for name in self.chosen:
            self._plans[name] = plan(
                self.sweeps[name], self.settings.selection, trains=not self.settings.offline
            )
            self._keys.update({run.id: key for key, run in self._plans[name].runs.items()})
            self._check_trainable(self._plans[name])
        if self.settings.baseline is not None:
            judged = self.chosen if len(self.chosen) == 1 else ()
            self._baseline = named(
                self.settings.baseline, self.sweeps, self.chosen, self.store, judged
            )
        self._references = self._find_references()
        if not self.settings.offline:
            self._work = Work(
                self.store,
                self._make_executor,
                since=self._since,
                retries=self.settings.retries,
                fresh=self.settings.fresh,
                shared=self.settings.shared,
                tally=self.tally,
                observer=self.observer,
            )
        for name, planned in self._plans.items():
            self._results.update(self.store.of(planned.runs, check=True))
            if not self.settings.offline:
                sweep = self.sweeps[name]
                self.store.register(name, sweep.declaration, question_hashes(sweep))

    def stored(self, name: str) -> int:
        """Return how many runs of a chosen sweep need no training."""
        return sum(self._is_done(key) for key in self._plans[name].runs)

    def not_counted(self, name: str) -> str:
        """Say how many runs of a chosen sweep another backend has trained; empty without any."""
        return not_counted(self._plans[name], self.store)

    def planned(self, name: str) -> int:
        """Return how many runs a chosen sweep has, arms and all."""
        return len(self._plans[name].runs)

    def trained_with(self) -> str:
        """Return by what the chosen sweeps are trained; empty where each brings its own function.

        Where only some do, those that do not are named.
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

    @property
    def baseline_read(self) -> tuple[str, ...]:
        """Lines on what was read as what in the table that is the baseline; empty without one."""
        return self._baseline.notes if isinstance(self._baseline, Baseline) else ()

    def result(self, run: Run) -> Result | None:
        """Return the result of ``run``, training it and the others selected where needed.

        None where it is not in the store and this session trains nothing, or not this run: see
        `not_needed`.
        """
        key = self._keys[run.id]
        self._launch()
        self._wait(lambda work: key in work)
        if self._is_fresh and key not in self._ended:
            return None
        return None if self.not_needed(run) else self._results.get(key)

    def try_again(self, run: Run) -> None:
        """Train ``run`` once more at the next call of `result`, unless it has ended for good."""
        key = self._keys[run.id]
        if self._work is not None and key in self._ended and not self._results[key].is_final:
            self._ended.discard(key)
            self._work.add([self._job(key, run, self._plans[run.sweep])])
            self._advance()

    def not_needed(self, run: Run) -> bool:
        """Whether ``run`` has not finished, and its sweep is answered without it."""
        key = self._keys[run.id]
        ended = key in self._ended or self._is_done(key)
        waits = self._work is not None and key in self._work
        return not ended and not waits and self.is_answered(run.sweep)

    def is_answered(self, name: str) -> bool:
        """Whether a chosen sweep trains until it is answered, and every question of it is."""
        known = name in self._answered or self._asked.get(name) == len(self._ended)
        if known or self.settings.selection.until != ANSWERED:
            return name in self._answered
        self._asked[name] = len(self._ended)
        from harness.judging.early import EarlyAnswers

        found = gathered(
            self.sweeps[name],
            self.sweeps,
            self.store,
            self.settings.selection,
            baseline=self._baseline,
            lookup=self.lookup,
            running=self.chosen,
            planned=self._plans[name],
        )
        early = self._early.setdefault(name, EarlyAnswers(found.planned))
        if early.all_answered(found.evidence, baseline_ready=found.absent is None):
            self._answered.add(name)
        return name in self._answered

    def finish(self, names: Iterable[str] | None = None) -> None:
        """Wait for every selected run of some sweeps (all, by default)."""
        self._launch()
        wanted = self.chosen if names is None else [n for n in names if n in self._plans]
        keys = [key for name in wanted for key in self._plans[name].runs]
        self._wait(lambda work: any(key in work for key in keys))

    def verdict(self, name: str, question: str) -> Verdict:
        """Return the verdict on a question, once the runs selected for it are finished."""
        claim = self.sweeps[name].questions[question]
        needed = {name}
        baseline = baseline_of(self.sweeps[name], self._baseline)
        if claim.uses_baseline and isinstance(baseline, str):
            needed.add(baseline)
        self.finish(needed)
        return next(v for v in self.report(name).verdicts if v.id == question)

    def results(self, name: str) -> tuple[Result, ...]:
        """Return the results of a sweep's runs in the order of the plan, where there are any."""
        self.finish([name])
        found = self.lookup(self._plans[name].runs)
        return tuple(found[key] for key in self._plans[name].runs if key in found)

    def lookup(self, runs: Mapping[str, Run]) -> dict[str, Result]:
        """Return the results of ``runs``, by key, that count in this session."""
        counted = self._ended if self._is_fresh else self._results
        return {key: self._results[key] for key in runs if key in counted}

    def report(self, name: str) -> Report:
        """Return the report of a chosen sweep as things stand; made once for the same results."""
        from harness.report.model import build

        if name not in self._reports:
            self._reports[name] = build(
                judge_sweep(
                    self.sweeps[name],
                    self.sweeps,
                    self.store,
                    self.settings.selection,
                    baseline=self._baseline,
                    lookup=self.lookup,
                    running=self.chosen,
                    reference=self._references.get(name),
                    planned=self._plans[name],
                )
            )
        return self._reports[name]

    def regression(self, name: str, question: str) -> Regression | None:
        """Return what became of a question that the reference of a sweep supports."""
        compared = self.report(name).compared
        found = compared.questions if compared else ()
        return next((one for one in found if one.id == question), None)

    def references(self) -> dict[str, tuple[Path, int]]:
        """Return the references by sweep, with how many questions each supports."""
        return {name: (r.path, len(r.supported)) for name, r in self._references.items()}

    def report_folder(self, name: str) -> Path:
        """Return where the report of a chosen sweep belongs."""
        settled = self.report(name).settled
        folder = report_folder(self._plans[name], self._baseline, settled=settled)
        return self.settings.reports / folder

    def missing(self, name: str) -> Shortfall | None:
        """Return the runs of a chosen sweep that have not finished and are needed; None without."""
        if self.is_answered(name):
            return None
        return shortfall(self._plans[name].runs, self.lookup)

    def recall(self) -> None:
        """Take in what the other processes of a shared session have stored."""
        for planned in self._plans.values():
            found = self.store.of(planned.runs)
            self._results.update(found)
            self._ended |= {k for k, r in found.items() if (r.finished_at or "") >= self._since}
        self._reports.clear()

    def stop(self) -> None:
        """Stop the workers. Runs in flight are interrupted; what has finished is saved."""
        self.observer.pause()
        if self._work is not None:
            work, self._work = self._work, None
            self._end(work.stop())

    def close(self) -> None:
        """Stop the workers and close the store.

        Raises
        ------
        StoreError
            Where results could not be saved; the message counts them.
        """
        try:
            self.stop()
        finally:
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

    def _make_executor(self, on_event: Callable[[Event], None], may_begin: MayBegin) -> Executor:
        from harness.executors import make_executor

        return make_executor(
            self.settings.executor,
            workers=self.settings.workers,
            threads=self.settings.threads,
            gpus=self.settings.gpus,
            per_gpu=self.settings.per_gpu,
            address=self.settings.ray_address,
            on_event=on_event,
            may_begin=may_begin,
            debug=self.settings.debug,
            stops=self.settings.stops,
        )

    @cached_property
    def _is_fresh(self) -> bool:
        """Whether only what ends while this session lasts counts."""
        return self.settings.fresh and not self.settings.offline

    def _check_trainable(self, planned: Plan) -> None:
        if planned.sweep.trainer is not None or self.settings.offline:
            return
        from harness.training.backends import require_device
        from harness.training.settings import check_config

        require_device(planned.conditions.device, planned.conditions.backend)
        for config in {run.config for run in planned.runs.values()}:
            check_config(config)

    def _is_done(self, key: str) -> bool:
        if self._is_fresh:
            return key in self._ended
        return key in self._results and self._results[key].is_final

    def _launch(self) -> None:
        if self._launched or self._work is None:
            return
        self._launched = True
        jobs = [
            self._job(key, self._plans[name].runs[key], self._plans[name])
            for name, key in self._in_order()
            if not self._is_done(key)
        ]
        if not jobs:
            return
        if self._is_fresh:
            self._discard_checkpoints(job.key for job in jobs)
        from harness.session.environment import environment

        self._work.add(jobs, environment(self.settings.home.parent))
        self._advance()

    def _in_order(self) -> list[tuple[str, str]]:
        """Return sweep and key of the selected runs in the order in which they are begun."""
        chosen = [(n, self._keys[run.id]) for n in self.chosen for run in self._selected[n]]
        if self.settings.selection.until != ANSWERED:
            return chosen
        selected = set(chosen)
        return [one for one in in_order(self._plans, self._baseline) if one in selected]

    def _advance(self) -> None:
        """Begin what waits: all of it, or as much as there are workers while answers may come."""
        assert self._work is not None
        all_at_once = self.settings.selection.until != ANSWERED
        for name in () if all_at_once else self._work.sweeps:
            if self._is_over(name):
                self._work.drop(name)
        self._work.begin(all_at_once=all_at_once)

    def _is_over(self, name: str) -> bool:
        """Whether a sweep is answered, and so is each that is compared with it."""
        others = users(name, self._plans, self._baseline)
        return all(self.is_answered(other) for other in (name, *others))

    def _job(self, key: str, run: Run, planned: Plan) -> Job:
        from harness.training.settings import program

        return Job(
            key=key,
            run=run,
            conditions=planned.conditions,
            cache=str(self.settings.home / "cache"),
            log=str(self.settings.home / "logs" / f"{run.id[:100]}-{key}.log"),
            timeout=self.settings.timeout,
            program=program(planned.conditions.backend, run.config),
            memory=self.settings.memory,
            checkpoint=self._checkpoint(key),
            checkpoint_every=self.settings.checkpoint_every,
        )

    def _wait(self, is_open: Callable[[Work], bool]) -> None:
        """Train until nothing that is asked about is open."""
        while self._work is not None and is_open(self._work):
            self._step(self._work)
        self.observer.pause()

    def _step(self, work: Work) -> None:
        self._end(work.poll(POLL_SECONDS))
        self._advance()

    def _end(self, results: Iterable[Result]) -> None:
        """Take note of runs that have ended."""
        for result in results:
            self._results[result.key] = result
            self._ended.add(result.key)
            self._reports.clear()
            if result.is_final:  # a training function of the user's may not do it itself
                self._discard_checkpoints([result.key])

    def _checkpoint(self, key: str) -> str:
        return str(self.settings.home / "checkpoints" / key)

    def _discard_checkpoints(self, keys: Iterable[str]) -> None:
        from harness.training.checkpoints import discard

        for key in keys:
            discard(self._checkpoint(key))
