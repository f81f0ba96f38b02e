"""All questions of a sweep, judged together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness import statistics
from harness.claims.base import BaseClaim, unjudgeable
from harness.claims.mean import MeanAboveBaseline
from harness.claims.non_inferiority import NoWorse
from harness.claims.plateau import StillImproves
from harness.claims.success import SuccessAbove
from harness.claims.success_baseline import SuccessAboveBaseline
from harness.claims.sweet_spot import BestInside
from harness.claims.tail import LowerTailAboveBaseline
from harness.claims.variance import SpreadBelowBaseline
from harness.protocols import Claim
from harness.verdicts import Evidence, Verdict

NOT_ASKED = "this sweep does not ask this question"

_STANDARD: Mapping[str, BaseClaim] = {
    "success_above_half": SuccessAbove(0.5),
    "success_vs_baseline": SuccessAboveBaseline(),
    "mean_vs_baseline": MeanAboveBaseline(),
    "variance_vs_baseline": SpreadBelowBaseline(),
    "lower_tail_vs_baseline": LowerTailAboveBaseline(),
    "plateau": StillImproves(),
    "lr_sweet_spot": BestInside("learning_rate"),
    "batch_size": NoWorse("batch_size", 8, (4, 12)),
}

STANDARD_IDS: tuple[str, ...] = tuple(_STANDARD)
"""The questions that every report answers, asked or not."""


def judge_all(questions: Mapping[str, Claim], evidence: Evidence) -> tuple[Verdict, ...]:
    """Judge ``questions`` in their order, correct for their number, and add the standard ones.

    A standard question that the sweep does not ask is unanswerable and takes no part in the
    correction. Where the metric is the same in every run, nothing is answered, whoever made the
    claim.
    """
    judged = [
        unjudgeable(claim, name, evidence) or claim.judge(name, evidence)
        for name, claim in questions.items()
    ]
    missing = [_not_asked(name, evidence) for name in STANDARD_IDS if name not in questions]
    return (*with_holm(judged), *missing)


def with_holm(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Return ``verdicts`` with ``p_holm``, corrected over all that have a p value.

    Give the verdicts of all groups at once where a sweep is judged within groups. A question that
    the design rules out has no p value and stays out; one that the data do not answer has 1.
    """
    p_values = [verdict.p_value for verdict in verdicts]
    corrected = iter(statistics.holm([p for p in p_values if p is not None]))
    return tuple(
        replace(verdict, p_holm=None if verdict.p_value is None else next(corrected))
        for verdict in verdicts
    )


def _not_asked(name: str, evidence: Evidence) -> Verdict:
    return Verdict(
        id=name,
        question=_STANDARD[name].question(evidence.metric),
        claim="",
        verdict="unanswerable",
        answer=NOT_ASKED,
        reason=NOT_ASKED,
    )
