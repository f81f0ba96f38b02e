"""``sweep export``: write stored runs to a table, or to trackers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli import common, stored
from harness.errors import UsageError
from harness.records import Result
from harness.session.arguments import is_tracker, trackers

if TYPE_CHECKING:
    from harness.store import Store
    from harness.sweeps.sweep import Sweep
    from harness.verdicts import Verdict

HELP = "write stored runs to a table that sweep judge and sweep import read, or to a tracker"

STANDARD = "-"
"""The name of standard output."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument("sweep", nargs="?", metavar="SWEEP", help="a sweep (default: all)")
    parser.add_argument(
        "--to",
        metavar="FILE|TRACKER[:PLACE]",
        required=True,
        help="the file to write, whose ending says its format: .csv, .tsv, .jsonl, .json or "
        ".parquet; - prints CSV, with --json a list of objects; or mlflow, tensorboard, wandb or "
        "optuna, with a URI, folder or database if you like",
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
    common.add_experiments(parser)
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Write the stored runs that the options choose, and print how many they are."""
    return _to_trackers(options) if is_tracker(options.to) else _to_tables(options)


def _to_trackers(options: argparse.Namespace) -> int:
    """Write the stored runs to trackers, and the verdicts of the sweeps that a file declares."""
    try:
        targets = trackers(options.to)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--to: {error}") from None
    if options.curves is not None:
        raise UsageError("--curves is for a table: trackers have the learning curves by themselves")
    from harness.integrations.trackers import Tracking, hidden
    from harness.integrations.trackers.base import tracked_sweep, undeclared_sweep
    from harness.text import listed, plural

    found = common.declared(options)
    declared = found.sweeps
    with common.open_store(options) as store:
        results, before = _chosen(store, options)
        names = list(dict.fromkeys(result.run.sweep for result in results))
        verdicts = {name: _verdicts(name, declared, store) for name in names if name in declared}
    tracking = Tracking(targets, common.home(options), Path.cwd())
    tracking.begin(
        tracked_sweep(declared[name])
        if name in declared
        else undeclared_sweep(name, [one for one in results if one.run.sweep == name])
        for name in names
    )
    for result in results:
        tracking.write_run(result)
    for name, (judged, scope) in verdicts.items():
        tracking.write_verdicts(name, judged, scope)
    tracking.close()
    for target, why in tracking.failures.items():
        raise UsageError(f"{hidden(target)} was not written to the end: {why}")
    _tell_earlier(before)
    asked = sum(len(judged) for judged, _ in verdicts.values())
    if options.json:
        common.print_json(
            {
                "trackers": list(map(hidden, targets)),
                "runs": len(results),
                "left_out": len(before),
                "verdicts": asked,
            }
        )
        return 0
    print(
        f"wrote {plural(len(results), 'run')} and {plural(asked, 'verdict')} to "
        f"{listed(map(hidden, targets))}"
    )
    for name in names:
        if name not in declared:
            common.tell_unread(found)
            print(f"no verdicts on {name}: no sweep file here declares it")
        elif not verdicts[name][0]:
            print(f"no verdicts on {name}: no question of it can be judged by these runs")
    return 0


def _verdicts(
    name: str, sweeps: Mapping[str, Sweep], store: Store
) -> tuple[Sequence[Verdict], str]:
    """Judge a declared sweep by what is stored; return the verdicts, and their scope.

    There are none where no question can be judged: then the stored runs are of a part that was
    trained with other options, and the session itself has written its verdicts on it.
    """
    from harness.judging.evidence import gathered
    from harness.judging.stored import judge_sweep, scope_of
    from harness.report.model import build
    from harness.sweeps.plan import Selection, plan

    planned = plan(sweeps[name], Selection(), trains=False)
    report = build(judge_sweep(gathered(planned, sweeps, store)))
    asked = tuple(one for one in report.verdicts if one.id in planned.sweep.questions)
    if all(one.verdict == "not judged" for one in asked):
        asked = ()
    return asked, scope_of(planned, settled=report.settled)


def _chosen(
    store: Store, options: argparse.Namespace
) -> tuple[tuple[Result, ...], tuple[Result, ...]]:
    """Return the runs to write, and those of earlier code that are left out."""
    results = stored.results(store, options.sweep, options, traces=True)
    if not results:
        raise UsageError("there is no such run in the store: nothing was written")
    before = () if options.earlier else stored.earlier(results)
    if before:
        results = tuple(result for result in results if result not in before)
    return results, before


def _tell_earlier(before: Sequence[Result]) -> None:
    from harness.text import plural

    if before:
        left = f"left out {plural(len(before), 'run')} of earlier code: --earlier writes them too"
        print(left, file=sys.stderr)


def _to_tables(options: argparse.Namespace) -> int:
    from harness.observations.health import health_columns
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
        results, before = _chosen(store, options)
    runs = run_columns(results) | health_columns(results)
    curves = {} if options.curves is None else curve_columns(results)
    points = len(curves.get("run", ()))
    write_tables({path: runs if path is to else curves for path in files})
    wrote = [plural(len(results), "run") + ("" if to is None else f" to {to}")]
    if options.curves is not None:
        wrote.append(f"{plural(points, 'point')} of learning curves to {options.curves}")
    _tell_earlier(before)
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
