"""The runs that a session still has to train: leased, submitted, retried and saved."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.protocols import Event, Executor, Finished, MayBegin, Progressed, Skipped, Started
from harness.records import Evaluation, Job, Outcome, Result, Status, Value
from harness.session.progress import Observer
from harness.session.tally import Tally
from harness.text import printable

if TYPE_CHECKING:
    from harness.store import Store

RETRIED: tuple[Status, ...] = ("crashed", "timeout", "oom")
"""Statuses that do not depend on what a run computes, so that another try may end better."""

LOOK = 0.5
"""Seconds between two checks of the runs that other sessions have leased."""

MakeExecutor = Callable[[Callable[[Event], None], MayBegin], Executor]
"""Makes an executor from its ``on_event`` and ``may_begin``."""


def now() -> str:
    """Return the time as results have it: UTC, to the microsecond, as text that sorts by time."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Queue:
    """The jobs of a session on their way through its executor and into its store.

    A run is leased in the store when a worker is free for it, so that only one session on the store
    trains it. If another session has the lease, this one waits for it, and begins the run if that
    session dies. A run that another session finished after ``since`` counts as this session's,
    however it ended. An earlier result must be final, and with ``fresh`` it does not count. A run
    that ends in one of `RETRIED` is tried again up to ``retries`` times. If several processes form
    one ``shared`` session, a run has crashed when the process that trained it died.
    """

    def __init__(
        self,
        store: Store,
        make_executor: MakeExecutor,
        *,
        since: str,
        retries: int = 1,
        fresh: bool = False,
        shared: bool = False,
        tally: Tally | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.tally = tally or Tally()
        self._store = store
        self._since = since
        self._retries = retries
        self._fresh = fresh
        self._shared = shared
        self._observer = observer or Observer()
        self._waiting: deque[Job] = deque()  # not submitted to the executor
        self._submitted: set[str] = set()
        self._jobs: dict[str, Job] = {}
        self._open: set[str] = set()
        self._curves: dict[str, list[Evaluation]] = {}  # of the runs in flight
        self._tries: Counter[str] = Counter()
        self._elsewhere: dict[str, Job] = {}
        self._looked = 0.0
        self._saved: dict[str, str | None] = {}  # the end of each run that this session saved
        self._unsaved: list[Result] = []
        self._untold: list[Result] = []  # ended, and not returned yet: they could not be saved
        self._environment: Mapping[str, Value] = {}
        self._executor = make_executor(self._on_event, self._may_begin)
        self.tally.workers = self._executor.workers

    def __contains__(self, key: object) -> bool:
        """Return whether the run with this key has not ended yet."""
        return key in self._open

    def __bool__(self) -> bool:
        """Return whether any run has not ended yet."""
        return bool(self._open)

    @property
    def sweeps(self) -> set[str]:
        """The sweeps with jobs that have not been submitted to the executor."""
        return {job.run.sweep for job in self._waiting}

    def is_own(self, result: Result) -> bool:
        """Return whether this session has trained the run to this end, and saved it."""
        return self._saved.get(result.key, "") == result.finished_at

    def add(self, jobs: Iterable[Job], environment: Mapping[str, Value] | None = None) -> None:
        """Queue ``jobs``, which begin in this order; their results have ``environment``."""
        if environment is not None:
            self._environment = environment
        for job in jobs:
            self._jobs[job.key] = job
            self._open.add(job.key)
            self._tries[job.key] = 0
            self._expect(job)

    def begin(self, *, all_at_once: bool) -> None:
        """Submit all waiting jobs, or only as many as there are free workers."""
        free = len(self._waiting)
        if not all_at_once:
            free = min(free, self._executor.workers - len(self._submitted))
        if free > 0:
            jobs = [self._waiting.popleft() for _ in range(free)]
            self._submitted.update(job.key for job in jobs)
            self._executor.submit(jobs)

    def drop(self, sweep: str) -> None:
        """Remove the jobs of a sweep that have not been submitted."""
        dropped = [job for job in self._waiting if job.run.sweep == sweep]
        self._waiting = deque(job for job in self._waiting if job.run.sweep != sweep)
        for job in dropped:
            self._open.discard(job.key)
            self.tally.drop(job.run)

    def poll(self, timeout: float) -> list[Result]:
        """Return the runs that have ended, here or elsewhere; wait ``timeout`` seconds for one.

        The results of this session are saved first. Raises `StoreError` if they cannot be, or the
        store cannot be read. The next call tries again.
        """
        until = time.monotonic() + timeout
        for event in self._executor.poll(timeout):
            self._untold += self._end(event)
        self._save()
        ended = [*self._untold, *self._look_elsewhere()]
        self._untold.clear()
        if self._elsewhere and not ended and not self._curves:
            time.sleep(max(0.0, min(LOOK, until - time.monotonic())))
        self._observer.update(self.tally)
        return ended

    def stop(self) -> list[Result]:
        """Stop the workers and return the runs that this interrupts, with their curves so far.

        Raises `StoreError` if results could not be saved.
        """
        for event in self._executor.close():
            self._untold += self._end(event)
        for key, curve in list(self._curves.items()):
            outcome = Outcome("interrupted", error="the session ended", curve=tuple(curve))
            self._untold += self._end(Finished(key, outcome))
        self._open.clear()
        self._save()
        return self._untold

    def _expect(self, job: Job) -> None:
        self.tally.expect(job.run)
        self._waiting.append(job)

    def _on_event(self, event: Event) -> None:
        """Count an event as it happens and show the progress. Results come only from `poll`."""
        if isinstance(event, Started):
            self._curves[event.key] = []
        elif isinstance(event, Progressed) and event.progress.evaluation is not None:
            self._curves.setdefault(event.key, []).append(event.progress.evaluation)
        self.tally.count(event, self._jobs[event.key].run)
        self._observer.update(self.tally)

    def _may_begin(self, job: Job) -> bool:
        """Acquire the lease on a run; False if another session has it or has finished the run."""
        # A process may die at any moment, so whether its lease is taken over is asked for first.
        if not self._store.acquire(job.key, again=self._fresh, take_over=not self._shared):
            lost = self._store.abandoned([job.key]).get(job.key) if self._shared else None
            if lost is None or not self._store.acquire(job.key, again=self._fresh):
                return False
            if lost.since >= self._since:
                died = f"process {lost.pid} on {lost.host} died while it trained this run"
                self._store.save(self._result(job, Outcome("crashed", error=died)))
                return False
        stored = self._store.get([job.key], traces=False).get(job.key)
        if stored is None or not self._counts(stored):
            return True
        self._store.release([job.key])
        return False

    def _counts(self, result: Result) -> bool:
        """Return whether a result that another session has saved ends the run here too."""
        if result.is_final and not self._fresh:
            return True
        at, status = result.finished_at or "", result.outcome.status
        return (
            at >= self._since and status != "interrupted" and at != self._saved.get(result.key, "")
        )

    def _end(self, event: Event) -> list[Result]:
        """Return the result of a run that an event ends, unless the run is tried again."""
        if isinstance(event, Skipped):
            self._submitted.discard(event.key)
            self._elsewhere[event.key] = self._jobs[event.key]
            self._looked = 0.0
        if not isinstance(event, Finished):
            return []
        job, outcome = self._jobs[event.key], event.outcome
        self._curves.pop(job.key, None)
        self._submitted.discard(job.key)
        result = self._result(job, outcome)
        self._unsaved.append(result)
        self._saved[job.key] = result.finished_at
        self._tries[job.key] += 1
        if outcome.status in RETRIED and self._tries[job.key] <= self._retries:
            self.tally.expect_again(job.run, outcome)
            self._waiting.append(replace(job, alone=job.alone or outcome.status == "oom"))
            return []
        self._open.discard(job.key)
        return [result]

    def _result(self, job: Job, outcome: Outcome) -> Result:
        if outcome.error is not None:
            outcome = replace(outcome, error=printable(outcome.error))
        return Result(job.key, job.run, job.conditions, outcome, self._environment, now())

    def _look_elsewhere(self) -> list[Result]:
        """Return runs that other sessions have finished; queue those that none has leased."""
        if not self._elsewhere or time.monotonic() < self._looked + LOOK:
            return []
        found = self._store.of({key: job.run for key, job in self._elsewhere.items()})
        ended = [result for result in found.values() if self._counts(result)]
        for result in ended:
            del self._elsewhere[result.key]
            self._open.discard(result.key)
        leases = self._store.leases(self._elsewhere)
        for key in [key for key in self._elsewhere if key not in leases]:
            self._expect(self._elsewhere.pop(key))
        self.tally.elsewhere = len(self._elsewhere)
        self._looked = time.monotonic()
        return ended

    def _save(self) -> None:
        while self._unsaved:
            self._store.save(self._unsaved[0], fresh=self._fresh)
            self._unsaved.pop(0)
