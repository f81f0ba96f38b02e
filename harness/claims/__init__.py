"""The claims that a sweep's questions make, and how they are judged.

A claim is a frozen statement: it can be declared in a sweep file, hashed before the first run, and
judged to a verdict when the runs are in::

    questions=dict(
        success_above_half=success_rate.above(0.5),
        success_vs_baseline=success_rate.above_baseline(),
        mean_vs_baseline=mean_gain.above_baseline(),
        gain_over_null=mean_gain.above_arm("null"),
        winner=winner.beats("median"),
        variance_vs_baseline=spread.below_baseline(),
        lower_tail_vs_baseline=lower_tail.above_baseline(),
        plateau=still_improves(since=50, margin=0.02),
        lr_sweet_spot=best_inside("learning_rate"),
        batch_size=no_worse("batch_size", 8, than=(4, 12), margin=0.02),
        matters_lr_schedule=matters("lr_schedule"),
        best_lr_schedule=best_value("lr_schedule"),
    )

``supported`` and ``refuted`` claims are each shown by a test. A claim that is not shown either way
is ``inconclusive``; one that the data cannot decide is ``unanswerable``, with what would answer it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from harness.claims.above_arm import MeanAboveArm
from harness.claims.base import BaseClaim
from harness.claims.best import BestValue
from harness.claims.confirmed import WinnerBeats
from harness.claims.effect import Matters
from harness.claims.judging import STANDARD_IDS, judge_all, with_holm
from harness.claims.mean import MeanAboveBaseline
from harness.claims.non_inferiority import NoWorse
from harness.claims.plateau import StillImproves
from harness.claims.success import SuccessAbove
from harness.claims.success_baseline import SuccessAboveBaseline
from harness.claims.sweet_spot import BestInside
from harness.claims.tail import LowerTailAboveBaseline
from harness.claims.variance import SpreadBelowBaseline
from harness.records import Config, Value
from harness.sweeps.checks import declares
from harness.sweeps.confirming import MEDIAN

__all__ = [
    "STANDARD_IDS",
    "BaseClaim",
    "BestInside",
    "BestValue",
    "LowerTailAboveBaseline",
    "Matters",
    "MeanAboveArm",
    "MeanAboveBaseline",
    "NoWorse",
    "SpreadBelowBaseline",
    "StillImproves",
    "SuccessAbove",
    "SuccessAboveBaseline",
    "WinnerBeats",
    "best_inside",
    "best_value",
    "judge_all",
    "lower_tail",
    "matters",
    "mean_gain",
    "no_worse",
    "spread",
    "still_improves",
    "success_rate",
    "winner",
    "with_holm",
]


class _SuccessRate:
    """Claims on the share of runs that are shown to improve."""

    @declares("success_rate.above")
    def above(self, rate: float) -> SuccessAbove:
        """Claim that more than ``rate`` (0 to 1) of the runs are shown to improve."""
        return SuccessAbove(rate)

    @declares("success_rate.above_baseline")
    def above_baseline(self) -> SuccessAboveBaseline:
        """Claim that more of the runs are shown to improve than in the baseline."""
        return SuccessAboveBaseline()


class _MeanGain:
    """Claims on the mean ΔPerf of the runs."""

    @declares("mean_gain.above_baseline")
    def above_baseline(self) -> MeanAboveBaseline:
        """Claim that the mean ΔPerf is higher than the baseline's."""
        return MeanAboveBaseline()

    @declares("mean_gain.above_arm")
    def above_arm(self, arm: str, *, margin: float | None = None) -> MeanAboveArm:
        """Claim that the mean ΔPerf is higher than in an ``arm``, such as ``null``, in pairs.

        The claim is refuted where the gain is shown to be below ``margin``; None takes the sweep's.
        """
        return MeanAboveArm(arm, margin)


class _Spread:
    """Claims on how much the runs differ from each other."""

    @declares("spread.below_baseline")
    def below_baseline(self) -> SpreadBelowBaseline:
        """Claim that ΔPerf varies less than in the baseline."""
        return SpreadBelowBaseline()


class _LowerTail:
    """Claims on the worst runs."""

    @declares("lower_tail.above_baseline")
    def above_baseline(self, share: float = 0.25) -> LowerTailAboveBaseline:
        """Claim that the worst ``share`` of the runs does better than the baseline's."""
        return LowerTailAboveBaseline(share)


class _Winner:
    """Claims on the leaders of the sweep, trained again with fresh seeds."""

    @declares("winner.beats")
    def beats(
        self,
        reference: str | int | Mapping[str, Value] = MEDIAN,
        *,
        margin: float | None = None,
    ) -> WinnerBeats:
        """Claim that one of the leaders beats a ``reference``, both with fresh seeds.

        ``reference`` is ``"median"``, the sweep's median config; the number or the id of a main
        run; or a whole config. The claim is refuted where the lead of each is shown to be below
        ``margin``; None takes the sweep's. The sweep needs the arm ``confirm``.
        """
        return WinnerBeats(cast(str | int | Config, reference), margin)


success_rate = _SuccessRate()
mean_gain = _MeanGain()
spread = _Spread()
lower_tail = _LowerTail()
winner = _Winner()


@declares("still_improves")
def still_improves(since: int | None = None, margin: float | None = None) -> StillImproves:
    """Claim that perf still improves from step ``since`` (half of the steps) to the last.

    ``margin`` is the gain that would matter; None takes the sweep's.
    """
    return StillImproves(since, margin)


@declares("best_inside")
def best_inside(
    parameter: str, *, within: str | None = None, margin: float | None = None
) -> BestInside:
    """Claim that the best value of a numeric ``parameter`` lies inside its range.

    ``within`` names another parameter with repeated levels that changes perf as well: only runs
    that agree on it are compared. The claim is refuted where thirds of the range agree within
    ``margin``; None takes the sweep's.
    """
    return BestInside(parameter, within, margin)


@declares("matters")
def matters(parameter: str, *, margin: float | None = None) -> Matters:
    """Claim that a ``parameter`` makes a difference with the other parameters held equal.

    The claim is refuted where its levels, or thirds of its range, agree within ``margin``; None
    takes the sweep's.
    """
    return Matters(parameter, margin)


@declares("best_value")
def best_value(parameter: str, *, margin: float | None = None) -> BestValue:
    """Claim that one value of a ``parameter`` is best with the other parameters held equal.

    The claim is refuted where its levels, or thirds of its range, agree within ``margin``; None
    takes the sweep's.
    """
    return BestValue(parameter, margin)


@declares("no_worse")
def no_worse(
    parameter: str, reference: Value, *, than: Sequence[Value], margin: float | None = None
) -> NoWorse:
    """Claim that ``reference`` is no worse than the values ``than``, by more than ``margin``.

    The sweep needs an arm of the parameter's name; its runs are matched with main runs in all else.
    ``margin`` None takes the sweep's.
    """
    return NoWorse(parameter, reference, cast(tuple[Value, ...], than), margin)
