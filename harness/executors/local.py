"""Training in worker processes of this machine (POSIX: Linux and macOS)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait

from harness.executors.logs import append, begin_log, tail
from harness.executors.outcomes import crash, filled, one_line, overdue
from harness.executors.waiting import Waiting
from harness.executors.worker import BOOT
from harness.protocols import Event, Finished, MayBegin, Progressed, Started, Withheld
from harness.records import Evaluation, Job, Outcome

LOOK = 0.2
"""Seconds between two looks at whether the workers live: a death is nearly always heard of at
once, by its pipe, but a process that the worker has left behind may be holding that open."""

HOPELESS = 3
"""So many workers in a row that die before their first job make the executor give up."""

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)


@dataclass
class _Worker:
    """A worker process with its end of the pipe, and the job it has, if any.

    ``program`` is that of the last job which had one.
    """

    process: subprocess.Popen[bytes]
    pipe: Connection
    lifeline: Connection
    proven: bool = False
    job: Job | None = None
    program: str = ""
    started: bool = False
    began: float = 0.0
    curve: list[Evaluation] = field(default_factory=list)

    @property
    def deadline(self) -> float | None:
        if self.job is None or self.job.timeout is None:
            return None
        return self.began + self.job.timeout

    def filled(self, outcome: Outcome) -> Outcome:
        return filled(outcome, self.curve, time.monotonic() - self.began)


class LocalExecutor:
    """Trains jobs in up to ``workers`` processes that live through many of them (see `Executor`).

    A worker's imports and caches stay warm from one job to the next. What it prints goes to the
    log of its job. The death of a worker costs its own job, which ends as ``crashed`` with the
    signal or exit code and the end of its log; a job past its timeout is killed; either way the
    worker is replaced when there is more to do. A worker takes jobs of the program it trained last
    as long as there are any (see `Waiting`). ``threads`` is set by environment variables that
    the numerical libraries read. Not to be used from several threads at once.
    """

    def __init__(
        self,
        workers: int = 2,
        *,
        threads: int = 1,
        on_event: Callable[[Event], None] | None = None,
        may_begin: MayBegin | None = None,
    ) -> None:
        self.workers = workers
        self._threads = threads
        self._on_event = on_event
        self._may_begin = may_begin
        self._queue = Waiting()
        self._crew: list[_Worker] = []
        self._events: list[Event] = []
        self._failed_starts = 0
        self._closed = False

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue ``jobs``, in this order but for their programs, and set the workers to them."""
        if self._closed:
            raise RuntimeError("the executor is closed")
        self._queue.add(jobs)
        self._assign()

    def poll(self, timeout: float) -> Sequence[Event]:
        """Return what has happened, waiting up to ``timeout`` seconds for something to.

        Returns at once where no job is left that anything could happen to.
        """
        until = time.monotonic() + timeout
        while not self._closed:
            self._assign()
            self._listen(0.0 if self._events else until - time.monotonic())
            self._check_deadlines()
            self._assign()
            if self._events or not self._busy() or time.monotonic() >= until:
                break
        events, self._events = self._events, []
        return events

    def close(self) -> Sequence[Event]:
        """Kill every worker with all it has started, and wait until they are gone.

        Returns what they had sent before, and `poll` has not told.
        """
        self._queue.clear()
        if not self._closed:
            for worker in list(self._crew):
                self._receive(worker)
        self._closed = True
        crew, self._crew = self._crew, []
        for worker in crew:
            _kill(worker.process)
        for worker in crew:
            _reap(worker)
        events, self._events = self._events, []
        return events

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._crew if worker.job is not None]

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        if self._on_event is not None:
            self._on_event(event)

    def _assign(self) -> None:
        """Give queued jobs to idle workers, starting workers while there are too few."""
        while self._queue and not self._closed:
            worker = self._idle()
            if worker is None and len(self._crew) >= self.workers:
                return
            others = {other.program for other in self._crew if other is not worker}
            job = self._queue.take(worker.program if worker else "", others)
            if not self._is_ours(job):
                self._tell(Withheld(job.key))
                continue
            try:
                begin_log(job.log)
                if worker is None:
                    worker = self._start(job.log)
            except OSError as error:
                text = f"cannot begin: {one_line(error)} (log: {job.log})"
                self._tell(Finished(job.key, Outcome(status="failed", error=text)))
                continue
            worker.job, worker.started = job, False
            worker.program = job.program or worker.program
            worker.began, worker.curve = time.monotonic(), []
            try:
                worker.pipe.send(job)
            except OSError:
                self._bury(worker)

    def _is_ours(self, job: Job) -> bool:
        """Ask whether ``job`` may begin; where that cannot be told, it is the next as before."""
        try:
            return self._may_begin is None or self._may_begin(job)
        except BaseException:
            self._queue.put_back(job)
            raise

    def _idle(self) -> _Worker | None:
        """Return a worker without a job, one that has its program waiting before any other."""
        idle = [worker for worker in self._crew if worker.job is None]
        ready = (worker for worker in idle if self._queue.has(worker.program))
        return next(ready, idle[0] if idle else None)

    def _start(self, log: str) -> _Worker:
        """Start a worker as a program of its own, in a process group of its own."""
        ours, theirs = Pipe()
        watched, lifeline = Pipe(duplex=False)
        descriptors = [theirs.fileno(), watched.fileno()]
        path = json.dumps([os.path.abspath(entry) for entry in sys.path])  # noqa: PTH100
        arguments = [*map(str, (*descriptors, os.getpid())), path]
        try:
            with theirs, watched, open(log, "ab") as output:  # noqa: PTH123
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", BOOT, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=descriptors,
                    env=os.environ | dict.fromkeys(_THREADS, str(self._threads)),
                    process_group=0,
                )
        except BaseException:
            ours.close()
            lifeline.close()
            raise
        worker = _Worker(process, ours, lifeline)
        self._crew.append(worker)
        if self._closed:  # by a signal's handler, just now
            self.close()
        return worker

    def _listen(self, timeout: float) -> None:
        """Take what the workers have sent, waiting up to ``timeout`` seconds for the first of it.

        Also returns, with nothing, when a deadline has come.
        """
        until = time.monotonic() + timeout
        for worker in self._busy():
            if worker.deadline is not None:
                until = min(until, worker.deadline)
        while self._busy() and not self._closed:
            now = time.monotonic()
            crew = {worker.pipe: worker for worker in self._crew}
            for pipe in wait(list(crew), max(0.0, min(until - now, LOOK))):
                assert isinstance(pipe, Connection)
                self._receive(crew[pipe])
            for worker in list(self._crew):
                if worker.process.poll() is not None:
                    self._receive(worker)
                    self._bury(worker)
            if self._events or time.monotonic() >= until:
                return

    def _receive(self, worker: _Worker) -> None:
        """Take all that has come from ``worker``; bury it where its pipe has ended."""
        try:
            while worker in self._crew and worker.pipe.poll():
                self._take(worker, worker.pipe.recv())
        except (EOFError, OSError):
            self._bury(worker)
        except Exception as error:  # noqa: BLE001
            # What a trainer put into its progress may not be readable here.
            _kill(worker.process)
            self._bury(worker, f"the worker sent what cannot be read ({one_line(error)})")

    def _take(self, worker: _Worker, event: Event) -> None:
        job = worker.job
        if job is None or event.key != job.key:
            return
        if isinstance(event, Started):
            worker.proven, worker.started, worker.began = True, True, time.monotonic()
            self._failed_starts = 0
        elif isinstance(event, Progressed) and event.progress.evaluation is not None:
            worker.curve.append(event.progress.evaluation)
        elif isinstance(event, Finished):
            worker.job = None
            event = Finished(event.key, worker.filled(event.outcome))
        self._tell(event)

    def _check_deadlines(self) -> None:
        for worker in self._busy():
            now = time.monotonic()
            if worker.deadline is None or now < worker.deadline:
                continue
            self._receive(worker)
            job = worker.job
            if job is None or job.timeout is None or worker not in self._crew:
                continue
            if worker.deadline is not None and now >= worker.deadline:
                self._end_job(worker, overdue(job.timeout, job.log))
                _kill(worker.process)
                self._bury(worker)

    def _bury(self, worker: _Worker, what: str | None = None) -> None:
        """Do away with a worker that is dead or as good as dead, and end the job it had."""
        if worker not in self._crew:
            return
        self._crew.remove(worker)
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(0.5)  # its pipe may close a moment before it is gone
        code = worker.process.returncode
        _kill(worker.process)
        _reap(worker)
        if worker.job is None:
            return
        if worker.proven and not worker.started:  # it died idle, which is not this job's doing
            self._queue.put_back(worker.job)
            return
        log = worker.job.log
        if what is None:
            what = "the worker closed its pipe" if code is None else f"the worker {_death(code)}"
        self._end_job(worker, crash(what, log))
        if not worker.proven:
            self._failed_starts += 1
            if self._failed_starts >= HOPELESS:
                self._give_up(log)

    def _end_job(self, worker: _Worker, outcome: Outcome) -> None:
        job, worker.job = worker.job, None
        if job is not None:
            append(job.log, f"\n[sweep] {outcome.error}\n")
            self._tell(Finished(job.key, worker.filled(outcome)))

    def _give_up(self, log: str) -> None:
        said = " | ".join(tail(log))
        text = f"workers cannot start on this machine; the last one said: {said} (log: {log})"
        while self._queue:
            self._tell(Finished(self._queue.take().key, Outcome(status="failed", error=text)))


def _death(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    meaning = {"SIGKILL": ", as the system does when memory runs out", "SIGSEGV": ", a bad access"}
    return f"was killed by {name}{meaning.get(name, '')}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker with its process group: what it has started goes with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _reap(worker: _Worker) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        worker.process.wait(5)
    worker.pipe.close()
    worker.lifeline.close()
