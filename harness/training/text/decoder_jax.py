"""The decoder of Llama, Qwen and GPT-2 checkpoints in JAX. It reads a prompt once for its group.

Weights are as `harness.training.text.decoder_files` reads them: those of the layers are stacked,
and a scan runs over them, so a program's size does not grow with the depth. Prompts are padded on
the left, positions count from a prompt's first token, and what is padding is never attended to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from harness.training.text.decoder_files import Architecture, Arrays

Parameters = dict[str, Array]
"""Weights by name; those that begin with ``layers.`` are stacked: ``[layers, …]``."""

Cache = tuple[Array, Array]
"""Keys and values."""

Drawing = tuple[Array, Array, Array, Array, Cache]
"""Of `generate`'s loop: its step, tokens, which have ended, whether all was finite, the cache."""


class Prompts(NamedTuple):
    """Prompts padded on the left: ``[rows, tokens]``, and the index of each one's first token."""

    tokens: Array
    starts: Array


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


LOWEST = np.finfo(np.float32).min

BUCKETS = (8, 12)
"""Lengths are rounded up to one of these times a power of two, so that few shapes compile."""


def bucket(length: int) -> int:
    """Return the length that ``length`` is padded to, at most a half more above 8."""
    sizes = (base << power for power in range(60) for base in BUCKETS)
    return next(size for size in sizes if size >= length)


def parameters_of(weights: Arrays) -> Parameters:
    """Return weights on the device."""
    return {name: jnp.asarray(array) for name, array in weights.items()}


def cast(parameters: Parameters, dtype: DTypeLike) -> Parameters:
    """Return the weights in the precision that is computed in."""
    return {name: array.astype(dtype) for name, array in parameters.items()}


def _split(parameters: Mapping[str, Array]) -> tuple[Parameters, Parameters]:
    """Return the weights outside the layers, and those of the layers without the prefix."""
    layers = {
        name.removeprefix("layers."): array
        for name, array in parameters.items()
        if name.startswith("layers.")
    }
    return {n: a for n, a in parameters.items() if not n.startswith("layers.")}, layers


def _linear(x: Array, layer: Parameters, name: str) -> Array:
    """Return ``[tokens, out]`` of ``[tokens, in]``, the adapter's share added where there is one.

    Where it is given, ``NAME.a`` is ``[rank, in]`` and ``NAME.b`` ``[out, rank]`` (scaled).
    """
    y = _product(x, layer[name])
    if f"{name}_bias" in layer:
        y = y + layer[f"{name}_bias"]
    if f"{name}.a" in layer:
        y = y + _product(_product(x, layer[f"{name}.a"]), layer[f"{name}.b"])
    return y


def _product(x: Array, matrix: Array) -> Array:
    # The matrix goes first: XLA's CPU products are up to twice as fast that way with few tokens.
    return lax.dot_general(matrix, x, (((1,), (1,)), ((), ()))).T


def _norm(shape: Architecture, x: Array, scale: Array, bias: Array | None = None) -> Array:
    """Return RMS norm over the last axis, or layer norm where there is a bias; in float32."""
    wide = x.astype(jnp.float32)
    if bias is not None:
        wide = wide - wide.mean(axis=-1, keepdims=True)
    wide = wide * lax.rsqrt(jnp.square(wide).mean(axis=-1, keepdims=True) + shape.epsilon)
    normed = wide.astype(x.dtype) * scale
    return normed if bias is None else normed + bias


def _activate(shape: Architecture, x: Array) -> Array:
    name = shape.activation
    if name in ("silu", "swish"):
        return jax.nn.silu(x)
    return jax.nn.relu(x) if name == "relu" else jax.nn.gelu(x, approximate=name != "gelu")


def _angles(shape: Architecture, positions: Array) -> Cache | None:
    """Return cosines and sines of ``positions`` ``[n]``: each ``[n, 1, size]`` in float32."""
    if shape.rotary is None:
        return None
    angles = positions[:, None].astype(jnp.float32) * np.array(shape.rotary, dtype=np.float32)
    angles = jnp.concatenate([angles, angles], axis=-1)[:, None]
    return jnp.cos(angles), jnp.sin(angles)


def _rotate(x: Array, angles: Cache | None) -> Array:
    """Rotate ``x`` ``[n, heads, size]``; the pairs are features i and i + size/2."""
    if angles is None:
        return x
    cosine, sine = (part.astype(x.dtype) for part in angles)
    one, other = jnp.split(x, 2, axis=-1)
    return x * cosine + jnp.concatenate([-other, one], axis=-1) * sine


def _projected(
    shape: Architecture, layer: Parameters, x: Array, angles: Cache | None
) -> tuple[Array, Array, Array]:
    """Return queries ``[n, groups, heads of a group, size]``, keys and values of ``x`` ``[n, w]``.

    Keys and values are ``[n, groups, size]``. Queries are divided by √size.
    """
    normed = _norm(shape, x, layer["attention_norm"], layer.get("attention_norm_bias"))
    if "qkv" in layer:
        query, key, value = jnp.split(_linear(normed, layer, "qkv"), 3, axis=-1)
    else:
        query, key, value = (_linear(normed, layer, name) for name in ("q", "k", "v"))
    query = query.reshape(-1, shape.heads, shape.size)
    key = key.reshape(-1, shape.groups, shape.size)
    if shape.qk_norm:
        query, key = (
            _norm(shape, query, layer["q_norm"]),
            _norm(shape, key, layer["k_norm"]),
        )
    query, key = _rotate(query, angles), _rotate(key, angles)
    query = query.reshape(-1, shape.groups, shape.heads // shape.groups, shape.size)
    return query / math.sqrt(shape.size), key, value.reshape(key.shape)


def _rest(shape: Architecture, layer: Parameters, x: Array, mixed: Array) -> Array:
    """Return ``x`` ``[n, width]`` after what attention ``mixed`` and after the MLP."""
    x = x + _linear(mixed.reshape(x.shape[0], -1), layer, "o")
    normed = _norm(shape, x, layer["mlp_norm"], layer.get("mlp_norm_bias"))
    hidden = _linear(normed, layer, "up")
    if "gate" in layer:
        hidden = _activate(shape, _linear(normed, layer, "gate")) * hidden
    else:
        hidden = _activate(shape, hidden)
    return x + _linear(hidden, layer, "down")


def _weights(scores: Array, seen: Array) -> Array:
    """Return the softmax of ``scores`` over the last axis, of those that are ``seen``."""
    scores = jnp.where(seen, scores.astype(jnp.float32), LOWEST)
    return jax.nn.softmax(scores, axis=-1)


def _read(query: Array, key: Array, value: Array, seen: Array) -> Array:
    """Attend within prompts: ``[rows, tokens, groups, heads, size]`` of queries so shaped.

    ``key`` and ``value`` are ``[rows, tokens, groups, size]``, ``seen`` is ``[rows, tokens of
    queries, tokens of keys]``.
    """
    scores = jnp.einsum("rpkhd,rjkd->rkhpj", query, key)
    weights = _weights(scores, seen[:, None, None]).astype(value.dtype)
    return jnp.einsum("rkhpj,rjkd->rpkhd", weights, value)


def _continue(query: Array, prompt: Cache, own: Cache, seen: Array, within: Array) -> Array:
    """Attend from completions to their prompt and to their own tokens.

    ``query`` is ``[rows, group, tokens, groups, heads, size]``; keys and values of ``prompt`` are
    ``[rows, prompt tokens, groups, size]``, its ``own`` ``[rows, group, own tokens, groups,
    size]``. ``seen`` is ``[rows, prompt tokens]``, ``within`` ``[tokens, own tokens]``.
    """
    rows, steps = query.shape[0], within.shape[0]
    read = jnp.einsum("rgtkhd,rjkd->rkhgtj", query, prompt[0])
    wrote = jnp.einsum("rgtkhd,rgukd->rkhgtu", query, own[0])
    length = read.shape[-1]
    mask = [
        jnp.broadcast_to(seen[:, None], (rows, steps, length)),
        jnp.broadcast_to(within, (rows, *within.shape)),
    ]
    visible = jnp.concatenate(mask, axis=-1)[:, None, None, None]
    weights = _weights(jnp.concatenate([read, wrote], axis=-1), visible).astype(query.dtype)
    mixed = jnp.einsum("rkhgtj,rjkd->rgtkhd", weights[..., :length], prompt[1])
    return mixed + jnp.einsum("rkhgtu,rgukd->rgtkhd", weights[..., length:], own[1])


def _embed(top: Parameters, tokens: Array, positions: Array) -> Array:
    x = top["embed"][tokens]
    return x + top["position"][positions] if "position" in top else x


def _end(shape: Architecture, top: Parameters, x: Array) -> Array:
    return _norm(shape, x, top["norm"], top.get("norm_bias"))


def head_of(parameters: Parameters) -> Array:
    """Return the matrix that makes logits of hidden states, ``[vocabulary, width]``."""
    return parameters["head"] if "head" in parameters else parameters["embed"]


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
    top, layers = _split(parameters)
    rows, group, steps = completions.shape
    length, written = prompts.tokens.shape[1], steps - 1  # the last token is never read
    positions, real, seen = _sight(prompts)
    after = (length - prompts.starts)[:, None, None] + jnp.arange(written)
    after = jnp.broadcast_to(after, (rows, group, written)).reshape(-1)
    positions = jnp.concatenate([positions.reshape(-1), after])
    tokens = jnp.concatenate([prompts.tokens.reshape(-1), completions[:, :, :-1].reshape(-1)])
    cut, angles = rows * length, _angles(shape, positions)
    within = jnp.tril(jnp.ones((written, written), dtype=bool))

    def apart(part: Array) -> tuple[Array, Array]:
        return (
            part[:cut].reshape(rows, length, *part.shape[1:]),
            part[cut:].reshape(rows, group, written, *part.shape[1:]),
        )

    def step(x: Array, layer: Parameters) -> tuple[Array, None]:
        query, key, value = map(apart, _projected(shape, layer, x, angles))
        mixed = _read(query[0], key[0], value[0], seen).reshape(cut, -1)
        if written:
            own = _continue(query[1], (key[0], value[0]), (key[1], value[1]), real, within)
            mixed = jnp.concatenate([mixed, own.reshape(-1, mixed.shape[1])])
        return _rest(shape, layer, x, mixed), None

    x, _ = lax.scan(
        jax.checkpoint(step) if recompute else step, _embed(top, tokens, positions), layers
    )
    first, rest = apart(x)
    first = jnp.broadcast_to(first[:, None, -1:], (rows, group, 1, shape.width))
    return _end(shape, top, jnp.concatenate([first, rest], axis=2))


def completion_logits(
    parameters: Parameters, shape: Architecture, prompts: Prompts, completions: Array
) -> Array:
    """Return the logits that completion tokens were drawn from, as `completion_hidden` takes them.

    ``[rows, group, tokens, vocabulary]`` in float32: all at once, for few tokens.
    """
    hidden = completion_hidden(parameters, shape, prompts, completions)
    return logits_of(parameters, hidden.reshape(-1, shape.width)).reshape(*completions.shape, -1)


def logits_of(parameters: Parameters, hidden: Array) -> Array:
    """Return the logits of hidden states ``[n, width]``: ``[n, vocabulary]`` in float32."""
    return _product(hidden, head_of(parameters)).astype(jnp.float32)


def read_prompts(
    parameters: Parameters, shape: Architecture, prompts: Prompts
) -> tuple[Array, Cache]:
    """Return the hidden states after ``prompts``, ``[rows, width]``, and all layers' cache.

    Keys and values are ``[layers, rows, tokens, groups, size]``.
    """
    top, layers = _split(parameters)
    rows, length = prompts.tokens.shape
    positions, _, seen = _sight(prompts)
    angles = _angles(shape, positions.reshape(-1))

    def step(x: Array, layer: Parameters) -> tuple[Array, Cache]:
        query, key, value = (
            part.reshape(rows, length, *part.shape[1:])
            for part in _projected(shape, layer, x, angles)
        )
        mixed = _read(query, key, value, seen)
        return _rest(shape, layer, x, mixed.reshape(rows * length, -1)), (key, value)

    x = _embed(top, prompts.tokens.reshape(-1), positions.reshape(-1))
    x, cache = lax.scan(step, x, layers)
    return _end(shape, top, x.reshape(rows, length, -1)[:, -1]), cache


NOISE, WEIGHT = 24, 30
"""Bits of a uniform and of a token's probability."""


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

    def halve(_: int, bounds: Cache) -> Cache:
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
    top, layers = _split(parameters)
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
        angles = _angles(shape, positions)
        within = (jnp.arange(steps) < step)[None]

        def through(
            carry: tuple[Array, Cache], layer: tuple[Parameters, Cache, Array]
        ) -> tuple[tuple[Array, Cache], None]:
            x, own = carry
            weights, read, number = layer
            query, *new = (
                part.reshape(rows, group, 1, *part.shape[1:])
                for part in _projected(shape, weights, x, angles)
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
            mixed = _continue(query, read, here, real, within)
            return (_rest(shape, weights, x, mixed), own), None

        x = _embed(top, last, positions)
        (x, own), _ = lax.scan(through, (x, own), (layers, prompt, numbers))
        token, ended, sound = drawn(_end(shape, top, x), step, ended, sound)
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
