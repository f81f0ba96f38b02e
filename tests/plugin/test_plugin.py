import json
import re
import sqlite3
from dataclasses import replace

import pytest

from tests.tables.tables import write_csv

pytest_plugins = ["pytester"]


def report(sweeps, name="toy", folder=".sweep/reports"):
    return json.loads((sweeps.path / folder / name / "report.json").read_text())


def test_a_sweep_is_trained_judged_and_reported(sweeps):
    sweeps.write()
    result = sweeps.run("--sweep", "toy", "-v")
    result.assert_outcomes(passed=12)
    assert len(sweeps.trained) == len(set(sweeps.trained)) == 11
    result.stdout.fnmatch_lines(
        [
            "*sweep toy: 11 runs of up to 20 steps, 0 in the store*",
            "*test_run?toy-00-lr*PASSED*",
            "*test_run?toy-placebo-00-lr0*PASSED*",
            "*test_question?toy-success_above_half?*PASSED*",
            "*sweep toy*",
        ]
    )
    written = report(sweeps)
    assert written["complete"] is True
    assert written["scaled_down"] is False
    assert len(written["runs"]) == 11
    verdicts = {q["id"]: q["verdict"] for q in written["questions"]}
    assert verdicts["success_above_half"] == "supported"
    assert (sweeps.path / ".sweep/reports/toy/report.md").exists()


def test_a_second_session_trains_nothing(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy")
    first, before = report(sweeps), list(sweeps.trained)
    result = sweeps.run("--sweep", "toy")
    result.assert_outcomes(passed=12)
    result.stdout.fnmatch_lines(["*11 in the store*"])
    assert sweeps.trained == before
    assert report(sweeps) == first


def test_without_a_sweep_the_experiments_are_deselected_and_offered(sweeps):
    sweeps.write()
    result = sweeps.run()
    result.assert_outcomes(deselected=12)
    result.stdout.fnmatch_lines(["*toy: 8 runs of 20 steps and 3 in arms*"])
    assert sweeps.trained == []
    assert not (sweeps.path / ".sweep").exists()


def test_other_tests_run_beside_a_sweep_and_without(sweeps):
    sweeps.write(body="sweep = toy()\ndef test_plain(): pass")
    sweeps.run().assert_outcomes(passed=1, deselected=12)
    sweeps.run("--sweep", "toy").assert_outcomes(passed=13)


def test_only_the_chosen_sweep_runs(sweeps):
    sweeps.write(body="a = toy('a', runs=5, arms={})\nb = toy('b', runs=5, arms={})")
    result = sweeps.run("--sweep", "b")
    result.assert_outcomes(passed=6, deselected=6)
    assert all(run.startswith("b-") for run in sweeps.trained)


def test_names_need_no_fixtures_where_no_sweep_is_defined(sweeps):
    (sweeps.path / "experiments").mkdir()
    (sweeps.path / "experiments" / "test_x.py").write_text("def test_x(run): pass\n")
    sweeps.run().stdout.fnmatch_lines(["*fixture 'run' not found*"])


# ---- when questions are judged ------------------------------------------------------------------

NOT_JUDGED = "*not judged: {} of 8 runs missing*"


def test_a_question_alone_is_not_judged_before_its_runs_are_there(sweeps):
    sweeps.write()
    result = sweeps.run("--sweep", "toy", "-k", "test_question")
    assert result.ret == 0
    assert sweeps.trained == []
    result.stdout.fnmatch_lines([NOT_JUDGED.format(8), "*1 not judged*"])
    assert report(sweeps, "toy-smoke")["complete"] is False


def test_a_question_alone_is_judged_from_the_store(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy")
    result = sweeps.run("--sweep", "toy", "-k", "test_question")
    result.assert_outcomes(passed=1, deselected=11)


def test_questions_first_wait_for_the_runs_selected(sweeps):
    sweeps.write()
    (sweeps.path / "experiments" / "conftest.py").write_text(
        "def pytest_collection_modifyitems(items):\n"
        "    items.sort(key=lambda item: 'test_question' not in item.name)\n"
    )
    result = sweeps.run("--sweep", "toy", "-v")
    result.assert_outcomes(passed=12)
    first = next(line for line in result.outlines if "::" in line)
    assert "test_question" in first


def test_selected_runs_alone_are_trained(sweeps):
    sweeps.write()
    result = sweeps.run("--sweep", "toy", "-k", "toy-00 or toy-01 or test_question")
    assert sorted(run[:6] for run in sweeps.trained) == ["toy-00", "toy-01"]
    result.stdout.fnmatch_lines([NOT_JUDGED.format(6)])


def test_marks_select_too(sweeps):
    sweeps.write(
        body="""
        import pytest
        sweep = toy()
        test_run = pytest.mark.heavy(test_run)
        """
    )
    sweeps.pytester.makeini("[pytest]\nmarkers = heavy\n")
    sweeps.run("--sweep", "toy", "-m", "not heavy").stdout.fnmatch_lines([NOT_JUDGED.format(8)])
    assert sweeps.trained == []


def test_stopping_at_the_first_failure_reports_what_is_done(sweeps, monkeypatch):
    monkeypatch.setenv("MODE_2", "fails")
    sweeps.write()
    result = sweeps.run("--sweep", "toy", "-x")
    assert result.ret == 1
    result.assert_outcomes(passed=2, failed=1)
    assert report(sweeps, "toy-smoke")["complete"] is False


def test_last_failed_runs_again_only_what_failed(sweeps, monkeypatch):
    monkeypatch.setenv("MODE_2", "fails")
    sweeps.write()
    sweeps.run("--sweep", "toy").assert_outcomes(passed=10, failed=1)
    monkeypatch.delenv("MODE_2")
    before = len(sweeps.trained)
    sweeps.run("--sweep", "toy", "--lf")
    assert [run[:6] for run in sweeps.trained[before:]] == ["toy-02"]


def test_collect_only_trains_nothing_and_writes_nothing(sweeps):
    sweeps.write()
    result = sweeps.run("--sweep", "toy", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["*test_question?toy-success_above_half?"])
    assert sweeps.trained == []
    assert not (sweeps.path / ".sweep").exists()


def test_plain_asserts_on_a_sweep_s_runs(sweeps):
    sweeps.write(
        body="""
        sweep_under_test = toy()
        def test_all_gain(sweep):
            assert sweep.name == "toy"
            assert all(r.outcome.delta_perf >= 0 for r in sweep.runs) and len(sweep.runs) == 11
        """
    )
    sweeps.run("--sweep", "toy").assert_outcomes(passed=13)
    result = sweeps.run("--sweep", "toy", "-k", "test_all_gain", "--sweep-fresh")
    result.stdout.fnmatch_lines(["*1 not judged*"])


# ---- how runs end -------------------------------------------------------------------------------


def test_a_failed_run_fails_its_item_in_one_line_and_is_tried_again(sweeps, monkeypatch):
    monkeypatch.setenv("MODE_1", "fails")
    sweeps.write()
    result = sweeps.run("--sweep", "toy")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*toy-01-*: failed: RuntimeError: the disk of the GPU is on fire*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.fnmatch_lines(["*not judged: 1 of 8 runs missing (1 failed)*"])
    monkeypatch.delenv("MODE_1")
    before = len(sweeps.trained)
    assert sweeps.run("--sweep", "toy").ret == 0
    assert [run[:6] for run in sweeps.trained[before:]] == ["toy-01"]


def test_a_worker_that_dies_costs_its_own_run_only(sweeps, monkeypatch):
    monkeypatch.setenv("MODE_1", "exits")
    sweeps.write()
    result = sweeps.run("--sweep", "toy", executor="local")
    result.assert_outcomes(passed=10, failed=1)
    result.stdout.fnmatch_lines(["*toy-01-*: crashed*"])


def test_a_diverged_run_is_final_and_of_its_own_category(sweeps, monkeypatch):
    monkeypatch.setenv("MODE_1", "diverges")
    sweeps.write()
    result = sweeps.run("--sweep", "toy", "-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*toy-01-*DIVERGED*", "*1 diverged*"])
    run = next(r for r in report(sweeps)["runs"] if r["id"].startswith("toy-01"))
    assert (run["status"], run["delta_perf"], len(run["curve"])) == ("diverged", None, 1)
    before = len(sweeps.trained)
    assert sweeps.run("--sweep", "toy", "--sweep-fail-on", "diverged").ret == 1
    assert len(sweeps.trained) == before


# ---- options ------------------------------------------------------------------------------------


def test_arms_can_be_left_out_or_chosen(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy", "--sweep-arms", "none").assert_outcomes(passed=9)
    assert len(sweeps.trained) == 8
    sweeps.run("--sweep", "toy", "--sweep-arms", "placebo").assert_outcomes(passed=10)
    assert len(sweeps.trained) == 9


def test_fewer_runs_are_the_first_of_the_sample_and_say_so(sweeps):
    sweeps.write()
    result = sweeps.run("--sweep", "toy", "--sweep-runs", "3")
    result.assert_outcomes(passed=6, skipped=0)
    small = report(sweeps, "toy-smoke")
    assert small["scaled_down"] is True
    assert not (sweeps.path / ".sweep/reports/toy").exists()
    assert "scaled_down" in {finding["code"] for finding in small["audit"]}
    before = list(sweeps.trained)
    sweeps.run("--sweep", "toy")
    assert len(sweeps.trained) == 11
    assert sweeps.trained[: len(before)] == before


def test_a_sweep_can_be_enlarged(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy", "--sweep-arms", "none")
    sweeps.run("--sweep", "toy", "--sweep-arms", "none", "--sweep-runs", "10")
    assert len(sweeps.trained) == len(set(sweeps.trained)) == 10


def test_fewer_steps_scale_the_curve(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy", "--sweep-steps", "4", "--sweep-arms", "none")
    small = report(sweeps, "toy-smoke")
    assert small["scaled_down"] is True
    assert [point["step"] for point in small["runs"][0]["curve"]] == [0, 1, 2, 3, 4]


def test_offline_judges_what_is_stored_and_trains_nothing(sweeps):
    sweeps.write()
    result = sweeps.run("--sweep", "toy", "--sweep-offline")
    assert result.ret == 4
    assert "there is no store at" in result.stderr.str()
    assert not (sweeps.path / ".sweep").exists()
    sweeps.run("--sweep", "toy", "--sweep-arms", "none")
    result = sweeps.run("--sweep", "toy", "--sweep-offline")
    result.stdout.fnmatch_lines(["*3 not trained*"])
    assert len(sweeps.trained) == 8
    sweeps.run("--sweep", "toy")
    sweeps.run("--sweep", "toy", "--sweep-offline").assert_outcomes(passed=12)
    assert len(sweeps.trained) == 11


def test_fresh_trains_again(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy")
    sweeps.run("--sweep", "toy", "--sweep-fresh").assert_outcomes(passed=12)
    assert len(sweeps.trained) == 22


EARLY = ("--sweep", "toy", "--sweep-until", "answered")
LARGE = "sweep = toy(runs=24, arms=dict(placebo=24))"


def test_a_sweep_stops_once_it_is_answered_and_says_so(sweeps):
    sweeps.write(body=LARGE)
    result = sweeps.run(*EARLY, "-v")
    assert result.ret == 0
    assert len(sweeps.trained) == 2 * 17 - 1
    result.assert_outcomes(passed=2 * 17, skipped=0)
    result.stdout.fnmatch_lines(
        [
            "*48 runs of up to 20 steps, 0 in the store, trained until all is answered*",
            "*test_run?toy-*NOT NEEDED*",
            "*ANSWERED EARLY: 33 of 48 runs; the other 15 were not needed, which*",
            "0.* s of training*",
            "*15 not needed*",
        ]
    )
    written = report(sweeps)
    early = {"trained": 33, "planned": 48, "not_needed": 15, "seconds_saved": 0.15}
    assert written["answered_early"] == pytest.approx(early)
    assert (written["complete"], written["missing"], len(written["runs"])) == (True, [], 33)
    question = written["questions"][0]
    assert question["verdict"] == "supported"
    assert question["decided"] == {
        "by": "curtailment",
        "runs": 17,
        "planned": 24,
        "look": None,
        "looks": None,
        "alpha": None,
    }
    trained = list(sweeps.trained)
    assert sweeps.run(*EARLY).ret == 0
    assert (sweeps.trained, report(sweeps)) == (trained, written)
    sweeps.run(*EARLY, "--sweep-offline").stdout.fnmatch_lines(["*15 not needed*"])
    assert report(sweeps) == written
    sweeps.run("--sweep", "toy").assert_outcomes(passed=49)
    assert len(sweeps.trained) == len(set(sweeps.trained)) == 48
    whole = report(sweeps)
    assert whole["answered_early"] is None
    assert (whole["questions"][0]["n"], whole["questions"][0]["decided"]) == (24, None)


def test_fewer_runs_are_answered_by_fewer(sweeps):
    sweeps.write(body="sweep = toy(runs=24, arms={})")
    result = sweeps.run(*EARLY, "--sweep-runs", "20")
    assert len(sweeps.trained) == 15
    result.stdout.fnmatch_lines(["*SCALED DOWN: 20 of 24 runs*", "*ANSWERED EARLY: 15 of 20 runs*"])
    assert report(sweeps, "toy-smoke")["questions"][0]["decided"]["planned"] == 20


def test_a_report_of_an_answered_sweep_is_made_again_as_it_was(sweeps, monkeypatch, capsys):
    from harness.cli import main

    sweeps.write(body="sweep = toy(runs=24, arms={})")
    sweeps.run(*EARLY)
    written = report(sweeps)
    monkeypatch.chdir(sweeps.path)
    assert main(["report", "toy", "--until", "answered", "--save-reference"]) == 0
    assert report(sweeps) == written
    kept = sweeps.path / ".sweep/reports/toy/reference.json"
    assert json.loads(kept.read_text()) == written
    capsys.readouterr()
    assert main(["report", "toy", "--save-reference"]) == 2
    error = capsys.readouterr().err
    assert "sweep 'toy' is no reference yet (7 of 24 runs missing" in error
    assert json.loads(kept.read_text()) == written
    assert main(["report", "toy", "--until", "answerd"]) == 2
    assert "did you mean 'answered'?" in capsys.readouterr().err


def test_a_run_that_is_not_needed_is_skipped_with_its_reason(sweeps):
    sweeps.write(body="sweep = toy(runs=24, arms={})")
    sweeps.run(*EARLY, "--junit-xml", "junit.xml")
    xml = (sweeps.path / "junit.xml").read_text()
    assert xml.count(": not needed, every question of toy is answered without it") >= 7
    assert 'skipped="7"' in xml
    assert 'name="sweep.decided" value="17 of 24 in, and the others cannot change it"' in xml


def test_asserts_on_a_sweep_that_is_answered_see_what_was_trained(sweeps):
    sweeps.write(
        body="""
        answered = toy(runs=24, arms={})
        def test_all(sweep):
            assert len(sweep.runs) == 17
        """
    )
    sweeps.run(*EARLY).assert_outcomes(passed=17 + 2)


def test_workers_train_what_is_in_flight_and_no_more(sweeps):
    sweeps.write(body="sweep = toy(runs=24, arms={})")
    result = sweeps.run(*EARLY, "--sweep-workers", "3", executor="local")
    assert result.ret == 0
    assert 17 <= len(sweeps.trained) <= 19
    assert report(sweeps)["questions"][0]["verdict"] == "supported"


def test_the_local_executor_gives_the_same_report(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy", executor="inline")
    inline = report(sweeps)
    options = ("--sweep", "toy", "--sweep-fresh", "--sweep-workers", "3")
    sweeps.run(*options, executor="local").assert_outcomes(passed=12)
    strip = ("seconds", "device")
    for written in (inline, local := report(sweeps)):
        for run in written["runs"]:
            for name in strip:
                run.pop(name, None)
    assert inline["runs"] == local["runs"]
    assert inline["questions"] == local["questions"]


def test_a_run_that_takes_too_long_is_stopped(sweeps):
    sweeps.write(
        body="""
        import time
        def slow(job, notify):
            if job.run.index == 1:
                time.sleep(60)
            return trainer(job, notify)
        sweep = toy(trainer=slow, runs=3, arms={})
        """
    )
    result = sweeps.run("--sweep", "toy", "--sweep-timeout", "1.5", executor="local")
    result.stdout.fnmatch_lines(["*toy-01-*: timeout*"])
    assert result.ret == 1


def test_store_and_report_can_lie_elsewhere(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy", "--sweep-store", "sqlite:///else.db", "--sweep-report", "out")
    assert (sweeps.path / "else.db").exists()
    assert report(sweeps, folder="out")["sweep"] == "toy"
    assert not (sweeps.path / ".sweep/store.db").exists()


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


BASE = """
base = toy("base", questions={}, arms={})
sweep = toy(baseline="base", questions=dict(mean_vs_baseline=mean_gain.above_baseline()), arms={})
"""


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
    monkeypatch.setattr(runs, "read_table", lambda path: sweeps.read.append(path) or read(path))
    return sweeps


@pytest.mark.parametrize("until", ["all", "answered"])
def test_a_table_as_a_baseline_is_read_once_and_told(beside_a_table, until):
    sweeps = beside_a_table
    table = ("--sweep-baseline", "data/runs.csv", "--sweep-until", until)
    result = sweeps.run("--sweep", "toy", *table)
    assert result.ret == 0
    assert result.parseoutcomes() == ({"passed": 10} if until == "all" else EARLIER)
    assert sweeps.read == [sweeps.path / "data" / "runs.csv"]
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


def compared(sweeps, name="toy"):
    return {q["id"]: q for q in report(sweeps, name)["questions"]}["mean_vs_baseline"]


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


def test_a_changed_question_stays_so_whatever_is_run_in_between(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy")
    sweeps.write(body="sweep = toy(questions=dict(success_above_half=success_rate.above(0.25)))")
    sweeps.run("--sweep", "toy", "--sweep-runs", "1", "--sweep-steps", "4", "--sweep-arms", "none")
    sweeps.run("--sweep", "toy")
    assert "post_hoc" in {finding["code"] for finding in report(sweeps)["audit"]}


def test_a_space_written_otherwise_is_the_same_sweep(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy")
    space = "space=dict(learning_rate=LogUniform(1e-7, 1e-6), batch_size=Choice(8))"
    sweeps.write(body=f"sweep = toy({space})")
    sweeps.run("--sweep", "toy").stdout.fnmatch_lines(["*11 in the store*"])
    assert "post_hoc" not in {finding["code"] for finding in report(sweeps)["audit"]}


def test_fresh_keeps_what_a_failing_run_would_replace(sweeps, monkeypatch):
    sweeps.write()
    sweeps.run("--sweep", "toy")
    monkeypatch.setenv("MODE_1", "fails")
    sweeps.run("--sweep", "toy", "--sweep-fresh")
    monkeypatch.delenv("MODE_1")
    sweeps.run("--sweep", "toy", "--sweep-offline").assert_outcomes(passed=12)


def test_the_whole_report_is_kept_from_lesser_ones(sweeps):
    sweeps.write(body=BASE)
    sweeps.run("--sweep", "base,toy")
    whole = report(sweeps)
    sweeps.run("--sweep", "base,toy", "-k", "toy-", "--sweep-fresh")
    assert report(sweeps) == whole
    sweeps.write(body="sweep = toy()")
    sweeps.run("--sweep", "toy", "--sweep-store", "other.db")
    whole = report(sweeps)
    sweeps.run("--sweep", "toy", "--sweep-store", "other.db", "--sweep-arms", "none")
    assert report(sweeps) == whole


def test_a_store_that_cannot_be_written_at_the_end_is_one_line(sweeps, monkeypatch):
    sweeps.write()
    from harness.errors import StoreError
    from harness.store import Store

    def locked(self, result, *, fresh=False):
        raise StoreError("the store is locked by another process")

    monkeypatch.setattr(Store, "save", locked)
    result = sweeps.run("--sweep", "toy")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*sweep: error: results of this session could not be saved*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert "Traceback" not in result.stderr.str()


def test_results_lost_after_the_last_item_fail_the_session(sweeps, monkeypatch):
    sweeps.write()
    from harness.errors import StoreError
    from harness.session.session import SweepSession

    def full(self):
        raise StoreError("the disk is full")

    monkeypatch.setattr(SweepSession, "stop", full)
    result = sweeps.run("--sweep", "toy")
    result.assert_outcomes(passed=12)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*could not be saved: the disk is full*"])


def test_ids_as_long_as_they_come_have_a_log(sweeps):
    names = ", ".join(f"a_parameter_with_a_long_name_{i}=Choice('{'x' * 20}')" for i in range(12))
    sweeps.write(body=f"sweep = toy(runs=5, space=dict(learning_rate=1e-6, {names}), arms={{}})")
    sweeps.run("--sweep", "toy", executor="local").assert_outcomes(passed=6)


def test_an_error_in_another_file_need_not_stop_a_sweep(sweeps):
    sweeps.write()
    (sweeps.path / "experiments" / "test_broken.py").write_text("1 / 0\n")
    assert sweeps.run("--sweep", "toy").ret == 2
    result = sweeps.run("--sweep", "toy", "--continue-on-collection-errors")
    result.assert_outcomes(passed=12, errors=1)


def test_what_fails_is_for_the_user_to_say(sweeps, monkeypatch):
    monkeypatch.setenv("GAIN", "-0.05")
    sweeps.write(body="sweep = toy(arms={})")
    assert sweeps.run("--sweep", "toy").ret == 1
    result = sweeps.run("--sweep", "toy", "--sweep-fail-on", "failed", "-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*REFUTED*", "*1 refuted*"])
    monkeypatch.setenv("GAIN", "0")
    assert sweeps.run("--sweep", "toy", "--sweep-fresh").ret == 0
    assert sweeps.run("--sweep", "toy", "--sweep-fail-on", "inconclusive").ret == 1


# ---- what has regressed -------------------------------------------------------------------------

GATE = ("--sweep", "toy", "--sweep-fail-on", "regressed")
GATED = "sweep = toy(arms={}, runs=12)"


@pytest.fixture
def gated(sweeps, monkeypatch):
    """A sweep that gains 0.1, with its report kept as the reference."""
    sweeps.write(body=GATED)
    sweeps.run("--sweep", "toy")
    monkeypatch.chdir(sweeps.path)
    from harness.cli import main

    assert main(["report", "toy", "--save-reference"]) == 0
    return sweeps


def test_what_the_reference_had_shown_and_is_gone_fails(gated, monkeypatch):
    result = gated.run(*GATE)
    assert result.ret == 0
    kept = ".sweep/reports/toy/reference.json"
    result.stdout.fnmatch_lines([f"*compared with {kept}, which supports 1 of its questions*"])
    before = report(gated)["reference"]
    assert before["path"].endswith(kept)
    (question,) = before["questions"]
    assert (question["now"], question["regressed"]) == ("supported", False)
    monkeypatch.setenv("GAIN", "0.01")
    result = gated.run(*GATE, "--sweep-fresh", "--junit-xml", "junit.xml")
    assert result.ret == 1
    result.assert_outcomes(passed=12, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*regressed, *: *; the reference supports it (yes: 12 of 12 (100%) *more than their*",
            "*REGRESSED: success_above_half*",
        ]
    )
    question = report(gated)["reference"]["questions"][0]
    assert question["regressed"] is True
    assert question["p_value"] <= question["level"] == 0.005
    xml = (gated.path / "junit.xml").read_text()
    assert 'name="sweep.regressed" value="True"' in xml
    assert gated.run(*GATE[:2], "--sweep-reference", kept, "--sweep-fail-on", "none").ret == 0
    assert report(gated)["reference"]["questions"][0]["regressed"] is True
    assert gated.run("--sweep", "toy", "--sweep-fail-on", "failed").ret == 0
    assert report(gated)["reference"] is None


def test_what_is_refuted_and_had_not_been_shown_before_is_no_regression(gated, monkeypatch):
    monkeypatch.setenv("GAIN", "-0.05")
    gated.run("--sweep", "toy", "--sweep-fresh")
    from harness.cli import main

    assert main(["report", "toy", "--save-reference"]) == 0
    result = gated.run(*GATE)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*which supports 0 of its questions*", "*1 refuted*"])
    assert gated.run(*GATE[:3], "regressed,refuted").ret == 1


def test_what_is_within_noise_is_said_and_does_not_fail(gated, monkeypatch):
    body = (
        "sweep = toy(arms={}, runs=12, questions=dict(success_above_half=success_rate.above(0.5)))"
    )
    gated.write(body=body)
    path = gated.path / ".sweep/reports/toy/reference.json"
    data = json.loads(path.read_text())
    data["runs"] = [run | {"delta_perf": run["delta_perf"] - 0.1} for run in data["runs"]]
    path.write_text(json.dumps(data))
    monkeypatch.setenv("GAIN", "0")
    result = gated.run(*GATE, "--sweep-fresh", "--junit-xml", "junit.xml")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*differ by no more than their noise*"])
    assert "no more than their noise" in (gated.path / "junit.xml").read_text()


def test_a_reference_is_asked_for_before_anything_is_trained(sweeps):
    sweeps.write(body=GATED)
    bad = sweeps.path / "bad.json"
    bad.write_text("{}")
    for options, said in (
        ((), "no reference of sweep 'toy' at "),
        (("--sweep-reference", "nowhere.json"), "there is no reference "),
        (("--sweep-reference", "bad.json"), "is JSON, but no report of a sweep"),
    ):
        result = sweeps.run(*GATE, *options)
        assert result.ret == 4
        text = result.stderr.str() + result.stdout.str()
        assert said in text
        assert "Traceback" not in text
    assert sweeps.trained == []
    assert not (sweeps.path / ".sweep").exists()


def test_a_reference_is_of_the_steps_and_sweep_that_are_run(gated):
    path = ".sweep/reports/toy/reference.json"
    result = gated.run(*GATE, "--sweep-reference", path, "--sweep-steps", "4")
    assert result.ret == 4
    assert "is of 20 steps, and this sweep trains 4" in result.stderr.str()
    result = gated.run(*GATE, "--sweep-steps", "4")
    assert "toy-smoke/reference.json" in result.stderr.str()
    gated.write(file="test_too", body="other = toy('other', arms={})")
    result = gated.run("--sweep", "other", *GATE[2:], "--sweep-reference", path)
    assert "is of sweep 'toy'; expected one of other" in result.stderr.str()


def test_junit_carries_each_item_s_figures(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy", "--junit-xml", "junit.xml")
    xml = (sweeps.path / "junit.xml").read_text()
    assert re.search(r'name="sweep.delta_perf" value="0\.', xml)
    assert re.search(r'name="sweep.verdict" value="supported"', xml)
    assert re.search(r'name="sweep.config.learning_rate"', xml)


def test_a_changed_question_is_reported_as_post_hoc(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy")
    assert "post_hoc" not in {finding["code"] for finding in report(sweeps)["audit"]}
    sweeps.write(body="sweep = toy(questions=dict(success_above_half=success_rate.above(0.25)))")
    sweeps.run("--sweep", "toy")
    assert len(sweeps.trained) == 11
    assert "post_hoc" in {finding["code"] for finding in report(sweeps)["audit"]}


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sweep", "tyo"], "no sweep 'tyo' was collected; did you mean 'toy'?"),
        (["--sweep", ","], "names nothing"),
        (["--sweep", "toy", "--sweep-arms", "placbo"], "did you mean 'placebo'?"),
        (["--sweep", "toy", "--sweep-runs", "0"], "'0' is not a whole number of at least 1"),
        (["--sweep", "toy", "--sweep-steps", "0"], "'0' is not a whole number of at least 1"),
        (["--sweep", "toy", "--sweep-workers", "two"], "'two' is not a whole number"),
        (["--sweep", "toy", "--sweep-timeout", "-1"], "'-1' is not a number of seconds above 0"),
        (
            ["--sweep", "toy", "--sweep-memory", "4"],
            "'4' is not an amount of memory; give a number",
        ),
        (
            ["--sweep", "toy", "--sweep-gpus", "0"],
            "'0' is neither a number of GPUs, at least 1, nor",
        ),
        (["--sweep", "toy", "--sweep-gpus", "a,b"], "'a,b' is neither a number of GPUs"),
        (["--sweep", "toy", "--sweep-per-gpu", "2"], "--sweep-per-gpu 2 needs --sweep-gpus"),
        (
            ["--sweep", "toy", "--sweep-gpus", "1", "--sweep-device", "cpu"],
            "--sweep-device cpu names another device; give one of them",
        ),
        (
            ["--sweep", "toy", "--sweep-gpus", "1", "--sweep-executor", "inline"],
            "--sweep-executor inline has none",
        ),
        (["--sweep", "toy", "--sweep-threads", "0"], "'0' is not a whole number of at least 1"),
        (["--sweep", "toy", "--sweep-baseline", "brod"], "baseline 'brod' is not in the store"),
        (["--sweep", "toy", "--sweep-fail-on", "refutd"], "did you mean 'refuted'?"),
        (["--sweep", "toy", "--sweep-executor", "lokal"], "did you mean 'local'?"),
        (
            ["--sweep", "toy", "--sweep-ray-address", "auto"],
            "--sweep-ray-address auto is for --sweep-executor ray, not inline: give",
        ),
        (["--sweep", "toy", "--sweep-precision", "float8"], "'float8' is not one of float32"),
        (["--sweep", "toy", "--sweep-device", "gpu"], "'gpu' is not auto, cpu, cuda or cuda:N"),
        (["--sweep", "toy", "--sweep-offline", "--sweep-fresh"], "give one of them"),
        (["--sweep", "toy", "--sweep-until", "answerd"], "did you mean 'answered'?"),
        (["--sweep", "toy", "--sweep-store", "/proc/nowhere/store.db"], "/proc/nowhere"),
    ],
)
def test_a_bad_option_is_one_line_and_a_usage_error(sweeps, options, said):
    sweeps.write()
    result = sweeps.run(*options)
    assert result.ret == 4
    text = result.stderr.str() + result.stdout.str()
    assert said in text
    assert "Traceback" not in text
    assert sweeps.trained == []


GRPO = """
space = dict(learning_rate=LogUniform(1e-7, 1e-6), batch_size=8, generations=4)
sweep = toy(trainer=None, space=space, arms={})
"""


@pytest.mark.parametrize(
    ("body", "options", "said"),
    [
        (GRPO, ["--sweep-backend", "trch"], "backend 'trch' is not one of auto, torch, jax; did"),
        (GRPO.replace("arms", "task='adition', arms"), [], "did you mean 'addition'?"),
        (GRPO.replace("generations=4", "generations=1"), [], "generations is 1; expected a whole"),
        (GRPO.replace("generations=4", "generation=4"), [], "did you mean 'generations'?"),
        (GRPO.replace(", generations=4", ""), [], "a config of GRPO needs generations"),
    ],
)
def test_what_the_trainer_cannot_train_is_refused_before_it_begins(
    sweeps, monkeypatch, body, options, said
):
    monkeypatch.setattr("harness.training.backends._installed", lambda module: True)
    sweeps.write(body=body)
    result = sweeps.run("--sweep", "toy", *options)
    assert result.ret == 4
    assert said in result.stderr.str()
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_a_backend_that_is_not_installed_comes_with_the_line_that_installs_it(sweeps, monkeypatch):
    monkeypatch.setattr("harness.training.backends._installed", lambda module: False)
    sweeps.write(body=GRPO)
    for options, extra in (
        ([], "torch"),
        ([], "jax"),
        (["--sweep-backend", "torch"], "torch"),
        (["--sweep-backend", "jax"], "jax"),
    ):
        result = sweeps.run("--sweep", "toy", *options)
        assert result.ret == 4
        assert f'pip install "pytest-sweep[{extra}]"' in result.stderr.str()
    result = sweeps.run("--sweep", "toy", "--sweep-offline")
    assert "there is no store at" in result.stderr.str()


# ---- backends -----------------------------------------------------------------------------------


@pytest.fixture
def two_backends(sweeps, monkeypatch):
    """Have toys in the place of both backends' trainers; sweeps without a trainer use them."""
    from harness.training import backends

    trainer = f"{sweeps.path}/experiments/toy_trainer.py:trainer"
    toys = {name: replace(of, trainer=trainer) for name, of in backends.BACKENDS.items()}
    monkeypatch.setattr(backends, "BACKENDS", toys)
    monkeypatch.setattr(backends, "_installed", lambda module: True)
    sweeps.write(
        body="""
        space = dict(learning_rate=LogUniform(1e-7, 1e-6), batch_size=8, generations=16)
        harness = dict(trainer=None, space=space, arms={})
        base = toy("base", questions={}, **harness)
        sweep = toy(baseline="base", **harness,
                    questions=dict(mean_vs_baseline=mean_gain.above_baseline()))
        """
    )
    return sweeps


def test_what_auto_chose_is_said_once(two_backends):
    result = two_backends.run("--sweep", "base,toy")
    said = "sweep: backend torch (auto; jax is installed too), device auto, float32"
    assert [line for line in result.outlines if "(auto" in line] == [said]
    result = two_backends.run("--sweep", "toy", "--sweep-backend", "jax", "--sweep-device", "cpu")
    assert "sweep: backend jax, device cpu, float32" in result.outlines
    assert report(two_backends)["conditions"]["backend"] == "jax"


def test_a_sweep_with_a_function_of_its_own_names_no_backend(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy").stdout.no_fnmatch_line("*backend*device*")


def test_a_baseline_of_another_backend_is_compared_and_said_to_be(two_backends):
    two_backends.run("--sweep", "base", "--sweep-backend", "torch")
    result = two_backends.run("--sweep", "toy", "--sweep-backend", "jax")
    assert "sweep toy: 8 runs of up to 20 steps, 0 in the store" in result.outlines
    answer, needs = (compared(two_backends)[name] for name in ("answer", "needs"))
    assert answer.startswith("not like for like (backend jax against torch): ")
    assert not any("--sweep base" in need for need in needs)
    findings = {f["code"]: f["message"] for f in report(two_backends)["audit"]}
    assert "backend jax against torch" in findings["mixed_conditions"]
    assert "--sweep base,toy --sweep-backend jax" in findings["mixed_conditions"]
    assert {run["backend"] for run in report(two_backends)["runs"]} == {"jax"}


def test_a_whole_baseline_of_this_backend_goes_before_one_of_another(two_backends):
    jax = ("--sweep-backend", "jax")
    two_backends.run("--sweep", "base")
    two_backends.run("--sweep", "base", "-k", "base-00 or base-01", *jax)
    two_backends.run("--sweep", "toy", *jax)
    assert compared(two_backends)["answer"].startswith("not like for like (backend jax against t")
    assert compared(two_backends)["n"] == 8 + 8
    two_backends.run("--sweep", "base", *jax)
    two_backends.run("--sweep", "toy", *jax)
    assert "not like for like" not in compared(two_backends)["answer"]
    assert "mixed_conditions" not in {f["code"] for f in report(two_backends)["audit"]}


def test_a_baseline_run_beside_is_of_the_same_backend(two_backends):
    two_backends.run("--sweep", "base", "--sweep-backend", "torch")
    result = two_backends.run("--sweep", "base,toy", "--sweep-backend", "jax")
    said = "sweep base: 8 runs of up to 20 steps, 0 in the store (8 more by torch, not counted)"
    assert said in result.outlines
    assert len(two_backends.trained) == 3 * 8
    assert "mixed_conditions" not in {f["code"] for f in report(two_backends)["audit"]}


def test_what_is_needed_is_asked_for_by_the_same_backend(two_backends):
    options = ["--sweep-backend", "jax", "--sweep-precision", "bfloat16"]
    two_backends.run("--sweep", "toy", *options)
    needs = compared(two_backends)["needs"]
    assert needs == [f"pytest experiments/ --sweep base,toy {' '.join(options)}"]
    two_backends.run("--sweep", "base", "-k", "base-00", *options)
    two_backends.run("--sweep", "toy", *options)
    question = report(two_backends, "toy-smoke")["questions"][0]
    assert question["answer"] == "not judged: 7 of 8 runs of base missing"
    assert question["needs"] == needs
    two_backends.run("--sweep", "toy", "-k", "test_question")
    question = report(two_backends, "toy-smoke")["questions"][0]
    assert question["needs"] == ["pytest experiments/ --sweep toy"]


@pytest.mark.torch
def test_a_device_that_is_not_here_is_refused_before_training(sweeps):
    sweeps.write(body=GRPO)
    result = sweeps.run_apart("--sweep", "toy", "--sweep-device", "cuda:93")
    assert result.ret == 4
    assert "device 'cuda:93' is not here; this machine has cpu" in result.stderr.str()


@pytest.mark.jax
def test_jax_is_asked_for_a_device_in_another_process(sweeps):
    sweeps.write(body=GRPO)
    options = ["--sweep-backend", "jax", "--sweep-device", "tpu:93"]
    result = sweeps.run_apart("--sweep", "toy", *options)
    assert result.ret == 4
    assert "device 'tpu:93' is not here; this machine has cpu" in result.stderr.str()


@pytest.mark.torch
@pytest.mark.slow
def test_precision_and_device_reach_the_trainer(sweeps):
    body = GRPO.replace("space=space", "space=space, runs=1, steps=2, questions={}")
    sweeps.write(body=body)
    options = ["--sweep-precision", "bfloat16", "--sweep-device", "cpu", "--sweep-backend", "torch"]
    sweeps.run_apart("--sweep", "toy", *options).assert_outcomes(passed=1, skipped=1)
    written = report(sweeps)
    assert written["conditions"]["precision"] == "bfloat16"
    assert written["runs"][0]["backend"] == "torch"
    assert written["runs"][0]["device"].startswith("cpu")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sweep = toy(space=dict(learning_rate=LogUniform(2, 1)))", "the lower end must be below"),
        ("sweep = toy(space=dict(learning_rate=-1.0))", "-1.0 is not above zero"),
        (
            "sweep = toy(space=dict(x=Choice(1, 2, weights=(1,))), arms={})",
            "2 options but 1 weight",
        ),
        ("a = toy()\nb = toy()", "sweep 'toy' is declared"),
        ("sweep = toy(questions=dict(q=best_inside('lr')))", "names the parameter 'lr'"),
        ("sweep = toy(runs=0)", "runs is 0"),
    ],
)
def test_a_bad_sweep_is_one_line_with_its_place(sweeps, body, said):
    sweeps.write(body=body)
    result = sweeps.run("--sweep", "toy")
    assert result.ret in (2, 4)
    text = result.stdout.str() + result.stderr.str()
    assert said in text
    assert "Traceback" not in text
    assert "experiments/test_toy.py" in text or "test_toy.py" in text
    assert sweeps.trained == []


def test_a_duplicate_in_another_file_is_named(sweeps):
    sweeps.write()
    sweeps.write(file="test_too")
    result = sweeps.run("--sweep", "toy")
    assert result.ret in (2, 4)
    text = result.stdout.str() + result.stderr.str()
    assert "sweep 'toy' is declared in test_too.py and in test_toy.py: rename one" in text


def test_a_latin_hypercube_cannot_be_enlarged(sweeps):
    sweeps.write(body="sweep = toy(sampler='latin_hypercube')")
    result = sweeps.run("--sweep", "toy", "--sweep-runs", "9")
    assert result.ret in (2, 4)
    assert "sample of 8 runs cannot be enlarged to 9" in result.stdout.str() + result.stderr.str()


def test_a_store_that_is_no_database_is_named(sweeps):
    sweeps.write()
    (sweeps.path / "broken.db").write_text("not a database at all" * 100)
    result = sweeps.run("--sweep", "toy", "--sweep-store", "sqlite:///broken.db")
    assert result.ret == 4
    assert "broken.db" in result.stderr.str()
    assert sweeps.trained == []


def test_a_run_that_cannot_be_read_is_named_before_any_is_trained(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy")
    trained = sweeps.trained
    with sqlite3.connect(sweeps.path / ".sweep/store.db") as connection:
        for key, *_ in connection.execute("SELECT key FROM sweep_outcomes LIMIT 1").fetchall():
            connection.execute("DELETE FROM sweep_outcomes WHERE key = ?", (key,))
        connection.execute("UPDATE sweep_outcomes SET trace = x'00'")
    connection.close()
    result = sweeps.run("--sweep", "toy")
    assert result.ret == 4
    said = result.stderr.str()
    assert "the store is damaged: the run with key " in said
    assert "restore it from a copy, or name another store" in said
    assert "Traceback" not in said + result.stdout.str()
    assert sweeps.trained == trained


# ---- lightness ----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [["--help"], ["--collect-only", "--sweep", "toy"]])
def test_help_and_collection_import_nothing_heavy(sweeps, options):
    sweeps.write()
    (sweeps.path / "conftest.py").write_text(
        "import atexit, sys\n"
        "heavy = {'torch', 'jax', 'ray', 'scipy', 'sqlalchemy', 'tabulate', 'jinja2', 'rich'}\n"
        "atexit.register(lambda: print('HEAVY', sorted(heavy & set(sys.modules))))\n"
    )
    result = sweeps.run_apart("-s", *options)
    assert result.ret == 0
    assert "HEAVY []" in result.stdout.str()
