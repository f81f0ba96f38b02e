"""A table as it stands in its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UsageError
from harness.records import Value
from harness.tables import cells as cells_

MOST_CELLS = 50_000_000
"""Rows times columns of the largest table that is held in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table as it stands in its file.

    ``columns`` are name → cells [rows], in the order of the file; cells of CSV and TSV are text.
    ``places`` [rows] count lines or rows of the file from 1, whichever ``unit`` says. ``unnamed``
    is how many columns were left out for want of a name, as the index that pandas writes.
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
        """Return what the cells of a column [rows] say, see `harness.tables.cells.value`."""
        if name not in self._values:
            self._values[name] = cells_.values(self.columns[name])
        return self._values[name]

    def where(self, row: int) -> str:
        """Return the place of a row in words: ``runs.csv, line 12``."""
        return f"{self.path.name}, {self.unit} {self.places[row]}"


def check_size(path: Path, rows: int, columns: int) -> None:
    """Raise a UsageError where a table is too large to be held in memory."""
    if rows * columns > MOST_CELLS:
        raise UsageError(
            f"{path.name} has {rows:,} rows of {columns:,} columns, more than the "
            f"{MOST_CELLS:,} cells that are read: keep only the columns with ids, parameters and "
            "outcomes"
        )
