"""The decoder of `harness.training.model_torch` in JAX. It reads a prompt once for its completions.

Activations are *feature-major*, ``[width, …tokens]``, with the tokens of all sequences contiguous.
So products, norms and sums over a head's features run along the tokens, which vector units do best.
Scores against the prompt are products for each prompt and head. A token has few scores within its
completion: elementwise products, summed over each head's features by a product with a matrix of
zeros and ones.

Weights are one flat vector outside and arrays by name inside (see `named`). Matrices are turned to
``[out, in]`` and multiply from the left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array, lax
from jax.typing import DTypeLike

from harness.training.tasks import ModelShape
from harness.training.warm_start import Weights

Parameters = dict[str, Array]
"""The warm start's weights by name, turned: ``embed`` is ``[width, vocabulary]``."""

FEW_TOKENS = 512
"""Up to this vocabulary size tokens are embedded by a product with zeros and ones."""

Pair = tuple[Array, Array]
"""Keys and values: ``[width, rows, tokens]`` of prompts, ``[width, tokens, rows, group]`` of
completions."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """The model's shape, weights and precision. Programs are compiled for each such decoder.

    ``layout`` has the name and shape of each weight, in their order in the vector.
    """

    shape: ModelShape
    layout: tuple[tuple[str, tuple[int, ...]], ...]
    dtype: str

    @classmethod
    def of(cls, shape: ModelShape, weights: Weights, dtype: DTypeLike = jnp.float32) -> Decoder:
        """Return the decoder that has ``weights``."""
        layout = tuple((name, array.T.shape) for name, array in weights.items())
        return cls(shape, layout, jnp.dtype(dtype).name)


def vector_of(weights: Weights) -> npt.NDArray[np.float32]:
    """Return all weights in one vector, matrices turned."""
    return np.concatenate([array.T.ravel() for array in weights.values()])


def flat(parameters: Parameters, decoder: Decoder) -> Array:
    """Return all weights in one float32 vector."""
    parts = [parameters[name].ravel().astype(jnp.float32) for name, _ in decoder.layout]
    return jnp.concatenate(parts)


def named(vector: Array, decoder: Decoder) -> Parameters:
    """Return the weights in ``vector`` by name, in the decoder's precision."""
    vector = vector.astype(decoder.dtype)
    parameters, start = {}, 0
    for name, shape in decoder.layout:
        size = math.prod(shape)
        parameters[name] = vector[start : start + size].reshape(shape)
        start += size
    return parameters


def _linear(x: Array, weight: Array) -> Array:
    """Return ``[out, …]`` of ``[in, …]`` and ``[out, in]``."""
    product = weight @ x.reshape(x.shape[0], -1)
    return product.reshape(-1, *x.shape[1:])


def _embed(table: Array, tokens: Array) -> Array:
    """Return the columns of ``table`` ``[width, vocabulary]`` for ``tokens`` ``[…]``."""
    if table.shape[1] > FEW_TOKENS:
        return table[:, tokens]
    # The gradient of an index is a scatter, computed number by number. A product's is a product.
    is_token = jnp.arange(table.shape[1])[:, None] == tokens.reshape(-1)
    return (table @ is_token.astype(table.dtype)).reshape(-1, *tokens.shape)


def _norm(x: Array, scale: Array) -> Array:
    """Return layer norm over the features, computed in float32."""
    wide = x.astype(jnp.float32)
    centred = wide - wide.mean(axis=0)
    variance = jnp.square(centred).mean(axis=0)
    scale = scale.astype(jnp.float32).reshape(-1, *[1] * (x.ndim - 1))
    return (centred * lax.rsqrt(variance + 1e-5) * scale).astype(x.dtype)


def _softmax(scores: Array, axis: int, dtype: DTypeLike) -> Array:
    return jax.nn.softmax(scores.astype(jnp.float32), axis=axis).astype(dtype)


def _block(
    parameters: Parameters,
    layer: int,
    x: Array,
    attend: Callable[[Array, Array, Array], tuple[Array, Pair]],
) -> tuple[Array, Pair]:
    """Return ``x`` after a layer, and the keys and values that ``attend`` returns.

    ``attend`` mixes queries, keys and values, each shaped as ``x``. It may return only the last
    tokens of the last axis.
    """
    name = f"layers.{layer}."
    normed = _norm(x, parameters[name + "attention_norm"])
    query, key, value = jnp.split(_linear(normed, parameters[name + "qkv"]), 3)
    mixed, kept = attend(query, key, value)
    x = x[..., x.shape[-1] - mixed.shape[-1] :] + _linear(mixed, parameters[name + "out"])
    normed = _norm(x, parameters[name + "mlp_norm"])
    hidden = jax.nn.relu(_linear(normed, parameters[name + "up"]))
    return x + _linear(hidden, parameters[name + "down"]), kept


def _logits(parameters: Parameters, x: Array) -> Array:
    normed = _norm(x, parameters["norm"])
    return _linear(normed, parameters["head"]).astype(jnp.float32)


def read_prompts(
    parameters: Parameters, shape: ModelShape, prompts: Array
) -> tuple[Array, list[Pair]]:
    """Return the logits after ``prompts``, and each layer's keys and values.

    ``prompts`` is ``[rows, prompt tokens]``, the logits are ``[vocabulary, rows]`` in float32, keys
    and values ``[width, rows, prompt tokens]``.
    """
    rows, length = prompts.shape
    split = (shape.heads, shape.width // shape.heads, rows)
    x = _embed(parameters["embed"], prompts) + parameters["position"][:, None, :length]
    causal = np.where(np.tri(length), 0.0, -np.inf).T.astype(np.float32)
    cache = []
    for layer in range(shape.layers):
        # The last layer's output is needed only for the last token.
        kept = 1 if layer == shape.layers - 1 else length

        def attend(query: Array, key: Array, value: Array, kept: int = kept) -> tuple[Array, Pair]:
            queries = query.reshape(*split, length)[..., length - kept :] / math.sqrt(split[1])
            scores = jnp.einsum("hdrj,hdri->hrji", key.reshape(*split, length), queries)
            weights = _softmax(scores + causal[:, length - kept :], 2, query.dtype)
            mixed = jnp.einsum("hrji,hdrj->hdri", weights, value.reshape(*split, length))
            return mixed.reshape(shape.width, rows, kept), (key, value)

        x, pair = _block(parameters, layer, x, attend)
        cache.append(pair)
    return _logits(parameters, x)[..., 0], cache


def _attend_within(shape: ModelShape, query: Array, own: Pair, prompt: Pair, mask: Array) -> Array:
    """Attend from completion tokens to their prompt and to their ``own`` completion.

    ``query`` is ``[width, t, rows, group]``. ``mask`` is ``[u, t]``: 0 where query t sees key u of
    the completion, else −∞.
    """
    width, steps, rows, group = query.shape
    heads, size = shape.heads, width // shape.heads
    count, length, sequences = own[0].shape[1], prompt[0].shape[-1], rows * group
    by_head = jnp.asarray(np.repeat(np.eye(heads), size, axis=1), dtype=query.dtype)

    query = query / math.sqrt(size)
    queries = query.reshape(heads, size, steps, rows, group)
    keys, values = (part.reshape(heads, size, rows, length) for part in prompt)
    read = jnp.einsum("hdrj,hdtrg->hjtrg", keys, queries).reshape(heads, length, steps, sequences)
    products = own[0].reshape(width, count, 1, sequences) * query.reshape(
        width, 1, steps, sequences
    )
    within = (by_head @ products.reshape(width, -1)).reshape(heads, count, steps, sequences)
    scores = jnp.concatenate([read, within + mask[:, :, None].astype(query.dtype)], axis=1)
    weights = _softmax(scores, 1, query.dtype)

    read = weights[:, :length].reshape(heads, length, steps, rows, group)
    mixed = jnp.einsum("hjtrg,hdrj->hdtrg", read, values).reshape(width, steps, sequences)
    spread = by_head.T @ weights[:, length:].reshape(heads, -1)
    spread = spread.reshape(width, count, steps, sequences)
    for index in range(count):  # XLA would sum along this axis number by number
        mixed += spread[:, index] * own[1][:, index].reshape(width, 1, sequences)
    return mixed.reshape(width, steps, rows, group)


def inverse_cdf(logits: Array, uniforms: Array) -> Array:
    """Return the tokens drawn from ``logits`` ``[vocabulary, …]`` by ``uniforms`` ``[…]``.

    See `harness.training.model_torch.inverse_cdf`.
    """
    cumulative = jnp.cumsum(jax.nn.softmax(logits, axis=0), axis=0)
    drawn = jnp.sum(cumulative <= uniforms, axis=0, dtype=jnp.int32)
    return jnp.minimum(drawn, logits.shape[0] - 1)


def generate(
    parameters: Parameters, shape: ModelShape, prompts: Array, uniforms: Array, end: int
) -> Array:
    """Return completions of ``prompts``, each prompt read once, in int32.

    Takes what `harness.training.model_torch.generate` does.
    """
    rows, group, length = uniforms.shape
    prompt = prompts.shape[1]
    logits, read = read_prompts(parameters, shape, prompts)
    noise = uniforms.transpose(2, 0, 1)
    first = inverse_cdf(logits[:, :, None], noise[0])
    tokens = jnp.full((length, rows, group), end, dtype=jnp.int32).at[0].set(first)
    room = max(1, length - 1)
    empty = jnp.zeros((shape.width, room, rows, group), dtype=parameters["head"].dtype)
    caches = [(empty, empty) for _ in range(shape.layers)]

    def draw(
        step: Array, state: tuple[Array, Array, list[Pair]]
    ) -> tuple[Array, Array, list[Pair]]:
        tokens, ended, caches = state
        caches = list(caches)
        position = lax.dynamic_slice_in_dim(parameters["position"], prompt + step - 1, 1, axis=1)
        last = lax.dynamic_index_in_dim(tokens, step - 1, keepdims=False)
        x = _embed(parameters["embed"], last)[:, None] + position[:, :, None, None]
        mask = jnp.where(jnp.arange(room) < step, 0.0, -jnp.inf)[:, None]
        for layer in range(shape.layers):

            def attend(
                query: Array, key: Array, value: Array, layer: int = layer
            ) -> tuple[Array, Pair]:
                keys, values = caches[layer]
                keys = lax.dynamic_update_slice_in_dim(keys, key, step - 1, axis=1)
                values = lax.dynamic_update_slice_in_dim(values, value, step - 1, axis=1)
                own = keys, values
                return _attend_within(shape, query, own, read[layer], mask), own

            x, caches[layer] = _block(parameters, layer, x, attend)
        noise_now = lax.dynamic_index_in_dim(noise, step, keepdims=False)
        drawn = inverse_cdf(_logits(parameters, x)[:, 0], noise_now)
        drawn = jnp.where(ended, end, drawn)
        tokens = lax.dynamic_update_index_in_dim(tokens, drawn, step, axis=0)
        return tokens, ended | (drawn == end), caches

    begun = tokens, first == end, caches
    drawn: Array = lax.fori_loop(1, length, draw, begun)[0]
    return drawn.transpose(1, 2, 0)


def completion_logits(
    parameters: Parameters, shape: ModelShape, prompts: Array, completions: Array
) -> Array:
    """Return the logits that each completion token was drawn from, teacher-forced.

    ``prompts`` is ``[rows, prompt tokens]``, ``completions`` ``[rows, group, tokens]``. The result
    is ``[vocabulary, tokens, rows, group]`` in float32.
    """
    rows, group, length = completions.shape
    prompt = prompts.shape[1]
    first, read = read_prompts(parameters, shape, prompts)
    logits = jnp.broadcast_to(first[:, None, :, None], (first.shape[0], 1, rows, group))
    if length == 1:
        return logits
    tokens = completions[:, :, :-1].transpose(2, 0, 1)
    x = _embed(parameters["embed"], tokens)
    x = x + parameters["position"][:, prompt : prompt + length - 1, None, None]
    mask = jnp.where(np.tri(length - 1).T > 0, 0.0, -jnp.inf)
    for layer in range(shape.layers):

        def attend(
            query: Array, key: Array, value: Array, layer: int = layer
        ) -> tuple[Array, Pair]:
            return _attend_within(shape, query, (key, value), read[layer], mask), (key, value)

        x, _ = _block(parameters, layer, x, attend)
    return jnp.concatenate([logits, _logits(parameters, x)], axis=1)
