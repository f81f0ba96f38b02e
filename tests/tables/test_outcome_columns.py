"""What runs are judged by, which way round, and what is asked."""

import pytest

from harness.errors import UsageError
from harness.metrics import Metric
from tests.tables.tables import deltas, read

TEXT = """run,lr,val_loss,val_acc,val_acc_se,loss_before,acc_before,delta_perf,delta_perf_se
a,1,0.5,0.75,0.1,0.75,0.25,0.1,0.01
b,2,0.25,0.5,,1,0.5,-0.1,0.02
"""


@pytest.fixture
def csv(tmp_path):
    return tmp_path / "runs.csv"


def ends(reading):
    outcome = reading.results[0].outcome
    return outcome.perf_before, outcome.perf_after, outcome.delta_perf_se


@pytest.mark.parametrize(
    ("asked", "metric", "expected", "kept"),
    [
        ({}, Metric(), [0.1, -0.1], (None, None, 0.01)),
        ({"direction": "max"}, Metric(), [0.1, -0.1], (None, None, 0.01)),
        ({"metric": "delta_perf"}, Metric(), [0.1, -0.1], (None, None, 0.01)),
        ({"direction": "min"}, Metric("ΔPerf", "no change", True), [-0.1, 0.1],
         (None, None, 0.01)),
        ({"metric": "delta_perf", "target": 0.25}, Metric("ΔPerf", "target", target=0.25),
         [-0.15, -0.35], (None, None, 0.01)),
        ({"before": "acc_before", "after": "val_acc"}, Metric("Δval_acc"), [0.5, 0.0],
         (0.25, 0.75, 0.01)),
        ({"before": "loss_before", "after": "val_loss", "direction": "min"},
         Metric("Δval_loss", "no change", True), [0.25, 0.75], (None, None, 0.01)),
        ({"metric": "val_acc", "direction": "max"}, Metric("val_acc", "arbitrary"), [0.75, 0.5],
         (None, None, 0.1)),
        ({"metric": "val_loss", "direction": "min"}, Metric("val_loss", "arbitrary", True),
         [-0.5, -0.25], (None, None, None)),
        ({"metric": "val_acc", "direction": "max", "target": 0.5},
         Metric("val_acc", "target", target=0.5), [0.25, 0.0], (None, None, 0.1)),
        ({"metric": "val_loss", "direction": "min", "target": 0.75},
         Metric("val_loss", "target", True, 0.75), [0.25, 0.5], (None, None, None)),
        ({"metric": "val_acc", "direction": "max", "target": -0.5},
         Metric("val_acc", "target", target=-0.5), [1.25, 1.0], (None, None, 0.1)),
    ],
)  # fmt: skip
def test_more_is_better_whatever_is_judged(csv, asked, metric, expected, kept):
    reading = read(csv, TEXT, **asked)
    assert reading.metric == metric
    assert deltas(reading) == pytest.approx(expected)
    assert ends(reading) == kept


def test_the_metric_is_called_without_its_prefix(csv):
    reading = read(csv, "params.lr,metrics.val/acc\n1,0.5\n", metric="val/acc", direction="max")
    assert reading.metric.name == "val/acc"
    assert "outcome: metrics.val/acc, more is better" in reading.notes


def test_perf_of_our_own_tables_is_kept_where_more_of_it_is_better(csv):
    text = "perf_before,perf_after,delta_perf\n0.25,0.5,0.25\n"
    assert ends(read(csv, text))[:2] == (0.25, 0.5)
    assert ends(read(csv, text, direction="min"))[:2] == (None, None)


def test_training_reward_is_kept_beside_a_change_and_turned_with_it(csv):
    text = "acc,train_delta_perf,delta_perf\n0.5,0.25,0.1\n0.6,,0.2\n0.7,nan,0.3\n"

    def trained(**asked):
        return [result.outcome.train_delta_perf for result in read(csv, text, **asked).results]

    assert trained() == [0.25, None, None]
    assert trained(direction="min") == [-0.25, None, None]
    assert trained(metric="acc", direction="max") == [None, None, None]


def test_what_is_not_judged_is_said_to_be_ignored(csv):
    said = read(csv, TEXT, metric="val_loss", direction="min").notes
    assert "not used, not what the runs are judged by: delta_perf, delta_perf_se" in said
    assert not any("delta_perf" in line for line in read(csv, TEXT).notes if "ignored" in line)


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ({"metric": "lr"}, ["--metric lr", "--direction max or --direction min"]),
        ({"before": "acc_before"}, ["--before needs --after COL"]),
        ({"after": "val_acc"}, ["--after needs --before COL"]),
        ({"before": "val_acc", "after": "val_acc"}, ["both name 'val_acc'"]),
        ({"metric": "val_acc", "after": "val_acc"}, ["--before and --after by two: give either"]),
        ({"target": 0.5}, ["--target is a value of the metric", "--metric"]),
        ({"before": "loss_before", "after": "val_loss"}, ["val_loss seems", "--direction min"]),
    ],
)
def test_what_cannot_be_known_is_asked(csv, asked, parts):
    with pytest.raises(UsageError) as caught:
        read(csv, TEXT, **asked)
    for part in parts:
        assert part in str(caught.value)


def test_a_loss_may_be_maximised_if_one_says_so(csv):
    reading = read(csv, TEXT, before="loss_before", after="val_loss", direction="max")
    assert deltas(reading) == [-0.25, -0.75]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("run,lr,note,acc,loss\na,1,x,0.5,0.2\n",
         ["'acc', 'loss' may each be", "--metric acc --direction max or --metric loss --direction "
          "min"]),
        ("run,seed,steps\na,1,100\n", ["no column of numbers"]),
        ("number,state,value,params_lr\n1,COMPLETE,0.5,1\n",
         ["'value' may be", "--metric value --direction max or --metric value --direction min"]),
        ("x,a,b,c,d,e,f,g,h,i\n" + ",".join("1" * 10) + "\n",
         ["'i', 'h', 'g', 'f', 'e', 'd', 'b', 'a' and 2 more", "--metric i --direction max"]),
    ],
)  # fmt: skip
def test_without_an_outcome_the_candidates_are_named(csv, text, parts):
    with pytest.raises(UsageError) as caught:
        read(csv, text)
    for part in parts:
        assert part in str(caught.value), str(caught.value)
