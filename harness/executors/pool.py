"""The parts that executors share: how they report events, and what they know of their workers."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.executors.logs import append, cut
from harness.executors.outcomes import filled, with_last_lines
from harness.protocols import Event, Finished, MayBegin, Progressed, Skipped, Started
from harness.records import Evaluation, Job, Outcome

HOPELESS = 3
"""An executor gives up after so many workers in a row that die before their first job."""

OnEvent = Callable[[Event], None]


class BaseExecutor(ABC):
    """Reports events, and asks whether jobs may begin (see `harness.protocols.Executor`)."""

    def __init__(self, on_event: OnEvent | None, may_begin: MayBegin | None) -> None:
        self._on_event = on_event
        self._may_begin = may_begin
        self._events: list[Event] = []
        self._closed = False

    @abstractmethod
    def _put_back(self, job: Job) -> None:
        """Put back a job that was not begun, as the next of its kind."""

    def _require_open(self) -> None:
        if self._closed:
            raise RuntimeError("the executor is closed")

    def _is_ours(self, job: Job) -> bool:
        """Ask whether ``job`` may begin; if asking fails, put it back. Report it if it may not."""
        try:
            is_ours = self._may_begin is None or self._may_begin(job)
        except BaseException:
            self._put_back(job)
            raise
        if not is_ours:
            self._tell(Skipped(job.key))
        return is_ours

    def _tell(self, event: Event) -> None:
        """Report ``event``, now by the callback and later by `poll`."""
        self._events.append(event)
        if self._on_event is not None:
            self._on_event(event)

    def _fail(self, job: Job, why: str) -> None:
        self._tell(Finished(job.key, Outcome(status="failed", error=why)))

    def _take_events(self) -> Sequence[Event]:
        """Return the events that have not been returned yet."""
        events, self._events = self._events, []
        return events


@dataclass(kw_only=True)
class PoolWorker:
    """A worker and its job, if it has one.

    ``started`` says that it has begun this job, and ``began`` when. ``program`` is that of its last
    job with one. ``curve`` has the evaluations of the job so far.
    """

    job: Job | None = None
    program: str = ""
    started: bool = False
    began: float = 0.0
    curve: list[Evaluation] = field(default_factory=list)

    def give(self, job: Job) -> None:
        """Give the worker a job."""
        self.job, self.started = job, False
        self.program = job.program or self.program
        self.began, self.curve = time.monotonic(), []

    def filled(self, outcome: Outcome) -> Outcome:
        """Fill in what ``outcome`` does not say and the worker's state does."""
        return filled(outcome, self.curve, time.monotonic() - self.began)


class PoolExecutor(BaseExecutor):
    """An executor that gives its jobs to workers, which live through many of them."""

    @abstractmethod
    def _assign(self) -> None:
        """Give queued jobs to idle workers, and start workers while there are too few."""

    @abstractmethod
    def _listen(self, timeout: float) -> None:
        """Handle what the workers have sent; wait up to ``timeout`` seconds for the first of it."""

    @abstractmethod
    def _check(self) -> None:
        """End what has exceeded a limit."""

    @abstractmethod
    def _is_at_work(self) -> bool:
        """Return whether any job is left."""

    def poll(self, timeout: float) -> Sequence[Event]:
        """Return the events so far; wait up to ``timeout`` seconds for one while jobs are left."""
        until = time.monotonic() + timeout
        while not self._closed:
            self._assign()
            self._listen(0.0 if self._events else until - time.monotonic())
            self._check()
            self._assign()
            if self._events or not self._is_at_work() or time.monotonic() >= until:
                break
        return self._take_events()

    def _hear(self, worker: PoolWorker, event: Event) -> None:
        """Report an event of the worker's job; ignore one of an earlier job."""
        if worker.job is None or event.key != worker.job.key:
            return
        if isinstance(event, Started):
            worker.started, worker.began = True, time.monotonic()
        elif isinstance(event, Progressed) and event.progress.evaluation is not None:
            worker.curve.append(event.progress.evaluation)
        elif isinstance(event, Finished):
            worker.job = None
            event = Finished(event.key, worker.filled(event.outcome))
        self._tell(event)

    def _end_job(self, worker: PoolWorker, outcome: Outcome) -> None:
        """End the job, if any, of a worker that is gone."""
        job, worker.job = worker.job, None
        if job is not None:
            outcome = with_last_lines(outcome, job.log)
            cut(job.log)
            append(job.log, f"\n[sweep] {outcome.error}\n")
            self._tell(Finished(job.key, worker.filled(outcome)))
