"""Claims on ΔPerf against a baseline's: its mean, its spread, its worst quarter."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from harness import observations, statistics
from harness.claims.base import (
    BaselineClaim,
    baseline_command,
    generator,
    level_of,
    like_for_like,
    outcome,
    survivors,
    unseen,
)
from harness.errors import SweepError
from harness.observations import FloatArray, Observations
from harness.statistics import Comparison
from harness.text import interval, number, p_text
from harness.verdicts import Counts, Evidence, Verdict, VerdictName

FEWEST_IN_TAIL = 4
"""Runs of a tail below which its own spread says too little: with a quarter, of 16 a side."""

SIZE_OF_TAILS = (
    "where one spread is twice the other, this test says so wrongly in at most 6% of cases at a "
    "level of .05 (its permutation alone: up to .11)"
)


@dataclass(frozen=True)
class VersusBaseline(BaselineClaim):
    """A claim that needs the ΔPerf of the baseline's runs, one by one."""

    def _against_counts(
        self,
        id: str,
        evidence: Evidence,
        observed: Observations,
        counts: Counts,
    ) -> Verdict:
        return self._unanswerable(
            id,
            f"the baseline {counts.name!r} is published counts: {self._missing}",
            by_design=True,
            n=observed.total,
            needs=(baseline_command(evidence),),
        )

    @property
    def _missing(self) -> str:
        """What published counts do not give."""
        raise NotImplementedError

    def _compared(
        self,
        id: str,
        evidence: Evidence,
        compared: Comparison,
        *,
        answers: tuple[str, str, str],
        reason: str = "",
        beside: Iterable[str] = (),
    ) -> Verdict:
        """Return the verdict of a comparison whose ``p_greater`` is that of the claim.

        ``answers`` are those of supported, refuted and inconclusive;
        """
        verdict: VerdictName = "inconclusive"
        answer = answers[2]
        needs: tuple[str, ...] = ("more runs on both sides",)
        if compared.p_greater <= evidence.alpha:
            verdict, answer, needs = "supported", answers[0], ()
        elif compared.p_less <= evidence.alpha:
            verdict, answer, needs = "refuted", answers[1], ()
            reason = f"the opposite is shown ({p_text(compared.p_less)}); {reason}".rstrip("; ")
        tested = p_text(compared.p_greater)
        return self._verdict(
            id,
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
            beside=beside,
        )

    def _too_few(
        self,
        id: str,
        evidence: Evidence,
        observed: Observations,
        other: Observations,
        fewest: int,
    ) -> Verdict:
        found = f"{observed.delta.size} runs with a ΔPerf against {other.delta.size}"
        return self._verdict(
            id,
            "inconclusive",
            like_for_like(evidence, f"too few runs to tell: {found}"),
            n=observed.delta.size + other.delta.size,
            reason=f"the test needs {fewest} runs on each side",
            needs=(f"at least {fewest} finished runs on each side",),
            beside=_left_out(observed, other),
        )


@dataclass(frozen=True)
class MeanAboveBaseline(VersusBaseline):
    """A random run of this sweep gains more on average than a random run of the baseline.

    Welch's test decides, both ways, and must be borne out by two tests that skewness does not
    mislead (`statistics.compare_means`). It compares sweeps as they are, not one parameter of them.
    """

    @property
    def text(self) -> str:
        """The question in plain words."""
        return "Is the mean ΔPerf higher than the baseline's?"

    def describe(self) -> str:
        """Return the claim and its thresholds in one line."""
        return (
            "mean ΔPerf > the baseline's: one-sided Welch t test over completed runs, also "
            "corrected for skewness and permuted"
        )

    @property
    def _missing(self) -> str:
        return "they have no ΔPerf of each run, so no mean with its uncertainty"

    def _against(
        self,
        id: str,
        evidence: Evidence,
        observed: Observations,
        other: Observations,
    ) -> Verdict:
        if min(observed.delta.size, other.delta.size) < 2:
            return self._too_few(id, evidence, observed, other, 2)
        rng = generator(evidence, id)
        compared = statistics.compare_means(observed.delta, other.delta, rng, level_of(evidence))
        ours, theirs = (float(np.mean(side.delta)) for side in (observed, other))
        said = partial(outcome, metric=evidence.metric)
        found = f"{said(ours)} against {said(theirs)} on average"
        lines = []
        for whose, side in (("this sweep", observed), ("the baseline", other)):
            mean = statistics.bca_mean(side.delta, rng)
            middle = statistics.interquartile_mean(side.delta, rng)
            lines.append(f"mean of {whose}: {said(mean.value)}, {interval(mean)} (BCa)")
            lines.append(f"IQM of {whose}: {said(middle.value)}, {interval(middle)} (bootstrap)")
        return self._compared(
            id,
            evidence,
            compared,
            answers=(f"yes: {found}", f"no, lower: {found}", f"not shown: {found}"),
            reason="a random run of this sweep against one of that, not the effect of a parameter",
            beside=(*lines, *_left_out(observed, other), _unseen(observed, other)),
        )


@dataclass(frozen=True)
class SpreadBelowBaseline(VersusBaseline):
    """The runs of this sweep differ less from each other than those of the baseline.

    Decided by the one-sided Brown–Forsythe test on absolute deviations from the median, borne out
    by Welch's of the same deviations, corrected for skewness (`statistics.compare_spreads`). A
    noisier evaluation spreads runs by itself: sides evaluated differently cannot be compared, and
    where standard errors differ, it must be shown with the same noise on both sides as well.
    """

    @property
    def text(self) -> str:
        """The question in plain words."""
        return "Do the runs vary less than the baseline's?"

    def describe(self) -> str:
        """Return the claim and its thresholds in one line."""
        return (
            "spread of ΔPerf < the baseline's: one-sided Brown–Forsythe over completed runs, also "
            "Welch's of the deviations, corrected for skewness, and at equal noise"
        )

    @property
    def _missing(self) -> str:
        return "a summary has no spread"

    def _against(
        self,
        id: str,
        evidence: Evidence,
        observed: Observations,
        other: Observations,
    ) -> Verdict:
        differs = evidence.apart or observations.evaluated_differently(observed, other)
        if differs is not None:
            return _rescore(self, id, evidence, observed, differs)
        if min(observed.delta.size, other.delta.size) < 3:
            return self._too_few(id, evidence, observed, other, 3)
        level = level_of(evidence)
        compared = statistics.compare_spreads(observed.delta, other.delta, level)
        if (alike := _at_equal_noise(observed, other)) is not None:
            again = statistics.compare_spreads(*alike, level)
            compared = statistics.strictest(compared.method, compared, again)
        ours, theirs = (float(np.std(side.delta, ddof=1)) for side in (observed, other))
        found = f"SD {number(ours)} against {number(theirs)}"
        return self._compared(
            id,
            evidence,
            replace(compared, p_greater=compared.p_less, p_less=compared.p_greater),
            answers=(f"yes: {found}", f"no, more: {found}", f"not shown: {found}"),
            reason="estimate: difference of the mean absolute deviations from the median",
            beside=(
                _net_ratio(observed, other),
                *_left_out(observed, other),
                _unseen(observed, other),
            ),
        )


@dataclass(frozen=True)
class LowerTailAboveBaseline(VersusBaseline):
    """The worst quarter of the runs does better than the baseline's worst quarter.

    Compares the CVaR (the mean of the worst ``share``) by a permutation test studentised by its
    influence-function variance, borne out by a t test corrected for skewness
    (`statistics.compare_tails`), and at equal noise where standard errors differ. Diverged runs
    rank worst.
    """

    share: float = 0.25

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 0.5:
            raise SweepError(f"the share of worst runs must lie in (0, 0.5], got {self.share}")

    @property
    def fewest(self) -> int:
        """The runs that each side needs."""
        return math.ceil(FEWEST_IN_TAIL / self.share - 1e-9)

    @property
    def text(self) -> str:
        """The question in plain words."""
        return f"Are the worst {100 * self.share:.4g}% of the runs better than the baseline's?"

    def describe(self) -> str:
        """Return the claim and its thresholds in one line."""
        return (
            f"CVaR of ΔPerf over the worst {self.share!r} of the runs > the baseline's: one-sided "
            "studentised permutation test, also a t test corrected for skewness, and at equal "
            "noise; diverged runs worst"
        )

    @property
    def _missing(self) -> str:
        return "a summary has no worst quarter"

    def _against(
        self,
        id: str,
        evidence: Evidence,
        observed: Observations,
        other: Observations,
    ) -> Verdict:
        differs = evidence.apart or observations.evaluated_differently(observed, other)
        if differs is not None:
            return _rescore(self, id, evidence, observed, differs)
        floor = observations.worst_value(observed, other)
        lost = [np.full(len(side.diverged), floor) for side in (observed, other)]
        ours, theirs = (
            np.concatenate([side.delta, worst])
            for side, worst in zip((observed, other), lost, strict=True)
        )
        if min(ours.size, theirs.size) < self.fewest:
            return self._too_few(id, evidence, observed, other, self.fewest)
        rng, level = generator(evidence, id), level_of(evidence)
        compared = statistics.compare_tails(ours, theirs, rng, share=self.share, level=level)
        if (alike := _at_equal_noise(observed, other)) is not None:
            one, two = (np.concatenate(both) for both in zip(alike, lost, strict=True))
            again = statistics.compare_tails(one, two, rng, share=self.share, level=level)
            compared = statistics.strictest(compared.method, compared, again)
        tails = [statistics.cvar(side, self.share) for side in (ours, theirs)]
        said = partial(outcome, metric=evidence.metric)
        found = f"{said(tails[0])} against {said(tails[1])} over the worst {self.share:.0%}"
        beside = [SIZE_OF_TAILS, _unseen(observed, other)]
        if observed.diverged or other.diverged:
            both = f"{len(observed.diverged)} of this sweep and {len(other.diverged)} of that"
            beside.append(f"diverged runs ({both}) rank worst, at {said(floor)}")
        return self._compared(
            id,
            evidence,
            compared,
            answers=(f"yes: {found}", f"no, worse: {found}", f"not shown: {found}"),
            beside=beside,
        )


def _rescore(
    claim: VersusBaseline,
    id: str,
    evidence: Evidence,
    observed: Observations,
    differs: str,
) -> Verdict:
    """Return that sides evaluated differently cannot be compared in spread or tail."""
    reason = f"the two were evaluated differently ({differs}), and noise alone spreads runs"
    return claim._unanswerable(
        id,
        like_for_like(evidence, reason),
        n=observed.total,
        needs=("both sides scored again on the same prompts with as many samples",),
    )


def _at_equal_noise(
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


def _unseen(observed: Observations, other: Observations) -> str:
    return unseen(min(observed.delta.size, other.delta.size))


def _net_ratio(observed: Observations, other: Observations) -> str:
    if observed.se is None or other.se is None:
        ratio = statistics.sd_ratio(observed.delta, other.delta)
        return f"SD ratio {number(ratio)}, measurement noise not known"
    ratio = statistics.sd_ratio(observed.delta, other.delta, observed.se, other.se)
    return f"SD ratio net of measurement noise: {number(ratio)}"


def _left_out(observed: Observations, other: Observations) -> tuple[str, ...]:
    """Return the lines on what the means leave out."""
    lines = (survivors(observed, "this sweep"), survivors(other, "the baseline"))
    return tuple(line for line in lines if line)
