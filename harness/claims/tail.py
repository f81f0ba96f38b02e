"""The claim that the worst runs do better than the worst of the baseline."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

import numpy as np

from harness import observations, statistics
from harness.claims import nights
from harness.claims.base import level_of, outcome
from harness.claims.design import MOST_SIMULATED, Design, effects, share
from harness.claims.versus import VersusBaseline, also_at_equal_noise, unseen_in_either
from harness.metrics import DELTA_PERF, Metric
from harness.observations import FloatArray, Observations
from harness.records import GapKind
from harness.statistics import Comparison
from harness.sweeps import checks
from harness.verdicts import Difference, Evidence, Pricing, Verdict

FEWEST_IN_TAIL = 4
"""The fewest runs in a tail whose spread can be judged: for a quarter, 16 runs on each side."""

SIZE_OF_TAILS = (
    "where one spread is twice the other, this test says so wrongly in at most 6% of cases at a "
    "level of .05 (its permutation alone: up to .11)"
)


@dataclass(frozen=True)
class LowerTailAboveBaseline(VersusBaseline):
    """The worst quarter of the runs does better than the baseline's worst quarter.

    The CVaR (the mean of the worst ``share``) is compared by a permutation test, studentised by its
    influence-function variance, and by a t test corrected for skewness
    (`statistics.compare_tails`); where standard errors differ, at equal noise as well. Diverged
    runs rank worst.
    """

    share: float = 0.25

    def __post_init__(self) -> None:
        expected = "a number from 0.001 to 0.5"
        part = checks.number("share", self.share, expected, lambda part: 0.001 <= part <= 0.5)
        object.__setattr__(self, "share", part)

    @property
    def rests_on(self) -> Collection[GapKind]:
        """A missing standard error is noise that is not known; so is what a diverged run lost."""
        return (*super().rests_on, "error", "start")

    @property
    def fewest(self) -> int:
        """The runs that each side needs."""
        return math.ceil(FEWEST_IN_TAIL / self.share - 1e-9)

    @property
    def on_gains(self) -> bool:
        return True

    @property
    def on_spread(self) -> bool:
        return True

    def question(self, metric: Metric = DELTA_PERF) -> str:
        return f"Are the worst {100 * self.share:.4g}% of the runs better than the baseline's?"

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        return (
            f"CVaR of {metric.name} over the worst {self.share!r} of the runs "
            f"{metric.improving.sign} the baseline's: one-sided studentised permutation test, also "
            "a t test corrected for skewness, and at equal noise; diverged runs worst"
        )

    def missing_in_counts(self, metric: Metric) -> str:
        return "a summary has no worst quarter"

    def against(self, id: str, evidence: Evidence, other: Observations) -> Verdict:
        observed = observations.observe(evidence.runs)
        if (unlike := self.evaluated_differently(id, evidence, other)) is not None:
            return unlike
        if min(observed.total, other.total) < self.fewest:
            return self.too_few(id, evidence, observed, other)
        floor = observations.worst_value(observed, other)
        rng, level = nights.generator(evidence.seed, id), level_of(evidence)

        def with_lost(delta: FloatArray, side: Observations) -> FloatArray:
            return np.concatenate([delta, np.full(len(side.diverged), floor)])

        def compare(one: FloatArray, two: FloatArray) -> Comparison:
            one, two = with_lost(one, observed), with_lost(two, other)
            return statistics.compare_tails(one, two, rng, share=self.share, level=level)

        compared = also_at_equal_noise(compare, observed, other)
        ours, theirs = (
            statistics.cvar(with_lost(side.delta, side), self.share) for side in (observed, other)
        )
        said = partial(outcome, metric=evidence.metric)
        found = f"{said(ours)} against {said(theirs)} over the worst {self.share:.0%}"
        details = [SIZE_OF_TAILS, unseen_in_either(observed, other)]
        if observed.diverged or other.diverged:
            both = f"{len(observed.diverged)} here, {len(other.diverged)} in the baseline"
            details.append(f"diverged runs ({both}) rank worst, at {said(floor)}")
        return self.compared(
            id,
            evidence,
            compared,
            found=found,
            opposite="worse",
            details=details,
        )

    def power(self, design: Design) -> Pricing:
        def power(effect: float, n: int) -> float:
            if n < self.fewest:
                return 0.0
            n, m = min(n, MOST_SIMULATED), min(design.other_n, MOST_SIMULATED)
            return statistics.cvar_power(
                effect,
                n,
                m,
                design.rng("lower tail"),
                share=self.share,
                alpha=design.sweep.alpha,
                simulations=design.simulations(n, 1_000),
            )

        worst = f"worst {share(self.share)}"
        gains = effects(
            power,
            design.gains,
            lambda gain: f"{worst} better by {gain}",
            lambda gain: (
                f"the {worst} of runs, better by {gain}, are shown to be "
                f"{design.sweep.judged_by.improving.above} the baseline's"
            ),
        )
        return design.versus_baseline(self.fewest, gains, MOST_SIMULATED)

    def worse(self, now: Evidence, then: Evidence, was: Verdict) -> tuple[Difference, ...]:
        """Test whether the worst runs do worse now."""
        ours, theirs = (list(side.values()) for side in nights.gains_of_both(now, then))
        rng = nights.of_nights(now, was)
        lower = statistics.compare_tails(ours, theirs, rng, share=self.share)
        return (Difference(f"worst {self.share:.0%}", lower.p_less),)
