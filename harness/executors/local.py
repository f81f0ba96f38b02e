"""Train in worker processes of this machine (POSIX: Linux and macOS)."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait

from harness.executors.devices import Device, environment
from harness.executors.logs import begin_log, tail
from harness.executors.outcomes import one_line, overdue, too_large
from harness.executors.pool import HOPELESS, OnEvent, PoolExecutor
from harness.executors.process import Worker, death, oom_kills, over, own, start, with_threads
from harness.executors.scheduling import JobQueue, Placement, Spot
from harness.protocols import Event, MayBegin, Started
from harness.records import Job, Outcome

LOOK = 0.2
"""Seconds between two checks that the workers live and keep to their memory. The pipe nearly always
reports a death at once, but a process that the worker has left behind may hold it open."""


class LocalExecutor(PoolExecutor):
    """Trains jobs in up to ``workers`` processes that live through many of them (see `Executor`).

    A worker keeps its imports and caches from one job to the next, and prints into the log of its
    job. If it dies, only its own job ends: as ``crashed`` with the signal or exit code, or as
    ``oom`` if the system killed it because memory ran out. A job that exceeds its timeout or its
    memory is killed. Its outcome has the end of its log, and the worker is replaced if more jobs
    wait. A worker keeps to jobs of one program while there are any (see `JobQueue`). ``threads``
    is set by environment variables that numerical libraries read. Not for use from several threads.

    With ``devices``, a worker sees only the one it was started on, and shares it with up to
    ``per_device - 1`` others (see `Placement`). There are at most as many workers as places, and
    exactly as many if ``workers`` is None. A job that needs its device alone gets a new worker, and
    no other process keeps memory there.
    """

    def __init__(
        self,
        workers: int | None = 2,
        *,
        threads: int = 1,
        devices: Sequence[Device] = (),
        per_device: int = 1,
        on_event: OnEvent | None = None,
        may_begin: MayBegin | None = None,
    ) -> None:
        super().__init__(on_event, may_begin)
        places = len(devices) * per_device if devices else workers or 2
        self.workers = min(workers or places, places)
        self._threads = with_threads(threads)
        self._devices = {device.uuid: device for device in devices}
        self._per_device = per_device
        self._queue = JobQueue()
        self._alone: deque[Job] = deque()  # jobs that wait for a device of their own
        self._pool: list[Worker] = []
        self._failed_starts = 0
        self._next_look = 0.0
        self._kills: tuple[float, int | None] = (0.0, None)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue ``jobs``, in this order except that workers keep to programs, and start work."""
        self._require_open()
        alone = [job for job in jobs if self._is_alone(job)]
        self._alone.extend(alone)
        self._queue.add(job for job in jobs if not self._is_alone(job))
        self._assign()

    def close(self) -> Sequence[Event]:
        """Kill every worker with all it has started, and wait until they are gone.

        Returns the events that `poll` has not returned.
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
        return self._take_events()

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._pool if worker.job is not None]

    def _is_at_work(self) -> bool:
        return bool(self._busy())

    def _assign(self) -> None:
        while not self._closed and len(self._busy()) < self.workers:
            spot = self._spot()
            if spot is None:
                return
            worker = self._idle(spot)
            job = self._take_job(spot, worker)
            if self._is_ours(job):
                self._begin(job, worker, spot)

    def _spot(self) -> Spot | None:
        """Return where a waiting job may begin."""
        running = [(w.device, self._is_alone(w.job)) for w in self._pool if w.job is not None]
        per_device = self._per_device if self._devices else self.workers
        placement = Placement(tuple(self._devices) or ("",), per_device, tuple(running))
        return placement.spot(alone_waits=bool(self._alone), others_wait=bool(self._queue))

    def _is_alone(self, job: Job) -> bool:
        return job.alone and bool(self._devices)

    def _idle(self, spot: Spot) -> Worker | None:
        """Return an idle worker for a job there, preferably one whose program waits."""
        if spot.alone and self._per_device > 1:
            return None  # an idle worker may keep some of the device's memory
        here = [w for w in self._pool if w.job is None and w.device in spot.devices and not w.alone]
        ready = (worker for worker in here if self._queue.has(worker.program))
        return next(ready, here[0] if here else None)

    def _take_job(self, spot: Spot, worker: Worker | None) -> Job:
        if spot.alone:
            return self._alone.popleft()
        others = {other.program for other in self._pool if other is not worker}
        return self._queue.pop(worker.program if worker else "", others)

    def _put_back(self, job: Job) -> None:
        if self._is_alone(job):
            self._alone.appendleft(job)
        else:
            self._queue.put_back(job)

    def _begin(self, job: Job, worker: Worker | None, spot: Spot) -> None:
        if worker is not None and _is_too_large(worker, job):
            self._remove(worker)
            worker = None
        try:
            begin_log(job.log)
            if worker is None:
                worker = self._start(job.log, spot)
        except OSError as error:
            self._fail(job, f"cannot begin: {one_line(error)} (log: {job.log})")
            return
        worker.give(job)
        worker.oom_kills = self._kills_so_far()
        try:
            worker.pipe.send(job)
        except OSError:
            self._remove_dead(worker)

    def _start(self, log: str, spot: Spot) -> Worker:
        """Start a worker. First stop idle ones that are one too many or would share its device."""
        name = spot.devices[0]
        device = self._devices.get(name)
        alone = spot.alone and self._per_device > 1
        idle = [worker for worker in self._pool if worker.job is None]
        for worker in idle:
            if device is not None and worker.device == name and (alone or worker.alone):
                self._remove(worker)
        for worker in [worker for worker in idle if worker in self._pool]:
            if len(self._pool) >= self.workers:
                self._remove(worker)
        variables = dict(self._threads)
        if device is not None:
            variables |= environment(device, 1 if alone else self._per_device)
        worker = start(log, variables)
        worker.device, worker.alone = name, alone
        self._pool.append(worker)
        if self._closed:  # by a signal handler, just now
            self.close()
        return worker

    def _remove(self, worker: Worker) -> None:
        """Kill a worker and remove it; a signal handler may have closed us just now."""
        worker.kill()
        if worker in self._pool:
            self._pool.remove(worker)
        worker.reap()

    def _kills_so_far(self) -> int | None:
        """Return `oom_kills`, read again only every `LOOK` seconds."""
        now = time.monotonic()
        if now >= self._kills[0]:
            self._kills = (now + LOOK, oom_kills())
        return self._kills[1]

    def _listen(self, timeout: float) -> None:
        """Handle what the workers have sent; wait up to ``timeout`` seconds for the first of it.

        Also returns when a deadline has passed or memory is to be checked.
        """
        until = time.monotonic() + timeout
        for worker in self._busy():
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
        """Handle all that ``worker`` has sent; remove it if its pipe has ended."""
        try:
            while worker in self._pool and worker.pipe.poll():
                self._handle(worker, worker.pipe.recv())
        except (EOFError, OSError):
            self._remove_dead(worker)
        except Exception as error:  # noqa: BLE001
            # A trainer may have put something into its progress that cannot be read here.
            what = f"the worker sent something that cannot be read ({one_line(error)})"
            self._stop(worker, Outcome("crashed", error=what))

    def _handle(self, worker: Worker, event: Event) -> None:
        if isinstance(event, Started):
            worker.proven = True
            self._failed_starts = 0
        self._hear(worker, event)

    def _check(self) -> None:
        self._check_deadlines()
        self._check_memory()

    def _check_deadlines(self) -> None:
        for worker in self._busy():
            now = time.monotonic()
            if now < worker.deadline:
                continue
            self._receive(worker)  # it may have finished meanwhile
            job = worker.job
            if job and job.timeout and worker in self._pool and now >= worker.deadline:
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
        """Kill a worker and end its job with ``outcome``."""
        self._remove(worker)
        self._end_job(worker, outcome)

    def _remove_dead(self, worker: Worker) -> None:
        """Remove a worker that is dead or has closed its pipe, and end its job."""
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
        if worker.proven and not worker.started:  # it died idle, not because of this job
            self._put_back(worker.job)
            return
        log = worker.job.log
        self._end_job(worker, _what_killed(worker, code))
        if not worker.proven:
            self._failed_starts += 1
            if self._failed_starts >= HOPELESS:
                self._give_up(log)

    def _give_up(self, log: str) -> None:
        said = " | ".join(tail(log))
        text = f"workers cannot start on this machine; the last one said: {said} (log: {log})"
        while self._alone or self._queue:
            job = self._alone.popleft() if self._alone else self._queue.pop()
            self._fail(job, text)


def _is_too_large(worker: Worker, job: Job) -> bool:
    """Return whether an idle worker holds more memory than its next job may have."""
    return job.memory is not None and own(worker.process.pid) > job.memory


def _what_killed(worker: Worker, code: int | None) -> Outcome:
    """Return the outcome of a run whose worker ended with ``code`` while it trained."""
    if code is None:
        return Outcome("crashed", error="the worker closed its pipe")
    kills = oom_kills() if code == -signal.SIGKILL else None
    if kills is not None and worker.oom_kills is not None and kills > worker.oom_kills:
        return Outcome("oom", error="the system killed the worker because memory had run out")
    return Outcome("crashed", error=f"the worker {death(code)}")
