"""Training on Ray, on this machine or on the nodes of a cluster."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import BackendError, UsageError
from harness.executors.cluster import Actor, Asked, Cluster, LostError, Needs
from harness.executors.devices import chosen
from harness.executors.host import Heard, Order
from harness.executors.logs import append, begin_log
from harness.executors.outcomes import crash, filled, one_line, with_last_lines
from harness.executors.waiting import Waiting
from harness.protocols import Event, Finished, MayBegin, Progressed, Started, Withheld
from harness.records import Evaluation, Job, Outcome

WAIT = 0.5
"""Seconds that a host may wait for something to tell; it hears nothing meanwhile."""

HOPELESS = 3
"""So many workers in a row that are lost before they are ready make the executor give up."""

NOWHERE = 120.0
"""Seconds after which a worker is given up that no node has room for; nodes may be added."""
BUSY = 900.0
"""Seconds after which a worker is given up where other people's work leaves no room for it."""
LOOK = 1.0
"""Seconds between two looks at whether there is room for the workers that wait."""

GRACE = 3.0
"""Seconds that hosts have for their last words when the executor is closed."""


@dataclass
class _Worker:
    """A host, what was asked of it last and is not answered, and the job it has, if any.

    ``program`` is that of the last job which had one; ``lines`` are what the job printed last, of a
    node whose files the session does not see.
    """

    host: Actor
    needs: Needs
    asked: Asked | None
    since: float
    node: str = ""
    job: Job | None = None
    program: str = ""
    started: bool = False
    began: float = 0.0
    curve: list[Evaluation] = field(default_factory=list)
    lines: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        return bool(self.node)


class RayExecutor:
    """Trains jobs in up to ``workers`` workers that Ray places (see `Executor`).

    Each is an actor that asks for ``threads`` CPUs and lives through many jobs: a `Host`, which has
    the job trained by a worker process beside it as on the session's own machine. A host or a node
    that is lost costs the job it had, which ends as ``crashed``, and is replaced. Workers keep to
    programs as those of `LocalExecutor` do.

    With an ``address`` that cluster is used and left as it is. Without one, Ray is started for the
    first job and ended by `close`. Of ``gpus``, each is for ``per_gpu`` workers, and a job that is
    to be alone has one to itself; a cluster is told how many, on this machine they may be named as
    for `LocalExecutor`. A job whose device is a GPU has one of a cluster's also without them. None
    for ``workers`` is what there is room for on the GPUs, or else on the cluster, or else two. Not
    to be used from several threads at once.

    Raises
    ------
    UsageError
        Where there is no cluster at ``address``, or GPUs are not as they are said to be.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        threads: int = 1,
        address: str | None = None,
        gpus: int | Sequence[str] | None = None,
        per_gpu: int = 1,
        on_event: Callable[[Event], None] | None = None,
        may_begin: MayBegin | None = None,
    ) -> None:
        if address and gpus is not None and not isinstance(gpus, int):
            raise UsageError(
                f"--sweep-gpus {','.join(gpus)} names GPUs, but Ray chooses those of a cluster: "
                "give how many"
            )
        self._threads = threads
        self._address = address
        self._share = 0.0 if gpus is None else _share(per_gpu)
        self._devices = () if gpus is None or address else chosen(gpus)
        self._on_event = on_event
        self._may_begin = may_begin
        self._queues: dict[Needs, Waiting] = {}
        self._crew: list[_Worker] = []
        self._events: list[Event] = []
        self._put_back: set[str] = set()
        self._failed_starts = 0
        self._next_look = 0.0
        self._logs: Path | None = None
        self._closed = False
        self._cluster = Cluster.connect(address) if address else None
        if gpus is not None:
            places = (gpus if isinstance(gpus, int) else len(self._devices)) * per_gpu
            self.workers = min(workers or places, places)
        else:
            room = self._cluster.room(Needs(threads)) if self._cluster else 0
            self.workers = workers or room or 2

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue ``jobs``, in this order but for their programs, and set the workers to them."""
        if self._closed:
            raise RuntimeError("the executor is closed")
        for job in jobs:
            self._queues.setdefault(self._needs(job), Waiting()).add([job])
            self._logs = self._logs or Path(job.log).parent / "ray"
        self._assign()

    def poll(self, timeout: float) -> Sequence[Event]:
        """Return what has happened, waiting up to ``timeout`` seconds for something to.

        Returns at once where no job is left that anything could happen to.
        """
        until = time.monotonic() + timeout
        while not self._closed:
            self._assign()
            self._listen(0.0 if self._events else min(LOOK, until - time.monotonic()))
            self._check_room()
            self._assign()
            if self._events or not self._is_at_work() or time.monotonic() >= until:
                break
        events, self._events = self._events, []
        return events

    def close(self) -> Sequence[Event]:
        """End every worker and, where it was started here, Ray; wait until they are gone.

        Returns what the workers had sent before, and `poll` has not told.
        """
        self._queues.clear()
        already, self._closed = self._closed, True
        if self._cluster is not None and not already:
            try:
                self._hear_last_words(self._cluster)
            finally:
                crew, self._crew = self._crew, []
                for worker in crew:
                    self._cluster.dismiss(worker.host)
                self._cluster.close(self._logs)
        events, self._events = self._events, []
        return events

    def _needs(self, job: Job) -> Needs:
        share = self._share
        if share and job.alone:
            share = 1.0
        elif not share and self._address and job.conditions.device.startswith("cuda"):
            share = 1.0  # a Ray of our own leaves a worker the devices that this process sees
        return Needs(self._threads, share, job.memory)

    def _is_at_work(self) -> bool:
        return any(self._queues.values()) or any(worker.job for worker in self._crew)

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        if self._on_event is not None:
            self._on_event(event)

    def _fail(self, job: Job, why: str) -> None:
        self._tell(Finished(job.key, Outcome(status="failed", error=why)))

    def _assign(self) -> None:
        """Give queued jobs to idle workers, and ask for more workers while there are too few."""
        while not self._closed and (worker := self._idle()) is not None:
            queue = self._queues[worker.needs]
            others = {other.program for other in self._crew if other is not worker}
            job = queue.take(worker.program, others)
            try:
                ours = self._may_begin is None or self._may_begin(job)
            except BaseException:
                queue.put_back(job)
                raise
            if ours:
                self._hand(worker, job)
            else:
                self._tell(Withheld(job.key))
        if not self._closed and any(self._queues.values()):
            self._hire()

    def _idle(self) -> _Worker | None:
        """Return a worker to be given a job, one that has its program waiting before any other."""
        idle = [w for w in self._crew if w.ready and w.job is None and self._queues.get(w.needs)]
        ready = (worker for worker in idle if self._queues[worker.needs].has(worker.program))
        return next(ready, idle[0] if idle else None)

    def _hand(self, worker: _Worker, job: Job) -> None:
        assert self._cluster is not None
        mark = f"[sweep] handed to a worker on {worker.node}: {os.getpid()} {time.time()}\n"
        try:
            begin_log(job.log)
            Path(job.log).write_text(mark, encoding="utf-8")
        except OSError as error:
            self._fail(job, f"cannot begin: {one_line(error)} (log: {job.log})")
            return
        try:
            order = pickle.dumps(Order(job, mark))
        except Exception as error:  # noqa: BLE001 what a value's own code raises
            self._fail(job, f"the run cannot be sent to a worker: {one_line(error)}")
            return
        worker.job, worker.started = job, False
        worker.program = job.program or worker.program
        worker.began, worker.curve, worker.lines = time.monotonic(), [], ()
        worker.asked = self._cluster.ask(worker.host, "work", order, WAIT)

    def _hire(self) -> None:
        """Ask for a worker for each job that waits, in the place of those that nothing waits for.

        What such a one has of its node, another may need all of.
        """
        if self._cluster is None:
            try:
                self._cluster = Cluster.start(self.workers * self._threads, self._devices)
            except BackendError as error:
                self._give_up(list(self._queues), str(error))
                return
        for worker in [w for w in self._crew if w.job is None and not self._queues.get(w.needs)]:
            self._dismiss(worker)
        for needs, queue in self._queues.items():
            coming = sum(worker.needs == needs and not worker.ready for worker in self._crew)
            free = self.workers - len(self._crew)
            for _ in range(min(len(queue) - coming, free)):
                host = self._cluster.hire(needs)
                asked = self._cluster.ask(host, "node")
                self._crew.append(_Worker(host, needs, asked, time.monotonic()))

    def _dismiss(self, worker: _Worker) -> None:
        assert self._cluster is not None
        if worker in self._crew:
            self._crew.remove(worker)
        self._cluster.dismiss(worker.host)

    def _listen(self, timeout: float) -> None:
        """Take what the hosts have answered, waiting ``timeout`` seconds for the first of it."""
        asked = {worker.asked: worker for worker in self._crew if worker.asked is not None}
        if not asked or self._cluster is None:
            return
        for answered in self._cluster.answered(asked, timeout):
            if self._closed:  # by a signal's handler, just now
                return
            self._hear(asked[answered], self._cluster)

    def _hear(self, worker: _Worker, cluster: Cluster) -> None:
        """Take an answer of ``worker``, and ask again while it has a job."""
        asked, worker.asked = worker.asked, None
        try:
            said = cluster.answer(asked)
        except LostError as loss:
            self._lose(worker, loss)
            return
        if not worker.ready:
            worker.node, self._failed_starts = said.decode(), 0
            return
        self._take(worker, said)
        if worker.job is not None and worker in self._crew and not self._closed:
            worker.asked = cluster.ask(worker.host, "work", None, WAIT)

    def _take(self, worker: _Worker, said: bytes) -> None:
        """Take what a host has told."""
        try:
            heard: Heard = pickle.loads(said)
        except Exception as error:  # noqa: BLE001 it may hold what only the node can read
            self._dismiss(worker)
            what = f"the worker sent what cannot be read here ({one_line(error)})"
            self._end_job(worker, crash(what))
            return
        worker.lines = heard.lines or worker.lines
        for event in heard.events:
            job = worker.job
            if job is None or event.key != job.key:
                continue
            if isinstance(event, Started):
                worker.started, worker.began = True, time.monotonic()
            elif isinstance(event, Progressed) and event.progress.evaluation is not None:
                worker.curve.append(event.progress.evaluation)
            elif isinstance(event, Finished):
                worker.job = None
                _write(job.log, heard.log)
            self._tell(event)

    def _lose(self, worker: _Worker, loss: LostError) -> None:
        """Do away with a worker whose host is lost, and end the job it had."""
        self._dismiss(worker)
        job = worker.job
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= HOPELESS:
                self._failed_starts = 0
                assert self._cluster is not None
                why = f"workers cannot start on {self._cluster.name}: {loss}"
                self._give_up(list(self._queues), why)
        elif job is not None and not worker.started and job.key not in self._put_back:
            # The host may have been lost while it was idle: that is not this job's doing, once.
            self._put_back.add(job.key)
            self._queues.setdefault(worker.needs, Waiting()).put_back(job)
        elif loss.of_memory:
            error = f"Ray killed the worker on {worker.node}, whose memory had run out: {loss}"
            self._end_job(worker, Outcome(status="oom", error=error))
        else:
            self._end_job(worker, crash(f"the worker on {worker.node} was lost: {loss}"))

    def _end_job(self, worker: _Worker, outcome: Outcome) -> None:
        """End the job of a worker that is gone."""
        job, worker.job = worker.job, None
        if job is not None:
            append(job.log, "".join(f"{line}\n" for line in worker.lines))
            outcome = with_last_lines(outcome, job.log)
            append(job.log, f"\n[sweep] {outcome.error}\n")
            seconds = time.monotonic() - worker.began
            self._tell(Finished(job.key, filled(outcome, worker.curve, seconds)))

    def _check_room(self) -> None:
        """Give up jobs that wait for workers which there is no room for, and will not be."""
        now = time.monotonic()
        if self._cluster is None or now < self._next_look:
            return
        self._next_look = now + LOOK
        ours = any(worker.job for worker in self._crew)
        for needs, queue in self._queues.items():
            crew = [worker for worker in self._crew if worker.needs == needs]
            if not queue or not crew or any(worker.ready for worker in crew):
                continue
            waited = now - min(worker.since for worker in crew)
            if self._cluster.room(needs) == 0:
                if waited >= (0.0 if self._cluster.own else NOWHERE):
                    self._give_up([needs], f"no node has room for a run: {self._lack(needs)}")
            elif ours:  # it may be our own work that it waits for
                for worker in crew:
                    worker.since = now
            elif waited >= BUSY:
                why = f"no node has had room for a run in {waited / 60:.0f} minutes, others use it"
                self._give_up([needs], f"{why}: {self._lack(needs)}")

    def _lack(self, needs: Needs) -> str:
        assert self._cluster is not None
        return (
            f"it needs {needs}, and {self._cluster.name} has {self._cluster.nodes()}; ask for less "
            "with --sweep-threads, --sweep-gpus or --sweep-memory, or add a node"
        )

    def _give_up(self, hopeless: Sequence[Needs], why: str) -> None:
        """Fail the queued jobs with such needs, and let the workers go that were to have them."""
        for worker in [w for w in self._crew if w.needs in hopeless and not w.ready]:
            self._dismiss(worker)
        for needs in hopeless:
            queue = self._queues[needs]
            while queue:
                self._fail(queue.take(), why)

    def _hear_last_words(self, cluster: Cluster) -> None:
        """Have the hosts end their workers, and take what had come from them by then."""
        last = [(w, cluster.ask(w.host, "close")) for w in self._crew if w.job is not None]
        asked = {one for worker, end in last for one in (worker.asked, end) if one is not None}
        answered: set[Asked] = set()
        until = time.monotonic() + GRACE
        while asked > answered and time.monotonic() < until:
            answered.update(cluster.answered(asked - answered, until - time.monotonic()))
        for worker, end in last:
            for one in (worker.asked, end):
                if one in answered:
                    with suppress(LostError):
                        self._take(worker, cluster.answer(one))


def _share(parts: int) -> float:
    """Return one of so many parts of a GPU, as finely as Ray counts, so that all of them fit."""
    return int(10_000 / parts) / 10_000


def _write(path: str, log: bytes | None) -> None:
    """Keep the log of a run on another node where the session's own logs are."""
    if log is not None:
        with suppress(OSError):
            Path(path).write_bytes(log)
