"""Tests of whether a sweep is worse than a stored one of the same declaration.

Each test is one-sided and holds its level where both sweeps have the same truth. Runs of the same
configuration and seed are compared in pairs, so that differences between configurations do not
count as noise. Without such pairs the two samples are compared. A diverged run counts as having
lost as much as any run did.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from harness import observations, statistics
from harness.records import Outcome, Result
from harness.verdicts import Difference, Evidence, Verdict

Values = Mapping[Hashable, float]
"""The outcome of each run, by the key that is the same on both nights (`same_run`)."""


def generator(seed: int, words: str) -> np.random.Generator:
    """Return a generator that depends on the seed and the words alone, such as a question's id."""
    key = int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big")
    return np.random.default_rng([abs(seed), key])


def of_nights(now: Evidence, was: Verdict) -> np.random.Generator:
    """Return the generator for comparing a question's two nights."""
    return generator(now.seed, f"{was.id} then and now")


def mean_fell(now: Evidence, then: Evidence, was: Verdict) -> Difference:
    """Test whether the mean is lower now."""
    ours, theirs = gains_of_both(now, then)
    return Difference(f"mean {now.metric.name}", fell(ours, theirs, of_nights(now, was)))


def mean_moved(now: Evidence, then: Evidence, was: Verdict) -> tuple[Difference, ...]:
    """Test whether the mean has moved either way, for a claim that may need it high or low."""
    (ours, theirs), rng = gains_of_both(now, then), of_nights(now, was)
    worse, better = fell(ours, theirs, rng), fell(theirs, ours, rng)
    return (Difference(f"mean {now.metric.name}", min(1.0, 2.0 * min(worse, better))),)


def more_diverged(now: Evidence, then: Evidence) -> tuple[Difference, ...]:
    """Test whether more runs diverge now; nothing where none did on either night."""
    ours, theirs = observations.observe(now.runs), observations.observe(then.runs)
    if not (ours.diverged or theirs.diverged):
        return ()
    more = statistics.boschloo(len(ours.diverged), ours.total, len(theirs.diverged), theirs.total)
    return (Difference("diverged runs", more.p_greater),)


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


def floor_of(now: Evidence, then: Evidence) -> float:
    """Return the outcome that a diverged run of either night counts as."""
    return observations.worst_value(observations.observe(now.runs), observations.observe(then.runs))


def gains_of_both(now: Evidence, then: Evidence) -> tuple[Values, Values]:
    """Return each run's outcome on both nights."""
    floor = floor_of(now, then)
    return gains(now.runs, floor), gains(then.runs, floor)


def changes(now: Evidence, then: Evidence) -> tuple[Result, ...]:
    """Return the runs that both nights have, with their change since ``then`` as the outcome."""
    ours, theirs = gains_of_both(now, then)
    return tuple(
        replace(
            result,
            outcome=Outcome("completed", delta_perf=ours[key] - theirs[key]),
            gaps=(),
            repeats=(),
        )
        for result in now.runs
        if (key := same_run(result)) in ours and key in theirs
    )


def gains(results: Iterable[Result], floor: float) -> dict[Hashable, float]:
    """Return each run's outcome, ``floor`` for a diverged one."""
    found: dict[Hashable, float] = {}
    for result in results:
        delta = result.outcome.delta_perf
        if result.outcome.status == "diverged":
            found[same_run(result)] = floor
        elif delta is not None and math.isfinite(delta):
            found[same_run(result)] = delta
    return found


def same_run(result: Result) -> Hashable:
    """Return the key by which runs of two nights are the same run."""
    return result.run.id, result.run.seed, result.run.config
