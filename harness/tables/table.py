"""A table as it stands in its file, and the values that its cells hold."""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeGuard

from harness.errors import UsageError
from harness.records import ItemScores, Value, is_number, is_whole
from harness.sweeps.baseline import PACKED
from harness.tables.conventions import PLAIN, Convention, decide, has_commas, has_points

Direction = Literal["max", "min"]

History = Mapping[str, Sequence[tuple[int, float]]]
"""Run id → its points along training, (step, number), in the order of the steps."""

MOST_CELLS = 20_000_000
"""Rows times columns of the largest table that is read: as text, about 2 GB of memory."""

BLANK = frozenset({"", "na", "n/a", "none", "null", "<na>"})
"""Texts that stand for a missing value, in upper or lower case."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII)
_WORDS = {"true": True, "false": False, "nan": math.nan} | {
    sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in ("inf", "infinity")
}
_NO_NUMBERS = BLANK | _WORDS.keys()
_WHOLE = 2.0**53
_LONGEST = 40
_LARGEST = 10**300


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table as it stands in its file.

    ``path`` names the source: a file, a folder, or what stands for one, such as ``stdin``.
    ``columns`` are name → cells [rows], in the order of the file; cells of CSV and TSV are text.
    ``places`` [rows] are the numbers, from 1, of the lines or rows of the file, as ``unit`` says.
    ``unnamed`` counts the columns left out because they have no name, like the index that pandas
    writes. ``separator`` is the one between cells, empty where there is none. ``notes`` tell how
    the file was read, and ``aside`` are a reason → columns that were left out. ``history`` gives a
    column's points along training, where the source has them: run id → (step, number) in the order
    of the steps, and ``items`` its scores by item: run id → scores. ``directions`` are column →
    whether more or less of it is better, where the source says so.
    """

    path: Path
    format: str
    columns: Mapping[str, Sequence[object]]
    places: Sequence[int]
    unit: str = "line"
    unnamed: int = 0
    separator: str = ""
    notes: tuple[str, ...] = ()
    aside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    history: Callable[[str], History] | None = None
    items: Callable[[str], Mapping[str, ItemScores]] | None = None
    directions: Mapping[str, Direction] = field(default_factory=dict)
    _values: dict[str, list[Value]] = field(default_factory=dict, repr=False)
    _conventions: dict[str, Convention] = field(default_factory=dict, repr=False)
    _marks: dict[str, tuple[bool, bool]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def stem(self) -> str:
        """Return the name without its endings: that of its runs' sweep."""
        return stem(self.path)

    def values(self, name: str) -> list[Value]:
        """Return the cells of a column [rows] as values, under one convention, see `values`."""
        if name not in self._values:
            self._values[name] = values(self.columns[name], self.convention(name))
        return self._values[name]

    def convention(self, name: str) -> Convention:
        """Return how the numbers of a column are written."""
        if name not in self._conventions:
            cells = {cell for cell in self.columns[name] if isinstance(cell, str)}
            texts = {text for text in map(str.strip, cells) if text.lower() not in _NO_NUMBERS}
            # Plain numbers with a point are thousands only in a file that has decimal commas.
            plain = all(map(_NUMBER.fullmatch, map(str.lower, texts)))
            if plain and not (any("." in text for text in texts) and self._elsewhere(name)[0]):
                self._conventions[name] = PLAIN
            else:
                order = dict.fromkeys(str(cell).strip() for cell in self.columns[name])
                inside = [text for text in order if text in texts]
                found = decide(inside, lambda: self._elsewhere(name), self.separator)
                self._conventions[name] = found
        return self._conventions[name]

    def _elsewhere(self, name: str) -> tuple[bool, bool]:
        """Return whether other columns show decimal commas, and decimal points."""
        for other in self.columns.keys() - self._marks.keys():
            texts = {cell.strip() for cell in self.columns[other] if isinstance(cell, str)}
            decimals = any(isinstance(cell, float) for cell in self.columns[other])
            self._marks[other] = has_commas(texts), decimals or has_points(texts)
        shown = [marks for other, marks in self._marks.items() if other != name]
        return any(commas for commas, _ in shown), any(points for _, points in shown)

    def check(self, name: str) -> None:
        """Raise a UsageError where the numbers of a column can be read in several ways."""
        doubt = self.convention(name).doubt
        if doubt is not None:
            cells = self.columns[name]
            row = next(r for r, cell in enumerate(cells) if str(cell).strip() == doubt[0])
            raise UsageError(f"{self.where(row)}: {doubt[0]!r} in column {name!r}: {doubt[1]}")

    def rows(self, kept: Sequence[int], note: str) -> Table:
        """Return the table of the rows ``kept``, with a note on those that are left out."""
        columns = {name: [cells[row] for row in kept] for name, cells in self.columns.items()}
        places = [self.places[row] for row in kept]
        return self.replaced(columns=columns, places=places, notes=(*self.notes, note))

    def replaced(self, **changed: Any) -> Table:  # noqa: ANN401 (the fields of a table)
        """Return the table with other columns, rows or notes, and nothing read of them yet."""
        return replace(self, _values={}, _conventions={}, _marks={}, **changed)

    def where(self, row: int) -> str:
        """Return the place of a row in the file: ``runs.csv, line 12``."""
        return f"{self.path.name}, {self.unit} {self.places[row]}"


def stem(path: Path) -> str:
    """Return the name of a table's file without its endings: ``runs`` of ``runs.csv.gz``."""
    inner = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return inner.stem


def check_size(path: Path, rows: int, columns: int, *, more: bool = False) -> None:
    """Raise a UsageError where a table is too large to be held in memory.

    With ``more`` these are not all of its rows.
    """
    if rows * columns > MOST_CELLS:
        raise UsageError(
            f"{path.name} has {'at least ' * more}{rows:,} rows of {columns:,} columns, more than "
            f"the {MOST_CELLS:,} cells that are read: keep only the columns with ids, parameters "
            "and outcomes"
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


def values(cells: Iterable[object], convention: Convention = PLAIN) -> list[Value]:
    """Return the cells of a column [n] as values, its numbers written as ``convention`` says.

    True and false beside numbers stay text, as they are written: True equals 1, and would be one
    value with it.
    """
    read = convention.read

    @cache  # of text alone: 1, 1.0 and True are one key
    def of_text(cell: str) -> Value:
        return value(read.get(cell.strip(), cell))

    cells = list(cells)
    found = [of_text(cell) if isinstance(cell, str) else value(cell) for cell in cells]
    kinds = {type(item) for item in found}
    if bool in kinds and not kinds.isdisjoint((int, float)):
        for row, (cell, item) in enumerate(zip(cells, found, strict=True)):
            if isinstance(item, bool):
                found[row] = str(cell).strip()
    return found


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
