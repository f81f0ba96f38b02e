"""How fast runs are taken, saved, listed and read again.

    python benchmarks/store.py [--runs 100000] [--takes 10000] [--store URL]

Takes and saves runs one at a time, as a session does, then fills the store and times what `sweep
runs` and a report ask of it. Without ``--store`` that is an SQLite file in a temporary folder; a
PostgreSQL database that is named should be an empty one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeVar
from zlib import crc32

from harness.records import Conditions, Config, Evaluation, Outcome, Result, Run, StepTrace, run_key
from harness.store import Store

T = TypeVar("T")

CONDITIONS = Conditions(
    trainer="harness.training.grpo_torch:train",
    trainer_version="1",
    backend="torch",
    precision="float32",
    device="cpu",
    task="addition",
    task_version="1",
    model="decoder-100k",
)
ENVIRONMENT = {"python": "3.11.2", "platform": "Linux", "torch": "2.13.0", "commit": "0" * 40}


def result(sweep: str, index: int, steps: int) -> Result:
    """Return a completed run with a point of its curve every 10 steps, and a trace of them all."""
    config = Config({"learning_rate": 1e-7 * (1 + index % 97), "batch_size": 8, "generations": 16})
    run = Run(
        id=f"{sweep}-{index}",
        sweep=sweep,
        index=index,
        arm="main",
        pair=None,
        config=config,
        seed=crc32(f"{sweep}-{index}".encode()),  # the same run twice would be kept once
        steps=steps,
        declared_steps=steps,
        evaluate_every=10,
    )
    perf = 0.1 + index % 89 / 890
    outcome = Outcome(
        status="completed",
        perf_before=0.1,
        perf_after=perf,
        delta_perf=perf - 0.1,
        delta_perf_se=0.0123456789,
        prompts=512,
        samples=4,
        prompts_changed=100,
        train_delta_perf=0.1,
        curve=tuple(
            Evaluation(step, 0.1 + (perf - 0.1) * step / steps, 0.0123456789, 0.1 + step / 1000)
            for step in range(0, steps + 1, 10)
        ),
        trace=tuple(
            StepTrace(step, 1e-3 / step, 0.1 + step / 999, 0.01 / step, 1.0 / step, 0.3, 0.2, step)
            for step in range(1, steps + 1)
        ),
        seconds=1.0,
        device="cpu",
    )
    at = "2026-01-01T00:00:00Z"
    return Result(run_key(run, CONDITIONS), run, CONDITIONS, outcome, ENVIRONMENT, at)


def timed(said: str, work: Callable[[], T]) -> T:
    """Do some work and print how long it took."""
    began, busy = time.perf_counter(), time.process_time()
    done = work()
    busy = time.process_time() - busy
    print(f"{said}: {time.perf_counter() - began:.2f} s ({busy:.2f} s of CPU)", flush=True)
    return done


def train(store: Store, results: Sequence[Result]) -> None:
    """Take and save runs one at a time."""
    for one in results:
        store.acquire(one.key)
        store.save(one)


def fill(store: Store, results: Iterator[Result]) -> None:
    """Save runs one at a time."""
    for one in results:
        store.save(one)


def main() -> None:
    """Time it all and print each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--takes", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--store")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.store or str(Path(folder, "store.db"))
        with Store.open(url) as store:
            trivial = [result("trivial", n, given.steps) for n in range(given.takes)]
            bare = [replace(one, outcome=replace(one.outcome, trace=())) for one in trivial]
            timed(f"{given.takes:,} runs taken and saved", lambda: train(store, bare))
            many = (result("many", n, given.steps) for n in range(given.runs))
            timed(f"{given.runs:,} runs saved", lambda: fill(store, many))
            planned = (result("many", n, given.steps) for n in range(given.runs))
            runs = {one.key: one.run for one in planned}
        with Store.open(url, read_only=True) as store:
            timed("summed up", store.sweeps)
            timed("listed", lambda: store.results("many", traces=False))
            timed("read for a report", lambda: store.of(runs))
            timed("read for a session, which checks the traces", lambda: store.of(runs, check=True))
            read = store.of(dict(islice(runs.items(), 2000))).values()
            timed("the traces of 2,000 looked at", lambda: [len(one.outcome.trace) for one in read])
            timed("asked which are taken", lambda: store.leases(runs))


if __name__ == "__main__":
    main()
