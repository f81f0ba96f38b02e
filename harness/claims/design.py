"""The plan of a sweep, from which claims work out their power."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from harness import observations, statistics
from harness.claims.nights import generator
from harness.observations.budget import NoiseBudget, noise_budget
from harness.observations.columns import Column, read_columns
from harness.observations.repeats import averaged, each_run, merge, merge_arms, seed_spread
from harness.records import CONFIRM, MAIN, Config, Result, Run
from harness.sweeps.sampling import FIXED_SIZE, unit_points
from harness.sweeps.sweep import Sweep
from harness.text import number, plural
from harness.verdicts import MOST, Counts, Effect, Pricing, by_arm

ENOUGH = 8
"""The stored runs or pairs that it takes to estimate an SD."""

GAINS = (0.5, 1.0)
"""Standard gains, in SDs of a run."""

MOST_SIMULATED = 192
"""Sizes up to which a power is simulated: that of a larger sweep is at least this one's."""


@dataclass(frozen=True)
class Design:
    """A planned sweep, with stored runs that show how much such runs spread.

    ``runs`` are the planned ones of all arms. ``stored`` are runs of the sweep and of its baseline,
    ``baseline_runs`` the number of main runs that the baseline is to have. With several ``seeds``
    each of the runs stands for a config that is judged by the mean over them. ``budget`` is where
    their spread comes from, that of the stored main runs if None. With ``repeats`` a larger sweep
    has the planned configs again and again: how they were drawn is not known.
    """

    sweep: Sweep
    runs: tuple[Run, ...]
    stored: tuple[Result, ...] = ()
    baseline_runs: int | None = None
    seeds: int = 1
    budget: NoiseBudget | None = None
    repeats: bool = False

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
        """The finished runs of the sweep and its arms, the seeds of a config merged."""
        arms = by_arm(self._finished(self.sweep.name))
        main = arms.pop(MAIN, ())
        if self.seeds == 1:
            return (*main, *(result for of in arms.values() for result in of))
        merged = merge(main, several=True)
        configs = {result.run.id: result.run.config for result in main}
        paired = merge_arms(arms, merged, configs).values()
        return (*merged.results, *(result for of in paired for result in of))

    @cached_property
    def confirming(self) -> tuple[Result, ...]:
        """The finished runs of the sweep that confirm its leaders, seed by seed."""
        return tuple(r for r in self._finished(self.sweep.name) if r.run.arm == CONFIRM)

    @cached_property
    def spread_of_seeds(self) -> tuple[float, str] | None:
        """The SD between the seeds of one config, and whose; None where no config has several."""
        for name in (self.sweep.name, self.sweep.baseline):
            found = self._finished(name) if isinstance(name, str) else ()
            seeds = seed_spread(result for result in found if result.run.arm == MAIN)
            if seeds is not None and seeds.components.within.value > 0.0:
                return seeds.components.within.value, f"{seeds.runs} stored runs of {name}"
        return None

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
        """The SD of the outcome over results, and which those are; None where too few are stored.

        Results are runs or, of several seeds, configs. Where single runs show how far the seeds of
        a config lie apart, the SD is that of a mean over the planned number of them.
        """
        if self.budget is not None:
            known = self.budget.spread(self.seeds)
            return None if known is None else (known[1], plural(self.budget.runs, "run"))
        ours = tuple(result for result in self.ours if result.run.arm == MAIN)
        for results, whose in ((ours, self.sweep.name), (self.theirs, self.sweep.baseline)):
            found = spread_of(observations.observe(results).delta)
            if found is None:
                continue
            stored = averaged(results)
            seeds = seed_spread(results) if stored != self.seeds else None
            if seeds is not None:
                of = seeds.components
                found = math.hypot(of.between.value, of.within.value / math.sqrt(self.seeds))
                return found, f"{seeds.runs} stored runs of {whose}{self.of_fewer(self.seeds)}"
            number_of = len(each_run(results))
            return found, f"{number_of} stored runs of {whose}{self.of_fewer(stored)}"
        return None

    @cached_property
    def noise(self) -> NoiseBudget:
        """Where the spread of the stored main runs comes from."""
        if self.budget is not None:
            return self.budget
        ours = tuple(r for r in self._finished(self.sweep.name) if r.run.arm == MAIN)
        return noise_budget(ours, self.sweep.parameters.dependencies)

    @cached_property
    def beside(self) -> tuple[float, str] | None:
        """The SD that the parameters leave of a result, and what it is known from; None if unknown.

        Where it is not known what more seeds bring, it is the larger one.
        """
        found = self.noise.spread(self.seeds, beside=True)
        if found is None or not found[1] > 0.0:
            return None
        return found[1], f"{plural(self.noise.runs, 'stored run')} of {self.sweep.name}"

    def of_fewer(self, stored: float) -> str:
        """Say what results an SD is of, where seeds are averaged; ``stored`` is their number."""
        if max(stored, self.seeds) == 1:
            return ""
        if stored == self.seeds:
            return f", for the mean of {plural(self.seeds, 'seed')}"
        over = "a single run" if stored == 1 else f"the mean of {stored:g} seeds"
        return f", for {over}, where {self.seeds} are planned: more seeds vary less"

    def configs(self, n: int) -> list[Config]:
        """Return the configs of the first ``n`` main runs, also where fewer are planned."""
        if n <= self.n:
            return [run.config for run in self.main[:n]]
        if n > MOST_SIMULATED or self.sweep.sampler in FIXED_SIZE:
            return self._drawn(n)
        return self._larger[:n]

    def columns(self, n: int) -> Mapping[str, Column]:
        """Return the parameters that vary in the configs of the first ``n`` main runs.

        Each number of runs is drawn and read once, whatever the number of questions.
        """
        if n not in self._columns:
            self._columns[n] = read_columns(self.configs(n))[0]
        return self._columns[n]

    @cached_property
    def _columns(self) -> dict[int, Mapping[str, Column]]:
        return {}

    @cached_property
    def _larger(self) -> list[Config]:
        """The configs of a sweep of as many runs as are simulated; a smaller one begins alike."""
        return self._drawn(MOST_SIMULATED)

    def _drawn(self, n: int) -> list[Config]:
        if self.repeats:
            return [self.main[place % self.n].config for place in range(n)]
        space = self.sweep.parameters
        points = unit_points(self.sweep.sampler, n, n, len(space), self.sweep.seed)
        return [space.config(point) for point in points]

    @property
    def gains(self) -> list[tuple[float, float, str]]:
        """The standard gains: in SDs, in the metric's unit (SDs where unknown), and in words."""
        return _gains(self.spread)

    @property
    def gains_beside(self) -> list[tuple[float, float, str]]:
        """The standard gains, in SDs of what the parameters leave, or of a result where unknown."""
        return _gains(self.beside or self.spread)

    @property
    def a_run(self) -> str:
        """Name one of the n results in words."""
        return "a run" if self.seeds == 1 else f"a config's mean over {self.seeds} seeds"

    @property
    def lacks_baseline(self) -> str:
        """The reason why nothing is compared with a baseline: there is none. Empty where one is."""
        return "" if self.sweep.baseline is not None else "the sweep has no baseline"

    def versus_baseline(
        self, fewest: int, effects: tuple[Effect, ...], most: int = MOST
    ) -> Pricing:
        """Return the pricing of a claim that needs each run of the baseline."""
        n, m, lacking, spread = self.n, self.other_n, self.lacks_baseline, self.spread
        if not lacking and isinstance(self.sweep.baseline, Counts):
            lacking = f"published counts have no {self.sweep.judged_by.name} of each run"
        if not lacking and min(n, m) < fewest:
            lacking = f"it needs {fewest} runs on each side, not {n} against {m}"
        if lacking:
            return Pricing(n, why=lacking)
        given = f"against {plural(m, 'run')} of the baseline; the SD of {self.a_run} is "
        given += "not known yet" if spread is None else f"{number(spread[0])}, of {spread[1]}"
        return Pricing(n, effects, given=given, least=fewest, most=most, others=m)

    def simulations(self, n: int, most: int) -> int:
        """Return the number of simulated samples: ``most`` for the plan itself, if not large."""
        return most if n == self.n and n + self.other_n <= 150 else most * 3 // 10

    def rng(self, words: str) -> np.random.Generator:
        """Return the generator of a simulation: the same for the same words, at every size."""
        return generator(self.sweep.seed, words)

    def _finished(self, sweep: str) -> tuple[Result, ...]:
        return tuple(r for r in self.stored if r.run.sweep == sweep and r.is_final)


def _gains(spread: tuple[float, str] | None) -> list[tuple[float, float, str]]:
    if spread is None:
        return [(gain, gain, spreads(gain)) for gain in GAINS]
    sd = spread[0]
    return [(gain, gain * sd, f"{number(gain * sd)} ({spreads(gain)})") for gain in GAINS]


def spread_of(values: observations.FloatArray) -> float | None:
    """Return the SD of ``values`` [n]; None where they are too few or all equal."""
    if values.size < ENOUGH or statistics.is_constant(values):
        return None
    return float(np.std(values, ddof=1))


@dataclass(frozen=True, slots=True)
class Ahead:
    """How far one thing may be ahead of another, by the SD of a difference between the two.

    ``least`` is the margin in SDs. ``sizes`` are as `effects` takes them, none below the margin.
    ``given`` says what the SD is, and the margin where it is not known.
    """

    least: float
    sizes: tuple[tuple[float, float, str], ...]
    given: str

    @classmethod
    def of(
        cls, spread: tuple[float, str] | None, margin: float, standard: Sequence[float], sd_of: str
    ) -> Ahead:
        """Return the ``standard`` sizes, in SDs, for an SD and what it is known from.

        ``sd_of`` says what the SD is of. Without one the margin is taken to be as large as the
        smallest size.
        """
        first = standard[0]
        if spread is None:
            given = f"the SD is that of {sd_of}, not known yet"
            given += f"; margin: {spreads(first)}" if margin else ""
            sizes = tuple((size, size, spreads(size)) for size in standard)
            return cls(first if margin else 0.0, sizes, given)
        sd, whose = spread
        each = [max(size * sd, size * margin / first) for size in standard]
        sizes = tuple((size / sd, size, number(size)) for size in each)
        return cls(margin / sd, sizes, f"the SD of {sd_of} is {number(sd)}, {whose}")


def effects(
    power: Callable[[float, int], float],
    sizes: Iterable[tuple[float, float, str]],
    words: Callable[[str], str],
    shown: Callable[[str], str],
) -> tuple[Effect, ...]:
    """Return an effect for each of ``sizes``: as ``power`` takes it, in the claim's unit, in words.

    ``words`` and ``shown`` put the size in words into those of the `Effect`.
    """
    return tuple(
        Effect(words(said), size, shown(said), partial(power, effect), effect, power)
        for effect, size, said in sizes
    )


def spreads(size: float) -> str:
    """Return a size in SDs in words."""
    return "half an SD" if size == 0.5 else f"{size:g} SD"


def share(rate: float) -> str:
    """Return a share as a percentage, its decimal only below 10%."""
    return f"{round(100 * rate, 0 if rate >= 0.1 else 1):g}%"
