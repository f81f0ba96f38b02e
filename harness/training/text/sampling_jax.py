"""Draw tokens from logits in JAX, with noise made on the host."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

NOISE, WEIGHT = 24, 30
"""Bits of a uniform and of a token's probability."""


class Sampling(NamedTuple):
    """How completions are drawn.

    ``ends`` ``[n]`` are the tokens that end a completion; after one, the first of them fills the
    rest. ``known`` ``[vocabulary]`` says which tokens may be drawn. Logits are divided by
    ``temperature``; for ``top_p`` see `draw`.
    """

    ends: Array
    known: Array
    temperature: Array | float = 1.0
    top_p: Array | float = 1.0


def draw(logits: Array, uniforms: Array, top_p: Array | float = 1.0) -> Array:
    """Draw a token from each row of ``logits`` ``[n, vocabulary]`` by ``uniforms`` ``[n]``.

    A token is the first whose cumulative probability exceeds the uniform, a multiple of 2⁻²⁴ in
    [0, 1), times the total. Probabilities are rounded down to multiples of 2⁻³⁰: their sums are
    exact, in whatever order a device adds them. A token whose logit is −∞ is never drawn.

    With ``top_p`` below 1, only the most probable tokens that have this much together can be drawn
    (Holtzman et al., 2020, arXiv:1904.09751), and those as probable as the last of them.
    """
    weights = jnp.floor(jax.nn.softmax(logits, axis=-1) * 2**WEIGHT).astype(jnp.uint32)
    weights = lax.cond(
        jnp.asarray(top_p) < 1.0, partial(_nucleus, top_p=top_p), lambda all_of: all_of, weights
    )
    # Sums of blocks first: few steps run along the vocabulary.
    vocabulary = weights.shape[-1]
    side = math.isqrt(vocabulary - 1) + 1
    blocks = jnp.pad(weights, ((0, 0), (0, side * side - vocabulary))).reshape(-1, side, side)
    ends = jnp.cumsum(blocks.sum(axis=-1, dtype=jnp.uint32), axis=-1, dtype=jnp.uint32)
    limit = _share(ends[:, -1:], (uniforms[:, None] * 2**NOISE).astype(jnp.uint32))
    block = jnp.sum(ends <= limit, axis=-1, dtype=jnp.int32)[:, None]
    start = jnp.where(block > 0, jnp.take_along_axis(ends, jnp.maximum(block - 1, 0), 1), 0)
    inner = jnp.take_along_axis(blocks, block[..., None], 1)[:, 0]
    cumulative = start + jnp.cumsum(inner, axis=-1, dtype=jnp.uint32)
    token = block[:, 0] * side + jnp.sum(cumulative <= limit, axis=-1, dtype=jnp.int32)
    return jnp.minimum(token, vocabulary - 1)


def _share(total: Array, noise: Array) -> Array:
    """Return ⌊total · noise / 2²⁴⌋ for a total below 2³¹, in 32 bits."""
    high, low = total >> 16, total & 0xFFFF
    upper, lower = noise >> 12, noise & 0xFFF
    middle = (high * lower << 4) + low * upper + (low * lower >> 12)
    return (high * upper << 4) + (middle >> 12)


def _nucleus(weights: Array, top_p: Array | float) -> Array:
    """Return the weights of the most probable tokens with ``top_p`` of the total; others are 0."""
    total = weights.sum(axis=-1, keepdims=True, dtype=jnp.uint32)
    enough = jnp.ceil(total.astype(jnp.float32) * top_p).astype(jnp.uint32)

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        # The tokens of at least `low` have enough; those of at least `high` have not.
        low, high = bounds
        middle = (low + high) >> 1
        kept = jnp.where(weights >= middle, weights, 0).sum(-1, keepdims=True, dtype=jnp.uint32)
        fits = kept >= enough
        return jnp.where(fits, middle, low), jnp.where(fits, high, middle)

    largest = weights.max(axis=-1, keepdims=True)
    low, _ = lax.fori_loop(0, WEIGHT + 1, halve, (jnp.zeros_like(largest), largest + 1))
    # Rounding may ask for more than all: then all stay.
    return jnp.where(weights >= jnp.minimum(low, largest), weights, 0)
