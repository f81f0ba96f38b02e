"""Whole sweeps of a plan, finished with simulated results: main runs, arms and baseline."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np

from harness import LogUniform, Outcome, Pairs, Sweep
from harness.judging.evidence import gather
from harness.protocols import Claim
from harness.records import Evaluation, Result, Run
from harness.sweeps.plan import ANSWERED, Plan, Selection, plan
from harness.verdicts import Baseline, Evidence

from .evidence import STEPS, results
from .samples import FloatArray

Truth = Callable[[Run], float]
"""From a run to the mean of its ΔPerf; −inf where it diverges."""


def trainer(*_: object) -> Outcome:
    raise AssertionError("nothing is trained here")


def planned_sweep(
    questions: Mapping[str, Claim], runs: int = 24, pairs: int = 0, others: Iterable[int] = (4, 12)
) -> Plan:
    """Return the plan of a sweep of ``runs``, and ``pairs`` of each of ``others`` batch sizes."""
    sweep = Sweep(
        "s",
        runs=runs,
        steps=STEPS,
        seed=1,
        trainer=trainer,
        space={"learning_rate": LogUniform(8e-8, 4e-7), "batch_size": 8},
        arms={"batch_size": Pairs(pairs, tuple(others))} if pairs else {},
        questions=questions,
    )
    return plan(sweep, Selection(until=ANSWERED), trains=False)


def place(run: Run) -> float:
    """Return where a run's learning rate lies in the range, from 0 to 1."""
    rate = run.config["learning_rate"]
    assert isinstance(rate, float)
    return float(np.log(rate / 8e-8) / np.log(5.0))


def finish(
    planned: Plan, deltas: Mapping[str, float], late: float | Mapping[str, float] = 0.5
) -> dict[str, Result]:
    """Return the results of all planned runs, by key, with these ΔPerf; −inf is a diverged run.

    ``late`` is the share of the gain that comes after half of the steps, or by key how much does.
    """
    found = {}
    for key, run in planned.runs.items():
        delta = deltas[key]
        share = late * delta if isinstance(late, float) else late[key]
        points = ((0, 0.3), (STEPS // 2, 0.3 + delta - share), (STEPS, 0.3 + delta))
        curve = tuple(Evaluation(step, perf, 0.01, perf) for step, perf in points)
        (made,) = results(np.array([delta]), runs=[run], curves=[curve])
        found[key] = replace(made, key=key)
    return found


def seen(
    planned: Plan,
    found: Mapping[str, Result],
    baseline: FloatArray | None = None,
    keys: Collection[str] | None = None,
) -> Evidence:
    """Return the evidence of the runs with these ``keys``, of all by default."""
    theirs = None if baseline is None else Baseline("b", results(baseline))
    among = found if keys is None else {key: found[key] for key in keys}
    return gather(
        planned,
        lambda asked: {key: among[key] for key in asked if key in among},
        theirs,
        None if baseline is None else "b",
    )
