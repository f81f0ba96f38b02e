"""The claim on the learning curve: perf still improves in the last part of the training."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from harness import observations, statistics
from harness.claims import nights
from harness.claims.base import (
    MARGIN,
    NO_MARGIN,
    MarginClaim,
    gain,
    level_of,
    more,
    other_evaluation,
    unseen,
)
from harness.claims.design import GAINS, Design, effects, spread_of, spreads
from harness.metrics import DELTA_PERF, Metric
from harness.observations import FloatArray, Observations
from harness.observations.repeats import averaged, each_run
from harness.records import MAIN, GapKind, Result, Run
from harness.statistics import Comparison
from harness.sweeps import checks
from harness.text import interval, number, p_text, plural
from harness.training.schedules import scale_steps
from harness.verdicts import Difference, Evidence, Need, Pricing, Verdict, VerdictName

TOLERANCE = 0.05
"""A point of the curve may lie this far from the asked step, as a share of the run's steps."""

FEWEST_GAINS = 28
"""Fewer gains than this may miss that 15% of runs collapse: of 28, none has with probability
.85²⁸ = .01. The claim would then be supported, and each look at fewer would be one more chance."""


@dataclass(frozen=True)
class StillImproves(MarginClaim):
    """Perf still improves from step ``since`` to the last, by the paired gain of the runs.

    ``since`` counts the steps that the sweep declares, and is scaled with them; None is half of
    them. With the two-sided interval [L, U] of the mean gain, the wider of Student's and of the one
    corrected for skewness, the claim is supported where L > 0 and U ≥ ``margin``, and refuted where
    U < ``margin``. ``margin`` None is the sweep's.
    """

    since: int | None = None
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.since is not None:
            object.__setattr__(self, "since", checks.count("since", self.since, 0))
        super().__post_init__()

    @property
    def on_gains(self) -> bool:
        return True

    @property
    def _since(self) -> str:
        return "half of the steps" if self.since is None else f"step {self.since}"

    def question(self, metric: Metric = DELTA_PERF) -> str:
        return _question(metric, self._since)

    def asked(self, evidence: Evidence) -> str:
        """Return the question with the step that ``since`` is in runs of these steps."""
        begins = {self.window(result.run)[0] for result in evidence.runs}
        if self.since is None or len(begins) != 1:
            return self.question(evidence.metric)
        return _question(evidence.metric, f"step {begins.pop():g}")

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        return (
            f"{metric.measure} improves from {self._since} to the last: paired t interval [L, U] "
            "of the gain, also corrected for skewness, supported where L > 0 and U >= margin, "
            f"refuted where U < margin; margin: {self.margin_words}"
        )

    def decide(self, id: str, evidence: Evidence) -> Verdict:
        observed = observations.observe(evidence.runs)
        margin, metric = self.margin_of(evidence), evidence.metric
        start, end, used = ends_of(observed.completed, self.since)
        if not used:
            of = "half of the steps"
            if observed.completed:
                of = f"step {self.window(observed.completed[0].run)[0]:g}"
            return self.unanswerable(
                id,
                evidence,
                f"no run has its {metric.measure} measured both at that step and at the end",
                n=observed.total,
                needs=(Need("curve", f"an evaluation at {of} and at the last"),),
            )
        gained = statistics.gain(start, end, level_of(evidence))
        if len(used) > 1 and statistics.is_constant(end - start):
            same = f"{gain(gained.estimate, metric)} in every one of {len(used)} runs"
            return self.unanswerable(
                id,
                evidence,
                f"the gain is {same}: a constant is no measurement of training",
                n=len(used),
                needs=(other_evaluation(metric),),
            )
        first, last = self.window(used[0].run)
        found = f"{gain(gained.estimate, metric)} from step {first:g} to {last:g}"
        verdict, answer = _decided(gained, margin, found, metric)
        window = statistics.rate_in_window(observations.learning_rates(used), first, last)
        if window is not None:
            falls = window.end < window.start
            went, joint = ("from", "to") if falls else ("between", "and")
            answer += (
                f"; the learning rate went {went} {window.start:.0%} {joint} {window.end:.0%} of "
                "its peak in that window"
            )
        details = [_longer_training(observed, evidence), unseen(len(used))]
        if len(used) < observed.total:
            details.append(
                f"{len(used)} of {plural(observed.total, 'run')} have both points of the curve; "
                f"{plural(len(observed.diverged), 'diverged run')} left out"
            )
        return self.verdict(
            id,
            evidence,
            verdict,
            answer,
            estimate=gained.estimate,
            low=gained.low,
            high=gained.high,
            level=gained.level,
            p_value=gained.p_greater if verdict != "refuted" else 1.0,
            n=gained.n,
            method="paired t interval of the gain, corrected for skewness",
            reason=f"{interval(gained)}, {p_text(gained.p_greater)}; "
            + (NO_MARGIN if margin is None else f"margin {number(margin)}"),
            needs=() if verdict != "inconclusive" else (self._helps(end - start, gained, margin),),
            details=details,
        )

    def _helps(self, gains: FloatArray, gained: Comparison, margin: float | None) -> Need:
        """Return what would show that the gain is above 0, or below the margin."""
        if margin is None:
            return MARGIN
        below = statistics.non_inferiority(-gains, margin, gained.level)
        tests = (gained.p_greater, below.p_greater)
        sizes = [statistics.size_to_decide(gained.n, p, (1.0 - gained.level) / 2) for p in tests]
        return more(sizes, gained.n, "runs with their learning curves")

    @property
    def rests_on(self) -> Collection[GapKind]:
        """A missing point of the curve could be the one that matters."""
        return (*super().rests_on, "curve")

    def power(self, design: Design) -> Pricing:
        why, start = _window(self, design)
        if why:
            return Pricing(design.n, why=why)
        margin = design.sweep.margin if self.margin is None else self.margin
        if margin is None:
            return Pricing(design.n, why=NO_MARGIN)
        found = _gain_spread(self, design)
        # Without an SD the margin is taken to be as large as the smallest gain that is looked at.
        least = GAINS[0] if found is None else margin / found[0]

        def power(effect: float, n: int) -> float:
            return statistics.gain_power(effect, n, least, design.sweep.alpha)

        if found is None:
            given = f"the SD is that of a run's gain, not known yet; margin: {spreads(GAINS[0])}"
            gains = [(effect, effect, spreads(effect)) for effect in GAINS]
        else:
            given = f"the SD of a run's gain is {number(found[0])}, of {found[1]}"
            gains = [(k * least, k * margin, number(k * margin)) for k in (1, 2)]
        shown = effects(
            power,
            gains,
            lambda size: f"gain of {size} from step {start:g}",
            lambda size: f"a gain of {size} from step {start:g} on is shown",
        )
        return Pricing(design.n, shown, given=given)

    @property
    def fewest(self) -> int:
        """The runs below which the claim is not judged before all are in."""
        return FEWEST_GAINS

    def worse(self, now: Evidence, then: Evidence, was: Verdict) -> tuple[Difference, ...]:
        """Test whether the gain in the window is smaller now."""
        rng = nights.of_nights(now, was)
        late, earlier = (_late_gains(side.runs, self.since) for side in (now, then))
        return (Difference("gain in the window", nights.fell(late, earlier, rng)),)

    def window(self, run: Run) -> tuple[float, float]:
        """Return the first and last step that the claim compares on the curve."""
        return observations.window_of(run, self.since)


def _question(metric: Metric, since: str) -> str:
    return f"Does {metric.measure} still improve after {since}, or has it reached a plateau?"


def _decided(
    gained: Comparison, margin: float | None, found: str, metric: Metric
) -> tuple[VerdictName, str]:
    """Return the verdict and answer of a gain with its interval [L, U]."""
    if margin is None or not np.isfinite(gained.high):
        return "inconclusive", f"not shown: {found}"
    if gained.high < margin:
        if gained.low > -margin:
            return "refuted", f"plateau: {found}, within the margin of {number(margin)}"
        name, falls = metric.measure, metric.worsening.rises
        if gained.high < 0.0:
            return "refuted", f"no, {name} {falls}: {found}"
        return "refuted", f"no, {name} is flat or {falls}: {found}"
    if gained.low > 0.0:
        return "supported", f"still improving: {found}"
    return "inconclusive", f"not shown: {found}"


def ends_of(
    results: Sequence[Result], since: int | None
) -> tuple[observations.FloatArray, observations.FloatArray, list[Result]]:
    """Return perf at the start and the end of the window [n], and the n runs that have both."""
    ends: list[tuple[float, float]] = []
    used: list[Result] = []
    for result in results:
        points = [point for point in result.outcome.curve if math.isfinite(point.perf)]
        steps = tuple([point.step for point in points])
        window = observations.window_of(result.run, since)
        first, last = _nearest(steps, window, TOLERANCE * result.run.steps)
        if first is not None and last is not None and steps[first] < steps[last]:
            ends.append((points[first].perf, points[last].perf))
            used.append(result)
    both = np.array(ends, dtype=np.float64).reshape(-1, 2)
    return both[:, 0], both[:, 1], used


@lru_cache(maxsize=256)
def _nearest(
    steps: tuple[int, ...], window: tuple[float, float], tolerance: float
) -> tuple[int | None, int | None]:
    """Return the indices of ``steps`` nearest to the ends of the window; most runs ask the same."""
    first, last = (statistics.nearest_point(steps, end, tolerance) for end in window)
    return first, last


def _longer_training(observed: Observations, evidence: Evidence) -> str:
    """Return the line that separates longer training from annealing; empty without the arm.

    The runs of the ``half`` arm anneal over half of the steps, so the full runs are ahead of them
    by what the further steps gave.
    """
    half = observations.observe(evidence.arms.get("half", ()))
    differences = observations.paired_differences(observed, half)
    if not differences.size:
        return ""
    ahead = statistics.paired(differences, level=level_of(evidence))
    pairs = plural(int(differences.size), "pair")
    return (
        f"against half of the steps, annealed to the end: {gain(ahead.estimate, evidence.metric)}, "
        f"{interval(ahead)}, {p_text(ahead.p_greater)} ({pairs}): what longer training adds, "
        "apart from annealing"
    )


def _late_gains(results: Sequence[Result], since: int | None) -> nights.Values:
    start, end, used = ends_of(observations.observe(results).completed, since)
    gained = (end - start).tolist()
    return {nights.same_run(one): gain for one, gain in zip(used, gained, strict=True)}


def _window(claim: StillImproves, design: Design) -> tuple[str, float]:
    """Return why the window cannot be judged, empty where it can, and the step it begins at."""
    run = design.main[0]
    start, _ = claim.window(run)
    points = [*range(0, run.steps, run.evaluate_every), run.steps]
    nearest = min(points, key=lambda step: abs(step - start))
    if start >= run.steps or nearest >= run.steps:
        return f"step {start:g} is not followed by an evaluation before the last", start
    if abs(nearest - start) > TOLERANCE * run.steps:
        name = design.sweep.judged_by.measure
        every = (
            f"{name} is evaluated every {plural(run.evaluate_every, 'step')}, not near enough to "
        )
        return f"{every}step {start:g} (within {TOLERANCE:.0%} of the steps)", start
    return "", start


def _gain_spread(claim: StillImproves, design: Design) -> tuple[float, str] | None:
    """Return the SD of the gain of stored runs in the claim's window, and which runs those are."""
    ours = [result for result in design.ours if result.run.arm == MAIN]
    for results, whose in ((ours, design.sweep.name), (design.theirs, design.sweep.baseline)):
        completed = observations.observe(results).completed
        since = claim.since
        if since is not None and completed:
            since = scale_steps(since, completed[0].run.declared_steps, design.sweep.steps)
        start, end, used = ends_of(completed, since)
        spread = spread_of(end - start)
        if spread is not None:
            fewer = design.of_fewer(averaged(used))
            return spread, f"{len(each_run(used))} stored runs of {whose}{fewer}"
    return None
