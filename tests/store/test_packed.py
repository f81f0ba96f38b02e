"""What is packed in a store is unpacked when it is looked at, and no sooner."""

from __future__ import annotations

import sqlite3
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import StoreError
from harness.records import ItemScores
from harness.store import Store, packed
from harness.store.merging import merge
from tests.factories import make_result, make_trace
from tests.store.contract import ITEMS, names_of_items

SCORES = st.floats(allow_nan=False, allow_infinity=False)


def bits(scores):
    return struct.pack(f"{len(scores)}d", *scores)


@given(after=st.lists(SCORES, min_size=1, max_size=600), copies=st.booleans())
def test_scores_come_back_to_the_bit(after, copies):
    before = after[::-1] if copies else ()
    blob = packed.pack_scores(ItemScores(after, before))
    found = packed.packed_items("a", blob, None)
    assert bits(found.after) == bits(after)
    assert bits(found.before) == bits(before)


@pytest.mark.parametrize(
    ("scores", "bits_each"),
    [
        (lambda rng: rng.integers(0, 2, 10_000).astype(float), 1.4),
        (lambda rng: rng.binomial(4, 0.3, 10_000) / 4, 2.6),
        (lambda rng: rng.random(10_000, dtype=np.float32).astype(float), 36),
        (lambda rng: rng.random(10_000), 64),
    ],
    ids=["zero-one", "of-4-samples", "float32", "float64"],
)
def test_few_distinct_scores_take_few_bits(scores, bits_each):
    drawn = scores(np.random.default_rng(1)).tolist()
    blob = packed.pack_scores(ItemScores(drawn))
    assert len(blob) * 8 <= bits_each * 10_000
    assert list(packed.packed_items("a", blob, None).after) == drawn


def test_nothing_is_unpacked_before_it_is_looked_at(tmp_path, monkeypatch):
    with Store.open(str(tmp_path / "s.db")) as store:
        store.save(make_result(items=ITEMS, trace=make_trace([0.1])))
        unpacked = []
        was = packed._Bytes.unpack
        monkeypatch.setattr(
            packed._Bytes, "unpack", lambda self: unpacked.append(self.key) or was(self)
        )
        (found,) = store.results()
    items = found.outcome.items
    assert not unpacked
    assert items.ids[0] == "q1"
    assert len(unpacked) == 1
    assert items == ITEMS  # after the store is closed


def test_runs_that_share_the_names_of_their_items_share_them_in_memory(tmp_path):
    with Store.open(str(tmp_path / "s.db")) as store:
        for i in range(2):
            store.save(make_result(f"s-{i}", seed=i, items=ITEMS))
        first, second = (result.outcome.items for result in store.results())
    assert tuple(first.ids) is not None
    assert first.ids._content is second.ids._content


@pytest.mark.parametrize(
    ("column", "table"), [("item_scores", "sweep_outcomes"), ("labels", "sweep_item_labels")]
)
def test_damaged_items_are_named_when_they_are_looked_at(tmp_path, column, table):
    path = tmp_path / "s.db"
    result = make_result(items=ITEMS)
    with Store.open(str(path)) as store:
        store.save(result)
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE {table} SET {column} = x'00'")
    connection.close()
    with Store.open(str(path)) as store:
        (found,) = store.results()
        said = f"the run with key {result.key} cannot be read"
        with pytest.raises(StoreError, match=said):
            repr(found.outcome.items)
        with pytest.raises(StoreError, match=said):
            store.of({result.key: result.run}, check=True)


def test_names_of_items_that_are_gone_are_an_error_of_one_line(tmp_path):
    path = tmp_path / "s.db"
    with Store.open(str(path)) as store:
        store.save(make_result(items=ITEMS))
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM sweep_item_labels")
    connection.close()
    with (
        Store.open(str(path)) as store,
        pytest.raises(StoreError, match=r"the labels [0-9a-f]{16} of its items are not there"),
    ):
        store.results()


@pytest.mark.parametrize("here", [(), (make_result("s-0", seed=0, status="failed"),)])
def test_stores_are_merged_with_their_items(tmp_path, here):
    with Store.open(str(tmp_path / "a.db")) as ours, Store.open(str(tmp_path / "b.db")) as theirs:
        for result in here:
            ours.save(result)
        made = [make_result(f"s-{i}", seed=i, index=i, items=ITEMS) for i in range(2)]
        for result in made[: 1 if here else 2]:
            theirs.save(result)
        merge(ours, theirs)
        assert ours.results() == theirs.results()
        assert ours.results()[0].outcome.items == ITEMS
        assert names_of_items(ours) == 1
