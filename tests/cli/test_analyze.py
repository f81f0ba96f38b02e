"""``sweep analyze``: of a table, of a stored sweep, and of what is neither."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.store import Store
from tests import published_broad
from tests.factories import make_result

pytest_plugins = ["pytester"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    published_broad.write(tmp_path / "runs.csv")
    return "runs.csv"


@pytest.fixture
def trained(sweeps):
    """A project with a sweep of 12 runs in its store."""
    sweeps.write(body="sweep = toy(runs=12, arms=dict(null=2), baseline=None)")
    sweeps.run("--sweep", "toy", "--sweep-fail-on", "failed")
    return sweeps


def data(sweep, line):
    status, out, err = sweep(f"{line} --json")
    assert (status, err) == (0, ""), err
    return json.loads(out)


# ---- a table ------------------------------------------------------------------------------------


def test_a_table_as_json(sweep, table):
    found = data(sweep, f"analyze {table}")
    assert found["said"][0] == "runs.csv: 48 rows of 8 columns, CSV"
    assert found["high_performers"]["count"] == 16
    standings = {one["parameter"]: one["standing"] for one in found["conclusions"]}
    assert [name for name, what in standings.items() if what == "evidence"] == ["batch_size"]
    assert found["conclusions"][1]["text"].startswith("batch_size 8 in 100% of the high performers")


FIGURES = ("verdict", "answer", "estimate", "low", "high", "p_value", "p_holm", "n", "method")


def same_answers(found, report):
    """How many answers on parameters a report and an analysis both have; they must be equal."""
    questions = {one["id"]: one for one in report["questions"]}
    both = [
        (effect[kind], questions[f"{kind}_{effect['parameter']}"])
        for effect in found["effects"]
        for kind in ("matters", "best")
        if f"{kind}_{effect['parameter']}" in questions
    ]
    for ours, theirs in both:
        assert [ours[name] for name in FIGURES] == [theirs[name] for name in FIGURES]
    return len(both)


@pytest.mark.parametrize("more", ["", " --metric delta_perf --direction max"])
def test_nobody_reads_two_answers_of_a_table(sweep, table, more):
    """What `sweep judge` says of a parameter, `sweep analyze` says too, to the last digit."""
    judged = data(sweep, f"judge {table}{more}")
    assert same_answers(data(sweep, f"analyze {table}{more}"), judged) == 12


def test_options_of_the_analysis(sweep, table):
    found = data(sweep, f"analyze {table} --high 0.2 --ranges 1e-7,3e-7,1e-6,2e-6")
    assert found["high_performers"]["threshold"] == 0.2
    assert found["high_performers"]["count"] == sum(
        row["delta_perf"] > 0.2 for row in published_broad.rows()
    )
    assert [row["runs"] for row in found["ranges"]["rows"]] == [19, 19, 10]
    by_size = data(sweep, f"analyze {table} --parameter batch_size")["ranges"]
    assert [row["runs"] for row in by_size["rows"]] == [15, 18, 15]


@pytest.mark.parametrize(
    ("options", "threshold", "rule"),
    [
        ("--direction min --metric loss", None, "best third"),
        ("--direction min --metric loss --high 0.2", 0.2, "above"),
        ("--direction min --metric loss --target 0.5 --high 0.2", 0.2, "above"),
        ("--direction max --metric loss --target 0.5 --high 0.85", 0.85, "above"),
    ],
)
def test_a_plain_metric(sweep, table, options, threshold, rule):
    lines = [f"{lr}e-7,{lr % 3},{0.1 * lr}" for lr in range(1, 10)]
    Path("plain.csv").write_text("\n".join(["learning_rate,kind,loss", *lines]))
    found = data(sweep, f"analyze plain.csv {options}")["high_performers"]
    assert found["rule"] == rule
    assert found["count"] == (3 if threshold is None else 1)
    if threshold is not None:
        assert found["threshold"] == pytest.approx(threshold)


def test_runs_of_other_arms_are_left_out(sweep, table):
    text = Path(table).read_text().splitlines()
    lines = [f"{line},{'arm' if n == 0 else 'main'}" for n, line in enumerate(text)]
    lines += [f"{text[1]},half".replace("broad-00", "half-00")]
    Path("arms.csv").write_text("\n".join(lines))
    status, out, err = sweep("analyze arms.csv")
    assert (status, err) == (0, "")
    assert "arms: 48 runs" in out
    assert out.endswith("Runs of other arms are not analysed: half 1.\n")


# ---- a stored sweep -----------------------------------------------------------------------------


def test_a_declared_sweep_is_read_from_the_store(sweep, trained):
    status, out, err = sweep("analyze toy --high 0.1")
    assert (status, err) == (0, "")
    assert "toy: 12 runs, " in out
    assert "In the null arm, which cannot learn, 0 of 2 are as high." in " ".join(out.split())
    found = data(sweep, "analyze toy")
    assert found["left_out"] == {"batch_size": "the same in every run"}
    assert data(sweep, "analyze toy --runs 6")["runs"] == 6


def test_nobody_reads_two_answers_of_a_sweep(sweep, trained):
    """What a report says of a parameter, whatever the question's id, is what is said here."""
    trained.write(
        body="from harness import best_value, matters\n"
        "sweep = toy(runs=12, arms=dict(null=2), baseline=None, questions=dict("
        "moves=matters('learning_rate'), best=best_value('learning_rate'), "
        "success=success_rate.above(0.5)))"
    )
    report = data(sweep, "report toy")
    found = data(sweep, "analyze toy")
    effects = {one["parameter"]: one for one in found["effects"]}
    questions = {one["id"]: one for one in report["questions"]}
    ours = effects["learning_rate"]["matters"], effects["learning_rate"]["best"]
    theirs = questions["moves"], questions["best"]
    for one, two in zip(ours, theirs, strict=True):
        assert [one[name] for name in FIGURES] == [two[name] for name in FIGURES]


def test_what_is_missing_of_a_sweep_is_said(sweep, trained):
    trained.write(body="sweep = toy(runs=14, arms={}, baseline=None)")
    assert data(sweep, "analyze toy")["said"] == ["INCOMPLETE: 2 of 14 runs have not finished"]


def test_a_stored_sweep_need_not_be_declared(sweep, trained, monkeypatch, tmp_path):
    store = trained.path / ".sweep" / "store.db"
    monkeypatch.chdir(tmp_path)
    found = data(sweep, f"analyze toy --store {store}")
    assert (found["runs"], found["said"]) == (12, [])
    with Store.open(f"sqlite:///{store}") as opened:
        longer = opened.results(sweep="toy", arm="main")[0]
        longer = replace(longer, key="longer", run=replace(longer.run, steps=40))
        opened.save(longer)
        opened.save(make_result(id="toy-x", sweep="toy"))
    found = data(sweep, f"analyze toy --store {store}")
    assert (found["runs"], found["high_performers"]["null"]["runs"]) == (12, 2)
    assert found["said"] == ["2 stored runs of it, trained otherwise, left out"]


# ---- what cannot be analysed --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nosuch.csv", "there is no file nosuch.csv"),
        ("nosuch", "'nosuch' is no table: a table's name ends in .csv, .*; there is no store"),
        ("nosuch --metric loss", "--metric says how a table is read, and 'nosuch' is none"),
        ("runs.csv --runs 4", "--runs chooses runs of the store; a table is read whole"),
        ("runs.csv --ranges 3,1", "--ranges 3,1: 1 does not lie above 3"),
        ("runs.csv --ranges 3", "--ranges 3: two edges make a range"),
        ("runs.csv --ranges 3,x", "'x' is not a number"),
        ("runs.csv --high nan", "'nan' is not a number"),
        ("runs.csv --parameter batchsize", "no such parameter; .*did you mean 'batch_size'?"),
        ("one.csv", "1 run of one has finished with ΔPerf; a pattern takes at least 4"),
        ("same.csv", r"ΔPerf is \+0.2025 in every one of 24 runs of same: a constant"),
        ("failed.csv", "no runs of failed have finished with ΔPerf"),
        (
            "alike.csv",
            "no parameter of alike can be compared: learning_rate: the same in every run",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(sweep, table, line, said):
    rows = [f"{lr}e-7,0.2025,completed" for lr in range(1, 25)]
    Path("one.csv").write_text("\n".join(["lr,delta_perf,status", rows[0]]))
    Path("same.csv").write_text("\n".join(["lr,delta_perf,status", *rows]))
    Path("failed.csv").write_text("\n".join(["lr,delta_perf,status", *(
        row.replace("0.2025,completed", ",failed") for row in rows
    )]))  # fmt: skip
    Path("alike.csv").write_text("\n".join(["lr,delta_perf", *(f"1e-7,0.{i}" for i in range(9))]))
    status, out, err = sweep(f"analyze {line}")
    assert (status, out) == (2, "")
    assert re.search(said, err), err
    assert "Traceback" not in err
    assert len(re.findall("error:", err)) == 1


def test_an_unknown_sweep_names_those_there_are(sweep, trained):
    status, _, err = sweep("analyze tow")
    assert status == 2
    assert "no sweep 'tow' is declared or stored; there are toy; " in err
    assert "did you mean 'toy'?" in err


def test_a_sweep_without_runs_says_how_to_train_it(sweep, sweeps):
    sweeps.write(body="sweep = toy()\nother = toy('other', baseline=None)")
    sweeps.run("--sweep", "other", "--sweep-fail-on", "failed")
    status, out, err = sweep("analyze toy")
    assert (status, out) == (2, "")
    assert err == (
        "sweep: error: no run of sweep 'toy' has finished; train it: "
        "pytest experiments/ --sweep toy\n"
    )
