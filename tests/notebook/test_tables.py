"""``harness.judge``: tables judged from Python, and what a notebook shows of them."""

import builtins
import csv
import re
import subprocess
import sys

import pytest

import harness
from harness.cli import main
from harness.notebook import JudgedTable
from tests.conftest import ROOT

RUNS = [
    {"run": f"r{n}", "lr": rate, "size": size, "flag": bool(n % 2), "val_acc": 0.5 + n / 100}
    for n, (rate, size) in enumerate((rate, size) for rate in (1e-4, 1e-3) for size in (4, 8, 16))
]
ASKED = {"metric": "val_acc", "direction": "max"}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "runs.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(RUNS[0]))
        writer.writeheader()
        writer.writerows(RUNS)
    return path


def as_frame(kind):
    """Return the same runs as a frame of a library, or as plain values."""
    if kind == "pandas":
        import pandas

        return pandas.DataFrame(RUNS)
    if kind == "polars":
        import polars

        return polars.DataFrame(RUNS)
    if kind == "lazy":
        return as_frame("polars").lazy()
    if kind == "pyarrow":
        import pyarrow

        return pyarrow.Table.from_pylist(RUNS)
    columns = {name: [run[name] for run in RUNS] for name in RUNS[0]}
    return columns if kind == "columns" else RUNS


# The environment that runs the slow tests has the libraries.
LIBRARIES = [pytest.param(one, marks=pytest.mark.slow) for one in ("pandas", "polars", "lazy")]


@pytest.mark.parametrize(
    "kind",
    ["records", "columns", "pyarrow", *LIBRARIES, pytest.param("lazy", marks=pytest.mark.slow)],
)
def test_every_frame_says_what_the_file_says(table, kind):
    of_file = harness.judge(table, **ASKED)
    judged = harness.judge(as_frame(kind), **ASKED)
    answers = [(one["id"], one["verdict"], one["p_value"]) for one in judged.data["questions"]]
    of_file_ = [(one["id"], one["verdict"], one["p_value"]) for one in of_file.data["questions"]]
    assert answers == of_file_
    assert [run["config"] for run in judged.data["runs"]] == [
        run["config"] for run in of_file.data["runs"]
    ]
    assert judged.notes[0] == "frame: 6 rows of 5 columns, a data frame"


def test_it_says_what_the_command_says(table, capsys):
    judged = harness.judge(str(table), **ASKED, margin=0.01, success_above=0.6, target=0.51)
    command = [str(table), "--metric", "val_acc", "--direction", "max", "--margin", "0.01"]
    main(["judge", *command, "--success-above", "0.6", "--target", "0.51"])
    printed = capsys.readouterr().out

    def of(text):
        return set(filter(None, (re.sub(r"[═─┈]+", "", line).strip() for line in text.split("\n"))))

    assert of(str(judged)) == of(printed)


@pytest.mark.parametrize("library", LIBRARIES[:2])
def test_what_is_handed_back_is_of_the_same_library(library):
    frame = as_frame(library)
    judged = harness.judge(frame, **ASKED)
    for found in (judged.runs, judged.questions, judged.audit):
        assert isinstance(found, type(frame))
    assert {"run", "config.learning_rate", "config.size", "delta_perf"} <= set(judged.runs.columns)
    assert list(judged.runs["run"]) == [run["run"] for run in RUNS]
    assert {"id", "verdict", "answer", "p_holm"} <= set(judged.questions.columns)


def test_without_a_library_they_are_dictionaries(monkeypatch):
    monkeypatch.setattr("harness.notebook.frames.is_there", lambda library: library == "records")
    judged = harness.judge(RUNS, **ASKED)
    assert judged.runs[0]["config.learning_rate"] == 1e-4
    assert {"id", "verdict"} <= judged.questions[0].keys()


def test_a_notebook_shows_the_report():
    judged = harness.judge([*RUNS, RUNS[0] | {"run": "<script>"}], **ASKED)
    shown = judged._repr_html_()
    assert isinstance(judged, JudgedTable)
    assert shown.startswith('<div class="sweep-report">')
    assert shown.rstrip().endswith("</div>")
    assert "How the table was read" in shown
    assert "<script" not in shown
    assert not re.search(r"<(html|head|body|!doctype)\b", shown, re.IGNORECASE)
    assert not re.search(r"""(src|href)=["']http""", shown)
    # The style is nested in the rule of the report's own element: it changes nothing else.
    style = re.search(r"<style>(.*?)</style>", shown, re.DOTALL)[1]
    assert re.match(r"\.sweep-report \{\s+& \{ --ink", style)
    assert not re.search(r"(?m)^\s*(:root|body) ", style)
    assert style.count("{") == style.count("}")


def test_its_text_is_what_print_writes():
    judged = harness.judge(RUNS, **ASKED)
    assert repr(judged) == str(judged)
    assert "frame: 6 rows" in str(judged)


def test_groups_each_have_a_report(tmp_path):
    judged = harness.judge(RUNS, **ASKED, by="flag", library="records")
    assert [dict(by) for by, _ in judged.reports] == [{"flag": False}, {"flag": True}]
    assert len(judged.data["groups"]) == 2
    assert {run["flag"] for run in judged.runs} == {False, True}
    assert "Groups side by side" in str(judged)
    judged.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"flag=False", "flag=True"}
    assert (tmp_path / "flag=True" / "report.html").is_file()


def test_a_baseline_and_curves_may_be_frames_too():
    curves = [
        {"run": run["run"], "step": step, "perf": run["val_acc"] + step / 1000}
        for run in RUNS
        for step in (0, 50, 100)
    ]
    judged = harness.judge(RUNS, **ASKED, baseline=RUNS[:3], curves=curves, library="records")
    assert any(line.startswith("baseline: frame: 3 rows") for line in judged.notes)
    assert any("curves: 18 points" in line for line in judged.notes)
    assert [(p["run"], p["step"], p["perf"]) for p in judged.curves] == [
        (point["run"], point["step"], point["perf"]) for point in curves
    ]
    assert {(p["arm"], p["se"]) for p in judged.curves} == {("main", None)}
    published = [dict(run, delta_perf=run["val_acc"]) for run in RUNS]
    assert harness.judge(published, baseline="6/19").data["baseline"] == "6/19"


def test_a_stored_sweep_is_a_baseline_from_a_folder_of_the_project(project):
    rows = [{"lr": 10.0**-n, "delta_perf": n / 50, "delta_perf_se": 0.01} for n in range(2, 9)]
    judged = harness.judge(rows, baseline="wide", library="records")
    asked = {row["id"]: row["verdict"] for row in judged.questions}
    assert judged.data["baseline"] == "wide"
    assert asked["mean_vs_baseline"] not in ("unanswerable", "not judged")
    with pytest.raises(harness.UsageError, match="baseline='none': no such sweep is in "):
        harness.judge(rows, baseline="none")


@pytest.mark.slow
def test_a_missing_value_of_pandas_is_a_blank():
    import pandas

    frame = pandas.DataFrame(RUNS).assign(
        opt=["a", None, "b", float("nan"), "a", "b"], day=pandas.Timestamp("2025-01-01")
    )
    frame.loc[1, "val_acc"] = float("nan")
    judged = harness.judge(frame, **ASKED)
    assert [run["config"]["opt"] for run in judged.data["runs"]][:4] == ["a", None, "b", None]
    assert any("r1 has no val_acc" in line for line in judged.notes)


@pytest.mark.parametrize(
    ("source", "asked", "message"),
    [
        (3, {}, "a int is no table: expected a path, a data frame"),
        ([1, 2], {}, "expected a list of dictionaries"),
        ({"a": [1], "b": [1, 2]}, {}, "not of one length"),
        ([], {}, "no rows"),
        (
            RUNS,
            {"metric": "val_acc", "direction": "max", "margin": -1},
            "margin=-1 is not a number",
        ),
        (RUNS, {"success_above": 2}, "success_above=2 is not a share"),
        (RUNS, {"library": "arrow"}, "library='arrow' is not known; expected 'pandas', 'polars'"),
        (RUNS, {"metric": "nope", "direction": "max"}, "frame has no column 'nope'"),
        ("nothing.csv", {}, "there is no file nothing.csv"),
    ],
)
def test_what_cannot_be_judged_is_a_usage_error(source, asked, message):
    with pytest.raises(harness.UsageError, match=message):
        harness.judge(source, **asked)


@pytest.mark.slow
def test_cells_that_hold_dictionaries_are_opened():
    import pandas

    frame = pandas.DataFrame(
        {
            "name": ["a", "b", "c"],
            "config": [{"lr": n, "model": {"depth": 2}} for n in range(3)],
            "summary": [{"val_acc": n / 9} for n in range(3)],
        }
    )
    judged = harness.judge(frame, **ASKED)
    assert judged.data["parameters"] == ["learning_rate", "model.depth"]


@pytest.mark.slow
def test_two_columns_of_one_name():
    import pandas

    frame = pandas.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(harness.UsageError, match="two columns of one name"):
        harness.judge(frame)
    frame = pandas.DataFrame([[1, 2]], columns=pandas.MultiIndex.from_tuples([("a", 1), ("a", 2)]))
    with pytest.raises(harness.UsageError, match="several levels"):
        harness.judge(frame)


@pytest.mark.slow
def test_columns_whose_names_are_numbers():
    import pandas

    frame = pandas.DataFrame(RUNS).rename(columns={"size": 7})
    names = harness.judge(frame, **ASKED).data["runs"][0]["config"].keys()
    assert "7" in names


def test_no_data_frame_library_is_imported_for_plain_values():
    code = "import harness, sys; harness.judge([{'lr': n, 'delta_perf': n / 9} for n in (1, 2)]); "
    code += "print({'pandas', 'polars', 'pyarrow', 'narwhals'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_the_page_s_example_shows_a_report(tmp_path, monkeypatch):
    from tests.docs.pages import DOCS, blocks

    monkeypatch.chdir(tmp_path)
    (first,) = blocks(DOCS / "notebooks.md", "python")
    names: dict = {}
    builtins.exec(first, names)
    judged = names["judged"]
    assert isinstance(judged, JudgedTable)
    assert "sweep-report" in judged._repr_html_()
    assert len(judged.data["runs"]) == 9
