"""Whether two sweeps of one declaration differ in what a claim is about, for the worse.

Each test is one-sided, and holds its level where both sweeps have the same truth. Runs of the same
configuration and seed are compared in pairs, so that what configurations differ by does not count
as noise; else the two samples are. A diverged run counts as having lost all that was ever lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from harness import observations, statistics
from harness.claims import (
    BestInside,
    LowerTailAboveBaseline,
    MeanAboveBaseline,
    NoWorse,
    SpreadBelowBaseline,
    StillImproves,
    SuccessAbove,
    SuccessAboveBaseline,
)
from harness.claims.base import generator
from harness.claims.curve import ends_of
from harness.observations import Observations
from harness.observations.levels import is_number
from harness.protocols import Claim
from harness.records import Result
from harness.verdicts import Evidence, Verdict

Values = Mapping[Hashable, float]
"""What runs came to, by what makes two of them the same run."""


class Difference(NamedTuple):
    """One thing in which the two sweeps may differ, with the p value of "for the worse"."""

    what: str
    p_value: float


def differences(claim: Claim, now: Evidence, then: Evidence, was: Verdict) -> list[Difference]:
    """Return the tests of whether ``now`` is worse than ``then`` in what ``claim`` rests on.

    ``was`` is the verdict of then. Correct for their number.
    """
    ours, theirs = observations.observe(now.runs), observations.observe(then.runs)
    floor = observations.worst_value(ours, theirs)
    gains, before = _gains(now.runs, floor), _gains(then.runs, floor)
    rng = generator(now, f"{was.id} then and now")
    found: list[Difference] = []
    match claim:
        case SuccessAbove() | SuccessAboveBaseline():
            found = [
                Difference("successes", _fewer_successes(now, ours, theirs)),
                Difference("mean ΔPerf", fell(gains, before, rng)),
            ]
        case MeanAboveBaseline():
            found = [Difference("mean ΔPerf", fell(gains, before, rng))]
        case SpreadBelowBaseline():
            spread = statistics.compare_spreads(ours.delta, theirs.delta).p_greater
            found = [Difference("spread of ΔPerf", spread)]
        case LowerTailAboveBaseline():
            tail = statistics.compare_tails(
                list(gains.values()), list(before.values()), rng, share=claim.share
            )
            found = [Difference(f"worst {claim.share:.0%}", tail.p_less)]
        case StillImproves():
            late, earlier = (_late_gains(side.completed, claim.since) for side in (ours, theirs))
            found = [Difference("gain in the window", fell(late, earlier, rng))]
        case BestInside():
            found = _by_distance(claim, (now, then), was, floor, rng)
        case NoWorse():
            for value in claim.than:
                ahead, had = (_paired(claim, side, value, floor) for side in (now, then))
                found.append(Difference(f"difference to {value}", fell(ahead, had, rng)))
        case _:
            worse, better = fell(gains, before, rng), fell(before, gains, rng)
            found = [Difference("mean ΔPerf", min(1.0, 2.0 * min(worse, better)))]
    if ours.diverged or theirs.diverged:
        more = statistics.boschloo(
            len(ours.diverged), ours.total, len(theirs.diverged), theirs.total
        )
        found.append(Difference("diverged runs", more.p_greater))
    return found


def fell(now: Values, then: Values, rng: np.random.Generator) -> float:
    """Return the p value of "the mean is lower now than then"."""
    shared = [name for name in now if name in then]
    if len(shared) >= max(2, min(len(now), len(then))):
        changes = np.array([now[name] - then[name] for name in shared])
        if not np.any(np.abs(changes) > 1e-12):
            return 1.0
        if not statistics.is_constant(changes):
            return statistics.matched(changes).p_less
    return statistics.compare_means(list(now.values()), list(then.values()), rng).p_less


def _gains(results: Iterable[Result], floor: float) -> dict[Hashable, float]:
    """Return the ΔPerf of each run, ``floor`` for a diverged one."""
    found: dict[Hashable, float] = {}
    for result in results:
        delta = result.outcome.delta_perf
        if result.outcome.status == "diverged":
            found[_same(result)] = floor
        elif delta is not None and math.isfinite(delta):
            found[_same(result)] = delta
    return found


def _same(result: Result) -> Hashable:
    return result.run.id, result.run.seed, result.run.config


def _fewer_successes(evidence: Evidence, ours: Observations, theirs: Observations) -> float:
    rule: observations.Rule = "shown" if ours.rule == theirs.rule == "shown" else "above zero"
    now, then = (
        observations.count_successes(side, evidence.min_gain, rule) for side in (ours, theirs)
    )
    return statistics.boschloo(now.successes, now.runs, then.successes, then.runs).p_less


def _late_gains(results: Iterable[Result], since: int | None) -> dict[Hashable, float]:
    start, end, used = ends_of(tuple(results), since)
    gained = (end - start).tolist()
    return {_same(result): gain for result, gain in zip(used, gained, strict=True)}


def _by_distance(
    claim: BestInside,
    sides: tuple[Evidence, Evidence],
    was: Verdict,
    floor: float,
    rng: np.random.Generator,
) -> list[Difference]:
    """Return whether runs near the best value of then have lost, and those away from it gained."""
    (now, then), best = sides, was.estimate
    if best is None:
        return []
    place: Callable[[float], float] = math.log if _positive(claim, now, then, best) else float

    def distances(evidence: Evidence) -> dict[Hashable, float]:
        values = ((r, r.run.config.get(claim.parameter)) for r in evidence.runs)
        return {_same(r): abs(place(v) - place(best)) for r, v in values if is_number(v)}

    reach = distances(then)
    if not reach:
        return []
    half = float(np.median(list(reach.values())))

    def parts(evidence: Evidence) -> tuple[Values, Values]:
        away, gains = distances(evidence), _gains(evidence.runs, floor)
        near = {name: gain for name, gain in gains.items() if away.get(name, math.inf) <= half}
        return near, {name: gain for name, gain in gains.items() if away.get(name, 0.0) > half}

    (near, far), (near_then, far_then) = parts(now), parts(then)
    return [
        Difference("ΔPerf near the best value", fell(near, near_then, rng)),
        Difference("ΔPerf away from the best value", fell(far_then, far, rng)),
    ]


def _positive(claim: BestInside, now: Evidence, then: Evidence, best: float) -> bool:
    values = [r.run.config.get(claim.parameter) for r in (*now.runs, *then.runs)]
    return best > 0.0 and all(value > 0.0 for value in values if is_number(value))


def _paired(
    claim: NoWorse, evidence: Evidence, value: object, floor: float
) -> dict[Hashable, float]:
    """Return how much the reference value is ahead of another one, by main run."""
    main = {
        observations.identity(result): result
        for result in evidence.runs
        if result.run.config.get(claim.parameter) == claim.reference
    }
    gains = _gains(evidence.runs, floor)
    ahead: dict[Hashable, float] = {}
    for result in evidence.arms.get(claim.parameter, ()):
        of = main.get(observations.partner(result))
        theirs = _gains([result], floor)
        if of is not None and theirs and result.run.config.get(claim.parameter) == value:
            ours = gains.get(_same(of))
            if ours is not None:
                ahead[_same(of)] = ours - next(iter(theirs.values()))
    return ahead
