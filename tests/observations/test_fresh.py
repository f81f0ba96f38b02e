"""The runs that confirm leaders, seed by seed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from harness.observations.fresh import by_item, fresh_runs, in_blocks
from harness.records import ItemScores
from tests.factories import make_confirmed, make_result, make_results

MAIN = make_results([0.1, 0.2])


def test_runs_are_told_by_place_and_seed_whatever_their_order():
    results = make_confirmed([[0.0, 0.1, None], [0.2, 0.4, 0.3]], [{"lr": 1.0}, MAIN[1]])
    reference, leader = fresh_runs(reversed(results))
    assert (reference.place, reference.run, reference.config["lr"]) == (0, None, 1.0)
    assert dict(reference.outcomes) == {0: 0.0, 1: 0.1, 2: None}
    assert (reference.diverged, reference.is_lost) == (1, False)
    assert (leader.place, leader.run, leader.values.tolist()) == (1, "s-01", [0.2, 0.4, 0.3])


def test_what_has_not_finished_or_has_no_result_is_left_out():
    results = make_confirmed([[0.0, math.nan], [0.2, 0.3]], MAIN)
    stopped = make_result(arm="confirm", index=2, status="interrupted")
    fresh = fresh_runs([*results, stopped])
    assert [dict(one.outcomes) for one in fresh] == [{0: 0.0}, {0: 0.2, 1: 0.3}]
    assert fresh_runs([]) == ()


def test_blocks_are_the_seeds_that_both_have():
    ours, theirs = fresh_runs(
        make_confirmed([[0.3, None, 0.1, None, 0.2], [0.1, 0.2, None, None]], MAIN)
    )
    pairs = in_blocks(ours, theirs)
    assert pairs.differences == pytest.approx([0.2])
    assert (pairs.lost.tolist(), pairs.won.tolist(), pairs.both) == ([0.2], [0.1], 1)
    assert pairs.number == 4, "the fifth seed has one side only"
    other = in_blocks(theirs, ours)
    assert other.differences == pytest.approx([-0.2])
    assert (other.lost.tolist(), other.won.tolist(), other.both) == ([0.1], [0.2], 1)


def test_a_config_is_lost_where_every_run_diverged():
    lost, other = fresh_runs(make_confirmed([[None, None], [None, 0.1]], MAIN))
    assert (lost.is_lost, other.is_lost) == (True, False)
    assert lost.values.size == 0


def with_items(rows, **named):
    """Fresh runs of a reference and a leader with the scores of their items, seed by seed."""
    made = []
    for result in make_confirmed([[0.0] * len(row) for row in rows], MAIN):
        scores = rows[result.run.index][result.run.repeat]
        items = None if scores is None else ItemScores(after=scores, **named)
        made.append(replace(result, outcome=replace(result.outcome, items=items)))
    return fresh_runs(made)


def test_configs_are_compared_item_by_item_over_the_seeds_that_both_have():
    reference, leader = with_items(
        [
            [(0.0, 0.5, 1.0), (0.0, 0.5, 0.0), (1.0, 1.0, 1.0)],
            [(1.0, 0.5, 1.0), (0.5, 0.5, 0.0), None],
        ]
    )
    found = by_item(leader, reference)
    assert found.first.tolist() == [0.0, 0.5, 0.5]
    assert found.second.tolist() == [0.75, 0.5, 0.5]
    assert (found.rose, found.fell, found.mean.value) == (1, 0, pytest.approx(0.25))


def test_items_that_are_not_known_or_not_the_same_are_not_compared():
    reference, leader = with_items([[None, None], [(1.0, 0.0), None]])
    assert by_item(leader, reference) is None
    reference, leader = with_items([[(1.0, 0.0)], [(1.0, 0.0, 1.0)]])
    assert by_item(leader, reference) is None
    reference, leader = with_items([[(1.0, 0.0), (0.0,)], [(1.0, 0.0), (1.0,)]])
    assert by_item(leader, reference) is None, "the second seed has other items"
