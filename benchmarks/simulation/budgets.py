"""Sweeps whose noise is known: what the noise budget says of it, and what it promises.

A result is what parameters add up to, plus what its config adds beyond that, plus its seed, plus
the sampling of its evaluation. A seed's noise is normal, Student's with 3 degrees of freedom, or
normal with 15% of the runs collapsed: completed, and far below all others. Where configs differ in
how often they collapse, the collapses are those of half of the configs, twice as often.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness import Choice, Sweep, Uniform, best_value, matters
from harness.claims import mean_gain
from harness.claims.judging import judge_one
from harness.claims.next_runs import next_runs
from harness.claims.power import design_of
from harness.observations.budget import Source, noise_budget
from harness.observations.repeats import merge
from harness.protocols import Claim
from harness.records import Conditions, Config, Outcome, Result, Run
from harness.verdicts import Baseline, Evidence

FloatArray = NDArray[np.float64]
Rng = np.random.Generator
Noise = Literal["normal", "t3", "collapse", "uneven collapse"]

CONFIGS = 24
COLLAPSED = 0.15
"""The share of runs that collapse."""

DEPTH = 4.0
"""How far a collapsed run falls, in SDs of a seed."""

MOST_ITEMS = 4.0
"""How many times the items a promise is checked for."""

PROMPTS = 512
NEAR = 0.2
"""How near to the truth an SD is called near: within a fifth."""


@dataclass(frozen=True)
class World:
    """The SDs of a sweep's results by source.

    ``added`` is what a parameter ``y`` and the learning rate's place ``x`` add up to, ``beyond``
    what a config has of its own. Standard errors are known where ``has_errors``.
    """

    added: float = 1.0
    beyond: float = 0.5
    seed: float = 0.5
    evaluation: float = 0.3
    noise: Noise = "normal"
    has_errors: bool = True

    @property
    def collapses(self) -> bool:
        return self.noise in ("collapse", "uneven collapse")

    @property
    def seed_sd(self) -> float:
        """The SD of what a seed does to a run of a random config, collapses included.

        Where configs differ in how often they collapse, a part of that is the configs'.
        """
        if not self.collapses:
            return self.seed
        rates = [COLLAPSED] if self.noise == "collapse" else [0.0, 2 * COLLAPSED]
        within = float(np.mean([rate * (1.0 - rate) for rate in rates]))
        return self.seed * math.sqrt(1.0 + DEPTH**2 * within)

    @property
    def config_sd(self) -> float:
        """The SD of the configs' own means."""
        uneven = self.noise == "uneven collapse"
        return math.sqrt(
            self.added**2 + self.beyond**2 + uneven * (self.seed * DEPTH * COLLAPSED) ** 2
        )

    def truth(self) -> dict[Source, float]:
        """Return the true SD of each source that a budget may tell."""
        return {
            "config": self.config_sd,
            "seed": self.seed_sd if self.has_errors else math.hypot(self.seed_sd, self.evaluation),
            "evaluation": self.evaluation,
            "parameters": self.added,
            "together": math.hypot(self.beyond, self.seed_sd),
        }

    def sd(self, seeds: int = 1, items: float = 1.0) -> float:
        """Return the SD of the mean over seeds of a fresh config."""
        of_seeds = self.seed_sd**2 + self.evaluation**2 / items
        return math.sqrt(self.config_sd**2 + of_seeds / seeds)

    def seeds_of(self, rng: Rng, n: int, seeds: int) -> FloatArray:
        """Return the noise of seeds [n, seeds], of mean 0 but for collapses."""
        if self.noise == "t3":
            return self.seed * rng.standard_t(3, (n, seeds)) / math.sqrt(3.0)
        values = self.seed * rng.normal(size=(n, seeds))
        if not self.collapses:
            return values
        rates = np.full(n, COLLAPSED)
        if self.noise == "uneven collapse":
            rates = np.where(rng.permutation(n) < n // 2, 2 * COLLAPSED, 0.0)
        return np.asarray(values - DEPTH * self.seed * (rng.random((n, seeds)) < rates[:, None]))


_CONDITIONS = Conditions("", "", "", "", "", "", "", "", metric="m", direction="max")
_SPACE = {"x": Uniform(1.0, 2.0), "y": Uniform(1.0, 2.0), "c": Choice("a", "b", "d")}
_WIDTH = math.sqrt(12.0)
"""The width of a uniform range of SD 1."""


def measure(
    configs: Iterable[Config],
    world: World,
    rng: Rng,
    *,
    seeds: int = 1,
    items: float = 1.0,
    effect: Callable[[Config], float] = lambda config: 0.0,
    first: int = 0,
) -> list[Result]:
    """Return the results of ``configs`` in a world, with ``effect`` beside what ``y`` adds."""
    configs = list(configs)
    own = world.beyond * rng.normal(size=len(configs))
    seeded = world.seeds_of(rng, len(configs), seeds)
    sd = world.evaluation / math.sqrt(items)
    dof = round(PROMPTS * items) - 1
    found = []
    for place, config in enumerate(configs):
        y = config["y"]
        assert isinstance(y, float)
        level = world.added * _WIDTH * (y - 1.5) + own[place] + effect(config)
        for seed in range(seeds):
            value = level + seeded[place, seed] + sd * rng.normal()
            error = sd * math.sqrt(rng.chisquare(dof) / dof) if world.has_errors else None
            id_ = f"r{first + place}-{seed}"
            run = Run(id_, "s", first + place, "main", None, config, seed, 100, 100, 10)
            outcome = Outcome(
                "completed",
                delta_perf=float(value),
                delta_perf_se=error,
                prompts=dof + 1,
                prompts_changed=dof + 1,
            )
            found.append(Result(id_, run, _CONDITIONS, outcome))
    return found


def sweep_of(rng: Rng, questions: Mapping[str, Claim] | None = None, runs: int = CONFIGS) -> Sweep:
    """Return a sweep with a sample of its own."""
    return Sweep(
        "s",
        runs=runs,
        steps=100,
        seed=int(rng.integers(2**31)),
        space=_SPACE,
        questions=questions or {},
        baseline="b",
    )


def configs_of(sweep: Sweep) -> list[Config]:
    return [run.config for run in sweep.plan()]


# ---- the components and their intervals ----------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """How a source's SD is told: its median over the truth, how often its interval covers."""

    source: Source
    truth: float
    median: float
    covered: float
    near: float


def components(world: World, seeds: int, sweeps: int, rng: Rng) -> list[Told]:
    """Split the spread of so many sweeps of `CONFIGS` configs, and compare with the truth."""
    said: dict[Source, list[tuple[float, bool]]] = {}
    truth = world.truth()
    for _ in range(sweeps):
        budget = noise_budget(measure(configs_of(sweep_of(rng)), world, rng, seeds=seeds), {})
        for source, one in budget.parts.items():
            covers = one.low <= truth[source] <= one.high
            said.setdefault(source, []).append((one.value / truth[source], covers))
    told = []
    for source, pairs in said.items():
        values = np.array([value for value, _ in pairs])
        near = float((abs(values - 1.0) <= NEAR).mean())
        covered = float(np.mean([covers for _, covers in pairs]))
        told.append(Told(source, truth[source], float(np.median(values)), covered, near))
    return told


# ---- the SD of fresh runs ------------------------------------------------------------------------


@dataclass(frozen=True)
class Fresh:
    """The SD that is predicted of fresh results over the true one, and over the realised one.

    ``near`` is how often the prediction lies within a fifth of the truth, ``near_realised`` of the
    SD of as many fresh results: that has an error of its own.
    """

    what: str
    median: float
    near: float
    near_realised: float


def fresh_runs(world: World, seeds: int, sweeps: int, rng: Rng) -> list[Fresh]:
    """Predict the SD of fresh results from sweeps with so many seeds a config."""
    plans = (("as it is", seeds, 1.0), ("2 more seeds", seeds + 2, 1.0), ("4× items", seeds, 4.0))
    predicted = np.zeros((sweeps, len(plans)))
    realised = np.zeros_like(predicted)
    for place in range(sweeps):
        budget = noise_budget(measure(configs_of(sweep_of(rng)), world, rng, seeds=seeds), {})
        for at, (_, each, items) in enumerate(plans):
            spread = budget.spread(each, items)
            assert spread is not None
            # Of a range its middle.
            predicted[place, at] = sum(spread) / 2
            configs = configs_of(sweep_of(rng))
            merged = merge(measure(configs, world, rng, seeds=each, items=items)).results
            values = [result.outcome.delta_perf for result in merged]
            realised[place, at] = np.std(np.array(values, dtype=np.float64), ddof=1)
    found = []
    for at, (what, each, items) in enumerate(plans):
        ratio = predicted[:, at] / world.sd(each, items)
        apart = predicted[:, at] / realised[:, at]
        near, near_realised = ((abs(one - 1.0) <= NEAR).mean() for one in (ratio, apart))
        found.append(Fresh(what, float(np.median(ratio)), float(near), float(near_realised)))
    return found


# ---- the power that is promised ------------------------------------------------------------------


def _along(size: float, config: Config) -> float:
    x = config["x"]
    assert isinstance(x, float)
    # From the mean of the lower third to that of the upper is two thirds of the range.
    return 1.5 * size * x


def _last(size: float, config: Config) -> float:
    return size * (config["c"] == "d")


@dataclass(frozen=True)
class Asked:
    """A claim with the way in which it is true at a size."""

    claim: Claim
    effect: Callable[[float, Config], float]


ASKED: Mapping[str, Asked] = {
    "matters_x": Asked(matters("x"), _along),
    "matters_c": Asked(matters("c"), _last),
    "best_c": Asked(best_value("c"), _last),
    "mean": Asked(mean_gain.above_baseline(), lambda size, config: size),
}


@dataclass
class Promise:
    """Powers that were promised, the least and the largest, and how often the claim was shown."""

    least: list[float] = field(default_factory=list)
    most: list[float] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)

    def means(self) -> tuple[float, float, float]:
        """Return the mean least and largest promise, and the share that was shown."""
        return float(np.mean(self.least)), float(np.mean(self.most)), float(np.mean(self.shown))


def promises(
    world: World, seeds: int, sweeps: int, rng: Rng, asked: Mapping[str, Asked] = ASKED
) -> dict[tuple[str, str], Promise]:
    """Promise the power of questions from stored sweeps, and ask them of a fresh one each.

    Of each stored sweep the effect that the plan tells is the truth of the fresh ones: one as it
    was, and one for each purchase, which has the stored number of runs and the further ones.
    """
    kept: dict[tuple[str, str], Promise] = {}
    claims = {name: one.claim for name, one in asked.items()}
    for _ in range(sweeps):
        sweep = sweep_of(rng, claims)
        stored = measure(configs_of(sweep), world, rng, seeds=seeds)
        design = design_of(sweep, stored, runs=sweep.plan(seeds=seeds), baseline_runs=CONFIGS)
        outlook = next_runs(claims, design)
        if outlook is None:
            continue
        for gained in outlook.questions:
            one = asked[gained.question]
            priced = one.claim.power(design)
            assert priced is not None
            size = next(e.size for e in priced.effects if e.words == gained.effect)

            def effect(config: Config, one: Asked = one, size: float = size) -> float:
                return one.effect(size, config)

            plans = [("now", CONFIGS, seeds, 0, 0, 1.0, (gained.now, gained.now))]
            for bought, power in zip(outlook.purchases, gained.after, strict=True):
                if power is None or (bought.kind == "items" and bought.items < MOST_ITEMS):
                    continue
                new = bought.configs - CONFIGS
                deeper = bought.kind == "deeper"
                plans.append(
                    (
                        bought.kind + (f" {bought.items:g}" if bought.kind == "items" else ""),
                        CONFIGS if deeper else bought.configs,
                        seeds if deeper else bought.seeds,
                        new if deeper else 0,
                        bought.seeds,
                        bought.items,
                        power,
                    )
                )
            for name, n, each, new, deep, items, power in plans:
                drawn = sweep_of(rng, runs=n + new)
                configs = configs_of(drawn)
                results = measure(
                    configs[:n], world, rng, seeds=each, items=items, effect=effect
                ) + measure(configs[n:], world, rng, seeds=max(1, deep), effect=effect, first=n)
                others = measure(configs_of(sweep_of(rng)), world, rng, seeds=seeds)
                evidence = Evidence(
                    "s",
                    merge(results).results,
                    baseline=Baseline("b", merge(others).results),
                    given={},
                    margin=None,
                    seed=int(rng.integers(2**31)),
                )
                verdict = judge_one(gained.question, one.claim, evidence)
                promise = kept.setdefault((gained.question, name), Promise())
                promise.least.append(power[0])
                promise.most.append(power[1])
                promise.shown.append(verdict.verdict == "supported")
    return kept
