"""A sweep stops once every question is answered: ``--sweep-until answered``."""

import json

import pytest

from tests.plugin.shared import report

pytest_plugins = ["pytester"]


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
