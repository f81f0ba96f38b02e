"""``sweep export``: stored runs as a table."""

import csv
import json
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.store import Store
from harness.tables import read_runs
from harness.tables.columns import ReadOptions
from harness.tables.exporting import write_tables
from tests.factories import make_arm, make_result, make_results, make_trace

FORMATS = ["csv", "tsv", "jsonl", "json", "parquet"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with runs of two sweeps in its store."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".sweep").mkdir()
    keep(*stored())
    return tmp_path


def stored():
    main = make_results([0.1, 1 / 3, None, -2e-17], prefix="toy")
    half = make_arm("half", main, [0.05, 0.1], steps=50)
    crashed = make_result(
        id="toy-04", sweep="toy", index=4, status="crashed", error='killed:\n  "9", \x00'
    )
    return (*main, crashed, *half, *make_results([0.5], prefix="wide", parameters={"x": [True]}))


def keep(*results):
    with Store.open(".sweep/store.db") as store:
        for result in results:
            store.save(result)


def test_the_columns_in_their_order(project, sweep):
    assert sweep("export toy --to runs.csv") == (0, "wrote 7 runs to runs.csv\n", "")
    with Path("runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert ",".join(rows[0]) == (
        "sweep,run,arm,pair,seed,steps,status,delta_perf,delta_perf_se,prompts,samples,"
        "prompts_changed,perf_before,perf_after,train_delta_perf,config.learning_rate,"
        "config.batch_size,backend,trainer_version,device,seconds,finished_at,error"
    )
    assert [row["run"] for row in rows][:4] == ["toy-00", "toy-01", "toy-02", "toy-03"]
    assert [row["delta_perf"] for row in rows][:4] == ["0.1", repr(1 / 3), "", "-2e-17"]
    assert [row["pair"] for row in rows][-2:] == ["toy-00", "toy-01"]
    assert rows[4]["error"] == 'killed:\n  "9", ␀'


def test_the_health_of_training_has_columns_where_it_was_measured(project, sweep):
    trace = make_trace([1e-7] * 4, no_signal=0.25, truncated=0.5, length=3.0)
    keep(make_result("fit-00", sweep="fit", trace=trace, weights_moved=0.0052))
    keep(make_result("fit-01", sweep="fit", index=1, seed=2))
    sweep("export fit --to runs.csv")
    with Path("runs.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    health = {name[7:]: cell for name, cell in first.items() if name.startswith("health.")}
    assert health == {
        "no_signal": "0.25",
        "truncated": "0.5",
        "length": "3.0",
        "entropy_start": "1.0",
        "entropy_end": "1.0",
        "kl_end": "0.0",
        "weights_moved": "0.0052",
    }
    assert second["health.no_signal"] == ""
    # Nobody takes them for parameters, nor for what the runs are judged by.
    found = read_runs("runs.csv", ReadOptions())
    assert found.metric.name == "ΔPerf"
    assert {*found.results[0].run.config} == {"learning_rate", "batch_size"}


@pytest.mark.parametrize("ending", FORMATS)
def test_what_is_written_reads_back(project, sweep, ending):
    sweep(f"export toy --to runs.{ending} --curves curves.{ending}")
    read = read_runs(Path(f"runs.{ending}"), ReadOptions(curves=Path(f"curves.{ending}")))
    assert "an export of pytest-sweep" in read.notes[0]
    found = {result.run.id: result for result in read.results}
    for result in stored():
        if result.run.sweep != "toy":
            continue
        back = found[result.run.id]
        assert back.outcome.delta_perf == result.outcome.delta_perf
        assert back.outcome.status == result.outcome.status
        assert back.run.config == result.run.config
        assert back.run.pair == result.run.pair
        assert back.conditions.backend == "torch"
        assert [(p.step, p.perf, p.se) for p in back.outcome.curve] == [
            (p.step, p.perf, p.se) for p in result.outcome.curve
        ]
    assert found["toy-04"].outcome.error.startswith('killed:\n  "9", ')


@pytest.mark.parametrize("ending", FORMATS)
def test_judge_takes_what_is_written(project, sweep, ending):
    sweep(f"export toy --to runs.{ending} --curves curves.{ending}")
    status, out, err = sweep(f"judge runs.{ending} --curves curves.{ending} --json")
    assert (status, err) == (0, "")
    assert len(json.loads(out)["runs"]) == 7


def test_all_sweeps_and_the_parameters_of_each(project, sweep):
    sweep("export --to runs.jsonl")
    rows = [json.loads(line) for line in Path("runs.jsonl").read_text().splitlines()]
    assert [row["sweep"] for row in rows] == ["toy"] * 7 + ["wide"]
    assert rows[-1]["config.x"] is True
    assert rows[0]["config.x"] is None


@pytest.mark.parametrize(
    ("chosen", "runs"), [("--arm half", 2), ("--status crashed", 1), ("--arm main", 5)]
)
def test_some_of_the_runs(project, sweep, chosen, runs):
    sweep(f"export toy --to runs.csv {chosen}")
    assert len(read_runs(Path("runs.csv")).results) == runs


def test_runs_of_one_name_are_told_apart_and_paired_with_their_own(project, sweep):
    main = make_results([0.2, 0.3], prefix="toy", backend="jax")
    keep(*main, *make_arm("half", main, [0.1], steps=50, backend="jax"))
    sweep("export toy --to runs.csv")
    results = read_runs(Path("runs.csv")).results
    found = {result.run.id: result for result in results}
    assert len(found) == len(results) == 10
    halves = [result for result in results if result.run.arm == "half"]
    assert {(r.conditions.backend, found[r.run.pair].conditions.backend) for r in halves} == {
        ("torch", "torch"),
        ("jax", "jax"),
    }


def test_standard_output(project, sweep):
    status, out, err = sweep("export wide --to -")
    assert (status, err) == (0, "wrote 1 run\n")
    assert out.splitlines()[1].startswith("wide,wide-00,main,")
    (row,) = json.loads(sweep("export wide --to - --json")[1])
    assert row["run"] == "wide-00"


def test_json_says_what_was_written(project, sweep):
    _, out, _ = sweep("export wide --to runs.csv --curves curves.csv --json")
    said = {"table": "runs.csv", "runs": 1, "left_out": 0, "curves": "curves.csv", "points": 11}
    assert json.loads(out) == said


def test_a_file_is_replaced_only_where_that_is_asked_for(project, sweep):
    Path("runs.csv").write_text("mine")
    status, out, err = sweep("export --to runs.csv")
    assert (status, out) == (2, "")
    assert err == (
        "sweep: error: runs.csv is there already: name another file, or replace it by --force\n"
    )
    assert Path("runs.csv").read_text() == "mine"
    assert sweep("export --to runs.csv --force")[0] == 0
    assert len(read_runs(Path("runs.csv")).results) == 8


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("export toi --to a.csv", "no sweep 'toi' in the store, which has toy, wide; did you"),
        ("export --to a.xls", "a.xls cannot be written as a table"),
        ("export --to no/a.csv", "there is no folder no"),
        ("export --to .", "its name must end in"),
        ("export --to a.csv --curves a.csv", "--to and --curves both name a.csv"),
        ("export --to a.csv --status timeout", "there is no such run in the store"),
        ("export --to a.csv --store no.db", "there is no store at"),
        ("export", "--to"),
    ],
)
def test_a_mistake_is_one_line(project, sweep, line, said):
    status, out, err = sweep(line)
    assert (status, out) == (2, "")
    assert said in err
    assert not [file for file in project.iterdir() if file.is_file()]


def test_half_a_file_is_never_there(tmp_path, monkeypatch):
    """Neither of two tables is written where one cannot be, and nothing is left beside them."""
    from harness.tables import exporting as writing

    old, new = tmp_path / "old.csv", tmp_path / "new.json"
    old.write_text("as it was")

    def full(path, columns, format_):
        path.write_text("half of")
        if format_ == "JSON":
            raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(writing, "_write", full)
    with pytest.raises(writing.UsageError, match=r"new.json cannot be written: No space left on"):
        write_tables({old: {"a": [1]}, new: {"a": [1]}})
    assert old.read_text() == "as it was"
    assert [file.name for file in tmp_path.iterdir()] == ["old.csv"]


def test_a_table_on_a_disk_that_is_read_only_is_named(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise OSError(30, "Read-only file system", str(path))  # of what is not there, too

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(UsageError, match=r"^runs.csv cannot be written: Read-only file"):
        write_tables({Path("runs.csv"): {"a": [1]}})


def test_cells_of_several_kinds_are_text_in_parquet(tmp_path):
    from harness.tables.reading import read_table

    path = tmp_path / "a.parquet"
    write_tables({path: {"x": [1, 0.1, "a", None, True], "y": [2**70, 1, 2, 3, 4]}})
    table = read_table(path)
    assert table.values("x") == [1, 0.1, "a", None, "True"]
    assert table.values("y")[0] == 2**70


@pytest.fixture
def two_versions(project):
    """The sweep ``own``, trained by two versions of its code; of the later only one run."""
    old = make_results([0.1, 0.2], prefix="own", finished_at="2025-01-01", trainer_version="12e456")
    (new, _) = make_results([0.3, 0.4], prefix="own", finished_at="2025-01-02", trainer_version="b")
    keep(*old, new)
    return [*old, new]


def test_runs_of_earlier_code_are_left_out_and_said(two_versions, sweep):
    status, _, err = sweep("export own --to own.csv")
    assert (status, err) == (
        0,
        "left out 2 runs of earlier code: --earlier writes them too\n",
    )
    with Path("own.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["run"], row["delta_perf"], row["trainer_version"]) == ("own-00", "0.3", "b")
    done = json.loads(sweep("export own --to own.json --json")[1])
    assert (done["runs"], done["left_out"]) == (1, 2)
    assert sweep("export toy --to toy.csv")[2] == "", "that two backends trained is another matter"


def test_asked_for_they_are_told_apart_and_the_audit_says_so(two_versions, sweep):
    status, _, err = sweep("export own --to all.csv --earlier")
    assert (status, err) == (0, "")
    read_back = read_runs(Path("all.csv"), ReadOptions()).results
    assert [r.conditions.trainer_version for r in read_back] == ["12e456", "b", "12e456"]
    audit = json.loads(sweep("judge all.csv --json")[1])["audit"]
    (mixed,) = [finding for finding in audit if finding["code"] == "mixed_conditions"]
    assert "trainer version (12e456, b)" in mixed["message"]


def test_a_list_of_runs_says_which_code_trained_them(two_versions, sweep):
    lines = sweep("runs own")[1].splitlines()
    assert "code" in lines[0]
    assert [line.split()[3] for line in lines[2:5]] == ["earlier", "latest", "earlier"]
    assert "code" not in sweep("runs toy")[1].splitlines()[0]
