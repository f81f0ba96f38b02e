"""What a sweep's questions are likely to show: which effects, at which sizes, on what grounds."""

import dataclasses
import math
import re
from itertools import pairwise

import numpy as np
import pytest

from harness import BaseClaim, Choice, LogUniform, Pairs, Sweep, Uniform, statistics
from harness.claims import (
    best_inside,
    lower_tail,
    mean_gain,
    no_worse,
    spread,
    still_improves,
    success_rate,
)
from harness.claims.design import Design
from harness.claims.power import power_of, sweep_power
from harness.records import Evaluation
from harness.verdicts import Counts
from tests.factories import PUBLISHED, make_arm, make_results

SPACE = {
    "learning_rate": LogUniform(8e-8, 4e-7),
    "batch_size": 8,
    "generations": Choice(16, 24, 32),
}
QUESTIONS = {
    "success_above_half": success_rate.above(0.5),
    "success_vs_baseline": success_rate.above_baseline(),
    "mean_vs_baseline": mean_gain.above_baseline(),
    "variance_vs_baseline": spread.below_baseline(),
    "lower_tail_vs_baseline": lower_tail.above_baseline(),
    "plateau": still_improves(since=50, margin=0.02),
    "lr_sweet_spot": best_inside("learning_rate"),
    "batch_size": no_worse("batch_size", 8, than=(4, 12), margin=0.02),
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


# ---- all of them --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def everything():
    return sweep_power(make_sweep(), baseline_runs=48)


def test_every_question_is_priced_in_its_order(everything):
    assert list(dict.fromkeys(power.question for power in everything)) == list(QUESTIONS)


def test_a_larger_effect_is_shown_more_often_and_by_fewer(everything):
    for one, two in pairwise(everything):
        if one.question == two.question:
            assert one.power < two.power
            assert (one.needed or math.inf) > (two.needed or math.inf) - 1


def test_the_power_and_the_runs_needed_agree(everything):
    for found in everything:
        if found.needed is None:
            assert found.power < 0.8
            assert f"a probability of 0.8 is not reached with {found.most:,} runs" in found.says
        else:
            assert (found.power >= 0.8) == (found.needed <= found.n)
            assert f"a probability of 0.8 needs {found.needed} {found.unit}" in found.says


def test_the_sentence_of_a_success_rate(everything):
    assert everything[0].says == (
        "with 24 runs, a true success rate of 70% is shown to be above one half with probability "
        "0.56; a probability of 0.8 needs 37 runs"
    )


def test_no_sentence_is_certain(everything):
    for found in everything:
        assert not re.search(r"probability [01]\.00", found.says)
        assert "nan" not in found.says + found.given + found.effect


def test_equal_sweeps_have_equal_power(everything):
    assert sweep_power(make_sweep(), baseline_runs=48) == everything
    other = sweep_power(make_sweep("variance_vs_baseline", seed=4), baseline_runs=48)
    assert [power.power for power in other] != [
        power.power for power in everything if power.question == "variance_vs_baseline"
    ]


def test_each_question_is_told_of_before_it_is_priced():
    told = []
    asked = {name: QUESTIONS[name] for name in ("plateau", "success_above_half")}
    sweep_power(make_sweep(questions=asked), notify=told.append)
    assert told == ["plateau", "success_above_half"]


def test_a_claim_of_the_user_s_own_says_nothing_of_its_power():
    class Own(BaseClaim):
        def describe(self, metric=None):
            return "it is"

    found = only(sweep_power(make_sweep(questions={"own": Own()})))
    assert (found.power, found.says) == (None, "this claim does not say its power")


def test_a_scaled_down_plan_is_priced_as_it_is():
    sweep = make_sweep("success_above_half")
    found = sweep_power(sweep, runs=sweep.plan(runs=8))
    assert [power.n for power in found] == [8, 8]
    assert found[0].power == statistics.binomial_power(8, 0.7)
    assert found[0].needed == 37


# ---- success ------------------------------------------------------------------------------------


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


# ---- against a baseline -------------------------------------------------------------------------

VERSUS = ["mean_vs_baseline", "variance_vs_baseline", "lower_tail_vs_baseline"]


@pytest.mark.parametrize("asks", ["success_vs_baseline", *VERSUS])
def test_a_sweep_without_a_baseline_has_no_power_against_it(asks):
    assert why(asks, baseline=None) == "the sweep has no baseline"


@pytest.mark.parametrize("asks", VERSUS)
def test_published_counts_have_no_runs_to_compare(asks):
    assert why(asks, baseline=PUBLISHED) == "published counts have no ΔPerf of each run"


@pytest.mark.parametrize(("asks", "fewest"), [*zip(VERSUS, (2, 3, 16), strict=True)])
def test_too_few_runs_on_a_side_say_how_many_it_takes(asks, fewest):
    said = f"it needs {fewest} runs on each side, not {fewest - 1} against 48"
    assert why(asks, runs=fewest - 1, arms={}) == said
    said = f"it needs {fewest} runs on each side, not 24 against {fewest - 1}"
    assert why(asks, baseline_runs=fewest - 1) == said
    assert price(asks, runs=fewest, arms={})[0].power > 0.0


def test_the_runs_of_the_baseline_count():
    assert price("mean_vs_baseline")[0].power == statistics.welch_power(0.5, 24, 48)
    assert price("mean_vs_baseline", baseline_runs=None)[0].power == statistics.welch_power(
        0.5, 24, 24
    )


def test_stored_runs_give_effects_a_unit():
    deltas = np.random.default_rng(0).normal(0.0, 0.08, 48)
    deviation = float(np.std(deltas, ddof=1))
    one, two = price("mean_vs_baseline", runs_of("broad", deltas))
    assert (one.size, two.size) == pytest.approx((deviation / 2, deviation))
    assert one.effect == f"mean higher by {deviation / 2:.3f} (half an SD)"
    assert one.given.endswith(f"the SD of a run is {deviation:.3f}, of 48 stored runs of broad")
    # The sweep's own runs come first, and few runs tell nothing.
    both = (*runs_of("broad", deltas), *runs_of("s", deltas[:10] * 3))
    assert price("mean_vs_baseline", both)[0].given.endswith("of 10 stored runs of s")
    few = price("mean_vs_baseline", runs_of("broad", deltas[:7]))[0]
    assert few.given.endswith("the SD of a run is not known yet")
    assert (few.size, few.effect) == (0.5, "mean higher by half an SD")


def test_equal_runs_tell_no_sd():
    assert "not known yet" in price("mean_vs_baseline", runs_of("broad", [0.2025] * 48))[0].given


def test_the_share_of_the_worst_runs_is_the_claim_s(everything):
    found = price(None, questions={"q": lower_tail.above_baseline(0.5)})[0]
    assert found.effect == "worst 50% better by half an SD"
    quarter = next(power for power in everything if power.question == "lower_tail_vs_baseline")
    assert found.power > quarter.power


# ---- the learning curve -------------------------------------------------------------------------


def curve(*points):
    return tuple(Evaluation(step, perf, 0.01, perf) for step, perf in points)


def with_gains(name, gains, steps=100):
    """Runs that gain so much in the second half of their steps."""
    results = runs_of(name, gains, steps=steps, declared_steps=steps)
    return tuple(
        dataclasses.replace(
            result,
            outcome=dataclasses.replace(
                result.outcome, curve=curve((0, 0.1), (steps // 2, 0.2), (steps, 0.2 + gain))
            ),
        )
        for result, gain in zip(results, gains, strict=True)
    )


def test_gains_are_the_margin_and_twice_where_their_spread_is_known():
    gains = np.random.default_rng(0).normal(0.01, 0.05, 24)
    deviation = float(np.std(gains, ddof=1))
    for stored, whose in (
        (with_gains("s", gains), "s"),
        (with_gains("broad", gains, steps=50), "broad"),
    ):
        one, two = price("plateau", stored)
        assert (one.size, two.size) == (0.02, 0.04)
        assert one.effect == "gain of 0.020 from step 50"
        margin = 0.02 / deviation
        assert one.power == pytest.approx(statistics.gain_power(margin, 24, margin))
        assert two.power == pytest.approx(statistics.gain_power(2 * margin, 24, margin))
        assert one.given == (
            f"the SD of a run's gain is {deviation:.3f}, of 24 stored runs of {whose}"
        )


def test_gains_are_in_sds_where_nothing_is_stored():
    one, two = price("plateau")
    assert (one.size, two.size) == (0.5, 1.0)
    assert one.power == pytest.approx(statistics.gain_power(0.5, 24, 0.5))
    assert "not known yet" in one.given


@pytest.mark.parametrize(
    ("since", "every", "said"),
    [
        (
            50,
            30,
            "perf is evaluated every 30 steps, not near enough to step 50 (within 5% of the steps)",
        ),
        (100, 10, "step 100 is not followed by an evaluation before the last"),
        (98, 50, "step 98 is not followed by an evaluation before the last"),
        (50, 55, None),
        (None, 10, None),
        (0, 10, None),
    ],
)
def test_a_window_must_be_evaluated_at_its_start(since, every, said):
    asked = {"q": still_improves(since=since)}
    if said is None:
        assert price(None, questions=asked, evaluate_every=every)[0].power > 0.5
    else:
        assert why(None, questions=asked, evaluate_every=every) == said


def test_a_window_is_scaled_with_the_steps():
    sweep = make_sweep("plateau")
    assert sweep_power(sweep, runs=sweep.plan(steps=20))[0].effect.endswith("from step 10")


# ---- the best value -----------------------------------------------------------------------------


def test_the_bracket_test_is_priced_at_the_values_that_are_drawn():
    sweep = make_sweep("lr_sweet_spot")
    found = sweep_power(sweep)
    assert [power.size for power in found] == [3.0, 4.0, 5.3]
    rates = np.array([run.config["learning_rate"] for run in sweep.plan() if run.arm == "main"])
    positions = np.log(rates / 8e-8) / np.log(5)
    rng = np.random.default_rng(0)
    expected = statistics.bracket_power(positions, 4.0, rng, simulations=4_000)
    assert found[1].power == pytest.approx(expected, abs=0.04)


def test_a_sobol_sample_shows_more_than_a_random_one():
    random, sobol = (
        price("lr_sweet_spot", sampler=sampler)[1].power for sampler in ("random", "sobol")
    )
    assert sobol > random + 0.1


@pytest.mark.parametrize("sampler", ["sobol", "latin_hypercube"])
def test_more_runs_than_declared_are_drawn_by_the_same_sampler(sampler):
    found = price("lr_sweet_spot", sampler=sampler, runs=12, arms={})
    assert found[1].needed > 12


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        (3e-7, "learning rate has 1 number in this sweep; it needs three"),
        (Choice(1e-7, 3e-7), "learning rate has 2 numbers in this sweep; it needs three"),
    ],
)
def test_a_best_value_needs_three(drawn, said):
    assert why("lr_sweet_spot", space={**SPACE, "learning_rate": drawn}) == said


def test_the_bracket_test_needs_eight_runs():
    assert why("lr_sweet_spot", runs=7, arms={}) == "the bracket test needs 8 runs, of 7"


@pytest.mark.parametrize(
    "drawn", [Uniform(1e-7, 4e-7), Choice(1e-7, 2e-7, 3e-7, 4e-7, 5e-7, 6e-7, 7e-7)]
)
def test_other_ranges_have_positions_too(drawn):
    found = price("lr_sweet_spot", space={**SPACE, "learning_rate": drawn})
    assert 0.2 < found[0].power < found[2].power


def test_runs_within_levels_are_compared_within_them():
    space = {**SPACE, "batch_size": Choice(4, 8, 12)}
    asked = best_inside("learning_rate", within="batch_size")
    within = price(None, questions={"q": asked}, space=space, arms={})
    pooled = price("lr_sweet_spot", space=space, arms={})
    assert within[0].power < pooled[0].power


@pytest.mark.slow
def test_a_sweep_too_large_to_simulate_is_priced_as_a_part_of_it():
    asked = {name: QUESTIONS[name] for name in (*VERSUS, "lr_sweet_spot")}
    found = price(None, questions=asked, runs=600, baseline_runs=5_000)
    assert all(power.n == 600 for power in found)
    assert found[-1].power > 0.99


# ---- matched arms -------------------------------------------------------------------------------


def test_the_reference_power_of_the_batch_size():
    found = only(price("batch_size"))
    assert (found.n, found.unit, found.size) == (12, "pairs", 0.0)
    assert found.power == pytest.approx(0.82, abs=0.02)
    assert found.given == "the SD of a run, apart from what its pair shares, is 0.016, assumed"
    assert found.says.startswith(
        "with 12 pairs, a batch size of 8 that is equal to 4 and 12 is shown to be no worse by "
        "0.020 with probability 0.8"
    )


def test_the_spread_of_pairs_is_that_of_stored_ones():
    rng = np.random.default_rng(0)
    main = runs_of("s", rng.normal(0.05, 0.2, 12))
    differences = rng.normal(0, 0.03, (2, 12))
    arms = [
        make_arm(
            "batch_size",
            main,
            [run.outcome.delta_perf - x for run, x in zip(main, row, strict=True)],
            {"batch_size": value},
        )
        for value, row in zip((4, 12), differences, strict=True)
    ]
    found = only(price("batch_size", (*main, *arms[0], *arms[1])))
    variance = np.mean([np.var(row, ddof=1) for row in differences])
    assert found.given == (
        "the SD of a run, apart from what its pair shares, is "
        f"{math.sqrt(variance / 2):.3f}, of 24 stored pairs"
    )
    assert found.power < only(price("batch_size")).power
    # Few pairs tell nothing.
    assert "assumed" in only(price("batch_size", (*main, *arms[0][:7]))).given


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"arms": {}}, "no batch_size arm: unanswerable"),
        ({"arms": {"batch_size": Pairs(8, (4, 12))}},
         "pairs: 8 with 4 and 8 with 12; 12 of each are needed"),
        ({"arms": {"batch_size": Pairs(12, (4,))}},
         "pairs: 12 with 4 and 0 with 12; 12 of each are needed"),
        ({"space": {**SPACE, "batch_size": 6}}, "no run has batch size 8"),
    ],
)  # fmt: skip
def test_arms_that_are_missing_leave_it_unanswerable(fields, said):
    assert why("batch_size", **fields) == said


def test_an_arm_that_is_left_out_is_missing():
    sweep = make_sweep("batch_size")
    found = only(sweep_power(sweep, runs=sweep.plan(arms=())))
    assert found.why == "no batch_size arm: unanswerable"


def test_only_pairs_of_the_reference_count():
    space = {**SPACE, "batch_size": Choice(4, 8, 12)}
    sweep = make_sweep("batch_size", space=space, arms={"batch_size": Pairs(24, (4, 12))})
    mains = sum(run.config["batch_size"] == 8 for run in sweep.plan(arms=()))
    found = only(sweep_power(sweep))
    assert 0 < mains < 24
    assert found.n == mains
    assert found.why == f"pairs: {mains} with 4 and {mains} with 12; 12 of each are needed"


def test_the_sweep_s_margin_is_used_where_the_claim_has_none():
    asked = no_worse("batch_size", 8, than=(4, 12))
    tight = only(price(None, questions={"q": asked}, margin=0.01))
    assert tight.power < only(price("batch_size")).power
    assert "no worse by 0.010" in tight.says


def test_one_question_can_be_priced_alone():
    sweep = make_sweep()
    design = Design(sweep, sweep.plan(), baseline_runs=48)
    found = power_of("q", QUESTIONS["success_above_half"], design)
    assert [power.question for power in found] == ["q", "q"]


def test_the_level_is_the_sweep_s():
    strict = price("success_above_half", alpha=0.01)[0]
    assert strict.power == statistics.binomial_power(24, 0.7, alpha=0.01)
    for asks in ("mean_vs_baseline", "variance_vs_baseline", "plateau", "batch_size"):
        assert price(asks, alpha=0.01)[0].power < price(asks)[0].power - 0.05
