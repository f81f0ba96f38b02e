"""The decoder in JAX: generation with a cache against teacher forcing, inverse-CDF sampling."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from harness.training import reference, warm_start
from harness.training.tasks import get_task

with contextlib.suppress(ModuleNotFoundError):
    import jax.numpy as jnp

    from harness.training import device_jax, model_jax

pytestmark = pytest.mark.jax

TASK = get_task("addition")
ROWS, GROUP, LENGTH = 5, 3, TASK.max_tokens


@pytest.fixture(scope="module")
def weights():
    """Return untrained weights, made less even so that tokens differ."""
    device_jax.open_device("cpu")
    untrained = warm_start.initial_weights(TASK)
    return {name: array * (3 if array.ndim == 2 else 1) for name, array in untrained.items()}


@pytest.fixture(scope="module")
def parameters(weights):
    return {name: jnp.asarray(array.T) for name, array in weights.items()}


@pytest.fixture(scope="module")
def prompts():
    return TASK.prompts("train")[:ROWS].astype(np.int32)


@pytest.fixture(scope="module")
def uniforms():
    return np.random.default_rng(7).random((ROWS, GROUP, LENGTH), dtype=np.float32)


def logits_of(parameters, prompts, completions):
    """Return teacher-forced logits as ``[rows, group, tokens, vocabulary]``."""
    logits = model_jax.completion_logits(parameters, TASK.shape, prompts, completions)
    return np.asarray(logits).transpose(2, 3, 1, 0)


def test_logits_are_the_reference_s_of_each_sequence_alone(weights, parameters, prompts):
    draws = np.random.default_rng(3)
    completions = draws.integers(TASK.vocabulary, size=(ROWS, GROUP, LENGTH)).astype(np.int32)
    got = logits_of(parameters, prompts, completions)
    assert got.shape == (ROWS, GROUP, LENGTH, TASK.vocabulary)
    for row in range(ROWS):
        for member in range(GROUP):
            sequence = np.concatenate([prompts[row], completions[row, member, :-1]])
            alone = reference.decoder_logits(weights, TASK.shape.layers, TASK.shape.heads, sequence)
            wanted = alone[TASK.prompt_tokens - 1 :]
            np.testing.assert_allclose(got[row, member], wanted, atol=1e-5 * np.abs(wanted).max())


def test_a_large_vocabulary_is_indexed(parameters, prompts, monkeypatch):
    draws = np.random.default_rng(3)
    completions = draws.integers(TASK.vocabulary, size=(ROWS, GROUP, LENGTH)).astype(np.int32)
    by_product = logits_of(parameters, prompts, completions)
    monkeypatch.setattr(model_jax, "FEW_TOKENS", TASK.vocabulary - 1)
    np.testing.assert_allclose(logits_of(parameters, prompts, completions), by_product, atol=1e-6)


def test_generated_tokens_are_those_drawn_from_the_logits(parameters, prompts, uniforms):
    tokens = model_jax.generate(parameters, TASK.shape, prompts, uniforms, end=TASK.vocabulary)
    drawn = reference.sample(logits_of(parameters, prompts, tokens), uniforms)
    np.testing.assert_array_equal(tokens, drawn)
    assert len(np.unique(tokens)) > 4


def test_after_its_end_a_completion_is_filled_with_it(parameters, prompts, uniforms):
    free, ended = (
        np.asarray(model_jax.generate(parameters, TASK.shape, prompts, uniforms, end=end))
        for end in (TASK.vocabulary, 3)
    )
    assert (free == 3).any()
    for kept, other in zip(ended.reshape(-1, LENGTH), free.reshape(-1, LENGTH), strict=True):
        stop = next((i for i, token in enumerate(other) if token == 3), LENGTH)
        np.testing.assert_array_equal(kept[:stop], other[:stop])
        assert (kept[stop:] == 3).all()


def test_completions_of_one_token_need_no_more_than_the_prompt(parameters, prompts, uniforms):
    one = uniforms[:, :, :1]
    tokens = model_jax.generate(parameters, TASK.shape, prompts, one, end=TASK.vocabulary)
    np.testing.assert_array_equal(
        tokens, reference.sample(logits_of(parameters, prompts, tokens), one)
    )


def test_the_vector_has_all_weights_in_their_order(weights):
    decoder = model_jax.Decoder.of(TASK.shape, weights)
    vector = model_jax.vector_of(weights)
    parameters = model_jax.named(jnp.asarray(vector), decoder)
    assert list(parameters) == list(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(parameters[name], array.T)
    # JAX hands dicts back in the order of their keys.
    turned = dict(sorted(parameters.items()))
    assert list(turned) != list(parameters)
    np.testing.assert_array_equal(model_jax.flat(turned, decoder), vector)


def test_the_precision_is_the_decoder_s(weights):
    decoder = model_jax.Decoder.of(TASK.shape, weights, jnp.bfloat16)
    parameters = model_jax.named(jnp.zeros(sum(a.size for a in weights.values())), decoder)
    assert {str(array.dtype) for array in parameters.values()} == {"bfloat16"}
    assert model_jax.flat(parameters, decoder).dtype == jnp.float32


class TestInverseCdf:
    def test_it_agrees_with_the_reference(self):
        draws = np.random.default_rng(9)
        logits = (3 * draws.standard_normal((2000, 16))).astype(np.float32)
        uniforms = draws.random(2000, dtype=np.float32)
        got = np.asarray(model_jax.inverse_cdf(jnp.asarray(logits.T), uniforms))
        differ = np.count_nonzero(got != reference.sample(logits, uniforms))
        assert differ <= 1, "only where rounding puts a uniform on the other side"

    def test_the_ends_stay_in_the_vocabulary(self):
        drawn = model_jax.inverse_cdf(jnp.zeros((7, 2)), np.array([0.0, 1.0], dtype=np.float32))
        assert drawn.tolist() == [0, 6]

    def test_a_token_of_no_probability_is_never_drawn(self):
        logits = jnp.array([[-jnp.inf], [0.0], [-jnp.inf]])
        assert model_jax.inverse_cdf(logits, np.zeros(1, dtype=np.float32)).tolist() == [1]
