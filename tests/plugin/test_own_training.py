"""A sweep with ``def train(run)``, from pytest's command line to the report."""

from __future__ import annotations

import json
import re
import textwrap

import pytest

from tests.plugin.shared import report
from tests.processes import is_gone

pytest_plugins = ["pytester"]

WALK = """
import os, signal
import numpy as np

def train(run):
    draws, place = np.random.default_rng(run.seed), np.zeros(8)
    state = run.restored()
    if state is None:
        run.before(1 / (1 + place**2), items="abcdefgh")
    else:
        place, draws.bit_generator.state = state["place"], state["draws"]
    for step in run.steps():
        place += run.config["learning_rate"] * 1e6 * draws.normal(size=8)
        if run.evaluates(step):
            run.log(step, 1 / (1 + place**2))
        if run.saves(step):
            run.save(dict(place=place, draws=draws.bit_generator.state))
        if step == 13 and not (run.folder / "tried").exists() and "KILL" in os.environ:
            (run.folder / "tried").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    run.after(1 / (1 + place**2))
""".replace('"abcdefgh"', 'list("abcdefgh")')

SWEEP = """
sweep = toy(trainer=train, runs=2, arms=dict(placebo=1), questions={})
"""


@pytest.fixture
def project(sweeps):
    """Write a trainer and a sweep that trains with it."""

    def write(trainer, body=SWEEP):
        sweeps.write(body=f"from my_trainer import train\n{textwrap.dedent(body)}")
        (sweeps.path / "experiments" / "my_trainer.py").write_text(textwrap.dedent(trainer))
        return sweeps

    return write


def runs(sweeps, name="toy"):
    """Return what the report has of the runs, but how long they took."""
    every = report(sweeps, name)["runs"]
    return {run["id"]: {name: at for name, at in run.items() if name != "seconds"} for run in every}


def test_a_function_of_a_run_trains_in_worker_processes(project):
    sweeps = project(WALK)
    sweeps.run("--sweep", "toy", executor="local").assert_outcomes(passed=3, skipped=1)
    found = runs(sweeps)
    assert [run["status"] for run in found.values()] == ["completed"] * 3
    placebo = found["toy-placebo-00-lr0-bs8"]
    assert placebo["delta_perf"] == placebo["delta_perf_se"] == 0
    main = next(run for run in found.values() if run["arm"] == "main")
    assert main["perf_before"] == 1
    assert main["delta_perf"] < 0 < main["delta_perf_se"]
    assert [point["step"] for point in main["curve"]] == [0, 5, 10, 15, 20]


@pytest.mark.slow
def test_a_killed_run_continues_and_ends_as_it_would_have(project, monkeypatch):
    sweeps = project(WALK)
    options = ["--sweep", "toy", "--sweep-checkpoint-every", "4", "--sweep-retries", "0"]
    sweeps.run(*options, "--sweep-store", "sqlite:///whole.db", executor="local")
    whole = runs(sweeps)
    monkeypatch.setenv("KILL", "1")
    for path in (sweeps.path / ".sweep" / "runs").glob("*/tried"):
        path.unlink()
    first = sweeps.run(*options, executor="local")
    assert first.parseoutcomes()["failed"] == 3
    sweeps.run(*options, executor="local").assert_outcomes(passed=3, skipped=1)
    assert runs(sweeps) == whole
    logs = [path.read_text() for path in (sweeps.path / ".sweep" / "logs").iterdir()]
    assert len(logs) == 3
    assert all(re.search("has (8|12) of 20 steps; training continues", log) for log in logs)


def test_a_run_that_raises_keeps_its_curve_and_its_reason_is_one_line(project):
    sweeps = project("""
        def train(run):
            run.before([0, 1])
            for step in run.steps():
                if run.evaluates(step):
                    run.log(step, [0, 1] if step < 15 else [0, 1, 1])
        """)
    result = sweeps.run("--sweep", "toy", executor="local")
    line = "experiments/my_trainer.py:6: run.log: 3 items, but there were 2 at first"
    assert line in result.stdout.str()
    for run in runs(sweeps, "toy-smoke").values():
        assert run["status"] == "failed"
        assert [point["step"] for point in run["curve"]] == [0, 5, 10]


def test_a_function_of_three_parameters_is_one_line_before_training(project):
    sweeps = project("def train(run, model, data): ...")
    result = sweeps.run("--sweep", "toy")
    assert "trainer train takes run, model, data; write it as def train(run)" in str(result.stdout)
    assert not (sweeps.path / ".sweep").exists()


def test_useless_training_learns_nothing_from_wrapped_rewards(project):
    """A bandit of 16 arms under policy gradient: it learns, and not where rewards say nothing."""
    sweeps = project(
        """
        import numpy as np

        def right(answers):
            return [float(answer == 3) for answer in answers]

        def train(run):
            rewarded = run.rewards(right)
            draws, scores = np.random.default_rng(run.seed), np.zeros(16)
            chance = lambda: np.exp(scores) / np.exp(scores).sum()
            run.before(float(chance()[3]), se=0.01)
            for step in run.steps():
                answers = draws.choice(16, size=64, p=chance())
                rewards = np.array(rewarded(answers))
                for answer, pull in zip(answers, rewards - rewards.mean()):
                    scores += pull * (np.eye(16)[answer] - chance()) / 2
            run.after(float(chance()[3]), se=0.01)
        """,
        "sweep = toy(trainer=train, runs=3, arms=dict(null=3, random=3), questions={})",
    )
    sweeps.run("--sweep", "toy").assert_outcomes(passed=9, skipped=1)
    gains = {"main": [], "null": [], "random": []}
    for run in runs(sweeps).values():
        gains[run["arm"]].append(run["delta_perf"])
    assert min(gains["main"]) > 0.5
    assert max(map(abs, gains["null"] + gains["random"])) < 0.2


PROGRAM = """
import json, os, pathlib, sys
here, config = pathlib.Path(__file__).parent, json.loads(os.environ["SWEEP_CONFIG"])
rate, steps = config["learning_rate"] * 1e6, int(os.environ["SWEEP_STEPS"])
if "SLEEPS" in os.environ:
    import subprocess, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path("pids").open("a").write(f"{os.getpid()} {child.pid} ")
    time.sleep(600)
for step in range(0, steps + 1, int(os.environ["SWEEP_EVALUATE_EVERY"])):
    print(json.dumps(dict(step=step, accuracy=0.1 + rate * step / steps / 10)))
print("the program of", os.environ["SWEEP_ID"], file=sys.stderr)
"""

RUNS = """
import sys

def train(run):
    run.command([sys.executable, "program.py", *run.arguments()], metric="accuracy")
"""


@pytest.fixture
def program(project):
    sweeps = project(RUNS)
    (sweeps.path / "experiments" / "program.py").write_text(PROGRAM)
    return sweeps


def test_a_program_is_trained_and_trains_again_once_it_is_changed(program):
    program.run("--sweep", "toy", executor="local").assert_outcomes(passed=3, skipped=1)
    for run in runs(program).values():
        gain = run["config"]["learning_rate"] * 1e6 / 10
        assert run["delta_perf"] == pytest.approx(gain)
        assert [point["step"] for point in run["curve"]] == [0, 5, 10, 15, 20]
    log = next((program.path / ".sweep" / "logs").glob("toy-00-*"))
    assert "the program of toy-00-" in log.read_text()
    assert '{"step": 20, "accuracy":' in log.read_text()
    folder = next((program.path / ".sweep" / "runs").glob("toy-placebo-00-*"))
    assert json.loads((folder / "config.json").read_text())["learning_rate"] == 0
    file = program.path / "experiments" / "program.py"
    file.write_text(file.read_text() + "# changed\n")
    changed = program.run("--sweep", "toy", executor="local")
    said = r"0 in the store \(3 more not counted: \S*program.py changed since\)"
    assert re.search(said, changed.stdout.str())


def test_a_program_that_fails_is_one_line(program):
    (program.path / "experiments" / "program.py").write_text("import sys; sys.exit('no GPU')")
    result = program.run("--sweep", "toy", executor="local")
    assert "program.py --learning_rate=" in result.stdout.str()
    assert "ended with status 1; it last said: no GPU" in result.stdout.str()


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "inline"])
def test_a_program_that_is_out_of_time_is_ended_with_what_it_has_started(
    program, executor, monkeypatch
):
    monkeypatch.setenv("SLEEPS", "1")
    result = program.run(
        "--sweep", "toy", "--sweep-timeout", "3", "--sweep-retries", "0", "--sweep-arms", "none",
        "--sweep-runs", "1",
        executor=executor,
    )  # fmt: skip
    assert "stopped at its timeout of 3 s" in result.stdout.str()
    pids = (program.path / "experiments" / "pids").read_text().split()
    assert len(pids) == 2
    assert all(is_gone(int(pid)) for pid in pids)
