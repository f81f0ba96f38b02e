"""Read what holds runs as a table of cells: a file, a tracker's store, or a data frame."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.records import is_number
from harness.tables import files, table
from harness.tables.columns import NOTHING, ReadOptions
from harness.tables.files import Content
from harness.tables.frames import NAME, from_frame
from harness.tables.objects import read_json
from harness.tables.stores import is_log, kind_of, read_logs, read_store, without_parents
from harness.tables.table import Table, check_size, value
from harness.text import first, plural

Source = Any
"""The source of a table: a path or a name as `read_table` takes it, or a data frame."""

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def path_of(source: Source) -> Path:
    """Return the path of a source, or what stands for one."""
    if isinstance(source, tuple):
        return Path(source[0])
    return Path(source) if isinstance(source, str | Path) else NAME


def read_table(source: Source, options: ReadOptions = NOTHING) -> Table:
    """Read the table that ``source`` names or is.

    It is a path whose ending says its format, ``-`` for standard input, ``FILE#PART`` for a part
    of it (a sheet, a study, an experiment), a tracker's folder, database or address, a log of an
    evaluation, a folder of them or a tuple of their names, or a data frame.

    Raises
    ------
    UsageError
        Where there is no such file, or it is not a table with at least one row.
    """
    if isinstance(source, tuple):
        found = read_logs(source, options)
    elif isinstance(source, str | Path):
        found = _named(str(source), options)
    else:
        found = from_frame(source)
    if not len(found):
        raise UsageError(f"{found.path.name} has a header and no rows: there is no run to read")
    return without_parents(found)


def _named(name: str, options: ReadOptions) -> Table:
    file, part = files.divided(name)
    kind = kind_of(file)
    if kind is not None and is_log(kind):
        return read_logs((file,), options)
    for flag, given in (("--clusters", options.clusters), ("--before-log", options.before_log)):
        if given is not None and not options.may_lack:
            raise UsageError(f"{flag} {given} is for logs of evaluations, and {file} is none")
    if kind is not None:
        return read_store(file, kind, part)
    content = files.read_content(file, part)
    try:
        if content.format == "Parquet":
            from harness.tables.binary import read_parquet

            found = read_parquet(content)
        elif content.format == "Excel":
            found = read_excel(content)
        elif content.format in ("JSON", "JSON lines"):
            found = read_json(content)
        else:
            found = read_delimited(content)
    except UnicodeDecodeError as error:
        raise UsageError(files.undecodable(content)) from error
    if content.part and content.format in ("CSV", "TSV", "Parquet"):
        raise UsageError(f"{content.path.name} has no parts, such as #{content.part}: leave it out")
    packed = f", unpacked from {content.packed}" if content.packed else ""
    return found.replaced(format=found.format + packed)


# ---- separated values ----------------------------------------------------------------------------


def read_delimited(content: Content) -> Table:
    """Read a file of separated values, in UTF-8."""
    path, format_ = content.path, str(content.format)
    usual = {"CSV": ",", "TSV": "\t"}[format_]
    separator = _separator(_header_line(content.data), usual)
    comments: list[int] = []
    places, rows = _rows(content, separator, comments)
    if not rows:
        raise UsageError(f"{path.name} has only blank lines: expected a header and rows")
    notes = (_on_comments(comments),) if comments else ()
    if separator != usual:
        format_ += f" with {_SEPARATORS[separator]}"
    return _table(path, format_, places, rows, separator=separator, notes=notes)


def read_excel(content: Content) -> Table:
    """Read a sheet of an Excel file, whose first row with a cell names the columns."""
    from harness.tables.binary import read_sheet

    places, rows, notes = read_sheet(content)
    if not rows:
        raise UsageError(f"{content.path.name} has only blank rows: expected a header and rows")
    return _table(content.path, "Excel", places, rows, unit="row", notes=notes)


def _table(
    path: Path,
    format_: str,
    places: Sequence[int],
    rows: Sequence[Sequence[object]],
    **more: Any,  # noqa: ANN401 (the fields of a table)
) -> Table:
    """Return the table of ``rows``, the header first, and the place each begins at."""
    names, unnamed = _header(path, [str(cell) for cell in rows[0]], more.get("separator", ", "))
    check_size(path, len(rows) - 1, len(names))
    columns = zip(*rows[1:], strict=True) if len(rows) > 1 else iter([()] * len(names))
    named = {name: column for name, column in zip(names, columns, strict=True) if name}
    return Table(path, format_, named, places[1:], unnamed=unnamed, **more)


def _rows(
    content: Content, separator: str, comments: list[int]
) -> tuple[list[int], list[list[str]]]:
    """Return the rows that are not blank, the header first, and the line each begins on.

    The lines of ``comments``, which begin with ``#`` and are no rows, are added to them.
    """
    path = content.path
    text = io.TextIOWrapper(io.BytesIO(content.data), encoding="utf-8-sig", newline="")
    reader = csv.reader(text, delimiter=separator, strict=True)
    places: list[int] = []
    rows: list[list[str]] = []
    before: list[str] = []
    ended = beyond = most = 0
    try:
        for row in reader:
            begins, ended = ended + 1, reader.line_num
            if not any(cell and not cell.isspace() for cell in row):
                continue
            if row[0][:1] == "#" and (not rows or len(row) != len(rows[0])):
                comments.append(begins)
                before = before if rows else row
                continue
            if not rows and before and _is_header(before, row):
                places.append(comments.pop())
                rows.append([before[0].lstrip("# "), *before[1:]])
                most = table.MOST_CELLS // len(row) + 1
            if rows and len(row) != len(rows[0]):
                raise UsageError(
                    f"{path.name}, line {begins}: {plural(len(row), 'cell')}, but the header "
                    f"names {plural(len(rows[0]), 'column')}; every row needs as many"
                )
            if not rows:
                most = table.MOST_CELLS // len(row) + 1
            if len(rows) <= most:
                places.append(begins)
                rows.append(row)
            else:
                beyond += 1
    except csv.Error as error:
        raise UsageError(_unreadable(path, reader.line_num, error)) from error
    if beyond:
        check_size(path, len(rows) - 1 + beyond, len(rows[0]))
    return places, rows


def _is_header(comment: Sequence[str], row: Sequence[str]) -> bool:
    """Return whether a comment names the columns: it has as many cells as a row of numbers."""
    return len(comment) == len(row) > 1 and any(is_number(value(cell)) for cell in row)


def _on_comments(lines: Sequence[int]) -> str:
    which = first(map(str, lines), 5)
    return f"comments, left out: line{'s' if len(lines) > 1 else ''} {which}"


def _header(path: Path, header: list[str], separator: str) -> tuple[list[str], int]:
    """Return the names of the columns, empty where one has none, and how many have none."""
    names = [name.strip() for name in header]
    names = ["" if re.fullmatch(r"Unnamed: \d+(\.\d+)?", name) else name for name in names]
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


def _header_line(data: bytes) -> str:
    """Return the first line with text that is no comment, or else the last that is one."""
    found = ""
    for line in io.BytesIO(data):
        if line.strip(b"\xef\xbb\xbf \t\r\n"):
            found = line.decode("utf-8", "replace")
            if found.lstrip("\ufeff")[:1] != "#":
                break
    return found


def _separator(header: str, usual: str) -> str:
    """Return the separator: the usual one, unless the header has only another."""
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
