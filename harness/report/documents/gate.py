"""Write the answer on the last nights: page or not, which metric, by how much, and the power."""

from __future__ import annotations

from collections.abc import Iterator

from harness.judging.gate import Gate, Shift, Why
from harness.report.blocks import Bullets, Column, Document, Section, SummaryLine, Table
from harness.statistics import ONE_IN
from harness.text import Digits, first, in_words, listed, p_text, percent, plural

BETTER = {"max": "higher", "min": "lower"}

WHY: dict[Why, str] = {
    "no direction": "no plain direction by name; --direction NAME=max or NAME=min judges it",
    "not in the history": "in fewer than nine of ten nights before; --metric NAME judges it",
    "constant": "the same in every night",
}


def document(found: Gate) -> Document:
    """Return the answer, a row for each metric, and how the nights were read."""
    return Document(
        headline=f"{plural(len(found.shifts), 'metric')} in {len(found.last)} last nights and "
        f"{len(found.before)} before",
        sections=(Section("", (_table(found),)), Section("", (Bullets(tuple(_read(found))),))),
        summary=tuple(summary(found)),
    )


def summary(found: Gate) -> Iterator[SummaryLine]:
    """Yield the answer in at most five lines."""
    m, worst = len(found.last), found.shift
    last = "tonight" if m == 1 else f"in the last {in_words(m)} nights"
    digits = _digits(worst)
    values = f"{digits.plain(worst.last)} {last}, {digits.plain(worst.before)} before"
    if found.pages:
        yield SummaryLine("Page", f"{worst.metric} is worse: {values}")
    else:
        yield SummaryLine("No page", f"furthest is {worst.metric}: {values}")
    nights = listed([*found.last[:-1], "tonight"])
    yield SummaryLine("Nights", f"{nights}, against {len(found.before)} before, by {found.by}")
    places = f"rank {found.rank:,} of {found.choices:,} choices of {plural(m, 'night')}"
    limit = f"{found.choices // ONE_IN:,} or less pages"
    yield SummaryLine("Size", f"{_in_sds(worst)}; {places} ({limit})")
    yield SummaryLine("Power", _power(found))
    if caution := "; ".join(_cautions(found)):
        yield SummaryLine("Beware", caution)


def _power(found: Gate) -> str:
    if not found.power:
        return "not known: every metric was the same in all nights before"
    shifts = listed([f"{shift:g}" for shift, _ in found.power], "or")
    shares = listed([percent(power) for _, power in found.power], "or")
    return f"{shifts} SDs in one metric, {plural(len(found.last), 'night')} long, page in {shares}"


def _cautions(found: Gate) -> Iterator[str]:
    """Yield what to beware of, the most serious first."""
    if found.resembling is not None:
        of = found.resembling
        yield (
            f"not calibrated, for nights resemble the ones before ({of.metric}: correlation "
            f"{of.size:.2f}, {p_text(of.p_value)}), so it pages more often than 1 night in {ONE_IN}"
        )
    if found.declining is not None and not found.pages:
        of = found.declining
        yield (
            f"{of.metric} has got worse slowly since {of.since} ({p_text(of.p_value)}), which "
            f"warns and never pages"
        )


def _in_sds(shift: Shift) -> str:
    if shift.in_sds is None:
        return "the same in every night before"
    size = f"{Digits(1).plain(abs(shift.in_sds))} SDs"
    return f"{size} {'worse' if shift.in_sds >= 0 else 'better'}"


def _digits(shift: Shift) -> Digits:
    return Digits.of([shift.before - shift.sd, shift.before + shift.sd, shift.last])


def _table(found: Gate) -> Table:
    columns = (
        Column("metric", right=False),
        Column("better", right=False),
        Column("before"),
        Column("last"),
        Column("SD before"),
        Column("worse by, in SDs"),
    )
    rows = []
    for shift in found.shifts:
        digits = _digits(shift)
        numbers = (digits.plain(value) for value in (shift.before, shift.last, shift.sd))
        in_sds = Digits(1).signed(shift.in_sds)
        rows.append((shift.metric, BETTER[shift.direction], *numbers, in_sds))
    return Table(columns, tuple(rows), long=True)


def _read(found: Gate) -> Iterator[tuple[str, str]]:
    """Yield how the nights were read, and what to do."""
    if found.pages and len(found.last) > 1:
        kept = listed(found.last[:-1])
        yield (
            "then",
            f"leave tonight out of the history; once the cause is mended, take {kept} out of it "
            f"too, if the fault was there; to accept the change, begin a new folder",
        )
    order = {
        "date": "by the date in every file",
        "name": "by name, numbers by value; not every file has a date",
    }
    yield "order", f"{order[found.by]}; {found.before[0]} is the first"
    if found.same:
        yield "left out", f"{found.same}, which is tonight's"
    if found.incomplete:
        lacking = f"{first(found.incomplete, 5)} ({plural(len(found.incomplete), 'night')})"
        yield "left out", f"{lacking}, without a number for a metric that is judged"
    if found.earlier:
        yield "left out", f"{plural(found.earlier, 'early night')}: there are more than is counted"
    for why, words in WHY.items():
        names = [name for name, reason in found.aside if reason == why]
        if names:
            yield "not judged", f"{first(names, 6)}: {words}"
