"""Read spaces from elsewhere, and write them as sweep files."""

from __future__ import annotations

from harness.spaces.found import FoundSpace, Note
from harness.spaces.reading import read_space

__all__ = ["FoundSpace", "Note", "read_space"]
