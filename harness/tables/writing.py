"""Tables written to files: whole or not at all, numbers to the last bit."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.errors import UsageError, nearest
from harness.records import Value
from harness.tables.reading import FORMATS

Columns = Mapping[str, Sequence[Value]]
"""Name → cells [rows]."""


def check_target(path: Path, *, force: bool) -> None:
    """Check that a table may be written to ``path``.

    Raises
    ------
    UsageError
        Where its ending is no table's, its folder is not there, or it exists and ``force`` does
        not say that it may be replaced.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"{path.name} cannot be written as a table: its name must end in "
            f"{', '.join(FORMATS)}{nearest(path.suffix, FORMATS)}"
        )
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to write {path.name} into: make it")
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already: name another file, or replace it by --force")


def write_tables(tables: Mapping[Path, Columns]) -> None:
    """Write each table to its path, in the format that the path's ending says.

    All of them are written beside their places first, and put there once they are whole.

    Raises
    ------
    UsageError
        Where one cannot be written; then none is.
    """
    beside = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in tables}
    try:
        for path, columns in tables.items():
            _write(beside[path], columns, FORMATS[path.suffix.lower()])
        for path, part in beside.items():
            part.replace(path)
    except OSError as error:
        raise UsageError(
            f"{error.filename or next(iter(tables))} cannot be written: {error.strerror or error}"
        ) from error
    finally:
        for part in beside.values():
            part.unlink(missing_ok=True)


def text_of(columns: Columns, format_: str) -> str:
    """Return a table as the text of a file; ``format_`` is any of `FORMATS` but Parquet.

    A missing cell is a blank, or null.
    """
    if format_ in ("CSV", "TSV"):
        text = io.StringIO()
        writer = csv.writer(text, delimiter="," if format_ == "CSV" else "\t", lineterminator="\n")
        writer.writerow(columns)
        # Each number by its repr, which is the shortest text that reads back as the same.
        writer.writerows(zip(*columns.values(), strict=True))
        # A file that holds a zero byte is taken for no text when it is read.
        return text.getvalue().replace("\0", "␀")
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in _rows(columns)]
    if format_ == "JSON":
        return "[\n" + ",\n".join(lines) + "\n]\n"
    return "".join(f"{line}\n" for line in lines)


def _write(path: Path, columns: Columns, format_: str) -> None:
    if format_ == "Parquet":
        from harness.tables.parquet import write_parquet

        write_parquet(path, columns)
    else:
        text = text_of(columns, format_)
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)


def _rows(columns: Columns) -> Iterator[dict[str, Value]]:
    for row in zip(*columns.values(), strict=True):
        yield dict(zip(columns, row, strict=True))
