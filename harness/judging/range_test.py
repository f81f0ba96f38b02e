"""A learning-rate range test for RL: which rate helps most, and how sure that is.

Short runs climb a ladder of learning rates, each from the same weights with the same seed. In RL
the loss says nothing of the policy's quality, so what is compared is held-out perf, item by item.
The ladder picks a rate, and a run with a fresh seed tests it: a rate that was picked for its luck
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

Standing = Literal["found", "unconfirmed", "none", "unmeasured"]
"""The end of a range test: a rate; one that a fresh seed does not confirm; no rate that helps; or
nothing, because a held-out score by item is missing."""


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
    ladder ends with one of them. ``fresh`` is the run with a fresh seed at ``rate``, once there is
    one.
    """

    rungs: tuple[Rung, ...]
    helps: tuple[float, ...]
    may_be_best: tuple[float, ...]
    rate: float | None
    low: float | None
    high: float | None
    alpha: float
    fresh: Rung | None = None

    @property
    def standing(self) -> Standing:
        """Return how the test ended."""
        if not any(rung.gains for rung in self.rungs):
            diverged = all(rung.outcome.status == "diverged" for rung in self.rungs)
            return "none" if diverged else "unmeasured"
        if self.rate is None:
            return "none"
        if self.fresh is None or not gains_more(self.fresh, None, self.alpha):
            return "unconfirmed"
        return "found"

    def confirmed_by(self, fresh: Rung) -> RangeTest:
        """Return this test with the run of a fresh seed."""
        return replace(self, fresh=fresh)

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
    clusters = _clusters(one)
    changed = (
        statistics.clustered_error(gains, clusters).changed
        if clusters
        else int(np.count_nonzero(gains))
    )
    return interval(gains, one, alpha).low > 0 and changed >= statistics.MIN_PROMPTS_CHANGED


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
    """Return the most runs that a test can take: one for each rate, and one with a fresh seed."""
    steps = (limits.begin / limits.low, limits.high / limits.begin)
    return 2 + sum(math.floor(math.log(ratio * 1.001) / math.log(STEP)) for ratio in steps)


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
