"""A learning-rate range test for RL: which rate helps most, and how sure that is.

Short runs climb a ladder of learning rates, each from the same weights with the same seed. In RL
the loss says nothing of the policy's quality, so what is compared is held-out perf, item by item.
The ladder picks a rate, and runs with fresh seeds test it: a rate that was picked for its luck
fails there. Smith (2017), arXiv:1506.01186, section 3.3, has the range test of supervised learning,
one run whose rate rises; here its early rates would be judged by what its late ones destroyed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from harness import statistics
from harness.records import Outcome, finite
from harness.statistics import Estimate

STEP = math.sqrt(10.0)
"""The factor between a rate of the ladder and the next: two to a decade."""

WORSE_IN_A_ROW = 2
"""The ladder ends after this many rates in a row that are shown to be worse than the best."""

FEWEST_SEEDS, MOST_SEEDS = 3, 5
"""A rate is named only if runs there with so many fresh seeds confirm it together."""

Standing = Literal["found", "unconfirmed", "none", "unmeasured"]
"""The end of a range test: a rate; one that fresh seeds do not confirm; no rate that helps; or
nothing, because a held-out score by item is missing."""

Doubt = Literal["unfinished", "no gain", "items"]
"""Why fresh seeds do not confirm a rate: more of them are needed; one of them gains nothing; or
their mean gain may be 0, as far as the held-out items differ."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A short run at a learning rate, with its outcome; one that diverged has no gain."""

    rate: float
    outcome: Outcome

    @property
    def gains(self) -> tuple[float, ...] | None:
        """The gain of each held-out item, after training less before; None if it diverged."""
        items = self.outcome.items
        if self.outcome.status != "completed" or items is None or not items.before:
            return None
        return tuple(np.subtract(items.after, items.before).tolist())

    @property
    def gain(self) -> float | None:
        """ΔPerf, the mean of the gains; None if it diverged."""
        return None if self.gains is None else finite(self.outcome.delta_perf)

    @property
    def kl(self) -> float | None:
        """KL to the starting policy at the last step that measured it, in nats a token."""
        found = [step.kl for step in self.outcome.trace if step.kl is not None]
        return found[-1] if found else None

    @property
    def entropy(self) -> tuple[float, float] | None:
        """The entropy of the first and of the last step, in nats a token."""
        trace = self.outcome.trace
        return (trace[0].entropy, trace[-1].entropy) if trace else None

    @property
    def no_signal(self) -> float | None:
        """The mean share of groups whose rewards are all equal, over the steps."""
        shares = [step.no_signal for step in self.outcome.trace if step.no_signal is not None]
        return float(np.mean(shares)) if shares else None


@dataclass(frozen=True, slots=True)
class Limits:
    """The learning rates of a ladder: where it begins, and the ends that it does not pass."""

    begin: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RangeTest:
    """The reading of a ladder of runs.

    ``rungs`` are by rate, the lowest first. ``helps`` are the rates that are shown to gain,
    ``may_be_best`` those that are not shown to be worse than the best of them. ``rate`` is the one
    that is picked, between rates of the ladder; None where no rate helps. The best rate lies
    between ``low`` and ``high``: half a step beyond the rates that may be best, or None where the
    ladder ends with one of them. ``fresh`` are the runs with fresh seeds at ``rate`` so far.
    """

    rungs: tuple[Rung, ...]
    helps: tuple[float, ...]
    may_be_best: tuple[float, ...]
    rate: float | None
    low: float | None
    high: float | None
    alpha: float
    fresh: tuple[Rung, ...] = ()

    @property
    def standing(self) -> Standing:
        """Return how the test ended."""
        if not any(rung.gains for rung in self.rungs):
            diverged = all(rung.outcome.status == "diverged" for rung in self.rungs)
            return "none" if diverged else "unmeasured"
        if self.rate is None:
            return "none"
        return "unconfirmed" if self.doubt else "found"

    def with_fresh(self, *more: Rung) -> RangeTest:
        """Return this test with more runs of fresh seeds."""
        return replace(self, fresh=(*self.fresh, *more))

    @property
    def wants_seed(self) -> bool:
        """Whether a run with one more fresh seed can still confirm the rate."""
        return self.rate is not None and self.doubt == "unfinished"

    @property
    def doubt(self) -> Doubt | None:
        """Why the fresh seeds do not confirm the rate; None where they do.

        Three do if their mean gain is above 0 by a one-sided t test over the seeds, at ``alpha``;
        where it is not, five do if each gains, which is luck with a chance of 1/32. So the first
        that gains nothing ends the test: with one gain of three at or below 0, t is at most 2. In
        both cases the gains by item, each a mean over the seeds, must pass the test of a run too.
        """
        if any(rung.gain is None or rung.gain <= 0 for rung in self.fresh):
            return "no gain"
        done, again = len(self.fresh), self.again
        is_shown = done == FEWEST_SEEDS and again is not None and again.low > 0
        if not is_shown and done < MOST_SEEDS:
            return "unfinished"
        by_item = np.mean([rung.gains for rung in self.fresh if rung.gains], axis=0)
        if _is_above_0(by_item, self.fresh[0], self.alpha):
            return None
        return "unfinished" if done < MOST_SEEDS else "items"

    @property
    def again(self) -> Estimate | None:
        """The mean gain of the fresh seeds, with Student's interval over them; None without any.

        Its ends are one-sided at ``alpha``.
        """
        gains = self._fresh_gains
        return statistics.mean_interval(gains, 1 - 2 * self.alpha) if gains else None

    @property
    def again_error(self) -> float | None:
        """The standard error of that mean, by the spread between seeds; None with fewer than 2."""
        gains = self._fresh_gains
        return float(np.std(gains, ddof=1)) / math.sqrt(len(gains)) if len(gains) > 1 else None

    @property
    def _fresh_gains(self) -> list[float]:
        return [rung.gain for rung in self.fresh if rung.gain is not None]

    @property
    def nearest(self) -> Rung | None:
        """The run of the ladder whose rate is nearest to the picked one; None without one."""
        rate = self.rate
        if rate is None:
            return None
        return min(self.rungs, key=lambda rung: abs(math.log(rung.rate / rate)))


def gains_more(one: Rung, other: Rung | None, alpha: float) -> bool:
    """Return whether ``one`` is shown to gain more than ``other``, by a one-sided paired t test.

    The items of both are the same, and so is their sampling noise before training. None stands for
    a run that changed nothing. A run that diverged is worse than any, and better than none.
    """
    if one.gains is None:
        return False
    gains = np.asarray(one.gains)
    if other is not None:
        if other.gains is None:
            return True
        gains = gains - np.asarray(other.gains)
    return _is_above_0(gains, one, alpha)


def _is_above_0(gains: np.ndarray, of: Rung, alpha: float) -> bool:
    """Return whether the mean of gains by item is above 0, and enough of the items changed."""
    clusters = _clusters(of)
    changed = (
        statistics.clustered_error(gains, clusters).changed
        if clusters
        else int(np.count_nonzero(gains))
    )
    return interval(gains, of, alpha).low > 0 and changed >= statistics.MIN_PROMPTS_CHANGED


def _clusters(rung: Rung) -> Sequence[str]:
    """Return the cluster of each held-out item; none where each is by itself."""
    items = rung.outcome.items
    return () if items is None else items.clusters


def interval(gains: Sequence[float] | np.ndarray, of: Rung, alpha: float) -> Estimate:
    """Return the mean of gains by item with the interval whose ends are one-sided at ``alpha``."""
    return statistics.mean_interval(gains, 1 - 2 * alpha, _clusters(of) or None)


def next_rate(rungs: Sequence[Rung], limits: Limits, alpha: float) -> float | None:
    """Return the learning rate to try next; None where the ladder is done.

    It climbs from where it begins until a run diverges, or two rates in a row are shown to be worse
    than the best so far, or than no training. Then it goes down as long as the lowest rate may be
    the best, or is shown to be worse than no training.
    """
    if not rungs:
        return limits.begin
    ordered = sorted(rungs, key=lambda rung: rung.rate)
    above, below = _round(ordered[-1].rate * STEP), _round(ordered[0].rate / STEP)
    if above <= limits.high and not _has_passed(ordered, alpha):
        return above
    if below < limits.low:
        return None
    found = read(ordered, alpha)
    lowest = ordered[0]
    is_harmful = lowest.gains is None or _is_worse_than_none(lowest, alpha)
    return below if is_harmful or lowest.rate in found.may_be_best else None


def most_runs(limits: Limits) -> int:
    """Return the most runs that a test can take: one for each rate, and the fresh seeds."""
    steps = (limits.begin / limits.low, limits.high / limits.begin)
    climbed = sum(math.floor(math.log(ratio * 1.001) / math.log(STEP)) for ratio in steps)
    return 1 + climbed + MOST_SEEDS


def chance_of_luck(alpha: float) -> float:
    """Return the most often that fresh seeds confirm a rate where training is useless.

    Three seeds do at ``alpha``, five with a chance of 1/32, and both with ``alpha`` / 4. That is
    for gains without training's help that are normal over seeds around 0, however far they spread.
    """
    return 0.75 * alpha + 0.5**MOST_SEEDS


def read(rungs: Sequence[Rung], alpha: float) -> RangeTest:
    """Return what the runs of a ladder show; without any, no rate helps.

    A rate helps where its gain passes a one-sided test at ``alpha``. It may be the best where the
    one with the largest gain is not shown to gain more, at ``alpha`` over the number of the others
    (Bonferroni): the truly best of the rates is left out in at most ``alpha`` of tests, as far as
    the noise of measuring goes. What a run would do with another seed is not in it.

    The rate that is picked is the geometric mean of those that help and may be the best, each
    weighted by its gain. In simulations its true gain is above that of the rate with the largest
    measured gain, and that of the middle of the bracket, wherever a rate is often named
    (docs/decisions/0019-a-range-test-for-rl.md).
    """
    ordered = tuple(sorted(rungs, key=lambda rung: rung.rate))
    helps = [rung for rung in ordered if gains_more(rung, None, alpha)]
    if not helps:
        return RangeTest(ordered, (), (), None, None, None, alpha)
    best = max(helps, key=lambda rung: rung.gain or 0.0)
    each = alpha / max(1, len(ordered) - 1)
    may_be = [rung.rate for rung in ordered if rung is best or not gains_more(best, rung, each)]
    named = [rung for rung in helps if rung.rate in may_be]
    weights = [rung.gain or 0.0 for rung in named]
    logs = [math.log(rung.rate) for rung in named]
    picked = math.exp(math.fsum(np.multiply(weights, logs)) / math.fsum(weights))
    half = math.sqrt(STEP)
    low, high = min(may_be), max(may_be)
    return RangeTest(
        rungs=ordered,
        helps=tuple(rung.rate for rung in helps),
        may_be_best=tuple(may_be),
        rate=_round(picked),
        low=None if low == ordered[0].rate else low / half,
        high=None if high == ordered[-1].rate else high * half,
        alpha=alpha,
    )


def _has_passed(ordered: Sequence[Rung], alpha: float) -> bool:
    """Return whether the highest rates are past the best."""
    if ordered[-1].gains is None:
        return True
    last, before = ordered[-WORSE_IN_A_ROW:], ordered[:-WORSE_IN_A_ROW]
    gaining = [rung for rung in before if rung.gains is not None]
    best = max(gaining, key=lambda rung: rung.gain or 0.0, default=None)
    if best is not None and (best.gain or 0.0) <= 0.0:
        best = None
    each = alpha / len(ordered)
    return len(last) == WORSE_IN_A_ROW and all(
        _is_worse_than_none(rung, each) if best is None else gains_more(best, rung, each)
        for rung in last
    )


def _is_worse_than_none(rung: Rung, alpha: float) -> bool:
    if rung.gains is None:
        return True
    return interval(rung.gains, rung, alpha).high < 0


def _round(rate: float) -> float:
    """Return a rate to two digits, so that it reads well; the ladder's steps stay within 1%."""
    return float(f"{rate:.1e}")
