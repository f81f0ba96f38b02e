"""Two backends compared: values in, a verdict and its words out."""

import json
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging.parity import SCALES, parted, relative
from harness.report.renderers.document_json import parity_data as as_data
from tests.judging.parity_runs import (
    BACKENDS,
    FAR,
    NEAR,
    STEPS,
    WIDE,
    as_text,
    compared,
    differing,
    outcome,
    parting,
    said,
    trace,
)

# ---- the verdict --------------------------------------------------------------------------------


def test_backends_whose_runs_differ_by_less_than_the_margin_are_the_same():
    found = differing(*NEAR)
    verdict = found.verdict
    assert verdict.verdict == "supported"
    assert verdict.answer.startswith("yes: mean difference +0.001, 90% interval −0.001 to +0.002")
    assert verdict.answer.endswith("within ±0.020 (p < 0.001)")
    assert (verdict.n, verdict.level, verdict.needs) == (6, 0.9, ())
    assert -0.02 < verdict.low < verdict.estimate < verdict.high < 0.02
    assert verdict.p_value < 0.05


@pytest.mark.parametrize("sign", [1, -1])
def test_a_difference_beyond_the_margin_is_a_difference(sign):
    verdict = differing(*(sign * d for d in FAR)).verdict
    assert verdict.verdict == "refuted"
    assert verdict.answer.startswith(f"no: mean difference {'+' if sign > 0 else '−'}0.0")
    assert "beyond ±0.020" in verdict.answer
    assert verdict.p_value > 0.95
    assert abs(verdict.estimate) == pytest.approx(0.0505)


def test_the_margin_decides():
    assert differing(*FAR, margin=0.08).verdict.verdict == "supported"
    assert differing(*NEAR, margin=0.0001).verdict.verdict == "inconclusive"


def test_too_wide_an_interval_is_undecided_and_says_how_many_runs_might_do():
    verdict = differing(*WIDE).verdict
    assert verdict.verdict == "inconclusive"
    assert "shown neither within ±0.020 nor beyond" in verdict.answer
    (need,) = verdict.needs
    assert int(re.search(r"--runs (\d+)", str(need))[1]) > 6
    assert verdict.answer.startswith("undecided: ")


def test_at_the_margin_no_number_of_runs_is_promised():
    verdict = differing(0.02 + 0.03, 0.02 - 0.03, 0.02 + 0.03, 0.02 - 0.03).verdict
    assert verdict.verdict == "inconclusive"
    assert str(verdict.needs[0]).startswith("more than 1,000 runs")


def test_what_is_one_sided_of_a_narrow_margin_is_not_shown_beyond_it():
    """Its 90% interval lies outside of the margin, which noise of this size does 1 time in 10."""
    verdict = differing(0.068, 0.088, margin=0.0005).verdict
    assert verdict.low > 0.0005
    assert verdict.verdict == "inconclusive"
    assert "--runs 3" in str(verdict.needs[0])


def test_alpha_is_that_of_the_sweep():
    verdict = differing(*NEAR, alpha=0.01).verdict
    assert verdict.level == pytest.approx(0.98)
    assert "98% interval" in verdict.answer
    assert differing(0.015, 0.01, 0.018, 0.012, 0.02, alpha=0.05).verdict.verdict == "supported"
    assert differing(0.015, 0.01, 0.018, 0.012, 0.02, alpha=0.01).verdict.verdict == "inconclusive"


def test_equal_runs_are_the_same_without_a_test():
    verdict = differing(0.0, 0.0, 0.0).verdict
    assert (verdict.verdict, verdict.answer) == ("supported", "yes: ΔPerf is equal in all 3 runs")
    assert (verdict.estimate, verdict.low, verdict.high, verdict.p_value) == (0.0, 0.0, 0.0, None)
    assert differing(0.0, 0.0).verdict.answer == "yes: ΔPerf is equal in both runs"


def test_the_same_difference_in_every_run_is_no_measurement():
    verdict = differing(0.25, 0.25, 0.25).verdict
    assert verdict.verdict == "unanswerable"
    assert "the difference is +0.250 in every run" in verdict.answer
    assert (verdict.low, verdict.high, verdict.level) == (None, None, None)
    assert list(map(str, verdict.needs)) == ["more runs (--runs)"]


@pytest.mark.parametrize(
    ("sides", "have", "n"),
    [
        ([(0.1, 0.11)], "one run alone has", 1),
        ([("diverged", "diverged")] * 3, "no run has", 0),
        ([("diverged", "diverged"), (0.1, 0.1)], "one run alone has", 1),
    ],
)
def test_fewer_than_two_differences_answer_nothing(sides, have, n):
    verdict = compared(*sides).verdict
    assert verdict.verdict == "unanswerable"
    assert verdict.answer.startswith(f"{have} a ΔPerf on both backends")
    assert verdict.n == n
    assert list(map(str, verdict.needs)) == ["more runs (--runs)"]
    assert (verdict.low, verdict.p_value) == (None, None)


def test_a_run_that_diverged_on_both_agrees_and_has_no_difference():
    found = compared(*((0.1, 0.1 + d) for d in NEAR), ("diverged", "diverged"))
    assert found.verdict.verdict == "supported"
    assert found.verdict.n == 6
    assert found.pairs[-1].difference is None
    assert said(found)[1]["diverged"] == "06 on torch and on jax"


@pytest.mark.parametrize("differences", [NEAR, (0.0,) * 6], ids=["near", "equal"])
@pytest.mark.parametrize("sides", [(0.1, "diverged"), ("diverged", 0.1)])
def test_a_run_that_diverged_on_one_side_alone_keeps_them_from_being_the_same(differences, sides):
    found = compared(*((0.1, 0.1 + d) for d in differences), sides)
    verdict, backend = found.verdict, BACKENDS[sides.index("diverged")]
    assert verdict.verdict == "inconclusive"
    assert verdict.answer.startswith(f"undecided: 1 run diverged on {backend} alone; of the others")
    assert said(found)[1]["diverged"] == f"06 alone on {backend}"
    assert not found.unfinished


def test_a_difference_that_is_shown_stays_one_beside_a_run_that_diverged():
    verdict = compared(*((0.1, 0.1 + d) for d in FAR), (0.1, "diverged")).verdict
    assert verdict.verdict == "refuted"
    assert verdict.answer.endswith("; 1 run diverged on jax alone")


def test_where_a_run_diverged_is_said():
    found = compared((0.1, 0.1), (outcome("diverged", stopped_at=7), 0.1), (0.1, 0.1))
    assert said(found)[1]["diverged"] == "01 alone on torch, at step 7"


@pytest.mark.parametrize("status", ["failed", "timeout", "oom", "crashed", "interrupted"])
def test_a_run_that_did_not_finish_is_named_and_tried_again(status):
    failed = outcome(status, error="RuntimeError: the disk is full")
    found = compared(*((0.1, 0.1 + d) for d in NEAR), (0.1, failed))
    assert [pair.run.index for pair in found.unfinished] == [6]
    assert said(found)[1][status] == "06 on jax: RuntimeError: the disk is full"
    assert found.verdict.verdict == "inconclusive"
    assert "1 run did not finish" in found.verdict.answer
    assert list(map(str, found.verdict.needs)) == [
        "the same command again: it tries what did not finish"
    ]


def test_a_run_that_failed_on_one_side_and_diverged_on_the_other_is_unfinished():
    found = compared((0.1, 0.1), (0.1, 0.11), ("diverged", "failed"))
    assert len(found.unfinished) == 1
    assert "alone" not in found.verdict.answer
    leads = said(found)[1]
    assert (leads["diverged"], leads["failed"]) == (
        "02 on torch",
        "02 on jax: no error was recorded",
    )


def test_nothing_but_failures():
    found = compared(("failed", "failed"), ("failed", "failed"))
    assert found.verdict.verdict == "unanswerable"
    assert list(map(str, found.verdict.needs)) == [
        "the same command again: it tries what did not finish"
    ]
    assert said(found)[1]["perf before"] == "equal in 2 of 2 runs"


DIFFERENCES = st.lists(st.integers(-80, 80).map(lambda k: k / 1000), max_size=10)
ENDS = st.sampled_from(["diverged", "failed"])


@given(
    differences=DIFFERENCES,
    ends=st.lists(st.tuples(st.one_of(st.just(0.1), ENDS), ENDS), max_size=3),
    margin=st.floats(0.001, 0.2),
)
def test_the_verdict_is_what_the_numbers_say(differences, ends, margin):
    sides = [*((0.1, 0.1 + d) for d in differences), *ends]
    if not sides:
        return
    found = compared(*sides, margin=margin)
    verdict, mirrored = found.verdict, compared(*(s[::-1] for s in sides), margin=margin).verdict
    assert verdict.verdict == mirrored.verdict
    lone = any(set(end) != {"diverged"} for end in ends)
    if verdict.verdict == "supported":
        assert not lone
        assert -margin < verdict.low <= verdict.high < margin
    if verdict.verdict == "refuted":
        assert verdict.low > margin or verdict.high < -margin
    if verdict.verdict == "unanswerable":
        assert verdict.n < 2 or verdict.low is None
    assert verdict.n == len(differences)
    for width in (40, 80, 120):
        assert max(map(len, as_text(found, width))) <= width
    assert not re.search(r"\b(nan|inf|None)\b", " ".join(as_text(found, 120)))
    json.dumps(as_data(found), allow_nan=False)


# ---- runs ---------------------------------------------------------------------------------------


def test_the_error_of_a_difference_is_that_of_both():
    found = compared((outcome(0.1, se=0.03), outcome(0.15, se=0.04)), (0.1, 0.1))
    assert found.pairs[0].difference == pytest.approx(0.05)
    assert found.pairs[0].difference_se == pytest.approx(0.05)
    assert found.pairs[0].in_errors == pytest.approx(1.0)


def test_runs_are_counted_within_one_error_and_within_the_interval():
    # The errors of a difference are .01·√2: the differences are 0.7, 1.8, −1.8 and 3.5 of them.
    found = differing(0.01, 0.025, -0.025, 0.05)
    assert (found.agreement.runs, found.agreement.one_error, found.agreement.interval) == (4, 1, 3)
    assert said(found)[1]["each run"] == (
        "the difference lies within 1 standard error in 1 of 4 runs, within about 2 (95%) in 3"
    )


def test_the_interval_of_few_prompts_is_wider():
    difference = 2.1 * 0.01 * math.sqrt(2)
    many, few = (
        compared((outcome(0.1, prompts=count), outcome(0.1 + difference, prompts=512)))
        for count in (512, 10)
    )
    assert (many.agreement.interval, few.agreement.interval) == (0, 1)
    unknown = (outcome(0.1, prompts=None), outcome(0.1 + difference, prompts=None))
    assert compared(unknown).agreement.interval == 0


def test_runs_without_an_error_are_not_counted():
    found = compared((outcome(0.1, se=None), 0.11), (0.1, 0.1))
    assert found.agreement.runs == 1
    assert found.pairs[0].difference_se is None
    none = compared((outcome(0.1, se=None), 0.11))
    assert "each run" not in said(none)[1]


def test_a_difference_without_any_error():
    exact = compared((outcome(0.1, se=0.0), outcome(0.1, se=0.0)))
    moved = compared((outcome(0.1, se=0.0), outcome(0.2, se=0.0)))
    assert (exact.pairs[0].in_errors, moved.pairs[0].in_errors) == (0.0, None)
    assert (exact.agreement.one_error, moved.agreement.one_error) == (1, 0)
    assert (exact.agreement.interval, moved.agreement.interval) == (1, 0)


def test_perf_before_is_equal_or_it_is_not():
    other = outcome(0.1, before=0.13)
    assert said(compared((0.1, 0.1), (0.1, other)))[1]["perf before"] == "equal in 1 of 2 runs"
    unknown = outcome(0.1, before=None)
    assert compared((0.1, 0.1), (0.1, unknown)).before == (1, 1)
    assert said(compared((0.1, unknown)))[1]["perf before"] == "not recorded"


def test_runs_that_started_from_other_weights_are_named():
    one, other, unknown = (replace(outcome(0.1), weights=weights) for weights in ("a1", "b2", None))
    found = compared((one, one), (one, other), (one, unknown))
    assert found.apart_at_the_start == 1
    text = "other ones on each backend in 1 of 3 runs: train those anew"
    assert said(found)[1]["starting weights"] == text
    assert "starting weights" not in said(compared((one, one), (one, unknown)))[1]


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
