"""One path from questions to a judgement, for stored sweeps and for tables alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.claims import judge_all
from harness.protocols import Claim
from harness.records import Conditions, Result
from harness.verdicts import Evidence, Finding, NotNeeded, Regressions, Verdict


@dataclass(frozen=True, slots=True)
class Question:
    """A claim with the evidence that it is judged on: not every claim counts the same runs."""

    id: str
    claim: Claim
    evidence: Evidence


@dataclass(frozen=True, eq=False)
class Judgement:
    """The verdicts on the runs of a sweep or a table, with all that a report is made of.

    ``missing`` says in words what has not finished, as "4 of 24 runs missing"; ``unfinished`` are
    results that are no evidence: failed, timed out, interrupted. ``scale`` says in words how much
    of the declared sweep this is, where it is ``scaled_down``. ``not_needed`` counts runs that were
    spared, since every question was answered without them. ``compared`` has the questions of a
    reference report. ``conditions`` and ``steps`` are what the runs were trained under and for;
    those of the first run where None.
    """

    evidence: Evidence
    verdicts: tuple[Verdict, ...] = ()
    findings: tuple[Finding, ...] = ()
    scaled_down: bool = False
    scale: str = ""
    missing: tuple[str, ...] = ()
    unfinished: tuple[Result, ...] = ()
    not_needed: NotNeeded | None = None
    compared: Regressions | None = None
    conditions: Conditions | None = None
    steps: int | None = None


def judge_each(questions: Iterable[Question]) -> tuple[Verdict, ...]:
    """Judge each question on its own evidence; nothing is corrected for their number."""
    return tuple(
        judge_all({question.id: question.claim}, question.evidence)[0] for question in questions
    )


def not_asked(verdicts: Sequence[Verdict], evidence: Evidence) -> tuple[Verdict, ...]:
    """Return the standard questions that are not among ``verdicts``, each as not asked."""
    asked = {verdict.id for verdict in verdicts}
    return tuple(verdict for verdict in judge_all({}, evidence) if verdict.id not in asked)
