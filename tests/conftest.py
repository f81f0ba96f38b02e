"""What several rooms' tests share."""

from __future__ import annotations

import os
import shlex
import signal
import textwrap
from pathlib import Path

# pytest run inside a test forgets the modules it imported when it ends, and NumPy cannot be
# imported twice in a process: what a session needs is imported out here. So are the modules that
# every session would import anew.
import hypothesis  # noqa: F401
import numpy as np  # noqa: F401
import pytest
import scipy.stats  # noqa: F401
import sqlalchemy  # noqa: F401
import tabulate  # noqa: F401

import harness.audit
import harness.claims
import harness.claims.power
import harness.executors.inline
import harness.executors.local
import harness.executors.logs
import harness.judging.regressions
import harness.plugin.collection
import harness.plugin.reporting
import harness.report.renderers.terminal
import harness.report.renderers.write
import harness.session.environment
import harness.statistics.agreement
import harness.statistics.dependence
import harness.statistics.power
import harness.statistics.response
import harness.store
import harness.training.backends
import harness.training.settings
import harness.training.tasks
import harness.training.text.arithmetic
import harness.training.text.tasks
import harness.training.warm_start

ROOT = Path(__file__).parents[1]

IN_ORDER = "-p no:randomly -p no:unraisableexception"
"""The order of items is part of what tests of sessions say, but where pytest-randomly is tested.

A session inside of a test need not look for garbage twice: pytest does so around it.
"""

os.environ["PYTEST_ADDOPTS"] = IN_ORDER

# Reports of tests are none of the job that runs them.
os.environ.pop("GITHUB_STEP_SUMMARY", None)

# A shell starts its background jobs with Ctrl-C ignored, and so would all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# With a limit JAX locks its programs, so that no worker reads one that another is writing.
os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2**33))

TRAINER = '''
import os, random
from harness import Outcome
from harness.records import Evaluation, Progress

def trainer(job, notify):
    """Trains in no time: what comes of a run is a function of its seed, arm and config."""
    with open(os.environ["TRAINED"], "a") as file:
        file.write(job.run.id + "\\n")
    rng = random.Random(job.run.seed)
    before = 0.1 + 0.02 * rng.random()
    curve = [Evaluation(0, before, 0.01, before)]
    whose = str(job.run.index) if job.run.arm == "main" else job.run.arm.upper()
    mode = os.environ.get("MODE_" + whose)
    if mode == "fails":
        raise RuntimeError("the disk of the GPU is on fire")
    if mode == "diverges":
        return Outcome(status="diverged", perf_before=before, curve=tuple(curve), stopped_at=3,
                       error="loss is nan")
    if mode == "exits":
        os._exit(3)
    gain = {"placebo": 0.0, "null": 0.0}.get(job.run.arm,
        float(os.environ.get("GAIN", "0.1")) + 0.01 * rng.gauss(0, 1))
    every = job.run.evaluate_every
    for step in range(every, job.run.steps + 1, every):
        perf = before + gain * step / job.run.steps
        curve.append(Evaluation(step, perf, 0.01, perf))
        notify(Progress("train", step, job.run.steps, perf, curve[-1]))
    changed = 0 if gain == 0 else 100
    return Outcome(status="completed", perf_before=before, perf_after=before + gain,
                   delta_perf=gain, delta_perf_se=0.005 if changed else 0.0, prompts=512, samples=4,
                   prompts_changed=changed, train_delta_perf=gain, curve=tuple(curve), seconds=0.01)
'''

TOY = """
from harness import Choice, LogUniform, Outcome, Pairs, Sweep, Uniform
from harness.claims import best_inside, mean_gain, no_worse, still_improves, success_rate
from toy_trainer import trainer

def toy(name="toy", **changes):
    return Sweep(**{**dict(
        name=name, runs=8, steps=20, seed=3, trainer=trainer, evaluate_every=5,
        space=dict(learning_rate=LogUniform(1e-7, 1e-6), batch_size=8),
        arms=dict(placebo=1, batch_size=Pairs(2, values=(4,))),
        questions=dict(success_above_half=success_rate.above(0.5)),
    ), **changes})

def test_run(run):
    run.train()

def test_question(question):
    question.judge()
"""


def pytest_addoption(parser):
    group = parser.getgroup("trainers", "where the trainers' contract is tested")
    group.addoption(
        "--trainer-device",
        metavar="DEVICE",
        default="cpu",
        help="train the contract's runs on this device: cpu, cuda or cuda:N (default: cpu)",
    )
    group.addoption(
        "--trainer-cache",
        metavar="DIR",
        help="keep warm starts and compiled programs here (default: a new folder)",
    )


@pytest.hookimpl(wrapper=True)  # before pytest-xdist's own
def pytest_cmdline_main(config):
    """Let pytest-xdist take every core for a folder of tests, unless `-n` says otherwise.

    Neighbours stay on one worker, which has the programs that JAX compiled for them, until another
    has nothing left to do.
    """
    are_many = any(map(os.path.isdir, config.args)) and not hasattr(config, "workerinput")
    if are_many and getattr(config.option, "numprocesses", 0) is None:
        config.option.numprocesses = "auto"
        config.option.dist = "worksteal"
    return (yield)


def pytest_collection_modifyitems(config, items):
    """Begin with what takes longest; take every warning in a test of ours for an error.

    What is begun last by one worker of pytest-xdist keeps the others waiting. A user's sweep is not
    ours.
    """
    items.sort(key=_seconds, reverse=True)
    if config.getoption("--trainer-device") != "cpu":
        return  # a device's libraries may warn of that machine
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("error"), append=False)


def _seconds(item):
    """How long a test takes, where its mark `slow` says so; 0 for all others."""
    slow = item.get_closest_marker("slow")
    return slow.kwargs.get("seconds", 0) if slow else 0


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of these tests' own, started by the first that asks; mark `postgres`."""
    from tests.postgres import Server

    with Server() as server:
        yield server


@pytest.fixture
def sweep(capsys, monkeypatch):
    """Run the command in a terminal of 80 columns; return status, output and errors."""
    from harness import cli

    monkeypatch.setenv("COLUMNS", "80")

    def run(line):
        capsys.readouterr()
        try:
            status = cli.main(shlex.split(line))
        except SystemExit as left:
            status = left.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture(scope="session")
def prices():
    """The power of the designs that were planned so far."""
    return {}


@pytest.fixture
def priced_once(monkeypatch, prices):
    """Price a design once for all tests: simulations of seconds, whose outcome is always equal."""
    original = harness.claims.power.sweep_power

    def priced(sweep, stored=(), *, notify=None, **asked):
        key = repr((sweep, stored, asked))
        if key in prices and notify is not None:
            for question in sweep.questions:
                notify(question)
        if key not in prices:
            prices[key] = original(sweep, stored, notify=notify, **asked)
        return prices[key]

    monkeypatch.setattr(harness.claims.power, "sweep_power", priced)


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory, pytestconfig):
    """A folder for warm starts and programs: made by the first test that trains, then read.

    All workers of pytest-xdist share it.
    """
    given = pytestconfig.getoption("--trainer-cache")
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = Path(given) if given else base / "trainer-cache"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def warm_project(tmp_path, warm_cache):
    """The root of a project whose warm starts and programs are those of all tests."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / ".sweep").mkdir()
    (tmp_path / ".sweep" / "cache").symlink_to(warm_cache, target_is_directory=True)
    return tmp_path


@pytest.fixture
def sweeps(pytester, monkeypatch):
    """Write sweep files and run pytest over them: ``sweeps.run("--sweep", "toy")``."""
    return Sweeps(pytester, monkeypatch)


class Sweeps:
    """A project with sweep files whose trainer takes no time, and what it has trained."""

    def __init__(self, pytester, monkeypatch):
        self.pytester = pytester
        self.path = pytester.path
        self._monkeypatch = monkeypatch
        self._log = pytester.path / "trained.txt"
        monkeypatch.setenv("TRAINED", str(self._log))
        monkeypatch.setenv("PYTEST_ADDOPTS", IN_ORDER)  # of which pytester leaves nothing
        pytester.makeini("[pytest]\n")

    def write(self, file="test_toy", body="sweep = toy()"):
        folder = self.path / "experiments"
        folder.mkdir(exist_ok=True)
        (folder / "toy_trainer.py").write_text(TRAINER)
        (folder / f"{file}.py").write_text(TOY + textwrap.dedent(body) + "\n")

    def run(self, *options, executor="inline"):
        return self.pytester.runpytest_inprocess(
            "-p", "harness.plugin", "experiments", "--sweep-executor", executor, *options
        )

    def run_apart(self, *options):
        """Run in a process of its own, as what imports Torch must."""
        self._monkeypatch.setenv("PYTHONPATH", str(ROOT))
        return self.pytester.runpytest_subprocess("-p", "harness.plugin", "experiments", *options)

    @property
    def trained(self):
        """The ids of the runs trained so far, in order."""
        return self._log.read_text().split() if self._log.exists() else []
