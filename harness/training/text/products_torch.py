"""The matrix products of linear layers by oneDNN, in float32 on a CPU.

Torch takes MKL for them, which on AMD's processors does not use AVX-512; oneDNN does wherever it
is there. Torch calls it by an operation of its own compiler, so where that is missing layers stay
as they are.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Context: TypeAlias = Any  # what autograd keeps between forward and backward


def use_onednn(module: nn.Module) -> None:
    """Let the linear layers within ``module`` compute by oneDNN, if Torch has it."""
    is_built = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    is_here = is_built and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    for one in module.modules() if is_here else ():
        if type(one) is nn.Linear:
            # The same layer with another product: its weights, hooks and place stay as they are.
            one.__class__ = OneDNNLinear


class OneDNNLinear(nn.Linear):
    """A linear layer whose products are oneDNN's where it computes in float32 on a CPU."""

    def forward(self, given: Tensor) -> Tensor:
        """Return the features ``[…, out]`` of ``given`` ``[…, in]``."""
        if given.device.type != "cpu" or not given.dtype == self.weight.dtype == torch.float32:
            return super().forward(given)
        if not torch.is_grad_enabled():
            return _product(given, self.weight, self.bias)
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
        return (
            _product(gradient, weight.t(), None) if wanted[0] else None,
            flat.t() @ given.flatten(0, -2) if wanted[1] else None,
            flat.sum(dim=0) if wanted[2] else None,
        )


def _product(given: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    onednn = torch.ops.mkldnn._linear_pointwise
    found: Tensor = onednn(given.contiguous(), weight, bias, "none", [], "")
    return found
