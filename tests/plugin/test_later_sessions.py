"""What a session makes of earlier ones, and what it keeps and reports at its end."""

import re
from xml.etree import ElementTree

import pytest

from tests.plugin.shared import BASE, report

pytest_plugins = ["pytester"]


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


def test_junit_carries_each_item_s_figures(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy", "--junit-xml", "junit.xml")
    xml = (sweeps.path / "junit.xml").read_text()
    assert re.search(r'name="sweep.delta_perf" value="0\.', xml)
    assert re.search(r'name="sweep.verdict" value="supported"', xml)
    assert re.search(r'name="sweep.config.learning_rate"', xml)
    assert 'name="sweep.id" value="toy-success_above_half"' in xml
    assert 'name="sweep.question" value="success_above_half"' in xml
    assert xml.count('name="sweep.sweep" value="toy"') == 12  # 11 runs and a question


@pytest.mark.parametrize(
    "options", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)], ids=["alone", "xdist"]
)
def test_junit_s_suite_has_the_answer(sweeps, options):
    sweeps.write()
    sweeps.run("--sweep", "toy", "--junit-xml", "junit.xml", *options)
    suite = ElementTree.parse(sweeps.path / "junit.xml").getroot()[0]
    found = {one.get("name"): one.get("value") for one in suite.find("properties")}
    assert found["sweep.summary.toy.answers"].startswith("supported success_above_half (")
    assert len(suite.findall("testcase")) == 12
    assert int(suite.get("tests")) == 12


def test_a_changed_question_is_reported_as_post_hoc(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy")
    assert "post_hoc" not in {finding["code"] for finding in report(sweeps)["audit"]}
    sweeps.write(body="sweep = toy(questions=dict(success_above_half=success_rate.above(0.25)))")
    sweeps.run("--sweep", "toy")
    assert len(sweeps.trained) == 11
    assert "post_hoc" in {finding["code"] for finding in report(sweeps)["audit"]}
