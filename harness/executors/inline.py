"""Training in this process: for the debugger, for tests, and under other people's workers."""

from __future__ import annotations

import bdb
import time
from collections import deque
from collections.abc import Callable, Sequence

from harness.executors.logs import append
from harness.executors.outcomes import failure, filled, overdue, traceback_text, train
from harness.protocols import Event, Finished, MayBegin, Progressed, Skipped, Started
from harness.records import Evaluation, Job, Outcome, Progress


class InlineExecutor:
    """Trains one queued job in each call of `poll`, in this process (see `Executor`).

    ``poll`` returns when that job has ended; what its trainer prints goes where this process
    prints. A job's timeout is looked at whenever it reports progress.

    With ``debug``, an exception of the trainer leaves ``poll``, so that a debugger stops where it
    was raised, and there are no timeouts; the exceptions in ``stops``, KeyboardInterrupt and a
    debugger's quit always leave it. The job that was in flight has ended all the same: the next
    ``poll`` returns its events.
    """

    workers = 1

    def __init__(
        self,
        *,
        on_event: Callable[[Event], None] | None = None,
        may_begin: MayBegin | None = None,
        debug: bool = False,
        stops: tuple[type[BaseException], ...] = (),
    ) -> None:
        self._on_event = on_event
        self._may_begin = may_begin
        self._debug = debug
        self._stops: tuple[type[BaseException], ...] = (KeyboardInterrupt, bdb.BdbQuit, *stops)
        self._queue: deque[Job] = deque()
        self._events: list[Event] = []
        self._closed = False

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue ``jobs``, which begin in this order."""
        if self._closed:
            raise RuntimeError("the executor is closed")
        self._queue.extend(jobs)

    def poll(self, timeout: float) -> Sequence[Event]:
        """Train the next job and return its events; without one, return those that are left."""
        if not self._events and self._queue and not self._closed:
            self._begin_next()
        events, self._events = self._events, []
        return events

    def close(self) -> Sequence[Event]:
        """Remove the jobs that have not begun; return the events that `poll` has not returned."""
        self._closed = True
        self._queue.clear()
        events, self._events = self._events, []
        return events

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        if self._on_event is not None:
            self._on_event(event)

    def _begin_next(self) -> None:
        """Train the first job if this session may; where asking fails the job stays queued."""
        job = self._queue[0]
        mine = self._may_begin is None or self._may_begin(job)
        self._queue.popleft()
        if mine:
            self._train(job)
        else:
            self._tell(Skipped(job.key))

    def _train(self, job: Job) -> None:
        begun = time.monotonic()
        curve: list[Evaluation] = []

        def notify(progress: Progress) -> None:
            if progress.evaluation is not None:
                curve.append(progress.evaluation)
            self._tell(Progressed(job.key, progress))
            limit = None if self._debug else job.timeout
            if limit is not None and time.monotonic() - begun > limit:
                raise _OverdueError(overdue(limit))

        def end(outcome: Outcome) -> None:
            self._tell(Finished(job.key, filled(outcome, curve, time.monotonic() - begun)))

        self._tell(Started(job.key))
        try:
            outcome = train(job, notify)
        except _OverdueError as error:
            outcome = error.outcome
        except BaseException as error:
            if isinstance(error, self._stops):
                end(Outcome(status="interrupted", error=f"stopped by {type(error).__name__}"))
                raise
            append(job.log, traceback_text(error))
            outcome = failure(error, job.log)
            if self._debug:
                end(outcome)
                raise
        end(outcome)


class _OverdueError(BaseException):
    """Ends a trainer that has run too long; no trainer's `except Exception` holds it up."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
