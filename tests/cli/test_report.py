"""``sweep report``: a report on what is stored."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.plugin.declared import discover
from harness.store import Store
from harness.sweeps.plan import Selection, plan
from tests.cli.helpers import data
from tests.factories import make_result
from tests.tables.tables import write_csv

ROOT = Path(__file__).parents[2]
pytest_plugins = ["pytester"]


# ---- report -------------------------------------------------------------------------------------


def test_report(sweep, trained):
    status, out, err = sweep("report toy")
    assert (status, err) == (0, "")
    assert out.startswith("Answers: supported success_above_half (")
    assert "\n\ntoy: 1 supported\n" in out
    assert sweep("report toy --brief")[1] == out.split("\n\n")[0] + "\n"
    assert "report: " in out.splitlines()[-1]
    folder = trained.path / ".sweep" / "reports" / "toy"
    written = json.loads((folder / "report.json").read_text("utf-8"))
    assert written == data(sweep, "report toy")
    assert len(written["runs"]) == 11


def test_report_agrees_with_that_of_the_session(sweep, trained):
    path = trained.path / ".sweep" / "reports" / "toy" / "report.json"
    assert json.loads(path.read_text("utf-8")) == data(sweep, "report toy")


def test_report_goes_where_it_is_sent(sweep, trained):
    assert sweep("report toy --report out")[0] == 0
    assert sorted(path.name for path in Path("out/toy").iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]
    Path("file").write_text("")
    status, _, err = sweep("report toy --report file")
    assert status == 2
    assert err.startswith("sweep: error: cannot write the report to file")


def test_a_report_on_less_is_marked_and_kept_apart(sweep, trained):
    status, out, _ = sweep("report toy --runs 2 --arms none")
    assert status == 0
    assert out.startswith("SCALED DOWN: 2 of 8 runs, 20 of 20 steps; ")
    assert (trained.path / ".sweep" / "reports" / "toy-smoke").is_dir()
    report = data(sweep, "report toy --steps 10")
    assert (report["scaled_down"], report["complete"]) == (True, False)


def test_a_whole_report_removes_that_of_a_part_and_nothing_else(sweep, trained):
    smoke = trained.path / ".sweep" / "reports" / "toy-smoke"
    sweep("report toy --runs 2 --arms none")
    (smoke / "reference.json").write_text("{}")
    out = sweep("report toy")[1]
    assert f"removed: the report in {smoke}, of a part of this sweep" in out
    assert [path.name for path in smoke.iterdir()] == ["reference.json"]
    assert "removed" not in sweep("report toy")[1]
    (smoke / "report.json").write_text('{"sweep": "toy-smoke"}')  # a sweep of that name
    assert "removed" not in sweep("report toy")[1]
    assert (smoke / "report.json").exists()


def test_strict_is_for_claims_that_are_refuted(sweep, declared, monkeypatch):
    monkeypatch.setenv("GAIN", "-0.05")
    declared.run("--sweep", "toy", "--sweep-fail-on", "failed")
    assert sweep("report toy")[0] == 0
    status, out, _ = sweep("report toy --strict")
    assert status == 1
    assert "refuted" in out


def test_strict_has_nothing_against_what_is_supported(sweep, trained):
    assert sweep("report toy --strict")[0] == 0


def test_report_beside_another_baseline(sweep, trained):
    assert data(sweep, "report toy")["baseline"] == "wide"
    assert data(sweep, "report toy --baseline published")["baseline"] == "published"
    status, _, err = sweep("report toy --baseline none_such")
    assert status == 2
    assert "baseline 'none_such' is not in the store, which has toy, wide" in err


def test_report_beside_a_table_or_counts(sweep, trained, monkeypatch):
    rows = [{"run": f"r{i}", "lr": 1e-7, "steps": 50, "delta_perf": 0.01 * i} for i in range(9)]
    (trained.path / "data").mkdir()
    write_csv(trained.path / "data" / "old runs.csv", rows)
    monkeypatch.chdir(trained.path / "data")
    status, out, err = sweep("report toy --baseline '../data/old runs.csv'")
    assert (status, err) == (0, "")
    folder = trained.path / ".sweep" / "reports" / "toy-vs-old_runs"
    for text in (out, *(folder.joinpath(f"report.{form}").read_text() for form in ("md", "html"))):
        told = " ".join(text.split())
        assert "toy and its baseline old runs" in told
        assert "The baseline is a table. old runs.csv: 9 rows of 4 columns, CSV; outcome" in told
    found = data(sweep, "report toy --baseline 'old runs.csv'")
    assert found["baseline"] == "old runs"
    assert "parameters: learning_rate (lr)" in found["baseline_read"]
    (mixed,) = [
        finding["message"]
        for finding in found["audit"]
        if finding["code"] == "mixed_conditions" and "not like for like" in finding["message"]
    ]
    assert "not like for like: 20 steps against 50; a difference" in mixed
    assert data(sweep, "report toy --baseline 6/19")["baseline"] == "6/19"
    assert (trained.path / ".sweep" / "reports" / "toy-vs-6_19" / "report.md").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("old.csv", "there is no file old.csv; did you mean 'odd.csv'?"),
        ("odd.csv", "odd.csv has no column delta_perf"),
        ("./odd.txt", "there is no file odd.txt"),
        ("20/19", "at most as many successes as runs"),
    ],
)
def test_report_beside_no_table_is_one_line(sweep, trained, given, said):
    (trained.path / "odd.csv").write_text("run,lr,acc\na,1e-7,0.2\n")
    status, out, err = sweep(f"report toy --baseline {given}")
    assert (status, out) == (2, "")
    assert err.startswith("sweep: error: ")
    assert said in err
    assert err.count("\n") == 1


def test_report_says_whose_runs_it_looked_up(sweep, monkeypatch, tmp_path, both_installed):
    monkeypatch.chdir(tmp_path)
    focused = discover([ROOT / "experiments"])["focused"]
    planned = plan(focused, Selection(backend="jax"), trains=False)
    with Store.open("s.db") as store:
        for key, run in list(planned.runs.items())[:2]:
            store.save(replace(make_result(key=key), run=run, conditions=planned.conditions))
    line = f"report focused --experiments {ROOT / 'experiments'} --store s.db --report out"
    out = sweep(line)[1].split("\n\n")[-1]
    said = "backend torch (auto; jax is installed too), float32 (2 more by jax, not counted)"
    assert " ".join(out.split()).startswith(f"runs looked up: {said} report: ")
    assert "\nruns looked up: backend jax, float32\n" in sweep(f"{line} --backend jax")[1]
    assert json.loads(sweep(f"{line} --json")[1])["sweep"] == "focused"


def test_the_verbs_of_a_job_add_to_its_summary(sweep, trained, monkeypatch):
    file = trained.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    sweep("report toy")
    sweep("report toy --json")
    assert file.read_text().count("**toy: ") == 1
    assert "- Report: .sweep/reports/toy\n" in file.read_text()
    sweep("export toy --to toy.csv")
    sweep("judge toy.csv")
    assert "Report: " not in file.read_text().split("- Report: .sweep/reports/toy\n")[1]
    assert file.read_text().count("\n**toy: ") == 1
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(trained.path))
    status, out, err = sweep("report toy --json")
    assert status == 0
    assert json.loads(out)["sweep"] == "toy"
    assert err.startswith("sweep: warning: no summary of this job: ")
