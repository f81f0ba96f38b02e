"""The layers of a language model in float32 on a CPU: oneDNN's products, gradients added in place.

Torch takes MKL for the products, which on AMD's processors does not use AVX-512; oneDNN does
wherever it is there. Torch calls it by an operation of its own compiler, so where that is missing
layers stay as they are.

A matrix that is used more than once has a gradient of several parts: the head's, for some tokens at
a time, and the embedding's where it is the same matrix. Autograd makes each part whole before it
adds it. Over a large vocabulary that is 100 MB a part, so here each is added to what is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Context: TypeAlias = Any  # what autograd keeps between forward and backward


def use_onednn(module: nn.Module) -> None:
    """Let the linear layers and embeddings within ``module`` compute so, if Torch has oneDNN."""
    is_built = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    is_here = is_built and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    for one in module.modules() if is_here else ():
        # The same layers with other products: their weights, hooks and places stay as they are.
        if type(one) is nn.Linear:
            one.__class__ = OneDNNLinear
        elif type(one) is nn.Embedding and not (one.sparse or one.scale_grad_by_freq):
            one.__class__ = AddedEmbedding


def is_fit(weight: Tensor) -> bool:
    """Return whether ``weight`` is of the kind that is computed with here."""
    return weight.device.type == "cpu" and weight.dtype == torch.float32


@contextmanager
def reordered(module: nn.Module, rows: int) -> Iterator[None]:
    """Keep the weights of ``module`` as oneDNN reads them, for products of ``rows`` rows.

    For few rows it would take longer to order them at each product than to multiply. It takes as
    much memory again, and no gradient is computed meanwhile.
    """
    layers = [one for one in module.modules() if type(one) is OneDNNLinear and is_fit(one.weight)]
    for one in layers:
        one.ordered = torch.ops.mkldnn._reorder_linear_weight(one.weight.detach(), rows)
    try:
        yield
    finally:
        for one in layers:
            del one.ordered


class OneDNNLinear(nn.Linear):
    """A linear layer whose products are oneDNN's where it computes in float32 on a CPU."""

    ordered: Tensor | None = None
    """The weights in oneDNN's order, within `reordered`."""

    def forward(self, given: Tensor) -> Tensor:
        """Return the features ``[…, out]`` of ``given`` ``[…, in]``."""
        if not is_fit(self.weight) or given.dtype != torch.float32:
            return super().forward(given)
        if not torch.is_grad_enabled():
            weight = self.weight if self.ordered is None else self.ordered
            return _product(given, weight, self.bias)
        found: Tensor = _Linear.apply(given, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return found


class _Linear(torch.autograd.Function):
    """The features of a linear layer, and their gradient."""

    @staticmethod
    def forward(ctx: Context, given: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(given, weight)
        return _product(given, weight, bias)

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        given, weight = ctx.saved_tensors
        wanted, flat = ctx.needs_input_grad, gradient.flatten(0, -2)
        into = None
        if wanted[1] and weight.grad is not None:
            weight.grad.addmm_(flat.t(), given.flatten(0, -2))
        elif wanted[1]:
            into = flat.t() @ given.flatten(0, -2)
        return (
            _product(gradient, weight.t(), None) if wanted[0] else None,
            into,
            flat.sum(dim=0) if wanted[2] else None,
        )


def _product(given: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    onednn = torch.ops.mkldnn._linear_pointwise
    found: Tensor = onednn(given.contiguous(), weight, bias, "none", [], "")
    return found


class AddedEmbedding(nn.Embedding):
    """An embedding whose gradient is added to that of its matrix, in float32 on a CPU."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the features ``[…, width]`` of ``tokens``."""
        if not (is_fit(self.weight) and torch.is_grad_enabled() and self.max_norm is None):
            return super().forward(tokens)
        found: Tensor = _Embedding.apply(tokens, self.weight, self.padding_idx)  # type: ignore[no-untyped-call]
        return found


class _Embedding(torch.autograd.Function):
    """Rows of a matrix, and their gradient: none for the row that pads."""

    @staticmethod
    def forward(ctx: Context, tokens: Tensor, weight: Tensor, padding: int | None) -> Tensor:
        ctx.save_for_backward(tokens, weight)
        ctx.padding = padding
        return weight[tokens]

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        tokens, weight = ctx.saved_tensors
        if not ctx.needs_input_grad[1]:
            return None, None, None
        rows, parts = tokens.flatten(), gradient.flatten(0, -2)
        if ctx.padding is not None:
            read = rows != ctx.padding
            rows, parts = rows[read], parts[read]
        is_there = weight.grad is not None
        into = weight.grad if is_there else torch.zeros_like(weight)
        into.index_add_(0, rows, parts)
        return None, None if is_there else into, None
