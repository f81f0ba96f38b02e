"""What each kind of document says, to the last number: a golden file each."""

import csv
import json
import re
import shlex
import shutil
from dataclasses import replace

import pytest

import harness.executors
from harness.cli import main
from tests.cli.calibrate_project import write
from tests.conftest import IN_ORDER
from tests.golden.comparing import check_json, check_text, text_of_html
from tests.golden.project import (
    write_backends,
    write_fits,
    write_project,
    write_stored,
    write_tables,
)
from tests.judging.histories import drawn, write_nights

pytest_plugins = ["pytester"]
GATE = "--sweep-fail-on failed,regressed"


@pytest.fixture
def project(pytester, monkeypatch):
    """A folder with sweeps whose trainer takes no time, and pytest and `sweep` run in it."""
    monkeypatch.setenv("PYTEST_ADDOPTS", IN_ORDER)
    monkeypatch.setenv("COLUMNS", "100")
    write_project(pytester.path)
    return Project(pytester)


@pytest.fixture
def trained(project, kept):
    """Such a project after both of its sweeps; they are trained once for all tests."""
    if kept.exists():
        shutil.copytree(kept, project.path / ".sweep")
    else:
        project.train("--sweep narrow,wide --sweep-fail-on failed")
        shutil.copytree(project.path / ".sweep", kept)
    return project


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("golden") / "trained"


class Project:
    def __init__(self, pytester):
        self.path, self._pytester = pytester.path, pytester

    def train(self, options, status=0):
        line = f"-p harness.plugin experiments --sweep-executor inline {options}"
        assert self._pytester.runpytest_inprocess(*shlex.split(line)).ret == status

    def report(self, name, form="json"):
        return (self.path / ".sweep" / "reports" / name / f"report.{form}").read_text("utf-8")


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """A folder of tables, in which `sweep` runs."""
    write_tables(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def sweep(capsys):
    """Run the command; return what it prints."""

    def run(line):
        capsys.readouterr()
        assert main(shlex.split(line)) == 0
        return capsys.readouterr().out

    return run


# ---- sweeps -------------------------------------------------------------------------------------


def test_a_sweep_with_arms_a_baseline_diverged_runs_and_a_worse_night(trained, sweep, monkeypatch):
    project = trained
    project.train("--sweep wide --sweep-steps 10")  # of the baseline, the runs as declared count
    sweep("report narrow --save-reference")
    monkeypatch.setenv("GAIN", "0.03")
    project.train(f"--sweep narrow --sweep-fresh {GATE}", status=1)
    check_json("sweep", json.loads(project.report("narrow")), project.path)
    check_text("sweep_markdown", project.report("narrow", "md"), project.path)
    check_text("sweep_html", text_of_html(project.report("narrow", "html")), project.path)
    check_text("sweep_terminal", sweep("report narrow"), project.path)


def test_a_sweep_that_was_answered_early(project):
    project.train("--sweep early --sweep-until answered")
    check_json("sweep_early", json.loads(project.report("early")), project.path)


def test_a_scaled_down_sweep_with_failed_runs_and_no_baseline(project):
    project.train("--sweep short --sweep-steps 10", status=1)
    check_json("sweep_short", json.loads(project.report("short-smoke")), project.path)


def test_a_scaled_down_sweep_that_has_regressed_and_was_changed(project, sweep, monkeypatch):
    project.train("--sweep brief --sweep-steps 10")
    sweep("report brief --steps 10 --save-reference")
    monkeypatch.setenv("GAIN", "0")
    project.train(f"--sweep brief --sweep-steps 10 --sweep-fresh {GATE}", status=1)
    check_json("sweep_brief", json.loads(project.report("brief-smoke")), project.path)
    file = project.path / "experiments" / "test_golden_sweeps.py"
    # Of another length: within a second Python tells by it that the file is another.
    file.write_text(file.read_text().replace("since=15", "since= 16"))
    changed = sweep("report brief --steps 10 --json")
    check_json("sweep_changed", json.loads(changed), project.path)


def _cells(table):
    """Read a CSV's rows, the header first, with its numbers as numbers."""

    def cell(text):
        try:
            return float(text)
        except ValueError:
            return text

    with table.open(newline="") as file:
        return [[cell(text) for text in row] for row in csv.reader(file)]


def test_stored_runs_of_two_declared_lengths_are_not_pooled(project, sweep):
    project.train("--sweep short", status=1)
    write_stored(project.path, "nowhere")
    sweep("report short")
    check_text("stored_markdown", project.report("short-smoke", "md"), project.path)
    write_tables(project.path)
    judged = sweep("judge scores.csv --baseline nowhere --json")
    check_json("stored_baseline", json.loads(judged)["questions"], project.path)
    sweep("export nowhere --to nowhere.csv")
    check_json("stored_export", _cells(project.path / "nowhere.csv"), project.path)


def test_a_plan(trained, sweep):
    check_json("plan", json.loads(sweep("plan narrow --json")), trained.path)
    scaled = sweep("plan narrow --runs 16 --steps 20 --json")
    check_json("plan_scaled", json.loads(scaled), trained.path)


def test_an_analysis_of_a_sweep(trained, sweep):
    check_json("analysis", json.loads(sweep("analyze narrow --json")), trained.path)


def test_leaders_with_fresh_seeds(trained, sweep):
    out = sweep("confirm narrow --top 3 --seeds 6 --executor inline")
    check_json("confirmed", json.loads(trained.report("narrow-confirm")), trained.path)
    page = text_of_html(trained.report("narrow-confirm", "html"))
    check_text("confirmed_html", page, trained.path)
    check_text("confirmed_terminal", out, trained.path)


def test_a_next_sweep(trained, sweep):
    check_json("refine", json.loads(sweep("refine narrow --json")), trained.path)


@pytest.fixture
def backends(tmp_path, monkeypatch):
    """A folder with sweeps of the harness's own trainers, for which one stands that takes no time.

    That the backends lie in this module is all that these tests know of the inside.
    """
    from harness.training.backends import BACKENDS

    trainer = write_backends(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, backend in BACKENDS.items():
        fake = replace(backend, libraries=(), trainer=f"{trainer}:train")
        monkeypatch.setitem(BACKENDS, name, fake)
    return tmp_path


def test_a_comparison_of_backends(backends, sweep):
    check_json("parity", json.loads(sweep("parity twice --json")), backends)
    check_text("parity_terminal", sweep("parity twice"), backends)
    second = sweep("report twice --runs 5 --arms none --backend jax --json")
    check_json("sweep_backend", json.loads(second), backends)


@pytest.fixture
def calibrated(tmp_path, monkeypatch):
    """A folder with a model, whose trainer takes no time, in this process."""
    write(tmp_path, monkeypatch)
    make = harness.executors.make_executor
    monkeypatch.setattr(
        harness.executors, "make_executor", lambda name, **given: make("inline", **given)
    )
    return tmp_path


def test_a_range_test(calibrated, sweep):
    line = "calibrate sums --model tiny --task sums.jsonl"
    check_json("calibrate", json.loads(sweep(f"{line} --json")), calibrated)
    check_text("calibrate_terminal", sweep(line), calibrated)
    folder = calibrated / ".sweep/reports/sums-calibrate"
    check_text("calibrate_markdown", (folder / "report.md").read_text("utf-8"), calibrated)
    page = (folder / "report.html").read_text("utf-8")
    check_text("calibrate_html", text_of_html(page), calibrated)


def test_a_scaled_down_plan_with_long_warmups(backends, sweep):
    check_json("plan_warmup", json.loads(sweep("plan annealed --steps 20 --json")), backends)


@pytest.fixture
def fits(pytester, monkeypatch):
    """Such a folder of sweeps that are judged by a loss."""
    monkeypatch.setenv("PYTEST_ADDOPTS", IN_ORDER)
    monkeypatch.setenv("COLUMNS", "100")
    write_fits(pytester.path)
    return Project(pytester)


OF_PERF = re.compile("ΔPerf|[Pp]rompt|[Rr]eward|[Hh]eld-out|−val_loss")
"""What nothing on a sweep with a metric of its own, and no task, speaks of."""


def test_a_sweep_that_is_judged_by_a_loss(fits, sweep):
    fits.train("--sweep fine,coarse,plain --sweep-fail-on failed")
    check_json("fits", json.loads(fits.report("fine")), fits.path)
    check_text("fits_markdown", fits.report("fine", "md"), fits.path)
    check_text("fits_html", text_of_html(fits.report("fine", "html")), fits.path)
    check_json("fits_plain", json.loads(fits.report("plain")), fits.path)
    check_json("fits_analysis", json.loads(sweep("analyze fine --json")), fits.path)
    reported, analysed = sweep("report fine"), sweep("analyze fine")
    check_text("fits_terminal", reported, fits.path)
    check_text("fits_analysis_terminal", analysed, fits.path)
    pages = [fits.report("fine", "html"), fits.report("plain", "html"), fits.report("plain", "md")]
    for text in (reported, analysed, *pages):
        assert not OF_PERF.findall(text)


@pytest.mark.slow
def test_the_plan_of_a_sweep_that_is_judged_by_a_loss_and_the_next_one(fits, sweep):
    fits.train("--sweep fine,coarse --sweep-fail-on failed --sweep-arms none")
    check_json("fits_plan", json.loads(sweep("plan fine --arms none --json")), fits.path)
    check_json("fits_refine", json.loads(sweep("refine fine --json")), fits.path)
    for line in ("plan fine", "refine fine"):
        assert not OF_PERF.findall(sweep(line))


# ---- tables -------------------------------------------------------------------------------------

JUDGED = {
    "judged": "scores.csv --baseline before.csv",
    "judged_published": "scores.csv --baseline published --curves curves.csv --success-above 0.4",
    "judged_ends": "scores.csv --curves ends.csv --margin 0.01",
    "judged_needs": "before.csv --reference batch_size=8",
    "judged_loss": "loss.csv --metric loss --direction min --by model --baseline loss_before.csv "
    "--margin 0.05",
    "judged_worse": "before.csv --baseline scores.csv --min-gain 0.08",
    "judged_grid": "grid.csv --reference batch_size=8",
    "judged_grid_refuted": "grid.csv --reference batch_size=4",
    "judged_rising": "rising.csv --before before --after after",
    "judged_constant": "constant.csv",
    "judged_pooled": "models.csv --baseline models_before.csv --by model",
    "judged_accuracy": "accuracy.csv --metric accuracy --direction max --reference width=64",
}


@pytest.mark.parametrize("name", JUDGED)
def test_a_judged_table(sweep, tables, name):
    check_json(name, json.loads(sweep(f"judge {JUDGED[name]} --json")), tables)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("loss", "loss.csv --metric loss --direction min --baseline loss_before.csv"),
        ("scores", JUDGED["judged"]),
        ("needs", JUDGED["judged_needs"]),
        ("accuracy", JUDGED["judged_accuracy"]),
        ("published", JUDGED["judged_published"]),
    ],
)
def test_a_judged_table_as_text(sweep, tables, name, line):
    said = sweep(f"judge {line} --report out")
    check_text(f"{name}_terminal", said, tables)
    check_text(f"{name}_markdown", (tables / "out/report.md").read_text("utf-8"), tables)
    page = (tables / "out/report.html").read_text("utf-8")
    check_text(f"{name}_html", text_of_html(page), tables)


@pytest.mark.parametrize(("name", "status", "fault"), [("gate", 0, 0), ("gate_pages", 1, -4)])
def test_the_last_nights(capsys, tables, name, status, fault):
    write_nights(tables, drawn(23, faulty=3, accuracy=fault))
    line = ["gate", "metrics.json", "--history", "history"]
    assert main([*line, "--json"]) == status
    check_json(name, json.loads(capsys.readouterr().out), tables)
    assert main(line) == status
    check_text(f"{name}_terminal", capsys.readouterr().out, tables)


def test_an_analysis_of_a_table(sweep, tables):
    check_json("analysis_table", json.loads(sweep("analyze scores.csv --json")), tables)


def test_a_next_sweep_after_a_table(sweep, tables):
    check_json("refine_table", json.loads(sweep("refine scores.csv --json")), tables)
