"""The randomness of a run: equal keys, equal draws; different keys, independent ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.training.uniforms import (
    draw_prompts,
    eval_uniforms,
    generator,
    train_uniforms,
)

seeds = st.integers(0, 2**63)


@given(seeds, st.integers(0, 1000))
def test_equal_keys_give_equal_draws(seed, step):
    first, again = (train_uniforms(seed, step, 3, 4, 5) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (3, 4, 5)
    assert first.dtype == np.float32
    assert (first >= 0).all()
    assert (first < 1).all()


def test_draws_are_pinned():
    """A different Philox key or counter would silently change every run of every sweep."""
    np.testing.assert_allclose(train_uniforms(1, 2, 1, 1, 3).ravel(), PINNED_TRAIN, atol=1e-7)
    np.testing.assert_allclose(eval_uniforms(1, 1, 1, 3).ravel(), PINNED_EVAL, atol=1e-7)
    assert draw_prompts(1, 2, 7000, 4).tolist() == PINNED_PROMPTS


PINNED_TRAIN = [0.16849995, 0.08859664, 0.19360137]
PINNED_EVAL = [0.37781113, 0.67180598, 0.39275748]
PINNED_PROMPTS = [5019, 1366, 3389, 3313]


def test_different_keys_are_independent():
    n = 4096
    streams = {
        (seed, purpose, *indices): generator(seed, purpose, *indices).random(n)
        for seed in (0, 1, 2**32)
        for purpose in ("train", "eval", "prompts", "null", "random")
        for indices in ((0,), (1,), (0, 1), (1, 1), (0, 0, 1))
    }
    bound = 5 / np.sqrt(n)
    for (one, a), (other, b) in itertools.combinations(streams.items(), 2):
        assert abs(np.corrcoef(a, b)[0, 1]) < bound, (one, other)
        # Nor does one stream run into the other some draws later.
        assert not np.isin(a[:64], b).any(), (one, other)


def test_draws_are_uniform():
    values = np.sort(eval_uniforms(5, 512, 4, 4).ravel())
    grid = (np.arange(values.size) + 0.5) / values.size
    assert np.abs(values - grid).max() < 1.95 / np.sqrt(values.size), "Kolmogorov–Smirnov at .001"


@given(seeds, st.integers(1, 20), st.integers(1, 6), st.integers(1, 9))
def test_an_evaluation_draw_depends_on_its_own_place_alone(seed, prompts, samples, tokens):
    small = eval_uniforms(seed, prompts, samples, tokens)
    large = eval_uniforms(seed, prompts + 3, samples + 2, tokens + 1)
    np.testing.assert_array_equal(large[:prompts, :samples, :tokens], small)
    assert len(np.unique(large)) > 0.99 * large.size


def test_evaluation_draws_differ_between_runs():
    assert not np.isin(eval_uniforms(1, 64, 4, 4), eval_uniforms(2, 64, 4, 4)).all()


@given(seeds, st.integers(0, 1000), st.integers(1, 50))
def test_a_step_s_prompts_are_distinct(seed, step, size):
    chosen = draw_prompts(seed, step, 50, size)
    assert chosen.shape == (size,)
    assert len(set(chosen.tolist())) == size
    assert set(chosen.tolist()) <= set(range(50))
    np.testing.assert_array_equal(chosen, draw_prompts(seed, step, 50, size))


def test_prompts_are_all_used_over_the_steps():
    used = np.concatenate([draw_prompts(3, step, 50, 10) for step in range(100)])
    assert set(used.tolist()) == set(range(50))
    assert np.bincount(used).max() < 50


def test_a_key_has_at_most_three_indices():
    with pytest.raises(ValueError, match="at most 3 indices, not 4"):
        generator(0, "train", 1, 2, 3, 4)
