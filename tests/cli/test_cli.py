"""The command: its help, its usage, `sweep list`, and how it prints to terminals and pipes."""

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.cli import common
from tests.cli.helpers import data

ROOT = Path(__file__).parents[2]
pytest_plugins = ["pytester"]


# ---- help and usage -----------------------------------------------------------------------------


def parsers():
    top = cli.parser()
    yield "", top
    (verbs,) = [a for a in top._actions if isinstance(a, argparse._SubParsersAction)]
    assert [choice.dest for choice in verbs._choices_actions] == list(cli.VERBS)
    assert all(choice.help for choice in verbs._choices_actions)
    yield from verbs.choices.items()


@pytest.mark.parametrize(("name", "parser"), list(parsers()))
def test_every_verb_and_every_option_has_help(name, parser):
    assert parser.description
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            assert action.help, action
            assert action.help != argparse.SUPPRESS, action


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_takes_json_and_prints_its_help(sweep, verb):
    status, out, _ = sweep(f"{verb} --help")
    assert status == 0
    assert "--json" in out


def test_the_version(sweep):
    status, out, _ = sweep("--version")
    assert status == 0
    assert re.fullmatch(r"pytest-sweep \d+\.\d+\.\d+\n", out)


@pytest.mark.parametrize("line", ["", "no_such_verb", "plan", "report", "plan toy --runs 0",
                                  "plan toy --steps x", "plan toy --arms ,", "list --nonsense",
                                  "runs --status happy", "plan toy --jso"])  # fmt: skip
def test_bad_usage_is_status_2(sweep, declared, line):
    status, out, err = sweep(line)
    assert (status, out) == (2, "")
    assert "error:" in err
    assert "Traceback" not in err


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom harness import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'sqlalchemy', 'torch', 'jax', 'ray', 'tabulate', 'jinja2', "
        "'pytest', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stderr == "[]\n"


# ---- list ---------------------------------------------------------------------------------------


def test_list(sweep, declared):
    status, out, _ = sweep("list")
    assert status == 0
    assert re.search(r"^toy +8 +20 +placebo 1, batch_size 2 +wide +1$", out, re.MULTILINE)
    assert re.search(r"^wide +4 +20 +none +none +0$", out, re.MULTILINE)


def test_list_as_json(sweep, declared):
    toy, wide = data(sweep, "list")["sweeps"]
    assert toy == {
        "sweep": "toy",
        "runs": 8,
        "steps": 20,
        "seeds": 1,
        "arms": {"placebo": 1, "batch_size": 2},
        "baseline": "wide",
        "questions": ["success_above_half"],
        "file": "experiments/test_toy.py",
    }
    assert wide["baseline"] is None


def test_list_of_nothing(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    assert sweep("list") == (0, f"{common.NONE_DECLARED}\n", "")
    _, _, said = sweep("plan mine")
    assert "no sweep 'mine'" in said
    assert "--experiments PATH" in said


def test_experiments_are_where_they_are_said_to_be(sweep, declared):
    Path("experiments").rename("elsewhere")
    assert len(data(sweep, "list")["sweeps"]) == 2, "pytest looks in every folder"
    assert len(data(sweep, "list --experiments elsewhere")["sweeps"]) == 2
    (declared.path / "more").mkdir()
    (declared.path / "more" / "test_c.py").write_text(
        "from harness import Sweep\nc = Sweep('c', runs=1, steps=1, space=dict(x=1))"
    )
    line = "list --experiments elsewhere --experiments more/test_c.py"
    assert [row["sweep"] for row in data(sweep, line)["sweeps"]] == ["toy", "wide", "c"]


def test_the_root_is_found_from_below(sweep, declared, monkeypatch):
    monkeypatch.chdir(declared.path / "experiments")
    assert len(data(sweep, "list")["sweeps"]) == 2


# ---- terminals and pipes ------------------------------------------------------------------------


def terminal(monkeypatch, **environment):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)


def test_colour_only_on_a_terminal_that_wants_it(sweep, trained, monkeypatch):
    assert "\033" not in sweep("report toy")[1]
    terminal(monkeypatch)
    assert "\033[" in sweep("report toy")[1]
    terminal(monkeypatch, NO_COLOR="1")
    assert "\033" not in sweep("report toy")[1]
    terminal(monkeypatch, TERM="dumb")
    assert "\033" not in sweep("report toy")[1]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_everything_fits_the_terminal(sweep, trained, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for line in ("list", "plan toy", "runs", "report toy"):
        out = sweep(line)[1].split("\nreport: ")[0]
        assert max(map(len, out.splitlines())) <= width, line


def test_a_reader_that_leaves_is_no_error(trained):
    command = f"{shlex.quote(sys.executable)} -m harness.cli runs --json | true"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, env=environment, check=False
    )
    assert done.stderr == ""


def test_an_error_in_a_sweep_file_is_one_line(sweep, declared):
    (declared.path / "experiments" / "test_bad.py").write_text("# Sweep\n1 / 0\n")
    said = "not read: experiments/test_bad.py:2: ZeroDivisionError: division by zero\n"
    status, out, err = sweep("list")
    assert (status, "toy" in out, err) == (0, True, said)
    status, out, err = sweep("plan nothing")
    assert (status, out) == (2, "")
    assert err.endswith(said)


# ---- whatever it prints to -----------------------------------------------------------------------


def printed(declared, line, **variables):
    """Return status, stdout and stderr, as bytes, of the command in a shell."""
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m harness.cli {line}",
        shell=True,
        cwd=declared.path,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_an_encoding_without_our_characters_gets_others(declared):
    file = declared.path / "experiments" / "test_c.py"
    file.write_text(
        "from harness import Sweep\n"
        "from toy_trainer import trainer\n"
        "c = Sweep('c', runs=1, steps=1, space={'größe': 1, 'Δ': 2}, trainer=trainer)\n"
    )
    latin = {"PYTHONIOENCODING": "latin-1"}
    status, out, err = printed(declared, "plan c", **latin)
    assert (status, err) == (0, b"")
    assert b"?" in out
    status, out, err = printed(declared, "plan c --json", **latin)
    assert (status, err, out.isascii()) == (0, b"", True)


@pytest.mark.parametrize(
    ("to", "status", "said"), [("/dev/full", 2, b"No space left on device"), ("&-", 0, b"")]
)
def test_a_full_or_closed_stdout_is_no_refuted_claim(declared, to, status, said):
    done, _, err = printed(declared, f"list --json >{to}")
    assert done == status
    assert said in err
    assert len(err.splitlines()) <= 1


def test_a_fault_of_its_own_has_a_status_of_its_own(sweep, declared, monkeypatch):
    monkeypatch.setattr(cli.list_sweeps, "run", lambda options: 1 / 0)
    status, _, err = sweep("list")
    assert status == 3
    assert "ZeroDivisionError" in err
    assert err.endswith("sweep: error: a fault of pytest-sweep; please report it\n")
