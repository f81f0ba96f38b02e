"""What a trainer returns is checked before it is stored."""

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.executors.outcomes import sound
from harness.records import Evaluation, ItemScores, Outcome


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"delta_perf": 6.9}, "delta_perf 6.9, expected -1 to 1 (divide percentages by 100)"),
        ({"delta_perf": 0.1, "delta_perf_se": 1.2}, "delta_perf_se 1.2, expected 0 to 1"),
        ({"delta_perf": 0.1, "delta_perf_se": -0.1}, "delta_perf_se -0.1, expected 0 to 1"),
        ({"delta_perf": 0.1, "perf_after": 45.6}, "perf_after 45.6, expected a score from 0 to 1"),
        ({"delta_perf": 0.1, "curve": (Evaluation(5, 0.3, 0.1, 0), Evaluation(9, 45.6, 0.1, 0))},
         "perf (step 9) 45.6, expected a score from 0 to 1"),
        ({"delta_perf": 0.1, "weights_moved": 37.0}, "weights_moved 37, expected a share from 0"),
        ({"delta_perf": 0.2, "perf_before": 0.3, "perf_after": 0.4}, "perf_after - perf_before"),
    ],
)  # fmt: skip
def test_figures_of_another_unit_fail_the_run(figures, said):
    outcome = sound(Outcome("completed", **figures))
    assert outcome.status == "failed"
    assert said in outcome.error


def test_scores_are_taken_as_they_are():
    curve = (Evaluation(0, 0.0, 0.1, 0), Evaluation(9, 1.0, 0.1, 3.0))
    given = Outcome("completed", perf_before=0.0, perf_after=1.0, delta_perf=1.0, curve=curve)
    assert sound(given) == given


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        (Outcome("completed", value=2.31), "completed", None),
        (Outcome("completed", value=-45.6, delta_perf_se=3.0), "completed", None),
        (Outcome("completed", value=math.nan), "diverged", "val_loss is not a finite number"),
        (Outcome("completed", value=math.inf), "diverged", "val_loss is not a finite number"),
        (Outcome("completed", delta_perf=0.1), "failed", "without a value, the final val_loss"),
        (Outcome("completed", value=2.0, delta_perf_se=-1.0), "failed", "of val_loss of -1, exp"),
        (Outcome("completed", value=2.0, prompts=0), "failed", "prompts 0, expected at least 1"),
        (Outcome("diverged", error="it broke down"), "diverged", "it broke down"),
    ],
)
def test_a_run_of_a_sweep_with_its_own_metric_has_a_finite_value(given, status, said):
    curve = (Evaluation(0, 2.7, math.nan, 0), Evaluation(9, 45.6, 0.1, 0))
    outcome = sound(replace(given, curve=curve), "val_loss")
    assert (outcome.status, len(outcome.curve)) == (status, 2)
    assert said is None or said in outcome.error
    if status == "completed":
        assert outcome.value == given.value


def test_a_value_of_a_sweep_that_measures_perf_says_where_to_declare_it():
    outcome = sound(Outcome("completed", value=2.31))
    assert outcome.status == "failed"
    assert outcome.error.endswith('declare it: Sweep(metric="…", direction="min")')


def test_scores_by_item_become_plain_ones():
    given = ItemScores(np.array([0.5, 1.0]), np.float32([0, 1]), [3, "b"], np.array(["x", "y"]))
    found = sound(Outcome("completed", delta_perf=0.25, items=given)).items
    assert repr(found) == repr(ItemScores((0.5, 1.0), (0.0, 1.0), ("3", "b"), ("x", "y")))
    lost = ItemScores([0.5, float("nan")])
    assert sound(Outcome("completed", delta_perf=0.25, items=lost)).items is None


@pytest.mark.parametrize("part", ["before", "ids", "clusters"])
def test_another_number_of_items_fails_the_run(part):
    items = ItemScores([0.5, 0.5], **{part: ["1"]})
    outcome = sound(Outcome("completed", delta_perf=0.0, items=items))
    assert outcome.status == "failed"
    assert f"returned items with 1 {part}, but 2 scores after training" in outcome.error
