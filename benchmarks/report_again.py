"""How long a finished sweep takes to be judged and reported again, and what its runs used.

    python benchmarks/report_again.py [--repeats 5]

Runs `pytest experiments/ --sweep broad,focused` on the store of the launch, which must be finished,
and prints the median of whole processes, with the wall time of all runs and the largest worker.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from harness.store import Store

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "pytest", "experiments/", "--sweep", "broad,focused"]


def main() -> None:
    """Time the command and print what it and its runs took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    took = []
    for _ in range(given.repeats):
        began = time.perf_counter()
        options = ["--sweep-offline", "--sweep-fail-on", "failed", "-q"]
        subprocess.run([*COMMAND, *options], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        took.append(time.perf_counter() - began)
    with Store.open(str(ROOT / ".sweep" / "store.db"), create=False, read_only=True) as store:
        outcomes = [result.outcome for result in store.results(traces=False)]
    training = sum(outcome.seconds or 0.0 for outcome in outcomes)
    memory = max(outcome.peak_memory or 0 for outcome in outcomes) / 2**20
    print(f"{len(outcomes)} runs judged and reported: {statistics.median(took):.1f} s (under 15 s)")
    print(f"training them took {training:.0f} s in all, evaluations included")
    print(f"the largest worker held {memory:.0f} MiB (under 1,536)")


if __name__ == "__main__":
    main()
