"""The claim that runs gain more on average than those of the baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from harness import observations, statistics
from harness.claims import nights
from harness.claims.base import level_of, outcome, outcomes_between
from harness.claims.design import Design, effects
from harness.claims.versus import VersusBaseline, left_out, unseen_in_either
from harness.metrics import DELTA_PERF, Metric
from harness.observations import Observations
from harness.verdicts import Difference, Evidence, Pricing, Verdict


@dataclass(frozen=True)
class MeanAboveBaseline(VersusBaseline):
    """A random run of this sweep gains more on average than a random run of the baseline.

    Welch's test decides, both ways, together with two tests that skewness does not mislead
    (`statistics.compare_means`). It compares sweeps as they are, not one parameter of them.
    """

    def question(self, metric: Metric = DELTA_PERF) -> str:
        return f"Is the mean {metric.name} {metric.improving.higher} than the baseline's?"

    @property
    def on_gains(self) -> bool:
        return True

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        return (
            f"mean {metric.name} {metric.improving.sign} the baseline's: one-sided Welch t test "
            "over completed runs, also corrected for skewness and permuted"
        )

    def missing_in_counts(self, metric: Metric) -> str:
        return f"they have no {metric.name} of each run, so no mean with its uncertainty"

    def against(self, id: str, evidence: Evidence, other: Observations) -> Verdict:
        observed = observations.observe(evidence.runs)
        if min(observed.delta.size, other.delta.size) < self.fewest:
            return self.too_few(id, evidence, observed, other)
        rng = nights.generator(evidence.seed, id)
        compared = statistics.compare_means(observed.delta, other.delta, rng, level_of(evidence))
        ours, theirs = (float(np.mean(side.delta)) for side in (observed, other))
        metric = evidence.metric
        said = partial(outcome, metric=metric)
        found = f"{said(ours)} against {said(theirs)} on average"
        lines = []
        for whose, side in (("this sweep", observed), ("the baseline", other)):
            mean = statistics.bca_mean(side.delta, rng)
            middle = statistics.interquartile_mean(side.delta, rng)
            between = outcomes_between(mean, metric)
            lines.append(f"mean of {whose}: {said(mean.value)}, {between} (BCa)")
            between = outcomes_between(middle, metric)
            lines.append(f"IQM of {whose}: {said(middle.value)}, {between} (bootstrap)")
        return self.compared(
            id,
            evidence,
            compared,
            found=found,
            opposite=metric.worsening.higher,
            reason="random runs of this sweep against the baseline's, not a parameter's effect",
            details=(*lines, *left_out(observed, other), unseen_in_either(observed, other)),
        )

    def power(self, design: Design) -> Pricing:
        def power(effect: float, n: int) -> float:
            return statistics.welch_power(effect, n, design.other_n, alpha=design.sweep.alpha)

        way = design.sweep.judged_by.improving
        gains = effects(
            power,
            design.gains,
            lambda gain: f"mean {way.higher} by {gain}",
            lambda gain: (
                f"a mean that is {way.higher} by {gain} is shown to be {way.above} the baseline's"
            ),
        )
        return replace(design.versus_baseline(self.fewest, gains), noise="result")

    def worse(self, now: Evidence, then: Evidence, was: Verdict) -> tuple[Difference, ...]:
        """Test whether the mean is lower now."""
        return (nights.mean_fell(now, then, was),)
