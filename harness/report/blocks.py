"""A document before it is written: sections of text, tables, pictures and verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from harness.text import Digits
from harness.verdicts import Verdict

if TYPE_CHECKING:
    from harness.statistics import Estimate

SUCCESS, OTHER, DIVERGED, BEYOND = "●", "○", "×", "◇"
"""Marks of runs, in tables and in text pictures."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    If a table is too wide, columns with ``drop`` go first, the highest number before the others.
    Then columns that may ``wrap`` are narrowed.
    """

    title: str
    right: bool = True
    drop: int = 0
    wrap: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text.

    A ``long`` table may be written in part. ``short`` are other cells for the first column, used if
    the table is too wide.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    long: bool = False
    short: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of short paragraphs, each after a word."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A run in the picture of outcomes against a parameter; ``y`` is None where it diverged."""

    x: float
    y: float | None
    error: float | None
    success: bool
    label: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """The ``metric`` of each run against a parameter, the learning rate where none is named.

    ``transfer`` is the factor from a rate to the task's own. ``judged`` says that runs are marked
    as successes or not: those beyond ``zero``, on the lower side where the metric is ``minimised``.
    Diverged runs lie at the worse end. A parameter is drawn on a logarithmic axis where it
    ``is_log``.
    """

    points: tuple[Point, ...]
    metric: str
    transfer: float = 1.0
    judged: bool = True
    parameter: str = "learning_rate"
    is_log: bool = True
    zero: float = 0.0
    minimised: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A mean curve with its interval, and the curves of single runs behind it."""

    label: str
    mark: str
    steps: tuple[int, ...]
    means: tuple[Estimate, ...]
    behind: tuple[tuple[tuple[int, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Curves:
    """Mean learning curves of what is called ``measure``."""

    lines: tuple[Line, ...]
    measure: str = "perf"


@dataclass(frozen=True, slots=True)
class Bars:
    """Means of the ``metric`` with intervals, one below the other.

    ``marked`` are the places of some, and ``key`` says why they are. Where they are of a
    ``parameter``, each is the mean of one of its levels with the other parameters held equal. Of
    others only HTML has bars, with a ``zero`` line where that means something.
    """

    bars: tuple[tuple[str, Estimate], ...]
    metric: str
    marked: tuple[int, ...] = (0,)
    parameter: str = ""
    key: str = ""
    zero: bool = True


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of a whole, each with its label, as one bar; only HTML draws it."""

    parts: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The judged questions: their numbers in a table, and each in words."""

    table: Table
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The only verdict of a document for the terminal: question, answer, needs."""

    verdict: Verdict


Block = Table | Text | Bullets | Scatter | Curves | Bars | Shares | Verdicts | Answer


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report under a heading; one that ``leads`` is an answer."""

    title: str
    blocks: tuple[Block, ...]
    leads: bool = False


def filled(*sections: Section) -> tuple[Section, ...]:
    """Return the sections that are not empty."""
    return tuple(section for section in sections if section.blocks)


def grouped(rows: Iterable[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Return the rows of a table, with a first cell only where it differs from the row above."""
    first: str | None = None
    found = []
    for lead, *rest in rows:
        found.append(("" if lead == first else lead, *rest))
        first = lead
    return tuple(found)


class SummaryLine(NamedTuple):
    """A line of the answer, with a label of what it is about."""

    label: str
    text: str

    def __str__(self) -> str:
        return f"{self.label}: {self.text}"


@dataclass(frozen=True, slots=True)
class Document:
    """A headline and sections.

    The ``summary`` comes first, the answer in at most five lines, below a ``warning``. Then come
    the ``preface``, lines on how the runs were read, and the headline. ``digits`` writes the
    numbers of pictures.
    """

    headline: str
    sections: tuple[Section, ...]
    warning: str = ""
    preface: tuple[str, ...] = ()
    summary: tuple[SummaryLine, ...] = ()
    digits: Digits = field(default_factory=Digits)

    @property
    def questions_first(self) -> list[Section]:
        """The sections for a page that is read from its top: what has no title, the answers."""
        return sorted(self.sections, key=lambda section: (section.title != "", not section.leads))
