"""The claim that main runs gain more on average than those of an arm, such as useless training."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from harness import observations, statistics
from harness.claims import nights
from harness.claims.base import (
    MarginClaim,
    gain,
    level_of,
    more,
    other_evaluation,
    outcome,
    unseen,
)
from harness.claims.design import GAINS, Ahead, Design, effects, spread_of
from harness.errors import SweepError
from harness.metrics import DELTA_PERF, Metric
from harness.observations import Observations
from harness.observations.pairs import PairedRuns
from harness.observations.repeats import averaged
from harness.records import CONTROLS, MAIN, USELESS, Result
from harness.statistics import Comparison
from harness.sweeps import checks
from harness.text import interval, number, p_text, plural
from harness.verdicts import Difference, Evidence, Need, Pricing, Verdict, VerdictName

FEWEST_PAIRS = 6
"""The fewest pairs that are judged: six differences of one sign come by chance in 1 of 64."""

USUAL_PAIRS = 8
"""The number of pairs that a need asks for."""


@dataclass(frozen=True)
class MeanAboveArm(MarginClaim):
    """The main runs gain more on average than the runs of an ``arm`` that they are paired with.

    With the two-sided interval [L, U] of the mean difference, by Student's t and from 16 pairs on
    also corrected for skewness, the claim is supported where L > 0 and U ≥ ``margin``, and refuted
    where U < ``margin``, in both cases also with the diverged runs that speak against it at the
    worst value seen. ``margin`` None is the sweep's; without one it is 0. Where no run of the
    arm has a pair, the two samples are compared (`statistics.compare_means`).
    """

    arm: str
    margin: float | None = None

    def __post_init__(self) -> None:
        arm = checks.text("mean_gain.above_arm: the arm", self.arm, "null")
        if arm == MAIN:
            raise SweepError(
                "mean_gain.above_arm('main'): the main runs are not above themselves; expected "
                "another arm, as 'null'"
            )
        super().__post_init__()

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.arm,)

    @property
    def on_gains(self) -> bool:
        return True

    @property
    def fewest(self) -> int:
        """The pairs below which nothing is decided."""
        return FEWEST_PAIRS

    @property
    def _name(self) -> str:
        """The arm in words."""
        useless = "useless training, " if self.arm in USELESS else ""
        return f"{useless}the arm {self.arm}"

    def question(self, metric: Metric = DELTA_PERF) -> str:
        than = f"in {self._name}"
        if self.arm in USELESS:
            than = f"that of useless training (arm {self.arm})"
        return f"Is the mean {metric.name} {metric.improving.higher} than {than}?"

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        return (
            f"mean {metric.name} {metric.improving.sign} that of the arm {self.arm!r}: paired t "
            f"interval [L, U] of the difference over at least {FEWEST_PAIRS} pairs, of many also "
            "corrected for skewness, supported where L > 0 and U >= margin, refuted where "
            "U < margin (0 where there is none), both also with the diverged runs that speak "
            "against it at the worst value seen; Welch where nothing is paired; margin: "
            f"{self.margin_words}"
        )

    def runs_of(self, evidence: Evidence) -> Sequence[Result]:
        """Return the runs of the arm, and the main runs that they are paired with.

        A main run without its match may be any of these. Without a pair, all main runs count.
        """
        arm = evidence.arms.get(self.arm, ())
        if _is_unpaired(arm):
            return (*evidence.runs, *arm)
        matched = {observations.partner(result) for result in arm}
        main = [
            result
            for result in evidence.runs
            if observations.identity(result) in matched
            or any(gap.kind == "match" for gap in result.gaps)
        ]
        return (*main, *arm)

    def decide(self, id: str, evidence: Evidence) -> Verdict:
        arm = tuple(r for r in evidence.arms.get(self.arm, ()) if r.is_final)
        main, other = observations.observe(evidence.runs), observations.observe(arm)
        if not other.total:
            return self.unanswerable(
                id,
                evidence,
                f"no run of the arm {self.arm} has finished",
                n=main.total,
                needs=(self._arm_needed(),),
            )
        if _is_unpaired(arm):
            return self._of_samples(id, evidence, main, other)
        pairs = PairedRuns.of(main, other)
        if pairs.number < FEWEST_PAIRS:
            found = plural(pairs.number, "pair")
            return self.unanswerable(
                id,
                evidence,
                f"too few pairs to tell: {found} of a main run and one of the arm {self.arm}, "
                f"where {FEWEST_PAIRS} are needed",
                n=pairs.number,
                needs=(self._arm_needed(),),
            )
        if pairs.differences.size > 1 and statistics.is_constant(pairs.differences):
            return self.unanswerable(
                id,
                evidence,
                "the difference is the same in every pair: a constant is no measurement",
                n=pairs.number,
                needs=(other_evaluation(evidence.metric),),
            )
        compared = statistics.matched(pairs.differences, level=level_of(evidence))
        metric, said = evidence.metric, partial(outcome, metric=evidence.metric)
        details = [pairs.lost_and_won(self.arm)]
        if pairs.differences.size:
            whole, ours, theirs = map(float, map(np.mean, (main.delta, pairs.main, pairs.arm)))
            details = [
                f"main runs of the pairs: {said(ours)} on average; arm {self.arm}: {said(theirs)}",
                f"all {main.delta.size} main runs with {metric.name}: {said(whole)}"
                if main.delta.size > pairs.differences.size
                else "",
                *details,
                unseen(pairs.differences.size),
            ]
        return self._decided(
            id,
            evidence,
            compared,
            pairs,
            details=details,
        )

    def _of_samples(
        self, id: str, evidence: Evidence, main: Observations, other: Observations
    ) -> Verdict:
        """Compare all main runs with all runs of the arm, of which none has a pair."""
        sizes = main.delta.size, other.delta.size
        if min(sizes) < FEWEST_PAIRS:
            return self.unanswerable(
                id,
                evidence,
                f"too few runs to tell: {sizes[0]} with {evidence.metric.name} against {sizes[1]} "
                f"of the arm {self.arm}, where {FEWEST_PAIRS} are needed on each side",
                n=sum(sizes),
                needs=(self._arm_needed(),),
            )
        rng = nights.generator(evidence.seed, id)
        compared = statistics.compare_means(main.delta, other.delta, rng, level_of(evidence))
        said = partial(outcome, metric=evidence.metric)
        ours, theirs = (said(float(np.mean(side.delta))) for side in (main, other))
        left_out = [
            f"{plural(len(side.diverged), 'diverged run')} of {whose} left out: the mean is that "
            "of the survivors"
            for side, whose in ((main, "the main runs"), (other, f"the arm {self.arm}"))
            if side.diverged
        ]
        return self._decided(
            id,
            evidence,
            compared,
            None,
            details=(
                f"main runs: {ours} on average; arm {self.arm}: {theirs}; no run of the arm is "
                "matched with a main run, so all are compared with all",
                *left_out,
                unseen(min(sizes)),
            ),
        )

    def _decided(
        self,
        id: str,
        evidence: Evidence,
        compared: Comparison,
        pairs: PairedRuns | None,
        *,
        details: Iterable[str],
    ) -> Verdict:
        """Return the verdict on a difference, of ``pairs`` or of two samples where None."""
        metric, margin = evidence.metric, self.margin_of(evidence) or 0.0
        of = f" ({plural(pairs.number, 'pair')})" if pairs is not None else ""
        if math.isfinite(compared.estimate):
            found = f"{gain(compared.estimate, metric)} over {self._name}{of}"
        else:
            found = f"no pair has a {metric.name} on both sides"
        verdict, answer = _verdict(compared, margin, found, metric, evidence.alpha)
        reason = f"{interval(compared)}, {p_text(compared.p_greater)}"
        reason += f"; margin {number(margin)}" if margin else ""
        below = compared.p_less if not margin else _below(compared, pairs, margin)
        sizes = [
            statistics.size_to_decide(compared.n, p, evidence.alpha)
            for p in (compared.p_greater, below)
        ]
        needs = (more(sizes, compared.n, "runs" if pairs is None else "pairs"),)
        p_value = compared.p_greater
        worst = None if pairs is None else self._against(evidence, verdict, pairs)
        if worst is not None and _verdict(worst, margin, "", metric, evidence.alpha)[0] != verdict:
            whose = "main runs" if verdict == "supported" else f"runs of the arm {self.arm}"
            reason = f"{whose} diverged where their pairs did not, and counted as the worst seen "
            reason += f"they leave {gain(worst.estimate, metric)}, {interval(worst)}"
            verdict, answer, p_value = "inconclusive", f"not shown: {found}; {reason}", 1.0
            needs = (Need("runs", f"{whose} that do not diverge"),)
        elif worst is not None:
            p_value = max(p_value, worst.p_greater)
        return self.verdict(
            id,
            evidence,
            verdict,
            answer,
            estimate=compared.estimate,
            low=compared.low,
            high=compared.high,
            level=compared.level,
            p_value=1.0 if verdict == "refuted" else p_value,
            n=compared.n if pairs is None else pairs.number,
            method=compared.method,
            reason=reason,
            needs=needs if verdict == "inconclusive" else (),
            details=details,
        )

    def _against(
        self, evidence: Evidence, verdict: VerdictName, pairs: PairedRuns
    ) -> Comparison | None:
        """Compare with the diverged runs that speak against ``verdict`` at the worst value seen.

        None where there are none.
        """
        arm = observations.observe(evidence.arms[self.arm])
        floor = observations.worst_value(observations.observe(evidence.runs), arm)
        more_of = {"supported": floor - pairs.lost, "refuted": pairs.won - floor}.get(verdict)
        if more_of is None or not more_of.size:
            return None
        differences = np.concatenate([pairs.differences, more_of])
        return statistics.matched(differences, level=level_of(evidence))

    def _arm_needed(self) -> Need:
        return Need("arm", f"{self._declared} in the sweep, run with --sweep-arms {self.arm}")

    @property
    def _declared(self) -> str:
        """The arm as a sweep declares it."""
        size = f"{USUAL_PAIRS}" if self.arm in CONTROLS else f"Pairs({USUAL_PAIRS}, values=(…))"
        return f"an arm {self.arm}={size}"

    def power(self, design: Design) -> Pricing:
        mains = {run.id for run in design.main}
        pairs = len({run.pair for run in design.runs if run.arm == self.arm} & mains)
        if not pairs:
            return Pricing(0, why=f"no {self.arm} arm: unanswerable", unit="pairs")
        if pairs < FEWEST_PAIRS:
            why = f"{plural(pairs, 'pair')}, where {FEWEST_PAIRS} are needed: {self._declared}"
            return Pricing(pairs, why=f"{why} in the sweep", unit="pairs")
        margin = (design.sweep.margin if self.margin is None else self.margin) or 0.0
        ahead = Ahead.of(self._spread(design), margin, GAINS, "a difference within a pair")

        def power(effect: float, n: int) -> float:
            return statistics.gain_power(effect, n, ahead.least, design.sweep.alpha)

        shown = effects(
            power,
            ahead.sizes,
            lambda size: f"{size} ahead of the arm {self.arm}",
            lambda size: f"a mean gain of {size} over the arm {self.arm} is shown",
        )
        return Pricing(
            pairs, shown, given=ahead.given, unit="pairs", least=FEWEST_PAIRS, noise="pairs"
        )

    def _spread(self, design: Design) -> tuple[float, str] | None:
        """Return the SD of a difference, and what it is known from; None where from nothing."""
        main = observations.observe(r for r in design.ours if r.run.arm == MAIN)
        arm = observations.observe(r for r in design.ours if r.run.arm == self.arm)
        pairs = PairedRuns.of(main, arm)
        spread = spread_of(pairs.differences)
        if spread is not None:
            fewer = design.of_fewer(averaged(main.final))
            return spread, f"of {pairs.differences.size} stored pairs{fewer}"
        if design.spread is None:
            return None
        spread, whose = design.spread
        return math.sqrt(2.0) * spread, f"taken to be that of two runs that share nothing: {whose}"

    def worse(self, now: Evidence, then: Evidence, was: Verdict) -> tuple[Difference, ...]:
        """Test whether the main runs are less far ahead of the arm now."""
        rng, floor = nights.of_nights(now, was), nights.floor_of(now, then)
        ahead, had = (self._ahead(side, floor) for side in (now, then))
        if not (ahead and had):
            return (nights.mean_fell(now, then, was),)
        return (Difference(f"gain over the arm {self.arm}", nights.fell(ahead, had, rng)),)

    def _ahead(self, evidence: Evidence, floor: float) -> nights.Values:
        """Return how far each main run is ahead of its runs in the arm, by main run."""
        main = {observations.identity(result): result for result in evidence.runs}
        gains = nights.gains(evidence.runs, floor)
        theirs: dict[Hashable, list[float]] = {}
        for result in evidence.arms.get(self.arm, ()):
            of = main.get(observations.partner(result))
            if of is not None and nights.same_run(of) in gains:
                theirs.setdefault(nights.same_run(of), []).extend(
                    nights.gains([result], floor).values()
                )
        return {key: gains[key] - float(np.mean(of)) for key, of in theirs.items() if of}


def _is_unpaired(arm: Sequence[Result]) -> bool:
    """Return whether no run of an arm names a main run."""
    return bool(arm) and all(result.run.pair is None for result in arm)


def _below(compared: Comparison, pairs: PairedRuns | None, margin: float) -> float:
    """Return the p value that the mean difference is below ``margin``; 1 of two samples."""
    if pairs is None:
        return 1.0
    return statistics.non_inferiority(-pairs.differences, margin, compared.level).p_greater


def _verdict(
    compared: Comparison, margin: float, found: str, metric: Metric, alpha: float
) -> tuple[VerdictName, str]:
    """Return the verdict and answer on a difference with its interval [L, U]."""
    if math.isfinite(compared.high) and compared.high < margin:
        if compared.high < 0.0:
            return "refuted", f"no, {metric.worsening.higher}: {found}"
        if compared.low > 0.0:
            return "refuted", f"no, by less than the margin of {number(margin)}: {found}"
        return "refuted", f"no gain as large as the margin of {number(margin)}: {found}"
    if compared.p_greater <= alpha:
        return "supported", f"yes: {found}"
    return "inconclusive", f"not shown: {found}"
