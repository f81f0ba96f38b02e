"""Whether a sweep has lost what a stored report of it had shown, by more than both sides' noise."""

from __future__ import annotations

from harness.regressions.against import compare
from harness.regressions.reference import Reference, load, references

__all__ = ["Reference", "compare", "load", "references"]
