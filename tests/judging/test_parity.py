"""Two backends compared: the verdict on their differences, and its words."""

import json
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.renderers.document_json import parity_data as as_data
from tests.judging.parity_runs import (
    BACKENDS,
    FAR,
    NEAR,
    WIDE,
    as_text,
    compared,
    differing,
    outcome,
    said,
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
    assert list(map(str, verdict.needs)) == ["at least 4 runs (--runs 4)"]


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
    enough = len(sides) + 2 - n
    assert list(map(str, verdict.needs)) == [f"at least {enough} runs (--runs {enough})"]
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
    assert found.different_starts == 1
    text = "different on each backend in 1 of 3 runs: train those anew"
    assert said(found)[1]["starting weights"] == text
    assert "starting weights" not in said(compared((one, one), (one, unknown)))[1]
