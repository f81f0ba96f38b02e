"""The values of judging, where they do more than hold what they are given."""

import pytest

from harness.metrics import DELTA_PERF, Metric
from harness.verdicts import Counts


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("ΔPerf > 0", "above zero"),
        ("delta_perf>0.0", "above zero"),
        ("`Delta Perf > 0`", "above zero"),
        ("ΔPerf > 0.1", None),
        ("reward above zero", None),
    ],
)
def test_published_rules_are_read(words, rule):
    assert Counts("published", 6, 19, words, "a summary").known_rule(DELTA_PERF) == rule


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("val_loss < 0.3", "above zero"),
        ("`Val Loss` <.30", "above zero"),
        ("", "above zero"),
        ("val_loss > 0.3", None),
        ("val_loss < 0.4", None),
        ("val_loss < 0.3 or so", None),
        ("val_loss < 1.2.3", None),
        ("ΔPerf > 0", None),
    ],
)
def test_a_rule_on_another_metric_is_read_by_its_name_direction_and_target(words, rule):
    counts = Counts("published", 6, 19, words, "a summary")
    assert counts.known_rule(Metric.final("val_loss", "min", 0.3)) == rule


def test_a_rule_may_name_a_target_below_zero():
    metric = Metric.final("score", "max", -1.5)
    assert Counts("p", 6, 19, "score > −1.5", "a paper").known_rule(metric) == "above zero"


@pytest.mark.parametrize(
    ("metric", "value", "outcome"),
    [
        (Metric.final("val_loss", "min"), 0.31, -0.31),
        (Metric.final("val_loss", "min", 0.5), 0.25, 0.25),
        (Metric.final("acc", "max", 0.5), 0.25, -0.25),
        (DELTA_PERF, 0.25, 0.25),
    ],
)
def test_a_metric_turns_values_and_turns_them_back(metric, value, outcome):
    assert metric.outcome(value) == outcome
    assert metric.level(outcome) == value
    low, high = metric.ends(outcome - 0.125, outcome + 0.125)
    assert (low, high) == (value - 0.125, value + 0.125)
    assert metric.change(0.125) == (-0.125 if metric.minimised else 0.125)


def test_the_words_of_a_metric_follow_its_direction():
    loss, acc = Metric.final("val_loss", "min"), Metric.final("acc", "max")
    assert (loss.improving.rises, loss.worsening.rises) == ("falls", "rises")
    assert (acc.improving.higher, loss.improving.higher) == ("higher", "lower")
    assert (acc.direction, loss.direction) == ("max", "min")
    assert (DELTA_PERF.measure, loss.measure) == ("perf", "val_loss")
