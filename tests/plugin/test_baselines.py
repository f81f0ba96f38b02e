"""What a sweep is compared with: counts, a table, another sweep."""

import pytest

from tests.plugin.shared import BASE, compared, report
from tests.tables.tables import write_csv

pytest_plugins = ["pytester"]


def test_published_counts_as_a_baseline(sweeps):
    sweeps.write(
        body="""
        sweep = toy(questions=dict(success_vs_baseline=success_rate.above_baseline(),
                                   mean_vs_baseline=mean_gain.above_baseline()))
        """
    )
    sweeps.run("--sweep", "toy", "--sweep-baseline", "published")
    written = report(sweeps, "toy-vs-published")
    assert written["baseline"] == "published"
    verdicts = {q["id"]: q["verdict"] for q in written["questions"]}
    assert verdicts["mean_vs_baseline"] == "unanswerable"
    assert verdicts["success_vs_baseline"] in ("supported", "inconclusive")


def test_a_declared_baseline_that_is_not_there_makes_its_questions_unanswerable(sweeps):
    sweeps.write(body=BASE)
    sweeps.run("--sweep", "toy")
    question = {q["id"]: q for q in report(sweeps)["questions"]}["mean_vs_baseline"]
    assert question["verdict"] == "unanswerable"
    assert any("--sweep base,toy" in need for need in question["needs"])


def test_a_baseline_is_run_beside_or_found_in_the_store(sweeps):
    sweeps.write(body=BASE)
    sweeps.run("--sweep", "base,toy")
    beside = report(sweeps)
    assert {q["id"]: q["verdict"] for q in beside["questions"]}[
        "mean_vs_baseline"
    ] != "unanswerable"
    sweeps.run("--sweep", "toy")
    assert report(sweeps)["questions"] == beside["questions"]


def test_a_baseline_run_beside_must_be_complete(sweeps, monkeypatch):
    sweeps.write(body=BASE)
    result = sweeps.run("--sweep", "base,toy", "-k", "toy-")
    result.stdout.fnmatch_lines(["*not judged: 8 of 8 runs of base missing*"])


def test_a_baseline_that_is_half_done_is_not_judged_against(sweeps):
    sweeps.write(body=BASE)
    sweeps.run("--sweep", "base", "-k", "base-00 or base-01 or base-02")
    result = sweeps.run("--sweep", "toy")
    result.stdout.fnmatch_lines(["*not judged: 5 of 8 runs of base missing*"])


AGAINST = """
sweep = toy(baseline="base", arms={}, questions=dict(
    success_above_half=success_rate.above(0.5), mean_vs_baseline=mean_gain.above_baseline()))
"""


EARLIER = {"passed": 9, "not": 1}  # the eighth run is not needed


@pytest.fixture
def beside_a_table(sweeps, monkeypatch):
    """A sweep beside ``data/runs.csv``, which is worse; ``read`` lists the tables that are read."""
    from harness.tables import runs

    sweeps.write(body=AGAINST)
    (sweeps.path / "data").mkdir()
    rows = [{"run": f"r{i}", "lr": 1e-7, "delta_perf": 0.003 * i} for i in range(12)]
    write_csv(sweeps.path / "data" / "runs.csv", rows)
    sweeps.read = []
    read = runs.read_table
    monkeypatch.setattr(
        runs, "read_table", lambda path, *asked: sweeps.read.append(path) or read(path, *asked)
    )
    return sweeps


@pytest.mark.parametrize("until", ["all", "answered"])
def test_a_table_as_a_baseline_is_read_once_and_told(beside_a_table, until):
    sweeps = beside_a_table
    table = ("--sweep-baseline", "data/runs.csv", "--sweep-until", until)
    result = sweeps.run("--sweep", "toy", *table)
    assert result.ret == 0
    assert result.parseoutcomes() == ({"passed": 10} if until == "all" else EARLIER)
    assert sweeps.read == [str(sweeps.path / "data" / "runs.csv")]
    result.stdout.fnmatch_lines(
        [
            "baseline: runs.csv: 12 rows of 3 columns, CSV",
            "baseline: outcome: ΔPerf, from delta_perf, more is better",
            "baseline: parameters: learning_rate (lr)",
            "*toy and its baseline runs*",
        ]
    )
    written = report(sweeps, "toy-vs-runs")
    assert written["baseline"] == "runs"
    assert written["baseline_read"][0] == "runs.csv: 12 rows of 3 columns, CSV"
    assert compared(sweeps, "toy-vs-runs")["verdict"] == "supported"
    assert not (sweeps.path / ".sweep/reports/toy").exists()
    again = sweeps.run("--sweep", "toy", *table, "--sweep-offline")
    assert again.parseoutcomes() == result.parseoutcomes()
    assert report(sweeps, "toy-vs-runs") == written


def test_a_table_as_a_baseline_has_a_reference_of_its_own(beside_a_table, monkeypatch):
    sweeps = beside_a_table
    table = ("--sweep-baseline", "data/runs.csv")
    sweeps.run("--sweep", "toy", *table)
    from harness.cli import main

    monkeypatch.chdir(sweeps.path / "data")
    assert main(["report", "toy", "--baseline", "runs.csv", "--save-reference"]) == 0
    monkeypatch.chdir(sweeps.path)
    gate = ("--sweep", "toy", "--sweep-fail-on", "regressed", "--sweep-fresh")
    result = sweeps.run(*gate, *table)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*toy-vs-runs/reference.json, which supports 2 of its questions*"])
    monkeypatch.setenv("GAIN", "-0.05")
    result = sweeps.run(*gate, *table)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*regressed, refuted*"])


def test_a_table_that_is_no_baseline_is_refused_before_anything_is_trained(beside_a_table):
    sweeps = beside_a_table
    (sweeps.path / "odd.csv").write_text("run,lr,acc\na,1e-7,0.2\n")
    (sweeps.path / "odd.txt").write_text("run,lr,acc\na,1e-7,0.2\n")
    for given, said in (
        ("odd.csv", "odd.csv has no column delta_perf"),
        ("./odd.txt", "odd.txt cannot be read as a table: a table's name ends in"),
        ("data", "baseline 'data' is not in the store"),
        ("data/run.csv", "did you mean 'runs.csv'?"),
        ("20/19", "at most as many successes as runs"),
    ):
        result = sweeps.run("--sweep", "toy", "--sweep-baseline", given)
        assert result.ret == 4
        (line,) = [x for x in result.stderr.lines if said in x]
        assert line.startswith("ERROR: ")
        assert "Traceback" not in result.stderr.str() + result.stdout.str()
    assert sweeps.trained == []


def test_a_table_is_not_read_where_nothing_is_run(beside_a_table):
    sweeps = beside_a_table
    table = ("--sweep-baseline", "data/runs.csv")
    assert sweeps.run(*table).ret == 5
    assert sweeps.run("--sweep", "toy", *table, "--collect-only").ret == 0
    assert sweeps.read == []


def test_runs_of_two_declarations_of_a_baseline_are_never_pooled(sweeps):
    base = "base = toy('base', questions={{}}, arms={{}}, runs={}, seed={})"
    sweeps.write(body=BASE.replace('base = toy("base", questions={}, arms={})', ""))
    estimates = []
    for runs, seed in ((8, 5), (9, 6)):
        sweeps.write(file="test_base", body=base.format(runs, seed))
        sweeps.run("--sweep", "base,toy")
        estimates.append(compared(sweeps)["estimate"])
    assert estimates[0] != estimates[1]
    # The runs of seed 6 are more, and those of seed 5 are what is declared.
    sweeps.write(file="test_base", body=base.format(8, 5))
    sweeps.run("--sweep", "toy")
    assert compared(sweeps)["estimate"] == estimates[0]
    sweeps.run("--sweep", "toy", "--ignore", "experiments/test_base.py")
    assert compared(sweeps)["n"] == 8 + 9, "not 8 + 8 + 9"


def test_the_baseline_most_like_this_session_counts(sweeps):
    sweeps.write(body=BASE)
    sweeps.run("--sweep", "base")
    sweeps.run("--sweep", "base", "--sweep-steps", "4")
    sweeps.run("--sweep", "toy", "--sweep-steps", "4")
    codes = {finding["code"] for finding in report(sweeps, "toy-smoke")["audit"]}
    assert "mixed_conditions" not in codes
    trainer = sweeps.path / "experiments" / "toy_trainer.py"
    trainer.write_text(trainer.read_text() + "# another version\n")
    sweeps.run("--sweep", "toy")
    findings = {f["code"]: f["message"] for f in report(sweeps)["audit"]}
    assert "trainer version" in findings["mixed_conditions"]
