"""``sweep forget``: stored runs that nobody wants."""

import json
from pathlib import Path

import pytest

from harness.session.jobs import checkpoint_of, folder_of, log_file
from harness.store import Store
from tests.factories import make_result, make_results

HOME = Path(".sweep")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A project with two sweeps in its store, one of them trained by two versions of its code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    old = make_results([0.1, None], prefix="toy", finished_at="2025-01-01", trainer_version="a")
    new = make_results([0.3, 0.4], prefix="toy", finished_at="2025-01-02", trainer_version="b")
    for name in ("logs", "checkpoints", "runs"):
        (HOME / name).mkdir(parents=True)
    with Store.open(str(HOME / "store.db")) as store:
        for result in (*old, *new, make_result(id="wide-00", sweep="wide")):
            store.save(result)
            log_file(HOME, result.key, result.run).write_text("printed")
            checkpoint_of(HOME, result.key).mkdir()
            folder_of(HOME, result.key, result.run).mkdir()
    return tmp_path


def left():
    with Store.open(str(HOME / "store.db"), read_only=True) as store:
        runs = store.results()
    for folder in ("logs", "checkpoints", "runs"):
        assert len(list((HOME / folder).iterdir())) == len(runs)
    return sorted((r.run.id, r.conditions.trainer_version) for r in runs)


ALL = [("toy-00", "a"), ("toy-00", "b"), ("toy-01", "a"), ("toy-01", "b"), ("wide-00", "1")]


@pytest.mark.parametrize(
    ("asked", "gone"),
    [
        ("toy", ALL[:4]),
        ("wide", ALL[4:]),
        ("toy --earlier", [ALL[0], ALL[2]]),
        ("toy --status diverged", [ALL[2]]),
        ("toy-00", ALL[:2]),
        ("toy-00 --sweep toy", ALL[:2]),
        ("toy --arm null", []),
        ("wide --earlier", []),
    ],
)
def test_only_what_is_chosen_goes_and_only_with_yes(here, sweep, asked, gone):
    status, out, err = sweep(f"forget {asked}")
    assert (status, err, left()) == (0, "", ALL)
    assert ("would forget" in out) == bool(gone)
    assert ("nothing to forget" in out) == (not gone)
    status, out, err = sweep(f"forget {asked} --yes --json")
    said = json.loads(out)
    assert (status, err, said["forgotten"]) == (0, "", True)
    assert sorted(run["run"] for run in said["runs"]) == [id_ for id_, _ in gone]
    assert left() == [run for run in ALL if run not in gone]


def test_it_says_how_many(here, sweep):
    out = sweep("forget toy")[1]
    assert "would forget 4 runs: --yes does it; sweep export keeps them as a table" in out
    assert "forgot 4 runs" in sweep("forget toy --yes")[1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("forget tyo --yes", "no sweep 'tyo' and no run of that id or key in the store, which has"),
        ("forget toy --sweep wide --yes", "toy and --sweep wide are two sweeps: name one"),
        ("forget toy --yes --store nothing.db", "there is no store"),
        ("forget", "NAME"),
    ],
)
def test_a_mistake_is_one_line_and_forgets_nothing(here, sweep, line, said):
    status, _, err = sweep(line)
    assert status == 2
    assert said in err
    assert left() == ALL
