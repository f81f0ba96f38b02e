"""Learning curves from a long table."""

import math

import pytest

from harness.errors import UsageError
from tests.tables.tables import read, write

RUNS = "run,lr,val_loss,delta_perf\na,1,0.5,0.1\n1e5,2,0.4,0.2\n"
CURVES = "run,step,perf,se\na,50,0.2,0.01\na,0,0.1,\na,100,0.3,0.02\n1e5,100,0.5,0.01\n"


@pytest.fixture
def csv(tmp_path):
    return tmp_path / "runs.csv"


def read_with(csv, curves, text=RUNS, **asked):
    return read(csv, text, curves=write(csv.with_name("curves.csv"), curves), **asked)


def refused(csv, curves, *parts, **asked):
    with pytest.raises(UsageError) as caught:
        read_with(csv, curves, **asked)
    for part in parts:
        assert part in str(caught.value), str(caught.value)


def points(result):
    return [(point.step, point.perf, point.reward) for point in result.outcome.curve]


def test_curves_are_attached_by_run_in_the_order_of_their_steps(csv):
    reading = read_with(csv, CURVES)
    one, two = reading.results
    assert points(one) == [(0, 0.1, 0.1), (50, 0.2, 0.2), (100, 0.3, 0.3)]
    assert [point.se for point in one.outcome.curve][1:] == [0.01, 0.02]
    assert math.isnan(one.outcome.curve[0].se)
    assert points(two) == [(100, 0.5, 0.5)]
    assert "curves: 4 points of perf over step, of 2 runs, from curves.csv" in reading.notes


def test_the_last_step_of_a_curve_is_the_run_s_where_no_column_counts_steps(csv):
    assert [r.run.steps for r in read_with(csv, CURVES).results] == [100, 100]
    counted = read_with(csv, CURVES, text="run,steps,delta_perf\na,200,0.1\n1e5,,0.2\n")
    assert [r.run.steps for r in counted.results] == [200, 0]


def test_a_curve_of_a_minimised_metric_is_turned(csv):
    curves = "run_id,_step,val_loss,val_loss_se\na,0,0.9,0.1\na,10,0.5,0.1\n"
    reading = read_with(csv, curves, metric="val_loss", direction="min")
    assert points(reading.results[0]) == [(0, -0.9, -0.9), (10, -0.5, -0.5)]
    assert reading.results[0].outcome.curve[0].se == 0.1
    assert reading.results[1].outcome.curve == ()


def test_points_without_a_number_are_missing(csv):
    curves = "run,step,perf\na,0,0.1\na,10,\na,20,0.4\na,30,nan\n1e5,0,0.1\n1e5,30,0.2\n"
    reading = read_with(csv, curves)
    assert [step for step, *_ in points(reading.results[0])] == [0, 20]
    assert [result.run.steps for result in reading.results] == [30, 30]
    assert [len(result.gaps) for result in reading.results] == [1, 0]
    assert any("2 without a number" in line for line in reading.notes)
    assert any("a has no perf at every step of its curve" in line for line in reading.notes)


def test_a_run_that_diverged_keeps_its_curve(csv):
    text = "run,status,delta_perf\na,diverged,\n1e5,completed,0.2\n"
    assert len(read_with(csv, CURVES, text=text).results[0].outcome.curve) == 3


def test_points_of_a_run_that_is_not_finished_do_no_harm(csv):
    text = "run,status,delta_perf\na,running,\n1e5,completed,0.2\n"
    assert len(read_with(csv, CURVES, text=text).results) == 1


@pytest.mark.parametrize(
    ("curves", "parts"),
    [
        ("run,step,perf\na,0,0.1\nz,0,0.1\n", ["curves.csv, line 3", "no run 'z'", "'a', '1e5'"]),
        ("run,step,perf\na,0,0.1\na,0.0,0.2\n", ["line 3", "second point at step 0"]),
        ("run,step,perf\na,,0.1\n", ["line 2: no step"]),
        ("run,step,perf\na,0.5,0.1\n", ["line 2", "0.5", "whole number"]),
        ("run,step,perf\na,-5,0.1\n", ["line 2", "at least 0"]),
        ("run,step,perf\na,0,high\n", ["line 2", "'high'", "no number"]),
        ("run,step,perf,se\na,0,0.1,-1\n", ["line 2", "standard error -1"]),
        ("run,step,score\na,0,0.1\n", ["no column 'perf'", "run, step, score"]),
        ("step,perf\n0,0.1\n", ["no column 'run'"]),
        ("run,perf\na,0.1\n", ["no column 'step'"]),
        ("run,step,perf\n", ["no rows"]),
    ],
)
def test_curves_that_cannot_be_read(csv, curves, parts):
    refused(csv, curves, *parts)


def test_curves_need_ids(csv):
    refused(csv, CURVES, "no column of run ids", "--curves", text="lr,delta_perf\n1,0.1\n")
