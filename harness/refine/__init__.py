"""Propose the next sweep, narrower only where the finished runs support it."""

from __future__ import annotations

from harness.refine.next_runs import advise
from harness.refine.options import Advice, ConfirmOption, Narrower, Nothing, Option, Seeds, Wider
from harness.refine.parameters import refine
from harness.refine.proposal import Action, Figure, Proposal, ProposedQuestion, Revision
from harness.refine.source import python

__all__ = [
    "Action",
    "Advice",
    "ConfirmOption",
    "Figure",
    "Narrower",
    "Nothing",
    "Option",
    "Proposal",
    "ProposedQuestion",
    "Revision",
    "Seeds",
    "Wider",
    "advise",
    "python",
    "refine",
]
