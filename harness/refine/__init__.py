"""Propose the next sweep, narrower only where the finished runs support it."""

from __future__ import annotations

from harness.refine.parameters import refine
from harness.refine.proposal import Action, Figure, Proposal, ProposedQuestion, Revision
from harness.refine.source import python

__all__ = ["Action", "Figure", "Proposal", "ProposedQuestion", "Revision", "python", "refine"]
