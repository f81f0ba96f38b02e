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


CURVE = "perf"
"""The name of the learning curve in a store that the harness wrote."""

_OURS = ("sweep", "run", "arm", "status", "delta_perf", "finished_at", "error")


def as_exported(
    table: Table, id_: str, tags: str, config: Sequence[str], measures: Sequence[str]
) -> Table:
    """Return a store that the harness wrote as the table that ``sweep export`` writes.

    A store of anybody else is returned as it is. The column ``id_`` names a run in the store. What
    a run is stands in the columns that begin with ``tags``, its parameters in those that begin with
    ``config``, and its numbers in those that begin with ``measures``. Of runs with one id, as when
    the training code has changed, the one of most steps counts, and of these the last.
    """
    keys = table.columns.get(f"{tags}key", ())
    rows = [row for row, key in enumerate(keys) if key not in (None, "verdicts")]
    if not rows:
        return table
    columns: dict[str, Sequence[object]] = {name: [None] * len(table) for name in _OURS}
    for name, cells in table.columns.items():
        for prefixes, to in (((tags,), ""), (config, "config."), (measures, "")):
            found = next((one for one in prefixes if name.startswith(one)), None)
            if found is not None:
                known = columns.get(to + name.removeprefix(found), [None] * len(table))
                columns[to + name.removeprefix(found)] = [
                    new if old is None else old for old, new in zip(known, cells, strict=True)
                ]
                break
    for name in ("key", "content", CURVE, f"{CURVE}_se"):
        columns.pop(name, None)
    steps, ended = columns.get("steps", [0] * len(table)), columns["finished_at"]
    last: dict[object, int] = {}
    for row in rows:
        run = columns["run"][row]
        order = [(int(str(steps[r] or 0)), str(ended[r] or "")) for r in (last.get(run, row), row)]
        last[run] = row if order[1] >= order[0] else last[run]
    kept = sorted(last.values())
    named = {str(table.columns[id_][row]): str(columns["run"][row]) for row in kept}
    points = table.history

    def history(column: str) -> History:
        found = points(CURVE) if points is not None and column == "delta_perf" else {}
        return {named[run]: some for run, some in found.items() if run in named}

    notes = [*table.notes[:1], "written by pytest-sweep"]
    if len(kept) < len(rows):
        notes.append(
            f"earlier runs of the same id, left out: {plural(len(rows) - len(kept), 'run')}"
        )
    if others := sum(key is None for key in keys):
        notes.append(f"not written by pytest-sweep, left out: {plural(others, 'run')}")
    filled = {name: [cells[row] for row in kept] for name, cells in columns.items()}
    return table.replaced(
        columns={
            name: cells
            for name, cells in filled.items()
            if name in _OURS or any(cell is not None for cell in cells)
        },
        places=[table.places[row] for row in kept],
        notes=tuple(notes),
        history=history,
        directions={},
    )


def ordered(points: Iterable[tuple[int, float]]) -> tuple[tuple[int, float], ...]:
    """Return points (step, number) in the order of their steps; of two at a step, the last."""
    return tuple(sorted(dict(points).items()))


def curves_of(points: Mapping[str, Iterable[tuple[int, float]]]) -> History:
    """Return the histories of runs; none where no run has two points."""
    found = {run: ordered(some) for run, some in points.items()}
    longest = max((len(some) for some in found.values()), default=0)
    return {run: some for run, some in found.items() if some} if longest > 1 else {}
