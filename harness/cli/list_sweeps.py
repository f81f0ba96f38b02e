"""``sweep list``: list the declared sweeps."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from typing import Any

from harness.cli import common
from harness.records import MAIN
from harness.sweeps.sweep import Sweep
from harness.verdicts import Counts

HELP = "list the sweeps that the experiments declare"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    common.add_experiments(parser)


def run(options: argparse.Namespace) -> int:
    """Print every sweep with its size, arms, baseline and questions."""
    found = common.declared(options)
    rows = [
        {**_described(sweep), "file": os.path.relpath(found.files[name])}
        for name, sweep in found.sweeps.items()
    ]
    if options.json:
        common.print_json({"sweeps": rows, "unread": list(found.unread.values())})
    elif not rows:
        print(common.NONE_DECLARED)
    else:
        _print(rows)
    common.tell_unread(found)
    return 0


def _described(sweep: Sweep) -> dict[str, Any]:
    baseline = sweep.baseline
    return {
        "sweep": sweep.name,
        "runs": sweep.runs,
        "steps": sweep.steps,
        "seeds": sweep.seeds,
        "arms": Counter(run.arm for run in sweep.plan() if run.arm != MAIN),
        "baseline": baseline.name if isinstance(baseline, Counts) else baseline,
        "questions": list(sweep.questions),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    from harness.report.blocks import Column, Table

    several = any(row["seeds"] > 1 for row in rows)
    columns = (
        Column("sweep", right=False),
        Column("runs"),
        Column("steps"),
        *([Column("seeds")] if several else []),
        Column("arms", right=False, wrap=True),
        Column("baseline", right=False),
        Column("questions"),
        Column("file", right=False, drop=1),
    )
    cells = tuple(
        (
            row["sweep"],
            str(row["runs"]),
            str(row["steps"]),
            *([str(row["seeds"])] if several else []),
            ", ".join(f"{name} {size}" for name, size in row["arms"].items()) or "none",
            row["baseline"] or "none",
            str(len(row["questions"])),
            row["file"],
        )
        for row in rows
    )
    common.print_table(Table(columns, cells))
