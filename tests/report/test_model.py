import math

import numpy as np
import pytest

from harness.metrics import Metric
from harness.report.documents.sweep_breakdown import rate_blocks
from harness.report.figures import side
from harness.report.renderers.terminal import render
from harness.text import Digits
from harness.verdicts import Baseline
from tests.factories import PUBLISHED, make_arm, make_evidence, make_result, make_results, report_of
from tests.report.samples import sample


def test_the_sweep_in_numbers():
    main = make_results([0.1, 0.2, 0.3, 0.005, -0.1, None])
    own = report_of(make_evidence(runs=main), (), ()).own
    assert (own.runs, own.diverged, own.successes, own.positive) == (6, 1, 3, 4)
    assert own.mean.value == pytest.approx(0.101)
    assert own.success.low < 0.5 < own.success.high
    assert own.improved == {"s-00", "s-01", "s-02"}


def test_a_diverged_run_ranks_worst_in_the_worst_quarter():
    kept = make_results([0.1, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3])
    with_lost = (*kept, make_result(id="s-07", status="diverged", before=0.12))
    worst = report_of(make_evidence(runs=with_lost), (), ()).own.worst_quarter
    assert worst.value < report_of(make_evidence(runs=kept), (), ()).own.worst_quarter.value


def test_without_standard_errors_both_sides_count_by_the_sign():
    main = make_results([0.1, 0.001])
    theirs = Baseline("broad", make_results([0.1, -0.1], se=None))
    report = report_of(make_evidence(runs=main, baseline=theirs), (), ())
    assert report.own.rule == report.against.rule == "ΔPerf > 0"
    assert report.own.successes == 2


def test_ranges_have_edges_at_one_and_three_of_each_decade_within_the_data():
    rates = [8e-8, 1e-7, 2.9e-7, 3e-7, 4e-7]
    main = make_results([0.1] * 5, parameters={"learning_rate": rates})
    rows = report_of(make_evidence(runs=main), (), ()).ranges
    assert [(row.low, row.high, row.runs) for row in rows] == [
        (8e-8, 1e-7, 1),
        (1e-7, 3e-7, 2),
        (3e-7, 4e-7, 2),
    ]
    assert sum(row.successes for row in rows) == 5


def test_one_learning_rate_makes_no_table():
    main = make_results([0.1, 0.2], parameters={"learning_rate": [1e-7, 1e-7]})
    assert report_of(make_evidence(runs=main), (), ()).ranges == ()


def test_published_counts_are_a_side_without_a_mean():
    against = sample(baseline=PUBLISHED).against
    assert (against.successes, against.runs) == (6, 19)
    assert (against.success.low, against.success.high) == pytest.approx((0.154, 0.540), abs=5e-4)
    assert np.isnan(against.mean.value)


def test_arms_are_compared_with_their_own_main_runs():
    main = make_results([0.1, 0.2, 0.3])
    arm = make_arm("batch_size", main[:2], [0.05, 0.1], {"batch_size": 4})
    other = make_arm("batch_size", main[:1], [0.4], {"batch_size": 12})
    report = report_of(make_evidence(runs=main, arms={"batch_size": (*arm, *other)}), (), ())
    four, twelve = report.arms
    assert (four.value, four.pairs) == (4, 2)
    assert four.difference.value == pytest.approx(-0.075)
    assert (twelve.value, twelve.pairs) == (12, 1)
    assert twelve.difference.error == np.inf


def test_an_arm_of_another_backend_has_no_pairs():
    main = make_results([0.1, 0.2, 0.3])
    arm = make_arm("half", main, [0.05, 0.1, 0.2], backend="jax")
    (half,) = report_of(make_evidence(runs=main, arms={"half": arm}), (), ()).arms
    assert half.pairs == 0
    assert np.isnan(half.difference.value)


def test_a_placebo_that_moved_is_counted():
    main = make_results([0.1, 0.2])
    arm = make_arm("placebo", main, [0.0, 1e-9], {"learning_rate": 0.0})
    (placebo,) = report_of(make_evidence(runs=main, arms={"placebo": arm}), (), ()).arms
    assert placebo.moved == 1


def test_the_curve_is_the_mean_over_completed_runs_at_the_steps_they_share():
    main = (*make_results([0.1, 0.2]), make_result(id="s-9", status="diverged"))
    (curve,) = report_of(make_evidence(runs=main), (), ()).curves
    assert curve.runs == 2
    assert curve.steps == tuple(range(0, 101, 10))
    assert curve.perf[-1].value == pytest.approx(0.27)


def test_equal_evidence_gives_an_equal_report():
    assert vars(sample()) == vars(sample())


def test_complete_means_nothing_is_missing():
    assert sample().complete
    assert not sample(missing=["1 of 24 runs missing"]).complete


def test_the_task_s_own_rates_of_a_table_are_not_known():
    main = make_results(np.linspace(0, 0.1, 12), lr_transfer=12_000.0)
    table = make_results(np.linspace(0, 0.1, 12), prefix="t", task="")
    for theirs, blank in ((table, True), (main, False)):
        evidence = make_evidence(runs=main, baseline=Baseline("t", theirs))
        shown = rate_blocks(report_of(evidence, (), ()), Digits(4))[0]
        own = [column.title for column in shown.columns].index("the task's own")
        assert [row[own] == "" for row in shown.rows if row[0] == "t"] == [blank]


def test_a_loss_of_which_every_run_diverged_has_no_worst_quarter():
    loss = Metric("val_loss", "arbitrary", minimised=True)
    lost = [make_result(id=f"s-0{i}", status="diverged", before=None) for i in range(4)]
    assert math.isnan(side("s", lost, 0, "shown", metric=loss).worst_quarter.value)
    half = side("s", [*lost[:2], make_result(id="s-05")], 0, "shown", metric=loss)
    assert math.isfinite(half.worst_quarter.value)


def test_a_training_function_is_named_and_its_held_out_items_are_no_prompts():
    for task, said in (
        ("own", "Trained by fit, 100 steps."),
        ("iris", "Trained by fit, task iris"),
    ):
        facts = dict(backend="own", model="fit", task=task)
        runs = [make_result(id=f"s-0{i}", delta=0.1 * i, **facts) for i in range(3)]
        text = render(report_of(make_evidence(runs=runs)), 200)
        assert said in text
        assert "measured on 512 held-out items" in text
