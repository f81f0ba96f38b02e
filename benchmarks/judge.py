"""How long tables take to be judged, as whole commands: wide, long and small ones, and a plan.

    python benchmarks/judge.py [--repeats 3]

Writes tables of uniform parameters, some of which move the metric, into a folder of its own, and
prints the median wall time of `sweep judge FILE --brief` and of `sweep plan focused`, with what is
promised. The largest memory of a process is that of all its children so far.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SWEEP = [sys.executable, "-m", "harness.cli"]

TABLES = ((50, 4, 1.5), (300, 20, 3.0), (1_000, 40, 5.0), (100_000, 10, 20.0))
"""Rows, columns, and the seconds that are promised."""

PLAN = 2.0
"""The seconds that pricing `focused` is promised to take."""


def write(path: Path, rows: int, columns: int) -> None:
    """Write a table in which every fourth parameter moves the metric by two SDs over its range."""
    rng = np.random.default_rng([rows, columns])
    values = rng.uniform(size=(rows, columns))
    metric = rng.normal(size=rows) + 2.0 * values[:, ::4].sum(axis=1)
    head = ",".join([*(f"p{number}" for number in range(columns)), "val_acc"])
    table = np.column_stack([values, metric])
    np.savetxt(path, table, fmt="%.5f", delimiter=",", header=head, comments="")


def timed(command: list[str], repeats: int) -> float:
    """Return the median seconds of a whole process."""
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        subprocess.run([*SWEEP, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def main() -> None:
    """Time the commands and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        for rows, columns, promised in TABLES:
            path = Path(folder) / f"{columns}x{rows}.csv"
            write(path, rows, columns)
            seconds = timed(["judge", str(path), "--brief"], repeats)
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            print(
                f"{columns} parameters × {rows:,} runs: {seconds:.1f} s (under {promised:g} s), "
                f"largest process so far {memory:.0f} MiB"
            )
    print(f"sweep plan focused: {timed(['plan', 'focused'], repeats):.1f} s (under {PLAN:g} s)")


if __name__ == "__main__":
    main()
