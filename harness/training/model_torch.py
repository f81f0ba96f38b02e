"""The decoder in Torch: one forward pass for prompts, generation and training.

A *packed group* is one row of tokens: a prompt, then its completions position by position, so that
G completions of a prompt share its keys and values:

    p₀ … p₍L₋₁₎ | c₀⁽¹⁾ … c₀⁽ᴳ⁾ | c₁⁽¹⁾ … c₁⁽ᴳ⁾ | …

With a mask, a completion's token sees the prompt and the earlier tokens of the same completion.
Reading a prompt, generating a token and training are then the same computation over a slice of the
row, and a prompt is computed once for all its completions. Attention scores are computed for all
pairs of a row, which is cheap while G times the completion's length is a few hundred.

The blocks are GPT-2's (pre-norm, learned positions) with ReLU and without biases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from harness.training.tasks import ModelShape, Tokens
from harness.training.warm_start import Weights

Parameters = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Layout:
    """A packed group: ``prompt`` tokens, then ``steps`` blocks of ``group`` completion tokens."""

    prompt: int
    group: int
    steps: int

    @property
    def length(self) -> int:
        """The number of tokens in a row."""
        return self.prompt + self.group * self.steps


@lru_cache(maxsize=256)
def _frame(layout: Layout, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the positions ``[length]`` and the additive mask ``[length, length]`` of a row."""
    step = np.repeat(np.arange(layout.steps), layout.group)
    member = np.tile(np.arange(layout.group), layout.steps)
    positions = np.concatenate([np.arange(layout.prompt), layout.prompt + step])
    members = np.concatenate([np.full(layout.prompt, -1), member])
    sees = (members[None, :] == -1) | (members[None, :] == members[:, None])
    sees &= positions[None, :] <= positions[:, None]
    mask = np.where(sees, 0.0, -np.inf)
    with torch.inference_mode(False):
        return (
            torch.as_tensor(positions, device=device),
            torch.as_tensor(mask, device=device).to(dtype),
        )


class FlatWeights:
    """All weights of a decoder in one vector, so that optimiser and gradient have one tensor.

    ``vector`` is a float32 leaf. Its gradient is float32 too, whatever the forward pass's dtype.
    """

    def __init__(self, weights: Weights, device: torch.device) -> None:
        self._shapes = {name: array.shape for name, array in weights.items()}
        self._sizes = [array.size for array in weights.values()]
        flat = np.concatenate([array.ravel() for array in weights.values()])
        self.vector = torch.tensor(flat, dtype=torch.float32, device=device, requires_grad=True)

    def named(self, dtype: torch.dtype = torch.float32) -> Parameters:
        """Return the weights by name in ``dtype``; gradients flow back to the vector."""
        parts = torch.split(self.vector.to(dtype), self._sizes)
        return {
            name: part.view(shape)
            for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }

    def arrays(self) -> Weights:
        """Return copies of the weights by name, on the host."""
        with torch.no_grad():
            return {name: tensor.cpu().numpy().copy() for name, tensor in self.named().items()}


class Cache:
    """The keys and values of packed groups, allocated once for all layers of a generation."""

    def __init__(self, shape: ModelShape, rows: int, length: int, like: Tensor) -> None:
        size = (shape.layers, rows * shape.heads, length, shape.width // shape.heads)
        self.keys = like.new_empty(size)
        self.values = like.new_empty(size)

    def extend(self, layer: int, start: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store keys and values of ``layer`` from token ``start`` on; return all so far.

        ``key`` and ``value`` are ``[rows · heads, tokens, width / heads]``.
        """
        end = start + key.shape[1]
        self.keys[layer, :, start:end] = key
        self.values[layer, :, start:end] = value
        return self.keys[layer, :, :end], self.values[layer, :, :end]


def forward(
    parameters: Parameters,
    shape: ModelShape,
    tokens: Tensor,
    layout: Layout,
    *,
    start: int = 0,
    first: int = 0,
    cache: Cache | None = None,
) -> Tensor:
    """Return the logits of ``tokens``, a slice of packed groups.

    Parameters
    ----------
    tokens
        ``[rows, n]``, tokens ``start`` to ``start + n − 1`` of each row.
    layout
        How the rows are packed.
    start
        Where the slice begins; the tokens before it must be in ``cache``.
    first
        How many tokens of the slice need no logits; the last layer leaves them out.
    cache
        Keys and values of the tokens before the slice. The slice's are added.

    Returns
    -------
    Tensor
        ``[rows, n − first, vocabulary]``, float32.
    """
    rows, n = tokens.shape
    heads, size = shape.heads, shape.width // shape.heads
    positions, mask = _frame(layout, tokens.device, parameters["head"].dtype)
    positions, mask = positions[start : start + n], mask[start : start + n, : start + n]
    width = (shape.width,)
    x = functional.embedding(tokens, parameters["embed"])
    x = x + functional.embedding(positions, parameters["position"])
    for layer in range(shape.layers):
        name = f"layers.{layer}."
        normed = functional.layer_norm(x, width, parameters[name + "attention_norm"])
        qkv = (normed @ parameters[name + "qkv"]).view(rows, n, 3, heads, size)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).reshape(3, rows * heads, n, size).unbind()
        if cache is not None:
            key, value = cache.extend(layer, start, key, value)
        if layer == shape.layers - 1 and first:
            query, x, mask = query[:, first:], x[:, first:], mask[first:]
        scores = torch.baddbmm(mask, query, key.transpose(1, 2), alpha=1.0 / math.sqrt(size))
        mixed = torch.bmm(torch.softmax(scores, dim=-1), value)
        mixed = mixed.view(rows, heads, -1, size).transpose(1, 2).reshape(rows, -1, shape.width)
        x = x + mixed @ parameters[name + "out"]
        normed = functional.layer_norm(x, width, parameters[name + "mlp_norm"])
        x = x + torch.relu_(normed @ parameters[name + "up"]) @ parameters[name + "down"]
    return (functional.layer_norm(x, width, parameters["norm"]) @ parameters["head"]).float()


def inverse_cdf(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Return the tokens drawn from ``logits`` ``[..., vocabulary]`` by ``uniforms`` ``[...]``.

    A token is the number of cumulative probabilities (float32) not above its uniform. It is at most
    the last of the vocabulary, even if rounding leaves their sum below the uniform.
    """
    cumulative = torch.softmax(logits, dim=-1).cumsum(dim=-1)
    drawn = (cumulative <= uniforms.unsqueeze(-1)).sum(dim=-1)
    return drawn.clamp_(max=logits.shape[-1] - 1)


@torch.inference_mode()
def generate(
    parameters: Parameters, shape: ModelShape, prompts: Tensor, uniforms: Tensor, end: int
) -> Tokens:
    """Return completions of ``prompts``, each prompt computed once.

    Parameters
    ----------
    prompts
        ``[rows, prompt tokens]``.
    uniforms
        ``[rows, group, tokens]``, the sampling noise. Its shape is that of the completions.
    end
        The token that ends a completion, and fills the places after it.

    Returns
    -------
    Tokens
        ``[rows, group, tokens]``, on the host.
    """
    rows, group, length = uniforms.shape
    prompt = prompts.shape[1]
    layout = Layout(prompt, group, length - 1)
    cache = Cache(shape, rows, layout.length, parameters["head"])
    logits = forward(parameters, shape, prompts, layout, first=prompt - 1, cache=cache)
    tokens = torch.full((length, rows, group), end, dtype=torch.int64, device=prompts.device)
    ended = torch.zeros((rows, group), dtype=torch.bool, device=prompts.device)
    for step in range(length):
        if step:
            start = prompt + (step - 1) * group
            last = tokens[step - 1]
            logits = forward(parameters, shape, last, layout, start=start, cache=cache)
        drawn = inverse_cdf(logits, uniforms[:, :, step])
        tokens[step] = torch.where(ended, end, drawn)
        ended |= drawn == end
        if ended.all():
            break
    host: Tokens = tokens.permute(1, 2, 0).cpu().numpy()
    return host


def completion_logits(
    parameters: Parameters, shape: ModelShape, prompts: Tensor, completions: Tensor
) -> Tensor:
    """Return the logits that each completion token was drawn from, teacher-forced.

    ``prompts`` is ``[rows, prompt tokens]``, ``completions`` ``[rows, group, tokens]``. The result
    is ``[rows, group, tokens, vocabulary]`` in float32.
    """
    rows, group, length = completions.shape
    prompt = prompts.shape[1]
    layout = Layout(prompt, group, length - 1)
    read = completions[:, :, :-1].transpose(1, 2).reshape(rows, -1)
    packed = torch.cat([prompts, read], dim=1)
    logits = forward(parameters, shape, packed, layout, first=prompt - 1)
    # Row 0 predicts the first token of the whole group. The other rows follow by position.
    logits = torch.cat([logits[:, :1].expand(-1, group, -1), logits[:, 1:]], dim=1)
    return logits.view(rows, length, group, -1).transpose(1, 2)
