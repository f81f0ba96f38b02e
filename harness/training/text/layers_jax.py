"""The layers of the decoder in JAX: linear, norms, rotary positions, attention.

Weights are as `harness.training.text.decoder_files` reads them. Here tokens are the first axis,
whatever rows and groups they belong to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import DTypeLike

from harness.training.text.architecture import Architecture, Arrays

Parameters = dict[str, Array]
"""Weights by name; those that begin with ``layers.`` are stacked: ``[layers, …]``."""

Cache = tuple[Array, Array]
"""Keys and values."""

_LOWEST = np.finfo(np.float32).min


def parameters_of(weights: Arrays) -> Parameters:
    """Send weights to the device."""
    return {name: jnp.asarray(array) for name, array in weights.items()}


def cast(parameters: Parameters, dtype: DTypeLike) -> Parameters:
    """Return the weights in another precision."""
    return {name: array.astype(dtype) for name, array in parameters.items()}


def split_layers(parameters: Mapping[str, Array]) -> tuple[Parameters, Parameters]:
    """Return the weights outside the layers, and those of the layers without the prefix."""
    layers = {
        name.removeprefix("layers."): array
        for name, array in parameters.items()
        if name.startswith("layers.")
    }
    return {n: a for n, a in parameters.items() if not n.startswith("layers.")}, layers


def linear(x: Array, layer: Parameters, name: str) -> Array:
    """Apply a linear layer to ``x`` ``[n, in]``, with its adapter if there is one: ``[n, out]``.

    Where it is given, ``NAME.a`` is ``[rank, in]`` and ``NAME.b`` ``[out, rank]`` (scaled).
    """
    y = product(x, layer[name])
    if f"{name}_bias" in layer:
        y = y + layer[f"{name}_bias"]
    if f"{name}.a" in layer:
        y = y + product(product(x, layer[f"{name}.a"]), layer[f"{name}.b"])
    return y


def product(x: Array, matrix: Array) -> Array:
    """Multiply ``x`` ``[n, in]`` by a matrix ``[out, in]``: ``[n, out]``."""
    # The matrix goes first: XLA's CPU products are up to twice as fast that way with few tokens.
    return lax.dot_general(matrix, x, (((1,), (1,)), ((), ()))).T


def normalise(shape: Architecture, x: Array, scale: Array, bias: Array | None = None) -> Array:
    """Normalise the last axis in float32: RMS norm, or layer norm where there is a bias."""
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


def rotary_angles(shape: Architecture, positions: Array) -> Cache | None:
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


def queries_keys_values(
    shape: Architecture, layer: Parameters, x: Array, angles: Cache | None
) -> tuple[Array, Array, Array]:
    """Return the queries, keys and values of ``x`` ``[n, width]``, rotated where the model does so.

    Queries are ``[n, groups, heads of a group, size]``, divided by √size. Keys and values are
    ``[n, groups, size]``.
    """
    normed = normalise(shape, x, layer["attention_norm"], layer.get("attention_norm_bias"))
    if "qkv" in layer:
        query, key, value = jnp.split(linear(normed, layer, "qkv"), 3, axis=-1)
    else:
        query, key, value = (linear(normed, layer, name) for name in ("q", "k", "v"))
    query = query.reshape(-1, shape.heads, shape.size)
    key = key.reshape(-1, shape.groups, shape.size)
    if shape.qk_norm:
        query, key = (
            normalise(shape, query, layer["q_norm"]),
            normalise(shape, key, layer["k_norm"]),
        )
    query, key = _rotate(query, angles), _rotate(key, angles)
    query = query.reshape(-1, shape.groups, shape.heads // shape.groups, shape.size)
    return query / math.sqrt(shape.size), key, value.reshape(key.shape)


def finish_layer(shape: Architecture, layer: Parameters, x: Array, mixed: Array) -> Array:
    """Add to ``x`` ``[n, width]`` what attention has ``mixed``, then what the MLP computes."""
    x = x + linear(mixed.reshape(x.shape[0], -1), layer, "o")
    normed = normalise(shape, x, layer["mlp_norm"], layer.get("mlp_norm_bias"))
    hidden = linear(normed, layer, "up")
    if "gate" in layer:
        hidden = _activate(shape, linear(normed, layer, "gate")) * hidden
    else:
        hidden = _activate(shape, hidden)
    return x + linear(hidden, layer, "down")


def _weights(scores: Array, seen: Array) -> Array:
    """Return the softmax of ``scores`` over the last axis, of those that are ``seen``."""
    scores = jnp.where(seen, scores.astype(jnp.float32), _LOWEST)
    return jax.nn.softmax(scores, axis=-1)


def attend_in_prompts(query: Array, key: Array, value: Array, seen: Array) -> Array:
    """Attend from the tokens of prompts to the tokens that each has ``seen``.

    ``query`` and the result are ``[rows, tokens, groups, heads, size]``, ``key`` and ``value``
    ``[rows, tokens, groups, size]``, ``seen`` is ``[rows, tokens of queries, tokens of keys]``.
    """
    scores = jnp.einsum("rpkhd,rjkd->rkhpj", query, key)
    weights = _weights(scores, seen[:, None, None]).astype(value.dtype)
    return jnp.einsum("rkhpj,rjkd->rpkhd", weights, value)


def attend_in_completions(
    query: Array, prompt: Cache, own: Cache, seen: Array, within: Array
) -> Array:
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


def embed(top: Parameters, tokens: Array, positions: Array) -> Array:
    """Embed ``tokens`` ``[n]``, with their positions where these are learned: ``[n, width]``."""
    x = top["embed"][tokens]
    return x + top["position"][positions] if "position" in top else x


def last_norm(shape: Architecture, top: Parameters, x: Array) -> Array:
    """Normalise what comes out of the last layer."""
    return normalise(shape, x, top["norm"], top.get("norm_bias"))


def head_of(parameters: Parameters) -> Array:
    """Return the matrix that makes logits of hidden states, ``[vocabulary, width]``."""
    return parameters["head"] if "head" in parameters else parameters["embed"]


def logits_of(parameters: Parameters, hidden: Array) -> Array:
    """Return the logits of hidden states ``[n, width]``: ``[n, vocabulary]`` in float32."""
    return product(hidden, head_of(parameters)).astype(jnp.float32)
