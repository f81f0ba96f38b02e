"""The base of claims that compare the runs of a sweep with those of its baseline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from harness import observations, statistics
from harness.claims.base import BaselineClaim, baseline_runs, like_for_like, survivors, unseen
from harness.observations import FloatArray, Observations
from harness.statistics import Comparison
from harness.text import p_text
from harness.verdicts import (
    Counts,
    Evidence,
    Metric,
    Need,
    Verdict,
    VerdictName,
)


@dataclass(frozen=True)
class VersusBaseline(BaselineClaim):
    """A claim that needs the ΔPerf of the baseline's runs, one by one."""

    def against_counts(self, id: str, evidence: Evidence, counts: Counts) -> Verdict:
        """Decide against published counts."""
        observed = observations.observe(evidence.runs)
        missing = self.missing_in_counts(evidence.metric)
        return self.unanswerable(
            id,
            evidence,
            f"the baseline {counts.name!r} is published counts: {missing}",
            by_design=True,
            n=observed.total,
            needs=(baseline_runs(evidence),),
        )

    def missing_in_counts(self, metric: Metric) -> str:
        """Say what published counts lack for this claim."""
        raise NotImplementedError

    def compared(
        self,
        id: str,
        evidence: Evidence,
        compared: Comparison,
        *,
        answers: tuple[str, str, str],
        reason: str = "",
        details: Iterable[str] = (),
    ) -> Verdict:
        """Return the verdict of a comparison whose ``p_greater`` is that of the claim.

        ``answers`` are those of supported, refuted and inconclusive;
        """
        verdict: VerdictName = "inconclusive"
        answer = answers[2]
        needs: tuple[Need, ...] = (Need("runs", "more runs on both sides"),)
        if compared.p_greater <= evidence.alpha:
            verdict, answer, needs = "supported", answers[0], ()
        elif compared.p_less <= evidence.alpha:
            verdict, answer, needs = "refuted", answers[1], ()
            reason = f"the opposite is shown ({p_text(compared.p_less)}); {reason}".rstrip("; ")
        tested = p_text(compared.p_greater)
        return self.verdict(
            id,
            evidence,
            verdict,
            like_for_like(evidence, answer),
            estimate=compared.estimate,
            low=compared.low,
            high=compared.high,
            level=compared.level,
            p_value=compared.p_greater,
            n=compared.n,
            method=compared.method,
            reason=f"{tested}; {reason}" if reason else tested,
            needs=needs,
            details=details,
        )

    def too_few(
        self,
        id: str,
        evidence: Evidence,
        observed: Observations,
        other: Observations,
        fewest: int,
    ) -> Verdict:
        metric = evidence.metric.name
        found = f"{observed.delta.size} runs with a {metric} against {other.delta.size}"
        return self.verdict(
            id,
            evidence,
            "inconclusive",
            like_for_like(evidence, f"too few runs to tell: {found}"),
            n=observed.delta.size + other.delta.size,
            reason=f"the test needs {fewest} runs on each side",
            needs=(Need("runs", f"at least {fewest} finished runs on each side"),),
            details=left_out(observed, other),
        )


def rescore(
    claim: VersusBaseline,
    id: str,
    evidence: Evidence,
    observed: Observations,
    differs: str,
) -> Verdict:
    """Return that sides evaluated differently cannot be compared in spread or tail."""
    reason = f"the two were evaluated differently ({differs}), and noise alone spreads runs"
    return claim.unanswerable(
        id,
        evidence,
        like_for_like(evidence, reason),
        n=observed.total,
        needs=(
            Need("evaluation", "both sides scored again on the same prompts with as many samples"),
        ),
    )


def at_equal_noise(
    observed: Observations, other: Observations
) -> tuple[FloatArray, FloatArray] | None:
    """Return the ΔPerf of both sides as if measured with the noise of the noisier one.

    None where the standard errors are not known, or are the same.
    """
    if observed.se is None or other.se is None or not (observed.se.size and other.se.size):
        return None
    excess = float(np.mean(observed.se**2) - np.mean(other.se**2))
    if excess == 0.0:
        return None
    return (
        statistics.with_noise(observed.delta, max(0.0, -excess)),
        statistics.with_noise(other.delta, max(0.0, excess)),
    )


def unseen_in_either(observed: Observations, other: Observations) -> str:
    return unseen(min(observed.delta.size, other.delta.size))


def left_out(observed: Observations, other: Observations) -> tuple[str, ...]:
    """Return the lines on what the means leave out."""
    lines = (survivors(observed, "this sweep"), survivors(other, "the baseline"))
    return tuple(line for line in lines if line)
