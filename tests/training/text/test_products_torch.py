"""The products of oneDNN are those of Torch's own linear layers."""

from __future__ import annotations

import contextlib
import copy

import pytest

with contextlib.suppress(ModuleNotFoundError):
    import torch
    from torch import nn

    from harness.training.text.products_torch import OneDNNLinear, use_onednn

pytestmark = pytest.mark.torch


@pytest.fixture
def layers():
    """Return a layer of Torch's, and the same one with oneDNN's products."""
    torch.manual_seed(1)

    def make(bias=True, dtype=None):
        plain = nn.Linear(5, 7, bias=bias, dtype=dtype)
        ours = nn.Sequential(copy.deepcopy(plain))
        use_onednn(ours)
        return plain, ours[0]

    return make


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(6, 5), (2, 3, 5), (1, 1, 5)])
def test_features_and_gradients_are_torch_s(layers, shape, bias):
    plain, ours = layers(bias)
    assert type(ours) is OneDNNLinear
    given = torch.randn(shape)
    found = []
    for layer in (plain, ours):
        into = given.clone().requires_grad_()
        out = layer(into)
        (out * out.detach().cos()).sum().backward()
        found.append((out.detach(), into.grad, *(one.grad for one in layer.parameters())))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        torch.testing.assert_close(ours(given), plain(given))


def test_gradients_and_features_may_have_any_strides(layers):
    plain, ours = layers()
    given = torch.randn(5, 6).t().requires_grad_()
    grads = []
    for layer in (plain, ours):
        given.grad = None
        layer(given).sum().backward()  # the gradient is one number, expanded
        layer(given)[:, ::2].square().sum().backward()
        grads.append((given.grad.clone(), layer.weight.grad))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)


def test_a_frozen_layer_has_no_gradient_and_bfloat16_stays_torch_s(layers):
    _, ours = layers()
    ours.requires_grad_(False)
    given = torch.randn(2, 5, requires_grad=True)
    ours(given).sum().backward()
    assert given.grad is not None
    assert ours.weight.grad is None
    plain, ours = layers(dtype=torch.bfloat16)
    given = torch.randn(2, 5).bfloat16()
    assert torch.equal(ours(given), plain(given))
