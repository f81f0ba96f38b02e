"""Parameters as columns, and the ranges that they are cut into."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.columns import find_associations
from harness.analysis.ranges import round_edges
from harness.observations.columns import read_columns
from harness.records import Config
from tests.analysis.analyses import analyzed, one_of_two


def columns_of(**values):
    rows = zip(*values.values(), strict=True)
    return read_columns([Config(dict(zip(values, row, strict=True))) for row in rows])


def test_parameters_as_columns():
    found, left_out = columns_of(
        rate=[10.0**-i for i in range(2, 14)],
        dropout=[i / 20 for i in range(12)],
        size=[4, 8, 12] * 4,
        blank=[None, 1, 2] * 4,
        often=[None, *range(1, 12)],
        flag=[True, False] * 6,
        same=["x"] * 12,
        tag=[f"t{i}" for i in range(12)],
    )
    assert list(found) == ["rate", "dropout", "size", "blank", "often", "flag"]
    assert (found["rate"].is_log, found["dropout"].is_log) == (True, False)
    assert found["rate"].levels[2] == (1e-5, 1e-2)
    assert found["size"].levels == (4, 8, 12)
    assert found["blank"].levels == (1, 2, None)
    assert found["often"].levels[-1] is None
    assert np.isnan(found["often"].numbers).sum() == 1
    assert found["flag"].levels == (False, True)
    assert not found["flag"].is_numeric
    assert {name: str(why) for name, why in left_out.items()} == {
        "same": "the same in every run",
        "tag": "12 values in 12 runs, too many to compare",
    }


def test_bonds_are_seldom_seen_where_there_are_none():
    rng, seen = np.random.default_rng(3), 0
    for _ in range(150):
        columns, _ = columns_of(
            a=rng.integers(0, 3, 40).tolist(),
            b=rng.integers(0, 3, 40).tolist(),
            c=rng.random(40).tolist(),
        )
        seen += any(find_associations(columns, {}, rng).values())
    assert seen / 150 <= 0.04


@pytest.mark.parametrize(
    ("low", "high", "is_log", "edges"),
    [
        (1.02e-7, 1.48e-6, True, [1e-7, 3e-7, 1e-6, 2e-6]),
        (8.3e-8, 3.9e-7, True, [8e-8, 1e-7, 3e-7, 4e-7]),
        (1e-7, 1e-6, True, [1e-7, 3e-7, 1e-6]),
        (2.1e-7, 2.8e-7, True, [2e-7, 3e-7]),
        (1e-9, 1.0, True, [float(f"1e{i}") for i in range(-9, 1)]),
        (0.0, 0.5, False, [0.0, 0.2, 0.4, 0.6]),
        (-3.0, 97.0, False, [-50.0, 0.0, 50.0, 100.0]),
        (10.0, 18.0, False, [10.0, 12.0, 14.0, 16.0, 18.0]),
    ],
)
def test_round_edges(low, high, is_log, edges):
    assert round_edges(np.array([low, high]), is_log=is_log) == pytest.approx(edges)


@given(
    st.floats(1e-12, 1e12), st.floats(1.001, 1e15), st.booleans(), st.floats(0, 1, exclude_max=True)
)
def test_edges_rise_and_hold_every_value(low, factor, is_log, between):
    values = np.array([low, low * (1 + between * (factor - 1)), low * factor])
    edges = round_edges(values, is_log=is_log)
    assert all(np.diff(edges) > 0)
    assert edges[0] <= values.min() * (1 + 1e-9)
    assert values.max() <= edges[-1] * (1 + 1e-9)
    assert 1 <= len(edges) - 1 <= 30


def test_the_ranges_are_of_the_learning_rate_or_of_what_spans_most():
    n = 24
    columns = {
        "learning_rate": [1e-7] * n,
        "decay": np.geomspace(1e-6, 1e-2, n).tolist(),
        "dropout": np.linspace(0, 0.5, n).tolist(),
        "size": [4, 8] * 12,
    }
    deltas = one_of_two(n)
    assert analyzed(deltas, columns).ranges.parameter == "decay"
    varied = columns | {"learning_rate": np.geomspace(1e-7, 2e-7, n).tolist()}
    assert analyzed(deltas, varied).ranges.parameter == "learning_rate"
    by_value = analyzed(deltas, columns, parameter="size").ranges
    assert [(row.low, row.high, row.runs) for row in by_value.rows] == [(4, 4, 12), (8, 8, 12)]
    only = {"learning_rate": [1e-7] * n, "size": [4, 8] * 12}
    assert analyzed(deltas, only).ranges is None
