"""A sweep whose questions are priced, and what tests ask of their powers."""

from __future__ import annotations

from harness import Choice, LogUniform, Pairs, Sweep
from harness.claims.power import sweep_power
from tests.claims.cases import QUESTIONS
from tests.factories import make_results

SPACE = {
    "learning_rate": LogUniform(8e-8, 4e-7),
    "batch_size": 8,
    "generations": Choice(16, 24, 32),
}


def make_sweep(asks=None, **fields):
    """A sweep that asks one question, or all where None."""
    questions = QUESTIONS if asks is None else {asks: QUESTIONS[asks]}
    declared = {
        "runs": 24,
        "steps": 100,
        "space": SPACE,
        "seed": 3,
        "baseline": "broad",
        "arms": {"batch_size": Pairs(12, values=(4, 12))},
        "questions": questions,
    }
    return Sweep("s", **{**declared, **fields})


def price(asks, stored=(), baseline_runs=48, **fields):
    return sweep_power(make_sweep(asks, **fields), stored, baseline_runs=baseline_runs)


def only(powers):
    (found,) = powers
    return found


def why(*arguments, **fields):
    """Why a question cannot be supported: its power is 0, and nothing else is said of it."""
    found = only(price(*arguments, **fields))
    assert (found.power, found.needed, found.effect) == (0.0, None, "")
    assert found.says == f"cannot be supported as planned: {found.why}"
    return found.why


def runs_of(name, deltas, **common):
    return make_results(deltas, prefix=name, **common)
