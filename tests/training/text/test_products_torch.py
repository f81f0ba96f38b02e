"""The layers of float32 on a CPU compute what Torch's own compute."""

from __future__ import annotations

import contextlib
import copy

import pytest

with contextlib.suppress(ModuleNotFoundError):
    import torch
    from torch import nn

    from harness.training.text.products_torch import (
        AddedEmbedding,
        OneDNNLinear,
        reordered,
        use_onednn,
    )

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


def test_parts_of_a_gradient_are_added_to_what_is_there(layers):
    plain, ours = layers()
    for layer in (plain, ours):
        torch.manual_seed(2)
        for _ in range(3):
            layer(torch.randn(4, 5)).square().sum().backward()
    for one, other in zip(plain.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_reordered_weights_give_the_same_features_and_are_dropped(layers):
    _, ours = layers()
    given = torch.randn(16, 1, 5)
    with torch.no_grad():
        before = ours(given)
        with reordered(nn.Sequential(ours), 16):
            assert ours.ordered is not None
            assert torch.equal(ours(given), before)
            torch.testing.assert_close(ours(given[:3]), before[:3])  # of another number of rows
            ours.ordered = torch.ops.mkldnn._reorder_linear_weight(ours.weight.detach() * 2, 16)
            assert not torch.equal(ours(given), before)  # they are what is multiplied with
    assert ours.ordered is None
    # Where a gradient is asked for, the weights themselves count.
    with reordered(nn.Sequential(ours), 16):
        ours(given).sum().backward()
    assert ours.weight.grad is not None


@pytest.mark.parametrize("padding", [None, 2])
@pytest.mark.parametrize("tied", [True, False])
def test_an_embedding_has_torch_s_gradient_also_where_it_is_the_head(padding, tied):
    found = []
    for changed in (False, True):
        torch.manual_seed(1)
        embedding = nn.Embedding(9, 5, padding_idx=padding)
        head = nn.Linear(5, 9, bias=False)
        if tied:
            head.weight = embedding.weight
        if changed:
            use_onednn(nn.Sequential(embedding, head))
            assert type(embedding) is AddedEmbedding
        for tokens in ([[1, 2, 2, 8], [2, 1, 0, 1]], [[3, 2, 3, 3], [8, 8, 8, 8]]):
            logits = head(embedding(torch.tensor(tokens)).tanh())
            (logits * logits.detach().cos()).sum().backward()
        found.append((logits.detach(), embedding.weight.grad, head.weight.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_a_frozen_embedding_has_no_gradient():
    embedding = nn.Embedding(9, 5).requires_grad_(False)
    use_onednn(nn.Sequential(embedding))
    assert not embedding(torch.tensor([[1, 2]])).requires_grad
