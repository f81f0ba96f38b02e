"""``sweep runs``: what is stored."""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from harness.cli import common, one_run, stored
from harness.errors import UsageError
from harness.records import Result

if TYPE_CHECKING:
    from harness.store import Store

HELP = "list stored runs, of one sweep or of all, or show one"

MANY = 200
"""Runs above which a terminal shows how many there are of which kind, not each of them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a sweep, or the id or key of a run, which is then shown whole (default: all)",
    )
    parser.add_argument("--sweep", metavar="NAME", help="only runs of this sweep")
    stored.add_filters(parser)
    parser.add_argument(
        "--all",
        action="store_true",
        help=f"list each run, also where a terminal would show more than {MANY}",
    )
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Print the stored runs that the options ask for."""
    with common.open_store(options) as store:
        found, whole = _found(store, options)
    if options.json:
        common.print_json({"runs": [_data(result) for result in found]})
    elif whole:
        print("\n\n".join("\n".join(one_run.text(result)) for result in found))
    elif not found:
        print("no runs")
    elif len(found) > MANY and common.rewrites(sys.stdout) and not options.all:
        print("\n".join(_counted(found)))
    else:
        print("\n".join(_listed(found)))
    return 0


def _found(store: Store, options: argparse.Namespace) -> tuple[tuple[Result, ...], bool]:
    """Return the runs that are asked for, and whether they are to be shown whole."""
    name, sweep = options.name, options.sweep
    if name is None or any(summary.sweep == name for summary in store.sweeps()):
        if None not in (name, sweep) and name != sweep:
            raise UsageError(f"{name} and --sweep {sweep} are two sweeps: name one")
        return stored.results(store, name or sweep, options), False
    among = stored.results(store, sweep, options)
    found = tuple(result for result in among if name in (result.run.id, result.key))
    if not found:
        stored.check_sweep(store, name, beside=" and no run of that id or key")
    return found, True


def _data(result: Result) -> dict[str, Any]:
    from harness.report.renderers.as_json import run_data

    return {
        "sweep": result.run.sweep,
        "key": result.key,
        **run_data(result),
        "finished_at": result.finished_at,
    }


def _listed(results: Sequence[Result]) -> Iterator[str]:
    from harness.report.blocks import Column, Table
    from harness.report.renderers.layout import table_text
    from harness.text import NONE, Digits, duration, plural

    digits = Digits.of(r.outcome.delta_perf for r in results)
    # The id of a run that was trained here begins with its sweep's name.
    apart = any(not r.run.id.startswith(r.run.sweep) for r in results)
    # Trained on more than one, a run is listed once for each, under the same name.
    mixed = len({r.conditions.backend for r in results}) > 1
    columns = (
        Column("run", right=False),
        *([Column("sweep", right=False)] if apart else []),
        Column("arm", right=False),
        Column("status", right=False),
        *([Column("backend", right=False)] if mixed else []),
        Column("ΔPerf"),
        Column("time", drop=1),
        Column("finished", right=False, drop=2),
    )
    rows = tuple(
        (
            r.run.id,
            *([r.run.sweep] if apart else []),
            r.run.arm,
            r.outcome.status,
            *([r.conditions.backend] if mixed else []),
            digits.with_error(r.outcome.delta_perf, r.outcome.delta_perf_se),
            duration(r.outcome.seconds),
            r.finished_at or NONE,
        )
        for r in results
    )
    yield from table_text(Table(columns, rows), common.width())
    yield plural(len(rows), "run")


def _counted(results: Sequence[Result]) -> Iterator[str]:
    """Yield how many runs there are of each sweep and arm, by status."""
    from harness.report.blocks import Column, Table
    from harness.report.renderers.layout import table_text, wrap
    from harness.text import NONE, plural

    kinds: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        kinds[result.run.sweep, result.run.arm].append(result)
    columns = (
        Column("sweep", right=False),
        Column("arm", right=False),
        Column("runs"),
        Column("by status", right=False, wrap=True),
        Column("last finished", right=False, drop=1),
    )
    rows = []
    for (sweep, arm), runs in kinds.items():
        statuses = Counter(result.outcome.status for result in runs).most_common()
        by_status = ", ".join(f"{number:,} {status}" for status, number in statuses)
        last = max(result.finished_at or "" for result in runs)
        rows.append((sweep, arm, f"{len(runs):,}", by_status, last or NONE))
    yield from table_text(Table(columns, tuple(rows)), common.width())
    more = (
        f"{plural(len(results), 'run')}: --all lists each, --sweep, --arm and --status some of them"
    )
    yield from wrap(more, common.width())
