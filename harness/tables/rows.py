"""Read the cells of a column as its role needs them, and check each row.

A cell that does not fit its role raises a UsageError that names the row and the column.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from harness.errors import UnclearTableError, UsageError
from harness.records import MAIN, Value, is_number, is_whole
from harness.tables.table import BLANK, Table, identity
from harness.tables.trackers import State, misspelt, state
from harness.words import canonical


def ids(table: Table, column: str | None, rows: Iterable[int]) -> list[str]:
    """Return the id of each row [rows]; without a column of ids, the file's name and a number.

    Raises
    ------
    UsageError
        Where one of ``rows`` has no id, or that of another.
    """
    if column is None:
        width = len(str(len(table)))
        return [f"{table.stem}-{row:0{width}d}" for row in range(1, len(table) + 1)]
    found = [identity(cell) for cell in table.columns[column]]
    first: dict[str, int] = {}
    for row in rows:
        name = found[row]
        if not name:
            raise UsageError(
                f"{table.where(row)}: no run id in column {column!r}; give every run one, or leave "
                f"the column out: --ignore {column}"
            )
        if (earlier := first.setdefault(name, row)) != row:
            places = f"{table.unit}s {table.places[earlier]} and {table.places[row]}"
            raise UsageError(
                f"{table.path.name}: {places} have the same run id {name!r} in column {column!r}; "
                f"every run needs its own: leave the column out (--ignore {column}), or name it "
                "seed if it counts repeats"
            )
    return found


def arms(table: Table, column: str | None, parameters: Iterable[str]) -> list[str]:
    """Return the arm of each row [rows]; one named after a parameter gets its canonical name.

    "null" is an arm here, not a blank.
    """
    if column is None:
        return [MAIN] * len(table)
    known = set(parameters)
    words = [identity(cell) for cell in table.columns[column]]
    found: dict[str, str] = {}
    for word in set(words):
        name = canonical(word)
        is_main = is_blank_arm(word) or word.lower() == MAIN
        found[word] = MAIN if is_main else name if name in known else word
    return [found[word] for word in words]


def is_blank_arm(word: str) -> bool:
    """Return whether a cell of the arm's column is blank."""
    return word.lower() in BLANK - {"null"} | {"nan"}


def pairs(table: Table, column: str | None) -> list[str | None]:
    """Return the id of the main run that each row [rows] names as its pair, or None."""
    if column is None:
        return [None] * len(table)
    named = zip(table.columns[column], table.values(column), strict=True)
    return [None if item is None else identity(cell) for cell, item in named]


def states(table: Table, column: str | None) -> tuple[list[State], list[str]]:
    """Return the state of the run in each row [rows], and the words that name none.

    A blank means completed, and so does a word that names no state: "keep".

    Raises
    ------
    UsageError
        Where a word is almost one that names a state: it may be misspelt.
    """
    if column is None:
        return ["completed"] * len(table), []
    known: dict[Value, State] = {None: "completed"}
    unknown: list[str] = []
    found: list[State] = []
    for row, cell in enumerate(table.values(column)):
        item = None if _is_nan(cell) else cell
        if item not in known:
            meant = state(item) if isinstance(item, str) else None
            if meant is None:
                if near := misspelt(str(item)):
                    raise UsageError(
                        f"{table.where(row)}: the status {str(item)!r} in column {column!r} is not "
                        f"known; did you mean {near!r}?"
                    )
                unknown.append(str(item))
            known[item] = meant or "completed"
        found.append(known[item])
    return found, unknown


def blanks(table: Table, column: str | None, rows: Sequence[int]) -> list[int]:
    """Return those of ``rows`` whose cell in ``column`` is blank; none where all of them are."""
    if column is None:
        return []
    cells = table.values(column)
    found = [row for row in rows if cells[row] is None or _is_nan(cells[row])]
    return found if len(found) < len(rows) else []


def one_blank(table: Table, column: str, rows: Sequence[int]) -> list[int]:
    """Return the one row whose cell is blank where all others of ``rows`` have a value.

    A cell that says "none" has one: that the parameter is not set.
    """
    found = blanks(table, column, rows)
    if len(found) != 1 or len(rows) < 3:
        return []
    cell = table.columns[column][found[0]]
    return [] if isinstance(cell, str) and cell.strip().lower() == "none" else found


def numbers(table: Table, column: str, rows: Iterable[int]) -> dict[int, float | None]:
    """Return row → the number in ``column``, which may be nan or infinite, or None for a blank."""
    cells = table.values(column)
    found: dict[int, float | None] = {}
    for row in rows:
        item = cells[row]
        if item is None:
            found[row] = None
        elif is_number(item):
            found[row] = _float(item)
        else:
            table.check(column)
            hint = _decimal_hint(item)
            raise UsageError(
                f"{table.where(row)}: {item!r} in column {column!r} is no number{hint}"
            )
    return found


def errors(table: Table, column: str | None, rows: Iterable[int]) -> dict[int, float]:
    """Return row → standard error, for the ``rows`` that have one."""
    if column is None:
        return {}
    found: dict[int, float] = {}
    for row, item in numbers(table, column, rows).items():
        if item is None or math.isnan(item):
            continue
        if not 0.0 <= item < math.inf:
            raise UsageError(
                f"{table.where(row)}: the standard error {item:g} in column {column!r} must be a "
                "finite number of at least 0, or blank"
            )
        found[row] = item
    return found


def counts(
    table: Table, column: str | None, what: str, rows: Iterable[int], least: int | None = 0
) -> dict[int, int]:
    """Return row → whole number of at least ``least``, for the ``rows`` that have one."""
    if column is None:
        return {}
    cells = table.values(column)
    found: dict[int, int] = {}
    for row in rows:
        item = cells[row]
        if item is None or _is_nan(item):
            continue
        if not (is_whole(item) or (isinstance(item, float) and item.is_integer())):
            raise UnclearTableError(
                f"{table.where(row)}: {what} {item!r} in column {column!r} is not a whole number; "
                "if the column is something else, name the parameters with --params"
            )
        number = int(item)
        if least is not None and number < least:
            raise UsageError(
                f"{table.where(row)}: {what} {number} in column {column!r} must be at least {least}"
            )
        found[row] = number
    return found


def finite_numbers(cells: Sequence[Value]) -> list[float | None]:
    """Return the finite numbers of a column [rows], and None for anything else."""
    found = [_float(item) if is_number(item) else math.nan for item in cells]
    return [item if math.isfinite(item) else None for item in found]


def _is_nan(item: Value) -> bool:
    return isinstance(item, float) and math.isnan(item)


def _float(item: Value) -> float:
    """Return a number as a float, an infinite one where it is too large for one."""
    try:
        return float(item)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf


def _decimal_hint(item: Value) -> str:
    if isinstance(item, str) and item.replace(",", "", 1).lstrip("+-").isdigit():
        return ": write it with a decimal point"
    if isinstance(item, str) and item.endswith("%"):
        return ": write it as a share, without a sign"
    return "; leave the cell blank where a run has none"
