"""Two backends compared: where their tokens part, and how far apart they are at step 1."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging.parity import SCALES, parted, relative
from tests.judging.parity_runs import STEPS, as_text, compared, outcome, parting, said, trace

# ---- tokens -------------------------------------------------------------------------------------


@given(step=st.integers(1, STEPS))
def test_tokens_part_where_they_first_differ(step):
    assert parted(trace(), parting(step)) == (step, step)
    assert parted(parting(step), trace()) == (step, step)


def test_tokens_that_agree_again_have_parted_all_the_same():
    again = trace([drawn if drawn != 4 else -1 for drawn in range(STEPS)])
    assert parted(trace(), again) == (5, 5)


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [
        (trace(), trace(), STEPS),
        (trace(), trace()[:7], 7),
        (trace(), (), 0),
        (trace([None] * STEPS), trace(), 0),
        (trace(), trace([0, 1, 2, None, 9]), 3),
        (trace(), trace()[1:], 0),
    ],
)
def test_tokens_are_compared_as_far_as_both_recorded_them(one, other, steps):
    assert parted(one, other) == (None, steps)


def tokens(*traces, **given):
    return compared(*((outcome(), outcome(trace=other)) for other in traces), **given)


def test_where_tokens_part_is_said_for_each_run_and_for_all():
    found = tokens(parting(3), trace(), parting(18), trace())
    assert said(found)[1]["tokens"] == (
        "the completions of all 20 steps are equal in 2 of 4 runs, and first part at steps 3, 18 "
        "in the others (median 10.5)"
    )
    column = [line.split()[-1] for line in as_text(found, 120)[4:8]]
    assert column == ["3", "never", "18", "never"]


def test_where_tokens_part_in_few_runs_and_in_many():
    def says(*steps):
        traces = [trace() if step is None else parting(step) for step in steps]
        return said(tokens(*traces))[1]["tokens"].removeprefix("the completions of all ")

    assert says(None) == "20 steps are equal in 1 of 1 run"
    assert says(5) == "20 steps are equal in 0 of 1 run, and part at step 5"
    assert says(None, 5) == "20 steps are equal in 1 of 2 runs, and part at step 5 in the other"
    assert says(9, 5).endswith("in 0 of 2 runs, and first part at steps 5, 9 (median 7)")
    assert says(*range(2, 9)).endswith("first part at steps 2 to 8 (median 5)")


def test_tokens_of_runs_that_stopped_early_are_compared_as_far_as_they_went():
    found = compared((0.1, 0.1), (outcome("diverged", trace=trace()[:3]),) * 2)
    assert said(found)[1]["tokens"].startswith("the completions of all steps that both have are")


def test_tokens_that_are_not_recorded():
    found = tokens(trace([None] * STEPS))
    leads = said(found)[1]
    assert leads["tokens"] == "not recorded"
    assert leads["step 1"] == "not compared: which tokens were drawn is not recorded"
    assert as_text(found, 120)[4].endswith("not recorded")
    failed = as_text(compared((0.1, "failed"), (0.1, 0.1)), 120)[4]
    assert failed.endswith("–")
    assert " failed " in failed


# ---- step 1 -------------------------------------------------------------------------------------


def test_step_1_is_as_far_apart_as_the_worst_number_of_the_worst_run():
    found = tokens(
        trace(loss=0.05 + 3e-7), trace(entropy=1.7 * (1 + 2e-7)), trace(grad_norm=1.2 * (1 - 5e-6))
    )
    step_one = found.step_one
    assert step_one.runs == 3
    assert step_one.loss == pytest.approx(3e-7)
    assert step_one.entropy == pytest.approx(2e-7)
    assert step_one.grad_norm == step_one.largest == pytest.approx(5e-6)
    assert said(found)[1]["step 1"] == "loss, entropy and gradient norm agree to 5e-6"


def test_step_1_is_compared_where_its_tokens_agree():
    found = tokens(trace(loss=0.05 + 3e-7), parting(1))
    assert found.step_one.runs == 1
    assert said(found)[1]["step 1"] == (
        "in the 1 of 2 runs whose tokens agree, loss, entropy and gradient norm agree to 3e-7"
    )
    none = tokens(parting(1))
    assert (none.step_one.runs, none.step_one.largest) == (0, None)
    assert said(none)[1]["step 1"].startswith("not compared: the tokens differ in every run")


def test_a_step_1_that_rounding_does_not_explain_is_called_so():
    assert said(tokens(trace()))[1]["step 1"] == "loss, entropy and gradient norm are equal"
    rough = trace(grad_norm=1.2 * 1.01)
    assert said(tokens(rough))[1]["step 1"] == (
        "loss, entropy and gradient norm differ by up to 1e-2, which is more than rounding explains"
    )
    assert "agree to 1e-2" in said(tokens(rough, precision="bfloat16"))[1]["step 1"]


NUMBERS = st.floats(-1e3, 1e3)


@given(one=NUMBERS, other=NUMBERS, scale=st.sampled_from(sorted(SCALES.values())))
def test_a_relative_difference_is_symmetric_and_finite(one, other, scale):
    found = relative(one, other, scale)
    assert found == relative(other, one, scale)
    assert 0.0 <= found <= 2.0
    assert (found == 0.0) == (one == other)


def test_a_loss_near_zero_is_not_a_large_difference():
    assert relative(1e-8, -1e-8, SCALES["loss"]) == pytest.approx(2e-8)
    assert relative(1e-8, 2e-8, SCALES["entropy"]) == pytest.approx(1e-5)
    assert relative(0.0, 0.0, SCALES["grad_norm"]) == 0.0
    assert relative(2.0, 2.2, SCALES["loss"]) == pytest.approx(0.2 / 2.2)


def test_a_gain_that_is_no_number_is_no_difference():
    broken = replace(outcome(), delta_perf=math.nan)
    assert compared((broken, 0.1)).pairs[0].difference is None
    unfinished = replace(outcome(), status="timeout")
    assert compared((unfinished, 0.1)).pairs[0].difference is None


def test_a_language_model_is_named_and_judged_though_its_tokens_part_at_once():
    sides = [(0.1, outcome(0.1 + d, trace=parting(1))) for d in (0.002, -0.001, 0.003, -0.002)]
    found = compared(*sides, model="smol@1", task="sums")
    assert found.verdict.verdict == "supported"
    lines = as_text(found, 120)
    assert lines[0] == "s: torch and jax, 4 runs of 20 steps, smol@1 on sums, float32, cpu"
    assert all(line.endswith(" 1") for line in lines[4:8])
    assert said(found)[1]["step 1"].startswith("not compared: the tokens differ in every run")
