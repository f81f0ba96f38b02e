"""What a report is made of, before it has a form: sections of text, tables, pictures, verdicts."""

from __future__ import annotations

from dataclasses import dataclass

from harness.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Where a table is too wide, columns with ``drop`` go first, the highest number before the
    others, and then columns that may ``wrap`` are narrowed.
    """

    title: str
    right: bool = True
    drop: int = 0
    wrap: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text. ``shown`` and ``of`` say how many of the rows a short form leaves."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    long: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of short paragraphs, each led by a word."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A run in the picture of ΔPerf against learning rate; ``y`` is None where it diverged."""

    x: float
    y: float | None
    error: float | None
    success: bool
    label: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """ΔPerf against learning rate, a mark a run; ``transfer`` turns a rate into the task's own.

    ``judged`` is whether runs are marked as successes or not.
    """

    points: tuple[Point, ...]
    transfer: float = 1.0
    judged: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """A mean curve with the ends of its interval, and the single runs' curves behind it."""

    label: str
    mark: str
    steps: tuple[int, ...]
    means: tuple[float, ...]
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]
    behind: tuple[tuple[tuple[int, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Curves:
    """Mean learning curves."""

    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """An arm in the picture of the arms: a mean and its interval."""

    label: str
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Bars:
    """Means with their intervals, one below the other. Drawn only where there is room to draw."""

    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The judged questions: their numbers in a table, and each in words."""

    table: Table
    verdicts: tuple[Verdict, ...]


Block = Table | Text | Bullets | Scatter | Curves | Bars | Verdicts


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report under a heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A report as text: what must be said first, the headline, and the sections in their order."""

    warning: str
    headline: str
    sections: tuple[Section, ...]
