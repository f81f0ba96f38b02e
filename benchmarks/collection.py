"""How long pytest takes to collect a sweep of 10,000 runs, beside as many plain parametrized tests.

    python benchmarks/collection.py [--runs 10000] [--repeats 5]

Prints the medians of whole processes, run in turn, and their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SWEEP = """
from harness import Choice, LogUniform, Sweep

big = Sweep(
    "big", runs={runs}, steps=100,
    space=dict(
        learning_rate=LogUniform(1e-7, 1e-6),
        batch_size=Choice(4, 8, 12),
        generations=Choice(16, 24, 32),
        entropy_coef=Choice(0.001, 0.002, 0.005),
    ),
)

def test_run(run):
    run.train()
"""

PLAIN = """
import pytest

@pytest.mark.parametrize("number", range({runs}))
def test_run(number):
    pass
"""


def seconds(folder: Path, *options: str) -> float:
    """Return the wall time of a pytest process that collects ``folder``."""
    command = [sys.executable, "-m", "pytest", "-p", "harness.plugin", "--collect-only", "-qq"]
    began = time.perf_counter()
    subprocess.run(
        [*command, "-p", "no:cacheprovider", str(folder), *options],
        check=True,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


def main() -> None:
    """Collect both in turn and print what each took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = {}
        for name, text in (("sweep", SWEEP), ("plain", PLAIN)):
            folder = Path(temporary) / name
            folder.mkdir()
            (folder / "pytest.ini").write_text("[pytest]\n")
            (folder / "test_big.py").write_text(text.format(runs=given.runs))
            folders[name] = folder
        pairs = [
            (seconds(folders["sweep"], "--sweep", "big"), seconds(folders["plain"]))
            for _ in range(given.repeats)
        ]
    sweep, plain = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    print(f"collecting a sweep of {given.runs:,} runs: {sweep:.2f} s (promise: under 5 s)")
    print(f"collecting {given.runs:,} plain parametrized tests: {plain:.2f} s")
    print(f"ratio, median of {given.repeats} pairs: {ratio:.2f}")


if __name__ == "__main__":
    main()
