"""The next, narrower sweep: what the runs of a sweep or of a table support, and no more."""

from __future__ import annotations

from harness.refine.proposing import refine
from harness.refine.source import python
from harness.refine.values import Action, Asked, Figure, Proposal, Revision

__all__ = ["Action", "Asked", "Figure", "Proposal", "Revision", "python", "refine"]
