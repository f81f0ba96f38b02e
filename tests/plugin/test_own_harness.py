"""A project with a ``harness`` of its own, and pytest-sweep installed as a wheel installs it."""

import subprocess
import sys
import tomllib

import pytest

from tests.conftest import ROOT, TOY, TRAINER

pytestmark = pytest.mark.slow

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENTRIES = PROJECT["entry-points"]["pytest11"]

OWN = {
    "a package": {"harness/__init__.py": "", "harness/mine.py": "x = 1"},
    "a file": {"harness.py": "class mine:\n    x = 1"},
}
TESTS = "from harness import mine\n\ndef test_mine():\n    assert mine.x == 1\n"
NOT_LOADED = "pytest-sweep: not loaded, for this project has a harness of its own"
LOADED = "pytest-sweep: with --sweep, 'import harness' is pytest-sweep's package and not"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Write a project's files; return a function that runs Python in it."""
    site = tmp_path / "site"
    info = site / "pytest_sweep-9.dist-info"
    info.mkdir(parents=True)
    for name in ("harness", "pytest_sweep_plugin.py"):
        (site / name).symlink_to(ROOT / name)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pytest-sweep\nVersion: 9\n")
    entries = "".join(f"{name} = {module}\n" for name, module in ENTRIES.items())
    (info / "entry_points.txt").write_text(f"[pytest11]\n{entries}")
    project = tmp_path / "project"
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("TRAINED", str(tmp_path / "trained.txt"))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    def start(files):
        sweep = TOY + "sweep = toy(arms={}, runs=2)\n"
        files = {"pytest.ini": "[pytest]", "sweeps/test_toy.py": sweep, **files}
        for name, text in {"sweeps/toy_trainer.py": TRAINER, **files}.items():
            path = project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

        def run(*arguments):
            done = subprocess.run(
                [sys.executable, *arguments],
                cwd=project,
                capture_output=True,
                text=True,
                check=False,
            )
            return done.returncode, done.stdout, done.stderr

        return run

    return start


MODULE = ("-m", "pytest", "-q")
PLAIN = ("-P", "-m", "pytest", "-q")
"""As the command ``pytest``: the working directory is not on ``sys.path``."""

WAYS = {
    "python -m pytest": (MODULE, {}),
    "pythonpath": (PLAIN, {"pytest.ini": "[pytest]\npythonpath = ."}),
    "conftest": (PLAIN, {"conftest.py": ""}),
    "xdist": ((*MODULE, "-n", "1"), {}),
}


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("way", WAYS)
def test_the_project_s_own_tests_go_on_without_the_plugin(installed, way, own):
    command, more = WAYS[way]
    run = installed({**OWN[own], **more, "tests/test_mine.py": TESTS})
    status, out, err = run(*command, "tests")
    assert (status, "1 passed" in out) == (0, True)
    (line,) = err.splitlines()
    assert line.startswith(NOT_LOADED)
    assert "project/harness" in line


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=[] if way == "conftest" else pytest.mark.slow) for way in WAYS]
)
def test_a_sweep_is_run_all_the_same(installed, way):
    command, more = WAYS[way]
    run = installed({**OWN["a package"], **more})
    status, out, err = run(*command, "sweeps", "--sweep", "toy")
    assert status == 0, out + err
    assert "3 passed" in out or "2 passed, 1 inconclusive" in out
    (line,) = err.splitlines()
    assert line.startswith(LOADED)


def test_the_plugin_is_loaded_by_its_entry_point_without_a_word(installed):
    run = installed({})
    status, out, err = run(*MODULE, "sweeps")
    assert (status, err) == (5, "")
    assert "sweeps here, run with --sweep NAME:" in out


def test_what_is_blocked_says_nothing(installed):
    run = installed({**OWN["a package"], "tests/test_mine.py": TESTS})
    status, _, err = run(*MODULE, "-p", "no:harness.plugin", "tests")
    assert (status, err) == (0, "")


def test_the_help_shows_the_options(installed):
    run = installed(OWN["a package"])
    status, out, _ = run(*MODULE, "--help")
    assert (status, "--sweep-store" in out) == (0, True)


@pytest.mark.parametrize(("options", "status"), [(["--sweep", "toy"], 4), (["--help"], 0)])
def test_a_harness_that_is_imported_already_is_one_line(installed, options, status):
    run = installed(OWN["a package"])
    main = f"import sys, pytest, harness; sys.exit(pytest.main(['sweeps', *{options!r}]))"
    ended, _, err = run("-c", main)
    assert ended == status
    (line,) = filter(None, err.splitlines())
    said = "is imported already, and harness is also the name of pytest-sweep's" if status else ""
    assert said in line


def test_the_command_reads_the_sweeps_of_such_a_project(installed):
    run = installed(OWN["a package"])
    status, out, _ = run("-P", "-m", "harness.cli", "list")
    assert status == 0
    assert "toy" in out
