"""CSV and TSV files as tables of text."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from harness.errors import UsageError
from harness.tables import cells as cells_
from harness.tables.table import Table, check_size
from harness.text import plural

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def read_delimited(path: Path, format_: str) -> Table:
    """Return the table in a file of separated values; ``format_`` is "CSV" or "TSV".

    Raises
    ------
    UsageError
        Where rows are not as long as the header, or names are missing or repeated.
    """
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
    """Return the rows that are not blank, the header first, with the lines they begin on."""
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
    """Return the names of the columns, empty for those without one, and how many those are."""
    names = [name.strip() for name in header]
    names = ["" if re.fullmatch(r"Unnamed: \d+", name) else name for name in names]
    if all(cells_.is_number(cells_.value(name)) for name in names):
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
    """Return what separates the columns: the usual, unless the header has another one only."""
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
    listed = ", ".join(map(repr, names[:5])) + (", …" if len(names) > 5 else "")
    return f"column {listed}" if len(names) == 1 else f"columns {listed}"
