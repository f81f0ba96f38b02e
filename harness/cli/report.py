"""``sweep report``: judge what is stored."""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli import common
from harness.errors import StoreError, UsageError
from harness.sweeps.plan import check_until
from harness.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from harness.plugin.declared import Declared

HELP = "judge what is stored of a sweep, print the report and write its files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument("name", metavar="NAME", help="the sweep to report on")
    common.add_options(
        parser,
        "report",
        "baseline",
        "until",
        until="answered: training was to stop once no further run could change an answer "
        "(default: all, every run)",
    )
    common.add_brief(parser)
    common.add_strict(parser)
    parser.add_argument(
        "--save-reference",
        action="store_true",
        help="keep this report as the one that pytest's --sweep-fail-on regressed compares with",
    )
    common.add_selection(parser)
    common.add_experiments(parser)
    common.add_store(parser)


def _chosen(options: argparse.Namespace, declared: Declared) -> Sweep:
    """Return the declared sweep; where it is only stored, say how to judge it."""
    name = options.name
    if name not in declared.sweeps:
        with suppress(StoreError), common.open_store(options) as store:
            if any(summary.sweep == name for summary in store.sweeps()):
                common.tell_unread(declared)
                raise UsageError(
                    f"sweep {name!r} is stored, but no sweep file declares it, and so it asks "
                    f"nothing; to judge its runs: sweep export {name} --to {name}.csv, then sweep "
                    f"judge {name}.csv"
                )
    return common.chosen(name, declared)


def run(options: argparse.Namespace) -> int:
    """Print the report and write its files; with --strict return 1 where a claim is refuted."""
    common.use_one_thread()
    from harness.judging.stored import judge_stored, report_folder, smoke_folder
    from harness.report.documents.summary import summary
    from harness.report.model import build
    from harness.report.renderers import as_json, terminal
    from harness.report.renderers.write import remove_superseded, write_reference, write_report

    declared = common.declared(options)
    sweep, sweeps = _chosen(options, declared), declared.sweeps
    selection = replace(common.selection(options, sweep), until=check_until(options.until))
    with common.open_store(options) as store:
        judged = judge_stored(sweep, sweeps, store, selection, options.baseline)
    planned, baseline = judged.planned, judged.baseline
    report = build(judged.judgement)
    below = Path(options.report) if options.report else common.home(options) / "reports"
    folder = below / report_folder(planned, baseline, settled=report.settled)
    reference = write_reference(report, folder) if options.save_reference else None
    write_report(report, folder)
    smoke = below / smoke_folder(planned, baseline)
    removed = None if smoke == folder else remove_superseded(report, smoke)
    common.add_to_job_summary([report], folder)
    if options.json:
        common.print_ascii(as_json.render(report))
    elif options.brief:
        common.print_summary(summary([report]))
    else:
        print(terminal.render(report, common.width(), colour=common.colour()), end="")
        print()
        common.print_wrapped(judged.notes)
        print(f"report: {folder}/report.{{html,md,json}}")
        if removed is not None:
            print(f"removed: the report in {removed}, of a part of this sweep")
        if reference is not None:
            print(f"reference: {reference}")
    refuted = any(verdict.verdict == "refuted" for verdict in report.verdicts)
    return 1 if options.strict and refuted else 0
