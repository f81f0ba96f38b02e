"""Read and write Parquet files by pyarrow, which is imported for them alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.records import Value
from harness.tables.table import Table, check_size

_PIP = 'pip install "pytest-sweep[tables]"'


def read_parquet(path: Path) -> Table:
    """Read the table in a Parquet file.

    A struct becomes a column for each of its fields, named with dots; a list becomes text.

    Raises
    ------
    UsageError
        Where pyarrow is not installed, or the file is not a Parquet file or is too large.
    """
    try:
        import pyarrow as arrow
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{path.name} needs pyarrow to be read: {_PIP}, or save the table as CSV"
        ) from error
    try:
        with ParquetFile(path) as file:
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
            f"a Parquet file needs pyarrow to be written: {_PIP}, or write a CSV file"
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
