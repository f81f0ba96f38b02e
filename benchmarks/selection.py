"""What the best of 24 runs is said to be worth, beside what it is: the tables of docs/selection.md.

    python benchmarks/selection.py [--sweeps 4000] [--designs 1000] [--seed 1] [--only TABLE]

Bias is in standard errors of a run, or of a mean over fresh seeds: how far what is said lies above
the truth on average. Coverage is how often the interval has the truth in it. With 4,000 sweeps the
simulation errors are about .02 and .003. The tables ``winner`` and ``power`` are of the claim
`winner.beats`, ``bounds`` of other ways to compare several leaders.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial

if "numpy" not in sys.modules:  # the matrices are too small to be shared
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

import numpy as np
from simulation.bounds import BOUNDS, power, shown
from simulation.bounds import trials as of_bounds
from simulation.confirmations import Trial, ahead, confirm, equal, judge
from simulation.selections import (
    DESIGNS,
    SHAPES,
    Chosen,
    Design,
    Noise,
    Shape,
    Told,
    simulate,
    simulate_design,
)

from harness.text import clock

NOISES: tuple[Noise, ...] = ("normal", "t3")
Rng = np.random.Generator


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


def cell(value: float, *, signed: bool = False) -> str:
    """Return a bias with its sign and two decimals, or a rate as ``.053``."""
    if signed:
        return f"{value:+.2f}".replace("-", "−").replace("−0.00", "0.00").replace("+0.00", "0.00")
    return "1.00" if value > 0.9995 else f"{value:.3f}".lstrip("0")


def worth_row(shape: Shape, noise: Noise, sweeps: int, rng: Rng) -> str:
    """Return a row on what confirmed leaders are worth."""
    one = confirm(shape, noise, sweeps, rng)
    cells = [shape.name, noise, cell(one.named_bias, signed=True), cell(one.named_covered)]
    cells += [cell(one.best_bias, signed=True)]
    cells += map(cell, (one.best_covered, one.together, one.alone, one.of_all))
    return f"| {' | '.join(cells)} |"


def shape_row(shape: Shape, noise: Noise, sweeps: int, rng: Rng) -> str:
    """Return a row on the best run of sweeps of one shape."""
    return row((shape.name, noise), simulate(shape, noise, sweeps, rng), confirmed=True)


def design_row(design: Design, sweeps: int, rng: Rng) -> str:
    """Return a row on the best run where the data have to tell the noise."""
    return row((design.name,), simulate_design(design, sweeps, rng), confirmed=False)


def trial_row(trial: Trial, sweeps: int, rng: Rng) -> str:
    """Return a row on the claim on the winner."""
    one = judge(trial, sweeps, rng)
    cells = [trial.name, str(len(trial.ahead)), str(trial.seeds)]
    rates = (one.supported, one.early, one.refuted, one.missed, one.covered)
    cells += map(cell, rates)
    cells += [f"{one.taken:.1f}"]
    return f"| {' | '.join(cells)} |"


def power_row(trials: list[Trial], sweeps: int, rng: Rng) -> str:
    """Return a row on the power of the claim at several leads, and the seeds at the second."""
    first, found = trials[0], [power(trial, sweeps, rng) for trial in trials]
    cells = [first.name, str(len(first.ahead)), str(first.seeds)]
    cells += [cell(one.supported) for one in found] + [cell(one.early) for one in found]
    return f"| {' | '.join(cells)} | {found[1].taken:.1f} |"


def bounds_row(trial: Trial, sweeps: int, rng: Rng) -> str:
    """Return a row on ways to compare several leaders."""
    rates = shown(trial, sweeps, rng)
    return f"| {' | '.join([trial.name, str(trial.seeds), *map(cell, rates.values())])} |"


def show(done: int, total: int, began: float) -> None:
    """Say how far it is, in a line that rewrites itself on a terminal."""
    took = time.perf_counter() - began
    line = f"{done} of {total} rows, {clock(took)}"
    if sys.stderr.isatty():
        print(f"\r{line:<40}", end="" if done < total else "\n", file=sys.stderr, flush=True)


SIZES = [(leaders, seeds) for leaders in (1, 3) for seeds in (4, 8)]
LEADS = (1.0, 2.0, 3.0)


def tables(sweeps: int, designs: int) -> dict[str, tuple[str, list[Callable[[Rng], str]]]]:
    """Return the tables by name: their heading, and what simulates and writes each row."""
    heading = "naive | covers | shrunk | covers"
    shapes = [(shape, noise) for shape in SHAPES for noise in NOISES]
    named, best = "named before | covers", "best of three | covers | of three"
    judged = "supported | with looks | refuted | best left out | all covered | seeds with looks"

    def trials(chosen: Iterable[Trial]) -> list[Callable[[Rng], str]]:
        return [partial(trial_row, one, sweeps) for one in chosen]

    return {
        "selection": (
            f"| shape | noise | {heading} | confirmed | covers | P(best) said | and was |",
            [partial(shape_row, shape, noise, sweeps) for shape, noise in shapes],
        ),
        "designs": (
            f"| design | {heading} | P(best) said | and was |",
            [partial(design_row, design, designs) for design in DESIGNS],
        ),
        "confirmed": (
            f"| shape | noise | {named} | {best} | gain: lower end | of three |",
            [partial(worth_row, shape, noise, sweeps) for shape, noise in shapes],
        ),
        "winner": (
            f"| noise | leaders | seeds | {judged} |",
            trials(one for size in SIZES for one in equal(*size)),
        ),
        "power": (
            "| noise | leaders | seeds | 1 SD ahead | 2 | 3 | with looks: 1 SD | 2 | 3 | seeds |",
            [
                partial(power_row, [list(ahead(by, *size))[place] for by in LEADS], 5 * sweeps)
                for place in range(2)
                for size in SIZES
            ],
        ),
        "bounds": (
            f"| noise, 3 leaders | seeds | {' | '.join(BOUNDS)} |",
            [partial(bounds_row, one, 5 * sweeps) for seeds in (4, 8) for one in of_bounds(seeds)],
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=4_000, help="sweeps of each row")
    parser.add_argument("--designs", type=int, default=1_000, help="sweeps of each design")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(tables(0, 0)), help="one of the tables")
    options = parser.parse_args()
    every = tables(options.sweeps, options.designs)
    began, total, done = time.perf_counter(), sum(len(rows) for _, rows in every.values()), 0
    for name, (heading, rows) in every.items():
        for place, simulated in enumerate(rows):
            if options.only in (None, name):
                if place == 0:
                    columns = heading.count("|") - 1
                    print(f"\n{heading}\n| --- |{' ---: |' * (columns - 1)}")
                print(simulated(np.random.default_rng([options.seed, done])), flush=True)
            done += 1
            show(done, total, began)


if __name__ == "__main__":
    main()
