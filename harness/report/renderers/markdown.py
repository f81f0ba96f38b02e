"""Write a report as Markdown, with GitHub's tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from harness.report.blocks import (
    Bars,
    Block,
    Bullets,
    Curves,
    Document,
    Scatter,
    Table,
    Text,
    Verdicts,
)
from harness.report.documents.sweep import VERDICT_NAMES, document
from harness.report.model import Report
from harness.report.renderers.layout import clean
from harness.report.renderers.pictures import bars_text, curves_text, legend, scatter_text
from harness.text import Digits, plural
from harness.verdicts import Verdict

PICTURE_WIDTH = 80
SPECIAL = r"\`*_{}[]<>#|~"


def render(report: Report) -> str:
    """Return the report as Markdown: the answers, then the questions, then all else."""
    return render_document(
        document(report), _answers(one for one in report.asked if one.effect is None)
    )


def render_document(page: Document, answers: Sequence[str] = ()) -> str:
    """Return a document as Markdown; ``answers`` are lines below its summary."""
    parts = [f"# {_text(page.headline)}"]
    if page.warning:
        parts.append(f"> **{_text(page.warning)}**")
    parts.append("\n".join(f"- {line}" for line in _summary(page)))
    if answers:
        parts.append("\n".join(answers))
    for section in page.questions_first:
        parts += [f"## {_text(section.title)}"] if section.title else []
        for block in section.blocks:
            parts.extend(_block(block, page.digits))
    return "\n\n".join(filter(None, parts)) + "\n"


def summary(report: Report, most: int = 10, where: str = "") -> str:
    """Return the report in at most ``most`` lines of Markdown (three at least), the answers first.

    ``where`` says where the whole report is.
    """
    page = document(report)
    lines = [f"- {line}" for line in _summary(page)]
    last = [f"Runs: {_text(line)}" for line in _ended(report)]
    last += [f"Report: {_text(where)}"] if where else []
    first = f"**{_text(page.headline)}**" + (f" ({_text(page.warning)})" if page.warning else "")
    lines = lines[: max(1, most - 1 - len(last))]
    items = [f"- {line}" for line in last]
    room = most - 1 - len(last) - len(lines)
    others = [one for one in report.asked if one.effect is None]
    answers = _answers(others) if room > 0 else []
    if len(answers) > room > 0:
        answers = _answers(sorted(others, key=lambda v: VERDICT_NAMES.index(v.verdict)))
        left = len(answers) - room + 1
        answers = [*answers[: room - 1], f"- and {plural(left, 'other question')}"]
    return "\n".join([first, "", *lines, *answers, *items][: most + 1]) + "\n"


def _summary(page: Document) -> list[str]:
    """Return the lines of the summary, their labels in bold."""
    return [f"**{_text(line.label)}**: {_text(line.text)}" for line in page.summary]


def _answers(verdicts: Iterable[Verdict]) -> list[str]:
    """Return a line for each question: its verdict and its answer."""
    return [
        f"- **{v.verdict}** {_text(v.id)}: "
        + _text(v.reason if v.verdict == "not judged" else v.answer)
        for v in verdicts
    ]


def _ended(report: Report) -> Iterator[str]:
    """Yield how the runs ended, and the most frequent reason of those that failed."""
    counts = Counter(result.outcome.status for result in report.singles).most_common()
    said = ", ".join(f"{number:,} {status}" for status, number in counts)
    if said and report.failures:
        said += f"; {report.failures[0].line}"
        others = len(report.failures) - 1
        said += f"; and {plural(others, 'other reason')}" if others else ""
    if said:
        yield said


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
            if block.table.note:
                yield _text(block.table.note)
            yield from _verdicts(block.verdicts)
        case Bars():
            if block.parameter:
                yield _fenced(bars_text(block, PICTURE_WIDTH, digits))


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
