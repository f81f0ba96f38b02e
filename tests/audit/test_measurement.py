"""What the audit says of how perf was measured."""

import re
from dataclasses import replace

import numpy as np
import pytest

from harness.audit import audit
from harness.audit.measurement import outlier
from harness.audit.view import ALARM, View
from harness.claims import success_rate
from harness.metrics import Metric
from harness.statistics import binomial_threshold
from harness.verdicts import Baseline, Evidence
from tests.audit.designs import QUESTIONS, codes, only
from tests.factories import (
    PUBLISHED,
    make_evidence,
    make_result,
    make_results,
)


def test_one_value_in_every_run_is_degenerate():
    found = audit(make_evidence([0.2025] * 24, [0.1] * 3))
    assert codes(found)[:2] == ["degenerate_metric"] * 2
    assert "+0.2025 in 24 of 24 runs of this sweep" in found[0].message
    assert found[0].severity == "error"
    assert "the baseline broad" in found[1].message


def sharing(deltas, before=0.12, **common):
    """Runs of these ΔPerf with one perf before, or one each."""
    before = np.broadcast_to(before, len(deltas))
    return tuple(
        make_result(id=f"s-{index}", delta=float(delta), before=float(one), curve=(), **common)
        for index, (delta, one) in enumerate(zip(deltas, before, strict=True))
    )


def test_one_measurement_before_for_all_runs_is_told():
    deltas = np.random.default_rng(0).normal(0, 0.05, 24)
    finding = only("shared_before", audit(make_evidence(runs=sharing(deltas, se=None))))
    assert finding.severity == "warning"
    assert "perf before training is 0.12 in 24 of 24 runs of this sweep" in finding.message
    assert "24 useless runs show more than 50% success with probability 0.32" in finding.message
    assert "measure perf before for each run" in finding.message
    with_errors = make_evidence(runs=sharing(deltas))
    assert "useless" not in only("shared_before", audit(with_errors)).message
    baseline = Baseline("broad", sharing(deltas))
    evidence = make_evidence(runs=sharing(deltas, 0.12 + 0.01 * deltas), baseline=baseline)
    assert "of the baseline broad" in only("shared_before", audit(evidence)).message


@pytest.mark.parametrize("n", [8, 24])
def test_useless_runs_that_share_a_measurement_succeed_as_often_as_is_told(n):
    rng, sweeps, errors = np.random.default_rng(0), 4_000, 0.02
    message = only("shared_before", audit(make_evidence(runs=sharing(range(n), se=None)))).message
    told = float(re.search(r"probability (0\.\d\d)", message)[1])
    before, after = rng.normal(0, errors, (sweeps, 1)), rng.normal(0, errors, (sweeps, n))
    enough = binomial_threshold(n)
    assert np.mean((after > before).sum(axis=1) >= enough) == pytest.approx(told, abs=0.025)


@pytest.mark.parametrize(
    ("runs", "metric"),
    [
        pytest.param(sharing([0.1, 0.2, 0.3], [0.12, 0.12, 0.13]), Metric(), id="one each"),
        pytest.param(sharing([0.1, 0.2]), Metric(), id="two runs"),
        pytest.param(make_results([0.1, 0.2, 0.3], before=None), Metric(), id="not measured"),
        pytest.param(
            (*sharing([0.1, 0.2, 0.3]), make_result(id="x", before=None)), Metric(), id="in part"
        ),
        pytest.param(sharing([0.1, 0.2, 0.3]), Metric("acc", "arbitrary"), id="plain metric"),
        pytest.param(sharing([0.1, 0.2, 0.3]), Metric("acc", "target"), id="target"),
        pytest.param(sharing([0.1, 0.1, 0.1]), Metric(), id="degenerate"),
    ],
)
def test_a_measurement_before_is_not_shared_where(runs, metric):
    assert "shared_before" not in codes(audit(Evidence("s", runs=runs, metric=metric)))


@pytest.mark.parametrize("prompts", [50, None])
def test_one_item_worth_two_points_is_coarse(prompts):
    rng = np.random.default_rng(0)
    deltas = rng.integers(-4, 5, 24) / 50
    runs = make_results(deltas, se=None, prompts=prompts, curve=())
    finding = only("coarse_metric", audit(make_evidence(runs=runs)))
    assert "worth 2 points of perf, against a margin of 2 points of perf: ev" in finding.message


LOSS = Metric("loss", "arbitrary", minimised=True)


def test_a_step_of_another_metric_is_told_in_its_own_unit():
    runs = make_results(np.arange(24) % 7 * 2e-5, se=None, prompts=None, curve=())
    evidence = replace(make_evidence(runs=runs, metric=LOSS), margin=3e-5)
    said = only("coarse_metric", audit(evidence)).message
    grid = "one step of loss, whose values lie on a grid, is worth 2e-5 of loss"
    assert f"{grid}, against a margin of 3e-5 of loss" in said


@pytest.mark.parametrize("deltas", [np.arange(24) % 7 / 50, np.linspace(0, 0.1, 24) ** 2])
def test_nothing_is_coarse_where_no_size_is_stated_that_matters(deltas):
    runs = make_results(deltas, se=0.03, prompts=None, curve=())
    evidence = replace(make_evidence(runs=runs, metric=LOSS), margin=None, min_gain=0.0)
    assert "coarse_metric" not in codes(audit(evidence))


def test_an_evaluation_that_cannot_see_the_gain_is_coarse():
    runs = make_results(np.linspace(0, 0.1, 24), se=0.03, curve=())
    finding = only("coarse_metric", audit(make_evidence(runs=runs)))
    assert "detects gains from 8.4 points of perf on" in finding.message


def test_training_reward_that_disagrees():
    rng = np.random.default_rng(0)
    runs = make_results(rng.normal(-0.016, 0.03, 24), train_delta_perf=0.2025, curve=())
    finding = only("train_eval_divergence", audit(make_evidence(runs=runs)))
    assert "+0.2025" in finding.message
    assert "opposite signs" in finding.message


def test_what_success_without_standard_errors_is_worth():
    runs = make_results(np.linspace(-0.1, 0.1, 24), se=None, curve=())
    finding = only("null_success_rule", audit(make_evidence(runs=runs)))
    assert "24 useless runs show more than 50% success with probability 0.42" in finding.message


def test_what_published_counts_are_worth():
    evidence = make_evidence(np.linspace(0, 0.1, 24), PUBLISHED)
    assert "null_success_rule" not in codes(audit(evidence, QUESTIONS))
    finding = only("null_success_rule", audit(evidence, {"x": success_rate.above_baseline()}))
    assert "published" in finding.message


# ---- outliers -----------------------------------------------------------------------------------

VAL_LOSS = Metric("val_loss", "arbitrary", minimised=True)


def of_values(values, metric=VAL_LOSS):
    """Runs that measured these values, in the user's own sign."""
    sign = -1 if metric.minimised else 1
    runs = make_results([sign * float(value) for value in values], se=None, curve=())
    return make_evidence(runs=runs, metric=metric, margin=None, min_gain=0.0)


LOSSES = [0.0751, 0.0743, 0.0738, 0.0732, 0.0755, 0.0789, 0.0861]


def test_one_loss_that_exploded_is_an_outlier_and_named_in_the_users_own_number():
    finding = only("outlier", audit(of_values([*LOSSES, 4574211000.0])))
    assert finding.severity == "warning"
    assert finding.message.startswith(
        "s-07 (4.57e9) lies far from the other runs, whose val_loss is 0.0732 to 0.0861: "
    )
    assert "ranks decide" in finding.message
    assert finding.brief == "s-07 (4.57e9) lies far off"
    assert "outlier" not in codes(audit(of_values(LOSSES)))


def test_a_run_far_below_is_an_outlier_and_one_at_exactly_zero():
    assert "s-07 (−3)" in only("outlier", audit(of_values([*LOSSES, -3.0]))).message
    message = only("outlier", audit(of_values([*LOSSES, 0.0]))).message
    assert message.startswith("val_loss is exactly 0 in 1 run, which ranks best; the others lie")


def test_exact_zeros_far_from_the_rest_are_asked_about():
    values = [*np.linspace(0.99, 1.01, 9), 0.0, 0.0, 0.0]
    finding = only("outlier", audit(of_values(values)))
    assert finding.message.startswith(
        "val_loss is exactly 0 in 3 runs, which rank best; the others lie from 0.99 to 1.01: were "
    )
    accuracy = Metric("acc", "arbitrary")
    message = only("outlier", audit(of_values(values, accuracy))).message
    assert "rank best" not in message
    assert message.startswith("acc is exactly 0 in 3 runs; the others lie")
    assert "outlier" not in codes(audit(of_values([*np.linspace(0.1, 1.01, 9), 0.0, 0.0])))


def test_a_repeated_extreme_does_not_hide_another_stray():
    found = [f for f in audit(of_values([*LOSSES, 900.0, -5.0, -5.0])) if f.code == "outlier"]
    assert [finding.brief for finding in found] == [
        "val_loss is exactly −5 in 2 runs",
        "s-07 (900) lies far off",
    ]


def test_runs_that_collapse_in_numbers_are_no_outliers():
    rng = np.random.default_rng(0)
    values = [*rng.normal(0.9, 0.01, 30), *rng.normal(0.1, 0.02, 6)]
    assert "outlier" not in codes(audit(of_values(values)))


TAILS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "t, 3 degrees": lambda rng, n: rng.standard_t(3, n),
    "lognormal": lambda rng, n: np.exp(rng.normal(0, 1, n)),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "accuracy near 1": lambda rng, n: 1 - np.minimum(1, rng.exponential(0.05, n)),
    "a loss with a floor": lambda rng, n: 0.3 + 0.02 * np.exp(rng.normal(0, 1.2, n)),
    "rounded": lambda rng, n: np.round(rng.beta(20, 5, n), 2),
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("n", [5, 8, 24, 100])
def test_ordinary_heavy_tails_raise_no_alarm(tail, n):
    rng, sweeps = np.random.default_rng(n), 200
    alarms = 0
    for _ in range(sweeps):
        view = SimpleView(of_values(TAILS[tail](rng, n)))
        alarms += bool(list(outlier(view)))
    assert alarms / sweeps <= ALARM + 2.5 * np.sqrt(ALARM * (1 - ALARM) / sweeps)


class SimpleView(View):
    """A view of the evidence alone."""

    def __init__(self, evidence):
        super().__init__(evidence, {}, {}, None, None, None, (), ())


def alike(deltas, repeats):
    """Runs of configurations with so many repeats each, in order of the values."""
    lr = [1e-7 * (index // repeats + 1) for index in range(len(deltas))]
    return make_evidence(runs=make_results(deltas, parameters={"learning_rate": lr}, se=None))


def test_copied_rows_are_told_and_chance_is_not():
    rng = np.random.default_rng(0)
    once = rng.normal(0, 0.1, 12)
    finding = only("repeated_runs", audit(alike(np.repeat(once, 2), 2)))
    assert finding.brief == "12 runs repeat another exactly"
    one = rng.normal(0, 0.1, 24)
    one[1] = one[0]
    finding = only("repeated_runs", audit(alike(one, 2)))
    assert finding.brief == "1 run repeats another exactly"
    for quiet in (
        alike(rng.normal(0, 0.1, 24), 2),
        alike(np.repeat(rng.integers(0, 2, 12), 2) * 1.0, 2),
        # Of many repeats some are equal to four digits, as of few to two.
        alike(rng.normal(0, 0.05, 400).round(4), 100),
        alike((np.repeat(rng.normal(0, 0.3, 8), 3) + rng.normal(0, 0.01, 24)).round(2), 3),
    ):
        assert "repeated_runs" not in codes(audit(quiet))


def test_an_adaptive_design_is_told():
    evidence = replace(of_values(LOSSES), adaptive="trials were stopped early (ASHA)")
    finding = only("adaptive_design", audit(evidence))
    assert finding.message.startswith("trials were stopped early (ASHA): what a run tried depends")
    assert "adaptive_design" not in codes(audit(of_values(LOSSES)))


def test_without_a_margin_no_item_is_worth_too_much():
    """One held-out item of a finely spread metric was once worth 0 points."""
    runs = make_results([0.02 * step for step in range(24)], se=None, prompts=None, curve=())
    scores = make_evidence(runs=runs, margin=None, min_gain=0.05)
    assert "coarse_metric" not in codes(audit(scores))
    assert "coarse_metric" in codes(audit(replace(scores, margin=0.02)))
    fine = replace(of_values(np.random.default_rng(0).normal(size=24) * 1e-9), margin=1e-12)
    assert "worth 0 " not in " ".join(f.message for f in audit(fine))


def test_every_finding_says_itself_in_a_few_words():
    for evidence in (of_values([*LOSSES, 9e9]), make_evidence([0.2025] * 24, [0.1] * 3)):
        for finding in audit(evidence, QUESTIONS):
            if finding.severity != "info":
                assert 0 < len(finding.brief) <= 60, finding
