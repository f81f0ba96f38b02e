"""Tokens that are drawn in JAX."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

with contextlib.suppress(ModuleNotFoundError):
    import jax.numpy as jnp

    from harness.training.text import sampling_jax

pytestmark = pytest.mark.jax


def test_tokens_are_drawn_in_proportion_from_the_most_probable():
    chances = np.array([0.1, 0.4, 0.0, 0.3, 0.2, 0.0])
    with np.errstate(divide="ignore"):
        logits = jnp.asarray(np.tile(np.log(chances), (4096, 1)), dtype=jnp.float32)
    noise = jnp.asarray((np.arange(4096) / 4096).astype(np.float32))
    for top_p, kept in (
        (1.0, chances),
        (0.75, [0, 0.4, 0, 0.3, 0.2, 0]),
        (0.1, [0, 1, 0, 0, 0, 0]),
    ):
        share = np.bincount(sampling_jax.draw(logits, noise, top_p), minlength=6) / 4096
        np.testing.assert_allclose(share, np.array(kept) / np.sum(kept), atol=1e-3)


def test_the_highest_uniform_draws_no_token_without_probability():
    logits = np.full((1, 50_000), -np.inf, dtype=np.float32)
    logits[0, 1000:30_000] = 0.0
    for noise, wanted in ((0.0, 1000), (1 - 2**-24, 29_999)):
        token = sampling_jax.draw(jnp.asarray(logits), jnp.asarray([noise], dtype=jnp.float32))
        assert int(token[0]) == wanted
