"""Read a data frame of Python, of whatever library, as a table."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.tables.table import Table, check_size

NAME = Path("frame")
"""The name of a data frame in messages, where a file has its own."""


def from_frame(frame: object) -> Table:
    """Return the table in a data frame of pandas, polars, pyarrow or another that narwhals knows.

    A mapping of name → cells, and a list of dictionaries, are tables too.

    Raises
    ------
    UsageError
        Where it is neither, or has two columns of one name.
    """
    columns = _of_python(frame)
    if columns is None:
        columns = _of_library(frame)
    rows = len(next(iter(columns.values()), ()))
    check_size(NAME, rows, len(columns))
    named = {name: list(map(_cell, cells)) for name, cells in columns.items() if name.strip()}
    unnamed = len(columns) - len(named)
    return Table(NAME, "a data frame", named, range(1, rows + 1), unit="row", unnamed=unnamed)


def _of_python(frame: object) -> dict[str, Sequence[object]] | None:
    """Return the columns of plain Python values; None where it is something else."""
    if isinstance(frame, Mapping):
        columns = {str(name): list(cells) for name, cells in frame.items()}
        if len({len(cells) for cells in columns.values()}) > 1:
            raise UsageError("the columns are not of one length: expected name → cells [rows]")
        return dict(columns)
    if isinstance(frame, list | tuple):
        if not all(isinstance(row, Mapping) for row in frame):
            raise UsageError("expected a list of dictionaries, one for each run")
        names = dict.fromkeys(name for row in frame for name in row)
        return {str(name): [row.get(name) for row in frame] for name in names}
    return None


def _of_library(frame: object) -> dict[str, Sequence[object]]:
    import narwhals.stable.v1 as narwhals

    try:
        if narwhals.dependencies.is_pandas_like_dataframe(frame):
            frame = _named(frame)
        found: Any = narwhals.from_native(frame, eager_or_interchange_only=False)
    except (TypeError, ValueError) as error:
        if "unique" in str(error) or "duplicate" in str(error).lower():
            raise UsageError("the frame has two columns of one name: give each its own") from error
        raise UsageError(
            f"a {type(frame).__name__} is no table: expected a path, a data frame of pandas, "
            "polars or pyarrow, or a list of dictionaries"
        ) from error
    if isinstance(found, narwhals.LazyFrame):
        found = found.collect()
    columns = {name: found[name].to_list() for name in found.columns}
    if found.implementation.is_pandas_like():  # which has no other blank, and writes it as one
        columns = {name: list(map(_without_nan, cells)) for name, cells in columns.items()}
    return columns


def _named(frame: Any) -> object:  # noqa: ANN401 (of pandas)
    """Return a frame of pandas whose columns have text as names: there they may be anything."""
    if frame.columns.nlevels > 1:
        raise UsageError("the frame's columns have several levels: join their names into one")
    return frame.rename(columns=str)


def _without_nan(cell: object) -> object:
    """Return a cell of pandas, None where it is one of its three blanks: NaN, NA and NaT."""
    blank = type(cell).__name__ in ("NAType", "NaTType")
    return None if blank or (isinstance(cell, float) and math.isnan(cell)) else cell


def _cell(cell: object) -> object:
    """Return a cell as JSON might have it."""
    if cell is None or isinstance(cell, str | bool | int | float):
        return cell
    if isinstance(cell, datetime.timedelta):
        return cell.total_seconds()
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    if isinstance(cell, decimal.Decimal):
        return float(cell)
    if isinstance(cell, dict | list):
        return json.dumps(cell, default=str)
    item = getattr(cell, "item", None)  # a number of NumPy
    return item() if callable(item) and not hasattr(cell, "__len__") else str(cell)
