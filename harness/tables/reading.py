"""Read a file of runs as a table of cells: CSV, TSV, JSON, JSON lines, or Parquet."""

from __future__ import annotations

import ast
import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from harness.errors import UsageError, nearest
from harness.records import is_number
from harness.tables.table import Table, check_size, value
from harness.text import first, listed, plural

FORMATS = {
    ".csv": "CSV",
    ".tsv": "TSV",
    ".jsonl": "JSON lines",
    ".json": "JSON",
    ".parquet": "Parquet",
}
"""The ending of a file's name → its format."""

LARGEST = 256 * 2**20
"""The largest file that is read, in bytes: about two million runs with a dozen columns."""

NESTS = ("config", "summary", "params", "hparams", "hyperparameters", "metrics", "user_attrs")
"""Columns that may hold a dictionary of a run's settings or results, as those of W&B's API do."""

_WORD = re.compile(r"(?<=[:\[, ])\s*(-?inf|nan)\s*(?=[,}\]])")

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}

_DEEPEST = 20


def read_table(path: Path) -> Table:
    """Read the table in the file at ``path``, whose ending says its format.

    Raises
    ------
    UsageError
        Where there is no such file, or it is not a table with at least one row.
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
    """Check that a file can be read as a table, and return its format."""
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
    return listed(FORMATS, "or")


# ---- separated values ----------------------------------------------------------------------------


def read_delimited(path: Path, format_: str) -> Table:
    """Read a file of separated values; ``format_`` is "CSV" or "TSV"."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        separator = _separator(next((line for line in file if line.strip()), ""), format_)
        file.seek(0)
        places, rows = _rows(path, file, separator)
    if not rows:
        raise UsageError(f"{path.name} has only blank lines: expected a header and rows")
    names, unnamed = _header(path, rows.pop(0), separator)
    check_size(path, len(rows), len(names))
    columns = zip(*rows, strict=True) if rows else iter([()] * len(names))
    named = {name: column for name, column in zip(names, columns, strict=True) if name}
    if separator != {"CSV": ",", "TSV": "\t"}[format_]:
        format_ += f" with {_SEPARATORS[separator]}"
    return Table(path, format_, named, places[1:], unnamed=unnamed)


def _rows(path: Path, file: TextIO, separator: str) -> tuple[list[int], list[list[str]]]:
    """Return the rows that are not blank, the header first, and the line each begins on."""
    reader = csv.reader(file, delimiter=separator, strict=True)
    places: list[int] = []
    rows: list[list[str]] = []
    ended = 0
    try:
        for row in reader:
            begins, ended = ended + 1, reader.line_num
            if not any(cell and not cell.isspace() for cell in row):
                continue
            if rows and len(row) != len(rows[0]):
                raise UsageError(
                    f"{path.name}, line {begins}: {plural(len(row), 'cell')}, but the header "
                    f"names {plural(len(rows[0]), 'column')}; every row needs as many"
                )
            places.append(begins)
            rows.append(row)
    except csv.Error as error:
        raise UsageError(_unreadable(path, reader.line_num, error)) from error
    return places, rows


def _header(path: Path, header: list[str], separator: str) -> tuple[list[str], int]:
    """Return the names of the columns, empty where one has none, and how many have none."""
    names = [name.strip() for name in header]
    names = ["" if re.fullmatch(r"Unnamed: \d+", name) else name for name in names]
    if all(is_number(value(name)) for name in names):
        raise UsageError(
            f"{path.name} begins with numbers ({separator.join(names[:3])}, …): the first line "
            "must name the columns"
        )
    repeated = [name for name, times in Counter(filter(None, names)).items() if times > 1]
    if repeated:
        raise UsageError(
            f"{path.name} names the {_columns(repeated)} more than once: every column needs a "
            "name of its own"
        )
    return names, names.count("")


def _separator(header: str, format_: str) -> str:
    """Return the separator: the usual one, unless the header has only another."""
    usual = "\t" if format_ == "TSV" else ","
    others = [other for other in _SEPARATORS if other != usual and other in header]
    return others[0] if usual not in header and others else usual


def _unreadable(path: Path, line: int, error: csv.Error) -> str:
    if "field limit" in str(error):
        return (
            f"{path.name}: a cell that ends near line {line} has more than "
            f"{csv.field_size_limit():,} characters: a quote is not closed, or the column holds "
            "no table data and should go"
        )
    return f"{path.name}, line {line}: {error}; look for a quote that is not closed"


def _columns(names: Sequence[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {first(map(repr, names), 5)}"


# ---- JSON ----------------------------------------------------------------------------------------


def read_json(path: Path, format_: str) -> Table:
    """Read a file of JSON objects; a column that an object does not have is blank."""
    text = path.read_text(encoding="utf-8-sig")
    items: Iterable[tuple[int, Any]]
    if text.lstrip()[:1] == "[":
        items, format_, unit = enumerate(_items(path, text), 1), "JSON", "item"
    else:
        items, unit = _lines(path, text), "line"
    found = [(place, _object(path, unit, place, item)) for place, item in items]
    if not found:
        raise UsageError(f"{path.name} holds no objects: expected one for each run")
    if len(found) == 1 and _is_by_column(found[0][1]):
        raise UsageError(
            f"{path.name} is one object of objects: expected one for each run, as pandas writes "
            "with to_json(orient='records', lines=True)"
        )
    places = [place for place, _ in found]
    rows = [_flat(path, unit, place, row) for place, row in found]
    names = list(dict.fromkeys(name for row in rows for name in row))
    check_size(path, len(rows), len(names))
    columns = {name: [row.get(name) for row in rows] for name in names if name.strip()}
    return Table(path, format_, columns, places, unit)


def _is_by_column(row: dict[str, Any]) -> bool:
    """Return whether an object is a whole table: an object of index → cell for each column."""
    return bool(row) and all(
        isinstance(column, dict) and column and all(key.isdigit() for key in column)
        for column in row.values()
    )


def _items(path: Path, text: str) -> list[Any]:
    try:
        items: list[Any] = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"{path.name}, line {error.lineno}: not JSON ({error.msg})"
        raise UsageError(message) from error
    except (RecursionError, ValueError) as error:
        raise UsageError(f"{path.name} is not JSON that can be read ({error})") from error
    return items


def _lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for place, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (RecursionError, ValueError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else error
            raise UsageError(
                f"{path.name}, line {place}: not JSON ({reason}); expected one object a line, or "
                "one list of objects"
            ) from error
        yield place, item


def _object(path: Path, unit: str, place: int, item: object) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise UsageError(
            f"{path.name}, {unit} {place}: {_short(item)} is not an object of column → value"
        )
    return item


def _flat(path: Path, unit: str, place: int, row: dict[str, Any]) -> dict[str, object]:
    """Return a row with nested objects as columns of their own, named with dots."""
    flat: dict[str, object] = {}
    for name, item in flattened(row):
        if name in flat:
            raise UsageError(f"{path.name}, {unit} {place}: column {name!r} is there twice")
        flat[name] = item
    return flat


def flattened(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the cells of nested objects by their dotted names; a list becomes text."""
    for key, item in row.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict) and name.count(".") < _DEEPEST:
            yield from flattened(item, f"{name}.")
        elif isinstance(item, dict | list):
            yield name, json.dumps(item, default=str)
        else:
            yield name, item


def _short(item: object) -> str:
    text = json.dumps(item, default=str)
    return text if len(text) <= 40 else f"{text[:37]}…"


# ---- cells that hold dictionaries ----------------------------------------------------------------


def opened(table: Table) -> Table:
    """Open columns of dictionaries, such as ``config``, into columns like ``config.lr``.

    A column of anything else stays as it is, and so does one whose keys are columns already.
    """
    columns: dict[str, Sequence[object]] = {}
    for name, cells in table.columns.items():
        inside = _inside(cells) if name in NESTS else None
        rows = [dict(flattened(row, f"{name}.")) for row in inside or ()]
        keys = dict.fromkeys(key for row in rows for key in row)
        if inside is None or keys.keys() & table.columns.keys():
            columns[name] = cells
        else:
            columns |= {key: [row.get(key) for row in rows] for key in keys}
    return replace(table, columns=columns)


def _inside(cells: Iterable[object]) -> list[dict[str, Any]] | None:
    """Return the dictionaries [rows] that cells hold; None where any holds something else."""
    found: list[dict[str, Any]] = []
    for cell in cells:
        text = str(cell or "{}").strip() or "{}"
        if not text.startswith("{") or (row := _dictionary(text)) is None:
            return None
        found.append(row)
    return found if any(found) else None


def _dictionary(text: str) -> dict[str, Any] | None:
    """Return a dictionary that is written as JSON or as Python; None where it is neither."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        try:
            row = ast.literal_eval(_WORD.sub(r"'\1'", text))
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return None
    return {str(key): item for key, item in row.items()} if isinstance(row, dict) else None
