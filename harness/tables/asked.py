"""What a user says about a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user named of a table; all of it is optional.

    ``params``, ``before``, ``after``, ``metric`` and ``by`` are columns, with or without the prefix
    they have in the table. ``target`` is what the metric of a success must beat. ``curves`` is a
    long table of ``run``, ``step``, ``perf`` and optionally ``se``.
    """

    params: tuple[str, ...] = ()
    before: str | None = None
    after: str | None = None
    metric: str | None = None
    direction: Literal["max", "min"] | None = None
    target: float | None = None
    by: tuple[str, ...] = ()
    curves: Path | None = None


NOTHING = Asked()
"""Nothing named: every column is recognised by what it is called."""
