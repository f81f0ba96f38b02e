"""Sweeps with a known truth, and what is refined of them."""

from pathlib import Path

import numpy as np

from harness import Sweep
from harness.plugin.declared import discover
from harness.refine import refine
from tests.factories import make_result

ROOT = Path(__file__).parents[2]
BROAD = discover([ROOT / "experiments"])["broad"]
FOCUSED = discover([ROOT / "experiments"])["focused"]


def sweep_of(space, runs=48, **changes):
    return Sweep("old", runs=runs, steps=100, space=space, **changes)


def runs_of(sweep, delta, rng, **common):
    """The main runs of ``sweep``: ΔPerf is ``delta(config)`` and noise; None is a diverged run."""
    made = []
    for run in sweep.plan(arms=()):
        value = delta(run.config)
        made.append(
            make_result(
                id=run.id,
                index=run.index,
                sweep=sweep.name,
                config=run.config,
                steps=sweep.steps,
                declared_steps=sweep.steps,
                delta=None if value is None else value + rng.normal(0, 0.02),
                status="diverged" if value is None else "completed",
                **{"curve": ()} | common,
            )
        )
    return made


def refined(sweep, delta, seed=0, **asked):
    rng = np.random.default_rng(seed)
    return refine(sweep.name, runs_of(sweep, delta, rng), rng=rng, sweep=sweep, **asked)


def revision(proposal, name):
    return next(found for found in proposal.revisions if found.parameter == name)


def position(rate):
    """Where in 1e-7 to 2e-6 a learning rate lies, from 0 to 1 on the logarithmic scale."""
    return float(np.log(rate / 1e-7) / np.log(20))


def load(text, folder, name="test_next"):
    """Import a file with this text and return the sweep that it declares."""
    file = folder / f"{name}.py"
    file.write_text(text)
    return next(iter(discover([file]).values()))
