"""Share what the trackers' stores have in common: parts to choose from, rows, curves."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError, nearest
from harness.tables.table import History, Table
from harness.text import first, plural

Row = dict[str, object]
"""Column → cell."""

SQLITE = b"SQLite format 3\0"
"""How a database of SQLite begins."""


def opened_database(path: Path) -> sqlite3.Connection:
    """Open a database of SQLite to read it."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


def chosen_part(
    name: str, what: str, parts: Mapping[str, int], part: str, runs: str = "run"
) -> str:
    """Return the study or experiment to read: the only one with runs, or the one asked for."""
    found = {one: number for one, number in parts.items() if number}
    listed = first((f"{one!r} ({plural(n, runs)})" for one, n in found.items()), 6)
    if part:
        if part not in parts:
            raise UsageError(
                f"{name} has no {what} {part!r}{nearest(part, parts)}; it has {listed}"
            )
        return part
    if not found:
        raise UsageError(f"{name} has no {runs} in any {what}: there is nothing to read")
    if len(found) > 1:
        many = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
        raise UsageError(
            f"{name} has {len(found)} {many}: {listed}; name one, as {name}#{next(iter(found))}"
        )
    return next(iter(found))


def as_table(
    path: Path,
    kind: str,
    rows: Sequence[Row],
    unit: str,
    places: Sequence[int] | None = None,
    **more: Any,  # noqa: ANN401 (the fields of a table)
) -> Table:
    """Return the table of the rows of a store; a row may lack columns that others have."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return Table(path, f"{kind}'s store", columns, places or range(1, len(rows) + 1), unit, **more)


def ordered(points: Iterable[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """Return points (step, number) in the order of their steps; of two at a step, the last."""
    return tuple(sorted(dict(points).items()))


def curves_of(points: Mapping[str, Iterable[tuple[int, float]]]) -> History:
    """Return the histories of runs; none where no run has two points."""
    found = {run: ordered(some) for run, some in points.items()}
    longest = max((len(some) for some in found.values()), default=0)
    return {run: some for run, some in found.items() if some} if longest > 1 else {}
