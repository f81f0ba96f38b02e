"""A report of another metric than ΔPerf: the same document, in that metric's words."""

from __future__ import annotations

from dataclasses import replace

from harness.report.blocks import Block, Bullets, Document, Section, Table, Text, Verdicts
from harness.verdicts import DELTA_PERF, Metric

SUCCESS_ROWS = ("successes", "ΔPerf > 0")
SUCCESS_COLUMNS = ("success", "rate")


def renamed(text: str, metric: Metric) -> str:
    """Return ``text`` with the name of ``metric`` where it says ΔPerf."""
    return text.replace(DELTA_PERF.name, metric.name)


def worded(page: Document, metric: Metric) -> Document:
    """Return ``page`` in the words of ``metric``, without successes where it knows none."""
    if metric == DELTA_PERF:
        return page
    sections = [
        Section(renamed(s.title, metric), tuple(_block(block, metric) for block in s.blocks))
        for s in page.sections
    ]
    return replace(page, sections=tuple(sections))


def _block(block: Block, metric: Metric) -> Block:
    match block:
        case Text():
            return Text(renamed(block.text, metric))
        case Bullets():
            items = [(lead, renamed(text, metric)) for lead, text in block.items]
            return Bullets(tuple(items))
        case Table():
            return _table(block, metric)
        case Verdicts():
            return replace(block, table=_table(block.table, metric))
    return block


def _table(table: Table, metric: Metric) -> Table:
    known = metric.zero != "arbitrary"
    kept = [i for i, c in enumerate(table.columns) if known or c.title not in SUCCESS_COLUMNS]
    columns = [
        replace(table.columns[i], title=renamed(table.columns[i].title, metric)) for i in kept
    ]
    rows = [
        tuple(renamed(row[i], metric) for i in kept)
        for row in table.rows
        if known or row[0] not in SUCCESS_ROWS
    ]
    return replace(
        table, columns=tuple(columns), rows=tuple(rows), note=renamed(table.note, metric)
    )
