"""Draw the pictures of a report as inline SVG; colours are those of the page, by class."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from harness.report.blocks import BEYOND, DIVERGED, Bars, Curves, Scatter, Shares
from harness.report.renderers.pictures import Axes, linear_ticks, padded
from harness.text import Digits, learning_rate, parameter_name

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 12, 40
BAR = 26
"""The height of a bar of shares."""

LEGIBLE = 0.06
"""The least share whose percentage has room in its part of the bar."""

SHORT = 9
"""The most characters of a title beside an axis."""


class _Plot:
    """A drawing with scales from data to the page."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        left: int = LEFT,
        height: int = HEIGHT,
        bottom: int = BOTTOM,
    ) -> None:
        self.x_range, self.y_range = x, y
        self.left, self.height, self.bottom = left, height, bottom
        self.parts: list[str] = []

    def x(self, value: float) -> float:
        """Return where ``value`` lies on the page."""
        low, high = self.x_range
        share = (value - low) / (high - low)
        return round(self.left + share * (WIDTH - self.left - RIGHT), 1)

    def y(self, value: float) -> float:
        """Return where ``value`` lies on the page."""
        low, high = self.y_range
        share = (high - value) / (high - low)
        return round(TOP + share * (self.height - TOP - self.bottom), 1)

    def line(self, x0: float, y0: float, x1: float, y1: float, kind: str) -> None:
        """Draw a line between two places on the page."""
        self.parts.append(f'<line class="{kind}" x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}"/>')

    def text(self, x: float, y: float, text: str, anchor: str = "middle") -> None:
        """Write ``text`` at a place on the page."""
        self.parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>')

    def circle(self, x: float, y: float, kind: str, label: str, radius: float = 4.5) -> None:
        """Draw a mark that shows ``label`` when pointed at."""
        title = f"<title>{escape(label)}</title>"
        self.parts.append(f'<circle class="{kind}" cx="{x}" cy="{y}" r="{radius}">{title}</circle>')

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Draw a line through points of the data."""
        places = " ".join(f"{self.x(x)},{self.y(y)}" for x, y in points)
        self.parts.append(f'<polyline class="{kind}" points="{places}"/>')

    def band(
        self, lower: Sequence[tuple[float, float]], upper: Sequence[tuple[float, float]], kind: str
    ) -> None:
        """Fill the area between two lines through points of the data."""
        around = [*lower, *reversed(upper)]
        places = " ".join(f"{self.x(x)},{self.y(y)}" for x, y in around)
        self.parts.append(f'<polygon class="{kind}" points="{places}"/>')

    def y_axis(self, write: Callable[[float], str]) -> None:
        """Draw horizontal lines at round values, with their labels."""
        for tick in linear_ticks(*self.y_range):
            at = self.y(tick)
            self.line(self.left, at, WIDTH - RIGHT, at, "zero" if abs(tick) < 1e-12 else "grid")
            self.text(self.left - 6, at + 4, write(tick), "end")

    def x_label(self, value: float, text: str, row: int = 0) -> None:
        """Write ``text`` below ``value`` on the horizontal axis."""
        self.text(self.x(value), self.height - self.bottom + 16 + 15 * row, text)

    def svg(self, label: str) -> str:
        """Return the drawing."""
        return (
            f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{escape(label)}">'
            f"{''.join(self.parts)}</svg>"
        )


def scatter(picture: Scatter, digits: Digits) -> str:
    """Draw outcomes against a parameter, with standard errors."""
    axes = Axes.of(picture, errors=True)
    two = picture.transfer != 1
    plot = _Plot(axes.x, axes.y, bottom=40 + 15 * two)
    plot.y_axis(digits.signed)
    if picture.judged and picture.zero:
        at = plot.y(picture.zero)
        plot.line(plot.left, at, WIDTH - RIGHT, at, "zero")
    for tick in axes.ticks:
        plot.x_label(axes.at(tick), axes.write(tick))
        if two:
            plot.x_label(axes.at(tick), learning_rate(tick * picture.transfer), 1)
    short = axes.title if len(axes.title) <= SHORT else f"{axes.title[: SHORT - 1]}…"
    plot.text(plot.left - 6, plot.height - plot.bottom + 16, short, "end")
    if two:
        plot.text(plot.left - 6, plot.height - plot.bottom + 31, "task's", "end")
    for point in picture.points:
        x = plot.x(axes.at(point.x))
        if point.y is None:
            plot.text(x, plot.y(axes.worst) + (10 if picture.minimised else -2), DIVERGED)
            continue
        if axes.clamp(point.y) != point.y:
            plot.text(x, plot.y(axes.clamp(point.y)) + 4, BEYOND)
            continue
        error = point.error or 0.0
        ends = [plot.y(axes.clamp(point.y + sign * error)) for sign in (-1, 1)]
        plot.line(x, ends[0], x, ends[1], "error")
        label = f"{point.label}: {digits.with_error(point.y, point.error)}"
        plot.circle(x, plot.y(point.y), "good" if point.success else "other", label)
    name = parameter_name(picture.parameter)
    return plot.svg(f"{picture.metric} of each run against its {name}")


def curves(picture: Curves, digits: Digits) -> str:
    """Draw mean learning curves with their intervals, and the single runs behind the first."""
    steps = [step for line in picture.lines for step in line.steps]
    perfs = [mean.value for line in picture.lines for mean in line.means]
    perfs += [perf for line in picture.lines for path in line.behind for _, perf in path]
    plot = _Plot(padded(steps), padded(perfs))
    plot.y_axis(digits.plain)
    for tick in linear_ticks(min(steps), max(steps)):
        plot.x_label(tick, f"{tick:g}")
    plot.text(plot.left - 6, plot.height - plot.bottom + 16, "step", "end")
    for line in picture.lines:
        for path in line.behind:
            plot.path(path, "behind")

    def clamp(value: float) -> float:
        return min(max(value, plot.y_range[0]), plot.y_range[1])

    for number, line in enumerate(picture.lines):
        points = list(zip(line.steps, line.means, strict=True))
        lower = [(step, clamp(mean.low)) for step, mean in points if math.isfinite(mean.low)]
        upper = [(step, clamp(mean.high)) for step, mean in points if math.isfinite(mean.high)]
        plot.band(lower, upper, f"band line{number}")
        plot.path([(step, mean.value) for step, mean in points], f"mean line{number}")
        for step, mean in points:
            label = f"{line.label}, step {step}: {digits.plain(mean.value)}"
            plot.circle(plot.x(step), plot.y(mean.value), f"dot line{number}", label, 3)
    held_out = "held-out " if picture.measure == "perf" else ""
    return plot.svg(f"Mean {held_out}{picture.measure} by training step")


def bars(picture: Bars, digits: Digits) -> str:
    """Draw the mean of each arm with its interval, one below the other."""
    rows = picture.bars
    values = (value for _, mean in rows for value in (mean.value, mean.low, mean.high))
    ends = list(filter(math.isfinite, values))
    longest = max(len(label) for label, _ in rows)
    height = TOP + 24 * len(rows) + 28
    plot = _Plot(
        padded(ends, around=0.0 if picture.zero and not picture.parameter else None),
        (0.0, 1.0),
        left=min(220, 8 * longest + 16),
        height=height,
        bottom=28,
    )
    fine = digits.enough_for((max(ends) - min(ends)) / 10) if picture.parameter else digits
    write = fine.signed
    for tick in linear_ticks(*plot.x_range):
        kind = "zero" if abs(tick) < 1e-12 else "grid"
        plot.line(plot.x(tick), TOP, plot.x(tick), height - 28, kind)
        plot.x_label(tick, write(tick))
    for number, (name, mean) in enumerate(rows):
        y = TOP + 24 * number + 12
        plot.text(plot.left - 8, y + 4, name, "end")
        if math.isfinite(mean.error):
            plot.line(plot.x(mean.low), y, plot.x(mean.high), y, "error")
        label = f"{name}: {write(mean.value)}"
        plot.circle(plot.x(mean.value), y, "good" if number in picture.marked else "other", label)
    of = f"levels of {picture.parameter}" if picture.parameter else "the sweep and of each arm"
    return plot.svg(f"Mean {picture.metric} of {of}, with 95% intervals")


def shares(picture: Shares) -> str:
    """Draw shares of a whole as parts of one bar, each with its percentage where it has room."""
    plot = _Plot((0.0, 1.0), (0.0, 1.0), left=RIGHT, height=BAR + 2 * TOP, bottom=TOP)
    begun = 0.0
    for place, (label, share) in enumerate(picture.parts):
        x, end = plot.x(begun), plot.x(begun + share)
        begun += share
        said = f"{100 * share:.0f}%"
        plot.parts.append(
            f'<rect class="part{place}" x="{x}" y="{TOP}" width="{round(end - x, 1)}" '
            f'height="{BAR}"><title>{escape(label)}: {said}</title></rect>'
        )
        if share >= LEGIBLE:
            plot.text((x + end) / 2, TOP + BAR / 2 + 4, said)
    return plot.svg("Shares of the variance of results, by where they come from")
