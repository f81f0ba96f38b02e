"""Examples can be imported and run, and commands can be typed."""

import re
import shlex
import subprocess
import sys
import tomllib
from configparser import ConfigParser

import pytest

from harness.cli import parser as sweep_parser
from harness.sweeps.baseline import is_table
from tests.docs.pages import (
    DOCS,
    README,
    ROOT,
    commands,
    example_files,
    experiments,
    page,
    plugin_options,
    pytest_help,
    run_examples,
    sweeps_of,
)

pytest_plugins = ["pytester"]
EXAMPLES = ROOT / "experiments" / "examples"


@page
def test_every_example_can_be_imported(page, tmp_path, monkeypatch):
    for sweep in sweeps_of(run_examples(page, tmp_path, monkeypatch)).values():
        assert sweep.plan()


def test_the_sweep_of_the_readme_is_the_one_in_experiments(tmp_path, monkeypatch):
    shown = sweeps_of(run_examples(README, tmp_path, monkeypatch))["focused"]
    real = experiments()["focused"]
    for name in ("runs", "steps", "seed", "baseline", "arms"):
        assert getattr(shown, name) == getattr(real, name)
    for one, other in ((shown.space, real.space), (shown.questions, real.questions)):
        assert one.items() <= other.items()


def test_the_trainer_of_the_documentation_trains(pytester, tmp_path):
    files = example_files(DOCS / "writing-sweeps.md")
    for name in ("my_trainer.py", "test_mine.py"):
        (pytester.path / name).write_text(files[name])
    (train,) = re.findall(r"^def train\(run\):\n((?:    .*\n)+)", files["my_trainer.py"], re.M)
    assert len(train.splitlines()) <= 15
    pytester.makeini("[pytest]\n")
    result = pytester.runpytest_inprocess(
        "-p", "harness.plugin", "test_mine.py", "--sweep", "mine", "--sweep-executor", "inline"
    )
    assert result.ret in (0, 1)
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] >= 16 + 1 + 8
    assert "error" not in outcomes


def options_in(text):
    return set(re.findall(r"(?<![\w-])(--?[A-Za-z][\w-]*)", text))


def check_pytest(words, names, files):
    words = iter(words)
    for word in words:
        name, _, value = word.partition("=")
        if name.startswith("-"):
            assert name in options_in(pytest_help()), f"pytest has no option {name}"
        if name == "--sweep":
            for sweep in (value or next(words)).split(","):
                assert sweep in names, f"there is no sweep {sweep}"
        elif name in plugin_options():
            if plugin_options()[name].get("action") != "store_true" and not value:
                next(words)
        elif name in ("-k", "-m", "-n", "-p"):
            next(words)
        elif not name.startswith("-"):
            target = name.split("::")[0]
            assert target in files or (ROOT / target).exists(), f"there is no {target}"


def check_tox(words):
    tox = ConfigParser()
    tox.read(ROOT / "tox.ini")
    known = set(re.split(r"[,\s]+", tox["tox"]["env_list"]))
    known |= {name.removeprefix("testenv:") for name in tox.sections()}
    for before, word in zip(["", *words], words, strict=False):
        if before == "-e":
            assert set(word.split(",")) <= known, f"tox has no environment {word}"


def check_pip(words):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for before, word in zip(["", *words], words, strict=False):
        if before in ("-c", "-r"):
            assert (ROOT / word).exists(), word
        for extras in re.findall(r"^(?:\.|pytest-sweep)\[(.+)\]$", word):
            assert set(extras.split(",")) <= set(project["optional-dependencies"]), word


def check_command(command, said, names, files):
    words = shlex.split(command)
    program, rest = words[0], words[1:]
    if program.startswith("./"):
        assert (ROOT / program).stat().st_mode & 0o111, f"{program} cannot be run"
        if program.endswith("run_tests.sh"):
            check_tox(rest)
        else:
            check_pytest(rest, names, files)
    elif program == "pytest":
        check_pytest(rest, names, files)
    elif program == "sweep":
        sweep_parser().parse_args(rest)
        named = next((word for word in rest[1:] if not word.startswith("-")), "")
        known = (
            rest[0] == "init"
            or not named
            or named in names
            or is_table(named)
            or named.endswith(".db")
        )
        assert known, f"there is no sweep {named}"
    elif program == "python" and rest[0] == "-c":
        done = subprocess.run(
            [sys.executable, "-c", rest[1]], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.stdout.splitlines() == said, done.stderr
    elif program == "python":
        assert (ROOT / rest[0]).exists(), f"there is no {rest[0]}"
    elif program.endswith("pip"):
        check_pip(rest)
    elif program != "python3":
        pytest.fail(f"unknown program {program}")


@page
def test_every_command_can_be_typed(page, tmp_path, monkeypatch):
    found = commands(page)
    files = example_files(page)
    names = {*experiments(), *sweeps_of(run_examples(page, tmp_path, monkeypatch))}
    names |= {path.stem.removeprefix("test_") for path in EXAMPLES.glob("*/test_*.py")}
    names |= {
        m[1] for command, _ in found if (m := re.match("sweep import.* --sweep (.+)", command))
    }
    for command, said in found:
        check_command(command, said, names, files)


def test_the_readme_has_the_two_commands_first():
    first = [command for command, _ in commands(README)][:2]
    assert first == ["./scripts/launch_focused_sweep.sh", "./scripts/run_tests.sh"]
