"""``sweep analyze``: find the patterns in a finished sweep, and say which are evidence."""

from __future__ import annotations

import argparse

from harness.cli import common, finished
from harness.cli.tables import number
from harness.metrics import Metric
from harness.records import MAIN, USELESS

HELP = "say what the best runs of a finished sweep share, and which of that is more than chance"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    finished.add_arguments(parser)
    parser.add_argument(
        "--high",
        type=number,
        metavar="X",
        help="a run above X is a high performer, or below X where less is better "
        "(default: 0.1 for ΔPerf; for another metric, the best third of the runs)",
    )
    parser.add_argument(
        "--parameter",
        metavar="NAME",
        help="the parameter whose ranges are shown "
        "(default: learning_rate, or the one that spans most)",
    )
    parser.add_argument(
        "--ranges",
        type=edges,
        metavar="X,X,…",
        help="edges of its ranges (default: 1–3–10 of every decade)",
    )


def edges(text: str) -> tuple[float, ...]:
    """Parse the numbers of a comma-separated list."""
    return tuple(number(part.strip()) for part in text.split(","))


def run(options: argparse.Namespace) -> int:
    """Print the analysis of a stored sweep or of a table."""
    common.use_one_thread()
    from harness.analysis import analyze

    found = finished.finished(options)
    evidence = found.evidence
    asked, outlook = found.judged()
    analysis = analyze(
        evidence,
        asked=asked,
        outlook=outlook,
        high=_threshold(options, evidence.metric),
        parameter=options.parameter,
        ranges=options.ranges,
    )
    if options.json:
        from harness.report.renderers.document_json import analysis_data

        common.print_json(analysis_data(analysis) | {"said": list(found.notes)})
        return 0
    from harness.report.documents.analysis import document

    common.print_wrapped(found.notes)
    if found.notes:
        print()
    print(common.document_text(document(analysis)), end="")
    left = {arm: len(runs) for arm, runs in evidence.arms.items() if arm not in (MAIN, *USELESS)}
    if left:
        which = ", ".join(f"{arm} {size}" for arm, size in left.items())
        print()
        common.print_wrapped([f"Runs of other arms are not analysed: {which}."])
    return 0


def _threshold(options: argparse.Namespace, metric: Metric) -> float | None:
    """Return ``--high`` on the scale of the outcomes, on which more is better."""
    return None if options.high is None else metric.outcome(float(options.high))
