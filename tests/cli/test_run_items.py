"""``sweep runs``: the items of a run that changed, and two runs compared item by item."""

import json

import pytest

from harness.records import ItemScores
from harness.store import Store
from tests.factories import make_result

IDS = tuple(f"q{number}" for number in range(40))
ZEROS, HALVES = (0.0,) * 40, (0.5,) * 40
ONE = (*HALVES[:30], *ZEROS[:8], 1.0, 0.25)
OTHER = (*HALVES[:30], *ZEROS[:8], 0.0, 0.75)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    with Store.open(".sweep/store.db") as store:
        clusters = tuple(str(number // 4) for number in range(40))
        for index, items in enumerate(
            (
                ItemScores(ONE, (*ZEROS[:38], 0.5, 0.5), IDS, clusters),
                ItemScores(OTHER[::-1], (), IDS[::-1]),
                ItemScores(OTHER),
                None,
            )
        ):
            store.save(make_result(f"s-{index}", index=index, seed=index, items=items))
    return tmp_path


def test_a_run_shows_the_items_that_changed_most(here, sweep):
    status, out, err = sweep("runs s-0")
    assert (status, err) == (0, "")
    assert "31 of 40 items rose, 1 fell, 8 the same with training" in out
    assert "12 more changed: --json lists all" in out
    rows = [line.split() for line in out.splitlines() if line.startswith("q")]
    assert len(rows) == 20
    assert rows[0] == ["q0", "0.000", "0.500", "+0.500"]


def test_json_lists_every_item_that_changed(here, sweep):
    found = json.loads(sweep("runs s-0 --json")[1])["runs"][0]["items"]
    assert (found["n"], found["rose"], found["fell"], len(found["changed"])) == (40, 31, 1, 32)
    assert found["changed"][-1] == {"item": "q39", "before": 0.5, "after": 0.25}
    assert json.loads(sweep("runs s-1 --json")[1])["runs"][0]["items"] == {"n": 40}


def test_a_list_of_runs_and_a_run_without_items_have_none(here, sweep):
    assert "items" not in json.loads(sweep("runs s-3 --json")[1])["runs"][0]
    assert not any("items" in run for run in json.loads(sweep("runs --json")[1])["runs"])
    assert "item" not in sweep("runs s-3")[1]
    assert "40 items scored after training" in sweep("runs s-1")[1]


def test_two_runs_are_compared_item_by_item(here, sweep):
    status, out, err = sweep("runs s-0 --against s-1")
    assert (status, err) == (0, "")
    assert out.splitlines()[:4] == [
        "run         s-0: 0.406",
        "against     s-1: 0.394",
        "difference  +0.013, 95% interval −0.016 to +0.041 by 10 clusters",
        "items       1 of 40 items higher, 1 lower, 38 the same",
    ]
    assert "q38" in out
    found = json.loads(sweep("runs s-0 --against s-1 --json")[1])
    assert found["items"]["changed"] == [
        {"item": "q38", "against": 0.0, "score": 1.0},
        {"item": "q39", "against": 0.75, "score": 0.25},
    ]
    assert (found["items"]["higher"], found["items"]["lower"]) == (1, 1)
    assert found["difference"]["estimate"] == pytest.approx(0.0125)
    assert found["difference"]["clusters"] == 10


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("runs s-0 --against s-2", "s-0 and s-2 cannot be compared item by item: the items of one"),
        ("runs s-0 --against s-3", "s-3 has no scores by item"),
        ("runs s-0 --against nothing", "no run of the id or key 'nothing' is stored"),
        ("runs s --against s-1", "--against compares two runs: give the id or key of one"),
        ("runs --against s-1", "--against compares two runs: give the id or key of one"),
    ],
)
def test_what_cannot_be_compared_is_one_line(here, sweep, line, said):
    status, out, err = sweep(line)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_runs_of_one_id_are_named_by_key(here, sweep):
    with Store.open(".sweep/store.db") as store:
        store.save(make_result("s-1", index=1, seed=99, items=ItemScores(ONE, ids=IDS)))
    status, _, err = sweep("runs s-0 --against s-1")
    assert status == 2
    assert "2 runs are called s-1: name one by its key (" in err


def test_long_ids_fit_a_narrow_terminal(here, sweep, monkeypatch):
    with Store.open(".sweep/store.db") as store:
        ids = tuple(f"{'long words of an id ' * 20}{number}" for number in range(40))
        store.save(make_result("long", seed=7, items=ItemScores(ONE, ZEROS, ids)))
    monkeypatch.setenv("COLUMNS", "60")
    out = sweep("runs long")[1]
    assert "+0.500" in out
    assert max(map(len, out.splitlines())) <= 60
