"""Training in worker processes of this machine (POSIX: Linux and macOS)."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait

from harness.executors.devices import Device, environment
from harness.executors.logs import append, begin_log, cut, tail
from harness.executors.outcomes import (
    crash,
    one_line,
    overdue,
    starved,
    too_large,
    with_last_lines,
)
from harness.executors.process import (
    Worker,
    death,
    oom_kills,
    over,
    own,
    start,
    with_threads,
)
from harness.executors.scheduling import JobQueue, Placement, Spot
from harness.protocols import Event, Finished, MayBegin, Progressed, Skipped, Started
from harness.records import Job, Outcome

LOOK = 0.2
"""Seconds between two looks at whether the workers live, and at what memory they have. A death is
nearly always heard of at once, by its pipe, but a process that the worker has left behind may be
holding that open."""

HOPELESS = 3
"""The executor gives up after so many workers in a row that die before their first job."""


class LocalExecutor:
    """Trains jobs in up to ``workers`` processes that live through many of them (see `Executor`).

    A worker's imports and caches stay warm from one job to the next. What it prints goes to the
    log of its job. The death of a worker costs its own job, which ends as ``crashed`` with the
    signal or exit code, or as ``oom`` where it was the system, out of memory; a job past its
    timeout or its memory is killed. Either way the end of its log is told, and the worker is
    replaced when there is more to do. A worker takes jobs of the program it trained last
    as long as there are any (see `JobQueue`). ``threads`` is set by environment variables that
    the numerical libraries read. Not to be used from several threads at once.

    With ``devices``, a worker is started on one of them, sees no other, and shares it with up to
    ``per_device - 1`` more (see `Placement`). There are no more workers than places, and as many
    with None. A job that is to be alone on its device has a worker of its own there, and no other
    process with memory on it.
    """

    def __init__(
        self,
        workers: int | None = 2,
        *,
        threads: int = 1,
        devices: Sequence[Device] = (),
        per_device: int = 1,
        on_event: Callable[[Event], None] | None = None,
        may_begin: MayBegin | None = None,
    ) -> None:
        places = len(devices) * per_device if devices else workers or 2
        self.workers = min(workers or places, places)
        self._threads = with_threads(threads)
        self._devices = {device.uuid: device for device in devices}
        self._per_device = per_device
        self._on_event = on_event
        self._may_begin = may_begin
        self._queue = JobQueue()
        self._alone: deque[Job] = deque()  # those that wait for a device to themselves
        self._pool: list[Worker] = []
        self._events: list[Event] = []
        self._failed_starts = 0
        self._next_look = 0.0
        self._kills: tuple[float, int | None] = (0.0, None)
        self._closed = False

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue ``jobs``, in this order except that workers keep to programs, and start work."""
        if self._closed:
            raise RuntimeError("the executor is closed")
        alone = [job for job in jobs if self._is_alone(job)]
        self._alone.extend(alone)
        self._queue.add(job for job in jobs if not self._is_alone(job))
        self._assign()

    def poll(self, timeout: float) -> Sequence[Event]:
        """Return the events so far, waiting up to ``timeout`` seconds for one.

        Returns at once where no job is left.
        """
        until = time.monotonic() + timeout
        while not self._closed:
            self._assign()
            self._listen(0.0 if self._events else until - time.monotonic())
            self._check_deadlines()
            self._check_memory()
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
        self._alone.clear()
        if not self._closed:
            for worker in list(self._pool):
                self._receive(worker)
        self._closed = True
        ended, self._pool = self._pool, []
        for worker in ended:
            worker.kill()
        for worker in ended:
            worker.reap()
        events, self._events = self._events, []
        return events

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._pool if worker.job is not None]

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        if self._on_event is not None:
            self._on_event(event)

    def _assign(self) -> None:
        """Give queued jobs to idle workers; start workers while there are too few."""
        while not self._closed and len(self._busy()) < self.workers:
            spot = self._spot()
            if spot is None:
                return
            worker = self._idle(spot)
            job = self._take_job(spot, worker)
            if not self._is_ours(job):
                self._tell(Skipped(job.key))
            else:
                self._begin(job, worker, spot)

    def _spot(self) -> Spot | None:
        """Return where a waiting job may begin."""
        running = [(w.device, self._is_alone(w.job)) for w in self._pool if w.job is not None]
        if not self._devices:
            placement = Placement(("",), self.workers, tuple(running))
        else:
            placement = Placement(tuple(self._devices), self._per_device, tuple(running))
        return placement.spot(alone_waits=bool(self._alone), others_wait=bool(self._queue))

    def _is_alone(self, job: Job) -> bool:
        return job.alone and bool(self._devices)

    def _idle(self, spot: Spot) -> Worker | None:
        """Return an idle worker for a job there, preferably one whose program waits."""
        if spot.alone and self._per_device > 1:
            return None  # what a worker has kept of the device's memory, it would lack
        here = [w for w in self._pool if w.job is None and w.device in spot.devices and not w.alone]
        ready = (worker for worker in here if self._queue.has(worker.program))
        return next(ready, here[0] if here else None)

    def _take_job(self, spot: Spot, worker: Worker | None) -> Job:
        if spot.alone:
            return self._alone.popleft()
        others = {other.program for other in self._pool if other is not worker}
        return self._queue.pop(worker.program if worker else "", others)

    def _put_back(self, job: Job) -> None:
        """Put back a job that was not begun: it is the next of its kind."""
        if self._is_alone(job):
            self._alone.appendleft(job)
        else:
            self._queue.put_back(job)

    def _is_ours(self, job: Job) -> bool:
        """Ask whether ``job`` may begin; where asking fails, put it back as the next job."""
        try:
            return self._may_begin is None or self._may_begin(job)
        except BaseException:
            self._put_back(job)
            raise

    def _begin(self, job: Job, worker: Worker | None, spot: Spot) -> None:
        if worker is not None and _is_too_large(worker, job):
            self._stop_idle(worker)
            worker = None
        try:
            begin_log(job.log)
            if worker is None:
                worker = self._start(job.log, spot)
        except OSError as error:
            text = f"cannot begin: {one_line(error)} (log: {job.log})"
            self._tell(Finished(job.key, Outcome(status="failed", error=text)))
            return
        worker.job, worker.started = job, False
        worker.program = job.program or worker.program
        worker.began, worker.curve = time.monotonic(), []
        worker.oom_kills = self._kills_so_far()
        try:
            worker.pipe.send(job)
        except OSError:
            self._remove_dead(worker)

    def _start(self, log: str, spot: Spot) -> Worker:
        """Start a worker; first stop idle ones that would be one too many or share its device."""
        name = spot.devices[0]
        device = self._devices.get(name)
        alone = spot.alone and self._per_device > 1
        idle = [worker for worker in self._pool if worker.job is None]
        for worker in idle:
            if device is not None and worker.device == name and (alone or worker.alone):
                self._stop_idle(worker)
        for worker in [worker for worker in idle if worker in self._pool]:
            if len(self._pool) >= self.workers:
                self._stop_idle(worker)
        variables = dict(self._threads)
        if device is not None:
            variables |= environment(device, 1 if alone else self._per_device)
        worker = start(log, variables)
        worker.device, worker.alone = name, alone
        self._pool.append(worker)
        if self._closed:  # by a signal's handler, just now
            self.close()
        return worker

    def _stop_idle(self, worker: Worker) -> None:
        """Stop an idle worker."""
        self._pool.remove(worker)
        worker.kill()
        worker.reap()

    def _kills_so_far(self) -> int | None:
        """Return how often the system has killed for memory, read anew only now and then."""
        now = time.monotonic()
        if now >= self._kills[0]:
            self._kills = (now + LOOK, oom_kills())
        return self._kills[1]

    def _listen(self, timeout: float) -> None:
        """Handle what the workers have sent, waiting up to ``timeout`` seconds for the first of it.

        Also returns when a deadline has passed or it is time to check memory.
        """
        until = time.monotonic() + timeout
        for worker in self._busy():
            if worker.deadline is not None:
                until = min(until, worker.deadline)
            if worker.job is not None and worker.job.memory is not None:
                until = min(until, self._next_look)
        while self._busy() and not self._closed:
            now = time.monotonic()
            by_pipe = {worker.pipe: worker for worker in self._pool}
            for pipe in wait(list(by_pipe), max(0.0, min(until - now, LOOK))):
                assert isinstance(pipe, Connection)
                self._receive(by_pipe[pipe])
            for worker in list(self._pool):
                if worker.process.poll() is not None:
                    self._receive(worker)
                    self._remove_dead(worker)
            if self._events or time.monotonic() >= until:
                return

    def _receive(self, worker: Worker) -> None:
        """Handle all that has come from ``worker``; remove it where its pipe has ended."""
        try:
            while worker in self._pool and worker.pipe.poll():
                self._handle(worker, worker.pipe.recv())
        except (EOFError, OSError):
            self._remove_dead(worker)
        except Exception as error:  # noqa: BLE001
            # What a trainer put into its progress may not be readable here.
            self._stop(worker, crash(f"the worker sent what cannot be read ({one_line(error)})"))

    def _handle(self, worker: Worker, event: Event) -> None:
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
            if job is None or job.timeout is None or worker not in self._pool:
                continue
            if worker.deadline is not None and now >= worker.deadline:
                self._stop(worker, overdue(job.timeout))

    def _check_memory(self) -> None:
        """Stop the jobs that use more memory than they may."""
        if time.monotonic() < self._next_look:
            return
        watched = {
            worker.process.pid: (worker, worker.job, worker.job.memory)
            for worker in self._busy()
            if worker.job is not None and worker.job.memory is not None
        }
        limits = {pid: limit for pid, (_, _, limit) in watched.items()}
        for pid, used in (over(limits) if limits else {}).items():
            worker, job, limit = watched[pid]
            self._receive(worker)
            if worker.job is job:
                self._stop(worker, too_large(used, limit))
        self._next_look = time.monotonic() + LOOK

    def _stop(self, worker: Worker, outcome: Outcome) -> None:
        """Kill a worker and end the job it had with ``outcome``."""
        worker.kill()
        if worker in self._pool:  # it is not where a signal's handler has closed us just now
            self._pool.remove(worker)
        worker.reap()
        self._end_job(worker, outcome)

    def _remove_dead(self, worker: Worker) -> None:
        """Remove a worker that is dead or has closed its pipe, and end the job it had."""
        if worker not in self._pool:
            return
        self._pool.remove(worker)
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(0.5)  # its pipe may close a moment before it is gone
        code = worker.process.returncode
        worker.kill()
        worker.reap()
        if worker.job is None:
            return
        if worker.proven and not worker.started:  # it died idle, which is not this job's doing
            self._put_back(worker.job)
            return
        log = worker.job.log
        self._end_job(worker, _what_killed(worker, code))
        if not worker.proven:
            self._failed_starts += 1
            if self._failed_starts >= HOPELESS:
                self._give_up(log)

    def _end_job(self, worker: Worker, outcome: Outcome) -> None:
        """End the job of a worker that is gone."""
        job, worker.job = worker.job, None
        if job is not None:
            outcome = with_last_lines(outcome, job.log)
            cut(job.log)
            append(job.log, f"\n[sweep] {outcome.error}\n")
            self._tell(Finished(job.key, worker.filled(outcome)))

    def _give_up(self, log: str) -> None:
        said = " | ".join(tail(log))
        text = f"workers cannot start on this machine; the last one said: {said} (log: {log})"
        while self._alone or self._queue:
            job = self._alone.popleft() if self._alone else self._queue.pop()
            self._tell(Finished(job.key, Outcome(status="failed", error=text)))


def _is_too_large(worker: Worker, job: Job) -> bool:
    """Return whether an idle worker holds more memory than its next job may have."""
    return job.memory is not None and own(worker.process.pid) > job.memory


def _what_killed(worker: Worker, code: int | None) -> Outcome:
    """Return the outcome of a run whose worker ended with ``code`` while it trained."""
    if code is None:
        return crash("the worker closed its pipe")
    kills = oom_kills() if code == -signal.SIGKILL else None
    if kills is not None and worker.oom_kills is not None and kills > worker.oom_kills:
        return starved()
    return crash(f"the worker {death(code)}")
