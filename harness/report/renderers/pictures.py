"""Draw small pictures in plain text, and choose the scales of these and of drawn ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.observations.columns import RATE
from harness.report.blocks import BEYOND, DIVERGED, OTHER, SUCCESS, Bars, Curves, Line, Scatter
from harness.text import Digits, cell, learning_rate

HEIGHT = 11
WIDEST = 96
MOST_TICKS = 7

OFF = 20.0
"""Runs this many times the middle half's width from it are drawn at the edge of a picture."""


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers from ``low`` to ``high``, both above zero, `MOST_TICKS` at most.

    If there are not two, return the ends.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 3, 4, 6, 8), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
        inside = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
        if len(inside) <= MOST_TICKS:
            break
    return inside[:: -(-len(inside) // MOST_TICKS)] if len(inside) > 1 else [low, high]


def linear_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return about this many round numbers from ``low`` to ``high``."""
    if not high > low:
        return [low]
    raw = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = unit * next(m for m in (1, 2, 5, 10) if m * unit >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def padded(values: Sequence[float], *, around: float | None = None) -> tuple[float, float]:
    """Return a range with some room around ``values``, and around another value if one is given."""
    among = list(values) if around is None else [*values, around]
    low, high = min(among), max(among)
    air = 0.04 * (high - low) or 0.05 * abs(high) or 0.05
    return low - air, high + air


def legend(block: Scatter) -> str:
    """Return the legend of a scatter's marks; empty without any."""
    marks = [f"{SUCCESS} success, {OTHER} not"] * block.judged
    marks += [f"{DIVERGED} diverged"] * any(point.y is None for point in block.points)
    if off := far_off(block):
        marks.append(f"{BEYOND} {off} beyond the edge")
    return ", ".join(marks)


@dataclass(frozen=True, slots=True)
class Axes:
    """The scales of a scatter: both ranges, the ``ticks`` below it, and where x is drawn.

    Runs far from all others would leave the rest no room: they are drawn at the edge of ``y``.
    Diverged runs are drawn at the ``worst`` of its ends.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    ticks: tuple[float, ...]
    title: str
    is_log: bool
    worst: float

    @classmethod
    def of(cls, picture: Scatter, *, errors: bool) -> Axes:
        """Return the scales for ``picture``; with ``errors`` they have room for standard errors."""
        known = [point for point in picture.points if point.y is not None]
        inside = _near([p.y for p in known if p.y is not None])
        low, high = (min(inside), max(inside)) if inside else (0.0, 0.0)
        near = [p for p in known if p.y is not None and low <= p.y <= high]
        ends = [
            p.y + sign * (p.error or 0.0) * errors
            for p in near
            if p.y is not None
            for sign in (-1, 1)
        ]
        below, above = padded(ends or [0.0], around=picture.zero if picture.judged else None)
        room = 0.12 * (above - below) * (len(known) < len(picture.points))
        worst = above + room if picture.minimised else below - room
        below, above = min(below, worst), max(above, worst)
        xs = [point.x for point in picture.points]
        ticks = (log_ticks if picture.is_log else linear_ticks)(min(xs), max(xs))
        title = "lr" if picture.parameter == RATE else picture.parameter
        places = [math.log10(x) for x in xs] if picture.is_log else xs
        return cls(padded(places), (below, above), tuple(ticks), title, picture.is_log, worst)

    def at(self, x: float) -> float:
        """Return where a value of the parameter lies along the axis."""
        return math.log10(x) if self.is_log else x

    def write(self, tick: float) -> str:
        """Return a tick's label."""
        return learning_rate(tick) if self.title == "lr" else cell(tick)

    def clamp(self, y: float) -> float:
        """Return ``y``, or the edge beyond which it lies."""
        return min(max(y, self.y[0]), self.y[1])


def _near(values: Sequence[float]) -> list[float]:
    """Return the ``values`` without those so far off that the rest would be one line."""
    if len(values) < 4:
        return list(values)
    ordered = sorted(values)
    quarter, third = ordered[len(values) // 4], ordered[(3 * len(values)) // 4]
    reach = OFF * (third - quarter)
    inside = [v for v in values if quarter - reach <= v <= third + reach]
    return inside if reach > 0.0 else list(values)


def far_off(picture: Scatter) -> int:
    """Return how many runs of a scatter lie beyond its edge."""
    axes = Axes.of(picture, errors=False)
    return sum(p.y is not None and axes.clamp(p.y) != p.y for p in picture.points)


def scatter_text(picture: Scatter, width: int, digits: Digits) -> list[str]:
    """Draw outcomes against a parameter in lines of at most ``width`` characters."""
    axes = Axes.of(picture, errors=False)
    canvas = _Canvas(axes.x, axes.y, width, digits)
    if picture.judged:
        canvas.rule(picture.zero)
    for point in sorted(picture.points, key=lambda p: p.success):
        mark = DIVERGED if point.y is None else SUCCESS if point.success else OTHER
        y = axes.worst if point.y is None else axes.clamp(point.y)
        canvas.put(axes.at(point.x), y, BEYOND if point.y not in (None, y) else mark)
    places = [(axes.at(tick), tick) for tick in axes.ticks]
    lines = canvas.lines()
    lines.append(canvas.axis([(x, axes.write(tick)) for x, tick in places], axes.title))
    if picture.transfer != 1:
        own = [(x, learning_rate(tick * picture.transfer)) for x, tick in places]
        lines.append(canvas.axis(own, "task's"))
    return lines


def bars_text(picture: Bars, width: int, digits: Digits) -> list[str]:
    """Draw means with their intervals in lines of at most ``width`` characters."""
    rows = picture.bars
    ends = [x for _, mean in rows for x in (mean.value, mean.low, mean.high) if math.isfinite(x)]
    fine = digits.enough_for((max(ends) - min(ends)) / 10)
    told = [fine.plain(mean.value) for _, mean in rows]
    most = max(8, width // 3)
    labels = [label if len(label) <= most else f"{label[: most - 1]}…" for label, _ in rows]
    margin, right = max(map(len, labels)), max(map(len, told))
    columns = max(8, min(width, WIDEST) - margin - right - 5)
    low, high = padded(ends)

    def place(x: float) -> int:
        return round((min(max(x, low), high) - low) / (high - low) * (columns - 1))

    lines = []
    for number, ((_, mean), label, value) in enumerate(zip(rows, labels, told, strict=True)):
        row = [" "] * columns
        for column in range(place(mean.low), place(mean.high) + 1):
            row[column] = "─"
        row[place(mean.value)] = SUCCESS if number in picture.marked else OTHER
        lines.append(f"{label:>{margin}} │ {''.join(row)} {value:>{right}}".rstrip())
    return lines


def curves_text(picture: Curves, width: int, digits: Digits) -> list[str]:
    """Draw mean learning curves in lines of at most ``width`` characters."""
    steps = [step for line in picture.lines for step in line.steps]
    means = [mean.value for line in picture.lines for mean in line.means]
    canvas = _Canvas(padded(steps), padded(means), width, digits, signed=False)
    for line in reversed(picture.lines):
        for (x0, y0), (x1, y1) in itertools.pairwise(_points(line)):
            canvas.join(x0, y0, x1, y1, "·")
    for line in reversed(picture.lines):
        for x, y in _points(line):
            canvas.put(x, y, line.mark, over=True)
    lines = canvas.lines()
    ticks = linear_ticks(min(steps), max(steps))
    lines.append(canvas.axis([(tick, f"{tick:g}") for tick in ticks], "step"))
    return lines


def _points(line: Line) -> list[tuple[float, float]]:
    return [(step, mean.value) for step, mean in zip(line.steps, line.means, strict=True)]


class _Canvas:
    """A grid of characters with a labelled y axis."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        width: int,
        digits: Digits,
        *,
        signed: bool = True,
    ) -> None:
        self.x, self.y = x, y
        self.write = digits.signed if signed else digits.plain
        self.labels = {self._row(tick): self.write(tick) for tick in linear_ticks(*y, about=4)}
        self.margin = max([len(label) for label in self.labels.values()] + [6]) + 2
        self.columns = max(8, min(width, WIDEST) - self.margin - 2)
        self.grid = [[" "] * self.columns for _ in range(HEIGHT)]

    def _row(self, y: float) -> int:
        low, high = self.y
        return min(HEIGHT - 1, max(0, round((high - y) / (high - low) * (HEIGHT - 1))))

    def _column(self, x: float) -> int:
        low, high = self.x
        place = round((x - low) / (high - low) * (self.columns - 1))
        return min(self.columns - 1, max(0, place))

    def rule(self, y: float) -> None:
        """Draw a line across at ``y``."""
        self.grid[self._row(y)] = ["┈"] * self.columns

    def put(self, x: float, y: float, mark: str, *, over: bool = False) -> None:
        """Put ``mark`` at a point, or beside it where another mark is already there."""
        row, column = self.grid[self._row(y)], self._column(x)
        shifts = [0] if over else [0, 1, -1, 2, -2, 3, -3]
        free = [column + s for s in shifts if 0 <= column + s < self.columns]
        at = next((c for c in free if row[c] in " ┈"), column)
        row[at] = mark

    def join(self, x0: float, y0: float, x1: float, y1: float, mark: str) -> None:
        """Draw a line between two points where nothing is drawn yet."""
        start, end = self._column(x0), self._column(x1)
        for column in range(start, end + 1):
            share = (column - start) / max(1, end - start)
            row = self.grid[self._row(y0 + share * (y1 - y0))]
            if row[column] == " ":
                row[column] = mark

    def lines(self) -> list[str]:
        """Return the drawing with its y axis."""
        return [
            f"{self.labels.get(i, ''):>{self.margin - 1}} │ {''.join(row)}".rstrip()
            for i, row in enumerate(self.grid)
        ]

    def axis(self, ticks: Sequence[tuple[float, str]], title: str) -> str:
        """Return a line of those labels that have room below the drawing."""
        line = [" "] * self.columns
        end = -1
        for x, label in ticks:
            start = self._column(x) - len(label) // 2
            start = max(0, min(start, self.columns - len(label)))
            if start > end and len(label) <= self.columns:
                line[start : start + len(label)] = label
                end = start + len(label) + 1
        room = self.margin - 1
        title = title if len(title) <= room else f"{title[: room - 1]}…"
        return f"{title:>{room}} │ {''.join(line)}".rstrip()
