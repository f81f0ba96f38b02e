"""``harness.load``: stored sweeps as data frames, and what a notebook shows of them."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest

import harness
from harness.notebook import StoredSweep
from harness.notebook.frames import LIBRARIES, RUNS
from harness.notebook.stored import ITEMS
from harness.store import Store
from tests.conftest import ROOT
from tests.docs.pages import DOCS, blocks
from tests.notebook.conftest import DIVERGED, FAILED
from tests.plugin.test_notebook import STATE

WITHOUT = "harness.notebook.frames.is_there"


def load(name="toy", **asked):
    return harness.load(name, **{"library": "records"} | asked)


# ---- as the command judges ----------------------------------------------------------------------


def test_it_judges_as_the_report_does(project, sweep, tmp_path):
    status, out, err = sweep(f"report toy --json --report {tmp_path}")
    assert (status, err) == (0, "")
    loaded = load()
    assert loaded.data == json.loads(out)
    assert loaded.summary == tuple(json.loads(out)["summary"])
    printed = sweep(f"report toy --report {tmp_path}")[1]
    assert {line for line in loaded.text().splitlines() if line} <= set(printed.splitlines())
    loaded.write(tmp_path / "mine")
    for name in ("report.json", "report.md", "report.html"):
        theirs = (tmp_path / "toy-smoke" / name).read_text("utf-8")
        assert (tmp_path / "mine" / name).read_text("utf-8") == theirs


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ({"runs": 3}, "--runs 3"),
        ({"steps": 10}, "--steps 10"),
        ({"arms": ()}, "--arms none"),
        ({"baseline": "6/19"}, "--baseline 6/19"),
    ],
)
def test_a_part_is_judged_as_the_report_of_it(project, sweep, tmp_path, asked, options):
    of_all = load().data
    out = sweep(f"report toy --json --report {tmp_path} {options}")[1]
    found = load(**asked).data
    assert found == json.loads(out)
    assert found != of_all


def test_the_notes_say_what_was_looked_up(project, monkeypatch):
    file = project / "experiments" / "helping.py"
    assert load().notes == ()
    before = file.read_text()
    try:
        file.write_text("RATE = 2\n")
        (said,) = load().notes
    finally:
        file.write_text(before)
    assert said.startswith("runs looked up: by the code as it is now (8 more not counted: ")
    assert "helping.py" in said


# ---- tables -------------------------------------------------------------------------------------


def test_the_runs_have_every_arm_and_status(project):
    runs = load().runs
    assert Counter(run["arm"] for run in runs) == {"main": 8, "placebo": 1}
    by = {run["run"].split("-")[1]: run for run in runs if run["arm"] == "main"}
    assert {run["status"] for run in runs} == {"completed", "failed", "diverged"}
    assert by[f"{FAILED:02}"]["error"] == "RuntimeError: the disk is full"
    assert by[f"{DIVERGED:02}"]["delta_perf"] is None
    assert by["00"]["delta_perf"] == pytest.approx(0.05)
    assert {run["config.hidden"] for run in runs} == {"(64,)", "(64, 32)"}
    assert all(0 <= run["config.learning_rate"] <= 1e-3 for run in runs)
    placebo = next(run for run in runs if run["arm"] == "placebo")
    assert placebo["after_selection"] is None
    done = [run for run in runs if run["arm"] == "main" and run["delta_perf"] is not None]
    ahead = max(done, key=lambda run: run["delta_perf"])
    assert ahead["after_selection_low"] < ahead["after_selection"] < ahead["delta_perf"]
    assert sum(run["probability_best"] for run in done) == pytest.approx(1.0)
    assert placebo["pair"] in {run["run"] for run in runs}
    assert tuple(runs[0])[: len(RUNS)] == RUNS


def test_curves_and_traces_are_long_tables(project):
    loaded = load()
    curves, ids = loaded.curves, {run["run"] for run in loaded.runs}
    assert list(curves[0]) == ["run", "arm", "step", "perf", "se"]
    assert {point["run"] for point in curves} < ids
    first = [(p["step"], round(p["perf"], 3)) for p in curves if p["run"] == curves[0]["run"]]
    assert first == [(0, 0.12), (10, 0.145), (20, 0.17)]
    trace = loaded.trace
    assert {(row["run"], row["arm"]) for row in trace} <= {
        (r["run"], r["arm"]) for r in loaded.runs
    }
    assert len(trace) == 20 * 8
    assert trace[0]["step"] == 1
    assert trace[0]["learning_rate"] == 1e-4


def test_the_health_of_training_is_in_runs_and_traces(project):
    loaded = load("wide")
    (first, *others), (run, *_) = loaded.trace[::20], loaded.runs
    assert (first["no_signal"], first["length"], first["reward.right"]) == (0.25, 5.0, 0.5)
    assert first["reward.brief"] is None
    assert {row["reward.brief"] for row in others} == {1.0}
    assert "parts" not in first
    assert (run["health.no_signal"], run["health.weights_moved"]) == (0.25, 0.9)
    assert run["health.kl_end"] == 0.0
    assert "weights_moved" not in run
    assert loaded.data["health"]["runs"] == 6
    toy = load()
    assert not any(name.startswith("health.") for name in toy.runs[0])
    assert toy.data["health"] is None


def test_scores_by_item_are_a_long_table(project):
    items = load().items
    assert Counter(row["arm"] for row in items) == {"main": 2 * 7, "placebo": 1}
    first = {"arm": "main", "item": "q1", "cluster": "a", "before": 0.0, "after": 1.0}
    assert items[0] == {"run": items[0]["run"]} | first
    (other,) = [row for row in items if row["arm"] == "placebo"]
    rest = {"arm": "placebo", "item": "1", "cluster": None, "before": None, "after": 0.25}
    assert other == {"run": other["run"]} | rest
    assert load("wide").items == []


def test_traces_and_items_are_unpacked_when_they_are_asked_for(project, monkeypatch):
    for what in ("PackedTrace", "_ScoreColumn"):
        monkeypatch.setattr(f"harness.store.packed.{what}._content", property(lambda _: 1 / 0))
    loaded = load()
    assert len(loaded.runs) == 9
    for name in ("trace", "items"):
        with pytest.raises(ZeroDivisionError):
            getattr(loaded, name)


def test_questions_and_audit_are_tables(project):
    loaded = load()
    asked = {row["id"]: row for row in loaded.questions if row["asked"]}
    assert list(asked) == ["success_above_half", "mean"]
    assert asked["mean"]["verdict"] == "not judged"  # a run has failed
    assert not {"effect", "decided"} & set(asked["mean"])
    assert "survivorship" in {finding["code"] for finding in loaded.audit}


def test_the_first_library_that_is_there_is_taken(monkeypatch):
    from harness.notebook.frames import library_of

    there = set(LIBRARIES)
    monkeypatch.setattr(WITHOUT, there.__contains__)
    assert library_of(None) == "pandas"
    assert library_of("polars") == "polars"
    there.remove("pandas")
    assert library_of(None) == "polars"
    with pytest.raises(harness.UsageError, match="'pandas' is not installed: pip install pandas"):
        library_of("pandas")
    there.remove("polars")
    assert library_of(None) == "records"


@pytest.mark.slow  # the environment that runs the slow tests has the libraries
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_tables_are_of_the_library_that_is_asked_for(project, library):
    module = importlib.import_module(library)
    loaded = load(library=library)
    tables = [loaded.runs, loaded.curves, loaded.trace, loaded.items]
    tables += [loaded.questions, loaded.audit]
    assert all(isinstance(table, module.DataFrame) for table in tables)
    records = load()
    for name in ("runs", "curves", "trace", "items"):
        table, rows = getattr(loaded, name), getattr(records, name)
        assert list(table.columns) == list(rows[0])
        assert list(table["run"]) == [row["run"] for row in rows]
    nothing = load(library=library, steps=10)
    assert list(nothing.runs.columns) == list(RUNS)
    assert [len(getattr(nothing, n)) for n in ("runs", "curves", "trace", "items")] == [0] * 4
    assert list(nothing.items.columns) == list(ITEMS)
    assert list(nothing.trace.columns)[:4] == ["run", "arm", "step", "learning_rate"]
    assert list(nothing.curves.columns) == ["run", "arm", "step", "perf", "se"]


@pytest.mark.slow
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_what_is_loaded_can_be_judged_as_a_table(project, library):
    loaded = load(library=library)
    judged = harness.judge(loaded.runs, curves=loaded.curves)
    assert judged.data["parameters"] == ["learning_rate", "hidden"]
    assert list(judged.curves["run"]) == list(loaded.curves["run"])
    assert {"success_above_half", "plateau"} <= set(judged.questions["id"])


@pytest.mark.slow
def test_what_the_page_shows_can_be_typed(project):
    names: dict = {}
    first, second = blocks(DOCS / "notebooks.md", "py")
    exec(first.replace("focused", "toy"), names)
    exec(second.replace("focused", "toy").replace("batch_size", "hidden"), names)
    assert isinstance(names["toy"], StoredSweep)
    assert {"run", "step", "perf", "delta_perf"} <= set(names["points"].columns)
    assert len(names["points"]) == len(names["toy"].curves)


def test_an_error_is_one_line_in_a_notebook(project):
    with pytest.raises(harness.UsageError) as raised:
        load("toi")
    assert raised.value._render_traceback_() == [f"UsageError: {raised.value}"]


def test_records_can_be_judged_as_a_table(project):
    loaded = load()
    judged = harness.judge(loaded.runs, curves=loaded.curves, library="records")
    assert judged.data["parameters"] == ["learning_rate", "hidden"]
    assert [run["status"] for run in judged.runs].count("failed") == 1


# ---- what is shown ------------------------------------------------------------------------------


def test_a_notebook_shows_the_report(project):
    loaded = load()
    shown = loaded._repr_html_()
    assert isinstance(loaded, StoredSweep)
    assert shown.startswith('<div class="sweep-report">')
    assert "success_above_half" in shown
    assert "How the table was read" not in shown
    assert not re.search(r"<(html|head|body|script|!doctype)\b", shown, re.IGNORECASE)
    assert repr(loaded) == str(loaded)
    assert "toy: 2 not judged" in str(loaded)


# ---- a sweep that no file declares --------------------------------------------------------------


@pytest.fixture
def moved(project, tmp_path, monkeypatch):
    """The store alone, in a project with another sweep."""
    shutil.copy(project / ".sweep" / "store.db", tmp_path / "old.db")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    other = SWEEP.format("other")
    (tmp_path / "test_other.py").write_text(other)
    monkeypatch.chdir(tmp_path)
    return tmp_path


SWEEP = "from harness import Sweep\n{0} = Sweep({0!r}, runs=2, steps=3, space=dict(x=1))\n"


def test_a_sweep_that_is_stored_only_has_runs_and_asks_nothing(project, moved):
    loaded = load(store="old.db")
    why = "sweep 'toy' is stored, but no sweep file declares it, and so it asks nothing"
    assert Counter(run["status"] for run in loaded.runs) == {
        "completed": 7,
        "diverged": 1,
        "failed": 1,
    }
    assert len(loaded.trace) == 20 * 8
    assert {point["arm"] for point in loaded.curves} == {"main", "placebo"}
    assert "survivorship" in {finding["code"] for finding in loaded.audit}
    with pytest.raises(harness.UsageError, match=why + r"; to judge its runs: harness\.judge\("):
        _ = loaded.questions
    assert why in " ".join(str(loaded).split())
    shown = loaded._repr_html_()
    assert f'<p class="note">{why.replace(chr(39), "&#39;")}</p>' in shown
    loaded.write(moved / "out")
    assert (moved / "out" / "report.html").is_file()


def test_a_file_that_cannot_be_read_is_told(project, moved):
    (moved / "test_bad.py").write_text("# Sweep\n1 / 0\n")
    assert "not read: test_bad.py:2: ZeroDivisionError" in load(store="old.db").asks_nothing
    with pytest.raises(harness.UsageError, match=r"not read: test_bad\.py:2: ZeroDivisionError"):
        load("none", store="old.db")


def test_runs_of_an_imported_table_are_loaded(tmp_path, monkeypatch, sweep):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / "old.csv").write_text("run,lr,delta_perf\na,1e-5,0.1\nb,1e-4,0.2\n")
    assert sweep("import old.csv --sweep old")[0] == 0
    loaded = load("old")
    assert [run["config.learning_rate"] for run in loaded.runs] == [1e-5, 1e-4]
    assert loaded.notes == ("old was imported from old.csv: it was trained elsewhere",)
    assert (loaded.curves, loaded.trace) == ([], [])


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        (
            "toi",
            {},
            "no sweep 'toi' is declared or stored; there are toy, wide; did you mean 'toy'",
        ),
        (3, {}, "a int is not the name of a sweep"),
        (
            [{"lr": 1}],
            {},
            "a list is not the name of a sweep; a data frame is judged by ",
        ),
        ("runs.csv", {}, r"'runs.csv' is a table: harness.judge\('runs.csv'\) judges it"),
        ("toy", {"store": "none.db"}, "there is no store at .*none.db: run a sweep first"),
        ("toy", {"store": "."}, "store .* is a directory: expected a file"),
        ("toy", {"runs": 0}, "runs=0 is not a whole number of at least 1"),
        ("toy", {"steps": 1.5}, "steps=1.5 is not a whole number of at least 1"),
        ("toy", {"arms": "half"}, "arm 'half' is in none of the chosen sweeps"),
        ("toy", {"until": "now"}, "until 'now' is not one of all, answered"),
        ("toy", {"precision": "int8"}, "precision 'int8' is not one of"),
        ("toy", {"baseline": "nope"}, "baseline 'nope' is not in the store, which has toy, wide"),
        ("toy", {"library": "arrow"}, "library='arrow' is not known; expected 'pandas', 'polars'"),
        ("toy", {"experiments": "no/where"}, "no/where does not exist"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(project, name, asked, message):
    with pytest.raises(harness.HarnessError, match=message) as raised:
        load(name, **asked)
    assert "\n" not in str(raised.value)


def test_without_a_store_it_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(harness.HarnessError, match=f"there is no store at {tmp_path}/.sweep/store"):
        load()


# ---- the process goes on ------------------------------------------------------------------------


def test_files_are_read_anew_each_time(project, monkeypatch):
    file = project / "experiments" / "test_toy.py"
    before, path = file.read_text(), list(sys.path)
    monkeypatch.setattr(sys, "path", list(path))
    assert len(load().data["questions"]) == 9
    try:
        file.write_text(before.replace("mean=mean_gain", "again=mean_gain"))
        assert "again" in {row["id"] for row in load().questions}
    finally:
        file.write_text(before)
    assert sys.path == path
    assert not {"test_toy", "learner", "helping"} & set(sys.modules)


def test_nothing_is_written(project):
    def files():
        return {
            path.relative_to(project): path.stat().st_mtime_ns
            for path in project.rglob("*")
            if path.is_file() and not {"__pycache__", "store.db-shm"} & set(path.parts)
        }

    before = files()
    load().text()
    assert files() == before


KERNEL = """
import harness
harness.load("toy", library="records").text()  # what is imported
before = state()
loaded = harness.load("toy", library="records")
assert len(loaded.runs) == 9
try:
    harness.load("nothing")
except harness.UsageError:
    pass
after = state()
print("LEFT", {name: (before[name], after[name]) for name in before if before[name] != after[name]})
print("HEAVY", sorted({"torch", "jax", "pandas", "polars", "ray"} & set(sys.modules)))
"""


@pytest.mark.slow
def test_a_kernel_goes_on_as_it_was(project, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = subprocess.run(
        [sys.executable, "-c", STATE + KERNEL], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["LEFT {}", "HEAVY []"], done.stderr


@pytest.mark.slow
def test_a_sweep_of_the_harness_s_own_training_imports_no_backend(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with Store.open("s.db"):
        pass
    code = f"""
import sys, harness
loaded = harness.load("focused", store="s.db", experiments={str(ROOT / "experiments")!r})
print(len(loaded.report.verdicts) > 8, sorted({{"torch", "jax"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True []\n", done.stderr
