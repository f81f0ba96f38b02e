"""A project whose sweeps are stored, as a session would have stored them."""

import sys
from dataclasses import replace

import pytest

from harness.plugin.declared import discover
from harness.records import ItemScores, Outcome, Result
from harness.store import Store
from harness.sweeps.plan import Selection, plan
from tests.factories import make_result, make_trace

TRAINER = """
import helping

def train(job, notify):
    raise RuntimeError("nothing is trained")
"""

SWEEPS = """
from harness import Choice, LogUniform, Sweep, mean_gain, success_rate
from learner import train

both = dict(steps=20, trainer=train, evaluate_every=10)
toy = Sweep(
    "toy", runs=8, baseline="wide", **both, arms=dict(placebo=1),
    space=dict(learning_rate=LogUniform(1e-5, 1e-3), hidden=Choice((64,), (64, 32))),
    questions=dict(success_above_half=success_rate.above(0.5), mean=mean_gain.above_baseline()),
)
wide = Sweep("wide", runs=6, **both, space=dict(learning_rate=LogUniform(1e-5, 1e-3)))
"""

FAILED, DIVERGED = 6, 7


def outcome_of(run):
    """Return an outcome for ``run``: one fails, one diverges, the placebo stays as it was."""
    if run.sweep == "toy" and run.arm == "main" and run.index == FAILED:
        return Outcome(status="failed", error="RuntimeError: the disk is full", seconds=0.5)
    status = "diverged" if run.sweep == "toy" and run.index == DIVERGED else "completed"
    gain = 0.0 if run.arm == "placebo" else 0.05 + 0.01 * run.index
    made = make_result(
        delta=gain, se=0.01 if gain else 0.0, status=status, steps=run.steps, evaluate_every=10
    )
    scores = {"main": ItemScores((1.0, 0.5), (0.0, 0.5), ("q1", "q2"), ("a", "b"))}
    trace, moved = make_trace([1e-4] * run.steps), None
    if run.sweep == "wide":
        measured = {"no_signal": 0.25, "truncated": 0.0, "length": 5.0}
        trace, moved = make_trace([1e-4] * run.steps, **measured), 0.9
        parts = {"right": 0.5} | ({"brief": 1.0} if run.index else {})
        trace = tuple(replace(step, parts=tuple(parts.items())) for step in trace)
    return replace(
        made.outcome,
        weights_moved=moved,
        trace=trace,
        items=scores.get(run.arm, ItemScores((0.25,))) if run.sweep == "toy" else None,
    )


@pytest.fixture(scope="session")
def stored_once(tmp_path_factory):
    """Write the project, and store what its runs came to."""
    root = tmp_path_factory.mktemp("project")
    (root / "pytest.ini").write_text("[pytest]\n")
    (root / "experiments").mkdir()
    (root / "experiments" / "helping.py").write_text("RATE = 1\n")
    (root / "experiments" / "learner.py").write_text(TRAINER)
    (root / "experiments" / "test_toy.py").write_text(SWEEPS)
    path = list(sys.path)
    found = discover([root / "experiments"])
    with Store.open(str(root / ".sweep" / "store.db")) as store:
        for sweep in found.values():
            planned = plan(sweep, Selection(), trains=False)
            for key, run in planned.runs.items():
                store.save(Result(key, run, planned.conditions, outcome_of(run)))
    sys.path[:] = path
    for name in ("learner", "helping"):
        sys.modules.pop(name, None)
    return root


@pytest.fixture
def project(stored_once, monkeypatch):
    """The project, from a folder of it where a kernel may have begun."""
    (stored_once / "notebooks").mkdir(exist_ok=True)
    monkeypatch.chdir(stored_once / "notebooks")
    for name in ("learner", "helping"):  # the command's process ends, and so it leaves them
        monkeypatch.delitem(sys.modules, name, raising=False)
    return stored_once
