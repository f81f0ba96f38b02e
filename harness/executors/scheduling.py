"""Choose the job that begins next, and its device."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from harness.records import Job


class JobQueue:
    """Queued jobs, in the order they came in except that a worker keeps to its program.

    A worker has compiled its programs, so it keeps to one while there are jobs of it, and workers
    that need a new program each take a different one. No job overtakes one without a program. So if
    no job has one, or all have the same, they are taken in order.
    """

    def __init__(self) -> None:
        self._by_program: dict[str, deque[tuple[int, Job]]] = {}
        self._returned: deque[Job] = deque()
        self._number = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, jobs: Iterable[Job]) -> None:
        """Append ``jobs`` to the queue."""
        for job in jobs:
            self._by_program.setdefault(job.program, deque()).append((self._number, job))
            self._number += 1
            self._size += 1

    def put_back(self, job: Job) -> None:
        """Put back a job that was not begun, as the next for any worker."""
        self._returned.appendleft(job)
        self._size += 1

    def has(self, program: str) -> bool:
        """Return whether a job of ``program`` may be popped now."""
        return bool(program) and program in self._open()

    def pop(self, program: str = "", others: Collection[str] = ()) -> Job:
        """Remove and return the next job for a worker that trained ``program`` last.

        This is the first job of its program, or else the first of a program that none of the
        ``others`` has, or else the first of all.
        """
        self._size -= 1
        if self._returned:
            return self._returned.popleft()
        first = self._open()
        if not program or program not in first:
            new = [name for name in first if name and name not in others]
            program = min(new or first, key=first.__getitem__)
        jobs = self._by_program[program]
        _, job = jobs.popleft()
        if not jobs:
            del self._by_program[program]
        return job

    def clear(self) -> None:
        """Remove all jobs."""
        self._by_program.clear()
        self._returned.clear()
        self._size = 0

    def _open(self) -> dict[str, int]:
        """Return the programs that may be popped now, each with the number of its first job."""
        first = {program: line[0][0] for program, line in self._by_program.items()}
        until = first.get("", math.inf)
        return {program: number for program, number in first.items() if number <= until}


@dataclass(frozen=True, slots=True)
class Spot:
    """The ``devices`` on any of which the next job may begin.

    ``alone`` says that the job is one that needs a device to itself.
    """

    devices: tuple[str, ...]
    alone: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """The jobs that run on some devices, up to ``per_device`` on each.

    ``running`` has each job's device and whether the job has it to itself.
    """

    devices: tuple[str, ...]
    per_device: int
    running: tuple[tuple[str, bool], ...] = ()

    def spot(self, *, alone_waits: bool, others_wait: bool) -> Spot | None:
        """Return where a job may begin, given the kinds of jobs that wait; None if none can begin.

        A job that needs a device to itself takes an empty one. While there is none, the device with
        the fewest jobs takes no more, so that it becomes empty.
        """
        count = dict.fromkeys(self.devices, 0)
        for device, _ in self.running:
            count[device] += 1
        fewest = min(self.devices, key=count.__getitem__)
        if alone_waits and count[fewest] == 0:
            return Spot((fewest,), alone=True)
        if not others_wait:
            return None
        closed = {device for device, alone in self.running if alone}
        if alone_waits:
            closed.add(fewest)
        open_ = [d for d in self.devices if d not in closed and count[d] < self.per_device]
        if not open_:
            return None
        least = min(count[device] for device in open_)
        return Spot(tuple(d for d in open_ if count[d] == least), alone=False)
