"""``sweep import``: runs that were trained elsewhere, into the store."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness import cli
from harness.store import Store
from harness.store.merging import add_imported
from harness.tables import read_runs
from harness.tables.importing import imported
from tests.cli.helpers import ROWS, stored
from tests.tables.tables import write_csv

pytest_plugins = ["pytester"]


# ---- a table ------------------------------------------------------------------------------------


def test_the_runs_of_a_table_become_a_sweep(here, sweep):
    status, out, err = sweep("import runs.csv --sweep old")
    assert (status, err) == (0, "")
    assert out.startswith("runs.csv: 3 rows of 6 columns, CSV\noutcome: ΔPerf, from delta_perf")
    assert out.endswith("\nimported 3 runs of old: 2 completed, 1 failed\n")
    a, b, c = stored("old")
    assert dict(a.run.config) == {"learning_rate": 1e-7, "batch_size": 8}
    assert (a.run.id, b.outcome.delta_perf, c.outcome.status) == ("a", 0.3, "failed")
    assert a.conditions.backend == "imported"
    assert a.environment == {"imported_from": "runs.csv"}


def test_json(here, sweep):
    _, out, _ = sweep("import runs.csv --sweep old --json")
    said = json.loads(out)
    assert said.pop("read")[0] == "runs.csv: 3 rows of 6 columns, CSV"
    counts = {"imported": 3, "present": 0, "replaced": 0, "differing": []}
    assert said == {"from": "runs.csv", "sweeps": ["old"], **counts}


def test_importing_it_again_changes_nothing(here, sweep):
    sweep("import runs.csv --sweep old")
    before = stored()
    _, out, _ = sweep("import runs.csv --sweep old")
    assert out.endswith("\n3 runs were in the store already\n")
    write_csv(here / "runs.csv", ROWS[::-1])
    assert sweep("import runs.csv --sweep old")[0] == 0
    assert stored() == before


def test_a_table_s_runs_are_those_that_earlier_versions_imported(tmp_path):
    (tmp_path / "runs.csv").write_text("run,delta_perf,lr\na,0.25,1e-7\nb,-0.5,2e-7\n")
    keys = [result.key for result in imported(read_runs(tmp_path / "runs.csv"), "old")]
    assert keys == ["imported620059916e1cb7df", "imported23c3f077f64f1508"]


def test_more_runs_can_be_added(here, sweep):
    sweep("import runs.csv --sweep old")
    write_csv(here / "runs.csv", [*ROWS, ROWS[0] | {"run": "d"}])
    assert "imported 1 run of old" in sweep("import runs.csv --sweep old")[1]
    assert [result.run.id for result in stored("old")] == ["a", "b", "c", "d"]


def test_one_table_can_be_two_sweeps(here, sweep):
    sweep("import runs.csv --sweep old")
    assert "imported 3 runs of older" in sweep("import runs.csv --sweep older")[1]
    write_csv(here / "runs.csv", [ROWS[0] | {"delta_perf": 0.2}, *ROWS[1:]])
    sweep("import runs.csv --sweep older --replace")
    assert [result.outcome.delta_perf for result in stored("old")][:2] == [0.1, 0.3]
    assert sorted(r.outcome.delta_perf or 0 for r in stored("older")) == [0, 0.2, 0.3]


def test_other_figures_are_refused_unless_they_are_to_replace(here, sweep):
    sweep("import runs.csv --sweep old")
    before = stored()
    changed = [ROWS[0], ROWS[1] | {"delta_perf": 0.2}, ROWS[2], ROWS[0] | {"run": "d"}]
    write_csv(here / "runs.csv", changed)
    status, out, err = sweep("import runs.csv --sweep old")
    assert (status, out) == (2, "")
    assert err == (
        "sweep: error: run 'b' of sweep 'old' is stored with other figures: nothing was imported; "
        "--replace takes the table's\n"
    )
    assert stored() == before
    status, out, _ = sweep("import runs.csv --sweep old --replace")
    assert "imported 1 run of old: 1 completed\nreplaced 1 run of old: 1 completed\n2 runs" in out
    found = {result.run.id: result.outcome.delta_perf for result in stored("old")}
    assert found == {"a": 0.1, "b": 0.2, "c": None, "d": 0.1}


def test_nothing_is_imported_where_a_row_is_wrong(here, sweep):
    write_csv(here / "runs.csv", [*ROWS, ROWS[0] | {"run": "d", "delta_perf": "much"}])
    status, _, err = sweep("import runs.csv --sweep old")
    assert status == 2
    assert "runs.csv, line 5: 'much' in column 'delta_perf' is no number" in err
    assert not Path(".sweep").exists()


def test_nothing_is_kept_where_one_run_cannot_be(tmp_path):
    results = imported(read_runs(write_csv(tmp_path / "runs.csv", ROWS)), "old")
    bad = replace(results[2], environment={"x": math.inf})
    with Store.open(str(tmp_path / "a.db")) as store:
        with pytest.raises(cli.HarnessError, match="run c cannot be stored"):
            add_imported(store, [*results[:2], bad])
        assert store.results() == ()


def test_columns_are_asked_for_and_given_as_judge_has_it(here, sweep):
    write_csv(here / "t.csv", [{"run": "a", "lr": 1e-7, "acc_0": 0.25, "acc_1": 0.5, "x": 3}])
    status, _, err = sweep("import t.csv --sweep old")
    assert status == 2
    assert "t.csv has no column delta_perf, and stored runs are judged by ΔPerf" in err
    assert "name both ends by --before and --after" in err
    assert sweep("judge t.csv")[2].splitlines()[1:] == [
        "  sweep judge t.csv --metric acc_0 --direction max",
        "  sweep judge t.csv --metric acc_1 --direction max",
    ]
    sweep("import t.csv --sweep old --before acc_0 --after acc_1 --params lr")
    (result,) = stored("old")
    assert (result.outcome.perf_before, result.outcome.delta_perf) == (0.25, 0.25)
    assert dict(result.run.config) == {"learning_rate": 1e-7}


def test_runs_of_all_steps_are_imported(here, sweep):
    rows = [
        {"run": f"r{i}", "lr": (i % 5 + 1) * 1e-7, "steps": 50 if i else 10, "delta_perf": 0.1}
        for i in range(6)
    ]
    write_csv(here / "t.csv", rows)
    sweep("import t.csv --sweep old")
    assert sorted(result.run.steps for result in stored("old")) == [10, 50, 50, 50, 50, 50]
    assert len(json.loads(sweep("judge t.csv --json")[1])["runs"]) == 5


def test_learning_curves_without_standard_errors(here, sweep):
    write_csv(here / "c.csv", [{"run": "a", "step": 0, "perf": 0.1}])
    sweep("import runs.csv --sweep old --curves c.csv")
    ((point,), *_) = [result.outcome.curve for result in stored("old")]
    assert (point.step, point.perf) == (0, 0.1)
    assert math.isnan(point.se)
    assert "3 runs were" in sweep("import runs.csv --sweep old --curves c.csv")[1]


def test_a_tracker_s_export(here, sweep):
    rows = [
        {"run_id": "r1", "experiment_id": 0, "artifact_uri": "s3://a", "params.lr": 1e-7,
         "metrics.delta_perf": 0.1, "status": "FINISHED"},
        {"run_id": "r2", "experiment_id": 0, "artifact_uri": "s3://b", "params.lr": 2e-7,
         "metrics.delta_perf": None, "status": "RUNNING"},
    ]  # fmt: skip
    write_csv(here / "mlflow.csv", rows)
    out = sweep("import mlflow.csv --sweep old")[1]
    assert "an export of MLflow" in out
    assert "not finished yet, left out: 1 row" in out
    assert [result.run.id for result in stored("old")] == ["r1"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("runs.csv", "name the sweep of the runs in runs.csv: --sweep NAME"),
        ("runs.csv --sweep o/ld", "sweep name 'o/ld': use letters, digits"),
        ("runs.csv --sweep published", "sweep name 'published'"),
        ("runs.csv --sweep old.csv", "sweep name 'old.csv'"),
        ("run.csv --sweep old", "there is no file run.csv; did you mean 'runs.csv'?"),
        (
            "runs.csv --sweep old --direction min",
            "judged by ΔPerf, of which less is better, and stored runs are judged by ΔPerf",
        ),
        ("runs.csv --sweep old --target 0.1 --metric delta_perf", "is judged by ΔPerf, and"),
        (
            "notes.txt --sweep old",
            "notes.txt is neither a table nor a store; a table's name ends in .csv",
        ),
        ("no.db", "there is no store at"),
        ("no.db --replace", "--replace is for a table, and no.db is none"),
        ("no.db --metric x", "--metric says how a table is read, and no.db is none"),
    ],
)
def test_a_mistake_is_one_line(here, sweep, line, said):
    (here / "notes.txt").write_text("hello")
    status, out, err = sweep(f"import {line}")
    assert (status, out) == (2, "")
    assert said in err.replace("bs, and", "batch_size, and")
    assert err.count("\n") == 1
    assert not Path(".sweep").exists()


# ---- what is made of imported runs --------------------------------------------------------------


@pytest.fixture
def compared(sweeps, sweep):
    """A trained sweep with an imported baseline, whose runs have all numbers of steps."""
    rows = [ROWS[0] | {"run": f"r{i}", "delta_perf": i / 100, "steps": 50 + i} for i in range(8)]
    rows = [row | {"lr": (1 + i) * 1e-7, "backend": "tpu"} for i, row in enumerate(rows)]
    write_csv(sweeps.path / "runs.csv", rows)
    sweeps.write(body='sweep = toy(baseline="old")')
    sweep("import runs.csv --sweep old --params lr,bs")
    sweeps.run("--sweep", "toy", "--sweep-fail-on", "failed")
    return sweeps


def test_imported_runs_are_a_baseline_and_the_audit_says_whose(compared, sweep):
    found = json.loads(sweep("report toy --json")[1])
    assert found["baseline"] == "old"
    assert found["baseline_read"] == ["old was imported from runs.csv"]
    said = [note["message"] for note in found["audit"] if note["code"] == "mixed_conditions"]
    assert "the baseline old was imported from runs.csv, not trained here" in said
    assert any("backend own against imported" in message for message in said)
    assert any("50, 51, 52, 53, 54, 55, 56, 57" in message for message in said)


def test_repeats_of_an_imported_configuration_count_once(compared, sweep):
    rows = [ROWS[i % 2] | {"run": f"r{i}", "delta_perf": i / 100} for i in range(6)]
    write_csv(compared.path / "more.csv", rows)
    sweep("import more.csv --sweep repeated")
    found = json.loads(sweep("report toy --baseline repeated --json")[1])
    assert "its runs: 2 configurations with 3 repeats each" in found["baseline_read"][1]
    of_table = json.loads(sweep("report toy --baseline more.csv --json")[1])
    for one, other in zip(found["questions"], of_table["questions"], strict=True):
        assert one["estimate"] == other["estimate"]


def test_imported_runs_are_analysed_and_refined(compared, sweep):
    status, out, _ = sweep("analyze old")
    assert status == 0
    assert "old was imported from runs.csv: it was trained elsewhere" in " ".join(out.split())
    assert "left out" not in out
    status, out, err = sweep("refine old --steps 50")
    assert (status, "Sweep(" in out) == (0, True), err


def test_imported_runs_are_not_reported_but_exported_and_judged(compared, sweep):
    status, _, err = sweep("report old")
    assert status == 2
    assert "no sweep file declares it" in err
    first, second = re.findall(r"sweep (?:export|judge) [^,;]+(?:csv)", err)
    assert sweep(first.removeprefix("sweep "))[0] == 0
    assert sweep(second.removeprefix("sweep "))[0] == 0
    assert "no sweep 'older'" in sweep("report older")[2]
