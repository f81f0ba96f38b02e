"""What docs/plugins.md says of each plugin, with that plugin: a small sweep in its own process.

The plugins are installed once into a folder of pytest's cache, where nothing else finds them.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import filelock
import pytest

from tests.conftest import ROOT, TOY, TRAINER
from tests.docs.pages import DOCS, tables

GROUP = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["plugins"]
PLUGINS = re.compile(r"(?:pytest-[a-z-]+|anyio|hypothesis)(?=[, ]|$)")
RUNS = 3

SWEEP = f"sweep = toy(runs={RUNS}, arms={{}})\n"


@dataclass(frozen=True)
class Done:
    """An ended pytest: its status, output and folder, and the ids of the runs trained, in order."""

    status: int
    out: str
    folder: Path
    trained: list[str]

    @property
    def counts(self):
        """The last line of pytest's, without the time."""
        return re.sub(r" in [\d.]+s.*", "", self.out.strip().splitlines()[-1]).strip("= ")


def passed(done, *, times=1):
    assert done.status == 0
    assert f"{RUNS * times} passed, {times} inconclusive" in done.counts
    assert len(done.trained) == len(set(done.trained)) == RUNS


@dataclass(frozen=True)
class Case:
    """How a plugin is loaded and used, and what is to be seen then (`passed`, by default)."""

    modules: str
    options: str = ""
    check: Callable[[Done], None] = passed
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def failed(done):
    """The first run fails, with its message in one line."""
    assert done.status == 1
    assert f"1 failed, {RUNS - 1} passed, 1 not judged" in done.counts
    assert "RuntimeError: the disk of the GPU is on fire" in done.out


def is_refused(done):
    (line,) = {line for line in done.out.splitlines() if line.startswith("ERROR")}
    assert line.startswith("ERROR: --forked with --sweep: ")
    assert (done.status, done.trained) == (4, [])


def follows_workers(done):
    passed(done)
    lines = json.loads((done.folder / "coverage.json").read_text())["files"]
    of_training = lines["sweeps/toy_trainer.py"]["executed_lines"]
    assert 10 in of_training, "a line within the training function"


def is_tried_again(done):
    assert "3 rerun" in done.counts
    assert sorted(map(done.trained.count, set(done.trained))) == [1, 1, 4]


def trains_its_share(done):
    assert done.status == 0
    assert "2 deselected" in done.counts
    assert len(done.trained) == 2


def is_in_the_page(done):
    passed(done)
    page = (done.folder / "r.html").read_text()
    assert all(id_ in page for id_ in done.trained)


def is_in_the_json(done):
    passed(done)
    summary = json.loads((done.folder / "j.json").read_text())["summary"]
    assert (summary["passed"], summary["inconclusive"]) == (RUNS, 1)


def is_sugared(done):
    assert done.status == 0
    assert "100%" in done.out
    assert re.search(rf"{RUNS} passed\s+1 skipped", done.out)


def is_annotated(done):
    failed(done)
    (said,) = re.findall("::error file=sweeps/test_toy.py,line=.*", done.out)
    assert "the disk of the GPU is on fire" in said


FAILS = {"MODE_0": "fails"}
SUBPROCESS = {".coveragerc": "[run]\npatch = subprocess\n"}

CASES = {
    "pytest-xdist": Case("xdist.plugin", "-n 2"),
    "pytest-forked": Case("pytest_forked", "--forked", is_refused),
    "pytest-timeout": Case("pytest_timeout", "--timeout 0.001"),
    "pytest-cov": Case(
        "pytest_cov.plugin",
        "--cov=sweeps --cov-report=json:coverage.json",
        follows_workers,
        files=SUBPROCESS,
    ),
    "pytest-rerunfailures": Case("pytest_rerunfailures", "--reruns 3", is_tried_again, env=FAILS),
    "pytest-repeat": Case("pytest_repeat", "--count 2", lambda done: passed(done, times=2)),
    "pytest-split": Case("pytest_split.plugin", "--splits 2 --group 1", trains_its_share),
    "pytest-randomly": Case("randomly"),
    "pytest-random-order": Case("random_order.plugin", "--random-order"),
    "pytest-html": Case(
        "pytest_metadata.plugin pytest_html.plugin", "--html r.html", is_in_the_page
    ),
    "pytest-json-report": Case(
        "pytest_metadata.plugin pytest_jsonreport.plugin",
        "--json-report --json-report-file j.json",
        is_in_the_json,
    ),
    "pytest-sugar": Case("pytest_sugar", "--force-sugar", is_sugared),
    "pytest-instafail": Case("pytest_instafail", "--instafail", failed, env=FAILS),
    "pytest-github-actions-annotate-failures": Case(
        "pytest_github_actions_annotate_failures.plugin",
        check=is_annotated,
        env={**FAILS, "GITHUB_ACTIONS": "true"},
    ),
    "pytest-asyncio": Case("pytest_asyncio.plugin", "-o asyncio_mode=auto"),
    "anyio": Case("anyio.pytest_plugin"),
    "pytest-benchmark": Case("pytest_benchmark.plugin"),
    "pytest-mock": Case("pytest_mock"),
    "pytest-metadata": Case("pytest_metadata.plugin", "--metadata node 7"),
    "hypothesis": Case("_hypothesis_pytestplugin", "--hypothesis-seed=1"),
}


def test_each_plugin_of_the_page_is_tested_and_each_tested_one_is_on_the_page():
    named = [
        name
        for row in tables(DOCS / "plugins.md")
        for name in PLUGINS.findall(re.sub(r"`[^`]*`", "", row[0]))
    ]
    assert sorted(named) == sorted(CASES)


@pytest.fixture(scope="session")
def site(pytestconfig):
    """A folder with the plugins of the group, installed when it is first asked for."""
    content = f"{sys.version_info[:2]} {GROUP}"
    name = hashlib.sha256(content.encode()).hexdigest()[:12]
    folder = pytestconfig.cache.mkdir(f"other-plugins-{name}")
    with filelock.FileLock(folder / "lock"):
        if not (folder / "complete").exists():
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
            subprocess.run([*command, "--target", folder / "site", *GROUP], check=True)
            # A worker process is to find what a plugin puts into each Python that starts.
            start = f"import site; site.addsitedir({str(folder / 'site')!r})\n"
            (folder / "site" / "sitecustomize.py").write_text(start)
            (folder / "complete").touch()
    return folder / "site"


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_sweep_beside_a_plugin_does_what_the_page_says(name, site, tmp_path, monkeypatch):
    case = CASES[name]
    files = {"pytest.ini": "[pytest]", "sweeps/toy_trainer.py": TRAINER}
    for file, text in {**files, "sweeps/test_toy.py": TOY + SWEEP, **case.files}.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    for variable in [one for one in os.environ if one.startswith(("PYTEST_", "COV_", "GITHUB_"))]:
        monkeypatch.delenv(variable)
    log = tmp_path / "trained.txt"
    asked = {"TRAINED": str(log), "PYTHONPATH": f"{ROOT}{os.pathsep}{site}", "GAIN": "0.01"}
    modules, options = [*case.modules.split(), "harness.plugin"], case.options.split()
    plugins = [word for module in modules for word in ("-p", module)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "sweeps", "--sweep", "toy", *options],
        cwd=tmp_path,
        env={**os.environ, **asked, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **case.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    trained = log.read_text().split() if log.exists() else []
    print(done.stdout)
    _, *entries = done.stdout.split("Traceback (most recent call last):\n")
    assert all("toy_trainer.py" in entry.split("\n")[0] for entry in entries), "not of the trainer"
    assert "INTERNALERROR" not in done.stdout
    case.check(Done(done.returncode, done.stdout, tmp_path, trained))
