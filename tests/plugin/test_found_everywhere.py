"""What pytest would collect is what is found: alone, by xdist's controller, by the command."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TRAINER = """
from harness import Outcome

def train(job, notify):
    return Outcome(status="completed", perf_before=0.1, perf_after=0.2, delta_perf=0.1,
                   delta_perf_se=0.01, prompts=512, samples=4, prompts_changed=100, seconds=0.01)
"""

SWEEP = """
from harness import Sweep, Uniform
from harness.claims import success_rate
from {package}trainers import train

{name} = Sweep({name!r}, runs=3, steps=4, trainer=train, evaluate_every=2,
              space=dict(learning_rate=Uniform(0.1, 1.0)),
              questions=dict(success_above_half=success_rate.above(0.5)))
"""

TESTS = """
def test_run(run):
    run.train()

def test_question(question):
    question.judge()
"""


class Project:
    """A project on disk: what pytest and the command say of it, each in a process of its own."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, files):
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))

    def call(self, module, *arguments, where="."):
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder / where,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def trained(self, *arguments, where="."):
        """Return the report of a session that trains the sweep ``mine``."""
        options = ["-p", "no:cacheprovider", "--sweep", "mine", "--sweep-fresh", "-q"]
        status, out, err = self.call("pytest", *options, *arguments, where=where)
        assert status == 0, out + err
        (path,) = self.folder.rglob(".sweep/reports/mine/report.json")
        report = json.loads(path.read_text())
        path.unlink()
        return said(report)

    def reported(self, *arguments, where="."):
        """Return what the command reports of it."""
        status, out, err = self.call(
            "harness.cli", "report", "mine", "--json", *arguments, where=where
        )
        assert status == 0, err
        for path in self.folder.rglob(".sweep/reports/mine/report.json"):
            path.unlink()
        return said(json.loads(out))


def said(report):
    runs = [(run["id"], run["config"], run["delta_perf"]) for run in report["runs"]]
    return runs, [(q["id"], q["verdict"], q["answer"]) for q in report["questions"]]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p harness.plugin")
    return Project(tmp_path / "project")


FILE = SWEEP.format(name="mine", package="") + TESTS
PRINTS = "print('noise on stdout')\n"
BROKEN = "import no_such_module_anywhere\n"

PROJECTS = {
    "as the README has it": {
        "pytest.ini": "[pytest]\n",
        "experiments/test_mine.py": FILE,
        "experiments/trainers.py": TRAINER,
    },
    "src layout": {
        "pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["src"]\n',
        "experiments/test_mine.py": FILE,
        "src/trainers.py": TRAINER,
    },
    "importlib mode": {
        "pytest.ini": "[pytest]\naddopts = --import-mode=importlib\npythonpath = lib\n",
        "experiments/test_mine.py": FILE,
        "experiments/deep/test_mine.py": "def test_nothing(): pass\n",
        "lib/trainers.py": TRAINER,
    },
    "names of one's own, and an old copy is ignored": {
        "pytest.ini": "[pytest]\npython_files = sweep_*.py\naddopts = --ignore=experiments/old\n",
        "experiments/sweep_mine.py": FILE,
        "experiments/test_mine.py": FILE,
        "experiments/old/sweep_mine.py": FILE,
        "experiments/trainers.py": TRAINER,
    },
    "conftests extend the path and ignore a file, a sibling skips, a factory prints": {
        "pytest.ini": "[pytest]\n",
        "conftest.py": """
            import sys, pathlib
            sys.path.append(str(pathlib.Path(__file__).parent / "lib"))
            """,
        "experiments/conftest.py": 'collect_ignore = ["test_old.py"]\n',
        "experiments/test_a.py": "import pytest\npytest.importorskip('no_such_module_anywhere')\n",
        "experiments/test_old.py": FILE,
        "experiments/test_mine.py": "from shared import make\nmine = make()\n" + TESTS + PRINTS,
        "experiments/shared.py": SWEEP.format(name="mine", package="").replace(
            "mine = Sweep", "make = lambda: Sweep"
        ),
        "lib/trainers.py": TRAINER,
    },
    "no experiments/": {
        "pytest.ini": "[pytest]\ntestpaths = checks\n",
        "checks/test_mine.py": FILE,
        "checks/trainers.py": TRAINER,
    },
}


def found_alone(project, name):
    """Return where a project has its sweep, and what one process and the command say of it."""
    project.write(PROJECTS[name])
    where = "checks" if name == "no experiments/" else "experiments"
    alone = project.trained(where)
    assert len(alone[0]) == 3
    assert project.reported() == alone
    assert project.reported(where=where) == alone, "from a folder below the root"
    return where, alone


def test_pytest_and_the_command_find_and_report_the_same(project):
    found_alone(project, "src layout")


@pytest.mark.slow
@pytest.mark.parametrize("name", PROJECTS)
def test_pytest_two_workers_and_the_command_find_and_report_the_same(project, name):
    where, alone = found_alone(project, name)
    assert project.trained(where, "-n", "2") == alone


def test_each_verb_finds_it(project):
    files = PROJECTS["as the README has it"]
    project.write(files | {"experiments/test_mine.py": FILE + PRINTS})
    for verb in (["list"], ["plan", "mine"]):
        status, out, err = project.call("harness.cli", *verb, "--json")
        assert status == 0, err
        found = json.loads(out)
        rows = found["sweeps"] if verb == ["list"] else [found]
        assert [row["sweep"] for row in rows] == ["mine"]


@pytest.mark.slow
def test_a_package_is_found_by_its_name(project):
    project.write(
        {
            "pytest.ini": "[pytest]\npythonpath = lib\n",
            "lib/pack/__init__.py": "",
            "lib/pack/sweeps/__init__.py": "",
            "lib/pack/sweeps/test_mine.py": SWEEP.format(name="mine", package="pack.") + TESTS,
            "lib/pack/trainers.py": TRAINER,
        }
    )
    alone = project.trained("--pyargs", "pack.sweeps")
    assert len(alone[0]) == 3
    assert project.trained("--pyargs", "pack.sweeps", "-n", "2") == alone
    assert project.reported("--experiments", "pack.sweeps") == alone


@pytest.mark.slow
def test_another_folder_reads_the_project_of_the_path_that_is_given(project):
    project.write(PROJECTS["src layout"])
    (project.folder.parent / "elsewhere").mkdir()
    file = str(project.folder / "experiments")
    alone = project.trained(file, where="../elsewhere")
    assert len(alone[0]) == 3
    assert project.reported("--experiments", file, where="../elsewhere") == alone
    assert project.reported() == alone


def test_a_broken_sibling_is_told_and_stops_nothing(project):
    project.write(PROJECTS["as the README has it"] | {"experiments/test_a.py": BROKEN})
    status, out, err = project.call("harness.cli", "list")
    assert (status, "mine" in out) == (0, True)
    place = (
        "experiments/test_a.py:1: ModuleNotFoundError: No module named 'no_such_module_anywhere'"
    )
    assert err == f"not read: {place}\n"
    assert project.call("harness.cli", "plan", "mine")[0] == 0
    status, _, err = project.call("harness.cli", "plan", "other")
    assert status == 2
    assert err.endswith(f"there are mine; not read: {place}\n")
    options = ["-p", "no:cacheprovider", "experiments", "-n", "2", "--sweep", "other"]
    status, _, err = project.call("pytest", *options)
    assert status == 4
    assert f"(there is: mine); not read: {place}" in err


@pytest.mark.slow
def test_a_stored_sweep_whose_file_broke_is_told_to_be_unread(project):
    project.write(PROJECTS["as the README has it"])
    project.trained("experiments")
    file = project.folder / "experiments" / "test_mine.py"
    file.write_text(BROKEN + file.read_text())
    for verb in ("report", "analyze"):
        _, _, err = project.call("harness.cli", verb, "mine")
        assert "not read: experiments/test_mine.py:1: ModuleNotFoundError" in err


@pytest.mark.slow
def test_runs_of_edited_code_are_trained_again_and_that_is_said(project):
    trainer = "from helper import GAIN\n" + TRAINER.replace("delta_perf=0.1,", "delta_perf=GAIN,")
    project.write(
        {
            "pytest.ini": "[pytest]\n",
            "experiments/test_mine.py": FILE,
            "experiments/trainers.py": textwrap.dedent(trainer).replace("0.2", "0.1 + GAIN"),
            "experiments/helper.py": "GAIN = 0.1\n",
        }
    )

    def session(*workers):
        status, out, err = project.call("pytest", "experiments", "--sweep", "mine", *workers)
        assert status == 0, out + err
        (line,) = [line for line in out.splitlines() if "in the store" in line]
        return line

    assert "0 in the store" in session()
    assert "3 in the store" in session("-n", "2"), "the workers know the runs by the same code"
    project.write({"experiments/helper.py": "GAIN = 0.3\n"})
    _, out, _ = project.call("harness.cli", "report", "mine")
    assert "3 more not counted: helper.py changed since" in " ".join(out.split())
    assert "0 in the store (3 more not counted: helper.py changed since)" in session("-n", "2")
    assert {delta for *_, delta in project.reported(where="experiments")[0]} == {0.3}
    _, out, err = project.call("harness.cli", "export", "mine", "--to", "-", where="experiments")
    assert len(out.splitlines()) == 1 + 3
    assert "left out 3 runs of earlier code" in err
