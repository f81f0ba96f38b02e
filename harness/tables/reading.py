"""Files of runs as tables of cells: CSV, TSV, JSON lines and Parquet."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UsageError, nearest
from harness.tables.delimited import read_delimited
from harness.tables.json_lines import read_json
from harness.tables.table import Table

FORMATS = {
    ".csv": "CSV",
    ".tsv": "TSV",
    ".jsonl": "JSON lines",
    ".json": "JSON",
    ".parquet": "Parquet",
}
"""How a file's name ends, and what it then is."""

LARGEST = 256 * 2**20
"""Bytes of the largest file that is read: about two million runs of a dozen columns."""


def read_table(path: Path) -> Table:
    """Return the table in the file at ``path``, whose ending says its format.

    Raises
    ------
    UsageError
        Where there is no such file, or it is no table of at least one row.
    """
    format_ = _checked(path)
    try:
        if format_ == "Parquet":
            from harness.tables.parquet import read_parquet

            table = read_parquet(path)
        elif format_ in ("JSON", "JSON lines"):
            table = read_json(path, format_)
        else:
            table = read_delimited(path, format_)
    except UnicodeDecodeError as error:
        raise UsageError(_undecodable(path)) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    if not len(table):
        raise UsageError(f"{path.name} has a header and no rows: there is no run to read")
    return table


def _checked(path: Path) -> str:
    """Return the format of a file that can be opened."""
    if not path.exists():
        beside = [
            file.name
            for file in path.parent.glob("*")
            if file.suffix.lower() in FORMATS and file.is_file()
        ]
        raise UsageError(f"there is no file {path}{nearest(path.name, beside)}")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give one file ending in {_endings()}")
    ending = path.suffix.lower()
    if ending not in FORMATS:
        packed = ending in (".gz", ".zip", ".bz2", ".xz", ".zst")
        advice = "unpack it first" if packed else f"a table's name ends in {_endings()}"
        raise UsageError(f"{path.name} cannot be read as a table: {advice}")
    size = path.stat().st_size
    if size > LARGEST:
        raise UsageError(
            f"{path.name} has {size / 2**20:,.0f} MiB, more than the {LARGEST // 2**20} MiB that "
            "are read: keep one row a run, and only the columns with ids, parameters and outcomes"
        )
    if not size:
        raise UsageError(f"{path.name} is empty: expected a header and a row for each run")
    if ending != ".parquet":
        with path.open("rb") as file:
            head = file.read(4096)
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise UsageError(f"{path.name} is text in UTF-16: save it as UTF-8")
        if b"\0" in head:
            raise UsageError(f"{path.name} holds binary data, not {FORMATS[ending]}")
    return FORMATS[ending]


def _undecodable(path: Path) -> str:
    data = path.read_bytes()
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f"{path.name}, line {line}: not UTF-8 text; save the table as UTF-8"
    return f"{path.name} is not UTF-8 text; save the table as UTF-8"


def _endings() -> str:
    *rest, last = FORMATS
    return f"{', '.join(rest)} or {last}"
