# ruff: noqa: A001
import math
import subprocess
import sys
from dataclasses import FrozenInstanceError, astuple, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.claims import (
    STANDARD_IDS,
    BaseClaim,
    best_inside,
    judge_all,
    lower_tail,
    mean_gain,
    no_worse,
    spread,
    still_improves,
    success_rate,
    with_holm,
)
from harness.errors import SweepError
from harness.records import Evaluation
from harness.verdicts import Baseline, Counts, Need, Verdict, training
from tests.factories import (
    PUBLISHED,
    make_arm,
    make_evidence,
    make_result,
    make_results,
    make_trace,
)

QUESTIONS = {
    "success_above_half": success_rate.above(0.5),
    "success_vs_baseline": success_rate.above_baseline(),
    "mean_vs_baseline": mean_gain.above_baseline(),
    "variance_vs_baseline": spread.below_baseline(),
    "lower_tail_vs_baseline": lower_tail.above_baseline(),
    "plateau": still_improves(since=50, margin=0.02),
    "lr_sweet_spot": best_inside("learning_rate", margin=0.02),
    "batch_size": no_worse("batch_size", 8, than=(4, 12), margin=0.02),
}
BASELINE_IDS = [id for id, claim in QUESTIONS.items() if claim.uses_baseline]


def spaced(low, high, n=24):
    return list(np.linspace(low, high, n))


def judge(id, evidence):
    return QUESTIONS[id].judge(id, evidence)


def with_gains(gains, **common):
    """Runs that gain as given from step 50 to 100, whatever they gained before."""
    runs = []
    for index, gain in enumerate(gains):
        curve = tuple(
            Evaluation(step, perf, 0.01, perf)
            for step, perf in ((0, 0.12), (50, 0.15), (100, 0.15 + gain))
        )
        runs.append(make_result(id=f"s-{index:02d}", delta=0.03 + gain, curve=curve, **common))
    return tuple(runs)


def with_arms(differences, deltas=None):
    """Evidence with arms for batch sizes 4 and 12, reference minus other as given."""
    rng = np.random.default_rng(0)
    pairs = max(len(row) for row in differences.values())
    deltas = list(rng.normal(0.05, 0.05, pairs)) if deltas is None else deltas
    main = make_results(deltas, prefix="focused")
    arm = ()
    for value, row in differences.items():
        others = [
            None if d is None or ours is None else ours - d
            for ours, d in zip(deltas, row, strict=False)
        ]
        arm += make_arm("batch_size", main, others, {"batch_size": value})
    return make_evidence(runs=main, arms={"batch_size": arm})


def noise(mean, sd=0.005, n=12, seed=0):
    return list(mean + np.random.default_rng(seed).normal(0, sd, n))


def check(verdict):
    """What holds for every verdict, whatever was judged."""
    assert isinstance(verdict, Verdict)
    for value in astuple(verdict):
        if isinstance(value, float):
            assert math.isfinite(value), verdict
    assert verdict.verdict in {"supported", "refuted", "inconclusive", "unanswerable"}
    assert verdict.question.endswith("?")
    assert verdict.answer
    text = " ".join([verdict.answer, verdict.reason, *map(str, verdict.needs), *verdict.details])
    assert "nan" not in text.replace("unanswerable", "").replace("ordinary", ""), text
    assert "inf" not in text.replace("information", ""), text
    if verdict.verdict in {"inconclusive", "unanswerable"} and verdict.claim:
        assert verdict.needs, verdict
    if verdict.verdict in {"supported", "refuted", "inconclusive"}:
        assert verdict.reason
        assert verdict.p_value is not None
        assert (verdict.verdict == "supported") == (verdict.p_value <= 0.05), verdict
    if verdict.low is not None and verdict.high is not None:
        assert verdict.low <= verdict.estimate <= verdict.high
        assert verdict.level is not None


# Each verdict of each claim.

CASES = {
    ("success_above_half", "supported"): lambda: make_evidence([0.1] * 8 + spaced(0.05, 0.2, 16)),
    ("success_above_half", "refuted"): lambda: make_evidence(spaced(-0.1, 0.0)),
    ("success_above_half", "inconclusive"): lambda: make_evidence(
        spaced(0.05, 0.1, 14) + spaced(-0.1, 0.0, 10)
    ),
    ("success_above_half", "unanswerable"): lambda: make_evidence([0.2025] * 24),
    ("success_vs_baseline", "supported"): lambda: make_evidence(
        spaced(0.05, 0.1), spaced(-0.1, 0.04)
    ),
    ("success_vs_baseline", "refuted"): lambda: make_evidence(spaced(-0.1, 0), spaced(0.05, 0.1)),
    ("success_vs_baseline", "inconclusive"): lambda: make_evidence(
        spaced(-0.1, 0.1), spaced(-0.1, 0.1)
    ),
    ("success_vs_baseline", "unanswerable"): lambda: make_evidence(spaced(-0.1, 0.1)),
    ("mean_vs_baseline", "supported"): lambda: make_evidence(spaced(0.05, 0.1), spaced(-0.1, 0)),
    ("mean_vs_baseline", "refuted"): lambda: make_evidence(spaced(-0.1, 0), spaced(0.05, 0.1)),
    ("mean_vs_baseline", "inconclusive"): lambda: make_evidence(spaced(0, 0.1), spaced(0, 0.09)),
    ("mean_vs_baseline", "unanswerable"): lambda: make_evidence(spaced(0, 0.1), PUBLISHED),
    ("variance_vs_baseline", "supported"): lambda: make_evidence(spaced(0, 0.02), spaced(0, 0.3)),
    ("variance_vs_baseline", "refuted"): lambda: make_evidence(spaced(0, 0.3), spaced(0, 0.02)),
    ("variance_vs_baseline", "inconclusive"): lambda: make_evidence(
        spaced(0, 0.1), spaced(0.2, 0.3)
    ),
    ("variance_vs_baseline", "unanswerable"): lambda: make_evidence(spaced(0, 0.1), PUBLISHED),
    ("lower_tail_vs_baseline", "supported"): lambda: make_evidence(
        spaced(0, 0.1), spaced(-0.4, 0.1)
    ),
    ("lower_tail_vs_baseline", "refuted"): lambda: make_evidence(spaced(-0.4, 0.1), spaced(0, 0.1)),
    ("lower_tail_vs_baseline", "inconclusive"): lambda: make_evidence(
        spaced(0, 0.1), spaced(0, 0.1)
    ),
    ("lower_tail_vs_baseline", "unanswerable"): lambda: make_evidence(spaced(0, 0.1), PUBLISHED),
    ("plateau", "supported"): lambda: make_evidence(runs=with_gains(noise(0.05))),
    ("plateau", "refuted"): lambda: make_evidence(runs=with_gains(noise(0.0))),
    ("plateau", "inconclusive"): lambda: make_evidence(runs=with_gains(noise(0.02, 0.1))),
    ("plateau", "unanswerable"): lambda: make_evidence(runs=make_results(spaced(0, 0.1), curve=())),
    ("lr_sweet_spot", "supported"): lambda: make_evidence(spaced(0, 0.2, 12) + spaced(0.2, 0, 12)),
    ("lr_sweet_spot", "refuted"): lambda: make_evidence(noise(0.05, 0.002, 24)),
    ("lr_sweet_spot", "inconclusive"): lambda: make_evidence(spaced(0, 0.2)),
    ("lr_sweet_spot", "unanswerable"): lambda: make_evidence(
        runs=make_results(spaced(0, 0.1), parameters={"learning_rate": [2e-7] * 24})
    ),
    ("batch_size", "supported"): lambda: with_arms({4: noise(0.0), 12: noise(0.01, seed=1)}),
    ("batch_size", "refuted"): lambda: with_arms({4: noise(0.0), 12: noise(-0.06, seed=1)}),
    ("batch_size", "inconclusive"): lambda: with_arms({4: noise(0.0, 0.1), 12: noise(0.0, 0.1)}),
    ("batch_size", "unanswerable"): lambda: make_evidence(spaced(0, 0.1)),
}


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_each_verdict_of_each_claim(case):
    id, expected = case
    verdict = judge(id, CASES[case]())
    check(verdict)
    assert verdict.verdict == expected, verdict
    assert verdict.id == id
    assert verdict.claim == QUESTIONS[id].describe()


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_an_equal_seed_gives_an_equal_verdict(case):
    id, _ = case
    assert judge(id, CASES[case]()) == judge(id, CASES[case]())


@pytest.mark.parametrize("id", ["mean_vs_baseline", "lower_tail_vs_baseline", "lr_sweet_spot"])
def test_another_seed_or_id_draws_anew(id):
    rng = np.random.default_rng(2)
    evidence = make_evidence(rng.normal(0.05, 0.05, 24), rng.normal(0, 0.06, 24))
    first, other = judge(id, evidence), judge(id, replace(evidence, seed=1))
    renamed = QUESTIONS[id].judge("another", evidence)
    drawn = {replace(verdict, id="") for verdict in (first, other, renamed)}
    assert len(drawn) == 3


# The intervals agree with the verdicts.


@pytest.mark.parametrize("id", ["success_above_half", *BASELINE_IDS])
def test_the_interval_agrees_with_the_verdict(id):
    null = 0.5 if id == "success_above_half" else 0.0
    rng = np.random.default_rng(1)
    seen = set()
    for shift in (-0.1, -0.04, 0.0, 0.02, 0.04, 0.1):
        evidence = make_evidence(
            rng.normal(shift, 0.02 + abs(shift), 24), rng.normal(0, 0.06, 24), min_gain=0.08
        )
        verdict = judge(id, evidence)
        check(verdict)
        seen.add(verdict.verdict)
        better = verdict.high < null if id == "variance_vs_baseline" else verdict.low > null
        worse = verdict.low > null if id == "variance_vs_baseline" else verdict.high < null
        assert better == (verdict.verdict == "supported"), verdict
        if id != "success_above_half":
            assert worse == (verdict.verdict == "refuted"), verdict
    assert len(seen) > 1


# success_above_half


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


def test_the_null_arm_stands_beside():
    main = make_results(spaced(0.05, 0.2))
    null = make_arm("null", main, [0.0] * 7 + [0.1])
    verdict = judge("success_above_half", make_evidence(runs=main, arms={"null": null}))
    assert "null arm (rewards permuted): 1 of 8 (12%) are shown to improve" in verdict.details


def test_a_rate_that_cannot_be_is_refused():
    with pytest.raises(SweepError, match=r"between 0 and 1, got 1\.5"):
        success_rate.above(1.5)


# success_vs_baseline


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


@pytest.mark.parametrize("change", [{"prompts": 256}, {"samples": 8}, {"task": "sorting"}])
def test_sides_evaluated_differently(change):
    baseline = Baseline("broad", make_results(spaced(-0.1, 0.0), prefix="broad", **change))
    evidence = make_evidence(spaced(0.05, 0.1), baseline)
    success = judge("success_vs_baseline", evidence)
    assert success.verdict == "inconclusive"
    assert "evaluated differently" in success.answer
    assert success.p_value == 1.0
    assert judge("variance_vs_baseline", evidence).verdict == "unanswerable"
    assert judge("lower_tail_vs_baseline", evidence).verdict == "unanswerable"
    assert judge("mean_vs_baseline", evidence).verdict == "supported"


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


# The baseline


@pytest.mark.parametrize("id", BASELINE_IDS)
def test_a_baseline_that_is_not_in_the_store(id):
    verdict = judge(id, make_evidence(spaced(0.05, 0.1)))
    check(verdict)
    assert verdict.verdict == "unanswerable"
    assert verdict.needs == (training("broad", "focused"),)
    assert verdict.p_value == 1.0


@pytest.mark.parametrize("id", BASELINE_IDS)
def test_a_baseline_that_was_never_declared(id):
    verdict = judge(id, make_evidence(spaced(0.05, 0.1), baseline_name=None))
    check(verdict)
    assert verdict.verdict == "unanswerable"
    assert verdict.p_value is None


@pytest.mark.parametrize("id", BASELINE_IDS)
def test_a_baseline_of_one_value_is_no_measurement(id):
    verdict = judge(id, make_evidence(spaced(0.05, 0.1), [0.1] * 12))
    check(verdict)
    assert verdict.verdict == "unanswerable"
    assert "+0.1 in every one of 12 runs" in verdict.answer


@pytest.mark.parametrize("id", BASELINE_IDS)
@pytest.mark.parametrize(
    "change",
    [
        {"steps": 50, "declared_steps": 50},
        {"model": "gpt2"},
        {"backend": "jax"},
        {"task": "sorting"},
    ],
)
def test_a_baseline_under_other_conditions_is_judged_and_said(id, change):
    baseline = Baseline("broad", make_results(spaced(-0.3, 0.0), prefix="broad", **change))
    verdict = judge(id, make_evidence(spaced(0.05, 0.1), baseline))
    check(verdict)
    assert verdict.answer.startswith("not like for like")


@pytest.mark.parametrize(
    "id", ["mean_vs_baseline", "variance_vs_baseline", "lower_tail_vs_baseline"]
)
def test_published_counts_answer_no_more_than_counts(id):
    verdict = judge(id, make_evidence(spaced(0, 0.1), PUBLISHED))
    assert verdict.p_value is None
    assert verdict.needs == (training("broad", "focused"),)
    explicit = judge(id, make_evidence(spaced(0, 0.1), PUBLISHED, baseline_name="published"))
    assert "published," not in str(explicit.needs[0])


def test_diverged_runs_are_left_out_of_mean_and_spread_and_rank_worst_in_the_tail():
    ours = [*spaced(0.05, 0.1, 18), None, None, None, None, None, None]
    evidence = make_evidence(ours, spaced(0.04, 0.1))
    mean, tail = judge("mean_vs_baseline", evidence), judge("lower_tail_vs_baseline", evidence)
    assert mean.n == 18 + 24
    assert any("6 diverged runs of this sweep left out" in line for line in mean.details)
    assert tail.verdict == "refuted"
    assert tail.n == 48
    assert any("rank worst, at −0.120" in line for line in tail.details)


def test_measurement_noise_is_taken_out_of_the_sd_ratio():
    evidence = make_evidence(spaced(0, 0.1), spaced(0, 0.3))
    assert any(
        "net of measurement noise" in line
        for line in judge("variance_vs_baseline", evidence).details
    )


def test_intervals_stand_beside_the_mean():
    beside = " ".join(
        judge("mean_vs_baseline", make_evidence(spaced(0, 0.1), spaced(0, 0.3))).details
    )
    assert beside.count("BCa") == 2
    assert beside.count("IQM") == 2


def test_the_size_of_the_tail_test_stands_beside_it():
    beside = judge("lower_tail_vs_baseline", make_evidence(spaced(0, 0.1), spaced(0, 0.3))).details
    assert any("up to .11" in line for line in beside)


# plateau


def test_a_small_sure_gain_is_a_plateau():
    verdict = judge("plateau", make_evidence(runs=with_gains(noise(0.008, 0.004, 24))))
    assert verdict.low > 0
    assert verdict.verdict == "refuted"
    assert verdict.answer.startswith("plateau: +0.00")
    assert verdict.p_value == 1.0


def test_a_fall_is_said():
    verdict = judge("plateau", make_evidence(runs=with_gains(noise(-0.1, 0.01, 24))))
    assert verdict.verdict == "refuted"
    assert "falls: −0.1" in verdict.answer
    unsure = judge("plateau", make_evidence(runs=with_gains(spaced(-0.14, 0.1))))
    assert "flat or falls" in unsure.answer


def test_the_window_scales_with_the_steps():
    runs = tuple(
        make_result(
            id=str(index),
            delta=0.01 * gain,
            steps=20,
            declared_steps=100,
            curve=tuple(
                Evaluation(step, 0.1 + gain * step / 200, 0.01, 0) for step in range(0, 21, 2)
            ),
        )
        for index, gain in enumerate(noise(1.0, 0.1))
    )
    verdict = judge("plateau", make_evidence(runs=runs))
    assert "from step 10 to 20" in verdict.answer
    assert verdict.estimate == pytest.approx(0.05, rel=0.2)


def test_half_of_the_steps_is_the_default():
    evidence = make_evidence(runs=with_gains(noise(0.05)))
    default = still_improves(margin=0.02).judge("plateau", evidence)
    assert "from step 50 to 100" in default.answer
    assert default.estimate == judge("plateau", evidence).estimate


def test_it_says_what_the_learning_rate_was():
    trace = make_trace(list(np.linspace(3e-7, 0, 100)))
    verdict = judge("plateau", make_evidence(runs=with_gains(noise(0.05), trace=trace)))
    assert "the learning rate went from 51% to 0% of its peak in that window" in verdict.answer


def test_the_half_arm_separates_longer_training_from_annealing():
    runs = with_gains(noise(0.05))
    half = make_arm("half", runs, noise(0.02, seed=3), steps=50)
    verdict = judge("plateau", make_evidence(runs=runs, arms={"half": half}))
    line = next(line for line in verdict.details if "half of the steps" in line)
    assert "+0.06" in line
    assert "12 pairs" in line


def test_curves_that_lack_the_point_leave_their_run_out():
    runs = (
        with_gains(noise(0.05))
        + make_results(spaced(0, 0.1, 4), curve=())
        + (make_result(id="d", status="diverged"),)
    )
    verdict = judge("plateau", make_evidence(runs=runs))
    assert verdict.n == 12
    assert any("12 of 17 runs" in line for line in verdict.details)


def test_a_gain_that_is_the_same_everywhere_is_no_measurement():
    runs = tuple(
        replace(run, outcome=replace(run.outcome, delta_perf=0.01 * index))
        for index, run in enumerate(with_gains([0.05] * 12))
    )
    assert judge("plateau", make_evidence(runs=runs)).verdict == "unanswerable"


def test_without_a_margin_nothing_is_shown():
    evidence = make_evidence(runs=with_gains(noise(0.05)), margin=None)
    verdict = still_improves(since=50).judge("plateau", evidence)
    check(replace(verdict, p_value=1.0))
    assert verdict.verdict == "inconclusive"
    assert "margin" in verdict.reason
    arms = replace(with_arms({4: noise(0), 12: noise(0, seed=2)}), margin=None)
    verdict = no_worse("batch_size", 8, than=(4, 12)).judge("batch_size", arms)
    check(verdict)
    assert verdict.verdict == "inconclusive"
    flat = make_evidence(noise(0.05, 0.002, 24), margin=None)
    assert best_inside("learning_rate").judge("x", flat).verdict == "inconclusive"


# lr_sweet_spot


@pytest.mark.parametrize(
    ("deltas", "answer"),
    [
        (spaced(0, 0.2), "best near 4e-7, the upper edge of the range: widen it"),
        (spaced(0.2, 0), "best near 8e-8, the lower edge of the range: widen it"),
    ],
)
def test_an_optimum_at_the_edge_is_named(deltas, answer):
    verdict = judge("lr_sweet_spot", make_evidence(deltas))
    assert verdict.verdict == "inconclusive"
    assert verdict.answer == answer
    assert str(verdict.needs[0]).startswith("a range of learning_rate that goes")


def test_rise_then_flat_is_not_a_bracket():
    deltas = spaced(0, 0.2, 12) + noise(0.2, 0.02, 12)
    verdict = judge("lr_sweet_spot", make_evidence(deltas))
    assert verdict.verdict == "inconclusive"
    assert "upper edge" in verdict.answer


def test_the_best_value_is_estimated():
    verdict = judge("lr_sweet_spot", make_evidence(spaced(0, 0.2, 12) + spaced(0.2, 0, 12)))
    assert 1.5e-7 < verdict.estimate < 2.2e-7
    assert "rises to about" in verdict.answer
    assert "e-7" in verdict.answer


def test_diverged_runs_rank_worst_along_the_range():
    deltas = spaced(0, 0.2, 10) + spaced(0.2, 0.1, 8) + [None] * 6
    verdict = judge("lr_sweet_spot", make_evidence(deltas))
    assert verdict.verdict == "supported"
    assert "6 diverged runs ranked worst" in verdict.details


def test_diverged_runs_rank_worst_where_every_run_lost():
    # Nothing that a finished run can lose, on whatever scale, ranks below a diverged one.
    deltas = np.array(spaced(0, 0.2, 10) + spaced(0.2, 0.1, 8)) - 30.0
    verdict = judge("lr_sweet_spot", make_evidence([*deltas, *[None] * 6]))
    assert verdict.verdict == "supported"
    assert verdict.estimate < 3e-7


def test_blocks_of_another_parameter():
    batch = [4, 8, 12] * 16
    rng = np.random.default_rng(0)
    x = np.linspace(0, 1, 48)
    deltas = -0.4 * (2 * (x - 0.5)) ** 2 + 0.02 * np.array(batch) * 10 + rng.normal(0, 0.05, 48)
    runs = make_results(deltas, parameters={"batch_size": batch})
    claim = best_inside("learning_rate", within="batch_size")
    verdict = claim.judge("x", make_evidence(runs=runs))
    assert verdict.verdict == "supported"
    assert verdict.method.endswith("within batch_size")
    assert claim.parameters == ("learning_rate", "batch_size")
    assert best_inside("learning_rate").judge("x", make_evidence(runs=runs)).p_value > 0.05


@pytest.mark.parametrize("values", [["a"] * 24, [None] * 24, [True, False] * 12, [1, 2] * 12])
def test_a_parameter_without_a_range(values):
    runs = make_results(spaced(0, 0.1), parameters={"knob": values})
    for name in ("knob", "nothing"):
        verdict = best_inside(name).judge("x", make_evidence(runs=runs))
        check(verdict)
        assert verdict.verdict == "unanswerable"
        assert verdict.p_value is None


def test_fewer_than_eight_runs_are_too_few():
    verdict = judge("lr_sweet_spot", make_evidence(spaced(0, 0.2, 7)))
    check(verdict)
    assert verdict.verdict == "inconclusive"
    assert "too few runs" in verdict.answer


# batch_size

ARM_NEEDED = (
    "an arm batch_size=Pairs(12, values=(4, 12)) in the sweep, run with --sweep-arms batch_size"
)


def test_the_worst_arm_is_shown():
    verdict = judge("batch_size", with_arms({4: noise(0.03), 12: noise(0.0, seed=1)}))
    assert verdict.verdict == "supported"
    assert "batch size 8 against 12" in verdict.answer
    assert verdict.low > -0.02
    assert len(verdict.details) == 2


def test_a_worse_reference_is_refuted_at_a_shared_level():
    verdict = judge("batch_size", with_arms({4: noise(-0.06), 12: noise(0.05, seed=1)}))
    assert verdict.verdict == "refuted"
    assert verdict.level == pytest.approx(0.95)
    assert verdict.high < -0.02
    assert "against 4" in verdict.answer


@pytest.mark.parametrize(
    ("p_value", "alone", "of_two"),
    [
        (0.06, "inconclusive", "inconclusive"),
        (0.04, "refuted", "inconclusive"),
        (0.026, "refuted", "inconclusive"),
        (0.024, "refuted", "refuted"),
    ],
)
def test_one_value_of_two_refutes_at_half_of_alpha(p_value, alone, of_two):
    spread = np.array(noise(0.0))
    spread -= spread.mean()
    error = spread.std(ddof=1) / math.sqrt(12)
    worse = spread - 0.02 - stats.t.isf(p_value, 11) * error
    evidence = with_arms({4: list(worse), 12: noise(0.0, seed=1)})
    assert judge("batch_size", evidence).verdict == of_two
    claim = no_worse("batch_size", 8, than=(4,), margin=0.02)
    assert claim.judge("batch_size", evidence).verdict == alone


def test_fewer_than_twelve_pairs_decide_nothing():
    verdict = judge("batch_size", with_arms({4: noise(0.0), 12: noise(0.0, n=11, seed=1)}))
    check(verdict)
    assert verdict.verdict == "inconclusive"
    assert verdict.reason == "fewer than 12 pairs with 12"
    assert verdict.needs == (Need("arm", ARM_NEEDED),)


def test_missing_arms_are_named_as_a_sweep_declares_and_runs_them():
    verdict = judge("batch_size", make_evidence(spaced(0, 0.1)))
    assert verdict.needs == (Need("arm", ARM_NEEDED),)
    assert verdict.p_value == 1.0


def test_a_sweep_without_the_reference_cannot_answer():
    runs = make_results(spaced(0, 0.1), parameters={"batch_size": [16] * 24})
    verdict = judge("batch_size", make_evidence(runs=runs))
    check(verdict)
    assert verdict.verdict == "unanswerable"
    assert verdict.p_value is None


def test_a_reference_that_diverges_where_others_do_not_is_not_supported():
    evidence = with_arms({4: noise(0.0, n=14), 12: noise(0.0, n=14, seed=1)})
    first = evidence.runs[0]
    broken = replace(first, outcome=replace(first.outcome, status="diverged", delta_perf=None))
    verdict = judge("batch_size", replace(evidence, runs=(broken, *evidence.runs[1:])))
    check(verdict)
    assert verdict.verdict == "inconclusive"
    assert "diverged" in verdict.reason


def test_an_arm_of_another_backend_is_matched_with_nothing():
    def by_jax(results):
        return tuple(replace(r, conditions=replace(r.conditions, backend="jax")) for r in results)

    twelve = noise(0.0, n=13, seed=1)
    evidence = with_arms({4: [None, *noise(0.0, n=13)], 12: [twelve[0], None, *twelve[1:]]})
    second = evidence.runs[1]
    lost = replace(second, outcome=replace(second.outcome, status="diverged", delta_perf=None))
    runs = (evidence.runs[0], lost, *evidence.runs[2:])
    arm = by_jax(evidence.arms["batch_size"])
    other = replace(evidence, runs=runs, arms={"batch_size": arm})
    verdict = judge("batch_size", other)
    assert verdict.verdict == "unanswerable"
    assert verdict.answer.startswith("no finished run with batch size 4 or 12 is matched")
    both = judge("batch_size", replace(other, runs=by_jax(runs)))
    assert both.n == 28


def test_an_arm_that_diverges_speaks_for_the_reference():
    evidence = with_arms({4: noise(0.0, n=14), 12: [None, None, *noise(0.0, n=12, seed=1)]})
    verdict = judge("batch_size", evidence)
    assert verdict.verdict == "supported"
    assert "2 of the other" in verdict.details[1]


def test_one_difference_in_every_pair_is_no_measurement():
    assert judge("batch_size", with_arms({4: [0.0] * 12, 12: [0.0] * 12})).verdict == "unanswerable"


def test_claims_that_cannot_be_are_refused():
    with pytest.raises(SweepError, match="other values"):
        no_worse("batch_size", 8, than=())
    with pytest.raises(SweepError, match="other values"):
        no_worse("batch_size", 8, than=(8, 12))
    with pytest.raises(SweepError, match="margin"):
        no_worse("batch_size", 8, than=(4,), margin=-1)
    with pytest.raises(SweepError, match="margin"):
        still_improves(margin=0.0)
    with pytest.raises(SweepError, match="since"):
        still_improves(since=-1)
    with pytest.raises(SweepError, match="within itself"):
        best_inside("learning_rate", within="learning_rate")
    with pytest.raises(SweepError, match="share"):
        lower_tail.above_baseline(0.0)


# All of them


ODD = {
    "no runs": lambda: make_evidence([]),
    "one run": lambda: make_evidence([0.1]),
    "one run each": lambda: make_evidence([0.1], [0.2]),
    "two runs": lambda: make_evidence([0.1, 0.2], [0.1, 0.3]),
    "two equal runs": lambda: make_evidence([0.1, 0.1], [0.1, 0.3]),
    "all equal": lambda: make_evidence([0.2025] * 24, spaced(0, 0.1)),
    "all zero": lambda: make_evidence([0.0] * 24, spaced(0, 0.1)),
    "all diverged": lambda: make_evidence([None] * 24, spaced(0, 0.1)),
    "both all diverged": lambda: make_evidence([None] * 24, [None] * 24),
    "one left": lambda: make_evidence([None] * 23 + [0.1], [None] * 23 + [0.1]),
    "ties": lambda: make_evidence([0.0, 0.02, 0.04, 0.02] * 6, [0.0, 0.02] * 10),
    "two levels": lambda: make_evidence([0.0] * 20 + [0.1] * 4, [0.0] * 4 + [0.1] * 4),
    "no errors": lambda: make_evidence(
        runs=make_results(spaced(0, 0.1), se=None, curve=()), baseline=PUBLISHED
    ),
    "zero errors": lambda: make_evidence(runs=make_results(spaced(-0.1, 0.1), se=0.0)),
    "not a number": lambda: make_evidence(
        runs=make_results([*spaced(0, 0.1, 10), math.nan, math.inf])
    ),
    "nothing but failures": lambda: make_evidence(
        runs=tuple(make_result(id=str(i), status=s) for i, s in enumerate(("failed", "oom")))
    ),
    "an empty baseline": lambda: make_evidence(spaced(0, 0.1), Baseline("broad", ())),
    "no baseline runs": lambda: make_evidence(spaced(0, 0.1), Counts("p", 0, 0, "ΔPerf > 0", "")),
    "nothing recorded": lambda: make_evidence(
        runs=make_results(spaced(0, 0.1), before=None, prompts=None, samples=None)
    ),
    "another seed": lambda: make_evidence(spaced(0, 0.1), spaced(0, 0.2), seed=-3),
    "huge": lambda: make_evidence(
        runs=make_results(spaced(-1e9, 1e9), se=1e7), baseline=Baseline("b", make_results([1, 5.0]))
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_evidence_is_judged_without_a_fuss(name):
    evidence = ODD[name]()
    verdicts = judge_all(QUESTIONS, evidence)
    assert [verdict.id for verdict in verdicts] == list(STANDARD_IDS)
    for verdict in verdicts:
        check(verdict)


@pytest.mark.parametrize("name", ["all equal", "all zero", "two equal runs"])
def test_a_degenerate_metric_answers_nothing(name):
    verdicts = judge_all(QUESTIONS, ODD[name]())
    assert {verdict.verdict for verdict in verdicts} == {"unanswerable"}
    assert all("a constant is no measurement" in verdict.answer for verdict in verdicts)
    assert all(verdict.p_holm == 1.0 for verdict in verdicts)


def test_the_degenerate_value_is_printed_in_full():
    verdict = judge("success_above_half", make_evidence([0.2025] * 24))
    assert "+0.2025 in every one of 24 runs" in verdict.answer


@settings(max_examples=40, deadline=None)
@example(ours=[0.0, 2e-203], theirs=[0.0, 2e-203], se=None)  # whose variance is 0 and they are not
@given(
    ours=st.lists(st.none() | st.floats(-1, 1), max_size=14),
    theirs=st.lists(st.none() | st.floats(-1, 1), max_size=14),
    se=st.none() | st.floats(0, 0.1),
)
def test_any_evidence_is_judged(ours, theirs, se):
    evidence = make_evidence(
        runs=make_results(ours, se=se), baseline=Baseline("broad", make_results(theirs, se=se))
    )
    for verdict in judge_all(QUESTIONS, evidence):
        check(verdict)


def test_missing_runs_are_left_to_the_caller():
    runs = (*make_results(spaced(0.05, 0.1)), make_result(id="x", status="interrupted"))
    assert judge("success_above_half", make_evidence(runs=runs)).n == 24


def test_questions_that_are_not_asked_appear():
    verdicts = judge_all({"own": mean_gain.above_baseline()}, make_evidence([0.1, 0.2, 0.3]))
    assert [verdict.id for verdict in verdicts] == ["own", *STANDARD_IDS]
    for verdict in verdicts[1:]:
        assert verdict.verdict == "unanswerable"
        assert verdict.answer == "this sweep does not ask this question"
        assert verdict.p_holm is None
        assert verdict.question.endswith("?")


def test_holm_counts_what_the_data_do_not_answer_and_not_what_the_design_rules_out():
    claims = {id: QUESTIONS[id] for id in ("success_above_half", "mean_vs_baseline")}
    deltas = spaced(0.05, 0.2)
    by_data = judge_all(claims, make_evidence(deltas))
    by_design = judge_all(claims, make_evidence(deltas, PUBLISHED))
    assert by_data[0].p_holm == pytest.approx(2 * by_data[0].p_value)
    assert by_data[1].p_holm == 1.0
    assert by_design[0].p_holm == by_design[0].p_value
    assert by_design[1].p_holm is None


def test_holm_over_groups():
    verdict = judge("success_above_half", make_evidence(spaced(0.05, 0.1, 17) + [0.0] * 7))
    corrected = with_holm([verdict] * 4)
    assert [v.p_holm for v in corrected] == [pytest.approx(4 * verdict.p_value)] * 4


def test_a_claim_of_ones_own_is_guarded_against_a_constant():
    class Always(BaseClaim):
        def question(self, metric=None):
            return "Is it so?"

        def describe(self, metric=None):
            return "always"

        def judge(self, id, evidence):
            return self.verdict(id, evidence, "supported", "yes", p_value=0.01)

    assert judge_all({"x": Always()}, make_evidence([0.1, 0.2]))[0].verdict == "supported"
    assert judge_all({"x": Always()}, make_evidence([0.2, 0.2]))[0].verdict == "unanswerable"


# The statements


def test_claims_are_frozen_hashable_and_distinct():
    assert len({claim.describe() for claim in QUESTIONS.values()}) == len(QUESTIONS)
    assert len(set(QUESTIONS.values())) == len(QUESTIONS)
    with pytest.raises(FrozenInstanceError):
        success_rate.above(0.5).rate = 0.6


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (success_rate.above(0.5), success_rate.above(0.6)),
        (still_improves(50, 0.02), still_improves(50, 0.03)),
        (still_improves(50), still_improves(60)),
        (best_inside("a"), best_inside("a", within="b")),
        (best_inside("a"), best_inside("a", margin=0.1)),
        (no_worse("a", 8, than=(4,)), no_worse("a", 8, than=(4, 12))),
        (no_worse("a", 8, than=(4,), margin=0.1), no_worse("a", 8, than=(4,), margin=0.2)),
        (lower_tail.above_baseline(), lower_tail.above_baseline(0.1)),
    ],
)
def test_every_threshold_is_in_the_statement(one, two):
    assert one.describe() != two.describe()
    assert "\n" not in one.describe()


def test_the_questions_read_well():
    texts = [claim.question() for claim in QUESTIONS.values()]
    assert texts[0] == "Do more than 50% of the runs improve?"
    assert texts[-1] == "Is batch size 8 no worse than 4 and 12?"
    assert QUESTIONS["batch_size"].arms == ("batch_size",)
    assert QUESTIONS["lr_sweet_spot"].parameters == ("learning_rate",)


def test_a_sweep_file_loads_no_scipy():
    code = "import sys, harness.claims, harness.audit; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
