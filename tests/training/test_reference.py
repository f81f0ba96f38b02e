"""The NumPy reference itself: its gradients by finite differences, its sampling by frequencies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.training import grpo, reference

SHAPE = (2, 3, 4)
VOCABULARY = 5


@pytest.fixture
def numbers():
    draws = np.random.default_rng(2)
    logits = draws.standard_normal((*SHAPE, VOCABULARY))
    completions = draws.integers(VOCABULARY, size=SHAPE)
    chosen = np.take_along_axis(reference.log_softmax(logits), completions[..., None], -1)[..., 0]
    return {
        "logits": logits,
        "completions": completions,
        "mask": reference.completion_mask(completions, end=0),
        "advantages": draws.standard_normal(SHAPE[:2]),
        "reference": draws.standard_normal((*SHAPE, VOCABULARY)),
        "old_log_probs": chosen,
    }


@pytest.mark.parametrize("kl_coef", [0.0, 0.7])
@pytest.mark.parametrize("entropy_coef", [0.0, 0.4])
@pytest.mark.parametrize("off_policy", [0.0, 0.3])
def test_the_gradient_is_that_of_finite_differences(numbers, kl_coef, entropy_coef, off_policy):
    numbers["old_log_probs"] = numbers["old_log_probs"] - off_policy
    coefficients = {"kl_coef": kl_coef, "entropy_coef": entropy_coef}
    _, gradient = reference.grpo_loss(**numbers, **coefficients)
    logits, step = numbers.pop("logits"), 1e-6
    for index in np.ndindex(*logits.shape):
        ends = []
        for sign in (-1, 1):
            moved = logits.copy()
            moved[index] += sign * step
            ends.append(reference.grpo_loss(moved, **numbers, **coefficients)[0])
        assert gradient[index] == pytest.approx((ends[1] - ends[0]) / (2 * step), abs=1e-8)


def test_on_policy_is_the_default(numbers):
    loss, gradient = reference.grpo_loss(**numbers)
    numbers.pop("old_log_probs")
    assert reference.grpo_loss(**numbers)[0] == pytest.approx(loss)
    np.testing.assert_allclose(reference.grpo_loss(**numbers)[1], gradient)


def test_masked_tokens_do_not_count(numbers):
    loss, gradient = reference.grpo_loss(**numbers, kl_coef=0.7, entropy_coef=0.4)
    masked = numbers["mask"] == 0
    assert masked.any()
    assert (gradient[masked] == 0).all()
    numbers["logits"] = np.where(masked[..., None], 9.0, numbers["logits"])
    assert reference.grpo_loss(**numbers, kl_coef=0.7, entropy_coef=0.4)[0] == pytest.approx(loss)


def test_the_mask_ends_with_the_first_end():
    completions = np.array([[1, 0, 2, 0], [0, 0, 0, 0], [1, 2, 3, 4]])
    expected = [[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]]
    np.testing.assert_array_equal(reference.completion_mask(completions, 0), expected)


def test_kl_and_entropy_of_known_distributions():
    half, sure = np.log([0.5, 0.5]), np.log([0.9, 0.1])
    assert reference.entropy(half) == pytest.approx(np.log(2))
    expected = 0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5)
    assert reference.kl_divergence(sure, half) == pytest.approx(expected)
    assert reference.kl_divergence(sure, sure) == 0


@given(st.lists(st.floats(-5, 5), min_size=4, max_size=4), st.integers(0, 1000))
def test_kl_is_never_negative(logits, seed):
    other = np.random.default_rng(seed).standard_normal(4)
    assert reference.kl_divergence(np.array(logits), other) >= -1e-12


def test_samples_have_the_distribution_s_frequencies():
    uniforms = (np.arange(10_000) + 0.5) / 10_000
    tokens = reference.sample(np.tile(np.log([0.25, 0.5, 0.25]), (10_000, 1)), uniforms)
    np.testing.assert_allclose(np.bincount(tokens) / 10_000, [0.25, 0.5, 0.25], atol=1e-4)


def test_a_uniform_of_one_draws_the_last_token():
    assert reference.sample(np.zeros((1, 3)), np.array([1.0])).tolist() == [2]


rewards = st.lists(
    st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=6, max_size=6), min_size=1, max_size=4
)


@given(rewards, st.floats(0.5, 4))
def test_the_trainers_advantages_are_the_reference_s(rewards, clip):
    got = grpo.group_advantages(np.array(rewards, dtype=np.float32), clip)
    np.testing.assert_allclose(got, reference.advantages(np.array(rewards), clip), atol=2e-5)


@given(rewards)
def test_advantages_are_centred_and_clipped_and_keep_the_order(rewards):
    array = np.array(rewards, dtype=np.float32)
    got = grpo.group_advantages(array, 2.0)
    assert got.dtype == np.float32
    assert (np.abs(got) <= 2).all()
    for row, group in zip(got, array, strict=True):
        assert (np.diff(row[np.argsort(group, kind="stable")]) >= 0).all()
        if np.ptp(group) == 0:
            assert (row == 0).all()
        elif (np.abs(row) < 2).all():
            assert row.mean() == pytest.approx(0, abs=1e-5)
            assert row.std() == pytest.approx(1, abs=1e-4)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 100))
def test_microbatches_cover_everything_once(rows, group, most):
    covered = np.zeros((rows, group), dtype=int)
    for part in grpo.microbatches(rows, group, most):
        assert 0 < covered[part].size <= most
        covered[part] += 1
    assert (covered == 1).all()
    assert len(list(grpo.microbatches(rows, group, None))) == 1
