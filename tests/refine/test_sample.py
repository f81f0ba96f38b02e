"""The best of what is given up, and what is left of it after it was chosen among all."""

import numpy as np
import pytest

from harness.metrics import DELTA_PERF, Metric
from harness.observations.selection import selection
from harness.refine.sample import best_of, sample_of
from tests.factories import make_result, make_results

DELTAS = [0.01, 0.05, -0.02, 0.03, 0.08, 0.0, 0.02]


def test_what_is_left_of_each_outcome_is_that_of_the_whole_sample():
    runs = make_results(DELTAS, se=0.02, parameters={"width": [1, 2, 1, 2, 1, 2, 1]})
    found, sample = selection(runs), sample_of(runs, DELTA_PERF)
    assert sample.left.tolist() == [found.of[run.run.id].shrunk for run in runs]
    part = sample.having("width", 1)
    assert part.left.tolist() == [found.of[run.run.id].shrunk for run in runs[::2]]


def test_of_a_run_that_diverged_or_has_no_noise_nothing_is_left_to_say():
    runs = [*make_results(DELTAS, se=0.02), make_result(id="lost", status="diverged")]
    assert np.isnan(sample_of(runs, DELTA_PERF).left).tolist() == [False] * 7 + [True]
    assert np.isnan(sample_of(make_results([0.1, 0.2, 0.3], se=None), DELTA_PERF).left).all()


@pytest.mark.parametrize(
    ("left", "metric", "said"),
    [
        (0.05, DELTA_PERF, "+0.080 (+0.050 after selection)"),
        (np.nan, DELTA_PERF, "+0.080"),
        (-0.5, Metric.final("loss", "min"), "-0.080 (0.500 after selection)"),
    ],
)
def test_the_best_is_written_with_what_is_left_of_it(left, metric, said):
    told = best_of(np.array([0.02, 0.08, 0.04]), np.array([0.0, left, 0.0]), metric)
    assert told.replace("−", "-") == said
