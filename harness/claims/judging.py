"""All questions of a sweep, judged together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness import statistics
from harness.claims.base import BaseClaim, constant_metric
from harness.claims.best_value import BestInside
from harness.claims.curve import StillImproves
from harness.claims.reference_value import NoWorse
from harness.claims.success import SuccessAbove, SuccessAboveBaseline
from harness.claims.versus import LowerTailAboveBaseline, MeanAboveBaseline, SpreadBelowBaseline
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
    correction. Where ΔPerf is the same in every run, nothing is answered, whoever made the claim.
    """
    judged = [_judged(name, claim, evidence) for name, claim in questions.items()]
    missing = [_not_asked(name) for name in STANDARD_IDS if name not in questions]
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


def _judged(name: str, claim: Claim, evidence: Evidence) -> Verdict:
    constant = constant_metric(evidence)
    if constant is None or isinstance(claim, BaseClaim):
        return claim.judge(name, evidence)
    return Verdict(
        id=name,
        question=claim.text,
        claim=claim.describe(),
        verdict="unanswerable",
        answer=constant,
        p_value=1.0,
        reason=constant,
    )


def _not_asked(name: str) -> Verdict:
    return Verdict(
        id=name,
        question=_STANDARD[name].text,
        claim="",
        verdict="unanswerable",
        answer=NOT_ASKED,
        reason=NOT_ASKED,
    )
