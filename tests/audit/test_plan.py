"""What a design leaves unsaid, and how its configs cover what they are drawn from."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import Choice, Given, LogInt, LogUniform, Pairs, Sweep, Uniform
from harness.audit.coverage import coverage, duplicates
from harness.audit.plan import PLAN_CODES, audit_plan
from harness.claims import (
    best_inside,
    matters,
    mean_gain,
    no_worse,
    still_improves,
    success_rate,
)
from harness.claims.power import sweep_power
from harness.records import Config
from harness.sweeps.space import Space
from tests.docs.pages import DOCS, tables

SPACE = {
    "learning_rate": LogUniform(8e-8, 4e-7),
    "batch_size": 8,
    "generations": Choice(16, 24, 32),
    "lr_schedule": "constant",
    "warmup_steps": 0,
}
CONTROLLED = {"placebo": 2, "null": 4}


def make_sweep(name="s", space=None, **fields):
    declared = {"runs": 24, "steps": 100, "seed": 3, "arms": CONTROLLED}
    return Sweep(name, space={**SPACE, **(space or {})}, **{**declared, **fields})


def found(sweep, runs=None, baseline=None, stored=False, powers=True):
    planned = sweep.plan() if runs is None else runs
    power = sweep_power(sweep, runs=planned) if powers else ()
    return audit_plan(sweep, planned, power, baseline=baseline, baseline_stored=stored)


def codes(findings):
    return [finding.code for finding in findings]


def only(code, findings):
    (finding,) = [finding for finding in findings if finding.code == code]
    return finding


# ---- the audit ----------------------------------------------------------------------------------


def test_a_sound_design_is_quiet():
    asked = {"q": success_rate.above(0.5), "lr": best_inside("learning_rate")}
    assert found(make_sweep(questions=asked, runs=48)) == ()


def test_random_designs_raise_few_false_alarms():
    space = {
        "a": Choice(1, 2, 3), "b": Choice("x", "y"), "c": Uniform(0.0, 1.0), "d": Choice(1, 2)
    }  # fmt: skip
    alarms = [found(make_sweep(space=space, seed=seed), powers=False) for seed in range(25)]
    assert sum("confounded" in codes(one) for one in alarms) <= 3


def test_parameters_that_are_given_another_are_confounded_by_design():
    space = {"warmup_steps": Given("generations", {16: 0, 24: Choice(1, 2), 32: Choice(2, 3)})}
    finding = only("confounded", found(make_sweep(space=space)))
    assert finding.parameters == ("warmup_steps", "generations")
    assert "generations 16: 0; generations 24: 1, 2; generations 32: 2, 3" in finding.message


def test_parameters_that_go_together_in_the_sample_are_confounded():
    sweep = make_sweep(space={"batch_size": Choice(4, 8)}, runs=60)
    runs = [
        run for run in sweep.plan(arms=())
        if (run.config["batch_size"] == 4) == (run.config["generations"] == 16)
    ]  # fmt: skip
    assert len(runs) > 20
    finding = only("confounded", found(sweep, runs, powers=False))
    assert set(finding.parameters) == {"batch_size", "generations"}


def test_a_question_on_a_constant_parameter_is_said_once():
    sweep = make_sweep(questions={"q": no_worse("batch_size", 8, than=(4, 12))})
    findings = found(sweep)
    finding = only("constant_parameter", findings)
    assert (finding.severity, finding.parameters) == ("warning", ("batch_size",))
    assert "q asks about batch_size, which is 8 in every run" in finding.message
    assert "unanswerable" not in codes(findings)
    asked = {"q": best_inside("learning_rate")}
    rate = found(make_sweep(questions=asked, space={"learning_rate": 1.23456789e-7}))
    assert "learning_rate, which is 1.23e-07 in every run" in rate[0].message


def test_an_arm_varies_a_parameter():
    sweep = make_sweep(
        questions={"q": no_worse("batch_size", 8, than=(4,))},
        arms={**CONTROLLED, "batch_size": Pairs(12, (4,))},
    )
    assert "constant_parameter" not in codes(found(sweep))
    assert "constant_parameter" in codes(found(sweep, sweep.plan(arms=("placebo", "null"))))


def test_what_a_question_lacks_is_said():
    asked = {"q": mean_gain.above_baseline(), "few": success_rate.above(0.5)}
    findings = found(make_sweep(questions=asked, runs=4, arms={}))
    assert [f.message for f in findings if f.code == "unanswerable"] == [
        "q cannot be supported: the sweep has no baseline",
        "few cannot be supported: no count of 4 runs can show more than 50%; it takes 5 runs",
    ]


def test_a_question_with_little_power_is_likely_to_stay_open():
    asked = {"q": success_rate.above(0.5)}
    finding = only("underpowered", found(make_sweep(questions=asked, runs=6)))
    assert finding.message.startswith(
        "q is likely to stay open: at the largest standard effect, with 6 runs, a true success "
        "rate of 80% is shown to be above one half with probability 0.26; "
    )
    assert "underpowered" not in codes(found(make_sweep(questions=asked, runs=24)))


def test_many_questions_with_little_power_are_one_finding():
    space = {"entropy_coef": Choice(0.001, 0.002, 0.005)}
    names = ("learning_rate", "generations", "entropy_coef")
    asked = {f"matters_{name}": matters(name) for name in names[:2]}
    assert codes(found(make_sweep(space=space, questions=asked))) == ["underpowered"] * 2
    asked["matters_entropy_coef"] = matters("entropy_coef")
    finding = only("underpowered", found(make_sweep(space=space, questions=asked)))
    assert re.fullmatch(
        "matters_learning_rate, matters_generations and matters_entropy_coef are likely to stay "
        r"open: at the largest standard effect each is supported with probability 0\.3\d to "
        r"0\.\d\d; a probability of 0\.8 needs \d\d to \d\d runs",
        finding.message,
    )


@pytest.mark.parametrize("asks", [True, False])
def test_a_baseline_that_nobody_has(asks):
    asked = {"q": mean_gain.above_baseline()} if asks else {"q": success_rate.above(0.5)}
    sweep = make_sweep(questions=asked, baseline="other")
    assert ("missing_baseline" in codes(found(sweep))) == asks
    if asks:
        finding = only("missing_baseline", found(sweep))
        assert finding.severity == "warning"
        assert "no sweep of that name is declared: q cannot be answered" in finding.message
        assert "missing_baseline" not in codes(found(sweep, stored=True))
        declared = only("missing_baseline", found(sweep, baseline=make_sweep("other")))
        assert declared.severity == "info"
        assert "--sweep other,s" in declared.message


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"steps": 50}, "100 steps against 50"), ({"task": "sums"}, "task default against sums")],
)
def test_a_baseline_of_other_conditions_is_not_like_for_like(changes, said):
    sweep = make_sweep(questions={"q": mean_gain.above_baseline()}, baseline="other")
    finding = only("mixed_conditions", found(sweep, baseline=make_sweep("other", **changes)))
    assert said in finding.message
    assert "mixed_conditions" not in codes(found(sweep, baseline=make_sweep("other")))
    half = sweep.plan(steps=50)
    assert ("mixed_conditions" in codes(found(sweep, half, make_sweep("other", **changes)))) == (
        "steps" not in changes
    )


def test_a_warmup_as_long_as_the_run_is_no_warmup():
    sweep = make_sweep(space={"warmup_steps": Choice(10, 100, 150)})
    finding = only("long_warmup", found(sweep))
    assert "of 100 steps warm up for as many or more (up to 150)" in finding.message
    named = re.match(r"runs ((\d\d, )+)(\d\d and \d+ more|\d\d) of", finding.message)
    long = [r for r in sweep.plan(arms=()) if r.config["warmup_steps"] >= 100]
    assert named[1].startswith(f"{long[0].index:02d}, {long[1].index:02d}, ")
    assert "long_warmup" in codes(found(make_sweep(space={"warmup_steps": 100})))
    assert "long_warmup" not in codes(found(make_sweep(space={"warmup_steps": 99})))
    # A run of fewer steps warms up for as much fewer.
    shorter = make_sweep(space={"warmup_steps": 60})
    assert "long_warmup" not in codes(found(shorter, shorter.plan(steps=20)))


def test_a_falling_learning_rate_is_seen_before_it_falls():
    asked = {"plateau": still_improves(since=50)}
    cosine = {"lr_schedule": "cosine"}
    finding = only("annealed_window", found(make_sweep(space=cosine, questions=asked)))
    assert finding.severity == "warning"
    assert "plateau looks at steps 50 to 100" in finding.message
    assert re.search(r"goes from 5\d% to 0% of its peak", finding.message)
    assert finding.message.endswith("(declare them: arms=dict(half=12))")
    half = {**CONTROLLED, "half": 12}
    left_out = make_sweep(space=cosine, questions=asked, arms=half)
    finding = only("annealed_window", found(left_out, left_out.plan(arms=("null",))))
    assert finding.message.endswith("(--sweep-arms half)")
    assert (
        only("annealed_window", found(make_sweep(space=cosine, questions=asked, arms=half)))
        .severity == "info"
    )  # fmt: skip
    assert "annealed_window" not in codes(found(make_sweep(questions=asked)))


@pytest.mark.parametrize(
    ("since", "every", "judged_from"), [(50, 10, None), (50, 17, 51), (None, 26, 52), (48, 10, 50)]
)
def test_a_window_off_the_grid_is_judged_beside_it(since, every, judged_from):
    sweep = make_sweep(questions={"q": still_improves(since=since)}, evaluate_every=every)
    findings = [f for f in found(sweep) if f.code == "off_grid"]
    assert [f.message.endswith(f"it is judged from step {judged_from}") for f in findings] == (
        [True] * (judged_from is not None)
    )


def test_a_window_that_is_not_evaluated_is_unanswerable_and_no_more():
    sweep = make_sweep(questions={"q": still_improves(since=50)}, evaluate_every=30)
    assert "unanswerable" in codes(found(sweep))
    assert "off_grid" not in codes(found(sweep))


def test_an_option_of_no_run_is_said():
    space = {"generations": Choice(16, 24, 32, weights=(1, 1, 0))}
    finding = only("not_drawn", found(make_sweep(space=space)))
    assert finding.message.startswith("no run has generations 32, though the space does")


def test_configs_that_occur_twice_are_named():
    sweep = make_sweep(space={"learning_rate": Choice(1e-7, 2e-7)}, runs=7)
    finding = only("duplicate_config", found(sweep))
    distinct = len({run.config for run in sweep.plan(arms=())})
    assert finding.severity == "info"
    assert finding.message.startswith(f"{distinct} of 7 configs are distinct: runs ")


def test_controls_that_are_missing_are_said():
    findings = found(make_sweep(arms={}))
    assert codes(findings) == ["no_control", "no_control"]
    assert [finding.severity for finding in findings] == ["info", "info"]
    assert codes(found(make_sweep(arms={"placebo": 1}))) == ["no_control"]
    other = Sweep("x", runs=24, steps=10, space={"x": Uniform(0, 1)}, arms={"null": 4})
    assert found(other) == ()


def test_findings_are_equal_each_time_and_warnings_first():
    asked = {"q": mean_gain.above_baseline(), "plateau": still_improves(since=48)}
    sweep = make_sweep(questions=asked, arms={}, space={"generations": Choice(1, 2, 3, 4)})
    findings = found(sweep)
    assert findings == found(sweep)
    order = [("error", "warning", "info").index(finding.severity) for finding in findings]
    assert order == sorted(order)
    assert 0 < order.count(1) < len(order)


def test_every_code_of_a_plan_is_documented():
    assert set(PLAN_CODES) == {row[0].strip("`") for row in tables(DOCS / "plan.md")} & set(
        PLAN_CODES
    )


# ---- coverage -----------------------------------------------------------------------------------


def covered(distribution, values):
    configs = [Config({"x": value}) for value in values]
    (of,) = coverage(Space({"x": distribution}), configs)
    return of


def test_a_logarithmic_range_is_covered_in_orders_of_magnitude():
    of = covered(LogUniform(1e-4, 1e-1), [1e-3, 2e-3, 1e-2])
    assert (of.low, of.high) == (1e-3, 1e-2)
    assert of.orders == pytest.approx(1.0)
    assert of.declared == pytest.approx(3.0)
    assert of.share == pytest.approx(1 / 3)
    assert of.gap_share == pytest.approx(1 / 3)
    assert of.gap in ((1e-4, 1e-3), (1e-2, 1e-1))


def test_whole_numbers_on_a_log_scale_are_covered_in_orders_of_magnitude():
    of = covered(LogInt(1, 1_000), [10, 20, 100])
    assert (of.low, of.high, of.levels) == (10, 100, ())
    assert of.orders == pytest.approx(1.0)
    assert of.declared == pytest.approx(3.0)


def test_a_linear_range_is_covered_in_shares():
    of = covered(Uniform(-1.0, 3.0), [0.0, 0.5, 2.5])
    assert (of.share, of.gap, of.gap_share) == (0.625, (0.5, 2.5), 0.5)
    assert of.orders is None


@given(st.lists(st.floats(1e-6, 1e-2), min_size=1, max_size=30))
def test_the_widest_gap_has_no_run_in_it(values):
    of = covered(LogUniform(1e-6, 1e-2), values)
    low, high = of.gap
    assert not any(low < value < high for value in values)
    assert of.gap_share == pytest.approx(math.log(high / low) / math.log(1e4), abs=1e-9)
    assert 0 <= of.share <= 1
    assert of.gap_share >= (1 - 1e-9) / (len(values) + 1)


def test_the_options_of_a_choice_are_counted_in_their_order():
    of = covered(Choice(32, 16, 24), [16, 16, 32])
    assert of.levels == ((16, 2), (24, 0), (32, 1))
    assert covered(Choice("b", "a"), ["a", "a"]).levels == (("b", 0), ("a", 2))
    assert covered(8, [8, 8]).levels == ((8, 2),)


def test_what_is_given_another_is_covered_over_its_cases():
    space = Space(
        {
            "y": Choice(1, 2),
            "choice": Given("y", {1: Choice(5, 6), 2: 7}),
            "rate": Given("y", {1: LogUniform(1e-3, 1e-2), 2: LogUniform(1e-2, 1.0)}),
            "nested": Given("y", {1: Given("y", {1: 3}), 2: Uniform(0, 1)}),
        }
    )
    points = np.random.default_rng(0).random((20, 4))
    configs = [space.config(point) for point in points]
    found = {of.parameter: of for of in coverage(space, configs)}
    assert [value for value, _ in found["choice"].levels] == [5, 6, 7]
    assert found["rate"].declared == pytest.approx(3.0)
    assert sum(runs for _, runs in found["nested"].levels) == 20


def test_duplicates_are_found_in_groups():
    sweep = make_sweep(space={"learning_rate": Choice(1e-7, 2e-7)})
    main = sweep.plan(arms=())
    groups = duplicates(main)
    assert all(len({run.config for run in group}) == 1 for group in groups)
    assert sum(len(group) - 1 for group in groups) == len(main) - len({r.config for r in main})
    assert duplicates(make_sweep().plan(arms=())) == ()
