"""What Ray costs more than worker processes of our own, for a sweep of the focused one's shape.

    python benchmarks/ray_overhead.py [--runs 70] [--seconds 1.0] [--repeats 3]

As many runs as the focused sweep has with its arms, of a hundred steps with an evaluation at every
tenth, that wait instead of computing, so that other work on the machine decides less. Each time a
process of its own: it imports, starts the executor, has two workers train all runs, and closes it.
In turn with ``local`` and with ``ray``, which starts a Ray and ends it. Prints the seconds that
each takes by the clock, those of CPU time of all its processes, and the median of what Ray adds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from harness.executors import make_executor
from harness.protocols import Finished, Notify
from harness.records import Conditions, Config, Evaluation, Job, Outcome, Progress, Run

STEPS = 100


def waits(job: Job, notify: Notify) -> Outcome:
    """Report a hundred steps in as many seconds as the config says."""
    for step in range(1, STEPS + 1):
        time.sleep(float(str(job.run.config["seconds"])) / STEPS)
        point = Evaluation(step, 0.1, 0.01, 0.1) if step % 10 == 0 else None
        notify(Progress("train", step, STEPS, 0.1, point))
    return Outcome("completed", perf_before=0.1, perf_after=0.1, delta_perf=0.0, delta_perf_se=0.01)


def a_job(folder: Path, index: int, seconds: float) -> Job:
    config = Config({"seconds": seconds})
    run = Run(f"run-{index:03}", "b", index, "main", None, config, index, STEPS, STEPS, 10)
    under = Conditions(f"{__file__}:waits", "1", "torch", "float32", "cpu", "none", "1", "none")
    log = folder / "logs" / f"{run.id}.log"
    return Job(f"key-{index}", run, under, cache=str(folder), log=str(log))


def train(name: str, runs: int, seconds: float) -> float:
    """Train all runs; return the seconds of CPU time of this process and all it has started."""
    with tempfile.TemporaryDirectory() as folder:
        executor = make_executor(name, 2)
        executor.submit([a_job(Path(folder), index, seconds) for index in range(runs)])
        left = runs
        while left:
            for event in executor.poll(0.25):
                if isinstance(event, Finished):
                    if event.outcome.status != "completed":
                        raise SystemExit(f"{event.key}: {event.outcome.error}")
                    left -= 1
        started = 0.0
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                started += sum(process.cpu_times()[:2])
        executor.close()
        return started + sum(os.times()[:2])


def measured(name: str, options: argparse.Namespace) -> tuple[float, float]:
    """Return the seconds by the clock and of CPU time of a process that trains all runs."""
    command = [sys.executable, __file__, "--executor", name, "--runs", str(options.runs)]
    command += ["--seconds", str(options.seconds)]
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    clock = time.perf_counter() - began
    cpu: float = json.loads(done.stdout)
    return clock, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=70)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--executor", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.executor:
        print(json.dumps(train(options.executor, options.runs, options.seconds)))
        return
    print(f"{options.runs} runs of {options.seconds:g} s, two workers, start and end included:")
    clocks, cpus = [], []
    for _ in range(options.repeats):
        local, cpu_of_local = measured("local", options)
        on_ray, cpu_of_ray = measured("ray", options)
        clocks.append(on_ray - local)
        cpus.append(cpu_of_ray - cpu_of_local)
        print(
            f"  local {local:.1f} s ({cpu_of_local:.1f} s of CPU), "
            f"ray {on_ray:.1f} s ({cpu_of_ray:.1f} s): {clocks[-1]:+.1f} s ({cpus[-1]:+.1f} s); "
            f"load {os.getloadavg()[0]:.1f}"
        )
    print(f"median {statistics.median(clocks):+.1f} s ({statistics.median(cpus):+.1f} s of CPU)")


if __name__ == "__main__":
    main()
