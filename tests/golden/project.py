"""The inputs of the golden documents: a project of sweeps that train in no time, and tables.

All of it follows from `random.Random.random`, whose sequence Python keeps between versions, and
from `math.fsum`: since 3.12 `sum` rounds floats otherwise.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from pathlib import Path

from harness.store import Store
from tests.factories import make_result

TRAINER = '''
import math, os, random
from dataclasses import replace
from harness import Outcome
from harness.records import Evaluation, StepTrace

DIVERGED = {("narrow", "main", 3), ("narrow", "batch_size", 2),
            ("narrow", "batch_size", 9), ("wide", "main", 5)}
"""Sweep, arm and index of the runs that diverge."""

def trainer(job, notify):
    """Trains in no time: the outcome is a function of the run and of the night."""
    run = job.run
    # The configs that are confirmed share their seeds.
    own = run.config["learning_rate"] if run.arm == "confirm" else ""
    rng = random.Random(f"{run.seed} {run.arm}{own}")
    def noise():
        return math.fsum(rng.random() for _ in range(12)) - 6
    before = 0.1 + 0.01 * noise()
    if (run.sweep, run.arm) == ("short", "main") and run.index in (2, 6):
        raise RuntimeError("the disk is full")
    if (run.sweep, run.arm, run.index) in DIVERGED:
        return Outcome(status="diverged", perf_before=before, stopped_at=7, seconds=1.0,
                       curve=(Evaluation(0, before, 0.01, before),), error="loss is nan")
    gain = float(os.environ.get("GAIN", "0.12")) + 0.02 * noise()
    gain -= 0.05 * abs(math.log10(max(run.config["learning_rate"], 1e-9) / 3e-7))
    gain -= {4: 0.04, 12: 0.005}.get(run.config["batch_size"], 0.0)
    if run.sweep == "wide":
        gain = max(0.02 + 0.05 * noise(), -0.07)
    gain *= {"placebo": 0, "null": 0.05, "half": 0.7}.get(run.arm, 1)
    curve = [Evaluation(0, before, 0.01, before)]
    for step in range(run.evaluate_every, run.steps + 1, run.evaluate_every):
        perf = before + gain * math.sqrt(step / run.steps) + 0.002 * noise() * (step < run.steps)
        curve.append(Evaluation(step, perf, 0.01, perf))
    moved = run.arm != "placebo"
    rate = run.config["learning_rate"]
    trace = tuple(
        StepTrace(step, rate * (1 - step / (run.steps + 1)), 0.1, None, 1.5, 1.0, 0.05, step)
        for step in range(1, run.steps + 1)
    )
    share = None
    if run.sweep == "narrow":
        share = moved * (0.004 if run.index == 1 else 0.4)
        trace = tuple(
            replace(one, no_signal=0.6 + 0.02 * run.index, truncated=0.02 + 0.001 * one.step,
                    length=12 - one.step / 20, entropy=1.5 - one.step / 40,
                    kl=None if one.step <= 20 else one.step / 1000)
            for one in trace
        )
    return Outcome(status="completed", perf_before=before, perf_after=before + gain,
                   delta_perf=gain, delta_perf_se=0.012 * moved, prompts=512, samples=4,
                   prompts_changed=150 * moved, train_delta_perf=0.8 * gain - 0.02 * moved,
                   curve=tuple(curve), trace=trace, seconds=2.0, weights_moved=share)
'''

SWEEPS = """
from harness import Choice, Given, LogUniform, Pairs, Sweep
from harness.claims import (best_inside, lower_tail, mean_gain, no_worse, spread, still_improves,
                            success_rate)
from golden_trainer import trainer

space = dict(
    learning_rate=LogUniform(8e-8, 1.2e-6),
    batch_size=8,
    lr_schedule=Choice("advanced", "cosine", weights=(65, 35)),
    warmup_steps=Given("lr_schedule", advanced=Choice(4, 8), cosine=Choice(0, 4)),
)
half = dict(success_above_half=success_rate.above(0.5))
both = dict(seed=7, trainer=trainer, space=space)

narrow = Sweep(
    "narrow", runs=18, steps=40, evaluate_every=10, baseline="wide", **both,
    arms=dict(placebo=2, null=7, half=6, batch_size=Pairs(13, values=(4, 12))),
    questions=dict(
        **half,
        success_vs_baseline=success_rate.above_baseline(),
        mean_vs_baseline=mean_gain.above_baseline(),
        variance_vs_baseline=spread.below_baseline(),
        lower_tail_vs_baseline=lower_tail.above_baseline(),
        plateau=still_improves(since=20, margin=0.02),
        lr_sweet_spot=best_inside("learning_rate"),
        batch_size=no_worse("batch_size", 8, than=(4, 12), margin=0.02),
        gain_over_null=mean_gain.above_arm("null"),
    ),
)
wide = Sweep("wide", runs=20, steps=20, evaluate_every=10, **both)
early = Sweep("early", runs=24, steps=20, evaluate_every=10, **both, arms=dict(null=6),
              questions=half)
short = Sweep("short", runs=10, steps=20, evaluate_every=10, **both, baseline="nowhere",
              arms=dict(half=4), questions=dict(**half, mean=mean_gain.above_baseline(),
              batch_size=no_worse("batch_size", 8, than=(4,))))
brief = Sweep("brief", runs=9, steps=20, evaluate_every=5, **both,
              questions=dict(**half, plateau=still_improves(since=15, margin=0.005)))

def test_run(run):
    run.train()

def test_question(question):
    question.judge()
"""

BACKENDS = '''
import random
from harness import Outcome
from harness.records import Evaluation, StepTrace

def train(job, notify):
    """Trains in no time; JAX gains a little more, and parts from Torch at the sixth step."""
    run, jax = job.run, job.conditions.backend == "jax"
    rng = random.Random(run.seed)
    before, gain = 0.1 + 0.02 * rng.random(), 0.05 + 0.1 * rng.random()
    gain += (0.004 + 0.002 * rng.random()) * jax
    before += 0.001 * (jax and run.index == 2)
    if jax and run.index == 4:
        return Outcome(status="diverged", perf_before=before, stopped_at=3, seconds=1.0,
                       error="loss is nan")
    trace = tuple(
        StepTrace(step, 1e-7, 0.1, None, 1.5 + 1e-7 * jax, 1.0 - 3e-7 * jax, 0.05 + 2e-8 * jax,
                  step + 1000 * (jax and step > 5))
        for step in range(1, run.steps + 1)
    )
    return Outcome(status="completed", perf_before=before, perf_after=before + gain,
                   delta_perf=gain, delta_perf_se=0.01, prompts=512, samples=4, prompts_changed=99,
                   trace=trace, curve=(Evaluation(0, before, 0.01, before),), seconds=2.0)
'''

COMPARED = """
from harness import Choice, LogUniform, Sweep
from harness.claims import mean_gain, still_improves

twice = Sweep("twice", runs=6, steps=10, seed=3, margin=0.03, baseline="nowhere",
              questions=dict(mean=mean_gain.above_baseline()),
              space=dict(learning_rate=LogUniform(1e-7, 1e-6), batch_size=8,
                         generations=Choice(4, 8)))
annealed = Sweep("annealed", runs=8, steps=40, evaluate_every=10, seed=3,
                 space=dict(learning_rate=LogUniform(1e-7, 1e-6), batch_size=8, generations=4,
                            lr_schedule=Choice("advanced", "cosine"), warmup_steps=Choice(4, 30)),
                 questions=dict(plateau=still_improves(since=20)))
"""


FIT = '''
import math, random
from harness import Outcome
from harness.records import Evaluation

def fit(job, notify):
    """Trains in no time: a loss with the best learning rate in the middle of the range."""
    run = job.run
    rng = random.Random(f"{run.seed} {run.arm}")
    start = 2.0 + 0.1 * rng.random()
    loss = 0.3 + 0.15 * (math.log10(max(run.config["learning_rate"], 1e-9)) + 3) ** 2
    loss += 0.08 * (run.config["depth"] == 4)
    loss += 0.02 * (math.fsum(rng.random() for _ in range(12)) - 6)
    loss += 0.5 * (run.sweep == "coarse")
    if run.arm == "placebo":
        loss = start
    if run.arm == "half":
        loss += 0.1
    curve = [Evaluation(0, start, math.nan, 0.0)]
    for step in range(run.evaluate_every, run.steps + 1, run.evaluate_every):
        at = start + (loss - start) * math.sqrt(step / run.steps)
        curve.append(Evaluation(step, at if step < run.steps else loss, math.nan, 0.0))
    if (run.sweep, run.arm, run.index) == ("fine", "main", 4):
        return Outcome("diverged", stopped_at=7, seconds=1.0, curve=tuple(curve[:1]),
                       error="val_loss is nan")
    return Outcome("completed", value=loss, delta_perf_se=0.01, curve=tuple(curve), seconds=2.0)
'''

FITTED = """
from harness import Choice, LogUniform, Pairs, Sweep
from harness.claims import (best_inside, best_value, lower_tail, matters, mean_gain, no_worse,
                            spread, still_improves, success_rate)
from golden_fit import fit

by = dict(steps=20, trainer=fit, metric="val_loss", target=0.6)
space = dict(learning_rate=LogUniform(1e-5, 1e-1), depth=Choice(2, 4))

fine = Sweep(
    "fine", runs=24, seed=7, margin=0.03, baseline="coarse", space=space, **by,
    arms=dict(placebo=2, half=4, depth=Pairs(12, values=(4,))),
    questions=dict(
        success_above_half=success_rate.above(0.5),
        success_vs_baseline=success_rate.above_baseline(),
        mean_vs_baseline=mean_gain.above_baseline(),
        variance_vs_baseline=spread.below_baseline(),
        lower_tail_vs_baseline=lower_tail.above_baseline(),
        plateau=still_improves(),
        lr_sweet_spot=best_inside("learning_rate"),
        depth=no_worse("depth", 2, than=(4,)),
        matters_learning_rate=matters("learning_rate"),
        best_depth=best_value("depth"),
    ),
)
coarse = Sweep("coarse", runs=16, seed=8, space=space, **by)
plain = Sweep("plain", runs=8, seed=9, steps=20, trainer=fit, metric="val_loss", space=space,
              questions=dict(success_above_half=success_rate.above(0.5), plateau=still_improves(),
                             matters_depth=matters("depth")))

def test_run(run):
    run.train()

def test_question(question):
    question.judge()
"""


def write_fits(root: Path) -> None:
    """Write sweeps that are judged by a loss, and their trainer, below ``root``."""
    folder = root / "experiments"
    folder.mkdir()
    (root / "pytest.ini").write_text("[pytest]\n")
    (folder / "golden_fit.py").write_text(FIT)
    (folder / "test_golden_fits.py").write_text(FITTED)


def write_project(root: Path) -> None:
    """Write the sweeps and their trainer below ``root``."""
    folder = root / "experiments"
    folder.mkdir()
    (root / "pytest.ini").write_text("[pytest]\n")
    (folder / "golden_trainer.py").write_text(TRAINER)
    (folder / "test_golden_sweeps.py").write_text(SWEEPS)


def write_backends(root: Path) -> Path:
    """Write sweeps for two backends below ``root``; return the trainer that stands for both."""
    folder = root / "experiments"
    folder.mkdir()
    (root / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_twice.py").write_text(COMPARED)
    (root / "both.py").write_text(BACKENDS)
    return root / "both.py"


def write_stored(root: Path, name: str) -> None:
    """Store runs of a sweep that no file declares, all of 20 steps, as two lengths declared it.

    They say no more of their declaration than the oldest stores do.
    """
    rng = random.Random(12)
    with Store.open(str(root / ".sweep" / "store.db")) as store:
        for declared, runs in ((40, 9), (20, 7)):
            for index in range(runs):
                of = {"sweep": name, "index": index, "seed": declared + index}
                steps = {"steps": 20, "declared_steps": declared}
                main = make_result(f"{name}-{index:02d}", delta=0.02 * _noise(rng), **of, **steps)
                store.save(main)
                if index < 2:
                    arm = f"{main.run.id}-null"
                    store.save(make_result(arm, "null", main.run.id, 0.001 * index, **of, **steps))


def write_tables(root: Path) -> None:
    """Write the tables that are judged and analysed, and the curves of one of them."""
    scores = [*_scores("n", 24, 0.09, 0.03, seed=1), *_arms(seed=2)]
    _write(root / "scores.csv", scores)
    _write(root / "before.csv", _scores("b", 30, 0.03, 0.06, seed=3))
    curves = _curves([row["run"] for row in scores], seed=4)
    _write(root / "curves.csv", curves)
    _write(root / "ends.csv", [row for row in curves if row["step"] in (0, 60)])
    _write(root / "loss.csv", _losses(2.0, seed=5))
    _write(root / "loss_before.csv", _losses(2.2, seed=6))
    _write(root / "accuracy.csv", _accuracies(seed=7))
    _write(root / "grid.csv", _grid(seed=8))
    _write(root / "models.csv", _models(0.06, -0.04, seed=10))
    _write(root / "models_before.csv", _models(0.01, 0.01, seed=11))
    _write(root / "rising.csv", _rising(seed=9))
    _write(
        root / "constant.csv", [{"lr": f"{rate}e-7", "delta_perf": 0.2025} for rate in range(1, 13)]
    )


def _noise(rng: random.Random) -> float:
    return math.fsum(rng.random() for _ in range(12)) - 6


def _rate(rng: random.Random) -> str:
    return f"{10 ** (rng.random() - 7):.4g}"


def _scores(prefix: str, runs: int, mean: float, sd: float, seed: int) -> list[dict[str, object]]:
    """Return runs with a ΔPerf and its standard error; every ninth has diverged."""
    rng = random.Random(seed)
    rows = []
    for index in range(runs):
        gain, lost = mean + sd * _noise(rng), index % 9 == 8
        rows.append(
            {
                "run": f"{prefix}{index:02d}",
                "arm": "main",
                "pair": "",
                "status": "diverged" if lost else "completed",
                "lr": _rate(rng),
                "batch_size": (4, 8, 12)[index % 3] if prefix == "b" else 8,
                "schedule": ("cosine", "linear")[int(rng.random() > 0.4)],
                "delta_perf": "" if lost else f"{gain:.5f}",
                "delta_perf_se": "" if lost else f"{0.012 + 0.004 * rng.random():.5f}",
                "train_delta_perf": "" if lost else f"{0.8 * gain - 0.03:.5f}",
                "steps": 60,
            }
        )
    return rows


def _arms(seed: int) -> list[dict[str, object]]:
    """Return runs of arms: placebos, permuted rewards, half of the steps, other batch sizes."""
    rng = random.Random(seed)
    rows = []
    kinds = [("placebo", 2, 0.0, 8, 60), ("null", 5, 0.002, 8, 60), ("half", 5, 0.05, 8, 30),
             ("batch_size", 8, 0.03, 4, 60), ("batch_size", 7, 0.085, 12, 60)]  # fmt: skip
    for arm, runs, mean, batch, steps in kinds:
        mains = _scores("n", 24, 0.09, 0.03, seed=1)
        for index in range(runs):
            moved = arm != "placebo"
            gain = mean + 0.015 * _noise(rng) * moved
            rows.append(
                mains[index]
                | {
                    "run": f"n{index:02d}-{arm}-{batch}",
                    "arm": arm,
                    "pair": f"n{index:02d}",
                    "status": "completed",
                    "batch_size": batch,
                    "delta_perf": f"{gain:.5f}",
                    "delta_perf_se": f"{0.013 * moved:.5f}",
                    "train_delta_perf": f"{gain:.5f}",
                    "steps": steps,
                }
            )
    return rows


def _curves(runs: Iterable[object], seed: int) -> list[dict[str, object]]:
    rng = random.Random(seed)
    return [
        {"run": run, "step": step, "perf": f"{perf:.5f}", "se": 0.01}
        for run in runs
        if str(run).count("-") == 0
        for step, gain in ((0, 0.0), (15, 0.04), (30, 0.07), (45, 0.075), (60, 0.08))
        for perf in [0.2 + gain + 0.01 * _noise(rng)]
    ]


def _losses(mean: float, seed: int) -> list[dict[str, object]]:
    """Return runs of two models with a final loss, of which two have diverged."""
    rng = random.Random(seed)
    return [
        {
            "model": model,
            "lr": f"{(1 + index) * 1e-5:.4g}",
            "dropout": (0.0, 0.1)[index % 2],
            "loss": "" if index == 13 else f"{base + 0.04 * _noise(rng) + 0.002 * index:.5f}",
            "status": "diverged" if index == 13 else "completed",
        }
        for model, base in (("small", mean), ("large", mean - 0.4))
        for index in range(14)
    ]


def _models(small: float, large: float, seed: int) -> list[dict[str, object]]:
    """Return runs of two models with a mean ΔPerf each."""
    rng = random.Random(seed)
    return [
        {"model": model, "lr": _rate(rng), "delta_perf": f"{mean + 0.02 * _noise(rng):.5f}"}
        for model, mean in (("small", small), ("large", large))
        for _ in range(12)
    ]


def _accuracies(seed: int) -> list[dict[str, object]]:
    """Return a grid of depth and width, three seeds each, with a final accuracy; one is lost."""
    rng = random.Random(seed)
    return [
        {
            "depth": depth,
            "width": width,
            "seed": number,
            "lr": 3e-4,
            "status": "diverged" if (depth, width, number) == (5, 64, 2) else "completed",
            "accuracy": f"{0.7 + 0.02 * depth - 0.004 * depth**2 + 0.01 * _noise(rng):.5f}",
        }
        for depth in (1, 2, 3, 4, 5)
        for width in (64, 128)
        for number in (0, 1, 2)
    ]


def _grid(seed: int) -> list[dict[str, object]]:
    """Return a grid of learning rates, the best in the middle, and of batch sizes, the best 8."""
    rng = random.Random(seed)
    return [
        {
            "lr": f"{10 ** (place / 10 - 7):.4g}",
            "batch_size": batch,
            "seed": place,
            "delta_perf": f"{level - 0.004 * abs(place - 7) + 0.004 * _noise(rng):.5f}",
            "delta_perf_se": 0.01,
        }
        for place in range(15)
        for batch, level in ((4, 0.0), (8, 0.06), (12, 0.055))
    ]


def _rising(seed: int) -> list[dict[str, object]]:
    """Return runs that gain with the learning rate, all with one perf before, and placebos."""
    rng = random.Random(seed)
    rows = [
        (f"{10 ** (place / 16 - 7):.4g}", "main", 0.008 * place + 0.01 * _noise(rng))
        for place in range(16)
    ]
    return [
        {"lr": rate, "arm": arm, "before": 0.2, "after": f"{0.2 + gain:.5f}"}
        for rate, arm, gain in (*rows, ("0", "placebo", 0.004), ("0", "placebo", 0.0))
    ]


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
