"""Draw small pictures in plain text, and choose the scales of these and of drawn ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from harness.report.blocks import DIVERGED, OTHER, SUCCESS, Curves, Line, Scatter
from harness.text import Digits, learning_rate

HEIGHT = 11
WIDEST = 96
MOST_TICKS = 7


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


def padded(values: Sequence[float], *, zero: bool = False) -> tuple[float, float]:
    """Return a range with some room around ``values``, and around zero if asked for."""
    among = [*values, 0.0] if zero else list(values)
    low, high = min(among), max(among)
    air = 0.04 * (high - low) or 0.05 * abs(high) or 0.05
    return low - air, high + air


def legend(block: Scatter) -> str:
    """Return the legend of a scatter's marks; empty without any."""
    marks = [f"{SUCCESS} success, {OTHER} not"] * block.judged
    marks += [f"{DIVERGED} diverged"] * any(point.y is None for point in block.points)
    return ", ".join(marks)


def scatter_text(picture: Scatter, width: int, digits: Digits) -> list[str]:
    """Draw outcomes against learning rates in lines of at most ``width`` characters."""
    rates = [point.x for point in picture.points]
    known = [point.y for point in picture.points if point.y is not None]
    low, high = padded(known or [0.0], zero=True)
    if len(known) < len(rates):
        low -= 0.12 * (high - low)
    canvas = _Canvas(padded([math.log10(x) for x in rates]), (low, high), width, digits)
    canvas.rule(0.0)
    for point in sorted(picture.points, key=lambda p: p.success):
        mark = DIVERGED if point.y is None else SUCCESS if point.success else OTHER
        canvas.put(math.log10(point.x), low if point.y is None else point.y, mark)
    ticks = log_ticks(min(rates), max(rates))
    places = [(math.log10(tick), tick) for tick in ticks]
    lines = canvas.lines()
    lines.append(canvas.axis([(x, learning_rate(tick)) for x, tick in places], "lr"))
    if picture.transfer != 1:
        own = [(x, learning_rate(tick * picture.transfer)) for x, tick in places]
        lines.append(canvas.axis(own, "task's"))
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
        return f"{title:>{self.margin - 1}} │ {''.join(line)}".rstrip()
