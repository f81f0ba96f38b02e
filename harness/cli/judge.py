"""``sweep judge``: the verdicts and the audit for any table of finished runs."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli import common, tables
from harness.errors import UsageError
from harness.records import Value
from harness.session.arguments import names, share
from harness.sweeps.baseline import counted, is_table
from harness.verdicts import DELTA_PERF, Baseline, Counts

if TYPE_CHECKING:
    from harness.judging.table import Judged
    from harness.report.blocks import SummaryLine
    from harness.report.model import Report
    from harness.tables import Reading, ReadOptions

    Reports = Sequence[tuple[Mapping[str, Value], Report]]

HELP = "judge a table of finished runs: the verdicts and the audit, without training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument(
        "table", metavar="TABLE", help="a row a run: CSV, TSV, JSON lines, JSON or Parquet"
    )
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
    from harness.judging.table import judge_table
    from harness.judging.table_questions import Terms
    from harness.report.model import build
    from harness.tables import read_runs

    asked = tables.read_options(options)
    reading = read_runs(Path(options.table), asked)
    against, said = _against(options, asked, reading)
    terms = Terms(
        margin=options.margin,
        min_gain=options.min_gain,
        success_above=options.success_above,
        references={_canonical(name, reading): value for name, value in options.reference or ()},
    )
    judged = judge_table(reading, against, terms)
    lines = (*reading.notes, *said, *judged.notes)
    reports = [(group.by, build(group.judgement)) for group in judged.groups]
    if options.report:
        _write(reports, Path(options.report))
    folder = Path(options.report) if options.report else None
    common.add_to_job_summary((report for _, report in reports), folder)
    answer = _summary(reports)
    if options.json:
        common.print_json(_data(judged, reports, answer, lines, reading))
    elif options.brief:
        common.print_summary(answer)
    else:
        _print(judged, reports, answer, lines)
        if options.report:
            print(f"\nreport: {options.report}/report.{{html,md,json}}")
    refuted = any(v.verdict == "refuted" for _, report in reports for v in report.verdicts)
    return 1 if options.strict and refuted else 0


def _against(
    options: argparse.Namespace, asked: ReadOptions, reading: Reading
) -> tuple[Reading | Baseline | Counts | None, tuple[str, ...]]:
    """Return the baseline, with notes on how it was read."""
    from harness.tables import read_runs

    given = options.baseline
    if given is None:
        return None, ()
    if (counts := counted(given)) is not None:
        return counts, ()
    if is_table(given):
        # The baseline may have none of the columns that the runs are grouped by.
        alike = replace(asked, by=(), curves=None, at=None, may_lack=True, **_metric_of(reading))
        other = read_runs(Path(given), alike)
        if other.metric != reading.metric:
            raise UsageError(
                f"{given} is judged by {other.metric.name}, {options.table} by "
                f"{reading.metric.name}: name one metric for both, as --metric COL"
            )
        return other, tuple(f"baseline: {line}" for line in other.notes)
    return _stored(options, given, reading), ()


def _metric_of(reading: Reading) -> dict[str, Any]:
    """Return the options that judge another table by what ``reading`` was judged by."""
    judged_by = reading.judged_by
    if judged_by is None or not judged_by.inferred:
        return {}
    way = "min" if judged_by.metric.minimised else "max"
    if judged_by.before is not None:
        return {"before": judged_by.before, "after": judged_by.value, "direction": way}
    return {"metric": judged_by.value, "direction": way}


def _stored(options: argparse.Namespace, name: str, reading: Reading) -> Baseline:
    """Return the runs of a stored sweep as the baseline of a table."""
    from harness.cli.finished import of_store
    from harness.tables.units import is_score

    if reading.metric != DELTA_PERF:
        raise UsageError(
            f"--baseline {name}: stored sweeps are judged by {DELTA_PERF.name}, "
            f"{options.table} by {reading.metric.name}; give a table of the same metric"
        )
    if not is_score(reading.metric, reading.results):
        raise UsageError(
            f"--baseline {name}: stored sweeps have scores from 0 to 1, and {options.table} has "
            "other numbers: divide percentages by 100, or give a table in the same unit"
        )
    with common.open_store(options) as store:
        return Baseline(name, of_store(name, {}, store).evidence.runs)


def _canonical(name: str, reading: Reading) -> str:
    from harness.tables import canonical

    return name if name in reading.parameters else canonical(name)


def _summary(reports: Reports) -> tuple[SummaryLine, ...]:
    """Return the answer of all groups in at most five lines."""
    from harness.report.documents.summary import summary

    labels = [", ".join(f"{name} {value}" for name, value in by.items()) for by, _ in reports]
    return summary([report for _, report in reports], labels)


def _print(
    judged: Judged, reports: Reports, answer: tuple[SummaryLine, ...], lines: tuple[str, ...]
) -> None:
    from harness.report.renderers import terminal

    if len(reports) == 1:
        text = terminal.render(reports[0][1], common.width(), colour=common.colour(), preface=lines)
        print(text, end="")
        return
    common.print_summary(answer)
    print()
    common.print_wrapped(lines)
    for _, report in reports:
        print()
        print(terminal.render(report, common.width(), colour=common.colour()), end="")
    print()
    _print_compared(judged, reports)


def _print_compared(judged: Judged, reports: Reports) -> None:
    """Print the verdicts of all groups side by side, and the effect of pooling the groups."""
    from harness.report.blocks import Column, Table

    ids = dict.fromkeys(v.id for _, report in reports for v in report.asked)
    rows = {id_: [id_] for id_ in ids}
    columns = [Column(", ".join(reports[0][0]), right=False)]
    for by, report in reports:
        label = ", ".join(map(str, by.values()))
        columns.append(Column(label, right=False, wrap=True))
        found = {verdict.id: verdict.verdict for verdict in report.asked}
        for id_, row in rows.items():
            row.append(found.get(id_, ""))
    common.print_wrapped(
        ["Groups side by side, with Holm's correction over all of their questions"]
    )
    common.print_table(Table(tuple(columns), tuple(map(tuple, rows.values()))))
    pooling = [f"{one.severity}: {one.code}: {one.message}" for one in judged.pooling]
    common.print_wrapped(pooling or ["Pooling the groups would not have changed an answer."])


def _data(
    judged: Judged,
    reports: Reports,
    answer: tuple[SummaryLine, ...],
    lines: tuple[str, ...],
    reading: Reading,
) -> dict[str, Any]:
    from harness.judging.reference import SCHEMA
    from harness.report.renderers import as_json

    read = {
        "table": reading.source,
        "metric": reading.metric.name,
        "direction": "min" if reading.metric.minimised else "max",
        "inferred": reading.judged_by is not None and reading.judged_by.inferred,
        "parameters": list(reading.parameters),
        "set_aside": {reason: list(columns) for reason, columns in reading.set_aside.items()},
        "unit": "score from 0 to 1" if judged.scores else None,
        "margin": judged.terms.margin,
        "min_gain": judged.terms.min_gain,
        "read": list(lines),
    }
    if not reading.by:
        return {**as_json.as_data(reports[0][1]), **read}
    return {
        "schema": SCHEMA,
        "summary": list(map(str, answer)),
        "sweep": reading.name,
        **read,
        "groups": [{"by": dict(by), **as_json.as_data(report)} for by, report in reports],
        "pooling": [as_json.picked(finding, as_json.FINDING) for finding in judged.pooling],
    }


def _write(reports: Reports, folder: Path) -> None:
    """Write the report of each group; where there are several, each into its own folder."""
    from harness.report.renderers.write import write_report

    for by, report in reports:
        parts = [f"{name}={value}" for name, value in by.items()]
        below = re.sub(r"[^A-Za-z0-9_.=,+-]", "_", ",".join(parts))
        write_report(report, folder / below)


def _reference(text: str) -> tuple[str, Value]:
    from harness.tables import value

    name, equals, written = text.partition("=")
    if not (name.strip() and equals and written.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is not COL=VALUE, as batch_size=8")
    return name.strip(), value(written)
