"""``sweep runs``: what is stored, and a run whole."""

import json
import re
from pathlib import Path

import pytest

from harness.cli import runs
from harness.records import Evaluation
from harness.store import Store
from tests.cli.helpers import data
from tests.factories import make_arm, make_result, make_results, make_trace
from tests.tables.tables import write_csv

pytest_plugins = ["pytester"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A project with runs of two sweeps in its store."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    main = make_results([0.1, 1 / 3, None], prefix="toy", finished_at="2025-01-01T00:00:00Z")
    keep(*main, *make_arm("null", main, [0.0]))
    keep(
        make_result(id="toy-03", sweep="toy", index=3, status="crashed", error=ERROR, stopped_at=7)
    )
    keep(*make_results([0.5], prefix="wide", steps=7))
    return tmp_path


ERROR = (
    "killed by SIGKILL, as the system does when memory runs out\n  step 6: \x1b[31m" + "loss " * 40
)


def keep(*results):
    with Store.open(".sweep/store.db") as store:
        for result in results:
            store.save(result)


def terminal(monkeypatch, is_one=True):
    monkeypatch.setattr(runs, "rewrites", lambda stream: is_one)
    monkeypatch.setenv("NO_COLOR", "1")


def ids(sweep, line):
    status, out, err = sweep(f"{line} --json")
    assert (status, err) == (0, "")
    return [run["id"] for run in json.loads(out)["runs"]]


def test_each_filter(here, sweep):
    assert len(ids(sweep, "runs")) == 6
    assert ids(sweep, "runs --sweep wide") == ids(sweep, "runs wide") == ["wide-00"]
    assert ids(sweep, "runs --sweep toy --arm null") == ["toy-00-null-"]
    assert ids(sweep, "runs toy --sweep toy --status diverged") == ["toy-02"]
    assert ids(sweep, "runs --status crashed") == ["toy-03"]
    assert sweep("runs --sweep wide --status failed") == (0, "no runs\n", "")


def test_one_run_whole(here, sweep):
    status, out, err = sweep("runs toy-01")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["run", "toy-01"]
    assert "sweep     toy, arm main" in lines
    assert "ΔPerf     +0.333 ± 0.010" in lines
    assert "measured  on 512 prompts × 4 samples, 200 prompts changed" in lines
    assert "trained   addition, decoder-100k, torch, float32" in lines
    assert lines[-1].split() == ["100", "0.4533", "0.0100", "0.4533"]
    key = next(line for line in lines if line.startswith("key")).split()[1]
    assert sweep(f"runs {key}") == (0, out, "")
    assert ids(sweep, f"runs {key}") == ["toy-01"]
    assert "paired with toy-00" in sweep("runs toy-00-null-")[1]
    assert sweep("runs toy-00-null") == sweep("runs toy-00-null-")  # an id begins with it


def test_the_error_of_a_run_in_full_and_harmless(here, sweep):
    out = sweep("runs toy-03")[1]
    assert "status    crashed at step 7" in out
    assert "ΔPerf" not in out
    _, error = out.split("\nerror\n")
    assert error.startswith(
        "  killed by SIGKILL, as the system does when memory runs out\n  step 6"
    )
    assert error.count("loss") == 40
    assert "\x1b" not in error
    assert max(map(len, out.splitlines())) <= 80


def test_runs_of_one_id_are_all_shown(here, sweep):
    keep(*make_results([0.2], prefix="toy", backend="jax"))
    out = sweep("runs toy-00")[1]
    assert out.count("run       toy-00\n") == 2
    assert "decoder-100k, jax" in out
    assert "decoder-100k, torch" in out
    assert "backend" in sweep("runs toy")[1].splitlines()[0]


def test_a_curve_without_standard_errors(here, sweep):
    keep(
        make_result(
            id="toy-09", sweep="toy", seed=9, curve=(Evaluation(5, -0.25, float("nan"), 0),)
        )
    )
    assert sweep("runs toy-09")[1].splitlines()[-1].split() == ["5", "−0.2500", "–", "0.0000"]


def test_imported_runs_say_so(here, sweep):
    write_csv(here / "runs.csv", [{"run": "a", "lr": 1e-7, "delta_perf": 0.1}])
    sweep("import runs.csv --sweep old")
    head, _, first, *_ = sweep("runs")[1].splitlines()
    assert head.split()[:2] == ["run", "sweep"]
    assert first.split()[:5] == ["a", "old", "main", "completed", "imported"]
    assert "from    runs.csv, imported" in sweep("runs a")[1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "runs toi",
            "no sweep 'toi' and no run of that id or key in the store, which has toy, wide",
        ),
        ("runs toy-01 --sweep wide", "no sweep 'toy-01' and no run of that id or key in the"),
        ("runs --sweep toi", "no sweep 'toi' in the store, which has toy, wide"),
        ("runs toy --sweep wide", "toy and --sweep wide are two sweeps: name one"),
        ("runs --store no.db", "there is no store at"),
    ],
)
def test_a_mistake_is_one_line(here, sweep, line, said):
    status, out, err = sweep(line)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_a_terminal_is_not_flooded(here, sweep, monkeypatch):
    monkeypatch.setattr(runs, "MANY", 3)
    assert sweep("runs")[1].endswith("\n6 runs\n")  # no terminal: a program reads it
    terminal(monkeypatch)
    out = sweep("runs")[1]
    assert "toy    main     4  2 completed, 1 diverged, 1 crashed  2025-01-01T00:00:00Z" in out
    assert out.endswith("\n6 runs: --all lists each, --sweep, --arm and --status some of them\n")
    assert sweep("runs --all")[1].endswith("\n6 runs\n")
    assert sweep("runs --arm null")[1].endswith("\n1 run\n")
    assert (
        max(len(line) for text in (out, sweep("runs --all")[1]) for line in text.splitlines()) <= 80
    )


def test_what_is_listed_fits_a_narrow_terminal(here, sweep, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    keep(make_result(id="toy-" + "x" * 90, sweep="toy", seed=5, finished_at="2025-01-01T00:00:00Z"))
    assert max(map(len, sweep("runs")[1].splitlines())) <= 80


# ---- after a session -----------------------------------------------------------------------------


def test_runs(sweep, trained):
    status, out, _ = sweep("runs")
    assert status == 0
    assert out.endswith("15 runs\n")
    assert re.search(r"^toy-00.* main +completed +\+0\.\d+ ± 0\.005 ", out, re.MULTILINE)
    assert re.search(r"^toy-03.* main +diverged +– ", out, re.MULTILINE)


def test_runs_can_be_narrowed(sweep, trained):
    def ids(line):
        return [run["id"][:6] for run in data(sweep, line)["runs"]]

    assert len(ids("runs toy")) == 11
    assert len(ids("runs wide")) == 4
    assert len(ids("runs toy --arm main")) == 8
    assert ids("runs toy --status diverged") == ["toy-03"]
    assert ids("runs toy --arm placebo --status diverged") == []
    assert sweep("runs toy --arm placebo --status diverged") == (0, "no runs\n", "")


def test_runs_of_a_sweep_that_is_not_stored(sweep, trained):
    status, _, err = sweep("runs toyy")
    assert status == 2
    assert "no sweep 'toyy' and no run of that id or key in the store, which has toy, wide" in err
    assert "did you mean 'toy'?" in err


def test_runs_of_another_store(sweep, trained):
    Path(".sweep/store.db").rename("other.db")
    assert len(data(sweep, "runs --store other.db")["runs"]) == 15
    assert len(data(sweep, f"runs --store sqlite:///{trained.path}/other.db")["runs"]) == 15
    status, _, err = sweep("runs")
    assert status == 2
    assert err.startswith("sweep: error: there is no store at ")


def test_a_run_shows_what_it_was_made_of(here, sweep):
    noted = {"package numpy": "2.1.0", "run.sh": "f"}
    files = {"train.py": "a", "model.py": "b"}
    keep(make_result(id="own-00", sweep="own", trainer_version="c", files=files, noted=noted))
    out = sweep("runs own-00")[1]
    assert re.search(r"^code +train\.py, model\.py$", out, re.MULTILINE)
    assert re.search(r"^used +numpy 2\.1\.0, run\.sh$", out, re.MULTILINE)
    (run,) = json.loads(sweep("runs own --json")[1])["runs"]
    assert run["code"] == {"version": "c", "files": files, "noted": noted}
    assert "\ncode" not in sweep("runs toy-00")[1]


def test_a_reason_why_runs_failed_is_listed_once(here, sweep):
    for index in range(5, 9):
        keep(
            make_result(
                id=f"wide-{index:02d}",
                sweep="wide",
                index=index,
                seed=index,
                status="failed",
                error=f"ValueError: {index} of 3",
            )
        )
    out = sweep("runs wide")[1]
    assert out.count("ValueError") == 1
    assert "wide: 4 runs failed: ValueError: 5 of 3 (runs 05 to 08)" in out
    assert sweep("runs --status completed")[1].count("failed") == 0


def test_the_health_of_a_run_s_training(here, sweep):
    trace = [*make_trace([1e-7] * 9, no_signal=0.5, truncated=0.02, length=9.5)]
    trace += make_trace([1e-7] * 9, no_signal=1.0, truncated=0.02, length=4.0, entropy=0.1)
    keep(make_result("fit-00", sweep="fit", trace=tuple(trace), weights_moved=0.0052))
    status, out, err = sweep("runs fit-00")
    assert (status, err) == (0, "")
    said = " ".join(out.split())
    assert "learned from 25% of groups (in the others all rewards were equal); 2% of" in said
    assert "completions cut off, 0.52% of weights moved" in said
    assert "policy length 9.5 to 4, entropy 1 to 0.1, KL 0 to 0" in said
    (run,) = json.loads(sweep("runs fit-00 --json")[1])["runs"]
    assert run["weights_moved"] == 0.0052
    assert run["health"]["no_signal"] == {"start": 0.5, "end": 1.0, "mean": 0.75}
    assert "learned" not in sweep("runs toy-01")[1]
    (run,) = json.loads(sweep("runs toy-01 --json")[1])["runs"]
    assert not {"health", "weights_moved"} & set(run)
