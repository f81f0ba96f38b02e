"""Counts of a session's runs, and the time that those that are left will take."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.metrics import DELTA_PERF, Metric
from harness.protocols import Event, Finished, Progressed, Skipped, Started
from harness.records import FINAL, MAIN, Evaluation, Outcome, Run

OVERDUE = 0.1
"""A run that takes longer than it should is taken to need this share of its time more.

After its last step it still has to evaluate, which takes minutes for a language model.
"""


@dataclass
class Going:
    """A run in training: its ``steps``, when it ``began``, and what it has reported.

    ``first`` and ``last`` are its first and its latest report of training, as time and step.
    """

    steps: int
    began: float
    first: tuple[float, int] | None = None
    last: tuple[float, int] | None = None

    @property
    def step(self) -> int:
        """The step that it has reported; 0 before its first report."""
        return self.last[1] if self.last else 0

    @property
    def trained(self) -> tuple[float, int]:
        """The seconds and the steps between its first report and its latest."""
        if self.first is None or self.last is None:
            return 0.0, 0
        return self.last[0] - self.first[0], self.last[1] - self.first[1]

    def rest(self, now: float, per_step: float | None) -> float | None:
        """Return the seconds that it still takes: by its own reports, else by ``per_step``."""
        seconds, steps = self.trained
        if steps and self.last is not None:
            left = (self.steps - self.step) * seconds / steps - (now - self.last[0])
            return max(left, OVERDUE * seconds)
        if per_step is None:
            return None
        whole = per_step * self.steps
        return max(whole - (now - self.began), OVERDUE * whole)


@dataclass
class Tally:
    """Counts of the runs and steps of a session, for a progress display.

    ``workers`` train at the same time. ``preparing`` is what runs wait for before their first step,
    such as a warm start. ``since`` is when the first run began. ``ended`` counts runs by their
    status, ``took`` the seconds and steps of those that ended by themselves. ``metrics`` are those
    that the sweeps are judged by, by their names. ``best`` are the best outcomes of their main
    runs, where more is better, and ``latest`` the latest points of the curve of any run.
    ``elsewhere`` counts the runs of other sessions that this one
    waits for. ``timer`` is the clock.
    """

    total: int = 0
    done: int = 0
    workers: int = 1
    running: dict[str, Going] = field(default_factory=dict)
    preparing: str = ""
    steps_total: int = 0
    steps_done: int = 0
    since: float | None = None
    ended: dict[str, int] = field(default_factory=dict)
    took: tuple[float, int] = (0.0, 0)
    trained: tuple[float, int] = (0.0, 0)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    best: dict[Metric, float] = field(default_factory=dict)
    latest: dict[Metric, Evaluation] = field(default_factory=dict)
    elsewhere: int = 0
    timer: Callable[[], float] = time.monotonic

    @property
    def left(self) -> int:
        """The number of runs that have not begun."""
        return self.total - self.done - len(self.running)

    @property
    def steps_now(self) -> int:
        """The number of steps trained in this session so far."""
        return self.steps_done + sum(run.step for run in self.running.values())

    @property
    def failed(self) -> int:
        """The number of runs that have ended, and not for good."""
        return sum(number for status, number in self.ended.items() if status not in FINAL)

    def rate(self) -> float | None:
        """Return the steps per second of a run by its own reports, over all that have reported.

        What comes before a run's first report does not count: imports, compiling, a warm start.
        None without reports.
        """
        seconds, steps = self.trained
        for run in self.running.values():
            more = run.trained
            seconds, steps = seconds + more[0], steps + more[1]
        return steps / seconds if steps and seconds > 0 else None

    def per_step(self) -> float | None:
        """Return the seconds that a run takes for each of its steps, evaluations included."""
        seconds, steps = self.took
        if steps:
            return seconds / steps
        rate = self.rate()
        return 1.0 / rate if rate else None

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds until every run has ended; None while nothing tells.

        A worker trains one run after the other, so two workers need two rounds for three runs.
        """
        per_step = self.per_step()
        ends = []
        for run in self.running.values():
            rest = run.rest(now, per_step)
            if rest is None:
                return None
            ends.append(rest)
        if self.left <= 0:
            return max(ends, default=0.0)
        if per_step is None:
            return None
        steps = self.steps_total - self.steps_done - sum(r.steps for r in self.running.values())
        each = per_step * steps / self.left
        workers = max(1, self.workers, len(ends))
        rounds, rest_of_them = divmod(self.left, workers)
        whole = max(0, rounds - 1)  # rounds that every worker trains in full
        free = [end + whole * each for end in (*ends, *[0.0] * (workers - len(ends)))]
        heapq.heapify(free)
        for _ in range(rest_of_them + (rounds - whole) * workers):
            heapq.heapreplace(free, free[0] + each)
        return max(free)

    def count(self, event: Event, run: Run) -> None:
        """Count an event of ``run``. A run that another session has does not count here."""
        now = self.timer()
        if isinstance(event, Started):
            self.since = now if self.since is None else self.since
            self.running[event.key] = Going(run.steps, now)
        elif isinstance(event, Progressed):
            progress = event.progress
            if progress.stage == "train":
                self.preparing = ""
                if progress.evaluation is not None:
                    self.latest[self._metric(run)] = progress.evaluation
                going = self.running.setdefault(event.key, Going(run.steps, now))
                going.last = (now, progress.step)
                going.first = going.first or going.last
            else:
                self.preparing = f"{progress.stage} {progress.step / progress.steps:.0%}"
        elif isinstance(event, Skipped):
            self.drop(run)
        else:
            self._end(event, run, now)

    def expect(self, run: Run) -> None:
        """Add ``run`` to the runs to be trained."""
        self.total += 1
        self.steps_total += run.steps

    def expect_again(self, run: Run, ended: Outcome) -> None:
        """Count ``run``, which has ``ended`` and is tried again, as one that has not begun."""
        self.done -= 1
        self.steps_done -= run.steps
        self.ended[ended.status] -= 1

    def drop(self, run: Run) -> None:
        """Remove ``run``, which has not begun, from the runs to be trained."""
        self.total -= 1
        self.steps_total -= run.steps

    def _end(self, event: Finished, run: Run, now: float) -> None:
        outcome = event.outcome
        going = self.running.pop(event.key, None) or Going(run.steps, now)
        self.done += 1
        self.steps_done += run.steps
        self.ended[outcome.status] = self.ended.get(outcome.status, 0) + 1
        self.trained = _added(self.trained, going.trained)
        if outcome.status in FINAL:
            seconds = now - going.began if outcome.seconds is None else outcome.seconds
            self.took = _added(self.took, (seconds, outcome.stopped_at or run.steps))
        metric, reached = self._metric(run), outcome.delta_perf
        if metric != DELTA_PERF:
            reached = None if outcome.value is None else metric.outcome(outcome.value)
        if run.arm == MAIN and outcome.status in FINAL and reached is not None:
            self.best[metric] = max(self.best.get(metric, reached), reached)

    def _metric(self, run: Run) -> Metric:
        return self.metrics.get(run.sweep, DELTA_PERF)


def _added(one: tuple[float, int], other: tuple[float, int]) -> tuple[float, int]:
    return one[0] + other[0], one[1] + other[1]
