"""The size of a pass: as large as is safe, and the same on both backends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.training.grpo import microbatches
from harness.training.settings import GRPOSettings
from harness.training.text import training
from harness.training.text.architecture import architecture

SETTINGS = GRPOSettings(1e-6, batch_size=4, generations=4)
SMOLLM2 = dict(
    model_type="llama",
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    max_position_embeddings=8192,
)

sizes = st.integers(1, 40)


def tokens(precision_bytes=4, *, on_host=True, settings=SETTINGS):
    features = architecture(SMOLLM2, "smol").features
    return training.tokens_of_a_pass(
        settings, features, number_bytes=precision_bytes, on_host=on_host
    )


def test_a_pass_of_a_known_model_has_what_the_page_says():
    assert round(tokens(), -2) == 1800
    assert tokens(2) == pytest.approx(2 * tokens(), abs=1)
    assert tokens(on_host=False) == pytest.approx(4 * tokens(), abs=4)


def test_the_setting_decides_where_it_is_given():
    assert tokens(settings=replace(SETTINGS, microbatch_tokens=70)) == 70


def test_a_large_model_has_a_pass_that_is_worth_computing():
    assert training.tokens_of_a_pass(SETTINGS, 10**7, number_bytes=4, on_host=True) == 512


@given(sizes, sizes, st.none() | sizes, st.integers(1, 5000), st.integers(0, 60), sizes)
def test_no_pass_is_larger_than_allowed_nor_smaller_than_need_be(
    rows, group, most, allowed, read, written
):
    found = training.completions_of_a_pass(
        rows, group, most=most, tokens=allowed, read=read, written=written
    )
    parts = [*microbatches(rows, group, found)]
    counted = [
        (min(row.stop, rows) - row.start, min(member.stop, group) - member.start)
        for row, member in parts
    ]
    assert sum(together * members for together, members in counted) == rows * group
    for together, members in counted:
        alone = together == members == 1
        assert alone or together * (read + members * written) <= allowed
        assert most is None or together * members <= most
    if read + group * written <= allowed and (most is None or most >= group):
        assert all(members == group for _, members in counted)
    if rows * (read + group * written) <= allowed and most is None:
        assert len(parts) == 1
