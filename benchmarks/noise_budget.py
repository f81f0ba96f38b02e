"""What the noise budget says of sweeps whose noise is known: the tables of docs/noise.md.

    python benchmarks/noise_budget.py [--sweeps 1000] [--promises 1000] [--seed 1] [--only PART]

Sweeps have 24 configs. Parameters add up to an SD of 1, configs do .5 beyond that, seeds .5, and
the evaluation .3. With 1,000 sweeps the simulation error of a coverage is about .007, and of a
power .016.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

if "numpy" not in sys.modules:  # the matrices are too small to be shared
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

import numpy as np
from simulation.budgets import Noise, World, components, fresh_runs, promises

from harness.text import clock

NOISES: tuple[Noise, ...] = ("normal", "t3", "collapse", "uneven collapse")
SEEDS = (1, 2, 3, 5)
PARTS = ("components", "fresh", "promises")


def rate(value: float) -> str:
    """Return a share as a table has it."""
    return f"{value:.2f}".lstrip("0") if value < 0.995 else "1.00"


def show(part: str, began: float) -> None:
    """Say how far it is, in a line that rewrites itself on a terminal."""
    line = f"{part}, {clock(time.perf_counter() - began)}"
    print(f"\r{line:<40}", end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=1_000, help="sweeps of each row")
    parser.add_argument("--promises", type=int, default=1_000, help="sweeps that promise a power")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=PARTS, help="one of the tables")
    options = parser.parse_args()
    began = time.perf_counter()
    if options.only in (None, "components"):
        print("| seeds | noise | source | true SD | median told | covers | within a fifth |")
        print("| ---: | --- | --- | ---: | ---: | ---: | ---: |")
        for seeds in SEEDS:
            for place, noise in enumerate(NOISES):
                rng = np.random.default_rng([options.seed, seeds, place])
                for one in components(World(noise=noise), seeds, options.sweeps, rng):
                    cells = f"{one.source} | {one.truth:.2f} | {one.median * one.truth:.2f}"
                    cells += f" | {rate(one.covered)} | {rate(one.near)}"
                    print(f"| {seeds} | {noise} | {cells} |", flush=True)
                show(f"{seeds} seeds, {noise}", began)
    if options.only in (None, "fresh"):
        print("\n| seeds | noise | fresh results | predicted/true | near truth | near realised |")
        print("| ---: | --- | --- | ---: | ---: | ---: |")
        for seeds in SEEDS[:2]:
            for place, noise in enumerate(NOISES):
                rng = np.random.default_rng([options.seed, 10 + seeds, place])
                for of in fresh_runs(World(noise=noise), seeds, options.sweeps, rng):
                    cells = f"{of.what} | {of.median:.2f} | {rate(of.near)}"
                    print(f"| {seeds} | {noise} | {cells} | {rate(of.near_realised)} |", flush=True)
                show(f"{seeds} seeds, {noise}", began)
    if options.only in (None, "promises"):
        print("\n| seeds | question | runs | promised | realised |")
        print("| ---: | --- | --- | ---: | ---: |")
        for seeds in SEEDS[:2]:
            rng = np.random.default_rng([options.seed, 20 + seeds])
            found = promises(World(), seeds, options.promises, rng)
            for (question, name), promise in found.items():
                least, most, shown = promise.means()
                said = rate(least) if most - least < 0.005 else f"{rate(least)} to {rate(most)}"
                print(f"| {seeds} | {question} | {name} | {said} | {rate(shown)} |", flush=True)
            show(f"promises from {seeds} seeds", began)


if __name__ == "__main__":
    main()
