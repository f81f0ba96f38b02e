import math
from dataclasses import replace

import numpy as np
import pytest

from harness.audit import CODES, audit
from harness.claims import mean_gain
from harness.metrics import DELTA_PERF, Metric
from harness.verdicts import Baseline, Evidence, Finding
from tests.audit.designs import QUESTIONS, clean, clean_parameters, codes, only
from tests.factories import (
    make_arm,
    make_evidence,
    make_result,
    make_results,
    make_trace,
)


def test_a_clean_random_design_is_quiet():
    rng, sweeps = np.random.default_rng(0), 40
    alarms = [code for _ in range(sweeps) for code in codes(audit(clean(rng), QUESTIONS))]
    for code in CODES:
        limit = 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / sweeps)
        assert alarms.count(code) / sweeps <= limit, (code, alarms.count(code))


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 24, 48])
def test_a_clean_random_design_is_quiet_at_size(n):
    rng, sweeps = np.random.default_rng(1), 500
    alarms = [code for _ in range(sweeps) for code in codes(audit(clean(rng, n), QUESTIONS))]
    for code in CODES:
        assert alarms.count(code) / sweeps <= 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / sweeps), code


def test_no_runs_are_no_fuss():
    for evidence in (make_evidence([]), make_evidence([None] * 3), make_evidence([0.1])):
        for finding in audit(evidence, QUESTIONS):
            assert isinstance(finding, Finding)
            assert "nan" not in finding.message


def test_generations_implied_by_batch_size():
    rng = np.random.default_rng(0)
    parameters = clean_parameters(rng, 48)
    parameters["generations"] = [
        int(rng.choice([20, 30, 40] if batch <= 6 else [16, 24, 32]))
        for batch in parameters["batch_size"]
    ]
    runs = make_results(rng.normal(0, 0.1, 48), parameters=parameters, curve=())
    finding = only("confounded", audit(make_evidence(runs=runs)))
    assert set(finding.parameters) == {"generations", "batch_size"}
    assert "batch_size 4: 20, 30, 40; batch_size 8: 16, 24, 32" in finding.message


def test_what_is_not_set_is_told_in_words():
    rng = np.random.default_rng(0)
    parameters = clean_parameters(rng, 48)
    parameters["momentum"] = [
        float(rng.choice([0.9, 0.99])) if one == "advanced" else None
        for one in parameters["lr_schedule"]
    ]
    runs = make_results(rng.normal(0, 0.1, 48), parameters=parameters, curve=())
    finding = only("confounded", audit(make_evidence(runs=runs)))
    assert "lr_schedule advanced: 0.9, 0.99; lr_schedule cosine: not set" in finding.message


def test_what_the_space_declares_as_dependent_is_confounded():
    rng = np.random.default_rng(0)
    evidence = clean(rng)
    found = audit(evidence, given={"generations": "lr_schedule"})
    assert only("confounded", found).parameters == ("generations", "lr_schedule")


def test_parameters_that_go_together_are_one_finding():
    rng = np.random.default_rng(0)
    names = [f"p{index}" for index in range(9)]
    common = rng.normal(size=(1, 60))
    tied = dict(zip(names, (common + 0.3 * rng.normal(size=(9, 60))).tolist(), strict=True))
    parameters = clean_parameters(rng, 60) | tied
    runs = make_results(rng.normal(0, 0.1, 60), parameters=parameters, curve=())
    finding = only("confounded", audit(make_evidence(runs=runs)))
    assert finding.parameters == tuple(names)
    assert finding.message.startswith(f"these nine go together: {', '.join(names)} (Cramér's V")


def test_a_chain_of_parameters_is_no_clique():
    rng = np.random.default_rng(0)
    evidence = clean(rng)
    given = {"generations": "batch_size", "lr_schedule": "generations"}
    finding = only("confounded", audit(evidence, given=given))
    assert finding.parameters == ("batch_size", "generations", "lr_schedule")
    assert "these three go together, each with some of the others: " in finding.message


def combined(n, seed=0, **more):
    """Runs with a batch size and an accumulation, and what ``more`` makes of the two."""
    rng = np.random.default_rng(seed)
    batch, times = rng.choice([8, 16, 32], n), rng.choice([1, 2, 4], n)
    parameters = {"batch_size": batch.tolist(), "accum": times.tolist()}
    parameters |= {name: make(batch, times, rng) for name, make in more.items()}
    return make_results(rng.normal(0, 0.1, n), parameters=parameters, curve=())


@pytest.mark.parametrize(
    "make",
    [
        lambda batch, times, rng: (batch * times).tolist(),
        lambda batch, times, rng: list(map("{} x {}".format, batch, times)),
        lambda batch, times, rng: ((batch + times) % 3 == 0).tolist(),
    ],
)  # fmt: skip
def test_a_parameter_that_two_others_give_is_told(make):
    found = audit(make_evidence(runs=combined(36, 3, third=make)))
    finding = only("redundant", found)
    assert finding.brief == "third is given by batch_size and accum"


def test_a_product_of_ranges_is_given_by_its_factors_but_for_rounding():
    rng = np.random.default_rng(1)
    rate, scale = 10 ** rng.uniform(-5, -2, 30), rng.uniform(1, 8, 30)
    parameters = {
        "rate": rate.tolist(), "scale": scale.tolist(),
        "scaled": [float(f"{value:.2e}") for value in rate * scale],
        "sum": (np.log10(rate) + 1).tolist(),
    }  # fmt: skip
    runs = make_results(rng.normal(0, 0.1, 30), parameters=parameters, curve=())
    told = [one.brief for one in audit(make_evidence(runs=runs))]
    assert "scaled is given by rate and scale" in told
    noisy = {**parameters, "scaled": (rate * scale * np.exp(rng.normal(0, 0.2, 30))).tolist()}
    runs = make_results(rng.normal(0, 0.1, 30), parameters=noisy, curve=())
    assert not [one for one in audit(make_evidence(runs=runs)) if "given by" in one.brief]


def test_a_value_that_hardly_ever_differs_is_given_by_nothing():
    def rare(batch, times, rng):
        return [index == 4 for index in range(batch.size)]

    told = [
        one.brief
        for seed in range(20)
        for one in audit(make_evidence(runs=combined(24, seed, rare=rare)))
    ]
    assert not [brief for brief in told if "given by" in brief]


def test_groups_of_parameters_that_go_together_stay_apart():
    evidence = clean(np.random.default_rng(0))
    found = audit(evidence, given={"generations": "batch_size", "entropy_coef": "lr_schedule"})
    groups = [finding.parameters for finding in found if finding.code == "confounded"]
    assert groups == [("generations", "batch_size"), ("entropy_coef", "lr_schedule")]


def test_what_a_question_says_of_the_edge_is_no_finding():
    evidence = make_evidence(np.linspace(0, 0.2, 24))
    assert "edge_optimum" not in codes(audit(evidence, best_asked=["learning_rate"]))


def test_a_learning_rate_that_goes_with_a_parameter_is_confounded():
    rng = np.random.default_rng(0)
    parameters = clean_parameters(rng, 48)
    parameters["batch_size"] = [4 if lr < 2e-7 else 12 for lr in parameters["learning_rate"]]
    runs = make_results(rng.normal(0, 0.1, 48), parameters=parameters, curve=())
    finding = only("confounded", audit(make_evidence(runs=runs)))
    assert set(finding.parameters) == {"learning_rate", "batch_size"}


def test_what_is_declared_depends_and_what_is_seen_goes_together():
    rng = np.random.default_rng(0)
    size = rng.choice([4, 8], 48)
    parameters = {"batch_size": size.tolist(), "generations": (96 // size).tolist()}
    found = make_evidence(runs=make_results(rng.normal(0, 0.1, 48), parameters=parameters))
    (seen,) = [one for one in audit(found) if one.code == "confounded"]
    assert " goes with " in seen.brief
    assert "what looks like the effect of one may be that of the other" in seen.message
    declared = only("confounded", audit(found, given={"generations": "batch_size"}))
    assert declared.brief == "generations depends on batch_size"


def test_a_constant_parameter_without_an_arm_is_mentioned():
    main = make_results(np.linspace(0, 0.1, 24), curve=())
    evidence = make_evidence(runs=main)
    finding = only("constant_parameter", audit(evidence, QUESTIONS, declared_arms=["batch_size"]))
    assert finding.severity == "info"
    assert finding.parameters == ("batch_size",)
    assert finding.message.endswith("it needs runs with other values (--sweep-arms batch_size)")
    finding = only("constant_parameter", audit(evidence, QUESTIONS, declared_arms=[]))
    assert "declare them: arms=dict(batch_size=Pairs(12, values=(…,)))" in finding.message
    assert "--sweep-arms" not in finding.message
    finding = only("constant_parameter", audit(evidence, QUESTIONS))
    assert finding.message.endswith("it needs runs with other values")
    arms = {"batch_size": make_arm("batch_size", main, [0.1] * 12, {"batch_size": 4})}
    assert "constant_parameter" not in codes(audit(make_evidence(runs=main, arms=arms), QUESTIONS))
    assert "constant_parameter" not in codes(audit(make_evidence(runs=main)))


@pytest.mark.parametrize(("sign", "end"), [(1, "upper"), (-1, "lower")])
def test_an_optimum_at_the_edge(sign, end):
    finding = only("edge_optimum", audit(make_evidence(sign * np.linspace(0, 0.2, 24))))
    assert f"towards the {end} end of learning_rate" in finding.message
    assert finding.parameters == ("learning_rate",)


def test_a_parameter_that_a_run_does_not_set_has_no_edge():
    runs = list(make_results(np.linspace(0, 0.2, 24)))
    config = runs[0].run.config.without("learning_rate")
    runs[0] = replace(runs[0], run=replace(runs[0].run, config=config))
    assert "edge_optimum" not in codes(audit(make_evidence(runs=tuple(runs))))


def test_an_optimum_inside_is_no_finding():
    hill = [*np.linspace(0, 0.2, 12), *np.linspace(0.2, 0, 12)]
    assert "edge_optimum" not in codes(audit(make_evidence(hill)))


def test_runs_lost_at_high_learning_rates():
    finding = only("survivorship", audit(make_evidence([*np.linspace(0, 0.1, 18), *[None] * 6])))
    assert "6 diverged of 24 runs" in finding.message
    assert "lie at high learning_rate" in finding.message
    assert finding.parameters == ("learning_rate",)


@pytest.mark.parametrize("status", ["failed", "timeout"])
def test_failed_runs_of_a_table_are_missed(status):
    runs = (*make_results(np.linspace(0, 0.1, 10)), make_result(id="x", status=status))
    finding = only("survivorship", audit(make_evidence(runs=runs)))
    assert "1 without a result" in finding.message
    assert finding.parameters == ()


def test_mixed_conditions():
    runs = make_results([0.1, 0.2, 0.3]) + make_results([0.1], prefix="j", backend="jax")
    finding = only("mixed_conditions", audit(make_evidence(runs=runs)))
    assert "backend (jax, torch)" in finding.message
    main = make_results(np.linspace(0, 0.1, 24))
    baseline = Baseline("broad", make_results(np.linspace(0, 0.1, 24), steps=50, prompts=50))
    finding = only("mixed_conditions", audit(make_evidence(runs=main, baseline=baseline)))
    assert "100 steps against 50; 512 prompts against 50" in finding.message
    arms = {"null": make_arm("null", main, [0.0] * 3, model="other")}
    finding = only("mixed_conditions", audit(make_evidence(runs=main, arms=arms)))
    assert "the arm null" in finding.message
    half = {"half": make_arm("half", main, [0.0, 0.1], steps=50)}
    assert "mixed_conditions" not in codes(audit(make_evidence(runs=main, arms=half)))


def test_a_baseline_of_another_backend_comes_with_the_way_to_train_both_by_one():
    main = make_results(np.linspace(0, 0.1, 24), backend="jax")
    theirs = make_results(np.linspace(0, 0.1, 24))
    evidence = make_evidence(runs=main, baseline=Baseline("broad", theirs))
    finding = only("mixed_conditions", audit(evidence))
    assert "not like for like: backend jax against torch; " in finding.message
    assert finding.message.endswith(
        "(to train both by one backend: --sweep broad,focused --sweep-backend jax)"
    )
    own = Baseline("broad", make_results(np.linspace(0, 0.1, 24), backend="own"))
    finding = only("mixed_conditions", audit(make_evidence(runs=main, baseline=own)))
    assert "--sweep-backend" not in finding.message


def test_what_a_table_does_not_state_is_told_beside_what_differs():
    said = {"task": "", "task_version": "", "model": "", "backend": "", "trainer_version": ""}
    runs = make_results(np.linspace(0, 0.1, 24))
    table = make_results(np.linspace(0, 0.1, 24), steps=0, curve=(), **said)
    finding = only(
        "mixed_conditions", audit(make_evidence(runs=runs, baseline=Baseline("t", table)))
    )
    unknown = "states no task, model or backend: whether the two are like for like is not known"
    assert finding.message == f"the baseline t {unknown}"
    finding = only(
        "mixed_conditions", audit(make_evidence(runs=table, baseline=Baseline("b", runs)))
    )
    assert finding.message == f"the table focused {unknown}"
    other = make_results(np.linspace(0, 0.1, 24), steps=50, prompts=50, **said)
    found = audit(make_evidence(runs=runs, baseline=Baseline("t", other)))
    differs, unstated = [f.message for f in found if f.code == "mixed_conditions"]
    assert "not like for like: 100 steps against 50; 512 prompts against 50" in differs
    assert unstated == f"the baseline t {unknown}"


def test_an_arm_of_another_backend_is_told():
    main = make_results(np.linspace(0, 0.1, 24))
    arms = {"half": make_arm("half", main, [0.0, 0.1], steps=50, backend="jax")}
    message = only("mixed_conditions", audit(make_evidence(runs=main, arms=arms))).message
    assert message == "the arm half is not like the main runs: backend torch against jax"


def test_an_annealed_window():
    trace = make_trace(list(np.linspace(3e-7, 0, 100)))
    main = make_results(np.linspace(0, 0.1, 24), trace=trace)
    finding = only("annealed_window", audit(make_evidence(runs=main), QUESTIONS))
    assert finding.severity == "warning"
    assert "steps 50 to 100" in finding.message
    assert "from 51% to 0% of its peak" in finding.message
    assert finding.message.endswith("runs given half of the steps separate the two")
    for declared, how in (
        (["half"], " (--sweep-arms half)"),
        (["null"], " (declare them: arms=dict(half=12))"),
    ):
        found = audit(make_evidence(runs=main), QUESTIONS, declared_arms=declared)
        message = only("annealed_window", found).message
        assert message.endswith(f"runs given half of the steps separate the two{how}")
    arms = {"half": make_arm("half", main, [0.0, 0.1], steps=50)}
    finding = only("annealed_window", audit(make_evidence(runs=main, arms=arms), QUESTIONS))
    assert finding.severity == "info"
    constant = make_results(np.linspace(0, 0.1, 24), trace=make_trace([3e-7] * 100))
    assert "annealed_window" not in codes(audit(make_evidence(runs=constant), QUESTIONS))
    assert "annealed_window" not in codes(
        audit(make_evidence(runs=main), {"mean": mean_gain.above_baseline()})
    )


def test_a_placebo_that_moved():
    main = make_results(np.linspace(0, 0.1, 24))
    still = {"placebo": make_arm("placebo", main, [0.0, 0.0], {"learning_rate": 0.0})}
    moved = {"placebo": make_arm("placebo", main, [0.0, 1e-9], {"learning_rate": 0.0})}
    assert "placebo_moved" not in codes(audit(make_evidence(runs=main, arms=still)))
    finding = audit(make_evidence(runs=main, arms=moved))[0]
    assert (finding.code, finding.severity) == ("placebo_moved", "error")
    assert "1 of 2 placebo runs" in finding.message


def test_a_scaled_down_sweep():
    runs = make_results([0.1, 0.2], steps=20)
    message = only("scaled_down", audit(make_evidence(runs=runs))).message
    assert message.startswith("trained for 20 steps of the 100 declared: a check that it runs")


def test_more_steps_than_declared_are_another_sweep_not_a_check():
    runs = make_results([0.1, 0.2], steps=200)
    message = only("scaled_down", audit(make_evidence(runs=runs))).message
    assert message == "trained for 200 steps, 100 declared: not the declared sweep"


def test_questions_changed_after_the_data():
    found = [
        f for f in audit(make_evidence([0.1, 0.2]), post_hoc=["b", "a"]) if f.code == "post_hoc"
    ]
    assert [finding.message.split()[0] for finding in found] == ["a", "b"]


def test_an_equal_seed_gives_equal_findings():
    evidence = clean(np.random.default_rng(3))
    assert audit(evidence, QUESTIONS) == audit(evidence, QUESTIONS)


def test_strange_configs_are_no_fuss():
    values = [None, "a", 1, 2.5, True, -1] * 4
    runs = make_results(
        np.linspace(0, 0.1, 24), parameters={"odd": values, "id": [str(i) for i in range(24)]}
    )
    assert set(codes(audit(make_evidence(runs=runs), QUESTIONS))) <= set(CODES)


ABOVE = {"without standard errors": dict(se=None, curve=()), "shown": {}}


def useless(arms, main=(0.1,) * 20 + (0.0,) * 4, metric=DELTA_PERF, asked=None, **common):
    """The findings on arms of useless runs, each with its gains, beside main runs."""
    runs = make_results(main, **common)
    made = {arm: make_results(gains, prefix=arm, arm=arm, **common) for arm, gains in arms.items()}
    evidence = Evidence("s", runs=runs, arms=made, metric=metric)
    return [one for one in audit(evidence, asked) if one.code == "useless_succeeds"]


@pytest.mark.parametrize("arm", ["null", "random"])
def test_useless_training_that_succeeds_as_most_runs_do_is_found(arm):
    (found,) = useless({arm: [0.1] * 5 + [0.0] * 3})
    assert found.severity == "warning"
    assert found.message == (
        f"5 of 8 runs of the arm {arm} succeed, in which training is useless, where 2.5% would by "
        "chance, beside 20 of 24 main runs: most succeed whatever is rewarded, so the success rate "
        "is no evidence of learning from these rewards; ask how far they are ahead, "
        f'mean_gain.above_arm("{arm}")'
    )
    assert found.brief == f"useless training (arm {arm}) succeeds too"


def test_the_question_that_tells_how_far_they_are_ahead_is_named():
    asked = {"mean": mean_gain.above_baseline(), "gain": mean_gain.above_arm("random")}
    both = useless({"null": [0.1] * 8, "random": [0.1] * 8}, asked=asked)
    assert [one.message.rpartition("; ")[2] for one in both] == [
        'ask how far they are ahead, mean_gain.above_arm("null")',
        "gain asks how far they are ahead",
    ]


def test_useless_training_that_succeeds_where_few_runs_do_is_found():
    (found,) = useless({"null": [0.1] * 5 + [0.0] * 3}, main=[0.1] * 6 + [0.0] * 18)
    assert "(6 of 24 main runs do): training moves the metric whatever is rewarded" in found.message
    assert found.brief == "useless training (arm null) succeeds"


def test_each_arm_of_useless_training_is_looked_at_and_no_other():
    gains = [0.1] * 5 + [0.0] * 3
    found = useless({"random": gains, "null": gains, "half": gains, "batch_size": gains})
    assert [one.brief.split(")")[0] for one in found] == [
        "useless training (arm null",
        "useless training (arm random",
    ]


@pytest.mark.parametrize(
    ("rule", "enough"),
    [("shown", 2), ("without standard errors", 7)],
)
def test_as_many_as_come_by_chance_are_none(rule, enough):
    """Of 8 useless runs one is shown to improve in 18% of sweeps, and six end above 0 in 14%."""
    for successes in (enough - 1, enough):
        gains = [0.1] * successes + [-0.01] * (8 - successes)
        found = useless({"null": gains}, **ABOVE[rule])
        assert len(found) == (successes == enough), successes


def test_a_target_that_most_useless_runs_reach_is_no_target():
    metric = Metric("accuracy", "target", target=0.0)
    (found,) = useless({"null": [0.1] * 8}, metric=metric)
    assert "in which training is useless, beside 20 of 24 main runs" in found.message
    assert not useless({"null": [0.1] * 4 + [-0.1] * 4}, metric=metric)
    assert not useless({"null": [0.1] * 8}, metric=Metric("accuracy", "arbitrary"))


@pytest.mark.parametrize("arms", [("null",), ("null", "random")])
@pytest.mark.parametrize("rule", ABOVE)
def test_useless_training_is_seldom_found_to_succeed_by_chance(rule, arms):
    """As often as the audit allows a code, over both arms together."""
    rng, sweeps = np.random.default_rng(5), 300
    found = 0
    for _ in range(sweeps):
        gains = {arm: rng.normal(0, 0.01, 8) for arm in arms}
        found += bool(useless(gains, main=rng.normal(0.05, 0.05, 24), **ABOVE[rule]))
    assert found <= 0.04 * sweeps + 3 * np.sqrt(0.04 * 0.96 * sweeps)
