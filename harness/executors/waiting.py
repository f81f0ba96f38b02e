"""The jobs that wait for a worker, and which of them a worker is to have."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable

from harness.records import Job


class Waiting:
    """Queued jobs, taken in the order they came in but for their programs.

    A worker has the programs compiled that it has trained, so it stays with one while there are
    jobs of it, and workers that need a new one each take another. Nothing overtakes a job without
    a program: where no job has one, or all have the same, jobs are taken in their order.
    """

    def __init__(self) -> None:
        self._lines: dict[str, deque[tuple[int, Job]]] = {}
        self._returned: deque[Job] = deque()
        self._number = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, jobs: Iterable[Job]) -> None:
        """Queue ``jobs`` behind those that wait."""
        for job in jobs:
            self._lines.setdefault(job.program, deque()).append((self._number, job))
            self._number += 1
            self._size += 1

    def put_back(self, job: Job) -> None:
        """Return a job that was taken and not begun: it is the next, whoever takes it."""
        self._returned.appendleft(job)
        self._size += 1

    def has(self, program: str) -> bool:
        """Return whether a worker that has ``program`` compiled is to have a job of it."""
        return bool(program) and program in self._open()

    def take(self, program: str = "", others: Collection[str] = ()) -> Job:
        """Remove and return the job for a worker that trained ``program`` last.

        That is the first of its own program, or else of a program that none of the ``others`` is
        on, or else of all.
        """
        self._size -= 1
        if self._returned:
            return self._returned.popleft()
        first = self._open()
        if not program or program not in first:
            new = [name for name in first if name and name not in others]
            program = min(new or first, key=first.__getitem__)
        line = self._lines[program]
        _, job = line.popleft()
        if not line:
            del self._lines[program]
        return job

    def clear(self) -> None:
        """Forget all jobs."""
        self._lines.clear()
        self._returned.clear()
        self._size = 0

    def _open(self) -> dict[str, int]:
        """Return the programs of which a job may be taken now, with the number of their first."""
        first = {program: line[0][0] for program, line in self._lines.items()}
        until = first.get("", math.inf)
        return {program: number for program, number in first.items() if number <= until}
