"""What it costs to have jobs trained in worker processes, and what two of them gain over one.

    python benchmarks/executor.py [--jobs 10000] [--runs 24] [--work 1.0] [--repeats 3] [--wait]

Trivial jobs through the local executor with two workers, without a store: seconds in all, and the
CPU seconds of the session and of its workers. Then runs that compute on one thread for about as
many seconds of CPU time as ``--work`` says, with one worker and with two in turn: by how much two
are faster, in wall time, and whether they took the same CPU time. On a machine that is busy with
other things two workers have no more of it than one; with ``--wait`` the runs wait instead, which
shows what the executor itself holds up.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

from harness.executors import make_executor
from harness.protocols import Finished, Notify
from harness.records import Conditions, Config, Job, Outcome, Run

DONE = Outcome("completed", perf_before=0.1, perf_after=0.1, delta_perf=0.0, delta_perf_se=0.01)


def trivial(job: Job, notify: Notify) -> Outcome:
    return DONE


def busy(job: Job, notify: Notify) -> Outcome:
    """Compute for as much CPU time as the config says."""
    until = time.process_time() + float(str(job.run.config["work"]))
    while time.process_time() < until:
        sum(range(10_000))
    return DONE


def waits(job: Job, notify: Notify) -> Outcome:
    time.sleep(float(str(job.run.config["work"])))
    return DONE


def a_job(folder: Path, index: int, trainer: str, work: float = 0.0) -> Job:
    config = Config({"work": work})
    run = Run(f"run-{index:05}", "bench", index, "main", None, config, index, 1, 1, 1)
    under = Conditions(f"{__file__}:{trainer}", "1", "torch", "float32", "cpu", "none", "1", "none")
    log = folder / "logs" / f"{run.id}.log"
    return Job(f"key-{index}", run, under, cache=str(folder), log=str(log))


def seconds(workers: int, jobs: list[Job]) -> tuple[float, float, float]:
    """Return the seconds that ``jobs`` take: by the clock, and of CPU time, ours and theirs."""
    before = _cpu()
    executor = make_executor("local", workers)
    began = time.perf_counter()
    executor.submit(jobs)
    left = len(jobs)
    while left:
        for event in executor.poll(1.0):
            if isinstance(event, Finished):
                if event.outcome.status != "completed":
                    raise SystemExit(f"{event.key} {event.outcome.status}: {event.outcome.error}")
                left -= 1
    clock = time.perf_counter() - began
    executor.close()
    ours, theirs = (now - then for now, then in zip(_cpu(), before, strict=True))
    return clock, ours, theirs


def _cpu() -> tuple[float, float]:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ours, theirs = (usage.ru_utime + usage.ru_stime for usage in usages)
    return ours, theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--work", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--wait", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs = [a_job(folder, index, "trivial") for index in range(options.jobs)]
        clock, ours, theirs = seconds(2, jobs)
        print(f"{options.jobs} trivial jobs, two workers: {clock:.1f} s", end="")
        print(
            f" (CPU: session {ours:.1f} s, workers {theirs:.1f} s); load {os.getloadavg()[0]:.1f}"
        )
        kind = "waits" if options.wait else "busy"
        runs = [a_job(folder, index, kind, options.work) for index in range(options.runs)]
        gains = []
        for _ in range(options.repeats):
            one, _, cpu_of_one = seconds(1, runs)
            two, _, cpu_of_two = seconds(2, runs)
            gains.append(one / two)
            print(f"{options.runs} runs of {options.work:g} s: one worker {one:.1f} s", end="")
            print(f" ({cpu_of_one:.1f} s of CPU), two {two:.1f} s ({cpu_of_two:.1f} s)", end="")
            print(f": {one / two:.2f} times as fast; load {os.getloadavg()[0]:.1f}")
        if gains:
            print(f"median {statistics.median(gains):.2f}")


if __name__ == "__main__":
    main()
