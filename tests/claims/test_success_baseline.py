"""More of the runs are shown to improve than in the baseline: judging, power, early verdicts."""

from __future__ import annotations

import pytest

from harness import statistics
from harness.claims import success_rate
from harness.judging.early import EarlyAnswers
from harness.verdicts import Baseline, Counts
from tests.claims.cases import check, judge, spaced
from tests.claims.powers import price, runs_of, why
from tests.factories import PUBLISHED, make_evidence, make_results
from tests.judging.early_runs import HALF, Finished, after, planned_of

# ---- judging -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("successes", "verdict", "start"),
    [
        (17, "supported", "yes: 17 of 24"),
        (14, "inconclusive", "better than the baseline, not than doing nothing"),
        (13, "inconclusive", "not shown"),
    ],
)
def test_published_counts_need_more_than_half_as_well(successes, verdict, start):
    deltas = spaced(0.01, 0.1, successes) + spaced(-0.1, -0.01, 24 - successes)
    found = judge("success_vs_baseline", make_evidence(deltas, PUBLISHED))
    check(found)
    assert found.verdict == verdict
    assert found.answer.startswith(start)
    assert "ΔPerf > 0" in found.method
    assert any("15% to 54% (Wilson)" in line for line in found.details)


def test_counts_by_another_rule_do_not_compare():
    counts = Counts("paper", 6, 19, "ΔPerf > 0.1", "a paper")
    verdict = judge("success_vs_baseline", make_evidence(spaced(0.05, 0.1), counts))
    assert verdict.verdict == "inconclusive"
    assert "another rule (ΔPerf > 0.1)" in verdict.answer
    assert verdict.answer.endswith("see the mean")


def test_tables_that_do_not_say_how_they_were_evaluated():
    def side(se, *deltas):
        return make_results(spaced(*deltas), se=se, prompts=None, samples=None)

    for se, verdict in ((0.0124, "supported"), (0.0126, "inconclusive")):
        evidence = make_evidence(
            runs=side(0.01, 0.05, 0.1), baseline=Baseline("broad", side(se, -0.1, 0))
        )
        assert judge("success_vs_baseline", evidence).verdict == verdict


def test_one_side_without_standard_errors_counts_both_by_sign():
    baseline = Baseline("broad", make_results(spaced(-0.1, -0.01), se=None))
    verdict = judge("success_vs_baseline", make_evidence(spaced(0.001, 0.1), baseline))
    assert verdict.verdict == "supported"
    assert "success: ΔPerf > 0 and binomial" in verdict.method


# ---- power ---------------------------------------------------------------------------------------


def test_a_baseline_without_runs_is_assumed_to_succeed_in_a_third():
    one, two = price("success_vs_baseline")
    assert one.power == statistics.boschloo_power(24, one.size, 48, 1 / 3)
    assert (one.size, two.size) == pytest.approx((0.7, 0.8))
    assert one.given == "33% of the baseline's 48 runs are assumed to succeed"


def test_a_finished_baseline_is_no_longer_a_matter_of_chance():
    stored = runs_of("broad", [0.1] * 12 + [0.0] * 36)
    one = price("success_vs_baseline", stored)[0]
    assert one.given == "in the baseline 12 of 48 succeeded"
    threshold = statistics.boschloo_threshold(24, 12, 48)
    assert one.power == statistics.at_least(threshold, 24, one.size)
    # Half of its runs are still to come: they are.
    half = price("success_vs_baseline", stored[:24])[0]
    assert "assumed" in half.given


def test_a_baseline_that_does_well_is_compared_with_more():
    stored = runs_of("broad", [0.1] * 36 + [0.0] * 12)
    assert [power.size for power in price("success_vs_baseline", stored)] == [
        pytest.approx(0.85),
        pytest.approx(0.9),
    ]


def test_published_counts_are_to_be_beaten_beside_one_half():
    one = price("success_vs_baseline", baseline=PUBLISHED)[0]
    # 14 of 24 show more than 6 of 19, but it takes 17 to show more than one half.
    assert one.power == statistics.at_least(17, 24, one.size)
    assert one.given == "in the baseline 6 of 19 succeeded; one half is to be beaten too"
    other = Counts("other", 6, 19, "ΔPerf > 0.1", "")
    assert why("success_vs_baseline", baseline=other) == (
        "the baseline counts by another rule (ΔPerf > 0.1)"
    )


def test_a_baseline_too_small_to_be_beaten_is_not_beaten_by_more_runs():
    found = price("success_vs_baseline", baseline=Counts("few", 1, 3, "ΔPerf > 0", ""))
    assert [power.needed for power in found] == [None, None]


# ---- before all runs are in ----------------------------------------------------------------------


def test_against_published_counts_chance_must_be_beaten_too():
    counts = Counts("published", 0, 19, "ΔPerf > 0", "a table")
    asked = {"q": success_rate.above_baseline()}
    planned = planned_of(questions=asked)
    count, verdicts = after(planned, lambda run: 0.1 + 0.001 * run.index, baseline=counts)
    assert (count, verdicts["q"].verdict) == (17, "supported")


def test_counts_by_another_rule_never_compare():
    counts = Counts("published", 2, 19, "better than before", "a table")
    asked = {"q": success_rate.above_baseline(), "half": HALF}
    planned = planned_of(questions=asked)
    count, verdicts = after(planned, lambda run: 0.1 + 0.001 * run.index, baseline=counts)
    assert (count, verdicts["q"].verdict) == (17, "inconclusive")
    assert "see the mean" in verdicts["q"].answer


def test_a_claim_on_counts_waits_for_its_baseline():
    asked = {"q": success_rate.above_baseline(), "half": HALF}
    runs = Finished(
        planned_of(questions=asked),
        lambda run: 0.1 + 0.001 * run.index,
        baseline=Baseline("b", make_results([-0.1, -0.2, -0.3, -0.11], prefix="b")),
    )
    early, evidence = EarlyAnswers(runs.planned), runs.evidence()
    assert early.verdicts(evidence, baseline_ready=False).keys() == {"half"}
    assert not early.all_answered(evidence, baseline_ready=False)
    assert early.all_answered(evidence)
