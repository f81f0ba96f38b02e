"""Write a report as Markdown, with GitHub's tables."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.blocks import (
    Bars,
    Block,
    Bullets,
    Curves,
    Scatter,
    Table,
    Text,
    Verdicts,
)
from harness.report.documents.sweep import document
from harness.report.model import Report
from harness.report.renderers.layout import clean
from harness.report.renderers.pictures import curves_text, legend, scatter_text
from harness.text import Digits
from harness.verdicts import Verdict

PICTURE_WIDTH = 80
SPECIAL = r"\`*_{}[]<>#|~"


def render(report: Report) -> str:
    """Return the report as Markdown."""
    page = document(report)
    parts = [f"# {_text(page.headline)}"]
    if page.warning:
        parts.append(f"> **{_text(page.warning)}**")
    for section in page.sections:
        parts += [f"## {_text(section.title)}"] if section.title else []
        for block in section.blocks:
            parts.extend(_block(block, page.digits))
    return "\n\n".join(parts) + "\n"


def _block(block: Block, digits: Digits) -> Iterator[str]:
    match block:
        case Text():
            yield _text(block.text)
        case Table():
            yield _table(block)
            if block.note:
                yield _text(block.note)
        case Bullets():
            yield "\n".join(f"- **{_text(lead)}**: {_text(text)}" for lead, text in block.items)
        case Scatter():
            yield _fenced([*scatter_text(block, PICTURE_WIDTH, digits), legend(block)])
        case Curves():
            marks = ", ".join(f"{line.mark} {line.label}" for line in block.lines)
            yield _fenced([*curves_text(block, PICTURE_WIDTH, digits), marks])
        case Verdicts():
            yield _table(block.table)
            yield from _verdicts(block.verdicts)
        case Bars():
            return


def _verdicts(verdicts: tuple[Verdict, ...]) -> Iterator[str]:
    for verdict in verdicts:
        lines = [f"### {_text(verdict.id)}: {verdict.verdict}", f"*{_text(verdict.question)}*"]
        lines.append(_text(verdict.answer))
        items = [f"Method: {_text(verdict.method)}"] if verdict.method else []
        items += [f"Why: {_text(verdict.reason)}"] if verdict.verdict == "refuted" else []
        items += [f"Claim: {_text(verdict.claim)}"] if verdict.claim else []
        items += [_text(line) for line in verdict.details]
        items += [f"Needs: {_text(str(need))}" for need in verdict.needs]
        if items:
            lines.append("\n".join(f"- {item}" for item in items))
        yield from lines


def _table(table: Table) -> str:
    head = " | ".join(_text(column.title) for column in table.columns)
    rule = " | ".join("--:" if column.right else ":--" for column in table.columns)
    rows = [" | ".join(_text(cell) for cell in row) for row in table.rows]
    return "\n".join(f"| {line} |" for line in (head, rule, *rows))


def _fenced(lines: list[str]) -> str:
    return "\n".join(["```text", *lines, "```"])


def _text(text: str) -> str:
    """Return ``text`` on one line, with Markdown's special characters escaped."""
    return "".join(f"\\{c}" if c in SPECIAL else c for c in clean(text))
