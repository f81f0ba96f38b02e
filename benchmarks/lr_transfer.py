"""How many runs of the broad sweep succeed under each factor between its rates and the task's.

    python benchmarks/lr_transfer.py [FACTOR ...] [--workers 2] [--experiments experiments]

This is what `lr_transfer` of the embedded task is set by, and by nothing else: the factor under
which about 16 of the 48 runs succeed, as was published of the sweep's original. A success is a run
that is shown to improve: ΔPerf − t(.975)·SE > 0 and at least 6 held-out prompts changed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tabulate import tabulate

from harness.executors import make_executor
from harness.observations import count_successes, observe
from harness.plugin.declared import discover
from harness.protocols import Finished
from harness.records import Job, Outcome, Result, run_key
from harness.sweeps.plan import Selection, plan

ROOT = Path(__file__).resolve().parents[1]
RANGES = ((1e-7, 3e-7), (3e-7, 1e-6), (1e-6, 2e-6))


def results(factor: float, experiments: Path, workers: int) -> list[Result]:
    """Return the broad sweep's main runs, trained with ``factor``."""
    planned = plan(discover([experiments])["broad"], Selection(arms=()))
    conditions = replace(planned.conditions, lr_transfer=factor)
    home = ROOT / ".sweep"
    jobs = {}
    for run in planned.runs.values():
        key = run_key(run, conditions)
        log = home / "logs" / "lr_transfer" / f"{run.id}.log"
        jobs[key] = Job(key, run, conditions, cache=str(home / "cache"), log=str(log))
    executor = make_executor("local", workers)
    outcomes: dict[str, Outcome] = {}
    try:
        executor.submit(list(jobs.values()))
        while len(outcomes) < len(jobs):
            for event in executor.poll(1.0):
                if isinstance(event, Finished):
                    outcomes[event.key] = event.outcome
    finally:
        executor.close()
    return [Result(key, job.run, conditions, outcomes[key]) for key, job in jobs.items()]


def row(factor: float, trained: Sequence[Result], seconds: float) -> dict[str, str]:
    """Return a factor's line of the table."""
    observed = observe(trained)
    counted = count_successes(observed, min_gain=0.05)
    rates = np.array([float(str(r.run.config["learning_rate"])) for r in observed.completed])
    line = {
        "lr_transfer": f"{factor:,.0f}",
        "successes": f"{counted.successes} of {counted.runs}",
        "ΔPerf > 0": f"{int((observed.delta > 0).sum())}",
        "ΔPerf > 0.1": f"{int((observed.delta > 0.1).sum())}",
        "diverged": f"{len(observed.diverged)}",
        "mean ΔPerf": f"{observed.delta.mean():+.3f}",
        "SD": f"{observed.delta.std(ddof=1):.3f}",
    }
    for low, high in RANGES:
        inside = observed.delta[(rates >= low) & (rates < high)]
        line[f"{low:.0e} to {high:.0e}"] = f"{inside.mean():+.3f} ({inside.size})"
    return line | {"seconds": f"{seconds:.0f}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("factors", nargs="*", type=float, default=[3_000, 6_000, 12_000, 24_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--experiments", type=Path, default=ROOT / "experiments")
    options = parser.parse_args()
    lines = []
    for factor in options.factors:
        began = time.perf_counter()
        trained = results(factor, options.experiments, options.workers)
        lines.append(row(factor, trained, time.perf_counter() - began))
    print(tabulate(lines, headers="keys", disable_numparse=True))


if __name__ == "__main__":
    main()
