"""``sweep import``: the runs of another store."""

import json
from dataclasses import replace

import pytest

from harness.store import Store
from harness.store.merging import merge
from tests.cli.helpers import ROWS, keep, stored
from tests.factories import make_results
from tests.tables.tables import write_csv

pytest_plugins = ["pytester"]


# ---- another store ------------------------------------------------------------------------------


def test_the_runs_of_another_store(here, sweep):
    ours, shared, theirs = make_results([0.1, 0.2, 0.3], prefix="toy")
    keep(".sweep/store.db", ours, shared)
    keep("other.db", shared, theirs, *make_results([0.5], prefix="wide", steps=7))
    status, out, _ = sweep("import other.db")
    assert (status, out) == (
        0,
        "imported 2 runs of toy, wide: 2 completed\n1 run was in the store already\n",
    )
    assert stored("toy") == (ours, shared, theirs)
    assert sweep("import other.db")[1] == "3 runs were in the store already\n"
    assert len(stored()) == 4


def test_one_sweep_of_another_store(here, sweep):
    keep(
        "other.db", *make_results([0.1], prefix="toy"), *make_results([0.5], prefix="wide", steps=7)
    )
    sweep("import other.db --sweep wide")
    assert [result.run.sweep for result in stored()] == ["wide"]
    status, _, err = sweep("import other.db --sweep wid")
    assert (status, "no sweep 'wid' in other.db, which has toy, wide" in err) == (2, True)


def test_of_two_final_results_the_store_s_own_is_kept(here, sweep):
    ours, failed = make_results([0.1, 0.2], prefix="toy")
    lost = replace(failed.outcome, status="failed", delta_perf=None)
    keep(".sweep/store.db", ours, replace(failed, outcome=lost))
    theirs = replace(ours, outcome=replace(ours.outcome, delta_perf=0.4))
    slower = replace(failed, outcome=replace(failed.outcome, seconds=99.0))
    keep("other.db", theirs, failed)
    _, out, _ = sweep("import other.db")
    assert "replaced 1 run of toy: 1 completed" in out
    assert "toy-00 of toy ended differently in other.db: kept as it is here" in out
    assert stored("toy") == (ours, failed)
    keep("third.db", slower)
    assert sweep("import third.db")[1] == "1 run was in the store already\n"


def test_a_store_is_not_imported_into_itself(here, sweep):
    keep(".sweep/store.db", *make_results([0.1]))
    status, _, err = sweep("import .sweep/../.sweep/store.db")
    assert status == 2
    assert "is the store itself" in err


def test_what_was_imported_there_and_trained_here_is_not_mixed(here, sweep):
    keep(".sweep/store.db", *make_results([0.1], prefix="old"))
    sweep("import runs.csv --sweep old --store other.db")
    status, _, err = sweep("import other.db")
    assert status == 2
    assert "sweep 'old' was imported into one of the stores and trained in the other" in err
    assert len(stored()) == 1


@pytest.mark.parametrize(
    ("here_data", "there_data", "kept"),
    [
        (False, False, {"q": "1", "r": "1"}),
        (True, False, {"q": "1", "r": "1"}),
        (False, True, {"q": "1", "r": "2"}),
        (True, True, {"q": "1"}),
    ],
)
def test_a_question_is_registered_where_it_came_before_all_data(
    tmp_path, here_data, there_data, kept
):
    ours, theirs = make_results([0.1, 0.2], prefix="toy")
    with Store.open(str(tmp_path / "a.db")) as store, Store.open(str(tmp_path / "b.db")) as other:
        store.register("toy", "d", {"q": "1", "r": "1"})
        other.register("toy", "d", {"q": "1", "r": "2"})
        for data, where, result in ((here_data, store, ours), (there_data, other, theirs)):
            failed = replace(result.outcome, status="failed", delta_perf=None, curve=())
            where.save(result if data else replace(result, outcome=failed))
        merge(store, other)
        found = {id_: asked.hash for id_, asked in store.registered("toy", "d").items()}
    assert found == kept


# ---- PostgreSQL ---------------------------------------------------------------------------------


@pytest.mark.postgres
def test_between_a_file_and_a_server(here, sweep, postgres):
    url = postgres.database()
    assert "imported 3 runs of old" in sweep(f"import runs.csv --sweep old --store {url}")[1]
    assert "3 runs were in the store" in sweep(f"import runs.csv --sweep old --store {url}")[1]
    keep("other.db", *make_results([0.1, 0.2], prefix="toy"))
    assert "imported 2 runs of toy" in sweep(f"import other.db --store {url}")[1]
    assert "imported 5 runs of old, toy" in sweep(f"import {url} --store third.db")[1]
    assert stored(url="third.db") == stored(url=url)
    write_csv(here / "runs.csv", [ROWS[0] | {"delta_perf": 0.2}])
    assert sweep(f"import runs.csv --sweep old --store {url}")[0] == 2
    assert "replaced 1 run" in sweep(f"import runs.csv --sweep old --store {url} --replace")[1]
    found = json.loads(sweep(f"doctor --store {url} --json")[1])["checks"]
    said = {check["name"]: check["found"] for check in found}
    assert "5 runs (4 completed, 1 failed)" in said["store"]
    assert said["integrity"] == "left to the server"
    assert len(json.loads(sweep(f"runs --store {url} --json")[1])["runs"]) == 5
