"""The reference that nights are compared with."""

from __future__ import annotations

from tests.judging.nights import kept, reference

__all__ = ["kept", "reference"]
