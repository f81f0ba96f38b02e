"""Sessions of sweeps with several seeds: what is trained, in which order, and what is judged."""

import csv
import json
import re

import pytest

import harness
from harness.store import Store
from tests.plugin.shared import report

pytest_plugins = ["pytester"]

BODY = """
space = dict(learning_rate=LogUniform(1e-7, 1e-6), batch_size=8, rank=Uniform(1, 2))
sweep = toy(seeds={seeds}, runs={runs}, space=space,
            questions=dict(half=success_rate.above(0.5), rate=best_inside("learning_rate"),
                           batch=no_worse("batch_size", 8, than=(4,))),
            arms=dict(placebo=1, batch_size=Pairs(3, values=(4,))))
"""


def write(sweeps, seeds=3, runs=8):
    sweeps.write(body=BODY.format(seeds=seeds, runs=runs))


def test_more_seeds_train_only_what_is_new(sweeps):
    write(sweeps, seeds=1, runs=5)
    sweeps.run("--sweep", "toy")
    first = sweeps.trained
    write(sweeps, seeds=2, runs=5)
    sweeps.run("--sweep", "toy")
    new = sweeps.trained[len(first) :]
    assert len(new) == 5 + 3
    assert all(id_.endswith("-r1") for id_ in new)
    data = report(sweeps)
    assert data["complete"]
    assert [len(run["seeds"]) for run in data["runs"] if run["arm"] == "main"] == [2] * 5
    changed = {f["message"].split()[0] for f in data["audit"] if f["code"] == "post_hoc"}
    assert changed == {"half"}
    sweeps.run("--sweep", "toy", "--sweep-seeds", "1")
    assert len(sweeps.trained) == len(first) + len(new)
    assert all("seeds" not in run for run in report(sweeps, "toy-smoke")["runs"])


def test_all_first_seeds_are_trained_first_and_can_be_judged_alone(sweeps, sweep):
    write(sweeps, seeds=2, runs=4)
    sweeps.run("--sweep", "toy")
    ids = sweeps.trained
    assert [id_.endswith("-r1") for id_ in ids] == [False] * 8 + [True] * 7
    out = sweep("report toy --seeds 1")[1]
    assert "SCALED DOWN: 4 of 4 runs, 20 of 20 steps, 1 of 2 seeds" in " ".join(out.split())
    data = report(sweeps, "toy-smoke")
    assert data["scaled_down"]
    assert [f["message"] for f in data["audit"] if f["code"] == "scaled_down"] == [
        "each config is judged by 1 seed, 2 declared: the means of more seeds vary less"
    ]
    assert {q["id"]: q["n"] for q in data["questions"]}["half"] == 4


def test_a_failed_seed_is_named_and_its_config_waits(sweeps, monkeypatch):
    write(sweeps, seeds=2, runs=4)
    monkeypatch.setenv("MODE_3", "fails")
    result = sweeps.run("--sweep", "toy")
    data = report(sweeps, "toy-smoke")
    half = next(q for q in data["questions"] if q["id"] == "half")
    assert (half["verdict"], half["reason"]) == ("not judged", "2 of 8 runs missing (2 failed)")
    assert [run["id"][-2:] for run in data["runs"] if run["status"] == "failed"][1] == "r1"
    result.stdout.fnmatch_lines(["*runs 03; r1 03*"])


def test_what_is_exported_is_judged_alike(sweeps, sweep):
    write(sweeps, seeds=3, runs=12)
    sweeps.run("--sweep", "toy")
    status, out, _ = sweep("export toy --to runs.csv --curves curves.csv")
    assert (status, "wrote 46 runs" in out) == (0, True)
    with (sweeps.path / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["seed"] for row in rows if row["arm"] == "main"}) == 36
    judged = json.loads(
        sweep("judge runs.csv --curves curves.csv --reference batch_size=8 --json")[1]
    )
    theirs = {q["id"]: q for q in judged["questions"]}
    ours = {q["id"]: q for q in report(sweeps)["questions"]}
    figures = ("verdict", "estimate", "low", "high", "p_value", "n")
    for one, other in (("half", "success_above_half"), ("batch", "batch_size")):
        assert {name: ours[one][name] for name in figures} == {
            name: theirs[other][name] for name in figures
        }, one
    assert ours["rate"]["n"] == 12
    assert judged["seeds"] == report(sweeps)["seeds"]
    assert len([run for run in judged["runs"] if run["arm"] == "main"]) == 12
    loaded = harness.load("toy", library="records")
    assert sorted(run["run"] for run in loaded.runs) == sorted(row["run"] for row in rows)
    assert {point["run"] for point in loaded.curves} == {row["run"] for row in rows}
    first = harness.load("toy", library="records", seeds=1)
    assert (len(first.runs), first.data["seeds"]) == (16, None)
    with pytest.raises(harness.UsageError, match="seeds=0 is not a whole number of at least 1"):
        harness.load("toy", seeds=0)


@pytest.mark.slow
def test_the_verbs_speak_of_configs_and_seeds(sweeps, sweep):
    write(sweeps, seeds=3)
    plan = json.loads(sweep("plan toy --json")[1])
    assert plan["cost"]["runs"] == len(plan["runs"]) == 3 * (8 + 3) + 1
    assert {(p["question"], p["n"]) for p in plan["power"]} >= {("half", 8), ("rate", 8)}
    text = " ".join(sweep("plan toy")[1].split())
    assert text.startswith("toy: 8 configs with 3 seeds each of 20 steps, random sample, seed 3")
    assert "Each is trained with 3 seeds" in text
    assert "with 8 configs, " in text
    assert "duplicate_config" not in text
    sweeps.run("--sweep", "toy")
    said = " ".join(sweep("analyze toy")[1].split())
    assert "8 configurations in 24 runs" in said
    assert re.search(r"Between configs SD [\d.]+ \([\d.]+ to [\d.]+\), between seeds SD", said)
    assert json.loads(sweep("analyze toy --json")[1])["seeds"]["configs"] == 8
    listed = " ".join(sweep("list")[1].split())
    assert "sweep runs steps seeds arms" in listed
    shown = " ".join(sweep("report toy")[1].split())
    assert "8 configs in 24 runs; a config counts once, by the mean of its seeds (3 each)." in shown
    assert "Seed by seed" in shown
    for name in ("md", "html"):
        page = (sweeps.path / f".sweep/reports/toy/report.{name}").read_text()
        assert "between seeds SD" in page
        assert "-r2" in page
    refined = sweep("refine toy")[1]
    assert "seeds=3" in refined
    runs = json.loads(sweep("runs toy --json")[1])["runs"]
    assert sum(run["id"].endswith("-r2") for run in runs) == 11


def test_a_baseline_with_another_number_of_seeds(sweeps, sweep):
    sweeps.write(
        body="""
        asked = dict(mean=mean_gain.above_baseline(), rate=success_rate.above_baseline())
        base = toy("base", questions={}, arms={}, seeds=2)
        sweep = toy(baseline="base", questions=asked, arms={}, seeds=3)
        """
    )
    sweeps.run("--sweep", "toy,base")
    questions = {q["id"]: q for q in report(sweeps)["questions"]}
    assert questions["mean"]["verdict"] != "unanswerable"
    assert "3 repeats a configuration against 2 repeats" in questions["rate"]["reason"]
    data = json.loads(sweep("report toy --json")[1])  # of which the baseline is stored
    assert {q["id"]: q for q in data["questions"]} == questions


def test_answered_sweeps_train_config_by_config(sweeps):
    sweeps.write(
        body="""
        sweep = toy(seeds=2, runs=24, arms={}, questions=dict(half=success_rate.above(0.5)))
        """
    )
    sweeps.run("--sweep", "toy", "--sweep-until", "answered")
    ids = sweeps.trained
    assert 2 < len(ids) < 48
    assert all(second == f"{first}-r1" for first, second in zip(ids[::2], ids[1::2], strict=False))
    (half,) = [q for q in report(sweeps)["questions"] if q["id"] == "half"]
    assert half["decided"]["planned"] == 24
    assert half["n"] == half["decided"]["runs"] == len(ids) // 2
    with Store.open(str(sweeps.path / ".sweep/store.db"), create=False, read_only=True) as store:
        repeats = [result.run.repeat for result in store.results("toy", arm="main")]
    assert sorted(repeats) == [0] * (len(ids) // 2) + [1] * (len(ids) // 2)


def test_bad_numbers_of_seeds_are_one_line(sweeps):
    sweeps.write(body="sweep = toy(seeds=0)")
    result = sweeps.run("--sweep", "toy")
    text = "\n".join(result.outlines + result.errlines)
    assert "sweep 'toy': seeds is 0; expected a whole number of at least 1" in text
    assert "Traceback" not in text
    sweeps.write()
    result = sweeps.run("--sweep", "toy", "--sweep-seeds", "0")
    assert "'0' is not a whole number of at least 1" in "\n".join(result.errlines)
