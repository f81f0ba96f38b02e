"""Tiles cover a batch exactly once, within their shape, and few shapes do for a sweep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.training.tiles import Tile, evaluation_tile, training_tile

sizes = st.integers(1, 60)


@given(sizes, sizes, st.none() | st.integers(1, 300))
def test_tiles_cover_a_batch_once(rows, group, microbatch):
    tile = training_tile(rows, group, microbatch)
    counted = np.zeros((rows, group), dtype=int)
    for cut in tile.cuts(rows, group):
        counted[cut] += 1
        assert counted[cut].shape[0] <= tile.rows
        assert counted[cut].shape[1] <= tile.members
    assert (counted == 1).all()


@given(sizes, sizes, st.integers(1, 300))
def test_a_tile_has_no_more_sequences_than_a_microbatch(rows, group, microbatch):
    tile = training_tile(rows, group, microbatch)
    assert 1 <= tile.rows * tile.members <= microbatch


@given(sizes, sizes)
def test_little_of_a_batch_is_padding(rows, group):
    tile = training_tile(rows, group)
    count = len(list(tile.cuts(rows, group)))
    assert count * tile.rows * tile.members < (rows + 4) * (group + 8)


def test_the_seed_sweeps_have_four_shapes():
    broad = [(4, g) for g in (20, 30, 40)] + [(b, g) for b in (8, 12) for g in (16, 24, 32)]
    focused = [(b, g) for b in (4, 8, 12) for g in (16, 24, 32)]
    assert {training_tile(*size).name for size in broad} == {"4x16", "4x24", "4x32", "4x40"}
    assert {training_tile(*size).name for size in focused} == {"4x16", "4x24", "4x32"}


@given(sizes, st.integers(1, 8), st.integers(1, 100))
def test_evaluation_keeps_to_its_most(prompts, samples, most):
    tile = evaluation_tile(prompts, samples, most)
    assert 1 <= tile.rows * tile.members <= most
    assert tile.rows <= prompts
    assert tile.members <= samples


class TestFill:
    def test_what_fits_is_left_as_it_is(self):
        part = np.ones((2, 3, 4))
        assert Tile(2, 3).fill(part) is part

    @pytest.mark.parametrize("dtype", [np.int32, np.float32, np.bool_])
    def test_the_rest_is_zeros(self, dtype):
        filled = Tile(4, 3).fill(np.ones((2, 1, 5), dtype=dtype))
        assert filled.shape == (4, 3, 5)
        assert filled.dtype == dtype
        assert filled.sum() == 10
        assert filled[:2, :1].all()

    def test_prompts_have_no_members(self):
        filled = Tile(4, 3).fill(np.ones((2, 6)), grouped=False)
        assert filled.shape == (4, 6)
        assert filled[:2].all()
        assert not filled[2:].any()
