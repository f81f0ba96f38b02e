"""Tables that are written and read, and the reference that nights are compared with."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from harness.tables import ReadOptions, read_runs
from tests.judging.nights import kept, reference

__all__ = ["kept", "reference"]


@pytest.fixture
def table(tmp_path):
    """Write rows to a table and read it."""

    def table(rows, name="runs", **asked):
        path = Path(tmp_path / f"{name}.csv")
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return read_runs(path, ReadOptions(**asked))

    return table
