"""What all claims share: how they guard, how they draw chances, and how a verdict is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from harness import observations
from harness.observations import Observations
from harness.records import finite
from harness.text import exact, number, plural, signed
from harness.verdicts import Baseline, Counts, Evidence, Metric, Verdict, VerdictName

NOT_LIKE_FOR_LIKE = "not like for like"

COLLAPSING = 0.15
"""The share of collapsing runs that a sample should be large enough to hold one of."""


@dataclass(frozen=True)
class BaseClaim:
    """A claim on a sweep: a frozen statement that can be hashed before the first run.

    A subclass states itself by ``text`` and ``describe`` and decides in ``_decide``, which is
    called with at least one final run and never with a degenerate metric.
    """

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that the claim names."""
        return ()

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that the claim needs."""
        return ()

    @property
    def uses_baseline(self) -> bool:
        """Whether the claim compares with a baseline."""
        return False

    @property
    def text(self) -> str:
        """The question in plain words."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return the claim and its thresholds in one line."""
        raise NotImplementedError

    def judge(self, id: str, evidence: Evidence) -> Verdict:
        """Judge the claim on ``evidence``. Equal evidence and id give an equal verdict."""
        observed = observations.observe(evidence.runs)
        if observed.total == 0:
            return self._unanswerable(
                id,
                "no run of this sweep has finished",
                needs=(f"pytest experiments/ --sweep {evidence.sweep}",),
            )
        constant = constant_metric(evidence)
        if constant is not None:
            needs = ("an evaluation of the held-out prompts that differs between runs",)
            return self._unanswerable(id, constant, n=observed.total, needs=needs)
        return self._decide(id, evidence, observed)

    def _decide(self, id: str, evidence: Evidence, observed: Observations) -> Verdict:
        raise NotImplementedError

    def _verdict(
        self,
        id: str,
        verdict: VerdictName,
        answer: str,
        *,
        estimate: float | None = None,
        low: float | None = None,
        high: float | None = None,
        level: float | None = None,
        p_value: float | None = 1.0,
        n: int = 0,
        method: str = "",
        reason: str = "",
        needs: Iterable[str] = (),
        beside: Iterable[str] = (),
    ) -> Verdict:
        bounded = finite(low) is not None or finite(high) is not None
        return Verdict(
            id=id,
            question=self.text,
            claim=self.describe(),
            verdict=verdict,
            answer=answer,
            estimate=finite(estimate),
            low=finite(low),
            high=finite(high),
            level=level if bounded else None,
            p_value=finite(p_value),
            n=n,
            method=method,
            reason=reason,
            needs=tuple(needs),
            beside=tuple(line for line in beside if line),
        )

    def _unanswerable(
        self,
        id: str,
        reason: str,
        *,
        by_design: bool = False,
        n: int = 0,
        needs: Iterable[str] = (),
        beside: Iterable[str] = (),
    ) -> Verdict:
        """Return the verdict that the data lack what the question needs.

        What the design of the sweep rules out has no p value, and takes no part in Holm's
        correction; what is missing from the data has the p value 1.
        """
        return self._verdict(
            id,
            "unanswerable",
            reason,
            p_value=None if by_design else 1.0,
            n=n,
            reason=reason,
            needs=needs,
            beside=beside,
        )


@dataclass(frozen=True)
class BaselineClaim(BaseClaim):
    """A claim that compares with a baseline.

    A subclass decides in ``_against``, which is called with a baseline of at least one final run
    that is not degenerate, or in ``_against_counts`` where only counts were published.
    """

    @property
    def uses_baseline(self) -> bool:
        """Whether the claim compares with a baseline."""
        return True

    def _decide(self, id: str, evidence: Evidence, observed: Observations) -> Verdict:
        baseline, n, needs = evidence.baseline, observed.total, (baseline_command(evidence),)
        if isinstance(baseline, Counts):
            return self._against_counts(id, evidence, observed, baseline)
        if baseline is None and evidence.baseline_name is None:
            reason = "this sweep has no baseline to compare with"
            return self._unanswerable(id, reason, by_design=True, n=n, needs=needs)
        other = observations.observe(baseline.results if baseline is not None else ())
        if other.total == 0:
            name = evidence.baseline_name if baseline is None else baseline.name
            reason = f"the baseline {name!r} has no finished runs in the store"
            return self._unanswerable(id, reason, n=n, needs=needs)
        if other.is_degenerate:
            same = f"{exact(float(other.delta[0]))} in every one of {other.delta.size} runs"
            return self._unanswerable(
                id,
                f"the baseline's ΔPerf is {same}: a constant is no measurement of training",
                n=n,
                needs=("a baseline whose evaluation differs between runs",),
            )
        return self._against(id, evidence, observed, other)

    def _against_counts(
        self,
        id: str,
        evidence: Evidence,
        observed: Observations,
        counts: Counts,
    ) -> Verdict:
        raise NotImplementedError

    def _against(
        self,
        id: str,
        evidence: Evidence,
        observed: Observations,
        other: Observations,
    ) -> Verdict:
        raise NotImplementedError


def constant_metric(evidence: Evidence) -> str | None:
    """Say that ΔPerf is the same in every run, of more than one; None where it is not."""
    observed = observations.observe(evidence.runs)
    if not observed.is_degenerate:
        return None
    same = f"{exact(float(observed.delta[0]))} in every one of {observed.delta.size} runs"
    return f"ΔPerf is {same}: a constant is no measurement of training"


def outcome(value: float, metric: Metric) -> str:
    """Return a value of ``metric``: as a change where 0 means something, else as it is."""
    return number(value) if metric.zero == "arbitrary" else signed(value)


def level_of(evidence: Evidence) -> float:
    """Return the level of the two-sided interval that agrees with a one-sided test at α."""
    return 1.0 - 2.0 * evidence.alpha


def margin_of(margin: float | None, evidence: Evidence) -> float | None:
    """Return a claim's own margin, or else the sweep's; None where neither is stated."""
    return evidence.margin if margin is None else margin


def no_margin() -> str:
    """Return why a rule that needs a margin decides nothing without one."""
    return "no margin is stated for this metric, so nothing can be supported or refuted by it"


def generator(evidence: Evidence, id: str) -> np.random.Generator:
    """Return the generator of a question: the same for the same seed and id, everywhere."""
    key = int.from_bytes(hashlib.sha256(id.encode()).digest()[:8], "big")
    return np.random.default_rng([abs(evidence.seed), key])


def baseline_command(evidence: Evidence) -> str:
    """Return what brings the baseline's runs into the store."""
    names = [evidence.sweep]
    published = isinstance(evidence.baseline, Counts) and (
        evidence.baseline.name == evidence.baseline_name
    )
    if evidence.baseline_name is not None and not published:
        return f"pytest experiments/ --sweep {','.join([evidence.baseline_name, *names])}"
    return f"pytest experiments/ --sweep BASELINE,{names[0]} --sweep-baseline BASELINE"


def like_for_like(evidence: Evidence, answer: str) -> str:
    """Return ``answer``, beginning "not like for like" where the baseline's conditions differ."""
    baseline = evidence.baseline
    results = baseline.results if isinstance(baseline, Baseline) else ()
    differences = observations.mismatched(evidence.runs, results)
    if not differences:
        return answer
    return f"{NOT_LIKE_FOR_LIKE} ({'; '.join(differences)}): {answer}"


def unseen(runs: int) -> str:
    """Return the line on what so few runs may not show at all; empty where they are enough.

    No test on a mean knows of a kind of run that none of its values is.
    """
    chance = (1.0 - COLLAPSING) ** runs
    if chance <= 0.05:
        return ""
    return (
        f"{plural(runs, 'run')}: a collapse that befalls {COLLAPSING:.0%} of runs is in none of "
        f"them with probability {chance:.2f}, and then not in this answer"
    )


def survivors(observed: Observations, whose: str) -> str:
    """Return the line on the diverged runs that are left out of a mean; empty without any."""
    count = len(observed.diverged)
    if not count:
        return ""
    return f"{plural(count, 'diverged run')} of {whose} left out: the mean is that of the survivors"
