"""``sweep runs``: what is stored."""

from __future__ import annotations

import argparse
from typing import get_args

from harness.cli import common
from harness.errors import UsageError, nearest
from harness.records import Result, Status

HELP = "list stored runs, of one sweep or of all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a sweep (default: all)")
    parser.add_argument(
        "--arm", metavar="NAME", help="only runs of this arm; main for the sweep's own"
    )
    parser.add_argument(
        "--status",
        choices=get_args(Status),
        metavar="STATUS",
        help=f"only runs of this status: {', '.join(get_args(Status))}",
    )
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Print the stored runs that the options ask for."""
    with common.open_store(options) as store:
        known = [summary.sweep for summary in store.sweeps()]
        if options.name is not None and options.name not in known:
            has = f"which has {', '.join(known)}" if known else "which is empty"
            raise UsageError(
                f"no sweep {options.name!r} in the store, {has}{nearest(options.name, known)}"
            )
        found = store.results(options.name, options.arm, traces=False)
    shown = [r for r in found if options.status in (None, r.outcome.status)]
    if options.json:
        from harness.report.as_json import run_data

        common.print_json(
            {
                "runs": [
                    {"sweep": r.run.sweep, **run_data(r), "finished_at": r.finished_at}
                    for r in shown
                ]
            }
        )
    else:
        _print(shown)
    return 0


def _print(results: list[Result]) -> None:
    from harness.report.blocks import Column, Table
    from harness.report.digits import NONE, Digits, count, duration
    from harness.report.layout import table_text

    if not results:
        print("no runs")
        return
    digits = Digits.of(r.outcome.delta_perf for r in results)
    mixed = len({r.conditions.backend for r in results}) > 1
    columns = (
        Column("run", right=False),
        Column("arm", right=False),
        Column("status", right=False),
        # Trained on more than one, a run is listed once for each, under the same name.
        *([Column("backend", right=False)] if mixed else []),
        Column("ΔPerf"),
        Column("time"),
        Column("finished", right=False, drop=1),
    )
    rows = []
    for r in results:
        outcome = r.outcome
        change = digits.with_error(outcome.delta_perf, outcome.delta_perf_se)
        time = duration(outcome.seconds)
        under = [r.conditions.backend] if mixed else []
        words = [r.run.id, r.run.arm, outcome.status, *under, change, time]
        rows.append((*words, r.finished_at or NONE))
    print("\n".join(table_text(Table(columns, tuple(rows)), common.width())))
    print(count(len(rows), "run"))
