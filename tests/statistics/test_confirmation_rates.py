"""What is said of leaders with fresh seeds, simulated: bias, coverage, and how often it is wrong.

A part of what `benchmarks/selection.py` prints. Simulation errors are allowed for threefold.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from simulation.bounds import by_rule, power
from simulation.confirmations import SLIGHTEST, UNSEEN, ahead, confirm, equal, evidence, judge
from simulation.selections import SHAPES

from harness import statistics
from harness.records import CONFIRM

ALPHA = 0.05
TRIALS = [
    one for size in ((1, 4), (3, 4), (1, 8), (3, 8)) for one in equal(*size) if one.name != UNSEEN
]
QUICK = [one for one in equal(3, 8) if one.name in ("normal", "the reference three times as wide")]


def slack(rate, sweeps):
    return 3 * math.sqrt(rate * (1 - rate) / sweeps)


def check_worth(shape, noise, sweeps):
    found = confirm(shape, noise, sweeps, np.random.default_rng(7))
    assert abs(found.named_bias) <= 0.1 + 3 / math.sqrt(sweeps)
    if noise == "normal":
        assert found.named_covered == pytest.approx(0.95, abs=0.01 + slack(0.05, sweeps))
        assert found.of_all >= 0.95 - slack(0.05, sweeps)
        assert found.together >= 0.95 - slack(0.05, sweeps)
    return found


def check_trial(trial, sweeps):
    found = judge(trial, sweeps, np.random.default_rng(5))
    for rate in (found.supported, found.early, found.missed):
        assert rate <= ALPHA + slack(ALPHA, sweeps), found
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_leader_that_was_named_before_is_unbiased_and_the_gain_of_the_best_is_covered(shape):
    check_worth(shape, "normal", 400)


def test_the_best_of_three_confirmed_is_chosen_again():
    """By .84 standard errors where all are equal: the page says so."""
    found = check_worth(SHAPES[-1], "normal", 600)
    assert found.best_bias == pytest.approx(0.84, abs=3 / math.sqrt(600))
    assert found.alone < 0.95 - slack(0.05, 600), "its own interval says too much"


@pytest.mark.parametrize("trial", QUICK, ids=lambda trial: trial.name)
def test_no_leader_is_called_better_where_none_is(trial):
    check_trial(trial, 120)


def test_a_leader_that_is_far_ahead_is_shown():
    normal, *_ = ahead(2.0, 3, 8)
    found = judge(normal, 60, np.random.default_rng(1))
    assert found.supported > 0.7
    assert found.missed <= ALPHA + slack(ALPHA, 60)


def test_without_the_correction_the_simulation_sees_the_choice(monkeypatch):
    monkeypatch.setattr(
        statistics,
        "matched_each",
        lambda each, level=0.9: tuple(statistics.matched(one, level=level) for one in each),
    )
    with pytest.raises(AssertionError):
        check_worth(SHAPES[-1], "normal", 600)


def test_a_wrong_claim_is_seen():
    normal, *_ = ahead(0.4, 1, 8)
    with pytest.raises(AssertionError):
        check_trial(replace(normal, name="not equal at all"), 120)


@pytest.mark.parametrize("trial", list(ahead(1.0, 3, 8))[:1] + list(equal(1, 4))[:1])
def test_all_sweeps_judged_at_once_are_judged_as_the_claim_does(trial):
    rng, seen = np.random.default_rng(3), set()
    for _ in range(80):
        whole = evidence(trial, rng)
        values = np.zeros((1, len(trial.ahead) + 1, trial.seeds))
        for one in whole.arms[CONFIRM]:
            values[0, one.run.index, one.run.repeat] = one.outcome.delta_perf
        said = SLIGHTEST.judge("winner", whole).verdict
        seen.add(said)
        assert {1.0: "supported", -1.0: "refuted", 0.0: "inconclusive"}[
            float(by_rule(values, margin=0.001)[0])
        ] == said
    assert len(seen) > 1


def test_the_power_is_that_of_the_noncentral_t():
    for by, seeds in ((1.0, 8), (2.0, 4)):
        (trial, _) = ahead(by, 3, seeds)
        found = power(replace(trial, ahead=(by, -9.0, -9.0)), 4_000, np.random.default_rng(1))
        exact = statistics.gain_power(by / math.sqrt(2.0), seeds, several=3)
        assert found.supported == pytest.approx(exact, abs=0.03)
        assert found.early <= found.supported + 0.01


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["normal", "t3"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_what_is_confirmed_at_size(shape, noise):
    check_worth(shape, noise, 2_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    "trial", TRIALS, ids=lambda one: f"{one.name}, {len(one.ahead)} of {one.seeds}"
)
def test_the_claim_keeps_its_level(trial):
    check_trial(trial, 400)
