"""pytest's section of failures, where several runs failed for one reason."""

import re

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def failing(sweeps, monkeypatch):
    for index in (1, 2, 5):
        monkeypatch.setenv(f"MODE_{index}", "fails")
    sweeps.write()
    return sweeps


def section(result):
    text = result.stdout.str()
    return text.split("= FAILURES =")[1].split("= sweep toy =")[0]


LINE = "3 runs failed: RuntimeError: the disk of the GPU is on fire (runs 01, 02, 05)"


@pytest.mark.parametrize(
    "options", [(), pytest.param(("-n", "2"), marks=pytest.mark.slow)], ids=["alone", "xdist"]
)
def test_a_reason_is_shown_once_with_its_traceback_and_its_logs(failing, options):
    result = failing.run("--sweep", "toy", *options)
    said = section(result)
    assert said.count("the disk of the GPU is on fire") == 3  # in words, in the code, in its error
    assert LINE in said
    assert said.count("Traceback (most recent call last)") == 1
    assert "/harness/" not in said
    assert "toy_trainer.py" in said
    assert re.search(r"3 logs in \.sweep/logs, the first toy-0\d-.*\.log", said)
    assert len(re.findall("^FAILED .* - 3 runs faile", result.stdout.str(), re.MULTILINE)) == 1
    result.stdout.fnmatch_lines(["*3 failed, 8 passed, 1 not judged*"])


def test_verbose_has_each_run_as_well(failing):
    result = failing.run("--sweep", "toy", "-v")
    assert section(result).count(": failed: RuntimeError: the disk") == 2
    assert len(re.findall("^FAILED ", result.stdout.str(), re.MULTILINE)) == 3


def test_the_style_of_tracebacks_is_the_user_s(failing):
    line = section(failing.run("--sweep", "toy", "--tb", "line"))
    assert line.splitlines()[1:-1] == [LINE]
    assert "= FAILURES =" not in failing.run("--sweep", "toy", "--tb", "no").stdout.str()


def test_one_run_has_its_log_and_another_failure_is_left_alone(sweeps, monkeypatch):
    monkeypatch.setenv("MODE_1", "fails")
    sweeps.write(body="sweep = toy()\n\ndef test_mine():\n    assert 1 == 2")
    said = section(sweeps.run("--sweep", "toy"))
    assert re.search("toy-01-.* failed: RuntimeError: the disk of the GPU is on fire\n", said)
    assert re.search(r"\nlog: \.sweep/logs/toy-01-.*\.log\n", said)
    assert "assert 1 == 2" in said


def test_runs_that_diverge_are_one_too_where_they_fail(sweeps, monkeypatch):
    for index in (1, 4):
        monkeypatch.setenv(f"MODE_{index}", "diverges")
    sweeps.write()
    said = section(sweeps.run("--sweep", "toy", "--sweep-fail-on", "diverged"))
    assert said.count("loss is nan") == 1
    assert "2 runs diverged: loss is nan (runs 01, 04)" in said
