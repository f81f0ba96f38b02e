"""More than a share of the runs are shown to improve: judging, power, early verdicts, nights."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness import statistics
from harness.claims import success_rate
from harness.errors import SweepError
from harness.judging.early import launch_order
from harness.verdicts import Metric
from tests.claims.cases import judge, spaced
from tests.claims.powers import price, why
from tests.factories import make_arm, make_evidence, make_result, make_results
from tests.judging.early_runs import after, planned_of
from tests.judging.nights import assert_regresses, peaked

# ---- judging -------------------------------------------------------------------------------------


def test_seventeen_of_24_is_enough_and_sixteen_is_not():
    enough = judge("success_above_half", make_evidence(spaced(0.05, 0.2, 17) + [0.0] * 7))
    short = judge("success_above_half", make_evidence(spaced(0.05, 0.2, 16) + [0.0] * 8))
    assert enough.verdict == "supported"
    assert enough.answer == "yes: 17 of 24 (71%) are shown to improve, more than 50%"
    assert enough.low > 0.5
    assert short.verdict == "inconclusive"
    assert "17 of 24 would show more than 50%" in short.reason


def test_not_shown_is_not_shown_not():
    """Runs too noisily measured to be told from zero neither succeed nor fail."""
    verdict = judge(
        "success_above_half", make_evidence(runs=make_results(spaced(-0.02, 0.06), se=0.04))
    )
    assert verdict.verdict == "inconclusive"
    assert "detects gains from 0.112 on (2.8·SE)" in verdict.answer
    assert "shown to fail: 0 of 24" in verdict.details


def test_a_finer_evaluation_is_advised_where_the_standard_error_decides():
    loss = Metric("val_loss", "target", minimised=True, target=0.5)
    passed = make_results([*spaced(0.05, 0.2, 13), *spaced(-0.2, -0.05, 11)], se=None)
    shown = judge("success_above_half", make_evidence(spaced(0.05, 0.2, 13) + [0.0] * 11))
    plain = judge("success_above_half", replace(make_evidence(runs=passed), metric=loss))
    assert "or an evaluation of more prompts" in str(shown.needs)
    assert plain.verdict == "inconclusive"
    assert "evaluation" not in str(plain.needs)


def test_useless_runs_that_pass_zero_are_no_successes():
    verdict = judge("success_above_half", make_evidence(runs=make_results(spaced(0.001, 0.015))))
    assert verdict.estimate == 0.0
    assert verdict.verdict == "refuted"
    assert any("ΔPerf > 0 in 24 of 24" in line for line in verdict.details)


def test_without_standard_errors_it_is_the_median():
    verdict = judge(
        "success_above_half", make_evidence(runs=make_results(spaced(-0.01, 0.2), se=None))
    )
    assert verdict.verdict == "supported"
    assert verdict.answer.startswith("median above zero, if measurements are independent")
    other = success_rate.above(0.6).judge(
        "x", make_evidence(runs=make_results(spaced(-0.01, 0.2), se=None))
    )
    assert "if measurements are independent" in other.answer
    fallen = judge(
        "success_above_half", make_evidence(runs=make_results(spaced(-0.2, 0.01), se=None))
    )
    assert fallen.verdict == "refuted"


def test_few_changed_prompts_are_no_success():
    runs = make_results(spaced(0.05, 0.2), prompts_changed=5)
    assert judge("success_above_half", make_evidence(runs=runs)).estimate == 0.0


def test_diverged_runs_count_as_no_success():
    verdict = judge("success_above_half", make_evidence(spaced(0.05, 0.2, 17) + [None] * 7))
    assert (verdict.n, verdict.estimate) == (24, 17 / 24)
    assert "7 diverged runs counted as no success" in verdict.details
    assert judge("success_above_half", make_evidence([None] * 9)).verdict == "refuted"


def test_useless_training_stands_beside():
    main = make_results(spaced(0.05, 0.2))
    arms = {arm: make_arm(arm, main, [0.0] * 7 + [0.1]) for arm in ("random", "null", "half")}
    verdict = judge("success_above_half", make_evidence(runs=main, arms=arms))
    assert verdict.details[-2:] == (
        "null arm (rewards permuted): 1 of 8 (12%) are shown to improve",
        "random arm (rewards drawn at random): 1 of 8 (12%) are shown to improve",
    )


def test_missing_runs_are_left_to_the_caller():
    runs = (*make_results(spaced(0.05, 0.1)), make_result(id="x", status="interrupted"))
    assert judge("success_above_half", make_evidence(runs=runs)).n == 24


def test_the_degenerate_value_is_printed_in_full():
    verdict = judge("success_above_half", make_evidence([0.2025] * 24))
    assert "+0.2025 in every one of 24 runs" in verdict.answer


def test_a_rate_that_cannot_be_is_refused():
    said = r"success_rate is 1\.5; expected a number above 0 and below 1"
    with pytest.raises(SweepError, match=said):
        success_rate.above(1.5)


# ---- power ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "effects"), [(0.5, (0.7, 0.8)), (0.75, (0.85, 0.9)), (0.25, (0.55, 0.7))]
)
def test_success_rates_lie_above_the_rate_to_beat(rate, effects):
    found = price(None, questions={"q": success_rate.above(rate)})
    assert tuple(power.size for power in found) == pytest.approx(effects)
    assert [power.power for power in found] == [
        statistics.binomial_power(24, power.size, rate) for power in found
    ]


def test_too_few_runs_to_show_a_success_rate_say_how_many_would():
    assert why("success_above_half", runs=4, arms={}) == (
        "no count of 4 runs can show more than 50%; it takes 5 runs"
    )
    assert price("success_above_half", runs=5, arms={})[0].power > 0.0
    one = price("success_vs_baseline", runs=1, arms={})[0]
    assert one.says.startswith("with 1 run, ")


# ---- before all runs are in ----------------------------------------------------------------------


def test_a_count_stops_when_the_rest_cannot_change_it():
    count, verdicts = after(planned_of(), lambda run: 0.1)
    assert count is None, "ΔPerf is the same in every run"
    count, verdicts = after(planned_of(), lambda run: 0.1 + 0.001 * run.index)
    assert count == 17
    verdict = verdicts["half"]
    assert (verdict.verdict, verdict.n) == ("supported", 17)
    assert str(verdict.decided) == "17 of 24 in, and the others cannot change it"
    assert verdict.details[0] == str(verdict.decided)
    assert verdict.reason == "at worst p = 0.032"
    assert verdict.p_value == pytest.approx(0.0320, abs=1e-4)
    assert verdict.low > 0.5
    assert (verdict.high, verdict.estimate) == (1.0, 1.0)
    count, verdicts = after(planned_of(), lambda run: -0.1 + 0.001 * run.index)
    assert (count, verdicts["half"].verdict) == (17, "refuted")


def test_a_count_that_can_no_longer_be_shown_is_decided_too():
    planned = planned_of()
    place = {planned.runs[k].index: i for i, k in enumerate(launch_order(planned))}
    count, verdicts = after(
        planned, lambda run: (0.1 if place[run.index] % 2 else -0.1) + 0.001 * run.index
    )
    assert (count, verdicts["half"].verdict) == (16, "inconclusive")
    assert verdicts["half"].needs
    assert verdicts["half"].low <= 0.5 < verdicts["half"].high


# ---- from night to night -------------------------------------------------------------------------


def test_a_night_on_which_half_of_the_runs_diverge_has_regressed(reference):
    assert_regresses(reference, "half", truth=lambda run: None if run.index % 2 else peaked(run))
