"""Lay out text and tables within a width."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from harness.report.blocks import Column, Table

GAP = 2
WIDE = 16
"""Cells of a column that may be dropped are cut to this width before any column is."""

NARROW = 12
"""A column that may wrap is narrowed to this width before anything is cut."""


@dataclass
class _Laid:
    """A column that is being laid out: its header and its cells, each of one or more lines."""

    column: Column
    title: str
    cells: list[str]
    body: int = 0

    def __post_init__(self) -> None:
        self.hold(self.cells)

    def hold(self, cells: list[str]) -> None:
        """Set the cells, and ``body`` to their width, which is needed often."""
        self.cells = cells
        self.body = max(map(_longest, cells), default=0)

    @property
    def width(self) -> int:
        return max(_longest(self.title), self.body, 1)


def clean(text: str) -> str:
    """Return ``text`` on one line, without control characters."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())


def wrap(text: str, width: int, *, hanging: int = 0) -> list[str]:
    """Return ``text`` in lines of at most ``width``, all but the first indented by ``hanging``."""
    return textwrap.wrap(
        clean(text), width, subsequent_indent=" " * hanging, break_on_hyphens=False
    ) or [""]


def table_text(table: Table, width: int) -> list[str]:
    """Return a table in lines of at most ``width``, its header over a rule.

    If it is too wide, the first column is shortened if it can be. Then headers are broken, wide
    cells of columns that might be dropped are cut, columns dropped and cells wrapped, as far as
    they may be, and at last cells are cut.
    """
    from tabulate import tabulate

    laid = [
        _Laid(column, clean(column.title), [clean(row[i]) for row in table.rows])
        for i, column in enumerate(table.columns)
    ]
    if table.short and _total(laid) > width:
        laid[0].hold([clean(cell) for cell in table.short])
    _fit(laid, width)
    titled = tabulate(
        [[one.title for one in laid], *zip(*(one.cells for one in laid), strict=True)],
        tablefmt="plain",
        disable_numparse=True,
        colalign=["right" if one.column.right else "left" for one in laid],
    )
    lines = [line.rstrip() for line in titled.splitlines()]
    tall = max(one.title.count("\n") + 1 for one in laid)
    laid_out = [*lines[:tall], "─" * max(map(len, lines)), *lines[tall:]]
    left = ", ".join(clean(c.title) for c in table.columns if all(c is not o.column for o in laid))
    return laid_out + (wrap(f"Left out at this width: {left}.", width) if left else [])


def _fit(laid: list[_Laid], width: int) -> None:
    if _total(laid) > width:
        for one in laid:
            one.title = _broken(one.title, max(one.body, 1), words=True)
    for one in sorted(laid, key=lambda one: -one.width):
        over = _total(laid) - width
        if over > 0 and one.column.drop and one.width > WIDE:
            room = max(WIDE, one.width - over)
            one.title = _cut(one.title, room)
            one.hold([_cut(cell, room) for cell in one.cells])
    while len(laid) > 1 and _total(laid) > width and any(one.column.drop for one in laid):
        most = max(one.column.drop for one in laid)
        laid.remove([one for one in laid if one.column.drop == most][-1])
    for one in laid:
        over = _total(laid) - width
        if over > 0 and one.column.wrap:
            room = max(one.width - over, min(NARROW, one.width))
            one.title = _broken(one.title, room)
            one.hold([_broken(cell, room) for cell in one.cells])
    while len(laid) > 1 and len(laid) * (1 + GAP) - GAP > width:
        laid.pop()
    while (over := _total(laid) - width) > 0:
        widest = max(laid, key=lambda one: one.width)
        room = max(1, widest.width - over, sorted(one.width for one in laid)[-2:][0] - 1)
        widest.title = _cut(widest.title, room)
        widest.hold([_cut(cell, room) for cell in widest.cells])


def _total(laid: list[_Laid]) -> int:
    return sum(one.width for one in laid) + GAP * (len(laid) - 1)


def _longest(text: str) -> int:
    return max(map(len, text.split("\n"))) if "\n" in text else len(text)


def _broken(text: str, width: int, *, words: bool = False) -> str:
    """Return ``text`` broken into lines of ``width``; with ``words``, no word is broken."""
    room = max(width, *(len(word) for word in text.split())) if words and text else width
    return "\n".join(textwrap.wrap(text, room, break_on_hyphens=False)) if text else text


def _cut(text: str, width: int) -> str:
    return "\n".join(
        line if len(line) <= width else line[: width - 1] + "…" for line in text.split("\n")
    )
