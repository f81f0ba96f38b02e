"""Names of baselines: counts as K/N or ``published``, the path of a table, or else a sweep."""

from __future__ import annotations

import re

from harness.errors import UsageError
from harness.verdicts import Counts

ENDINGS = (
    ".csv",
    ".tsv",
    ".jsonl",
    ".ndjson",
    ".json",
    ".parquet",
    ".xlsx",
    ".xls",
    ".ods",
)
"""The endings of the name of a table of finished runs."""

PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
"""The endings that may follow, of a file that is compressed."""

STORES = (".db", ".sqlite", ".sqlite3", ".wandb", ".log", ".eval")
"""The endings of trackers' databases and of logs."""

FOLDERS = ("mlruns", "wandb", "ray_results")
"""The names that trackers give the folders of their stores."""

STDIN = "-"
"""The name of standard input."""


def is_table(name: str) -> bool:
    """Return whether ``name`` looks like the path of a table, not like the name of a sweep.

    A part of it may be named after ``#``, and it may be a tracker's store: ``mlruns#my sweep``.
    """
    file = name.partition("#")[0]
    is_store = file.endswith(STORES) or file in FOLDERS
    return has_ending(file) or is_store or name == STDIN or "/" in name or "\\" in name


def has_ending(name: str) -> bool:
    """Return whether a name ends as that of a table does, compressed or not."""
    name = name.lower()
    inner = name.rpartition(".")[0] if name.endswith(PACKED) else name
    return inner.endswith(ENDINGS) or name.endswith(".zip")


PUBLISHED = Counts(
    name="published",
    successes=6,
    runs=19,
    rule="ΔPerf > 0",
    source="the published summary of a broad sweep of 48 runs: learning rates 1e-7 to 3e-7",
)
"""Six of nineteen: the 31.6% that the focused sweep was to beat (95% interval 15 to 54%)."""


def counted(text: str) -> Counts | None:
    """Return the counts that ``text`` states (6/19) or names (published), else None.

    Those that it states are by the rule of the sweep that they are for.
    """
    if text == PUBLISHED.name:
        return PUBLISHED
    stated = re.fullmatch(r"(\d+)/(\d+)", text)
    if stated is None:
        return None
    successes, runs = map(int, stated.groups())
    if successes > runs or runs < 1:
        raise UsageError(
            f"baseline {text}: expected SUCCESSES/RUNS, at most as many successes as runs"
        )
    return Counts(text, successes, runs, rule="", source="given on the command line")
