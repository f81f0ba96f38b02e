"""What a sweep plans, as its claims look at it to say how likely they are to be shown."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from harness import observations, statistics
from harness.records import MAIN, Config, Result, Run
from harness.sweeps.sampling import unit_points
from harness.sweeps.sweep import Sweep

ENOUGH = 8
"""So many stored runs or pairs tell an SD."""


MOST = 1_000
"""Sizes up to which a power of 0.8 is looked for."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A way in which a claim may be true: in words, as a number, and how likely it is shown.

    ``shown`` goes between "with 24 runs," and "with probability". ``power`` is that of so many runs
    or pairs.
    """

    words: str
    size: float
    shown: str
    power: Callable[[int], float]


@dataclass(frozen=True, slots=True)
class Asked:
    """The standard effects of a claim under a design; none where ``why`` says what that lacks.

    ``n`` are the planned runs or pairs, ``given`` what the power rests on, ``least`` and ``most``
    the sizes that are looked through for a power of 0.8; with ``every``, one by one.
    """

    n: int
    effects: tuple[Effect, ...] = ()
    why: str = ""
    given: str = ""
    unit: Literal["runs", "pairs"] = "runs"
    least: int = 2
    most: int = MOST
    every: bool = False


@dataclass(frozen=True)
class Design:
    """What is planned, and what is stored that tells how such runs come out.

    ``runs`` are the planned ones of all arms. ``stored`` are runs of the sweep and of its baseline,
    ``baseline_runs`` how many main runs that one is to have.
    """

    sweep: Sweep
    runs: tuple[Run, ...]
    stored: tuple[Result, ...] = ()
    baseline_runs: int | None = None

    @cached_property
    def main(self) -> tuple[Run, ...]:
        """The planned main runs."""
        return tuple(run for run in self.runs if run.arm == MAIN)

    @property
    def n(self) -> int:
        """How many main runs are planned."""
        return len(self.main)

    @cached_property
    def ours(self) -> tuple[Result, ...]:
        """The finished runs of the sweep and its arms."""
        return self._finished(self.sweep.name)

    @cached_property
    def theirs(self) -> tuple[Result, ...]:
        """The finished main runs of the baseline."""
        name = self.sweep.baseline
        found = self._finished(name) if isinstance(name, str) else ()
        return tuple(result for result in found if result.run.arm == MAIN)

    @property
    def other_n(self) -> int:
        """How many runs the baseline has or is to have; as many as the sweep where unknown."""
        return max(len(self.theirs), self.baseline_runs or 0) or self.n

    @property
    def baseline_is_finished(self) -> bool:
        """Whether the runs of the baseline are no longer a matter of chance."""
        return bool(self.theirs) and len(self.theirs) >= (self.baseline_runs or 0)

    @cached_property
    def spread(self) -> tuple[float, str] | None:
        """The SD of ΔPerf over runs, and of which runs; None where too few are stored."""
        ours = tuple(result for result in self.ours if result.run.arm == MAIN)
        for results, whose in ((ours, self.sweep.name), (self.theirs, self.sweep.baseline)):
            found = spread_of(observations.observe(results).delta)
            if found is not None:
                return found, f"{len(results)} stored runs of {whose}"
        return None

    def configs(self, n: int) -> list[Config]:
        """Return the configs of the first ``n`` main runs, also where fewer are planned."""
        if n <= self.n:
            return [run.config for run in self.main[:n]]
        space = self.sweep.parameters
        points = unit_points(self.sweep.sampler, n, n, len(space), self.sweep.seed)
        return [space.config(point) for point in points]

    def rng(self, words: str) -> np.random.Generator:
        """Return the generator of a simulation: the same for the same words, at every size."""
        key = int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big")
        return np.random.default_rng([self.sweep.seed, key])

    def _finished(self, sweep: str) -> tuple[Result, ...]:
        return tuple(r for r in self.stored if r.run.sweep == sweep and r.is_final)


def spread_of(values: observations.FloatArray) -> float | None:
    """Return the SD of ``values`` [n]; None where they are too few or all equal."""
    if values.size < ENOUGH or statistics.is_constant(values):
        return None
    return float(np.std(values, ddof=1))
