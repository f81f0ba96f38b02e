"""What the plugin adds to `pytest -q` in a project that has no sweeps.

    python benchmarks/startup.py [--pairs 20]

Runs pytest on one trivial test with the plugin and without it, in turn, and with no other plugin.
Modules are compiled before it is timed, as those of an installed package are.
Prints the medians over the pairs, of wall time and of processor time.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def taken(folder: Path, *options: str) -> tuple[float, float]:
    """Return the milliseconds of wall and of processor time that pytest takes in ``folder``."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    env = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
    }
    before, began = used(), time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, env=env, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    return wall * 1000, (used() - before) * 1000


def used() -> float:
    """Return the seconds of processor time that ended child processes have used."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def main() -> None:
    """Run both in turn and print what the plugin adds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_one.py").write_text("def test_one():\n    pass\n")
        plugin = ("-p", "harness.plugin")
        taken(folder, *plugin)
        pairs = [(taken(folder, *plugin), taken(folder)) for _ in range(given.pairs)]
    print(f"pytest -q on one test, medians of {given.pairs} pairs (promise: under 25 ms more)")
    for index, kind in enumerate(("wall time", "processor time")):
        ours = [one[index] for one, _ in pairs]
        bare = [other[index] for _, other in pairs]
        added = statistics.median(a - b for a, b in zip(ours, bare, strict=True))
        ratio = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
        print(
            f"{kind}: {statistics.median(ours):.0f} ms with the plugin, "
            f"{statistics.median(bare):.0f} ms without: {added:+.1f} ms, ratio {ratio:.2f}"
        )


if __name__ == "__main__":
    main()
