"""Whether a sweep is worse than a stored one: the tests that claims share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.claims.nights import fell
from harness.metrics import DELTA_PERF, Metric
from tests.judging.nights import QUESTIONS, RNG, differences, evidence, peaked


def test_pairs_see_through_what_configurations_differ_by():
    rng = np.random.default_rng(2)
    apart, noise = rng.normal(0, 0.3, 20), rng.normal(0, 0.01, 20)
    then = {str(i): float(value) for i, value in enumerate(apart)}
    now = {str(i): float(value) for i, value in enumerate(apart - 0.05 + noise)}
    assert fell(now, then, RNG) < 1e-6
    assert fell({f"x{name}": value for name, value in now.items()}, then, RNG) > 0.1
    assert fell(then, now, RNG) > 0.99


def test_a_difference_that_is_the_same_in_every_pair_is_no_certainty_and_no_ignorance():
    then = {str(i): 0.01 * i for i in range(12)}
    assert fell(then, then, RNG) == 1.0
    assert fell({name: value - 5.0 for name, value in then.items()}, then, RNG) < 0.0005
    assert fell({name: value - 0.001 for name, value in then.items()}, then, RNG) > 0.3


def test_a_diverged_run_has_lost_what_was_ever_lost_and_is_counted(reference):
    """A third diverges, and the others gain what they did."""
    seen = evidence(lambda run: None if run.index % 3 == 0 else peaked(run), seed=1)
    sides = QUESTIONS["mean"], seen, reference.evidence, reference.supported["mean"]
    tests = {one.what: one.p_value for one in differences(*sides)}
    assert tests.keys() == {"mean ΔPerf", "diverged runs"}
    assert tests["mean ΔPerf"] < 0.01
    assert tests["diverged runs"] < 0.01
    whole = replace(seen, runs=tuple(r for r in seen.runs if r.outcome.status == "completed"))
    assert differences(sides[0], whole, *sides[2:])[0].p_value > 0.1


@pytest.mark.parametrize("asked", QUESTIONS)
def test_what_is_compared_has_the_name_of_its_metric(asked):
    claim, then, now = QUESTIONS[asked], evidence(), evidence(seed=1)

    def compared(metric):
        sides = [replace(side, metric=metric) for side in (now, then)]
        return claim.worse(*sides, claim.judge(asked, sides[1]))

    usual, other = compared(DELTA_PERF), compared(Metric("loss", minimised=True))
    assert usual
    assert [one.what for one in other] == [one.what.replace("ΔPerf", "loss") for one in usual]
    assert [one.p_value for one in other] == [one.p_value for one in usual]
