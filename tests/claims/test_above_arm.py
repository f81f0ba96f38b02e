"""Main runs gain more than an arm of useless training: judging, power, early verdicts, nights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import Choice, LogUniform, Pairs, Sweep
from harness.claims import mean_gain
from harness.claims.power import sweep_power
from harness.errors import SweepError
from harness.judging.evidence import evidence_of
from harness.metrics import Metric
from harness.records import Gap
from harness.statistics import gain_power, matched, paired
from harness.text import signed
from harness.verdicts import Need
from tests.claims.cases import check, noise
from tests.claims.powers import make_sweep, only, price, runs_of, why
from tests.factories import make_arm, make_evidence, make_result, make_results
from tests.judging.early_runs import after, better_by_a_tenth, planned_of
from tests.judging.nights import SWEEP as NIGHTLY

ASKED = mean_gain.above_arm("null", margin=0.02)
NEEDED = Need("arm", "an arm null=8 in the sweep, run with --sweep-arms null")


def ahead_by(differences, runs=24, arm="null", deltas=None):
    """Evidence of main runs that are ahead of their run in an arm as given; None: that diverged."""
    rng = np.random.default_rng(4)
    deltas = rng.normal(0.05, 0.05, runs).tolist() if deltas is None else deltas
    main = make_results(deltas, prefix="focused")
    useless = [
        None if less is None or ours is None else ours - less
        for ours, less in zip(deltas, differences, strict=False)
    ]
    return make_evidence(runs=main, arms={arm: make_arm(arm, main, useless)})


def judged(evidence, claim=ASKED):
    verdict = claim.judge("gain_over_null", evidence)
    check(verdict)
    return verdict


# ---- judging -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("differences", "verdict", "answer"),
    [
        (noise(0.06, 0.02, 8), "supported", "yes: +0.06"),
        (noise(0.0, 0.005, 8), "refuted", "no gain as large as the margin of 0.020: "),
        (noise(0.01, 0.003, 8), "refuted", "no, by less than the margin of 0.020: +0.01"),
        (noise(-0.06, 0.02, 8), "refuted", "no, lower: −0.0"),
        (noise(0.0, 0.08, 8), "inconclusive", "not shown: +0.0"),
    ],
)
def test_it_is_decided_by_the_interval_and_the_margin(differences, verdict, answer):
    found = judged(ahead_by(differences))
    assert found.verdict == verdict
    assert found.answer.startswith(answer)
    assert found.answer.endswith(" over useless training, the arm null (8 pairs)")
    by_t = paired(differences)
    assert (found.estimate, found.low, found.high) == pytest.approx(
        (by_t.estimate, by_t.low, by_t.high)
    )
    assert (found.n, found.level, found.unit) == (8, pytest.approx(0.9), "change")
    assert found.p_value == (1.0 if verdict == "refuted" else pytest.approx(by_t.p_greater))


def test_the_details_say_what_both_sides_measure_and_what_all_main_runs_do():
    evidence = ahead_by(noise(0.06, 0.02, 8))
    ours, theirs = (
        np.mean([run.outcome.delta_perf for run in runs])
        for runs in (evidence.runs[:8], evidence.arms["null"])
    )
    all_of_them = np.mean([run.outcome.delta_perf for run in evidence.runs])
    sides, every, unseen = judged(evidence).details
    assert sides == f"main runs of the pairs: {signed(ours)} on average; arm null: {signed(theirs)}"
    assert every == f"all 24 main runs with ΔPerf: {signed(all_of_them)}"
    assert unseen.startswith("8 runs: if 15% of runs collapse, none of these does")
    assert len(judged(ahead_by(noise(0.06, 0.02, 24))).details) == 1, "nothing else, and many"


@pytest.mark.parametrize(("metric", "margin"), [("ΔPerf", 0.02), ("accuracy", None)])
@pytest.mark.parametrize(("mean", "verdict"), [(0.06, "supported"), (-0.06, "refuted")])
def test_without_a_margin_it_is_above_or_below(metric, margin, mean, verdict):
    evidence = replace(ahead_by(noise(mean, 0.02, 8)), margin=margin)
    if margin is None:
        evidence = replace(evidence, metric=Metric(metric, "arbitrary"))
    found = judged(evidence, mean_gain.above_arm("null"))
    assert found.verdict == verdict
    assert ("margin" in found.reason) == (margin is not None)


def test_no_difference_is_not_refuted_without_a_margin():
    evidence = replace(ahead_by(noise(0.0, 0.005, 8)), margin=None)
    found = judged(evidence, mean_gain.above_arm("null"))
    assert (found.verdict, found.needs[0].kind) == ("inconclusive", "runs")
    assert judged(replace(evidence, margin=0.02), mean_gain.above_arm("null")).verdict == "refuted"


@pytest.mark.parametrize("arms", [{}, {"random": 8}, {"null": 0}])
def test_without_the_arm_it_says_how_to_have_one(arms):
    main = make_results(noise(0.05, 0.05, 24))
    made = {name: make_arm(name, main, noise(0.0, 0.01, n)) for name, n in arms.items()}
    found = judged(make_evidence(runs=main, arms=made))
    assert (found.verdict, found.needs, found.p_value) == ("unanswerable", (NEEDED,), 1.0)
    assert found.answer == "no run of the arm null has finished"


@pytest.mark.parametrize(("pairs", "verdict"), [(5, "unanswerable"), (6, "supported")])
def test_fewer_than_six_pairs_decide_nothing(pairs, verdict):
    found = judged(ahead_by(noise(0.06, 0.02, pairs)))
    assert (found.verdict, found.n) == (verdict, pairs)
    if verdict == "unanswerable":
        assert found.answer.startswith("too few pairs to tell: 5 pairs")
        assert found.needs == (NEEDED,)


def test_a_need_of_an_arm_of_pairs_is_written_as_pairs():
    found = judged(make_evidence(noise(0.05, 0.05, 24)), mean_gain.above_arm("batch_size"))
    declared = "an arm batch_size=Pairs(8, values=(…)) in the sweep"
    assert found.needs[0].text == f"{declared}, run with --sweep-arms batch_size"
    assert found.question == "Is the mean ΔPerf higher than in the arm batch_size?"


def with_lost(differences, at):
    """Evidence in which the first main run diverged, and its run in the arm is ``at``."""
    evidence = ahead_by([0.0, *differences], deltas=[None, *noise(0.08, 0.05, 23)])
    useless = replace(evidence.arms["null"][0], outcome=make_result(delta=at).outcome)
    return replace(evidence, arms={"null": (useless, *evidence.arms["null"][1:])})


def test_a_main_run_that_diverges_counts_as_the_worst_seen():
    """It began at a perf of 0.12, and has lost all of that."""
    differences = noise(0.06, 0.02, 7)
    found = judged(with_lost(differences, 0.01))
    worst = paired([*differences, -0.12 - 0.01])
    assert worst.low < 0 < paired(differences).low
    assert found.verdict == "inconclusive"
    assert found.reason == (
        "main runs diverged where their pairs did not, and counted as the worst seen they leave "
        f"{signed(worst.estimate)}, 90% interval {signed(worst.low)} to {signed(worst.high)}"
    )
    assert found.needs == (Need("runs", "main runs that do not diverge"),)
    assert (found.n, found.p_value) == (8, 1.0)
    assert "only the main run diverged in 1" in found.details[2]


def test_a_gain_that_is_large_beside_a_run_that_diverged_is_shown_with_it():
    differences = noise(0.6, 0.02, 23)
    evidence = with_lost(differences, 0.01)
    found = judged(evidence)
    floor = min(run.outcome.delta_perf for run in evidence.arms["null"])
    assert floor < -0.5, "a useless run lost more than a perf of 0.12"
    worst = matched([*differences, floor - 0.01])
    assert (found.verdict, found.n) == ("supported", 24)
    assert found.p_value == pytest.approx(worst.p_greater)
    assert worst.p_greater > matched(differences).p_greater


def test_where_both_diverge_nothing_is_to_be_said_of_either():
    deltas = [None, *noise(0.08, 0.05, 23)]
    both = judged(ahead_by(noise(0.06, 0.02, 8), deltas=deltas))
    assert (both.verdict, both.n) == ("supported", 8)
    assert "both in 1" in both.details[2]


def test_useless_runs_that_diverge_speak_for_the_main_runs():
    better = [None, *noise(0.06, 0.02, 7)]
    found = judged(ahead_by(better))
    assert (found.verdict, found.n) == ("supported", 8)
    assert found.p_value == pytest.approx(paired(better[1:]).p_greater), "and make it no weaker"
    assert "only that of the arm null in 1" in found.details[2]
    equal = [None, *noise(0.0, 0.003, 7)]
    found = judged(ahead_by(equal))
    assert found.verdict == "inconclusive"
    assert found.reason.startswith("runs of the arm null diverged where their pairs did not")
    assert judged(ahead_by(equal[1:])).verdict == "refuted"


def test_a_main_run_counts_once_however_many_runs_are_paired_with_it():
    """Eight useless runs of one main run are one pair, not eight."""
    evidence = ahead_by(noise(0.06, 0.02, 8))
    main, useless = evidence.runs[:8], evidence.arms["null"]
    again = tuple(
        replace(run, run=replace(run.run, id=f"{run.run.id}-{turn}"))
        for turn in range(3)
        for run in useless
    )
    whole = judged(evidence)
    found = judged(replace(evidence, arms={"null": again}))
    assert (found.n, found.p_value) == (8, pytest.approx(whole.p_value))
    one = make_arm("null", main[:1] * 8, noise(0.0, 0.01, 8))
    assert judged(replace(evidence, arms={"null": one})).verdict == "unanswerable"


@pytest.mark.parametrize(("diverged", "lost"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_useless_runs_of_one_main_run_diverged_where_half_of_them_did(diverged, lost):
    evidence = ahead_by(noise(0.06, 0.02, 8))
    first, *others = evidence.arms["null"]
    broken = make_result(status="diverged").outcome
    again = [
        replace(
            first,
            run=replace(first.run, id=f"{first.run.id}-{turn}"),
            outcome=broken if turn < diverged else first.outcome,
        )
        for turn in range(4 if diverged != 1 else 3)
    ]
    found = judged(replace(evidence, arms={"null": (*again, *others)}))
    assert found.n == 8
    told = [line for line in found.details if "pairs without a difference" in line]
    assert len(told) == lost
    assert all("only that of the arm null in 1" in line for line in told)


def test_a_pair_of_two_backends_is_none():
    evidence = ahead_by(noise(0.06, 0.02, 8))
    other = tuple(
        replace(run, conditions=replace(run.conditions, backend="jax"))
        for run in evidence.arms["null"]
    )
    assert judged(replace(evidence, arms={"null": other})).verdict == "unanswerable"


def test_runs_without_any_pair_are_compared_as_two_samples():
    main = make_results(noise(0.08, 0.03, 24))
    useless = make_results(noise(0.0, 0.03, 8, seed=1), prefix="u", arm="null")
    found = judged(make_evidence(runs=main, arms={"null": useless}))
    assert (found.verdict, found.n) == ("supported", 32)
    assert found.method == "Welch's t test, corrected for skewness, and permuted"
    assert "no run of the arm is matched with a main run" in found.details[0]
    few = judged(make_evidence(runs=main, arms={"null": useless[:5]}))
    assert (few.verdict, few.needs) == ("unanswerable", (NEEDED,))
    # One that is paired makes the others runs that lack their pair.
    paired_one = make_arm("null", main, [0.0])
    found = judged(make_evidence(runs=main, arms={"null": (*useless, *paired_one)}))
    assert (found.verdict, found.n) == ("unanswerable", 1)


def test_survivors_are_said_to_be_survivors_where_nothing_is_paired():
    main = make_results([None, *noise(0.08, 0.03, 23)])
    useless = make_results(noise(0.0, 0.03, 8, seed=1), prefix="u", arm="null")
    found = judged(make_evidence(runs=main, arms={"null": useless}))
    assert found.details[1].startswith("1 diverged run of the main runs left out")


def test_one_difference_in_every_pair_is_no_measurement():
    found = judged(ahead_by([0.05] * 8))
    assert (found.verdict, found.needs[0].kind) == ("unanswerable", "evaluation")


def test_a_placebo_and_half_of_the_steps_are_arms_too():
    evidence = ahead_by(noise(0.06, 0.02, 8), arm="half")
    found = judged(evidence, mean_gain.above_arm("half"))
    assert found.answer.endswith(" over the arm half (8 pairs)")
    assert found.verdict == "supported"


def test_a_match_that_is_missing_supports_nothing():
    """A run that does not say which main run is its own may be any one's."""
    from harness.claims.judging import judge_one

    evidence = ahead_by(noise(0.06, 0.02, 8))
    first = replace(evidence.arms["null"][0], gaps=(Gap("match", "pair"),))
    lacking = replace(evidence, arms={"null": (first, *evidence.arms["null"][1:])})
    assert judge_one("gain_over_null", ASKED, evidence).verdict == "supported"
    found = judge_one("gain_over_null", ASKED, lacking)
    assert (found.verdict, found.p_value) == ("inconclusive", 1.0)
    # What is missing of a main run without a pair has nothing to do with it.
    last = replace(evidence.runs[-1], gaps=(Gap("result", "ΔPerf"),))
    other = replace(evidence, runs=(*evidence.runs[:-1], last))
    assert judge_one("gain_over_null", ASKED, other).verdict == "supported"


def test_a_loss_is_told_in_its_own_direction():
    evidence = replace(ahead_by(noise(0.06, 0.02, 8)), metric=Metric("Δloss", minimised=True))
    found = judged(evidence)
    assert found.question == ("Is the mean Δloss lower than that of useless training (arm null)?")
    assert found.answer.startswith("yes: 0.06")
    assert " better over useless training" in found.answer


# ---- what holds of any data ----------------------------------------------------------------------

gains = st.lists(
    st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=6, max_size=24, unique_by=lambda p: p[0]
)


def of_pairs(pairs):
    main = make_results([ours for ours, _ in pairs])
    return make_evidence(runs=main, arms={"null": make_arm("null", main, [b for _, b in pairs])})


@settings(max_examples=60, deadline=None)
@given(pairs=gains, turned=st.randoms())
def test_any_pairs_are_judged_whatever_their_order(pairs, turned):
    evidence = of_pairs(pairs)
    found = judged(evidence)
    order = list(range(len(pairs)))
    turned.shuffle(order)
    arm = tuple(evidence.arms["null"][at] for at in order)
    again = judged(replace(evidence, arms={"null": arm}))
    assert (again.verdict, again.n) == (found.verdict, found.n)
    assert again.estimate == pytest.approx(found.estimate, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(pairs=gains, margin=st.floats(0.001, 0.5))
def test_what_is_shown_one_way_is_not_shown_the_other_way(pairs, margin):
    claim = mean_gain.above_arm("null", margin=margin)
    one = judged(of_pairs(pairs), claim)
    other = judged(of_pairs([(theirs, ours) for ours, theirs in pairs]), claim)
    if one.verdict == "supported" and other.verdict != "unanswerable":
        assert other.verdict == "refuted"
    if one.low is not None and other.low is not None:
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(pairs=gains, smaller=st.floats(0.001, 0.1), by=st.floats(1.0, 5.0))
def test_a_larger_margin_supports_less_and_refutes_more(pairs, smaller, by):
    found = [
        judged(of_pairs(pairs), mean_gain.above_arm("null", margin=margin)).verdict
        for margin in (smaller, smaller * by)
    ]
    assert found[0] != "refuted" or found[1] in ("refuted", "unanswerable")
    assert found[1] != "supported" or found[0] == "supported"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (mean_gain.above_arm("null"), mean_gain.above_arm("random")),
        (mean_gain.above_arm("null"), mean_gain.above_arm("null", margin=0.02)),
        (mean_gain.above_arm("null"), mean_gain.above_baseline()),
    ],
)
def test_the_arm_and_the_margin_are_in_the_statement(one, two):
    assert one.describe() != two.describe()
    assert "\n" not in one.describe()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda: mean_gain.above_arm(""), "the arm is ''; expected"),
        (lambda: mean_gain.above_arm(8), "the arm is 8; expected"),
        (lambda: mean_gain.above_arm("main"), "not above themselves"),
        (lambda: mean_gain.above_arm("null", margin=0), "margin"),
        (
            lambda: make_sweep(questions={"q": mean_gain.above_arm("nul")}),
            "question 'q' needs the arm 'nul', which is not one of placebo, null, random, half, "
            "confirm, learning_rate, batch_size, generations; did you mean 'null'?",
        ),
    ],
)  # fmt: skip
def test_an_arm_that_cannot_be_is_refused(asked, said):
    with pytest.raises(SweepError) as raised:
        asked()
    assert said in str(raised.value)


# ---- power ---------------------------------------------------------------------------------------


def test_power_is_that_of_the_rule_by_paired_t():
    half, whole = price(None, questions={"q": ASKED}, arms={"null": 8})
    assert (half.n, half.unit, half.size, whole.size) == (8, "pairs", 0.5, 1.0)
    assert half.power == gain_power(0.5, 8, 0.5)
    assert whole.power == gain_power(1.0, 8, 0.5)
    assert whole.says.startswith(
        "with 8 pairs, a mean gain of 1 SD over the arm null is shown with probability 0.8"
    )
    assert half.given == (
        "the SD is that of a difference within a pair, not known yet; margin: half an SD"
    )


def test_the_spread_is_that_of_stored_pairs_or_else_of_two_runs():
    rng = np.random.default_rng(0)
    main = runs_of("s", rng.normal(0.05, 0.06, 24))
    differences = rng.normal(0.02, 0.03, 8)
    useless = [run.outcome.delta_perf - x for run, x in zip(main, differences, strict=False)]
    null = make_arm("null", main, useless)
    asked = {"questions": {"q": ASKED}, "arms": {"null": 8}}
    known = price(None, (*main, *null), **asked)
    spread = np.std(differences, ddof=1)
    assert known[0].given == (
        f"the SD of a difference within a pair is {spread:.3f}, of 8 stored pairs"
    )
    assert known[0].size == pytest.approx(max(0.5 * spread, 0.02))
    assert known[0].power == gain_power(known[0].size / spread, 8, 0.02 / spread)
    alone = price(None, main, **asked)
    two = np.sqrt(2.0) * np.std([run.outcome.delta_perf for run in main], ddof=1)
    assert alone[0].given == (
        f"the SD of a difference within a pair is {two:.3f}, taken to be that of two runs that "
        "share nothing: 24 stored runs of s"
    )


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ({}, "no null arm: unanswerable"),
        ({"random": 8}, "no null arm: unanswerable"),
        ({"null": 5}, "5 pairs, where 6 are needed: an arm null=8 in the sweep"),
    ],
)
def test_an_arm_that_is_missing_or_small_leaves_it_unanswerable(arms, said):
    assert why(None, questions={"q": ASKED}, arms=arms) == said


def test_an_arm_that_is_left_out_is_missing():
    sweep = make_sweep(questions={"q": ASKED}, arms={"null": 8})
    assert only(sweep_power(sweep, runs=sweep.plan(arms=()))).why == "no null arm: unanswerable"


def test_the_promised_power_is_what_simulations_give():
    rng, spread, simulations = np.random.default_rng(1), 0.05, 400
    power = gain_power(1.0, 8, 0.02 / spread)
    shown = sum(
        ASKED.judge("q", ahead_by(rng.normal(spread, spread, 8))).verdict == "supported"
        for _ in range(simulations)
    )
    assert shown / simulations == pytest.approx(power, abs=4 * np.sqrt(0.25 / simulations))


# ---- seeds ---------------------------------------------------------------------------------------


def test_a_config_counts_once_whatever_its_seeds():
    """Pairs are means over seeds on both sides, and there are as many as configs."""
    space = {"learning_rate": LogUniform(1e-7, 1e-6), "batch_size": Choice(4, 8)}
    sweep = Sweep("s", runs=12, steps=10, seed=1, space=space, arms={"null": 8}, seeds=3,
                  questions={"q": ASKED})  # fmt: skip
    rng = np.random.default_rng(2)
    made = []
    for run in sweep.plan():
        delta = 0.06 * (run.arm == "main") + rng.normal(0, 0.01)
        made.append(replace(make_result(delta=delta), run=run, key=run.id))
    configs = {run.id: run.config for run in sweep.plan(arms=())}
    found = judged(evidence_of(sweep, made, merging=configs))
    assert (found.verdict, found.n) == ("supported", 8)
    priced = sweep_power(sweep, runs=sweep.plan())
    assert {one.n for one in priced} == {8}


# ---- before all runs are in ----------------------------------------------------------------------


def test_it_waits_for_its_pairs_and_for_no_other_run():
    planned = planned_of(questions={"q": ASKED}, arms={"null": 8})
    count, verdicts = after(planned, better_by_a_tenth)
    assert count == 12, "six pairs, and none of the other 16 main runs"
    found = verdicts["q"]
    assert found.verdict == "supported"
    assert (found.decided.look, found.decided.looks, found.decided.runs) == (1, 2, 6)


def test_looks_keep_the_level():
    """Three chances to be supported where nothing is better, of which 5% may be taken."""
    rng, sweeps, supported = np.random.default_rng(3), 150, 0
    planned = planned_of(questions={"q": ASKED}, arms={"null": 24})
    for _ in range(sweeps):
        drawn = {run.id: rng.normal(0.03, 0.05) for run in planned.runs.values()}
        _, verdicts = after(planned, lambda run, drawn=drawn: drawn[run.id])
        supported += verdicts["q"].verdict == "supported"
    assert supported <= 0.05 * sweeps + 3 * np.sqrt(0.05 * 0.95 * sweeps)


# ---- from night to night -------------------------------------------------------------------------


NIGHT = Sweep(
    "s",
    runs=24,
    steps=100,
    seed=3,
    trainer=NIGHTLY.trainer,
    space={"learning_rate": LogUniform(1e-7, 1e-6), "batch_size": 8},
    arms={"null": 12, "batch_size": Pairs(2, (4,))},
    questions={"q": ASKED},
)


@pytest.mark.parametrize(("useless", "regressed"), [(0.0, False), (0.1, True)])
def test_a_night_on_which_useless_training_gains_as_much_has_regressed(useless, regressed):
    """The main runs are as they were; a night of other noise alone is none."""
    then = night_of(seed=1)
    now = night_of(seed=2, useless=useless)
    was = ASKED.judge("q", then)
    assert was.verdict == "supported"
    (test,) = ASKED.worse(now, then, was)
    assert test.what == "gain over the arm null"
    assert (test.p_value < 0.001) == regressed


def test_a_night_without_the_arm_is_compared_by_its_main_runs():
    then = night_of(seed=1)
    was = ASKED.judge("q", then)
    (test,) = ASKED.worse(replace(then, arms={}), then, was)
    assert test.what == "mean ΔPerf"


def night_of(seed, useless=0.0):
    rng = np.random.default_rng(seed)
    made = []
    for run in NIGHT.plan():
        level = {"main": 0.1, "null": useless}.get(run.arm, 0.1)
        delta = level + 0.02 * np.sin(run.index) + rng.normal(0, 0.01)
        made.append(replace(make_result(delta=delta), run=run, key=run.id))
    return evidence_of(NIGHT, made)
