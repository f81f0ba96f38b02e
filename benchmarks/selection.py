"""What the best of 24 runs is said to be worth, beside what it is: the tables of docs/selection.md.

    python benchmarks/selection.py [--sweeps 4000] [--designs 1000] [--seed 1]

Bias is in standard errors of a run: how far what is said lies above the truth on average. Coverage
is how often the interval has the truth in it. With 4,000 sweeps the simulation errors are about .02
and .003.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Iterable

if "numpy" not in sys.modules:  # the matrices are too small to be shared
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

import numpy as np
from simulation.selections import DESIGNS, SHAPES, Chosen, Noise, Told, simulate, simulate_design

from harness.text import clock

NOISES: tuple[Noise, ...] = ("normal", "t3")


def told(one: Told) -> tuple[str, str]:
    """Return bias and coverage as a table has them."""
    if math.isnan(one.bias):
        return "", ""
    return f"{one.bias:+.2f}".replace("-", "−"), f"{one.covered:.3f}".lstrip("0")


def row(names: Iterable[str], one: Chosen, confirmed: bool) -> str:
    """Return a row of a table: bias and coverage of each, and how good the probability is."""
    cells = [*names, *told(one.naive), *told(one.shrunk)]
    cells += told(one.confirmed) if confirmed else ()
    cells += [f"{one.probability:.2f}", f"{one.best:.2f}"]
    return f"| {' | '.join(cells)} |"


def show(done: int, total: int, began: float) -> None:
    """Say how far it is, in a line that rewrites itself on a terminal."""
    took = time.perf_counter() - began
    line = f"{done} of {total} rows, {clock(took)}"
    if sys.stderr.isatty():
        print(f"\r{line:<40}", end="" if done < total else "\n", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=4_000, help="sweeps of each shape")
    parser.add_argument("--designs", type=int, default=1_000, help="sweeps of each design")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began, total = time.perf_counter(), len(NOISES) * len(SHAPES) + len(DESIGNS)
    heading = "naive | covers | shrunk | covers"
    print(f"| shape | noise | {heading} | confirmed | covers | P(best) said | and was |")
    print(f"| --- | --- |{' ---: |' * 8}")
    done = 0
    for shape in SHAPES:
        for noise in NOISES:
            rng = np.random.default_rng([options.seed, done])
            found = simulate(shape, noise, options.sweeps, rng)
            print(row((shape.name, noise), found, confirmed=True), flush=True)
            done += 1
            show(done, total, began)
    print(f"\n| design | {heading} | P(best) said | and was |")
    print(f"| --- |{' ---: |' * 6}")
    for design in DESIGNS:
        rng = np.random.default_rng([options.seed, done])
        found = simulate_design(design, options.designs, rng)
        print(row((design.name,), found, confirmed=False), flush=True)
        done += 1
        show(done, total, began)


if __name__ == "__main__":
    main()
