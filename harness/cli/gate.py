"""``sweep gate``: page when the last nights of a training that runs every night are worse."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli import common
from harness.session.arguments import names

if TYPE_CHECKING:
    from harness.words import Direction

HELP = "page when the last nights of a nightly training are worse than those stored before"

PAGED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument(
        "metrics",
        metavar="METRICS",
        type=Path,
        help="tonight's metrics: an object of JSON, flat or nested (a.b), whose numbers they are",
    )
    parser.add_argument(
        "--history",
        metavar="DIR",
        type=Path,
        required=True,
        help="a folder with such a file for each night before, *.json, in order of the date that "
        "all of them have, else of their names",
    )
    parser.add_argument(
        "--metric",
        metavar="NAME[,NAME]",
        type=names,
        help="judge these metrics and no others (default: all whose names tell whether more or "
        "less is better)",
    )
    parser.add_argument(
        "--ignore", metavar="NAME[,NAME]", type=names, help="metrics that are not judged"
    )
    parser.add_argument(
        "--direction",
        metavar="NAME=max|min",
        action="append",
        type=_direction,
        help="whether more or less of a metric is better; may be given more than once (default: "
        "told by its name)",
    )
    parser.add_argument(
        "--nights",
        metavar="M",
        type=int,
        choices=(1, 2, 3, 4),
        help="judge the last M nights together, 1 to 4, tonight among them (default: fewest "
        "with 800 choices among all nights: 2 from 41 nights on, 3 from 18, else 4)",
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="add tonight's file to the history, unless it pages; with too few nights for an "
        "answer too, and then the status is 0",
    )


def run(options: argparse.Namespace) -> int:
    """Judge the last nights and print the answer; return 1 where they page."""
    common.use_one_thread()
    from harness.judging.gate import Asked, TooFewNightsError, judge
    from harness.report.documents.gate import document
    from harness.report.renderers.document_json import gate_data, no_gate_data
    from harness.tables.nights import keep, read_history, read_night

    tonight = read_night(options.metrics)
    history = read_history(options.history, tonight)
    asked = Asked(
        options.metric or (),
        options.ignore or (),
        dict(options.direction or ()),
        options.nights,
    )
    now = datetime.now(UTC)
    try:
        found = judge(tonight, history, asked)
    except TooFewNightsError as few:
        if not options.keep:
            raise
        kept = keep(tonight, history, options.history, now)
        if options.json:
            common.print_json(no_gate_data(few.has, few.needs, str(kept)))
        else:
            common.print_wrapped([f"No answer yet: {few}", f"Kept: {kept}"])
        return 0
    file = None
    if options.keep and not found.pages:
        file = str(keep(tonight, history, options.history, now))
    if options.json:
        common.print_json(gate_data(found, file))
    else:
        print(common.document_text(document(found)), end="")
        if options.keep:
            print(f"\nkept: {file}" if file else "\nnot kept: what pages stays out of the history")
    return PAGED if found.pages else 0


def _direction(text: str) -> tuple[str, Direction]:
    name, _, way = text.rpartition("=")
    if not name.strip() or way not in ("max", "min"):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=max or NAME=min, as val_loss=min")
    return name.strip(), "max" if way == "max" else "min"
