"""Judge tables and load stored sweeps from Python; a notebook shows the report."""

from harness.notebook.stored import StoredSweep, load
from harness.notebook.tables import JudgedTable, judge, judged_table

__all__ = ["JudgedTable", "StoredSweep", "judge", "judged_table", "load"]
