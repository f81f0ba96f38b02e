"""What each claim says that it needs where it comes to no answer: a kind, never words alone."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from harness.claims import judge_all
from harness.claims.base import more
from harness.metrics import Metric
from harness.statistics import paired_power, runs_needed, size_to_decide
from harness.verdicts import Baseline, Counts, training
from tests.claims.cases import (
    BASELINE_IDS,
    CASES,
    QUESTIONS,
    VERSUS,
    judge,
    noise,
    spaced,
    with_arms,
    with_gains,
)
from tests.factories import PUBLISHED, make_evidence, make_results

ARBITRARY = Metric("accuracy", "arbitrary")


def kinds(verdict):
    return [need.kind for need in verdict.needs]


@pytest.mark.parametrize("case", [case for case in CASES if "able" not in case[1]], ids=" ".join)
def test_only_what_is_not_shown_needs_something_and_most_often_runs(case):
    asked, verdict = case
    needed = kinds(judge(asked, CASES[case]()))
    if verdict == "inconclusive":
        # Of the best value a rise alone was shown: the range is what is short, not the runs.
        assert needed == ["parameter" if asked == "lr_sweet_spot" else "runs"]
    else:
        assert needed == []


@pytest.mark.parametrize("asked", QUESTIONS)
@pytest.mark.parametrize(("deltas", "kind"), [([], "training"), ([0.2] * 24, "evaluation")])
def test_without_runs_training_and_of_a_constant_another_evaluation(asked, deltas, kind):
    verdict = judge(asked, make_evidence(deltas, spaced(0, 0.1)))
    assert verdict.verdict == "unanswerable"
    assert kinds(verdict) == [kind]
    assert verdict.needs[0].sweeps == (("focused",) if kind == "training" else ())


@pytest.mark.parametrize("asked", BASELINE_IDS)
@pytest.mark.parametrize(
    ("baseline", "name", "kind", "sweeps"),
    [
        (None, "broad", "training", ("broad", "focused")),
        (None, None, "training", ("BASELINE", "focused")),
        (Baseline("broad", ()), "broad", "training", ("broad", "focused")),
        ([0.1] * 12, "broad", "evaluation", ()),
    ],
    ids=["not stored", "not declared", "empty", "constant"],
)
def test_a_baseline_that_is_not_there_is_trained(asked, baseline, name, kind, sweeps):
    verdict = judge(asked, make_evidence(spaced(0, 0.1), baseline, baseline_name=name))
    assert verdict.verdict == "unanswerable"
    assert kinds(verdict) == [kind]
    assert verdict.needs[0].sweeps == sweeps
    assert ("--sweep-baseline" in str(verdict.needs[0])) == (name is None)


def test_what_the_baseline_s_runs_would_answer_is_their_training():
    for asked in VERSUS:
        verdict = judge(asked, make_evidence(spaced(0, 0.1), PUBLISHED))
        assert verdict.needs == (training("broad", "focused"),)


@pytest.mark.parametrize("asked", BASELINE_IDS)
def test_sides_that_were_evaluated_differently_need_one_evaluation(asked):
    baseline = Baseline("broad", make_results(spaced(-0.1, 0), prefix="broad", prompts=64))
    verdict = judge(asked, make_evidence(spaced(0, 0.1), baseline))
    if asked == "mean_vs_baseline":  # which holds whatever the noise
        assert verdict.verdict == "supported"
    else:
        assert kinds(verdict) == ["evaluation"]


@pytest.mark.parametrize("asked", VERSUS)
def test_too_few_on_a_side_need_runs(asked):
    verdict = judge(asked, make_evidence([0.1], [0.2]))
    assert (verdict.verdict, kinds(verdict)) == ("inconclusive", ["runs"])


SUCCESSES = {"rate": QUESTIONS["success_above_half"], "more": QUESTIONS["success_vs_baseline"]}


@pytest.mark.parametrize("baseline", [spaced(-0.1, 0), PUBLISHED], ids=["runs", "counts"])
def test_a_metric_without_a_zero_needs_another_metric_to_know_a_success(baseline):
    for verdict in judge_all(SUCCESSES, make_evidence(spaced(0, 1), baseline, metric=ARBITRARY))[
        : len(SUCCESSES)
    ]:
        assert (verdict.verdict, kinds(verdict)) == ("unanswerable", ["metric"])
        assert verdict.p_value is None


def test_counts_need_the_same_rule_or_more_than_their_sign():
    other = Counts("paper", 6, 19, "ΔPerf > 0.1", "a paper")
    by_sign = make_evidence(spaced(0.01, 0.1, 14) + spaced(-0.1, -0.01, 10), PUBLISHED)
    for evidence in (make_evidence(spaced(0.05, 0.1), other), by_sign):
        assert kinds(judge("success_vs_baseline", evidence)) == ["evaluation"]


def test_a_count_that_is_settled_without_an_answer_needs_more_runs_than_planned():
    evidence = make_evidence(spaced(0.05, 0.1, 8) + spaced(-0.1, -0.05, 9))
    (need,) = QUESTIONS["success_above_half"].curtailed("q", evidence, 18).needs
    assert (need.kind, str(need)) == ("runs", "more runs than the 18 planned")


@pytest.mark.parametrize(
    "runs",
    [make_results(spaced(0, 0.1), curve=()), make_results([None] * 8)],
    ids=["no curves", "all diverged"],
)
def test_a_curve_without_both_of_its_points_needs_a_curve(runs):
    verdict = judge("plateau", make_evidence(runs=runs))
    assert (verdict.verdict, kinds(verdict)) == ("unanswerable", ["curve"])


def test_a_gain_that_is_a_constant_needs_another_evaluation():
    runs = with_gains([0.05] * 6)
    runs = tuple(
        replace(r, outcome=replace(r.outcome, delta_perf=0.01 * i)) for i, r in enumerate(runs)
    )
    verdict = judge("plateau", make_evidence(runs=runs))
    assert (verdict.verdict, kinds(verdict)) == ("unanswerable", ["evaluation"])


def test_without_a_margin_it_is_the_margin_that_is_needed():
    plateau = replace(QUESTIONS["plateau"], margin=None)
    evidence = make_evidence(runs=with_gains(noise(0.05)), margin=None)
    assert kinds(plateau.judge("q", evidence)) == ["margin"]
    pairs = with_arms({4: noise(0.0), 12: noise(0.01, seed=1)})
    no_worse = replace(QUESTIONS["batch_size"], margin=None)
    assert kinds(no_worse.judge("q", replace(pairs, margin=None))) == ["margin"]


def test_a_parameter_that_does_not_vary_or_lies_at_an_edge_needs_a_parameter():
    fixed = make_results(spaced(0, 0.1), parameters={"learning_rate": [2e-7] * 24})
    for evidence in (
        make_evidence(runs=fixed),
        make_evidence(spaced(0, 0.2)),
        make_evidence(spaced(0.2, 0)),
    ):
        assert kinds(judge("lr_sweet_spot", evidence)) == ["parameter"]
    assert kinds(judge("lr_sweet_spot", make_evidence(spaced(0, 0.2, 7)))) == ["runs"]


def test_pairs_need_their_arm_the_reference_a_parameter_and_equal_ones_an_evaluation():
    main = spaced(0, 0.1)
    asked = QUESTIONS["batch_size"]
    other = make_results(main, parameters={"batch_size": [16] * 24})
    assert kinds(judge("batch_size", make_evidence(main))) == ["arm"]
    assert kinds(judge("batch_size", make_evidence(runs=other))) == ["parameter"]
    few = with_arms({4: noise(0.0), 12: noise(0.0, n=11, seed=1)})
    assert kinds(judge("batch_size", few)) == ["arm"]
    same = with_arms({4: [0.0] * 12, 12: [0.0] * 12})
    assert kinds(judge("batch_size", same)) == ["evaluation"]
    arm = judge("batch_size", make_evidence(main)).needs[0]
    assert f"{asked.arms[0]}=Pairs(12, values=(4, 12))" in str(arm)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case[1] == "inconclusive"], ids=" ".join
)
def test_a_need_of_runs_says_how_many(case):
    verdict = judge(case[0], CASES[case]())
    for need in verdict.needs:
        if need.kind == "runs":
            assert re.search(r"(about|more than|at least) [\d,]+ (runs|pairs)", str(need))


@pytest.mark.parametrize("runs", [6, 24])
def test_as_many_runs_as_are_needed_decide_it_four_times_in_five(runs):
    """Of samples that leave the question open, by how many runs they ask for."""
    rng = np.random.default_rng(5)
    effect = 0.4  # in standard deviations of a run
    asked = []
    for _ in range(400):
        values = effect + rng.normal(size=runs)
        t = values.mean() / values.std(ddof=1) * math.sqrt(runs)
        asked.append(size_to_decide(runs, float(stats.t.sf(t, runs - 1))) or math.inf)
    needed = runs_needed(lambda n: paired_power(effect, n))
    assert needed / 3 < np.median(asked) < needed * 3


def test_the_size_that_decides_follows_from_the_p_value():
    # z(.95) + z(.8) = 2.4865; p = .1587 is one standard error: 2.4865² times as many.
    assert size_to_decide(10, 0.158655) == 62
    assert size_to_decide(10, 1e-9) == 11
    assert size_to_decide(10, 0.5) is None
    assert size_to_decide(10, 0.9) is None
    assert size_to_decide(10, 0.158655, alpha=0.025) == 79


def test_more_runs_are_named_up_to_a_limit():
    assert str(more([None, 40], 12, "pairs")) == (
        "about 40 pairs (12 now), if they turn out like these"
    )
    assert str(more([None, 5_000], 12)) == (
        "more than 1,000 runs (12 now), if they turn out like these"
    )
    assert str(more([5_000], 900)).startswith("about 5,000 runs (900 now)")
