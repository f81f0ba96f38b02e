"""The trackers' own stores, made by hand in their layouts; `test_trackers` has real ones."""

import json
import math
import sqlite3
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.tables import ReadOptions, read_runs
from harness.tables.reading import read_table
from harness.tables.stores import kind_of
from harness.tables.stores.common import as_exported
from harness.tables.table import Table
from tests.tables.tables import write

UP = {"metric": "val/acc", "direction": "max"}


def refused(source, *parts):
    with pytest.raises(UsageError) as caught:
        read_table(source)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value), str(caught.value)


def curve(result):
    return [(point.step, point.perf) for point in result.outcome.curve]


def configs(reading):
    return [dict(result.run.config) for result in reading.results]


# ---- MLflow --------------------------------------------------------------------------------------


def mlflow_run(folder, name, status=3, *, params=(), metrics=(), tags=(), stage="active", start=1):
    run = folder / name
    run.mkdir(parents=True)
    write(
        run / "meta.yaml",
        f"run_id: {name}\nexperiment_id: '7'\nstatus: {status}\nstart_time: {start}\n"
        f"lifecycle_stage: {stage}\nartifact_uri: file:///x\n",
    )
    for kind, items in (("params", params), ("metrics", metrics), ("tags", tags)):
        for key, text in dict(items).items():
            path = run / kind / key
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, text)


@pytest.fixture
def mlruns(tmp_path):
    """A parent with its own parameters and the best metric, three children, and one deleted."""
    folder = tmp_path / "mlruns" / "7"
    folder.mkdir(parents=True)
    write(folder / "meta.yaml", "experiment_id: '7'\nname: my sweep\nlifecycle_stage: active\n")
    (tmp_path / "mlruns" / "0").mkdir()
    write(tmp_path / "mlruns" / "0" / "meta.yaml", "experiment_id: '0'\nname: Default\n")
    mlflow_run(folder, "top", params={"lr": "grid"}, metrics={"val/acc": "1 0.72 0\n"})
    for n in range(3):
        points = "".join(f"{n} {0.5 + n / 10 + step / 1000} {step}\n" for step in (0, 10, 20))
        mlflow_run(
            folder,
            f"r{n}",
            4 if n == 2 else 3,
            params={"lr": f"0.{n + 1}", "opt": "adam"},
            metrics={"val/acc": points, "lossy": "1 nan 0\n"},
            tags={"mlflow.parentRunId": "top"},
            start=n,
        )
    mlflow_run(folder, "gone", stage="deleted")
    return tmp_path / "mlruns"


def test_mlflow_s_folder(mlruns):
    reading = read_runs(mlruns, ReadOptions(**UP))
    assert [result.run.id for result in reading.results] == ["r0", "r1", "r2"]
    assert [result.outcome.status for result in reading.results] == ["completed"] * 2 + ["failed"]
    assert [result.outcome.delta_perf for result in reading.results][:2] == [0.52, 0.62]
    assert configs(reading)[0] == {"learning_rate": 0.1, "opt": "adam"}
    assert curve(reading.results[1]) == [(0, 0.6), (10, 0.61), (20, 0.62)]
    assert reading.notes[0] == "mlruns: 3 rows of 10 columns, MLflow's store"
    assert "MLflow's experiment 'my sweep'" in reading.notes
    assert "parents of other runs, left out: 1 run (top)" in reading.notes
    assert "curves: 9 points of metrics.val/acc, of 3 runs" in reading.notes


def test_the_folder_of_an_experiment(mlruns):
    assert len(read_table(mlruns / "7")) == 3
    assert len(read_table(f"{mlruns}#my sweep")) == 3


def test_several_experiments_are_listed(mlruns):
    other = mlruns / "8"
    other.mkdir()
    write(other / "meta.yaml", "experiment_id: '8'\nname: second\n")
    mlflow_run(other, "x", params={"lr": "1"}, metrics={"val/acc": "1 0.5 0\n"})
    refused(mlruns, "2 experiments: 'my sweep' (4 runs), 'second' (1 run)", "mlruns#my sweep")
    assert len(read_table(f"{mlruns}#second")) == 1
    refused(f"{mlruns}#secnd", "no experiment 'secnd'", "did you mean 'second'?")


def test_an_mlflow_folder_without_runs(tmp_path):
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    write(tmp_path / "mlruns" / "0" / "meta.yaml", "experiment_id: '0'\nname: Default\n")
    refused(tmp_path / "mlruns", "no run in any experiment")


def test_parents_are_left_out_of_exports_too(tmp_path):
    text = (
        "run_id,experiment_id,artifact_uri,status,params.lr,metrics.acc,tags.mlflow.parentRunId\n"
        "top,1,x,FINISHED,0.2,0.9,\na,1,x,FINISHED,0.1,0.5,top\nb,1,x,FINISHED,0.2,0.9,top\n"
    )
    path = write(tmp_path / "t.csv", text)
    reading = read_runs(path, ReadOptions(metric="acc", direction="max"))
    assert [result.run.id for result in reading.results] == ["a", "b"]
    assert "parents of other runs, left out: 1 run (top)" in reading.notes


@pytest.fixture
def mlflow_db(tmp_path):
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as base:
        base.executescript("""
            CREATE TABLE experiments (experiment_id INTEGER, name TEXT, lifecycle_stage TEXT);
            CREATE TABLE runs (run_uuid TEXT, experiment_id INTEGER, artifact_uri TEXT,
                status TEXT, start_time INTEGER, lifecycle_stage TEXT);
            CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
            CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
            CREATE TABLE latest_metrics (key TEXT, value REAL, is_nan BOOLEAN, run_uuid TEXT);
            CREATE TABLE metrics (key TEXT, value REAL, timestamp INTEGER, step INTEGER,
                is_nan BOOLEAN, run_uuid TEXT);
            INSERT INTO experiments VALUES (0, 'Default', 'active'), (1, 'sweep', 'active');
            INSERT INTO runs VALUES ('top', 1, 'x', 'FINISHED', 0, 'active'),
                ('a', 1, 'x', 'FINISHED', 1, 'active'), ('b', 1, 'x', 'FINISHED', 2, 'active'),
                ('c', 1, 'x', 'FINISHED', 3, 'deleted');
            INSERT INTO params VALUES ('lr', '0.1', 'a'), ('lr', '0.2', 'b'), ('lr', '9', 'c');
            INSERT INTO tags VALUES ('mlflow.parentRunId', 'top', 'a'),
                ('mlflow.parentRunId', 'top', 'b');
            INSERT INTO latest_metrics VALUES ('val/acc', 0.5, 0, 'a'), ('val/acc', 0, 1, 'b');
            INSERT INTO metrics VALUES
                ('val/acc', 0.4, 1, 0, 0, 'a'), ('val/acc', 0.5, 2, 5, 0, 'a'),
                ('val/acc', 0.4, 1, 0, 0, 'b'), ('val/acc', 0, 2, 5, 1, 'b');
        """)
    return path


def test_mlflow_s_database(mlflow_db):
    reading = read_runs(mlflow_db, ReadOptions(**UP))
    assert [result.run.id for result in reading.results] == ["a", "b"]
    assert [result.outcome.status for result in reading.results] == ["completed", "diverged"]
    assert configs(reading) == [{"learning_rate": 0.1}, {"learning_rate": 0.2}]
    assert curve(reading.results[0]) == [(0, 0.4), (5, 0.5)]
    assert any("left out: 1 run (top)" in note for note in reading.notes)


# ---- Ray Tune ------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path):
    """An experiment of five trials: two stopped early, one failed before it reported."""
    folder = tmp_path / "ray_results" / "exp"
    states = {}
    for n, steps in enumerate((4, 4, 1, 2, 0)):
        trial = folder / f"train_ab_0000{n}_{n}_lr=0.{n + 1}"
        trial.mkdir(parents=True)
        config = {"lr": (n + 1) / 10, "model": {"depth": 2}}
        write(trial / "params.json", json.dumps(config))
        reports = [
            {"val/acc": 0.1 * n + step / 100, "training_iteration": step, "trial_id": f"ab_0000{n}"}
            | {"config": config, "hostname": "h"}
            for step in range(1, steps + 1)
        ]
        torn = '{"val/acc": 0.' if n == 1 else ""
        write(trial / "result.json", "".join(json.dumps(one) + "\n" for one in reports) + torn)
        states[f"ab_0000{n}"] = "ERROR" if n == 4 else "TERMINATED"
    trials = [[json.dumps({"trial_id": t, "status": s}), "{}"] for t, s in states.items()]
    write(folder / "experiment_state-2025.json", json.dumps({"trial_data": trials}))
    return tmp_path / "ray_results"


def test_ray_s_folder(results):
    for source in (results, results / "exp", f"{results}#exp"):
        reading = read_runs(source, ReadOptions(**UP))
        assert reading.notes[0] == "exp: 5 rows of 7 columns, Ray Tune's store"
        assert reading.parameters == ("learning_rate", "model.depth")
        # What a scheduler stopped early is not compared with what ran to the end.
        assert [r.outcome.status for r in reading.results] == ["completed"] * 2 + ["failed"] * 3
        assert any("stopped before: 2 runs (1 at 1 and 1 at 2)" in n for n in reading.notes)
        assert [len(result.outcome.curve) for result in reading.results] == [4, 4, 1, 2, 0]
        assert [step for step, _ in curve(reading.results[3])] == [1, 2]
        assert curve(reading.results[3])[1][1] == pytest.approx(0.32)


def test_a_ray_folder_without_states_or_json(results):
    folder = results / "exp"
    next(folder.glob("*.json")).unlink()
    for trial in folder.glob("train*"):
        lines = (trial / "result.json").read_text().splitlines()
        (trial / "result.json").unlink()
        found = [json.loads(line) for line in lines if line.endswith("}")]
        text = "val/acc,training_iteration,trial_id\n"
        text += "".join(
            f"{r['val/acc']},{r['training_iteration']},{r['trial_id']}\n" for r in found
        )
        if found:
            write(trial / "progress.csv", text)
        else:
            write(trial / "error.txt", "boom")
    reading = read_runs(folder, ReadOptions(**UP))
    assert [r.outcome.status for r in reading.results] == ["completed"] * 2 + ["failed"] * 3
    assert [len(result.outcome.curve) for result in reading.results] == [4, 4, 1, 2, 0]


def test_several_experiments_of_ray_are_listed(results):
    trial = results / "two" / "train_x_00000"
    trial.mkdir(parents=True)
    write(trial / "params.json", "{}")
    refused(results, "2 experiments: 'exp' (5 trials), 'two' (1 trial)", "ray_results#exp")


# ---- W&B -----------------------------------------------------------------------------------------


def varint(number):
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def field(number, item):
    """Write a field of a protocol buffer: an int as a varint, else its length and its bytes."""
    if isinstance(item, int):
        return varint(number << 3) + varint(item)
    data = item.encode() if isinstance(item, str) else item
    return varint(number << 3 | 2) + varint(len(data)) + data


def items(found, nested=False):
    return b"".join(
        field(1, (field(2, key) if nested else field(1, key)) + field(16, json.dumps(item)))
        for key, item in found.items()
    )


def log_of(records, block=32768):
    """Write records in LevelDB's framing, over the ends of blocks."""
    data = b":W&B\xe1\xbe\0"
    for record in records:
        left, first = record, True
        while True:
            room = block - len(data) % block
            if room < 7:
                data += b"\0" * room
                continue
            part, left = left[: room - 7], left[room - 7 :]
            kind = (1 if first else 4) if not left else (2 if first else 3)
            data += b"\0" * 4 + len(part).to_bytes(2, "little") + bytes([kind]) + part
            first = False
            if not left:
                break
    return data


def wandb_run(folder, name, lr, exit_code=0, project="p"):
    run = folder / f"offline-run-2025-{name}"
    run.mkdir(parents=True)
    config = items({"lr": lr, "_wandb": {}, "model": {"depth": 2}})
    about = field(1, name) + field(3, project) + field(4, config) + field(8, f"run {name}")
    records = [field(17, about), field(7, b"x" * 70_000)]
    for step in range(3):
        logged = items({"val/acc": lr + step / 100, "_step": step * 10}, nested=True)
        records.append(field(2, logged + field(2, field(1, step * 10))))
    records.append(field(3, items({"best": lr * 2, "_runtime": 3})))
    if exit_code is not None:
        records.append(field(18, field(1, exit_code)))
    path = run / f"run-{name}.wandb"
    path.write_bytes(log_of(records))
    return path


@pytest.fixture
def offline(tmp_path):
    folder = tmp_path / "wandb"
    wandb_run(folder, "a", 0.1)
    wandb_run(folder, "b", 0.2, exit_code=1)
    last = wandb_run(folder, "c", 0.3, exit_code=None)
    (folder / "latest-run").symlink_to(last.parent)
    return folder


def test_wandb_s_folder(offline):
    reading = read_runs(offline, ReadOptions(**UP))
    assert "W&B's store" in reading.notes[0]
    assert [result.run.id for result in reading.results] == ["a", "b", "c"]
    assert [r.outcome.status for r in reading.results] == ["completed", "failed", "failed"]
    assert reading.results[0].outcome.delta_perf == 0.1 + 2 / 100
    assert configs(reading)[1] == {"learning_rate": 0.2, "model.depth": 2}
    assert curve(reading.results[0]) == [(0, 0.1), (10, 0.1 + 1 / 100), (20, 0.1 + 2 / 100)]


def test_one_run_of_wandb(offline):
    (path,) = offline.glob("*-a/*.wandb")
    assert len(read_table(path)) == len(read_table(path.parent)) == 1
    data = path.read_bytes()
    path.write_bytes(data[:-30])  # killed while it was written
    assert read_table(path).columns["State"] == ["crashed"]
    refused(write(path, "other"), "is not a file of W&B that is known here", "wandb sync")


def test_several_projects_of_wandb_are_listed(offline):
    wandb_run(offline, "d", 0.1, project="q")
    refused(offline, "2 projects: 'p' (3 runs), 'q' (1 run)", "wandb#p")
    assert len(read_table(f"{offline}#q")) == 1


# ---- what is none --------------------------------------------------------------------------------


def test_what_is_no_tracker_s(tmp_path):
    for file in ("a.db", "a.log", "a.jsonl"):
        assert kind_of(str(write(tmp_path / file, '{"lr": 1}\n'))) is None
    assert kind_of(str(tmp_path)) is None
    with sqlite3.connect(tmp_path / "own.db") as base:
        base.execute("CREATE TABLE runs (id)")
    refused(tmp_path / "own.db", "own.db is no database of Optuna's or MLflow's")
    refused(f"sqlite:///{tmp_path}/own.db", "own.db is no database of Optuna's or MLflow's")
    refused(f"sqlite:///{tmp_path}/none.db", "there is no file")
    assert not (tmp_path / "none.db").exists()
    refused("https://example.org/runs.csv", "download it and give the file")
    (tmp_path / "mlruns").mkdir()
    refused(tmp_path / "mlruns", "is a folder")


def test_without_optuna_its_export_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "journal.log", '{"op_code": 0, "study_name": "a"}\n')
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    refused(path, "needs optuna", 'pip install "pytest-sweep[optuna]"', "trials_dataframe")


def test_a_point_that_is_no_number_is_missing(mlruns):
    table = read_table(mlruns)
    assert table.history("metrics.lossy") == {}
    path = mlruns / "7" / "r0" / "metrics" / "val" / "acc"
    write(path, "1 0.5 0\n2 nan 10\n3 0.7 20\n4 0.8")
    points = read_table(mlruns).history("metrics.val/acc")["r0"]
    assert [step for step, _ in points] == [0, 10, 20]
    assert points[0][1] == 0.5
    assert math.isnan(points[1][1])


def test_a_store_that_the_harness_wrote_is_read_as_its_export():
    columns = {
        "run_id": ["a", "b", "c", "d", "e"],
        "tags.sweep.key": ["1", "2", "verdicts", "3", None],
        "tags.sweep.run": ["s-00", "s-00", None, "s-01", None],
        "tags.sweep.steps": ["100", "100", None, "100", None],
        "tags.sweep.finished_at": ["2025-01-02", "2025-01-01", None, "2025-01-01", None],
        "tags.sweep.status": ["completed", "completed", None, "failed", None],
        "params.lr": ["1e-6", "1e-6", None, None, "1"],
        "other.lr": [None, None, None, "2e-6", None],
        "metrics.delta_perf": [0.1, 0.2, None, None, 0.9],
        "metrics.perf": [0.3, 0.3, None, None, None],
        "tags.verdict.plateau": [None, None, "supported", None, None],
    }
    points = dict.fromkeys("ab", ((0, 0.2), (5, 0.3)))
    table = Table(Path("m.db"), "MLflow's store", columns, range(1, 6), history=lambda name: points)
    asked = ("run_id", "tags.sweep.", ("params.", "other."), ("metrics.",))
    found = as_exported(table, *asked)
    assert found.columns["run"] == ["s-00", "s-01"]
    assert found.columns["delta_perf"] == [0.1, None]
    assert found.columns["config.lr"] == ["1e-6", "2e-6"]
    assert found.columns["status"] == ["completed", "failed"]
    assert not {"key", "perf", "verdict.plateau"} & found.columns.keys()
    assert found.history("delta_perf") == {"s-00": points["a"]}
    assert found.history("seconds") == {}
    assert found.notes == (
        "written by pytest-sweep",
        "earlier runs of the same id, left out: 1 run",
        "not written by pytest-sweep, left out: 1 run",
    )
    theirs = table.replaced(columns={"run_id": ["a"], "params.lr": ["1"]}, places=[1])
    assert as_exported(theirs, *asked) is theirs
