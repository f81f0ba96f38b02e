"""Train in this process: for the debugger, for tests, and in other people's workers."""

from __future__ import annotations

import bdb
import time
from collections import deque
from collections.abc import Sequence

from harness.executors.logs import append
from harness.executors.outcomes import failure, filled, overdue, traceback_text, train
from harness.executors.pool import BaseExecutor, OnEvent
from harness.protocols import Event, Finished, MayBegin, Progressed, Started
from harness.records import Evaluation, Job, Outcome, Progress


class InlineExecutor(BaseExecutor):
    """Trains one queued job in each call of `poll`, in this process (see `Executor`).

    ``poll`` returns when that job has ended. Its trainer prints where this process prints. Its
    timeout is checked whenever it reports progress.

    With ``debug`` there are no timeouts, and ``poll`` raises an exception of the trainer, so that a
    debugger stops where it came from. ``poll`` always raises KeyboardInterrupt, a debugger's quit
    and the exceptions in ``stops``. In each case the job has ended, and the next ``poll`` returns
    its events.
    """

    workers = 1

    def __init__(
        self,
        *,
        on_event: OnEvent | None = None,
        may_begin: MayBegin | None = None,
        debug: bool = False,
        stops: tuple[type[BaseException], ...] = (),
    ) -> None:
        super().__init__(on_event, may_begin)
        self._debug = debug
        self._stops: tuple[type[BaseException], ...] = (KeyboardInterrupt, bdb.BdbQuit, *stops)
        self._queue: deque[Job] = deque()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue ``jobs``, which begin in this order."""
        self._require_open()
        self._queue.extend(jobs)

    def poll(self, timeout: float) -> Sequence[Event]:
        """Train the next job and return its events; return events that are left first."""
        if not self._events and self._queue and not self._closed:
            job = self._queue.popleft()
            if self._is_ours(job):
                self._train(job)
        return self._take_events()

    def close(self) -> Sequence[Event]:
        """Remove the jobs that have not begun; return the events that `poll` has not returned."""
        self._closed = True
        self._queue.clear()
        return self._take_events()

    def _put_back(self, job: Job) -> None:
        self._queue.appendleft(job)

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
    """Ends a trainer that has run too long. A trainer's `except Exception` does not catch it."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
