"""Train on Ray, on this machine or on the nodes of a cluster."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BackendError, UsageError
from harness.executors.cluster import Actor, Cluster, LostError, Needs, Pending
from harness.executors.devices import chosen
from harness.executors.host import Request, Response
from harness.executors.logs import append, begin_log
from harness.executors.outcomes import one_line
from harness.executors.pool import HOPELESS, OnEvent, PoolExecutor, PoolWorker
from harness.executors.scheduling import JobQueue
from harness.protocols import Event, Finished, MayBegin
from harness.records import Job, Outcome

WAIT = 0.5
"""Seconds that a host may wait for events; it receives nothing meanwhile."""

NOWHERE = 120.0
"""Seconds to wait for a node with enough resources for a worker; somebody may add one."""
BUSY = 900.0
"""Seconds to wait for a worker's place while other people's work takes it."""
LOOK = 1.0
"""Seconds between two checks that there is room for the workers that wait."""

GRACE = 3.0
"""Seconds in which hosts may send their last events when the executor is closed."""


@dataclass
class _Worker(PoolWorker):
    """A host and its pending answer.

    ``lines`` are the last that its job printed, if the session cannot read the node's files.
    """

    host: Actor
    needs: Needs
    pending: Pending | None
    since: float
    node: str = ""
    lines: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        return bool(self.node)


class RayExecutor(PoolExecutor):
    """Trains jobs in up to ``workers`` workers that Ray places (see `Executor`).

    A worker is an actor that asks for ``threads`` CPUs and lives through many jobs: a `Host`, whose
    worker process trains the job as on the session's machine. If a host or a node is lost, its job
    ends as ``crashed``, and the host is replaced. Workers keep to programs as in `LocalExecutor`.

    It uses the cluster at ``address``, or starts a Ray for the first job, which `close` ends. Each
    of the ``gpus`` serves ``per_gpu`` workers, and a job that must be alone gets one to itself. On
    a cluster ``gpus`` is a number; on this machine it may also name them. Without ``gpus``, a job
    whose device is a GPU still gets one of a cluster. If ``workers`` is None, there are as many as
    the GPUs have places, or else the cluster, or else two. Not for use from several threads. Raises
    `UsageError` if there is no cluster at ``address``, or a GPU is not there.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        threads: int = 1,
        address: str | None = None,
        gpus: int | Sequence[str] | None = None,
        per_gpu: int = 1,
        on_event: OnEvent | None = None,
        may_begin: MayBegin | None = None,
    ) -> None:
        super().__init__(on_event, may_begin)
        if address and gpus is not None and not isinstance(gpus, int):
            raise UsageError(
                f"--sweep-gpus {','.join(gpus)} names GPUs, but on a cluster Ray chooses them: "
                "give a number"
            )
        self._threads = threads
        self._address = address
        self._share = 0.0 if gpus is None else _share(per_gpu)
        self._devices = () if gpus is None or address else chosen(gpus)
        self._queues: dict[Needs, JobQueue] = {}
        self._pool: list[_Worker] = []
        self._spared: set[str] = set()  # jobs that were put back when their host was lost
        self._failed_starts = 0
        self._next_look = 0.0
        self._logs: Path | None = None
        self._cluster = Cluster.connect(address) if address else None
        if gpus is not None:
            places = (gpus if isinstance(gpus, int) else len(self._devices)) * per_gpu
            self.workers = min(workers or places, places)
        else:
            room = self._cluster.room(Needs(threads)) if self._cluster else 0
            self.workers = workers or room or 2

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue ``jobs``, in this order except that workers keep to programs, and start work."""
        self._require_open()
        for job in jobs:
            self._queues.setdefault(self._needs(job), JobQueue()).add([job])
            self._logs = self._logs or Path(job.log).parent / "ray"
        self._assign()

    def close(self) -> Sequence[Event]:
        """End every worker, and Ray if it was started here, and wait until they are gone.

        Returns the events that `poll` has not returned.
        """
        self._queues.clear()
        already, self._closed = self._closed, True
        if self._cluster is not None and not already:
            try:
                self._collect_last_events(self._cluster)
            finally:
                workers, self._pool = self._pool, []
                for worker in workers:
                    self._cluster.kill_host(worker.host)
                self._cluster.close(self._logs)
        return self._take_events()

    def _needs(self, job: Job) -> Needs:
        share = self._share
        if share and job.alone:
            share = 1.0
        elif not share and self._address and job.conditions.device.startswith("cuda"):
            share = 1.0  # a Ray of our own leaves a worker the devices that this process sees
        return Needs(self._threads, share, job.memory)

    def _is_at_work(self) -> bool:
        return any(self._queues.values()) or any(worker.job for worker in self._pool)

    def _put_back(self, job: Job) -> None:
        self._queues.setdefault(self._needs(job), JobQueue()).put_back(job)

    def _assign(self) -> None:
        while not self._closed and (worker := self._idle()) is not None:
            others = {other.program for other in self._pool if other is not worker}
            job = self._queues[worker.needs].pop(worker.program, others)
            if self._is_ours(job):
                self._begin(worker, job)
        if not self._closed and any(self._queues.values()):
            self._start_workers()

    def _idle(self) -> _Worker | None:
        """Return an idle worker for a waiting job, preferably one whose program waits."""
        idle = [w for w in self._pool if w.ready and w.job is None and self._queues.get(w.needs)]
        ready = (worker for worker in idle if self._queues[worker.needs].has(worker.program))
        return next(ready, idle[0] if idle else None)

    def _begin(self, worker: _Worker, job: Job) -> None:
        assert self._cluster is not None
        mark = f"[sweep] handed to a worker on {worker.node}: {os.getpid()} {time.time()}\n"
        try:
            begin_log(job.log)
            Path(job.log).write_text(mark, encoding="utf-8")
        except OSError as error:
            self._fail(job, f"cannot begin: {one_line(error)} (log: {job.log})")
            return
        try:
            request = pickle.dumps(Request(job, mark))
        except Exception as error:  # noqa: BLE001 pickling may run a user's code
            self._fail(job, f"the run cannot be sent to a worker: {one_line(error)}")
            return
        worker.give(job)
        worker.lines = ()
        worker.pending = self._cluster.ask(worker.host, "work", request, WAIT)

    def _start_workers(self) -> None:
        """Start a worker for each job that waits; first stop idle ones that no job waits for.

        A new worker may need what an idle one holds of its node.
        """
        if self._cluster is None:
            try:
                self._cluster = Cluster.start(self.workers * self._threads, self._devices)
            except BackendError as error:
                self._give_up(list(self._queues), str(error))
                return
        for worker in [w for w in self._pool if w.job is None and not self._queues.get(w.needs)]:
            self._stop(worker)
        for needs, queue in self._queues.items():
            coming = sum(worker.needs == needs and not worker.ready for worker in self._pool)
            free = self.workers - len(self._pool)
            for _ in range(min(len(queue) - coming, free)):
                host = self._cluster.start_host(needs)
                asked = self._cluster.ask(host, "node")
                self._pool.append(_Worker(host, needs, asked, time.monotonic()))

    def _stop(self, worker: _Worker) -> None:
        assert self._cluster is not None
        if worker in self._pool:
            self._pool.remove(worker)
        self._cluster.kill_host(worker.host)

    def _listen(self, timeout: float) -> None:
        asked = {worker.pending: worker for worker in self._pool if worker.pending is not None}
        if not asked or self._cluster is None:
            return
        for answered in self._cluster.answered(asked, min(LOOK, timeout)):
            if self._closed:  # by a signal handler, just now
                return
            self._receive(asked[answered], self._cluster)

    def _receive(self, worker: _Worker, cluster: Cluster) -> None:
        """Handle an answer of ``worker``, and ask again while it has a job."""
        pending, worker.pending = worker.pending, None
        try:
            answer = cluster.answer(pending)
        except LostError as loss:
            self._lose(worker, loss)
            return
        if not worker.ready:
            worker.node, self._failed_starts = answer.decode(), 0
            return
        self._handle(worker, answer)
        if worker.job is not None and worker in self._pool and not self._closed:
            worker.pending = cluster.ask(worker.host, "work", None, WAIT)

    def _handle(self, worker: _Worker, answer: bytes) -> None:
        try:
            response: Response = pickle.loads(answer)
        except Exception as error:  # noqa: BLE001 perhaps only the node can read it
            self._stop(worker)
            what = f"the worker sent something that cannot be read here ({one_line(error)})"
            self._end(worker, Outcome("crashed", error=what))
            return
        worker.lines = response.lines or worker.lines
        for event in response.events:
            job = worker.job
            if isinstance(event, Finished) and job is not None and job.key == event.key:
                _write(job.log, response.log)
            self._hear(worker, event)

    def _lose(self, worker: _Worker, loss: LostError) -> None:
        """Remove a worker whose host is lost, and end the job it had."""
        self._stop(worker)
        job = worker.job
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= HOPELESS:
                self._failed_starts = 0
                assert self._cluster is not None
                why = f"workers cannot start on {self._cluster.name}: {loss}"
                self._give_up(list(self._queues), why)
        elif job is not None and not worker.started and job.key not in self._spared:
            # The host may have been lost while idle, not because of this job. Believe that once.
            self._spared.add(job.key)
            self._put_back(job)
        elif loss.of_memory:
            error = f"Ray killed the worker on {worker.node} because memory had run out: {loss}"
            self._end(worker, Outcome("oom", error=error))
        else:
            error = f"the worker on {worker.node} was lost: {loss}"
            self._end(worker, Outcome("crashed", error=error))

    def _end(self, worker: _Worker, outcome: Outcome) -> None:
        """End the job of a worker that is gone, with the last lines that it sent."""
        if worker.job is not None:
            append(worker.job.log, "".join(f"{line}\n" for line in worker.lines))
        self._end_job(worker, outcome)

    def _check(self) -> None:
        """Give up jobs whose workers find no room and will not find any."""
        now = time.monotonic()
        if self._cluster is None or now < self._next_look:
            return
        self._next_look = now + LOOK
        ours = any(worker.job for worker in self._pool)
        for needs, queue in self._queues.items():
            workers = [worker for worker in self._pool if worker.needs == needs]
            if not queue or not workers or any(worker.ready for worker in workers):
                continue
            waited = now - min(worker.since for worker in workers)
            if self._cluster.room(needs) == 0:
                if waited >= (0.0 if self._cluster.own else NOWHERE):
                    self._give_up([needs], f"no node has room for a run: {self._lack(needs)}")
            elif ours:  # it may wait for our own work
                for worker in workers:
                    worker.since = now
            elif waited >= BUSY:
                why = f"others have left no room for a run in {waited / 60:.0f} minutes"
                self._give_up([needs], f"{why}: {self._lack(needs)}")

    def _lack(self, needs: Needs) -> str:
        assert self._cluster is not None
        return (
            f"it needs {needs}, and {self._cluster.name} has {self._cluster.nodes()}; ask for less "
            "with --sweep-threads, --sweep-gpus or --sweep-memory, or add a node"
        )

    def _give_up(self, hopeless: Sequence[Needs], why: str) -> None:
        """Fail the queued jobs with these needs, and stop the workers started for them."""
        for worker in [w for w in self._pool if w.needs in hopeless and not w.ready]:
            self._stop(worker)
        for needs in hopeless:
            queue = self._queues[needs]
            while queue:
                self._fail(queue.pop(), why)

    def _collect_last_events(self, cluster: Cluster) -> None:
        """Let the hosts end their workers, and handle what those have sent."""
        last = [(w, cluster.ask(w.host, "close")) for w in self._pool if w.job is not None]
        asked = {one for worker, end in last for one in (worker.pending, end) if one is not None}
        answered: set[Pending] = set()
        until = time.monotonic() + GRACE
        while asked > answered and time.monotonic() < until:
            answered.update(cluster.answered(asked - answered, until - time.monotonic()))
        for worker, end in last:
            for one in (worker.pending, end):
                if one in answered:
                    with suppress(LostError):
                        self._handle(worker, cluster.answer(one))


def _share(parts: int) -> float:
    """Return the share of a GPU for one of ``parts`` workers, rounded down as Ray counts."""
    return int(10_000 / parts) / 10_000


def _write(path: str, log: bytes | None) -> None:
    """Write the log of a run on another node beside the session's logs."""
    if log is not None:
        with suppress(OSError):
            Path(path).write_bytes(log)
