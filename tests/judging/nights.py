"""Two nights of one sweep: results of a known truth, and a reference report of the earlier one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from harness import LogUniform, Pairs, Sweep
from harness.claims import (
    best_inside,
    judge_all,
    lower_tail,
    mean_gain,
    no_worse,
    spread,
    still_improves,
    success_rate,
)
from harness.claims.nights import more_diverged
from harness.judging.reference import load
from harness.judging.regressions import compare
from harness.records import MAIN
from harness.report.renderers.write import write_reference
from harness.sweeps.plan import Selection, plan
from harness.verdicts import Baseline, Evidence
from tests.factories import make_curve, make_result, make_results, report_of

QUESTIONS = {
    "half": success_rate.above(0.5),
    "success": success_rate.above_baseline(),
    "mean": mean_gain.above_baseline(),
    "spread": spread.below_baseline(),
    "tail": lower_tail.above_baseline(),
    "plateau": still_improves(since=50, margin=0.01),
    "best": best_inside("learning_rate"),
    "batch_size": no_worse("batch_size", 8, than=(4,), margin=0.02),
}


def trainer(job, notify):
    raise AssertionError("nothing is trained here")


SWEEP = Sweep(
    "s",
    runs=24,
    steps=100,
    seed=3,
    trainer=trainer,
    space={"learning_rate": LogUniform(1e-7, 1e-6), "batch_size": 8},
    arms={"batch_size": Pairs(12, (4,))},
    questions=QUESTIONS,
)


PLANNED = plan(SWEEP, Selection(), trains=False)


PLANS = {"s": PLANNED}


BASE = Baseline(
    "b",
    tuple(
        replace(result, conditions=PLANNED.conditions)
        for result in make_results(np.random.default_rng(1).normal(0, 0.1, 48), prefix="b")
    ),
)


RNG = np.random.default_rng(4)


def peaked(run):
    """ΔPerf of about +0.1, best in the middle of the range, equal in both arms."""
    return 0.13 - 0.5 * (np.log10(run.config["learning_rate"]) + 6.5) ** 2


def evidence(truth=peaked, noise=0.02, seed=0, late=1.0, prompts=512, **conditions):
    """A whole sweep: ``truth`` of a run (None: diverged) and noise; ``late`` scales the curve."""
    rng, arms = np.random.default_rng(seed), {}
    for key, run in PLANNED.runs.items():
        true = truth(run)
        delta = None if true is None else float(true + noise * rng.normal())
        curve = None if delta is None else make_curve(0.12, delta, 100)
        if curve and late != 1.0:
            half = 0.12 + delta * (1 - late / 2)
            curve = tuple(p._replace(perf=half) if p.step == 50 else p for p in curve)
        status = "completed" if delta is not None else "diverged"
        made = make_result(delta=delta, status=status, key=key, curve=curve or (), prompts=prompts)
        under = replace(PLANNED.conditions, **conditions)
        arms.setdefault(run.arm, []).append(replace(made, run=run, conditions=under))
    main = arms.pop(MAIN)
    return Evidence("s", tuple(main), {arm: tuple(r) for arm, r in arms.items()}, BASE, "b")


def verdicts(seen):
    return judge_all(QUESTIONS, seen)


@pytest.fixture
def kept(tmp_path):
    """Return a function that keeps evidence as a reference and reads it back."""

    def keep(seen, **changes):
        report = report_of(seen, verdicts(seen), (), conditions=PLANNED.conditions, steps=100)
        path = write_reference(report, tmp_path)
        if changes:
            path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return load(path, PLANS)

    return keep


@pytest.fixture
def reference(kept):
    return kept(evidence())


def found(reference, seen):
    return {one.id: one for one in compare(SWEEP, reference, seen, verdicts(seen))}


def lost(reference, seen):
    return {id_ for id_, one in found(reference, seen).items() if one.regressed}


def differences(claim, now, then, was):
    return (*claim.worse(now, then, was), *more_diverged(now, then))


def assert_regresses(reference, id, **worse):
    """Assert that a question has regressed on a night that is worse in so much."""
    regression = found(reference, evidence(seed=1, **worse))[id]
    assert regression.regressed, regression.answer
    assert regression.p_value <= regression.level
