"""Sweeps that are judged by a metric of their own: listed, exported, imported, compared."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.helpers import data, stored
from tests.tables.tables import write_csv

pytest_plugins = ["pytester"]

TRAINER = """
import math
from harness import Outcome
from harness.records import Evaluation, Progress

def fit(job, notify):
    assert job.metric == "val_loss"
    loss = 0.3 + 0.1 * (math.log10(job.run.config["lr"]) + 3) ** 2 + 0.01 * (job.run.index % 3)
    curve = (Evaluation(0, 2.0, math.nan, 0.0), Evaluation(job.run.steps, loss, math.nan, 0.0))
    notify(Progress("train", job.run.steps, job.run.steps, evaluation=curve[-1]))
    if job.run.index == 3:
        loss = math.nan
    return Outcome("completed", value=loss, curve=curve)
"""

FILE = """
from harness import LogUniform, Sweep
from harness.claims import mean_gain
from fit_trainer import fit

by = dict(runs=8, steps=20, trainer=fit, metric="val_loss", space=dict(lr=LogUniform(1e-5, 1e-1)))
fine = Sweep("fine", questions=dict(mean=mean_gain.above_baseline()), baseline="old", **by)

def test_run(run):
    run.train()

def test_question(question):
    question.judge()
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("fitted") / "home"


@pytest.fixture
def fitted(sweeps, kept):
    """A project after a session of a sweep that is judged by a loss; a run of it diverged."""
    folder = sweeps.path / "experiments"
    folder.mkdir()
    (folder / "fit_trainer.py").write_text(TRAINER)
    (folder / "test_fit.py").write_text(FILE)
    if kept.exists():
        shutil.copytree(kept, sweeps.path / ".sweep")
    else:
        result = sweeps.run("--sweep", "fine", "--sweep-fail-on", "failed")
        assert result.ret == 0
        shutil.copytree(sweeps.path / ".sweep", kept)
    return sweeps


def test_runs_show_the_value_as_it_was_measured(fitted, sweep):
    out = sweep("runs fine")[1]
    assert "val_loss" in out
    assert "ΔPerf" not in out
    values = [result.outcome.value for result in stored("fine")]
    assert f"{values[0]:.3f}" in out
    assert values[3] is None
    assert stored("fine")[3].outcome.status == "diverged"
    id_ = stored("fine")[0].run.id
    one = sweep(f"runs {id_}")[1]
    assert "(less is better)" in one
    assert "reward" not in one
    (whole,) = data(sweep, f"runs {id_}")["runs"]
    assert whole["metric"]["name"] == "val_loss"
    assert whole["value"] == values[0]
    assert [point["perf"] for point in whole["curve"]] == [2.0, values[0]]


def test_an_export_is_judged_by_its_metric_and_imported_as_it_was(fitted, sweep):
    assert sweep("export fine --to runs.csv --curves curves.csv")[0] == 0
    header = Path("runs.csv").read_text().splitlines()[0]
    assert "metrics.val_loss,metrics.val_loss_se" in header
    assert "delta_perf" not in header
    judged = data(sweep, "judge runs.csv --curves curves.csv")
    assert judged["metric"]["name"] == "val_loss"
    assert judged["metric"]["direction"] == "min"
    status, out, _ = sweep("import runs.csv --sweep old --curves curves.csv")
    assert (status, "imported 8 runs of old: 7 completed, 1 diverged" in out) == (0, True)
    ours, theirs = stored("fine"), stored("old")
    assert [r.outcome.value for r in ours] == [r.outcome.value for r in theirs]
    assert [p.perf for r in ours for p in r.outcome.curve] == [
        p.perf for r in theirs for p in r.outcome.curve
    ]
    assert {(r.conditions.metric, r.conditions.direction) for r in theirs} == {("val_loss", "min")}
    assert {r.outcome.delta_perf for r in theirs} == {None}
    assert "8 runs were in the store" in sweep("import runs.csv --sweep old --curves curves.csv")[1]
    report = data(sweep, "report fine")
    (mean,) = [q for q in report["questions"] if q["id"] == "mean"]
    assert mean["verdict"] == "inconclusive"
    assert mean["estimate"] == pytest.approx(0.0)
    best = min(r.outcome.value for r in ours if r.outcome.value is not None)
    said = sweep("report fine")[1]
    assert said.split("Runs by val_loss")[1].split("○")[1].split()[0] == f"{best:.3f}"
    threshold = data(sweep, "analyze old")["high_performers"]["threshold"]
    assert best < threshold < 1.0
    assert data(sweep, "analyze fine --high 0.4")["high_performers"]["threshold"] == 0.4
    assert data(sweep, "judge runs.csv --baseline old")["baseline"] == "old"


def test_a_table_is_stored_by_the_metric_that_is_named(fitted, sweep):
    rows = [{"lr": f"{i + 1}e-4", "val_loss": 0.5 + 0.01 * i} for i in range(6)]
    write_csv(Path("t.csv"), rows)
    status, _, err = sweep("import t.csv --sweep old")
    assert status == 2
    assert "or store them by a metric: --metric COL" in err
    assert sweep("import t.csv --sweep old --metric val_loss --target 0.2")[0] == 0
    assert [result.outcome.value for result in stored("old")] == [row["val_loss"] for row in rows]
    assert sweep("report fine --brief")[0] == 0
    write_csv(Path("other.csv"), [{"lr": 1e-4, "delta_perf": 0.1}])
    sweep("import other.csv --sweep perf")
    status, _, err = sweep("export --to all.csv")
    assert status == 2
    assert "these runs have several metrics, val_loss" in err
    status, _, err = sweep("report fine --baseline perf")
    assert (status, err.count("\n")) == (2, 1)
    assert "is judged by val_loss (min), and its baseline 'perf' by ΔPerf" in err
    status, _, err = sweep("judge t.csv --baseline perf")
    assert (status, "that sweep is judged by ΔPerf, " in err) == (2, True)


def test_a_proposal_is_judged_by_the_same_metric(fitted, sweep):
    status, text, _ = sweep("refine fine")
    assert status == 0
    assert '    metric="val_loss",\n    direction="min",\n' in text
    assert "min_gain" not in text
    assert "margin=" not in text


def test_a_proposal_after_a_table_of_losses_is_judged_by_the_loss(here, sweep):
    rows = [{"width": 2 ** (i % 4), "val_loss": 0.5 + 0.01 * i, "steps": 10} for i in range(12)]
    write_csv(here / "t.csv", rows)
    status, text, _ = sweep("refine t.csv --margin 0.05")
    assert status == 0
    assert "    trainer=train,\n" in text
    assert text.count("trainer=") == 1
    assert '    metric="val_loss",\n    direction="min",\n    margin=0.05,\n' in text
    compile(text, "test_next.py", "exec")


@pytest.mark.slow
def test_workers_and_processes_have_the_metric(fitted, sweep):
    fitted.run("--sweep", "fine", "--sweep-fresh", "--sweep-workers", "2", executor="local")
    report = json.loads(Path(".sweep/reports/fine/report.json").read_text())
    statuses = [run["status"] for run in report["runs"]]
    assert statuses == ["completed"] * 3 + ["diverged"] + ["completed"] * 4
