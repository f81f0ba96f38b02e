"""Train the runs of a learning-rate range test, one after the other, each stored as it ends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from harness.judging.range_test import (
    MOST_SEEDS,
    Limits,
    RangeTest,
    Rung,
    most_runs,
    next_rate,
    read,
)
from harness.records import MAIN, Config, Result, Run, run_key
from harness.session.environment import environment
from harness.session.jobs import discard_checkpoint, make_executor, make_job
from harness.session.progress import Observer
from harness.session.queue import Queue, now
from harness.session.session import POLL_SECONDS
from harness.session.settings import Settings
from harness.session.tally import Tally
from harness.store import Store
from harness.sweeps.plan import Plan
from harness.sweeps.sweep import Sweep


@dataclass(frozen=True, slots=True)
class Ladder:
    """The runs of a range test: a config, whose learning rate is replaced, its steps and seed."""

    sweep: Sweep
    config: Config
    steps: int
    seed: int
    limits: Limits

    @property
    def name(self) -> str:
        """Return the name that the runs are stored under; no declared sweep can have it."""
        return f"{self.sweep.name}-calibrate"

    def run(self, rate: float, *, fresh: int = 0) -> Run:
        """Return the run at a learning rate: with the seed of the ladder, or a fresh one from 1."""
        seed = hashlib.sha256(f"{self.name}:{self.seed}:{fresh}".encode()).digest()
        return Run(
            id=f"{self.name}-lr{rate:g}{f'-fresh{fresh}' if fresh else ''}",
            sweep=self.name,
            index=fresh,
            arm=MAIN,
            pair=None,
            config=self.config.replace(learning_rate=rate),
            seed=int.from_bytes(seed[:4], "big"),
            steps=self.steps,
            declared_steps=self.sweep.steps,
            evaluate_every=self.steps,
        )


@dataclass(frozen=True, slots=True)
class Trained:
    """The results of a ladder, what they show, and a run that did not finish."""

    test: RangeTest
    results: tuple[Result, ...]
    failed: Result | None = None


Tell = Callable[[Result, bool, int], None]
"""A function that is told of each run that is in, whether it was stored before, and how many more
there are at most."""


@dataclass
class Bench:
    """Trains runs one by one, or finds them in the store. Close it by leaving its context."""

    settings: Settings
    planned: Plan
    observer: Observer
    tally: Tally = field(default_factory=lambda: Tally(workers=1))
    _stack: ExitStack = field(default_factory=ExitStack)
    _queue: Queue | None = None
    _store: Store | None = None

    def __enter__(self) -> Bench:
        self._store = self._stack.enter_context(Store.open(self.settings.store, create=True))
        self._stack.callback(self.observer.close)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._queue is not None:
                self._queue.stop()
        finally:
            self._stack.close()

    def result(self, run: Run) -> tuple[Result, bool]:
        """Return the result of ``run``, trained where no final one is stored, and if one was."""
        assert self._store is not None
        key = run_key(run, self.planned.conditions)
        stored = self._store.of({key: run}).get(key)
        if stored is not None and stored.is_final:
            return stored, True
        if self._queue is None:
            make = partial(make_executor, self.settings)
            self._queue = Queue(
                self._store, make, since=now(), tally=self.tally, observer=self.observer
            )
        queue, found = self._queue, {}
        queue.add(
            [make_job(self.settings, key, run, self.planned)],
            environment(self.settings.root, self.settings.home),
        )
        try:
            while key in queue:
                queue.begin(all_at_once=True)
                found.update({result.key: result for result in queue.poll(POLL_SECONDS)})
        finally:
            self.observer.pause()
        result = found[key]
        if result.is_final:
            discard_checkpoint(self.settings, key)
        return result, False


def climb(bench: Bench, ladder: Ladder, alpha: float, tell: Tell) -> Trained:
    """Train the ladder, and then runs with fresh seeds at the rate that it picks.

    It ends at the first run that neither completes nor diverges. What has finished is stored, so
    that the next call goes on from there.
    """
    results: list[Result] = []
    rungs: list[Rung] = []
    most = most_runs(ladder.limits)
    test = read(rungs, alpha)
    while (rate := next_rate(rungs, ladder.limits, alpha)) is not None:
        result, was_stored = bench.result(ladder.run(rate))
        results.append(result)
        tell(result, was_stored, most - len(results))
        if not result.is_final:
            return Trained(test, tuple(results), result)
        rungs.append(Rung(rate, result.outcome))
        test = read(rungs, alpha)
    while test.rate is not None and test.wants_seed:
        result, was_stored = bench.result(ladder.run(test.rate, fresh=len(test.fresh) + 1))
        results.append(result)
        if result.is_final:
            test = test.with_fresh(Rung(test.rate, result.outcome))
        tell(result, was_stored, MOST_SEEDS - len(test.fresh) if test.wants_seed else 0)
        if not result.is_final:
            return Trained(test, tuple(results), result)
    return Trained(test, tuple(results))
