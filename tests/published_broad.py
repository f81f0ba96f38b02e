"""A table of 48 runs with every count that was published of the broad sweep.

Of the sweep itself only a summary is known. The single runs here are made up, once and for all, so
that the summary holds: `python tests/published_broad.py runs.csv` writes them.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.records import Result

STEPS = 50
RANGES = (
    # From, to, runs, successes, mean ΔPerf.
    (1e-7, 3e-7, 19, 6, -0.132),
    (3e-7, 1e-6, 19, 5, -0.151),
    (1e-6, 2e-6, 10, 5, -0.189),
)
HIGH = 0.1
LOWEST_HIGH, HIGHEST_HIGH = 1.02e-7, 1.37e-6
SCHEDULES = {"advanced": 9, "cosine": 7}
GENERATIONS = {4: (20, 30, 40), 8: (16, 24, 32), 12: (16, 24, 32)}
WARMUPS = {"advanced": (10, 20, 30), "cosine": (0, 10, 20)}
ENTROPIES = (0.001, 0.002, 0.005)
PARAMETERS = (
    "learning_rate",
    "batch_size",
    "generations",
    "lr_schedule",
    "warmup_steps",
    "entropy_coef",
)


def rows() -> list[dict[str, Any]]:
    """Return the runs, a row each: ``run``, the parameters and ``delta_perf``."""
    rng = np.random.default_rng(19)
    made = [row for bounds in RANGES for row in _of_range(*bounds, rng)]
    highs = [row for row in made if row["delta_perf"] > HIGH]
    others = [row for row in made if row["delta_perf"] <= HIGH]
    highs[0]["learning_rate"], highs[-1]["learning_rate"] = LOWEST_HIGH, HIGHEST_HIGH
    # Two runs of batch size 8 are no high performers; the other 30 share 4 and 12.
    _deal(highs, "batch_size", [8] * 16, rng)
    _deal(others, "batch_size", [8] * 2 + [4] * 15 + [12] * 15, rng)
    _deal(highs, "lr_schedule", [n for n, count in SCHEDULES.items() for _ in range(count)], rng)
    _deal(others, "lr_schedule", ["advanced"] * 16 + ["cosine"] * 16, rng)
    for batch_size, choices in GENERATIONS.items():
        some = [row for row in made if row["batch_size"] == batch_size]
        _deal(some, "generations", _repeated(choices, len(some)), rng)
    for schedule, choices in WARMUPS.items():
        some = [row for row in made if row["lr_schedule"] == schedule]
        _deal(some, "warmup_steps", _repeated(choices, len(some)), rng)
    _deal(made, "entropy_coef", _repeated(ENTROPIES, len(made)), rng)
    shuffled = [made[index] for index in rng.permutation(len(made))]
    return [
        {"run": f"broad-{index:02d}"}
        | {name: row[name] for name in PARAMETERS}
        | {"delta_perf": row["delta_perf"]}
        for index, row in enumerate(shuffled)
    ]


def results(**changes: Any) -> tuple[Result, ...]:
    """Return the runs as they are read from the table: no SE, no before, no curve.

    ``changes`` are further fields, as of `make_result`.
    """
    return tuple(result_of(row, index, **changes) for index, row in enumerate(rows()))


def result_of(row: Mapping[str, Any], index: int, **changes: Any) -> Result:
    """Return a row of the table as a result."""
    from tests.factories import make_result

    plain = {"se": None, "before": None, "curve": (), "prompts": None, "samples": None}
    return make_result(
        id=row["run"],
        index=index,
        delta=row["delta_perf"],
        config={name: row[name] for name in PARAMETERS},
        **{"sweep": "broad", "steps": STEPS, "declared_steps": STEPS, "train_delta_perf": None}
        | plain
        | changes,
    )


def write(path: Path) -> Path:
    """Write the runs as CSV and return where."""
    made = rows()
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(made[0]))
        table.writeheader()
        table.writerows(made)
    return path


def _of_range(
    low: float, high: float, runs: int, successes: int, mean: float, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Return runs of a range of learning rates, the successes first, with exactly their mean."""
    top = min(high, HIGHEST_HIGH)
    good = np.sort(_log_uniform(low, top, successes, rng))
    bad = _log_uniform(low, high, runs - successes, rng)
    gains = np.round(rng.uniform(0.11, 0.24, successes), 4)
    losses = rng.uniform(0.5, 1.0, runs - successes)
    losses = np.round(losses * (mean * runs - gains.sum()) / losses.sum(), 4)
    losses[-1] += round(mean * runs - gains.sum() - losses.sum(), 4)
    return [
        {"learning_rate": float(f"{rate:.4g}"), "delta_perf": round(float(delta), 4)}
        for rate, delta in zip([*good, *bad], [*gains, *losses], strict=True)
    ]


def _log_uniform(low: float, high: float, n: int, rng: np.random.Generator) -> Any:
    """Return ``n`` numbers a hair inside of the range, so that four digits stay in it."""
    return np.exp(rng.uniform(np.log(low * 1.01), np.log(high * 0.99), n))


def _repeated(choices: tuple[Any, ...], n: int) -> list[Any]:
    return [choices[index % len(choices)] for index in range(n)]


def _deal(rows_: list[dict[str, Any]], name: str, values: list[Any], rng: Any) -> None:
    """Give each row one of ``values``, in an order drawn by ``rng``."""
    for row, index in zip(rows_, rng.permutation(len(values)), strict=True):
        row[name] = values[index]


if __name__ == "__main__":
    write(Path(sys.argv[1]))
