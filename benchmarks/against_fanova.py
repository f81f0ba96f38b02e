"""The order of importance beside that of Optuna's fANOVA, on ten tables.

    python benchmarks/against_fanova.py [--repeats 10] [--runs 60] [--seed 1]

Needs Optuna and scikit-learn. Each table is asked of every parameter whether it matters; beside
these answers stand the importances that fANOVA gives the same runs. What truly matters is known:
the tables are simulated. Four of ten are drawn by Optuna's own TPE.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from simulation.designs import Table, evidence_of
from tabulate import tabulate

from harness.claims import judge_all, matters
from harness.protocols import Claim
from harness.verdicts import Evidence

Trial = Any
Truth = Callable[[Mapping[str, Any]], float]


@dataclass(frozen=True)
class Task:
    """A kind of table: how a trial's values are suggested, what they do, and what matters."""

    name: str
    suggest: Callable[[Trial], dict[str, Any]]
    truth: Truth
    matter: tuple[str, ...]
    learns: bool = False
    cross: Mapping[str, list[Any]] | None = None


def numbers(*names: str) -> Callable[[Trial], dict[str, Any]]:
    return lambda trial: {name: trial.suggest_float(name, 1.0, 2.0) for name in names}


def conditional(trial: Trial) -> dict[str, Any]:
    """Suggest an optimizer, the momentum of sgd alone, and two others."""
    found = {"optimizer": trial.suggest_categorical("optimizer", ["adam", "sgd", "lion"])}
    if found["optimizer"] == "sgd":
        found["momentum"] = trial.suggest_float("momentum", 0.0, 0.9)
    return found | numbers("a", "b")(trial)


def line(**slopes: float) -> Truth:
    """Return a line along each parameter, in SDs of the noise over its range."""
    return lambda values: sum(slope * (values[name] - 1.5) for name, slope in slopes.items())


def product(values: Mapping[str, Any]) -> float:
    return float(12.0 * (values["a"] - 1.5) * (values["b"] - 1.5))


def optimizers(values: Mapping[str, Any]) -> float:
    gain = {"adam": 0.0, "sgd": 1.0, "lion": 0.0}[values["optimizer"]]
    return float(gain + 2.0 * values.get("momentum", 0.0) + values["a"])


SIX = numbers(*"abcdef")
LEVELS: dict[str, list[Any]] = {name: [1.0, 1.5, 2.0] for name in "abcd"}
TASKS = (
    Task("noise only, random", SIX, line(), ()),
    Task("noise only, TPE", SIX, line(), (), learns=True),
    Task("a 5, b 2, random", SIX, line(a=5.0, b=2.0), ("a", "b")),
    Task("a 5, b 2, TPE", SIX, line(a=5.0, b=2.0), ("a", "b"), learns=True),
    Task("a 12, b 1.5, random", SIX, line(a=12.0, b=1.5), ("a", "b")),
    Task("a 12, b 1.5, TPE", SIX, line(a=12.0, b=1.5), ("a", "b"), learns=True),
    Task("a × b alone, random", SIX, product, ("a", "b")),
    Task("grid: a 3, b 1.5", numbers(*"abcd"), line(a=3.0, b=1.5), ("a", "b"), cross=LEVELS),
    Task("momentum of sgd, random", conditional, optimizers, ("optimizer", "momentum", "a")),
    Task(
        "momentum of sgd, TPE", conditional, optimizers, ("optimizer", "momentum", "a"), learns=True
    ),
)


def studied(task: Task, runs: int, seed: int) -> optuna.Study:
    """Return a study of simulated trials."""
    rng = np.random.default_rng(seed)
    sampler: Any = optuna.samplers.RandomSampler(seed=seed)
    if task.learns:
        sampler = optuna.samplers.TPESampler(seed=seed)
    if task.cross is not None:
        sampler = optuna.samplers.GridSampler(dict(task.cross), seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(
        lambda trial: task.truth(task.suggest(trial)) + float(rng.normal()), n_trials=runs
    )
    return study


def evidence(task: Task, study: optuna.Study, seed: int) -> Evidence:
    """Return the trials of a study as a table of unknown design."""
    names = list(dict.fromkeys(name for trial in study.trials for name in trial.params))
    values = {name: [trial.params.get(name) for trial in study.trials] for name in names}
    outcomes = np.array([trial.value for trial in study.trials], dtype=np.float64)
    table = Table(values, {})
    return evidence_of(np.random.default_rng(seed), table, outcomes, adaptive=task.learns)


def compare(task: Task, runs: int, seed: int) -> tuple[list[str], dict[str, float]]:
    """Return the parameters that matter after Holm's correction, and fANOVA's importances.

    The first are in the order of the share of variance that they explain.
    """
    study = studied(task, runs, seed)
    judged_on = evidence(task, study, seed)
    names = sorted({name for run in judged_on.runs for name in run.run.config})
    asked: dict[str, Claim] = {f"matters_{name}": matters(name) for name in names}
    found = [
        (verdict.effect.share or 0.0, verdict.effect.parameter)
        for verdict in judge_all(asked, judged_on)
        if verdict.effect is not None and verdict.p_holm is not None and verdict.p_holm <= 0.05
    ]
    ours = [name for _, name in sorted(found, reverse=True)]
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=64, seed=seed)
    theirs = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return ours, {name: float(value) for name, value in theirs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10, help="tables of each kind")
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore")
    rows = []
    for task in TASKS:
        pairs = [
            compare(task, options.runs, options.seed + place) for place in range(options.repeats)
        ]
        ours, theirs = pairs[0]
        named = [name for found, _ in pairs for name in found]
        true = sum(name in task.matter for name in named) / max(1, len(task.matter)) / len(pairs)
        noise = [
            max((value for name, value in order.items() if name not in task.matter), default=0.0)
            for _, order in pairs
        ]
        first = [max(order, key=lambda name: order[name]) in task.matter for _, order in pairs]
        rows.append(
            (
                task.name,
                ", ".join(ours) or "none",
                ", ".join(f"{name} {value:.2f}" for name, value in list(theirs.items())[:4]),
                f"{true:.2f}" if task.matter else "",
                f"{sum(n not in task.matter for n in named) / len(pairs):.2f}",
                f"{float(np.mean(noise)):.2f}",
                f"{float(np.mean(first)):.2f}" if task.matter else "",
            )
        )
    heads = (
        "table",
        "matter, in order",
        "fANOVA's first four",
        "found of those that matter",
        "others found",
        "fANOVA's largest importance of another",
        "its first one matters",
    )
    print(tabulate(rows, heads, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
