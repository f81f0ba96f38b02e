"""How often verdicts and findings are wrong, and what they see: the tables of docs/error-rates.md.

    python benchmarks/error_rates.py [--repeats 1000] [--only TABLE …] [--seed 1] [--workers 1]

Every entry is a share of simulations, each judged through the claim itself. What is the slower to
judge is simulated the less often: an entry's simulation error is √(.05·.95/simulations), .007 at
1,000. A rate above .05 by two to six of these is simulated again, four times as often and with
another seed, and again, twenty times as often, where it is not known to be above; the last one
stands. It is bold where it is still above.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from multiprocessing import get_context

if "numpy" not in sys.modules:  # one thread a worker: the matrices are too small to be shared
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

from simulation.cells import Cell, Measured, measure
from simulation.tables import TABLES, cells, liberal, written

from harness.text import clock

Task = tuple[tuple[str, ...], int, int, int]
"""The tables, the place of a cell among their cells, simulations, seed."""


def measured(task: Task) -> tuple[int, Measured, float]:
    """Return the place of a cell, what was measured in it, and the seconds that it took."""
    tables, place, repeats, seed = task
    began = time.perf_counter()
    found = measure(_cells(tables)[place], repeats, seed=seed, twice=True)
    return place, found, time.perf_counter() - began


@lru_cache
def _cells(tables: tuple[str, ...]) -> list[Cell]:
    return cells(tables)


def run(tasks: Sequence[Task], workers: int) -> Iterator[tuple[int, Measured, float]]:
    """Yield what `measured` returns for each task, as it comes."""
    if workers == 1:
        yield from map(measured, tasks)
        return
    with get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(measured, tasks)


def show(done: int, total: int, began: float) -> None:
    """Say how far it is, in a line that rewrites itself on a terminal, now and then elsewhere."""
    took = time.perf_counter() - began
    left = clock(took / done * (total - done)) if done else "…"
    line = f"{done} of {total} entries, {clock(took)}, about {left} left"
    if sys.stderr.isatty():
        print(f"\r{line:<60}", end="" if done < total else "\n", file=sys.stderr, flush=True)
    elif done % 20 == 0 or done == total:
        print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1_000, help="simulations of an entry")
    parser.add_argument("--only", nargs="+", choices=TABLES, metavar="TABLE", default=list(TABLES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    tables = tuple(options.only)
    everything = _cells(tables)
    # Spread over the tables, so that the time left is known early.
    order = sorted(range(len(everything)), key=lambda place: (place * 0.618034) % 1.0)
    tasks = [(tables, place, options.repeats, options.seed) for place in order]
    began, found = time.perf_counter(), {}
    seconds = dict.fromkeys(tables, 0.0)
    for done, (place, one, took) in enumerate(run(tasks, options.workers), start=1):
        found[everything[place]] = one
        seconds[everything[place].table] += took
        show(done, len(tasks), began)
    in_order = {cell: found[cell] for cell in everything}
    for table in tables:
        mine = {cell: one for cell, one in in_order.items() if cell.table == table}
        print(written(table, mine), end="\n\n")
    for line in liberal(in_order):
        print(f"above .05 by more than two simulation errors: {line}", file=sys.stderr)
    spent = ", ".join(f"{table} {clock(took)}" for table, took in seconds.items())
    print(f"{clock(time.perf_counter() - began)} in all: {spent}", file=sys.stderr)


if __name__ == "__main__":
    main()
