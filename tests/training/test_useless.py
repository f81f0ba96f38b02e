"""Rewards that say nothing: permuted within their group, or a fair coin."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records import USELESS
from harness.training.grpo import group_advantages
from harness.training.useless import coins, permutation, rewards_of

seeds = st.integers(0, 2**63)
shapes = st.integers(1, 6), st.integers(2, 12)


@given(seeds, st.integers(0, 1000), *shapes)
def test_a_permutation_stays_within_its_group(seed, step, rows, group):
    rewards = np.arange(rows * group, dtype=np.float32).reshape(rows, group)
    permuted = rewards_of("null", seed, step, rewards)
    np.testing.assert_array_equal(np.sort(permuted, axis=1), rewards)
    np.testing.assert_array_equal(permuted, rewards_of("null", seed, step, rewards))
    groups = np.repeat(np.arange(rows), group)
    order = permutation(groups, seed, step, 0)
    np.testing.assert_array_equal(groups[order], groups)
    np.testing.assert_array_equal(np.sort(order), np.arange(rows * group))


def test_groups_are_permuted_apart_from_each_other():
    rewards = np.tile(np.arange(32, dtype=np.float32), (4, 1))
    permuted = rewards_of("null", 1, 0, rewards)
    for one, other in itertools.combinations(permuted, 2):
        assert (one != other).any()
    assert (permuted != rewards_of("null", 1, 1, rewards)).any()


@given(seeds, st.integers(0, 1000), *shapes, st.floats(-5, 5))
def test_a_coin_does_not_depend_on_the_rewards(seed, step, rows, group, reward):
    first = rewards_of("random", seed, step, np.full((rows, group), reward, dtype=np.float32))
    other = rewards_of("random", seed, step, np.zeros((rows, group), dtype=np.float64))
    np.testing.assert_array_equal(first, other)
    assert (first.dtype, other.dtype) == (np.float32, np.float64)
    assert set(np.unique(first)) <= {0.0, 1.0}
    np.testing.assert_array_equal(first.ravel(), coins(rows * group, seed, step))


def test_a_coin_is_fair_and_each_key_tosses_its_own():
    keys = list(itertools.product((1, 2), (0, 1), (0, 1)))
    tossed = np.array([coins(4096, *key) for key in keys])
    assert np.abs(tossed.mean(axis=1) - 0.5).max() < 4 * 0.5 / 64
    apart = np.corrcoef(tossed)[~np.eye(len(keys), dtype=bool)]
    assert np.abs(apart).max() < 5 / 64


def test_what_is_drawn_is_pinned():
    """Another draw would silently change every stored run of these arms."""
    rewards = np.arange(8.0).reshape(2, 4)
    assert rewards_of("null", 3, 2, rewards).tolist() == PINNED_NULL
    assert permutation(np.arange(8) % 2, 3, 2, 0).tolist() == PINNED_ORDER
    assert rewards_of("random", 3, 2, rewards).tolist() == PINNED_RANDOM


PINNED_NULL = [[2.0, 1.0, 0.0, 3.0], [5.0, 6.0, 7.0, 4.0]]
PINNED_ORDER = [4, 3, 2, 5, 0, 7, 6, 1]
PINNED_RANDOM = [[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]


@pytest.mark.parametrize("arm", ["main", "placebo", "half", "batch_size"])
def test_the_other_arms_learn_from_the_rewards_themselves(arm):
    rewards = np.arange(6.0).reshape(2, 3)
    assert rewards_of(arm, 1, 2, rewards) is rewards


@pytest.mark.parametrize("arm", USELESS)
def test_neither_says_anything_of_the_completions(arm):
    """Whatever the completions are worth, an advantage does not go with it."""
    rewards = np.tile([0.0, 0.0, 0.0, 1.0], (64, 1)).astype(np.float32)
    found = [group_advantages(rewards_of(arm, 1, step, rewards), 2.0) for step in range(50)]
    worth = [float((one * (rewards - 0.25)).mean()) for one in found]
    assert abs(np.mean(worth)) < 4 * np.std(worth) / np.sqrt(len(worth))
    assert np.mean(group_advantages(rewards, 2.0) * (rewards - 0.25)) > 0.2


def test_equal_rewards_teach_nothing_permuted_and_something_at_random():
    """A task that is never solved moves no permuted run, and does move one with random rewards."""
    rewards = np.zeros((8, 16), dtype=np.float32)
    assert not group_advantages(rewards_of("null", 1, 2, rewards), 2.0).any()
    moved = np.abs(group_advantages(rewards_of("random", 1, 2, rewards), 2.0)).max(axis=1)
    assert (moved > 0.5).all()
