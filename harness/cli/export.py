"""``sweep export``: write stored runs to a table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.cli import common, stored

HELP = "write stored runs to a table that sweep judge and sweep import read"

STANDARD = "-"
"""The name of standard output."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument("sweep", nargs="?", metavar="SWEEP", help="a sweep (default: all)")
    parser.add_argument(
        "--to",
        metavar="FILE",
        required=True,
        help="the file to write, whose ending says its format: .csv, .tsv, .jsonl, .json or "
        ".parquet; - prints CSV, with --json a list of objects",
    )
    parser.add_argument(
        "--curves",
        metavar="FILE",
        type=Path,
        help="also write the learning curves: a table with the columns run, step, perf and se",
    )
    stored.add_filters(parser)
    parser.add_argument(
        "--earlier",
        action="store_true",
        help="also runs that earlier code has trained; the column trainer_version tells them apart",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Write the stored runs that the options choose, and print how many they are."""
    from harness.errors import UsageError
    from harness.tables.exporting import (
        check_target,
        curve_columns,
        run_columns,
        text_of,
        write_tables,
    )
    from harness.text import plural

    to = None if options.to == STANDARD else Path(options.to)
    files = [path for path in (to, options.curves) if path is not None]
    for path in files:
        check_target(path, force=options.force)
    if len({path.resolve() for path in files}) < len(files):
        raise UsageError(f"--to and --curves both name {options.curves}: name two files")
    with common.open_store(options) as store:
        results = stored.results(store, options.sweep, options)
    if not results:
        raise UsageError("there is no such run in the store: nothing was written")
    before = () if options.earlier else stored.earlier(results)
    results = tuple(result for result in results if result not in before) if before else results
    runs = run_columns(results)
    curves = {} if options.curves is None else curve_columns(results)
    points = len(curves.get("run", ()))
    write_tables({path: runs if path is to else curves for path in files})
    wrote = [plural(len(results), "run") + ("" if to is None else f" to {to}")]
    if options.curves is not None:
        wrote.append(f"{plural(points, 'point')} of learning curves to {options.curves}")
    if before:
        left = f"left out {plural(len(before), 'run')} of earlier code: --earlier writes them too"
        print(left, file=sys.stderr)
    if to is None:
        print(text_of(runs, "JSON" if options.json else "CSV"), end="")
        print(f"wrote {' and '.join(wrote)}", file=sys.stderr)
    elif options.json:
        common.print_json(
            {
                "table": str(to),
                "runs": len(results),
                "left_out": len(before),
                "curves": None if options.curves is None else str(options.curves),
                "points": points,
            }
        )
    else:
        print(f"wrote {' and '.join(wrote)}")
    return 0
