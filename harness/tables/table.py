"""A table as it stands in its file, and the values that its cells hold."""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeGuard

from harness.errors import UsageError
from harness.records import Value, is_number, is_whole

MOST_CELLS = 50_000_000
"""Rows times columns of the largest table that is held in memory."""

BLANK = frozenset({"", "na", "n/a", "none", "null", "<na>"})
"""Texts that stand for a missing value, in upper or lower case."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII)
_WORDS = {"true": True, "false": False, "nan": math.nan} | {
    sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in ("inf", "infinity")
}
_WHOLE = 2.0**53
_LONGEST = 40
_LARGEST = 10**300


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table as it stands in its file.

    ``columns`` are name → cells [rows], in the order of the file; cells of CSV and TSV are text.
    ``places`` [rows] are the numbers, from 1, of the lines or rows of the file, as ``unit`` says.
    ``unnamed`` counts the columns left out because they have no name, like the index that pandas
    writes.
    """

    path: Path
    format: str
    columns: Mapping[str, Sequence[object]]
    places: Sequence[int]
    unit: str = "line"
    unnamed: int = 0
    _values: dict[str, list[Value]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.places)

    def values(self, name: str) -> list[Value]:
        """Return the cells of a column [rows] as values, see `value`."""
        if name not in self._values:
            self._values[name] = values(self.columns[name])
        return self._values[name]

    def where(self, row: int) -> str:
        """Return the place of a row in the file: ``runs.csv, line 12``."""
        return f"{self.path.name}, {self.unit} {self.places[row]}"


def check_size(path: Path, rows: int, columns: int) -> None:
    """Raise a UsageError where a table is too large to be held in memory."""
    if rows * columns > MOST_CELLS:
        raise UsageError(
            f"{path.name} has {rows:,} rows of {columns:,} columns, more than the "
            f"{MOST_CELLS:,} cells that are read: keep only the columns with ids, parameters and "
            "outcomes"
        )


# ---- cells ---------------------------------------------------------------------------------------


def value(cell: object) -> Value:
    """Return a cell as a value: a bool, an int, a float (nan and ±inf too), text, or None.

    >>> [value(cell) for cell in ("8", "1e-3", "True", "NA", "cosine")]
    [8, 0.001, True, None, 'cosine']
    """
    if cell is None or isinstance(cell, bool | int | float):
        return cell
    text = str(cell).strip()
    word = text.lower()
    if word in BLANK:
        return None
    if word in _WORDS:
        return _WORDS[word]
    # Text with more digits than any number needs is a name that happens to be digits.
    if len(word) <= _LONGEST and (match := _NUMBER.fullmatch(word)):
        return int(word) if match[1].isdigit() and not match[2] else float(word)
    return text


def values(cells: Iterable[object]) -> list[Value]:
    """Return the cells of a column [n] as values."""
    of_text = cache(value)  # of text alone: 1, 1.0 and True are one key
    return [of_text(cell) if isinstance(cell, str) else value(cell) for cell in cells]


def levels(found: Iterable[Value]) -> list[Value]:
    """Return the values of a column [n] as those of a parameter.

    NaN becomes a blank. A number that is infinite, or larger than any float, becomes text: it has
    no place on a scale. A tuple that is written as Python writes it becomes one. Where every number
    is whole, all become ints: 16 and 16.0 are one level.
    """
    items = [_level(item) for item in found]
    if all(item.is_integer() and abs(item) < _WHOLE for item in items if isinstance(item, float)):
        return [int(item) if isinstance(item, float) else item for item in items]
    return [float(item) if _is_exact(item) else item for item in items]


def is_numeric(found: Sequence[Value]) -> bool:
    """Return whether a column has numbers, and otherwise only blanks."""
    known = [item for item in found if item is not None]
    return bool(known) and all(map(is_number, known))


def identity(cell: object) -> str:
    """Return a cell as an id, as it is written ("007", "1e5"); a blank as the empty text."""
    if cell is None:
        return ""
    if isinstance(cell, float) and not math.isinf(cell):
        return "" if math.isnan(cell) else str(int(cell) if cell.is_integer() else cell)
    return str(cell).strip()


def _level(item: Value) -> Value:
    if isinstance(item, float) and not math.isfinite(item):
        return None if math.isnan(item) else str(item)
    if isinstance(item, str) and item[:1] == "(":
        return _tuple(item)
    return str(item) if isinstance(item, int) and abs(item) > _LARGEST else item


@cache
def _tuple(text: str) -> Value:
    """Return the tuple of plain values that ``text`` is the repr of, or else ``text``."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of text that looks like a call
            found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return found if repr(found) == text and _is_plain(found) else text


def _is_plain(found: object) -> bool:
    if isinstance(found, tuple):
        return all(map(_is_plain, found))
    if isinstance(found, float):
        return math.isfinite(found)
    return found is None or isinstance(found, bool | int | str)


def _is_exact(item: Value) -> TypeGuard[int]:
    return is_whole(item) and abs(item) < _WHOLE
