"""Scores of items in clusters give errors by cluster."""

import numpy as np
import pytest

from harness.executors.outcomes import sound
from harness.records import Job
from harness.training import scores
from harness.training.run import train
from tests.factories import make_result

CLUSTERS = ["a", "a", "b", "b", "c", "c"]
BEFORE = [0.0, 0.0, 0.5, 0.5, 1.0, 0.0]
AFTER = [0.5, 0.5, 0.5, 0.5, 0.0, 1.0]


def test_a_change_is_told_by_cluster():
    before = scores.read("run.before", BEFORE, clusters=CLUSTERS)
    after = scores.like("run.after", scores.read("run.after", AFTER), before)
    change = scores.change(before, after)
    assert change.delta == pytest.approx(1 / 6)
    # sums of deviations by cluster: 2/3, −1/3, −1/3; their squares times 3/2, over 6²
    assert change.se == pytest.approx(np.sqrt(6 / 9 * 3 / 2) / 6)
    assert (change.items, change.changed) == (6, 4)
    assert (change.clusters, change.clusters_changed) == (pytest.approx(3.0), 1)


@pytest.mark.parametrize("metric", ["", "accuracy"])
def test_a_run_keeps_its_clusters(tmp_path, metric):
    of = make_result()
    job = Job(of.key, of.run, of.conditions, str(tmp_path), "", metric=metric)

    def measured(run):
        run.before(BEFORE, items=range(6), clusters=CLUSTERS)
        run.after(AFTER)

    outcome = sound(train(measured, job, lambda progress: None), metric)
    assert outcome.status == "completed"
    assert outcome.clusters == pytest.approx(3.0)
    assert outcome.clusters_changed == (None if metric else 1)
    assert outcome.items.clusters == tuple(CLUSTERS)
    assert outcome.items.ids == ("0", "1", "2", "3", "4", "5")
    assert outcome.items.after == tuple(AFTER)
