"""The decoder of Llama, Qwen and GPT-2 checkpoints in JAX. It reads a prompt once for its group.

Weights are as `harness.training.text.decoder_files` reads them: those of the layers are stacked,
and a scan runs over them, so a program's size does not grow with the depth. Prompts are padded on
the left, positions count from a prompt's first token, and what is padding is never attended to.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from harness.training.text.architecture import Architecture
from harness.training.text.layers_jax import (
    Cache,
    Parameters,
    attend_in_completions,
    attend_in_prompts,
    embed,
    finish_layer,
    last_norm,
    logits_of,
    queries_keys_values,
    rotary_angles,
    split_layers,
)
from harness.training.text.sampling_jax import Sampling, draw

Drawing = tuple[Array, Array, Array, Array, Cache]
"""Of `generate`'s loop: its step, tokens, which have ended, whether all was finite, the cache."""


class Prompts(NamedTuple):
    """Prompts padded on the left: ``[rows, tokens]``, and the index of each one's first token."""

    tokens: Array
    starts: Array


BUCKETS = (8, 12)
"""Lengths are rounded up to one of these times a power of two, so that few shapes compile."""


def bucket(length: int) -> int:
    """Return the length that ``length`` is padded to, at most a half more above 8."""
    sizes = (base << power for power in range(60) for base in BUCKETS)
    return next(size for size in sizes if size >= length)


def _sight(prompts: Prompts) -> tuple[Array, Array, Array]:
    """Return the positions of padded prompts, which tokens are real, and what each one sees.

    ``[rows, length]`` twice and ``[rows, length, length]``. What is padding sees itself.
    """
    at, starts = jnp.arange(prompts.tokens.shape[1]), prompts.starts
    real = at >= starts[:, None]
    seen = (real[:, None] & (at <= at[:, None])) | (at == at[:, None])
    return jnp.maximum(at - starts[:, None], 0), real, seen


def completion_hidden(
    parameters: Parameters,
    shape: Architecture,
    prompts: Prompts,
    completions: Array,
    *,
    recompute: bool = False,
) -> Array:
    """Return the hidden states that logits of completion tokens are made of, teacher-forced.

    A layer's products take the tokens of prompts and completions together, each prompt once.

    Parameters
    ----------
    parameters
        In the precision that is computed in.
    completions
        ``[rows, group, tokens]``.
    recompute
        Whether gradients compute a layer's activations again rather than keep them.

    Returns
    -------
    Array
        ``[rows, group, tokens, width]``, after the last norm; times `head_of` they are logits.
    """
    top, layers = split_layers(parameters)
    rows, group, steps = completions.shape
    length, written = prompts.tokens.shape[1], steps - 1  # the last token is never read
    positions, real, seen = _sight(prompts)
    after = (length - prompts.starts)[:, None, None] + jnp.arange(written)
    after = jnp.broadcast_to(after, (rows, group, written)).reshape(-1)
    positions = jnp.concatenate([positions.reshape(-1), after])
    tokens = jnp.concatenate([prompts.tokens.reshape(-1), completions[:, :, :-1].reshape(-1)])
    cut, angles = rows * length, rotary_angles(shape, positions)
    within = jnp.tril(jnp.ones((written, written), dtype=bool))

    def apart(part: Array) -> tuple[Array, Array]:
        return (
            part[:cut].reshape(rows, length, *part.shape[1:]),
            part[cut:].reshape(rows, group, written, *part.shape[1:]),
        )

    def step(x: Array, layer: Parameters) -> tuple[Array, None]:
        query, key, value = map(apart, queries_keys_values(shape, layer, x, angles))
        mixed = attend_in_prompts(query[0], key[0], value[0], seen).reshape(cut, -1)
        if written:
            own = attend_in_completions(
                query[1], (key[0], value[0]), (key[1], value[1]), real, within
            )
            mixed = jnp.concatenate([mixed, own.reshape(-1, mixed.shape[1])])
        return finish_layer(shape, layer, x, mixed), None

    x, _ = lax.scan(
        jax.checkpoint(step) if recompute else step, embed(top, tokens, positions), layers
    )
    first, rest = apart(x)
    first = jnp.broadcast_to(first[:, None, -1:], (rows, group, 1, shape.width))
    return last_norm(shape, top, jnp.concatenate([first, rest], axis=2))


def completion_logits(
    parameters: Parameters, shape: Architecture, prompts: Prompts, completions: Array
) -> Array:
    """Return the logits that completion tokens were drawn from, as `completion_hidden` takes them.

    ``[rows, group, tokens, vocabulary]`` in float32: all at once, for few tokens.
    """
    hidden = completion_hidden(parameters, shape, prompts, completions)
    return logits_of(parameters, hidden.reshape(-1, shape.width)).reshape(*completions.shape, -1)


def read_prompts(
    parameters: Parameters, shape: Architecture, prompts: Prompts
) -> tuple[Array, Cache]:
    """Return the hidden states after ``prompts``, ``[rows, width]``, and all layers' cache.

    Keys and values are ``[layers, rows, tokens, groups, size]``.
    """
    top, layers = split_layers(parameters)
    rows, length = prompts.tokens.shape
    positions, _, seen = _sight(prompts)
    angles = rotary_angles(shape, positions.reshape(-1))

    def step(x: Array, layer: Parameters) -> tuple[Array, Cache]:
        query, key, value = (
            part.reshape(rows, length, *part.shape[1:])
            for part in queries_keys_values(shape, layer, x, angles)
        )
        mixed = attend_in_prompts(query, key, value, seen)
        return finish_layer(shape, layer, x, mixed.reshape(rows * length, -1)), (key, value)

    x = embed(top, prompts.tokens.reshape(-1), positions.reshape(-1))
    x, cache = lax.scan(step, x, layers)
    return last_norm(shape, top, x.reshape(rows, length, -1)[:, -1]), cache


def generate(
    parameters: Parameters,
    shape: Architecture,
    prompts: Prompts,
    noise: Array,
    sampling: Sampling,
) -> tuple[Array, Array]:
    """Draw completions by inverse CDF; the loop stops when all have ended.

    Parameters
    ----------
    parameters
        In the precision that is computed in.
    noise
        ``[rows, group, tokens]``, multiples of 2⁻²⁴ in [0, 1).

    Returns
    -------
    tokens
        ``[rows, group, tokens]``.
    sound
        Whether all logits were finite.
    """
    top, layers = split_layers(parameters)
    rows, group, steps = noise.shape
    many = rows * group
    noise = noise.reshape(many, steps)
    hidden, prompt = read_prompts(parameters, shape, prompts)
    _, real, _ = _sight(prompts)
    ends, length = sampling.ends, prompts.tokens.shape[1]
    numbers = jnp.arange(shape.layers)
    room = (shape.layers, rows, group, steps, shape.groups, shape.size)
    own = jnp.zeros(room, hidden.dtype), jnp.zeros(room, hidden.dtype)

    def drawn(
        hidden: Array, step: Array | int, ended: Array, sound: Array
    ) -> tuple[Array, Array, Array]:
        logits = logits_of(parameters, hidden)
        sound = sound & (jnp.isfinite(logits).all(axis=-1) | ended).all()
        logits = jnp.where(sampling.known, logits / sampling.temperature, -jnp.inf)
        uniforms = lax.dynamic_index_in_dim(noise, step, axis=1, keepdims=False)
        token = jnp.where(ended, ends[0], draw(logits, uniforms, sampling.top_p))
        return token, ended | (token[:, None] == ends).any(axis=-1), sound

    def one(carry: Drawing) -> Drawing:
        step, tokens, ended, sound, own = carry
        last = lax.dynamic_index_in_dim(tokens, step - 1, keepdims=False)
        positions = jnp.repeat(length - prompts.starts, group) + step - 1
        angles = rotary_angles(shape, positions)
        within = (jnp.arange(steps) < step)[None]

        def through(
            carry: tuple[Array, Cache], layer: tuple[Parameters, Cache, Array]
        ) -> tuple[tuple[Array, Cache], None]:
            x, own = carry
            weights, read, number = layer
            query, *new = (
                part.reshape(rows, group, 1, *part.shape[1:])
                for part in queries_keys_values(shape, weights, x, angles)
            )
            at = (number, 0, 0, step - 1, 0, 0)
            keys, values = (
                lax.dynamic_update_slice(kept, part[None], at)
                for kept, part in zip(own, new, strict=True)
            )
            own = keys, values
            here = (
                lax.dynamic_index_in_dim(keys, number, keepdims=False),
                lax.dynamic_index_in_dim(values, number, keepdims=False),
            )
            mixed = attend_in_completions(query, read, here, real, within)
            return (finish_layer(shape, weights, x, mixed), own), None

        x = embed(top, last, positions)
        (x, own), _ = lax.scan(through, (x, own), (layers, prompt, numbers))
        token, ended, sound = drawn(last_norm(shape, top, x), step, ended, sound)
        tokens = lax.dynamic_update_index_in_dim(tokens, token, step, axis=0)
        return step + 1, tokens, ended, sound, own

    nobody, fine = jnp.zeros(many, dtype=bool), jnp.ones((), dtype=bool)
    token, ended, sound = drawn(jnp.repeat(hidden, group, axis=0), 0, nobody, fine)
    tokens = jnp.full((steps, many), ends[0], dtype=jnp.int32).at[0].set(token)
    _, tokens, _, sound, _ = lax.while_loop(
        lambda carry: (carry[0] < steps) & ~carry[2].all(),
        one,
        (jnp.int32(1), tokens, ended, sound, own),
    )
    return tokens.T.reshape(rows, group, steps), sound
