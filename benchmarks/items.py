"""What scores by item cost: the size of a store, and the time of a report.

    python benchmarks/items.py [--runs 100] [--items 10000]

Stores runs with scores before and after training, with ids and clusters: scores of 0 or 1, shares
of 4 samples, and numbers that are all distinct. Prints what each store takes beside one without
scores by item, how long `sweep report` takes on it (the whole command, and the command again in a
process that has loaded its libraries), and how long it takes to read the scores of every run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import chdir, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from many_runs import declared, fill, measured, project, timed

from harness import cli
from harness.records import ItemScores, Outcome, Run
from harness.store import Store

Draw = Callable[[np.random.Generator, int], np.ndarray]

KINDS: dict[str, Draw | None] = {
    "no scores by item": None,
    "0 or 1": lambda rng, n: rng.integers(0, 2, n).astype(np.float64),
    "shares of 4 samples": lambda rng, n: rng.binomial(4, 0.3, n) / 4,
    "all distinct": lambda rng, n: rng.random(n),
}


def outcomes(draw: Draw | None, items: int) -> Callable[[Run], Outcome]:
    """Return a function that gives a run's outcome, with scores of so many items by ``draw``."""
    ids = tuple(f"task_{number // 50}_question_{number}" for number in range(items))
    clusters = tuple(f"text {number // 50}" for number in range(items))

    def outcome_of(run: Run) -> Outcome:
        if draw is None:
            return measured(run)
        rng = np.random.default_rng(run.seed)
        after, before = (draw(rng, items).tolist() for _ in range(2))
        return replace(measured(run), items=ItemScores(after, before, ids, clusters))

    return outcome_of


def again(folder: Path) -> float:
    """Return the seconds that `sweep report` takes in this process, the second of two times."""
    with chdir(folder), redirect_stdout(StringIO()):
        for _ in range(2):
            began = time.perf_counter()
            if cli.main(["report", "many"]):
                raise SystemExit("`sweep report` failed")
    return time.perf_counter() - began


def main() -> None:
    """Measure each kind of scores and print what it costs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--items", type=int, default=10_000)
    options = parser.parse_args()
    for kind, draw in KINDS.items():
        with TemporaryDirectory() as name:
            folder = Path(name)
            project(folder, options.runs)
            fill(folder, declared(options.runs), outcomes(draw, options.items))
            store = folder / ".sweep" / "store.db"
            size = store.stat().st_size / 1e6
            print(f"{kind}: {options.runs} runs × {options.items:,} items take {size:.2f} MB")
            timed("  sweep report", folder, "-m", "harness.cli", "report", "many")
            print(f"  and again, with libraries loaded: {again(folder):.2f} s")
            with Store.open(str(store), read_only=True) as opened:
                began = time.perf_counter()
                found = opened.results()
                read = time.perf_counter() - began
                scores = [one.outcome.items for one in found]
                count = sum(len(one.after) + len(one.before) for one in scores if one is not None)
                unpacked = time.perf_counter() - began
            print(f"  read {read:.3f} s; with all {count:,} scores unpacked {unpacked:.3f} s")


if __name__ == "__main__":
    main()
