"""The base of claims that compare the runs of a sweep with those of its baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from harness import observations, statistics
from harness.claims.base import (
    BaselineClaim,
    baseline_runs,
    like_for_like,
    more,
    unseen,
    verdict_of,
)
from harness.metrics import DELTA_PERF, Metric
from harness.observations import FloatArray, Observations
from harness.statistics import Comparison
from harness.text import p_text, plural
from harness.verdicts import Counts, Evidence, Need, Unit, Verdict


@dataclass(frozen=True)
class VersusBaseline(BaselineClaim):
    """A claim that needs the ΔPerf of the baseline's runs, one by one."""

    def against_counts(self, id: str, evidence: Evidence, counts: Counts) -> Verdict:
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
        found: str,
        opposite: str,
        unit: Unit = "change",
        reason: str = "",
        details: Iterable[str] = (),
    ) -> Verdict:
        """Return the verdict of a comparison whose ``p_greater`` is the claim's p value.

        ``found`` are the two figures in words; ``opposite`` is the word for a refuted claim.
        """
        verdict = verdict_of(evidence, compared.p_greater, compared.p_less)
        answer = f"not shown: {found}"
        if verdict == "supported":
            answer = f"yes: {found}"
        elif verdict == "refuted":
            answer = f"no, {opposite}: {found}"
            reason = f"the opposite is shown ({p_text(compared.p_less)}); {reason}".rstrip("; ")
        tests = (compared.p_greater, compared.p_less)
        sizes = [statistics.size_to_decide(compared.n, p, evidence.alpha) for p in tests]
        enough = more(sizes, compared.n, "runs of both sides together")
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
            unit=unit,
            method=compared.method,
            reason=f"{tested}; {reason}" if reason else tested,
            needs=(enough,) if verdict == "inconclusive" else (),
            details=details,
        )

    def too_few(
        self, id: str, evidence: Evidence, observed: Observations, other: Observations
    ) -> Verdict:
        """Return that a side has fewer runs than the test needs."""
        metric = evidence.metric.name
        found = f"{observed.delta.size} runs with {metric} against {other.delta.size}"
        return self.verdict(
            id,
            evidence,
            "inconclusive",
            like_for_like(evidence, f"too few runs to tell: {found}"),
            n=observed.delta.size + other.delta.size,
            reason=f"the test needs {self.fewest} runs on each side",
            needs=(Need("runs", f"at least {self.fewest} finished runs on each side"),),
            details=left_out(observed, other),
        )

    def evaluated_differently(
        self, id: str, evidence: Evidence, other: Observations
    ) -> Verdict | None:
        """Return that sides evaluated differently do not compare in spread or tail; None if alike.

        The noise of an evaluation spreads runs by itself.
        """
        observed = observations.observe(evidence.runs)
        differs = evidence.unlike or observations.evaluated_differently(observed, other)
        if differs is None:
            return None
        reason = f"the two were evaluated differently ({differs}), and noise alone spreads runs"
        again = "both sides evaluated again alike"
        if evidence.metric == DELTA_PERF:
            again = "both sides scored again on the same prompts with as many samples"
        return self.unanswerable(
            id,
            evidence,
            like_for_like(evidence, reason),
            n=observed.total,
            needs=(Need("evaluation", again),),
        )


def also_at_equal_noise(
    compare: Callable[[FloatArray, FloatArray], Comparison],
    observed: Observations,
    other: Observations,
) -> Comparison:
    """Compare the ΔPerf of two sides; where standard errors differ, at equal noise as well.

    That is as if both were measured with the noise of the noisier one. Both must show it.
    """
    compared = compare(observed.delta, other.delta)
    if observed.se is None or other.se is None or not (observed.se.size and other.se.size):
        return compared
    excess = float(np.mean(observed.se**2) - np.mean(other.se**2))
    if excess == 0.0:
        return compared
    again = compare(
        statistics.with_noise(observed.delta, max(0.0, -excess)),
        statistics.with_noise(other.delta, max(0.0, excess)),
    )
    return statistics.strictest(compared.method, compared, again)


def unseen_in_either(observed: Observations, other: Observations) -> str:
    """Return the line on what the smaller side may not show at all."""
    return unseen(min(observed.delta.size, other.delta.size))


def left_out(observed: Observations, other: Observations) -> tuple[str, ...]:
    """Return a line for each side whose mean leaves out diverged runs."""
    return tuple(
        f"{plural(len(side.diverged), 'diverged run')} of {whose} left out: the mean is that of "
        "the survivors"
        for side, whose in ((observed, "this sweep"), (other, "the baseline"))
        if side.diverged
    )
