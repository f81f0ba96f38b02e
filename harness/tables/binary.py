"""Read Parquet and Excel files, and write Parquet, by the libraries that are made for them.

The libraries are imported for such files alone.
"""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError, nearest
from harness.records import Value
from harness.tables.files import INSTALL, Content
from harness.tables.table import Table, check_size
from harness.text import first


def read_parquet(content: Content) -> Table:
    """Read the table in a Parquet file.

    A struct becomes a column for each of its fields, named with dots; a list becomes text.

    Raises
    ------
    UsageError
        Where pyarrow is not installed, or the file is not a Parquet file or is too large.
    """
    path = content.path
    try:
        import pyarrow as arrow
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{path.name} needs pyarrow to be read: {INSTALL}, or save the table as CSV"
        ) from error
    try:
        with ParquetFile(io.BytesIO(content.data)) as file:
            rows: int = file.metadata.num_rows
            check_size(path, rows, file.metadata.num_columns)
            table = file.read()
        names = table.column_names
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise UsageError(f"{path.name} names the column {repeated[0]!r} more than once")
        while any(arrow.types.is_struct(field.type) for field in table.schema):
            table = table.flatten()
        columns: dict[str, Sequence[object]] = {
            name: _cells(column)
            for name, column in zip(table.column_names, table.columns, strict=True)
            if not name.startswith("__index_level_") and name.strip()
        }
    except (arrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise UsageError(f"{path.name} is not a Parquet file that can be read: {reason}") from error
    return Table(path, "Parquet", columns, range(1, rows + 1), unit="row")


def write_parquet(path: Path, columns: Mapping[str, Sequence[Value]]) -> None:
    """Write columns of cells to a Parquet file; a column of mixed types becomes text.

    Raises
    ------
    UsageError
        Where pyarrow is not installed.
    """
    try:
        from pyarrow import table
        from pyarrow.parquet import write_table
    except ModuleNotFoundError as error:
        raise UsageError(
            f"a Parquet file needs pyarrow to be written: {INSTALL}, or write a CSV file"
        ) from error
    write_table(table({name: _array(cells) for name, cells in columns.items()}), path)


def _array(cells: Sequence[Value]) -> Any:  # noqa: ANN401 (pyarrow has no types)
    import pyarrow as arrow

    try:
        return arrow.array(cells)
    except (arrow.ArrowException, OverflowError):
        return arrow.array([None if cell is None else str(cell) for cell in cells])


def _cells(column: Any) -> Sequence[object]:  # noqa: ANN401 (pyarrow has no types)
    from pyarrow import float64, int64, string, types

    kind = column.type
    if types.is_duration(kind) or types.is_time(kind):
        column = column.cast(int64() if types.is_duration(kind) else string())
    elif types.is_temporal(kind):
        column = column.cast(string())
    elif types.is_decimal(kind):
        column = column.cast(float64())
    cells: list[object] = column.to_pylist()
    if types.is_nested(kind):
        return [None if cell is None else json.dumps(cell, default=str) for cell in cells]
    return cells


# ---- Excel ---------------------------------------------------------------------------------------


def read_sheet(content: Content) -> tuple[list[int], list[list[object]], tuple[str, ...]]:
    """Read a sheet of an Excel file: the numbers [n] of its rows that are not blank, and these.

    It is the sheet asked for, or the first with a cell in it; the notes say which others there are.

    Raises
    ------
    UsageError
        Where the library is not installed, the file is no Excel file, or has no such sheet.
    """
    path = content.path
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{path.name} needs python-calamine to be read: {INSTALL}, or save the table as CSV"
        ) from error
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content.data))
        sheets = book.sheet_names
        if content.part and content.part not in sheets:
            raise UsageError(
                f"{path.name} has no sheet {content.part!r}: it has {first(map(repr, sheets), 6)}"
                f"{nearest(content.part, sheets)}"
            )
        found: list[list[object]] = []
        for name in [content.part] if content.part else sheets:
            sheet = book.get_sheet_by_name(name)
            check_size(path, sheet.height, sheet.width)
            found = [list(map(_cell, row)) for row in sheet.to_python(skip_empty_area=False)]
            if any(any(cell != "" for cell in row) for row in found):
                break
    except (CalamineError, OSError, ValueError) as error:
        raise UsageError(
            f"{path.name} is not an Excel file that can be read: {str(error)[:100]}"
        ) from error
    rows = [(at, row) for at, row in enumerate(found, 1) if any(cell != "" for cell in row)]
    others = [other for other in sheets if other != name]
    notes = (f"sheet {name!r}; others: {first(map(repr, others), 6)} ({path.name}#SHEET)",)
    return [at for at, _ in rows], [row for _, row in rows], notes if others else ()


def _cell(cell: object) -> object:
    """Return a cell as JSON might have it: dates as text, a whole number as an int."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    if isinstance(cell, datetime.timedelta):
        return cell.total_seconds()
    if isinstance(cell, datetime.date | datetime.time | datetime.datetime):
        return cell.isoformat()
    return cell
