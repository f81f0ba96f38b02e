"""What was looked at, what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at. An ``error`` is broken; a ``warning`` may become it, or costs something.

    ``advice`` says what to do, where there is anything to do.
    """

    name: str
    found: str
    level: Level = "ok"
    advice: str = ""
