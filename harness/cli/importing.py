"""``sweep import``: keep runs that were trained elsewhere in the store."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli import common, stored, tables
from harness.errors import StoreError, UnclearMetricError, UsageError
from harness.records import Result
from harness.sweeps.baseline import STDIN, has_ending

if TYPE_CHECKING:
    from harness.store.merging import Merged

HELP = "keep the runs of a table, or of another store, in the store"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument(
        "source",
        metavar="TABLE",
        nargs="+",
        help=f"a table of finished runs: {tables.READ}; or another store of sweeps",
    )
    parser.add_argument(
        "--sweep",
        metavar="NAME",
        help="the sweep that the table's runs become; a table that sweep export wrote names it "
        "already. From another store: only this sweep",
    )
    tables.add_curves(parser)
    parser.add_argument(
        "--replace",
        action="store_true",
        help="replace runs that were imported before with other figures",
    )
    tables.add_table_options(parser)
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Keep the runs that the options name, and print which they are and how a table was read."""
    source = tables.source(options.source)
    options.source = source if isinstance(source, str) else ", ".join(source)
    if not isinstance(source, str) or _is_table(source):
        merged, notes = _of_table(source, options)
    else:
        merged, notes = _of_store(options)
    if options.json:
        common.print_json(
            {
                "from": options.source,
                "sweeps": _sweeps([*merged.added, *merged.present, *merged.replaced]),
                "read": list(notes),
                "imported": len(merged.added),
                "present": len(merged.present),
                "replaced": len(merged.replaced),
                "differing": [
                    {"sweep": result.run.sweep, "run": result.run.id} for result in merged.differing
                ],
            }
        )
        return 0
    common.print_wrapped((*notes, *_outcomes(merged, options.source)))
    return 0


def _is_table(source: str) -> bool:
    """Return whether a source is a table or a tracker's store, not a store of sweeps."""
    from harness.tables.files import divided
    from harness.tables.stores import kind_of

    file, _ = divided(source)
    address = "://" in file  # of a store of sweeps, as PostgreSQL's
    return file == STDIN or has_ending(file) or (not address and kind_of(file) is not None)


def _of_table(
    source: str | tuple[str, ...], options: argparse.Namespace
) -> tuple[Merged, tuple[str, ...]]:
    from harness.store import Store
    from harness.store.merging import add_imported
    from harness.tables import read_runs
    from harness.tables.importing import HOW, NEEDED, imported

    # The store keeps runs of any steps, and whoever counts them compares those of equal ones.
    asked = replace(tables.read_options(options), every_budget=True)
    try:
        reading = read_runs(source, asked)
    except UnclearMetricError as error:
        raise UsageError(
            f"{Path(options.source).name} has no column delta_perf, and {NEEDED}: {HOW}; "
            "sweep judge takes any metric"
        ) from error
    results = imported(reading, options.sweep)
    with Store.open(common.store_url(options)) as store:
        return add_imported(store, results, replace=options.replace), reading.notes


def _of_store(options: argparse.Namespace) -> tuple[Merged, tuple[str, ...]]:
    from harness.store import Store
    from harness.store.merging import merge

    for name in ("curves", "replace"):
        if getattr(options, name):
            raise UsageError(f"--{name} is for a table, and {options.source} is none")
    if given := tables.given(options):
        raise UsageError(f"{given} says how a table is read, and {options.source} is none")
    _check_store(options.source)
    if _same(options.source, common.store_url(options)):
        raise UsageError(f"{options.source} is the store itself: name another by --store")
    with (
        Store.open(options.source, create=False, read_only=True) as other,
        Store.open(common.store_url(options)) as store,
    ):
        if not other.sweeps():
            raise UsageError(f"{options.source} has no runs")
        if options.sweep is not None:
            stored.check_sweep(other, options.sweep, place=options.source)
        return merge(store, other, options.sweep), ()


def _check_store(source: str) -> None:
    """Raise a UsageError where ``source`` is a file that is neither a table nor a store."""
    path = Path(source)
    if "://" in source or not path.is_file():
        return
    with path.open("rb") as file:
        if file.read(15) != b"SQLite format 3":
            raise UsageError(f"{source} is neither a table nor a store; {tables.NAMES}")


def _same(one: str, other: str) -> bool:
    from harness.store import sqlite

    try:
        return sqlite.locate(one).samefile(sqlite.locate(other))
    except (StoreError, OSError):
        return one == other


def _outcomes(merged: Merged, source: str) -> Iterator[str]:
    """Yield lines on the runs imported, replaced, present already, or differing."""
    from harness.text import plural

    for verb, results in (("imported", merged.added), ("replaced", merged.replaced)):
        if results:
            runs, statuses = plural(len(results), "run"), stored.by_status(results)
            yield f"{verb} {runs} of {', '.join(_sweeps(results))}: {statuses}"
    if merged.present:
        yield f"{plural(len(merged.present), 'run was', 'runs were')} in the store already"
    for result in merged.differing[:10]:
        run = result.run
        yield f"{run.id} of {run.sweep} ended differently in {source}: kept as it is here"
    if len(merged.differing) > 10:
        yield f"and {len(merged.differing) - 10:,} more ended differently there"


def _sweeps(results: list[Result] | tuple[Result, ...]) -> list[str]:
    return list(dict.fromkeys(result.run.sweep for result in results))
