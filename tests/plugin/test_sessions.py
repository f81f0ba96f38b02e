"""Sweeps are collected, trained, judged and reported; how runs end."""

import sys

import pytest

from tests.conftest import ROOT
from tests.plugin.shared import report

pytest_plugins = ["pytester"]


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


def test_a_failed_run_fails_its_item_with_its_own_traceback_and_is_tried_again(sweeps, monkeypatch):
    monkeypatch.setenv("MODE_1", "fails")
    sweeps.write()
    result = sweeps.run("--sweep", "toy")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*toy-01-* failed: RuntimeError: the disk of the GPU is on fire*"])
    result.stdout.fnmatch_lines(["Traceback *", "*/toy_trainer.py*", "RuntimeError: the disk *"])
    result.stdout.no_fnmatch_line("*/harness/*")
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
    result.stdout.fnmatch_lines(["*toy-01-* crashed*"])


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


NOTEBOOK = """
import signal, pytest
numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
before = [signal.getsignal(number) for number in numbers]
options = ["-p", "harness.plugin", "experiments", "--sweep", "toy", "--sweep-executor", "inline"]
status = pytest.main(options)
print("status", int(status), [signal.getsignal(number) for number in numbers] == before)
"""


def test_signal_handlers_are_put_back(sweeps, monkeypatch):
    """A notebook that ran a session goes on, and its next Ctrl-C interrupts a cell."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    sweeps.write(
        body="""
        import signal
        def interrupted(job, notify):
            handled = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)]
            assert all(getattr(one, "__name__", "") == "_interrupt" for one in handled), handled
            raise KeyboardInterrupt
        sweep = toy(trainer=interrupted, arms={})
        """
    )
    result = sweeps.pytester.run(sys.executable, "-c", NOTEBOOK)
    assert result.outlines[-1] == f"status {int(pytest.ExitCode.INTERRUPTED)} True"


@pytest.mark.parametrize(
    "option",
    [
        "--fixtures",
        "--fixtures-per-test",
        "--collect-only",
        "--markers",
        "--setup-plan",
        "--setup-only",
        "--cache-show",
        "--version",
        "--help",
    ],
)
def test_nothing_is_reported_where_no_test_is_called(sweeps, option):
    sweeps.write()
    result = sweeps.run("--sweep", "toy", option)
    assert result.ret == 0
    assert not (sweeps.path / ".sweep").exists()
    assert "sweep toy" not in result.stdout.str()


def test_the_report_of_a_part_goes_when_the_whole_sweep_is_in(sweeps):
    sweeps.write()
    smoke = sweeps.path / ".sweep/reports/toy-smoke"
    said = sweeps.run("--sweep", "toy", "--sweep-runs", "3").stdout.str()
    assert sorted(path.name for path in smoke.iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]
    assert "removed" not in said
    result = sweeps.run("--sweep", "toy")
    result.stdout.fnmatch_lines(["removed: the report in .sweep/reports/toy-smoke, of a part *"])
    assert not smoke.exists()


@pytest.mark.parametrize(
    "options", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)], ids=["alone", "xdist"]
)
def test_a_job_of_github_actions_has_a_summary_once(sweeps, monkeypatch, options):
    file = sweeps.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    sweeps.write()
    sweeps.run("--sweep", "toy", *options)
    text = file.read_text()
    assert text.startswith("**toy: 1 supported**\n\n- **Answers**: supported success")
    assert "\n- **supported** success" in text
    assert text.count("- Report: .sweep/reports/toy\n") == 1
    sweeps.run("--sweep", "toy", "--collect-only")
    assert file.read_text() == text


def test_a_summary_that_cannot_be_written_loses_nothing(sweeps, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(sweeps.path))
    sweeps.write()
    result = sweeps.run("--sweep", "toy")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["sweep: warning: no summary of this job: *cannot be written*"])
    assert report(sweeps)["complete"] is True
