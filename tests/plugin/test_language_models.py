"""A sweep that trains a language model: `--sweep-model` and `--sweep-task`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.torch, pytest.mark.trl]

FILE = """
from harness import LogUniform, Sweep
from harness.claims import success_rate

small = Sweep(
    "small", runs=2, steps=2, seed=1, evaluate_every=2, arms=dict(placebo=1),
    space=dict(learning_rate=LogUniform(1e-4, 1e-3), batch_size=2, generations=4),
    questions=dict(half=success_rate.above(0.5)),
)

def test_run(run):
    run.train()

def test_question(question):
    question.judge()
"""


WRITE = """
import sys
from pathlib import Path
from tests.training.text import tiny_models
tiny_models.write(Path(sys.argv[1]), "llama")
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny model, written by another process: this one could not import Torch twice."""
    folder = tmp_path_factory.mktemp("models") / "llama"
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", WRITE, str(folder)], check=True, cwd=root)
    return folder


@pytest.fixture
def project(model, sweeps):
    shutil.copytree(model, sweeps.path / "model")
    (sweeps.path / "experiments").mkdir()
    (sweeps.path / "experiments" / "test_small.py").write_text(FILE)
    lines = ['{"task": {"max_tokens": 3, "samples": 2, "rewards": "exact"}}']
    lines += [f'{{"prompt": "{n}+1=", "answer": "{n + 1}"}}' for n in range(40)]
    (sweeps.path / "sums.jsonl").write_text("\n".join(lines))
    return sweeps


def sweep(project, *options, model="model", task="sums.jsonl"):
    given = ["--sweep", "small", "--sweep-executor", "inline", *options]
    given += ["--sweep-model", model] if model else []
    given += ["--sweep-task", task] if task else []
    return project.run_apart(*given)


@pytest.mark.slow
def test_a_sweep_trains_a_model_and_finds_its_runs_again(project):
    assert sweep(project).parseoutcomes()["passed"] == 3
    report = json.loads((project.path / ".sweep/reports/small/report.json").read_text())
    (placebo,) = (run for run in report["runs"] if run["arm"] == "placebo")
    assert placebo["delta_perf"] == 0
    # A model is known by its content: a copy elsewhere has the same runs, another one none.
    shutil.move(project.path / "model", project.path / "elsewhere")
    moved = (project.path / "elsewhere").rename(project.path / "experiments" / "model")
    again = sweep(project, "--sweep-offline", model=str(moved))
    assert again.parseoutcomes()["passed"] == 3
    (moved / "config.json").write_text((moved / "config.json").read_text() + " ")
    other = sweep(project, "--sweep-offline", model=str(moved))
    other.stdout.fnmatch_lines(["*not trained*"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "modle"}, "*model 'modle'*"),
        ({"task": "sum.jsonl"}, "*sum.jsonl*"),
        ({"task": None}, "*no task is named*--sweep-task FILE.jsonl*"),
        ({"task": "addition"}, "*'addition' is for a small decoder*"),
        ({"model": None}, "*sums.jsonl*"),
    ],
)
def test_mistakes_are_one_line_before_training(project, given, said):
    done = sweep(project, **given)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([said])
    assert not (project.path / ".sweep" / "store.db").exists()


def test_a_prompt_that_does_not_fit_is_refused(project):
    path = project.path / "sums.jsonl"
    path.write_text(path.read_text().replace("39+1=", "39+1=" + "x" * 600))
    done = sweep(project)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*has 60* tokens, with max_tokens 3 more than the 512*"])
