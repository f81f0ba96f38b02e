"""How often the audit finds what is not there, and what is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from harness import Choice, Given, LogUniform, Uniform
from harness.audit import CODES, audit
from harness.claims import best_inside, mean_gain, no_worse, still_improves, success_rate
from harness.protocols import Claim
from harness.records import Config, Result, Value
from harness.sweeps.space import Space
from harness.verdicts import Baseline, Evidence, Finding

from .cells import Cell
from .evidence import results, seeded
from .samples import FloatArray

SIZES = (8, 16, 24, 48, 96)
SCHEDULE = Given("lr_schedule", advanced=Choice(10, 20, 30), cosine=Choice(0, 10, 20))


@dataclass(frozen=True)
class Design:
    """A random design: its space, and what is asked of it."""

    space: Space
    questions: Mapping[str, Claim]

    @property
    def given(self) -> Mapping[str, str]:
        return self.space.dependencies


ASKED: dict[str, Claim] = {
    "success_above_half": success_rate.above(0.5),
    "success_vs_baseline": success_rate.above_baseline(),
    "mean_vs_baseline": mean_gain.above_baseline(),
    "plateau": still_improves(since=50, margin=0.02),
}
RATE: dict[str, Claim] = {"lr_sweet_spot": best_inside("learning_rate", margin=0.02)}


@lru_cache
def designs() -> dict[str, Design]:
    """Return the designs by name: those of the two sweeps that come along, and two plain ones."""
    broad = {
        "learning_rate": LogUniform(1e-7, 2e-6),
        "batch_size": Choice(4, 8, 12),
        "generations": Given(
            "batch_size", {4: Choice(20, 30, 40), 8: Choice(16, 24, 32), 12: Choice(16, 24, 32)}
        ),
        "lr_schedule": Choice("advanced", "cosine"),
        "warmup_steps": SCHEDULE,
        "entropy_coef": Choice(0.001, 0.002, 0.005),
    }
    focused = broad | {
        "learning_rate": LogUniform(8e-8, 4e-7),
        "batch_size": 8,
        "generations": Choice(16, 24, 32),
        "lr_schedule": Choice("advanced", "cosine", weights=(65, 35)),
    }
    choices = {f"choice_{k}": Choice(*range(k)) for k in (2, 3, 4, 5)} | {"name": Choice("a", "b")}
    ranges: dict[str, object] = {name: Uniform(0.0, 1.0) for name in ("alpha", "beta", "gamma")}
    ranges |= {"learning_rate": LogUniform(1e-6, 1e-3), "decay": LogUniform(1e-4, 1e-1)}
    batch: dict[str, Claim] = {"batch_size": no_worse("batch_size", 8, than=(4, 12), margin=0.02)}
    return {
        "broad": Design(Space(broad), ASKED | RATE),
        "focused": Design(Space(focused), ASKED | RATE | batch),
        "choices only": Design(Space(choices), ASKED),
        "ranges only": Design(Space(ranges), ASKED | RATE),
    }


def _drawn(rng: np.random.Generator, space: Space, n: int) -> list[dict[str, Value]]:
    return [dict(space.config(point)) for point in rng.random((n, len(space)))]


def _evidence(
    rng: np.random.Generator, configs: list[dict[str, Value]], deltas: FloatArray, **changes: float
) -> Evidence:
    """Return a sweep with all its arms, and a baseline that is like it."""
    n, size = deltas.size, min(12, deltas.size)
    train = deltas + rng.normal(changes.get("ahead", 0.0), 0.03, n)
    main = tuple(
        replace(one, run=replace(one.run, id=f"s-{index}"))
        for index, one in enumerate(
            results(deltas, configs=configs, train=train, se=changes.get("se", 0.01))
        )
    )
    null = results(rng.normal(changes.get("useless", 0.0), 0.01, size))
    arms = {
        "placebo": results(np.zeros(2)),
        "null": null,
        "half": _arm(main[:size], rng),
        "batch_size": _arm(main[:size], rng, batch_size=4) + _arm(main[:size], rng, batch_size=12),
    }
    theirs = results(rng.normal(0.05, 0.05, 48), configs=[configs[i % n] for i in range(48)])
    return Evidence(
        "s", main, arms=arms, baseline=Baseline("b", theirs), baseline_name="b", seed=seeded(rng)
    )


def _arm(main: tuple[Result, ...], rng: np.random.Generator, **values: Value) -> tuple[Result, ...]:
    runs = [
        replace(one.run, arm="a", pair=one.run.id, config=Config({**one.run.config, **values}))
        for one in main
    ]
    return results(rng.normal(0.05, 0.05, len(runs)), runs=runs)


def _codes(design: Design, evidence: Evidence) -> set[str]:
    """Return the codes of what the audit finds beyond what the space declares."""
    declared = {frozenset(pair) for pair in design.given.items()}
    found = audit(evidence, design.questions, given=design.given)
    return {one.code for one in found if not _is_declared(one, declared)}


def _is_declared(finding: Finding, declared: Collection[frozenset[str]]) -> bool:
    return finding.code == "confounded" and frozenset(finding.parameters) in declared


def _clean(name: str, n: int, rng: np.random.Generator) -> set[str]:
    design = designs()[name]
    found = _codes(design, _evidence(rng, _drawn(rng, design.space, n), rng.normal(0.05, 0.05, n)))
    return found | ({"any"} if found else set())


def clean() -> Iterator[Cell]:
    """What the audit finds in random designs in which nothing is amiss."""
    for name in designs():
        for n in SIZES:
            yield Cell(
                "audit_clean",
                name,
                str(n),
                partial(_clean, name, n),
                wrong=CODES,
                shown=("any",),
                weight=0.5 if n < 96 else 0.25,
            )


Dirt = Callable[[np.random.Generator, list[dict[str, Value]], FloatArray], Evidence]


def _undeclared(
    rng: np.random.Generator, configs: list[dict[str, Value]], deltas: FloatArray
) -> Evidence:
    """Generations go with the schedule in nine runs of ten."""
    for config in configs:
        if rng.random() < 0.9:
            config["generations"] = 16 if config["lr_schedule"] == "cosine" else 32
    return _evidence(rng, configs, deltas)


def _edge(
    rng: np.random.Generator, configs: list[dict[str, Value]], deltas: FloatArray
) -> Evidence:
    """ΔPerf rises along the learning rate by four standard deviations."""
    return _evidence(rng, configs, deltas + 0.2 * _place(configs))


def _lost(
    rng: np.random.Generator, configs: list[dict[str, Value]], deltas: FloatArray
) -> Evidence:
    """Half of the runs diverge in the upper third of the learning rates."""
    high = (_place(configs) > 2 / 3) & (rng.random(deltas.size) < 0.5)
    return _evidence(rng, configs, np.where(high, -np.inf, deltas))


def _place(configs: list[dict[str, Value]]) -> FloatArray:
    """Return where the learning rates lie in the range of focused, from 0 to 1."""
    rates = np.array([float(str(config["learning_rate"])) for config in configs])
    return np.asarray(np.log(rates / 8e-8) / np.log(5.0))


DIRTY: dict[str, tuple[str, Dirt]] = {
    "two parameters go together in 9 of 10 runs": ("confounded", _undeclared),
    "ΔPerf rises by 4 SD to the upper edge": ("edge_optimum", _edge),
    "half of the upper third diverge": ("survivorship", _lost),
    "training reward ahead by .05": (
        "train_eval_divergence",
        lambda rng, configs, deltas: _evidence(rng, configs, deltas, ahead=0.05),
    ),
    "useless training gains .02": (
        "useless_succeeds",
        lambda rng, configs, deltas: _evidence(rng, configs, deltas, useless=0.02),
    ),
    "evaluation with an SE of .02": (
        "coarse_metric",
        lambda rng, configs, deltas: _evidence(rng, configs, deltas, se=0.02),
    ),
}


def _dirty(name: str, n: int, rng: np.random.Generator) -> set[str]:
    design, dirt = designs()["focused"], DIRTY[name][1]
    return _codes(design, dirt(rng, _drawn(rng, design.space, n), rng.normal(0.05, 0.05, n)))


def dirty() -> Iterator[Cell]:
    """What the audit finds where something is amiss."""
    for name, (code, _) in DIRTY.items():
        for n in SIZES:
            yield Cell(
                "audit_dirty", name, str(n), partial(_dirty, name, n), shown=(code,), weight=0.25
            )
