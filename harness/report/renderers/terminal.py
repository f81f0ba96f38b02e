"""Write documents as plain text for a terminal of a given width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from harness.report.blocks import (
    Answer,
    Bars,
    Block,
    Bullets,
    Curves,
    Document,
    Scatter,
    Shares,
    SummaryLine,
    Table,
    Text,
    Verdicts,
)
from harness.report.documents.sweep import document
from harness.report.model import Report
from harness.report.renderers.layout import table_text, wrap
from harness.report.renderers.pictures import bars_text, curves_text, legend, scatter_text
from harness.text import Digits, p_value
from harness.verdicts import Verdict, VerdictName

NARROWEST = 40
LONGEST = 32
"""Only the two ends of a long table with more rows are shown."""
ENDS = 12
COLOURS: dict[VerdictName, str] = {
    "supported": "32",
    "refuted": "31",
    "inconclusive": "33",
    "unanswerable": "35",
    "not judged": "2",
}


def render(
    report: Report, width: int = 80, *, colour: bool = False, preface: Iterable[str] = ()
) -> str:
    """Return the report in lines of at most ``width`` characters (40 at least).

    ``colour`` colours the words of the verdicts. ``preface`` are lines on how the runs were read.
    """
    page = replace(document(report), preface=tuple(preface))
    return render_document(page, width, colour=colour)


def summary_text(lines: Iterable[SummaryLine], width: int = 80, *, colour: bool = False) -> str:
    """Return the lines of a summary within ``width``, their labels set off by ``colour``."""
    width, written = max(NARROWEST, width), []
    for line in lines:
        head, *more = wrap(str(line), width, hanging=2)
        label = len(line.label) + 1
        written += [f"\033[1m{head[:label]}\033[0m{head[label:]}" if colour else head, *more]
    return "".join(f"{line}\n" for line in written)


def render_document(page: Document, width: int = 80, *, colour: bool = False) -> str:
    """Return ``page`` in lines of at most ``width`` characters (40 at least)."""
    return "\n".join(_lines(page, max(NARROWEST, width), colour)) + "\n"


def _lines(page: Document, width: int, colour: bool) -> Iterator[str]:
    if page.warning:
        yield from wrap(page.warning, width)
    if page.summary:
        yield from summary_text(page.summary, width, colour=colour).splitlines()
        yield ""
    for line in page.preface:
        yield from wrap(line, width, hanging=2)
    if page.preface:
        yield ""
    yield from wrap(page.headline, width)
    for section in page.sections:
        yield ""
        if section.title:
            yield from wrap(section.title, width)
            yield "═" * min(width, len(section.title))
        drawn = [block for block in section.blocks if _is_drawn(block)]
        for number, block in enumerate(drawn):
            if number:
                yield ""
            yield from _block(block, width, page.digits, colour)


def _is_drawn(block: Block) -> bool:
    """Return whether a block is written here, too: bars of arms and of shares are for pages."""
    return not isinstance(block, Shares) and (not isinstance(block, Bars) or bool(block.parameter))


def _block(block: Block, width: int, digits: Digits, colour: bool) -> Iterator[str]:
    match block:
        case Text():
            yield from wrap(block.text, width)
        case Table():
            yield from table_text(_shortened(block), width)
            if block.note:
                yield from wrap(block.note, width)
        case Bullets():
            for lead, text in block.items:
                yield from wrap(f"{lead}: {text}", width, hanging=2)
        case Scatter() | Bars() | Curves():
            yield from _picture(block, width, digits)
        case Verdicts():
            for verdict in block.verdicts:
                yield from _verdict(verdict, width, colour)
                yield ""
            for line in table_text(block.table, width):
                found = [word for word in COLOURS if line.startswith(word)]
                yield _painted(line, found[0], colour) if found else line
            if block.table.note:
                yield from wrap(block.table.note, width)
        case Answer():
            yield from _answer(block.verdict, width, colour)


def _picture(block: Scatter | Bars | Curves, width: int, digits: Digits) -> Iterator[str]:
    match block:
        case Scatter():
            yield from scatter_text(block, width, digits)
            if legend(block):
                yield from wrap(legend(block), width)
        case Bars():
            yield from bars_text(block, width, digits)
        case Curves():
            yield from curves_text(block, width, digits)
            yield from wrap(", ".join(f"{ln.mark} {ln.label}" for ln in block.lines), width)


def _answer(verdict: Verdict, width: int, colour: bool) -> Iterator[str]:
    """Yield the verdict and its question, and below them the answer and its needs."""
    word = verdict.verdict
    first, *more = wrap(f"{word}: {verdict.question}", width, hanging=2)
    yield _painted(first, word, colour)
    yield from more
    below = wrap(verdict.answer, width - 2)
    for need in verdict.needs:
        below += wrap(f"needs: {need}", width - 2, hanging=2)
    yield from (f"  {line}" for line in below)


def _verdict(verdict: Verdict, width: int, colour: bool) -> Iterator[str]:
    """Yield the verdict and its question, and below them the answer, details and needs."""
    word = verdict.verdict
    gutter = max(map(len, COLOURS)) + 2
    first = _painted(word.ljust(gutter), word, colour)
    decided = verdict.verdict not in ("unanswerable", "not judged")
    tests = [verdict.method] if verdict.method else []
    if decided and verdict.p_value is not None:
        tests.append(p_value(verdict.p_value, "p"))
    if decided and verdict.p_holm is not None:
        tests.append(p_value(verdict.p_holm, "Holm's p"))
    room = width - gutter
    head = wrap(f"{verdict.id}: {verdict.question}" if verdict.question else verdict.id, room)
    yield first + head[0]
    below = [*head[1:], *wrap(verdict.answer, room)]
    below += wrap(", ".join(tests), room) if tests else []
    if word == "refuted" and verdict.reason:
        below += wrap(f"· {verdict.reason}", room, hanging=2)
    for line in verdict.details:
        below += wrap(f"· {line}", room, hanging=2)
    for need in verdict.needs:
        below += wrap(f"needs: {need}", room, hanging=2)
    yield from (" " * gutter + line for line in below)


def _painted(line: str, word: VerdictName, colour: bool) -> str:
    """Return ``line``, which begins with ``word``, with that word in its colour."""
    return f"\033[{COLOURS[word]}m{word}\033[0m{line[len(word) :]}" if colour else line


def _shortened(table: Table) -> Table:
    """Return a long table as its first and last rows, with a row between for the rest."""
    if not table.long or len(table.rows) <= LONGEST:
        return table
    between = len(table.rows) - 2 * ENDS
    gap = ("…", "", f"{between} more", *[""] * (len(table.columns) - 3))
    return Table(table.columns, (*table.rows[:ENDS], gap, *table.rows[-ENDS:]), table.note)
