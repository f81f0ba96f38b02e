"""Which runs of a session are begun next, and which wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from harness.baselines import Named
from harness.gathering import baseline_of
from harness.planning import Plan
from harness.protocols import Executor
from harness.records import Job


class Launches:
    """The jobs of a session on their way to its executor."""

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._begun: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def sweeps(self) -> set[str]:
        """The sweeps of which a job waits."""
        return {job.run.sweep for job in self._waiting}

    def add(self, jobs: Iterable[Job]) -> None:
        """Queue ``jobs``, to be begun in this order."""
        self._waiting.extend(jobs)

    def begin(self, executor: Executor, *, all_at_once: bool) -> None:
        """Hand over what waits: all of it, or no more than there are workers for now."""
        free = len(self._waiting)
        if not all_at_once:
            free = min(free, executor.workers - len(self._begun))
        if free > 0:
            jobs = [self._waiting.popleft() for _ in range(free)]
            self._begun.update(job.key for job in jobs)
            executor.submit(jobs)

    def end(self, key: str) -> None:
        """Take note that a job is over, so that its worker is free."""
        self._begun.discard(key)

    def drop(self, sweep: str) -> list[Job]:
        """Remove and return the jobs of a sweep that wait."""
        dropped = [job for job in self._waiting if job.run.sweep == sweep]
        self._waiting = deque(job for job in self._waiting if job.run.sweep != sweep)
        return dropped


def in_order(plans: Mapping[str, Plan], baseline: Named | None = None) -> list[tuple[str, str]]:
    """Return sweep and key of all planned runs in the order in which answers come soonest.

    What others are compared with comes first; ``baseline`` stands in the place of the declared one.
    """
    from harness.early import launch_order

    first = sorted(plans, key=lambda name: not users(name, plans, baseline))
    return [(name, key) for name in first for key in launch_order(plans[name])]


def users(name: str, plans: Mapping[str, Plan], baseline: Named | None = None) -> list[str]:
    """Return the other sweeps among ``plans`` that ask a question about this one."""
    others = {other: planned.sweep for other, planned in plans.items() if other != name}
    return [
        other
        for other, sweep in others.items()
        if baseline_of(sweep, baseline) == name
        and any(claim.uses_baseline for claim in sweep.questions.values())
    ]
