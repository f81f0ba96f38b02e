"""The plan of a sweep, by which claims say how likely they are to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness import observations, statistics
from harness.claims.nights import generator
from harness.records import MAIN, Config, Result, Run
from harness.sweeps.sampling import unit_points
from harness.sweeps.sweep import Sweep
from harness.text import number, plural
from harness.verdicts import DELTA_PERF, MOST, Counts, Effect, Pricing

ENOUGH = 8
"""The stored runs or pairs that it takes to estimate an SD."""


@dataclass(frozen=True)
class Design:
    """A planned sweep, with stored runs that show how much such runs spread.

    ``runs`` are the planned ones of all arms. ``stored`` are runs of the sweep and of its baseline,
    ``baseline_runs`` the number of main runs that the baseline is to have.
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
        """The number of planned main runs."""
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
        """The number of runs the baseline has or will have; as many as the sweep where unknown."""
        return max(len(self.theirs), self.baseline_runs or 0) or self.n

    @property
    def baseline_is_finished(self) -> bool:
        """Whether the runs of the baseline are no longer a matter of chance."""
        return bool(self.theirs) and len(self.theirs) >= (self.baseline_runs or 0)

    @cached_property
    def spread(self) -> tuple[float, str] | None:
        """The SD of ΔPerf over runs, and which runs those are; None where too few are stored."""
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
        return generator(self.sweep.seed, words)

    def _finished(self, sweep: str) -> tuple[Result, ...]:
        return tuple(r for r in self.stored if r.run.sweep == sweep and r.is_final)


def spread_of(values: observations.FloatArray) -> float | None:
    """Return the SD of ``values`` [n]; None where they are too few or all equal."""
    if values.size < ENOUGH or statistics.is_constant(values):
        return None
    return float(np.std(values, ddof=1))


GAINS = (0.5, 1.0)
"""Standard gains, in SDs of a run."""

MOST_SIMULATED = 192
"""Sizes up to which a power is simulated: that of a larger sweep is at least this one's."""


def versus_baseline(
    design: Design, fewest: int, effects: tuple[Effect, ...], most: int = MOST
) -> Pricing:
    """Return the pricing of a claim that needs the baseline's runs one by one."""
    n, m = design.n, design.other_n
    lacking = no_baseline(design)
    if not lacking and isinstance(design.sweep.baseline, Counts):
        lacking = f"published counts have no {DELTA_PERF.name} of each run"
    if not lacking and min(n, m) < fewest:
        lacking = f"it needs {fewest} runs on each side, not {n} against {m}"
    if lacking:
        return Pricing(n, why=lacking)
    spread = design.spread
    given = f"against {plural(m, 'run')} of the baseline; the SD of a run is "
    given += "not known yet" if spread is None else f"{number(spread[0])}, of {spread[1]}"
    return Pricing(n, effects, given=given, least=fewest, most=most)


def no_baseline(design: Design) -> str:
    """Say that the sweep has no baseline; empty where it has."""
    return "" if design.sweep.baseline is not None else "the sweep has no baseline"


def simulations(n: int, design: Design, most: int) -> int:
    """Return how many samples are simulated: ``most`` for the plan itself, if it is not large."""
    return most if n == design.n and n + design.other_n <= 150 else most * 3 // 10


def in_spreads(design: Design) -> list[tuple[float, float, str]]:
    """Return the standard gains: in SDs, as a size in the unit that is known, and in words."""
    if design.spread is None:
        return [(gain, gain, spreads(gain)) for gain in GAINS]
    spread = design.spread[0]
    return [(gain, gain * spread, f"{number(gain * spread)} ({spreads(gain)})") for gain in GAINS]


def spreads(size: float) -> str:
    """Return a size in SDs in words."""
    return "half an SD" if size == 0.5 else f"{size:g} SD"


def share(rate: float) -> str:
    """Return a share as a percentage, its decimal only below 10%."""
    return f"{round(100 * rate, 0 if rate >= 0.1 else 1):g}%"
