"""Tables of finished runs, from wherever they were trained, as the harness's records."""

from harness.tables.asked import Asked
from harness.tables.cells import value
from harness.tables.naming import canonical
from harness.tables.runs import Reading, read_runs

__all__ = ["Asked", "Reading", "canonical", "read_runs", "value"]
