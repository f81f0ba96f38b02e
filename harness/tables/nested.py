"""Columns of dictionaries written as text, opened into a column for each of their keys."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from harness.tables.json_lines import flattened
from harness.tables.table import Table

NESTS = ("config", "summary", "params", "hparams", "hyperparameters", "metrics", "user_attrs")
"""Columns that hold a run's settings or results as one dictionary, as those of W&B's API do."""

_WORD = re.compile(r"(?<=[:\[, ])\s*(-?inf|nan)\s*(?=[,}\]])")


def opened(table: Table) -> Table:
    """Return the table with ``config``, a column of dictionaries, as ``config.lr`` and the like.

    A column of anything else is left as it is, and so is one whose keys are there already.
    """
    columns: dict[str, Sequence[object]] = {}
    for name, cells in table.columns.items():
        inside = _inside(cells) if name in NESTS else None
        if inside is None:
            columns[name] = cells
            continue
        rows = [dict(flattened(row, f"{name}.")) for row in inside]
        keys = dict.fromkeys(key for row in rows for key in row)
        if keys.keys() & table.columns.keys():
            columns[name] = cells
        else:
            columns |= {key: [row.get(key) for row in rows] for key in keys}
    return replace(table, columns=columns)


def _inside(cells: Iterable[object]) -> list[dict[str, Any]] | None:
    """Return the dictionaries [rows] that cells hold; None where any holds something else."""
    found: list[dict[str, Any]] = []
    for cell in cells:
        text = str(cell or "{}").strip() or "{}"
        if not text.startswith("{") or (row := _dictionary(text)) is None:
            return None
        found.append(row)
    return found if any(found) else None


def _dictionary(text: str) -> dict[str, Any] | None:
    """Return a dictionary written as JSON or as Python writes it; None where it is neither."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        try:
            row = ast.literal_eval(_WORD.sub(r"'\1'", text))
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return None
    return {str(key): item for key, item in row.items()} if isinstance(row, dict) else None
