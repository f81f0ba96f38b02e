"""The claim that the runs differ less from each other than those of the baseline."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from harness import observations, statistics
from harness.claims.base import level_of
from harness.claims.design import MOST_SIMULATED, Design, effects
from harness.claims.versus import VersusBaseline, also_at_equal_noise, left_out, unseen_in_either
from harness.metrics import DELTA_PERF, Metric
from harness.observations import Observations
from harness.records import GapKind
from harness.text import number
from harness.verdicts import Difference, Evidence, Pricing, Verdict

SPREADS = (0.75, 0.5)
"""Standard ratios of the SD to the baseline's."""


@dataclass(frozen=True)
class SpreadBelowBaseline(VersusBaseline):
    """The runs of this sweep differ less from each other than those of the baseline.

    Decided by the one-sided Brown–Forsythe test on absolute deviations from the median and by
    Welch's test of the same deviations, corrected for skewness (`statistics.compare_spreads`). A
    noisier evaluation spreads runs by itself. So sides evaluated differently cannot be compared,
    and where standard errors differ, the claim must also be shown with equal noise on both sides.
    """

    @property
    def on_spread(self) -> bool:
        return True

    def question(self, metric: Metric = DELTA_PERF) -> str:
        return "Do the runs vary less than the baseline's?"

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        return (
            f"spread of {metric.name} < the baseline's: one-sided Brown–Forsythe over "
            "completed runs, also Welch's of the deviations, corrected for skewness, and at equal "
            "noise"
        )

    def missing_in_counts(self, metric: Metric) -> str:
        return "a summary has no spread"

    def against(self, id: str, evidence: Evidence, other: Observations) -> Verdict:
        observed = observations.observe(evidence.runs)
        if (unlike := self.evaluated_differently(id, evidence, other)) is not None:
            return unlike
        if min(observed.delta.size, other.delta.size) < self.fewest:
            return self.too_few(id, evidence, observed, other)
        compare = partial(statistics.compare_spreads, level=level_of(evidence))
        compared = also_at_equal_noise(compare, observed, other)
        ours, theirs = (float(np.std(side.delta, ddof=1)) for side in (observed, other))
        found = f"SD {number(ours)} against {number(theirs)}"
        return self.compared(
            id,
            evidence,
            replace(compared, p_greater=compared.p_less, p_less=compared.p_greater),
            found=found,
            opposite="more",
            unit="difference",
            reason="estimate: difference of the mean absolute deviations from the median",
            details=(
                _net_ratio(observed, other),
                *left_out(observed, other),
                unseen_in_either(observed, other),
            ),
        )

    @property
    def rests_on(self) -> Collection[GapKind]:
        """A missing standard error is one of noise that is not known."""
        return (*super().rests_on, "error")

    @property
    def fewest(self) -> int:
        """The runs that each side needs."""
        return 3

    def power(self, design: Design) -> Pricing:
        def power(ratio: float, n: int) -> float:
            n, m = min(n, MOST_SIMULATED), min(design.other_n, MOST_SIMULATED)
            return statistics.brown_forsythe_power(
                ratio,
                n,
                m,
                design.rng("spread"),
                alpha=design.sweep.alpha,
                simulations=design.simulations(n, 4_000),
            )

        ratios = effects(
            power,
            [(ratio, ratio, f"{ratio:g}") for ratio in SPREADS],
            lambda ratio: f"SD {ratio} of the baseline's",
            lambda ratio: f"an SD that is {ratio} of the baseline's is shown to be smaller",
        )
        return design.versus_baseline(self.fewest, ratios, MOST_SIMULATED)

    def worse(self, now: Evidence, then: Evidence, was: Verdict) -> tuple[Difference, ...]:
        """Test whether the runs differ more from each other now."""
        ours, theirs = observations.observe(now.runs), observations.observe(then.runs)
        more = statistics.compare_spreads(ours.delta, theirs.delta).p_greater
        return (Difference(f"spread of {now.metric.name}", more),)


def _net_ratio(observed: Observations, other: Observations) -> str:
    if observed.se is None or other.se is None or not (observed.se.size and other.se.size):
        ratio = statistics.sd_ratio(observed.delta, other.delta)
        return f"SD ratio {number(ratio)}, measurement noise not known"
    ratio = statistics.sd_ratio(observed.delta, other.delta, observed.se, other.se)
    return f"SD ratio net of measurement noise: {number(ratio)}"
