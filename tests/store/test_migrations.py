"""Stores of earlier versions: opened, read as they are, and brought up to date.

`tests/data/store-schema-N.sql` is what code of that schema wrote, dumped by ``sqlite3 FILE .dump``:
`held` says what went in.
"""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.records import Evaluation
from harness.store import Store, tables
from harness.store.tables import SCHEMA
from tests.factories import make_result, make_trace
from tests.store.contract import ITEMS


def held():
    """Return what was saved into each of the old stores, in the order of its results."""
    at = {"finished_at": "2026-11-25T12:00:00Z", "environment": {"python": "3.11.2", "cores": 2}}
    crashed = {"status": "crashed", "curve": (Evaluation(0, 0.1, 0.01, 0.1),)}
    return (
        make_result("a-00", sweep="a", delta=0.1 + 0.2, trace=make_trace([1 / 3, 5e-324]), **at),
        make_result("a-01", sweep="a", index=1, seed=2, error="killed: 'ü'\n", **crashed),
        make_result("a-02", sweep="a", index=2, seed=3, status="diverged", stopped_at=7, **at),
        make_result("a-00-null", sweep="a", arm="null", pair="a-00", delta=-0.0, **at),
        make_result("b-00", sweep="b", delta=0.1 + 0.2, trace=make_trace([1 / 3, 5e-324]), **at),
    )


DATA = Path(__file__).parent / "data"


@pytest.fixture(params=range(1, SCHEMA))
def old(request, tmp_path):
    """The file of a store that code of an earlier schema wrote."""
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((DATA / f"store-schema-{request.param}.sql").read_text())
    connection.close()
    return path


def columns(path):
    """Return each table's columns, as far as the database cares: name, type, null, key."""
    affinity = {"VARCHAR": "TEXT", "DOUBLE PRECISION": "DOUBLE"}
    with sqlite3.connect(path) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
        found = {
            name: [
                (column, affinity.get(type_.partition("(")[0], type_), required, key)
                for _, column, type_, required, _, key in connection.execute(
                    f"SELECT * FROM pragma_table_info('{name}')"
                )
            ]
            for name in names
            if not name.startswith("sqlite_autoindex")
        }
    connection.close()
    return found


def schema(path):
    with sqlite3.connect(path) as connection:
        ((value,),) = connection.execute("SELECT value FROM sweep_meta WHERE name = 'schema'")
    connection.close()
    return int(value)


def test_there_is_an_old_store_of_each_schema():
    assert len(list(DATA.glob("store-schema-*.sql"))) == SCHEMA - 1


def test_it_keeps_everything_and_is_as_a_new_one(old, tmp_path):
    with Store.open(str(old)) as store:
        assert store.results() == held()
        assert repr(store.results()) == repr(held())
        assert store.registered("a", "d1") == {"plateau": ("0123", "2026-11-25T11:00:00Z")}
    assert schema(old) == SCHEMA
    Store.open(str(tmp_path / "new.db")).close()
    assert columns(old) == columns(tmp_path / "new.db")
    assert len(columns(old)) >= 6


def test_it_can_do_what_a_new_one_can(old):
    with Store.open(str(old)) as store, Store.open(str(old)) as other:
        crashed, done = held()[1], held()[0]
        assert store.acquire(crashed.key)
        assert not other.acquire(crashed.key)
        assert not store.acquire(done.key)
        assert list(other.leases([crashed.key])) == [crashed.key]
        assert store.save(make_result("a-01", sweep="a", index=1, seed=2, items=ITEMS))
        assert store.get([crashed.key])[crashed.key].outcome.items == ITEMS
        assert [r.outcome.status for r in store.results("a")].count("completed") == 3


def test_reading_it_leaves_it_as_it_is(old):
    before = old.read_bytes()
    version = schema(old)
    with Store.open(str(old), read_only=True) as store:
        assert store.results() == held()
        assert [summary.runs for summary in store.sweeps()] == [4, 1]
        assert store.leases([result.key for result in held()]) == {}
    assert schema(old) == version
    assert old.read_bytes() == before


def test_sessions_that_find_it_at_once_bring_it_up_to_date_once(old):
    barrier = threading.Barrier(4)

    def opened(_):
        barrier.wait(10)
        with Store.open(str(old)) as store:
            return store.results()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(opened, range(4))) == [held()] * 4
    assert schema(old) == SCHEMA


def test_a_step_that_fails_changes_nothing(old, monkeypatch):
    version = schema(old)
    before = columns(old)
    steps = (*tables._MIGRATIONS[SCHEMA - 1], "CREATE TABLE sweep_meta (x)")
    monkeypatch.setattr(tables, "_MIGRATIONS", {**tables._MIGRATIONS, SCHEMA - 1: steps})
    with pytest.raises(StoreError, match="cannot be used"):
        Store.open(str(old))
    assert schema(old) == version
    assert columns(old) == before
    with Store.open(str(old), read_only=True) as store:
        assert store.results() == held()
