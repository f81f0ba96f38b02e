"""A reference report, and what had been shown there and is gone."""

import json

import pytest

from tests.plugin.shared import report

pytest_plugins = ["pytester"]


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
            "*regressed, *: *; the reference supports it (yes: 12 of 12 (100%) *difference in*",
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
    result.stdout.fnmatch_lines(["*is not beyond*"])
    assert "not beyond the gate's level" in (gated.path / "junit.xml").read_text()


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
