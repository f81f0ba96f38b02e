"""A cache with room holds what one that grows by copying holds."""

from __future__ import annotations

import contextlib

import pytest

with contextlib.suppress(ModuleNotFoundError):
    import torch
    from transformers.cache_utils import DynamicCache, DynamicSlidingWindowLayer

    from harness.training.text.cache_torch import RoomyLayer, make_room

pytestmark = [pytest.mark.torch, pytest.mark.trl]


def filled(tokens=4):
    cache = DynamicCache()
    draws = torch.Generator().manual_seed(1)
    for layer in range(2):
        cache.update(*torch.randn(2, 3, 2, tokens, 5, generator=draws), layer)
    cache.batch_repeat_interleave(2)
    return cache


def test_it_holds_the_same_and_copies_nothing():
    ours, plain = filled(), filled()
    make_room(ours, 3)
    assert {type(layer) for layer in ours.layers} == {RoomyLayer}
    before = ours.layers[1].keys.data_ptr()
    for step in range(3):
        new = torch.randn(2, 6, 2, 1, 5)
        for layer in range(2):
            held = ours.update(*new, layer)
            for one, other in zip(held, plain.update(*new, layer), strict=True):
                assert torch.equal(one, other)
        assert ours.get_seq_length() == plain.get_seq_length() == 5 + step
    assert ours.layers[1].keys.data_ptr() == before


def test_a_layer_of_another_kind_stays_as_it_is():
    cache = filled()
    cache.layers[0] = DynamicSlidingWindowLayer(8)
    make_room(cache, 3)
    assert type(cache.layers[0]) is DynamicSlidingWindowLayer
    make_room(object(), 3)
