"""Read tables of finished runs, wherever they were trained, as the harness's records."""

from harness.tables.columns import ReadOptions
from harness.tables.runs import Reading, read_runs
from harness.tables.table import value
from harness.words import canonical

__all__ = ["ReadOptions", "Reading", "canonical", "read_runs", "value"]
