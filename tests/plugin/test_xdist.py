"""Sweeps under pytest-xdist and beside other plugins: the same runs, report and exit status."""

import json
import re
from collections import Counter

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def toys(sweeps):
    sweeps.write()
    return sweeps


def report_of(sweeps):
    (path,) = (sweeps.path / ".sweep/reports").glob("*/report.json")
    return json.loads(path.read_text())


def comparable(report):
    """A report without what differs between any two sessions."""
    report = {k: v for k, v in report.items() if k != "environment"}
    report["runs"] = [{k: v for k, v in run.items() if k != "seconds"} for run in report["runs"]]
    return report


def run(sweeps, *options):
    """Run in a process of its own, as xdist's workers are."""
    return sweeps.run_apart("--sweep", "toy", *options)


def test_two_workers_give_the_same_runs_report_and_status(toys):
    alone = run(toys)
    trained, expected = toys.trained, report_of(toys)
    (toys.path / ".sweep/store.db").unlink()
    (toys.path / "trained.txt").unlink()
    spread = run(toys, "-n", "2")
    assert spread.ret == alone.ret
    assert Counter(toys.trained) == Counter(trained)
    assert set(Counter(toys.trained).values()) == {1}
    assert comparable(report_of(toys)) == comparable(expected)
    assert spread.stdout.str().count("report: .sweep/reports/toy/report") == 1
    assert "sweep toy: 11 runs of up to 20 steps" in spread.stdout.str()


@pytest.mark.slow
def test_what_fails_is_trained_once_and_fails_the_same(toys, monkeypatch):
    monkeypatch.setenv("MODE_2", "fails")
    alone = run(toys)
    (toys.path / ".sweep/store.db").unlink()
    (toys.path / "trained.txt").unlink()
    spread = run(toys, "-n", "2")
    assert (alone.ret, spread.ret) == (1, 1)
    assert set(Counter(toys.trained).values()) == {1}
    spread.stdout.fnmatch_lines(["*RuntimeError: the disk of the GPU is on fire*"])


@pytest.mark.slow
def test_a_fresh_sweep_trains_all_again_once(toys):
    run(toys)
    first = Counter(toys.trained)
    spread = run(toys, "-n", "2", "--sweep-fresh")
    assert spread.ret == 0
    assert Counter(toys.trained) == first + first
    assert report_of(toys)["complete"] is True


@pytest.mark.slow
def test_a_worker_that_dies_loses_its_run_only(toys, monkeypatch):
    monkeypatch.setenv("MODE_3", "exits")
    spread = run(toys, "-n", "2")
    assert spread.ret == 1
    assert set(Counter(toys.trained).values()) == {1}
    statuses = {r["id"]: r["status"] for r in report_of(toys)["runs"]}
    assert Counter(statuses.values()) == {"completed": 10, "crashed": 1}
    spread.stdout.fnmatch_lines(["*1 crashed*"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sweep", "tpy"), "no sweep 'tpy' was collected; did you mean 'toy'?"),
        (("--sweep-gpus", "1"), "--sweep-gpus with -n"),
        (("--sweep-memory", "1G"), "--sweep-memory with -n"),
        (("--sweep-executor", "ray"), "--sweep-executor ray with -n"),
        (("--sweep-arms", "nul"), "arm 'nul' is in none of the chosen sweeps"),
        (("--sweep-baseline", "nowhere"), "baseline 'nowhere' is not in the store"),
    ],
)
def test_a_mistake_is_one_line_before_any_worker_starts(toys, options, said):
    result = run(toys, "-n", "2", *options)
    assert result.ret == 4
    assert said in result.stderr.str() + result.stdout.str()
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    assert toys.trained == []


def test_workers_without_a_sweep_run_tests_as_ever(toys):
    result = toys.run_apart("-n", "2")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


# ---- beside other plugins -----------------------------------------------------------------------


@pytest.mark.slow
def test_a_failed_run_is_trained_again_by_rerunfailures(toys, monkeypatch):
    monkeypatch.setenv("MODE_2", "fails")
    result = run(toys, "--reruns", "2", "--sweep-executor", "inline")
    assert result.ret == 1
    counts = Counter(toys.trained)
    assert {counts[id_] for id_ in counts if id_.startswith("toy-02-")} == {3}
    assert {n for id_, n in counts.items() if not id_.startswith("toy-02-")} == {1}


@pytest.mark.slow
def test_only_what_failed_last_is_asked_for_again(toys, monkeypatch):
    monkeypatch.setenv("MODE_2", "fails")
    run(toys)
    monkeypatch.delenv("MODE_2")
    result = run(toys, "--lf")
    assert result.ret == 0
    result.assert_outcomes(passed=1)
    report = json.loads((toys.path / ".sweep/reports/toy/report.json").read_text())
    assert report["complete"] is True


@pytest.mark.parametrize("option", ["-x", pytest.param("--maxfail=1", marks=pytest.mark.slow)])
def test_the_first_failure_stops_the_sweep(toys, monkeypatch, option):
    monkeypatch.setenv("MODE_0", "fails")
    result = run(toys, option, "--sweep-executor", "inline")
    assert result.ret == 1
    assert len(toys.trained) == 1
    assert report_of(toys)["complete"] is False


@pytest.mark.slow
def test_questions_before_their_runs_give_the_same_report(toys):
    run(toys)
    expected = report_of(toys)
    (toys.path / ".sweep/store.db").unlink()
    (toys.path / "conftest.py").write_text(
        "def pytest_collection_modifyitems(items):\n    items.reverse()\n"
    )
    run(toys)
    assert comparable(report_of(toys)) == comparable(expected)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_items_in_any_order_give_the_same_report(toys, monkeypatch, options):
    in_order = run(toys, "-v")
    expected = report_of(toys)
    (toys.path / ".sweep/store.db").unlink()
    (toys.path / "trained.txt").unlink()
    monkeypatch.delenv("PYTEST_ADDOPTS")
    shuffled = run(toys, "-v", "--randomly-seed", "3", *options)
    assert shuffled.ret == 0
    shuffled.stdout.fnmatch_lines(["Using --randomly-seed=3"])
    listed, found = (
        re.findall(r"toy\.py::(\S+\[\S+\])", result.stdout.str()) for result in (in_order, shuffled)
    )
    assert set(found) == set(listed)
    assert found != listed
    assert set(Counter(toys.trained).values()) == {1}
    assert comparable(report_of(toys)) == comparable(expected)
