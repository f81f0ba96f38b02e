"""Scores by item compared."""

import math

import numpy as np
import pytest
from scipy import stats

from harness.errors import UsageError
from harness.observations.items import before_and_after, compare
from harness.records import ItemScores


def test_a_run_is_compared_with_itself_before_training():
    found = before_and_after(ItemScores((1.0, 0.5, 0.0, 0.5), (0.5, 0.5, 1.0, 0.25), tuple("abcd")))
    assert (found.rose, found.fell) == (2, 1)
    assert found.changed == (("c", 1.0, 0.0), ("a", 0.5, 1.0), ("d", 0.25, 0.5))
    assert found.mean.value == pytest.approx(-0.0625)


def test_without_scores_before_there_is_nothing_to_compare():
    assert before_and_after(ItemScores((1.0, 0.5))) is None


def test_items_without_ids_are_named_by_their_position_from_one():
    found = before_and_after(ItemScores((1.0, 1.0), (1.0, 0.0)))
    assert found.changed == (("2", 0.0, 1.0),)


def test_two_runs_are_matched_by_id():
    one = ItemScores((0.1, 0.2, 0.3, 0.9), ids=tuple("abcx"), clusters=tuple("ppqr"))
    other = ItemScores((0.5, 0.25, 0.1), ids=tuple("cba"))
    found = compare(one, other)
    assert list(found.items) == ["a", "b", "c"]
    assert found.first.tolist() == [0.1, 0.2, 0.3]
    assert found.second.tolist() == [0.1, 0.25, 0.5]
    assert found.clusters == ("p", "p", "q")
    assert found.unmatched == (1, 0)
    turned = compare(other, one)
    assert list(turned.items) == ["c", "b", "a"]
    assert turned.clusters == ("q", "p", "p")
    assert turned.mean.value == pytest.approx(-found.mean.value)


def test_two_runs_without_ids_are_matched_by_position():
    found = compare(ItemScores((0.1, 0.2)), ItemScores((0.3, 0.2), clusters=("a", "b")))
    assert found.changed == (("1", 0.1, 0.3),)
    assert found.clusters == ("a", "b")


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (ItemScores((0.1,)), ItemScores((0.1, 0.2)), "have no ids, and there are 1 and 2"),
        (ItemScores((0.1,)), ItemScores((0.1,), ids=("a",)), "of the other have none"),
        (ItemScores((0.1,), ids=("b",)), ItemScores((0.1,), ids=("a",)), "no item of one has"),
        (ItemScores((0.1, 0.2), ids=("a", "a")), ItemScores((0.1,), ids=("a",)), "the id 'a'"),
    ],
)
def test_items_that_cannot_be_matched_are_one_line(one, other, said):
    for pair in ((one, other), (other, one)):
        with pytest.raises(UsageError, match=said.replace("1 and 2", r"\d and \d")):
            compare(*pair)


def test_the_interval_is_by_cluster_where_clusters_are_known():
    rng = np.random.default_rng(0)
    shared = np.repeat(rng.normal(size=20), 10)
    after = tuple((0.5 + 0.1 * shared).tolist())
    items, grouped = (
        before_and_after(ItemScores(after, (0.5,) * 200, (), clusters))
        for clusters in ((), tuple(str(at // 10) for at in range(200)))
    )
    assert items.mean.value == grouped.mean.value
    by_cluster = stats.ttest_1samp(0.1 * shared[::10], 0.0).confidence_interval(0.95)
    assert (grouped.mean.low, grouped.mean.high) == pytest.approx(tuple(by_cluster))
    assert items.mean.error < grouped.mean.error / 2
    assert grouped.mean.method == "Student's t by cluster"


def test_two_clusters_give_no_interval():
    found = before_and_after(ItemScores((0.1, 0.2, 0.3), (0.0,) * 3, (), ("a", "a", "b")))
    assert (found.mean.low, found.mean.high) == (-math.inf, math.inf)
