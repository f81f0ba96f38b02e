"""``sweep judge``: the verdicts and the audit for any table of finished runs."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from harness.cli import common, tables
from harness.records import Result, Value
from harness.session.arguments import names, share

HELP = "judge a table of finished runs: the verdicts and the audit, without training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument("table", metavar="TABLE", nargs="+", help=f"a row a run: {tables.READ}")
    parser.add_argument(
        "--baseline",
        metavar="TABLE|NAME|K/N|published",
        help="compare with another table, a sweep of the store, or K successes in N runs",
    )
    tables.add_table_options(parser)
    tables.add_curves(parser)
    parser.add_argument(
        "--by",
        metavar="COL[,COL]",
        type=names,
        help="judge within groups of equal values of these columns",
    )
    parser.add_argument(
        "--success-above",
        metavar="RATE",
        type=share,
        default=0.5,
        help="the success rate to be above, from 0 to 1 (default: 0.5)",
    )
    parser.add_argument(
        "--reference",
        metavar="COL=VALUE",
        action="append",
        type=_reference,
        help="ask whether this value of a parameter is no worse than its other values; may be "
        "given more than once",
    )
    parser.add_argument(
        "--margin",
        metavar="X",
        type=tables.positive,
        help="the difference that matters (default: 0.02 for ΔPerf and for scores from 0 to 1)",
    )
    parser.add_argument(
        "--min-gain",
        metavar="X",
        type=tables.positive,
        help="a run fails when it is shown to gain less (default: 0.05 for ΔPerf and for scores "
        "from 0 to 1, else 0)",
    )
    parser.add_argument(
        "--report", metavar="DIR", help="also write report.html, report.md and report.json here"
    )
    common.add_brief(parser)
    common.add_strict(parser)
    common.add_store(parser)


def run(options: argparse.Namespace) -> int:
    """Judge the table and print its report; with --strict return 1 where a claim is refuted."""
    common.use_one_thread()
    from harness.judging.table_questions import Terms
    from harness.notebook import judged_table

    terms = Terms(
        margin=options.margin,
        min_gain=options.min_gain,
        success_above=options.success_above,
        references=dict(options.reference or ()),
    )
    stored = partial(_stored, options)
    asked = tables.read_options(options)
    found = judged_table(tables.source(options.table), asked, terms, options.baseline, stored)
    folder = Path(options.report) if options.report else None
    if folder is not None:
        found.write(folder)
    common.add_to_job_summary((report for _, report in found.reports), folder)
    if options.json:
        common.print_json(found.data)
    elif options.brief:
        common.print_summary(found.answer)
    else:
        print(found.text(common.width(), colour=common.colour()), end="")
        if folder is not None:
            print(f"\nreport: {options.report}/report.{{html,md,json}}")
    refuted = any(v.verdict == "refuted" for _, report in found.reports for v in report.verdicts)
    return 1 if options.strict and refuted else 0


def _stored(options: argparse.Namespace, name: str) -> tuple[Result, ...]:
    """Return the runs of a stored sweep."""
    from harness.cli.finished import of_store

    with common.open_store(options) as store:
        return of_store(name, {}, store).evidence.runs


def _reference(text: str) -> tuple[str, Value]:
    from harness.tables import value

    name, equals, written = text.partition("=")
    if not (name.strip() and equals and written.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not COL=VALUE, as batch_size=8")
    return name.strip(), value(written)
