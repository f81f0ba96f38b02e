"""A sweep that trains a language model: `--sweep-model` and `--sweep-task`."""

import json
import os
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase

import pytest

from tests.conftest import ROOT
from tests.executors.nvidia_smi import write_smi

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
    subprocess.run([sys.executable, "-c", WRITE, str(folder)], check=True, cwd=ROOT)
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


def sweep(project, *options, name="small", model="model", task="sums.jsonl"):
    given = ["--sweep", name, "--sweep-executor", "inline", *options]
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


def changed(folder, **settings):
    """Change a model's config, and return its folder."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


def lines(project, name, *added, settings=""):
    """Write a task: the settings, lines that are added, and the sums."""
    first, *rest = (project.path / "sums.jsonl").read_text().splitlines()
    first = first.replace('"max_tokens"', f'{settings}"max_tokens"')
    (project.path / name).write_text("\n".join([first, *added, *rest]))


def write_bad(project):
    """Write models and tasks that cannot be used, each for one reason, beside those that can."""
    path, model = project.path, project.path / "model"
    for name in ("cut", "t5", "odd", "notok", "huge", "endless", "wordless"):
        shutil.copytree(model, path / name)
    whole = (model / "model.safetensors").read_bytes()
    (path / "cut" / "model.safetensors").write_bytes(whole[:-100])
    changed(path / "t5", model_type="t5", architectures=["T5ForConditionalGeneration"])
    changed(path / "odd", rope_parameters={"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0})
    changed(path / "huge", vocab_size=2**28, hidden_size=2**14)
    for file in (path / "notok").glob("token*"):
        file.unlink()
    changed(path / "endless", eos_token_id=None)
    (path / "endless" / "generation_config.json").unlink()
    tokens = path / "endless" / "tokenizer_config.json"
    tokens.write_text(json.dumps(json.loads(tokens.read_text()) | {"eos_token": None}))
    (path / "wordless" / "chat_template.jinja").unlink()
    (path / "words").mkdir()
    (path / "small.gguf").write_bytes(b"GGUF")
    (path / "empty.jsonl").write_text("")
    lines(project, "bad.jsonl", "{oops")
    lines(project, "other.jsonl", '{"question": "7+1="}')
    lines(project, "long.jsonl", '{"prompt": "' + "x" * 600 + '", "answer": "1"}')
    lines(project, "chat.jsonl", settings='"chat": true, ')
    (path / "held.jsonl").write_text('{"prompt": "9+1=", "answer": "10"}')
    lines(project, "known.jsonl", settings='"held_out": "held.jsonl", ')
    declare(project, "lora", "lora_rank=2, lora_modules=('q_prj', 'v_proj')")
    declare(project, "long", "max_tokens=600")


def declare(project, name, more):
    """Declare the same sweep by another name, with more in its space."""
    text = FILE.replace("small", name).replace("generations=4", f"generations=4, {more}")
    (project.path / "experiments" / f"test_{name}.py").write_text(text)


BOTH = [
    ({"model": "words"}, "words has no config.json, so it is no model in transformers' format"),
    ({"model": "./modle"}, "modle does not exist; did you mean 'model'?"),
    ({"model": "sums.jsonl"}, "sums.jsonl' is a file; expected a folder in transformers' format"),
    ({"model": "cut"}, "model.safetensors is not a whole file of safetensors"),
    ({"model": "notok"}, "model 'notok' has no tokeniser that can be read"),
    ({"model": "endless"}, "model 'endless' has no end token: set eos_token"),
    ({"model": "wordless", "task": "chat.jsonl"}, "is a chat, and the tokeniser has no chat templ"),
    ({"model": "huge"}, "of memory are free: take a smaller model"),
    ({"model": None}, "sums.jsonl' is for a language model, and none is named: --sweep-model DIR"),
    ({"task": None}, "no task is named; a language model needs a task of text: --sweep-task FILE"),
    ({"task": "addition"}, "task 'addition' is for a small decoder"),
    ({"task": "sum.jsonl"}, "sum.jsonl cannot be read"),
    ({"task": "empty.jsonl"}, "empty.jsonl is empty; expected lines like"),
    ({"task": "bad.jsonl"}, "bad.jsonl:2: not JSON"),
    ({"task": "other.jsonl"}, "other.jsonl:2: no 'prompt'; the line has question"),
    ({"task": "known.jsonl"}, "held.jsonl:1: this held-out prompt is also trained on (known.jsonl"),
    ({"task": "long.jsonl"}, "has 600 tokens, with max_tokens 3 more than the 512 that model"),
    ({"name": "long"}, "sweep 'long': task 'sums': prompt"),
    ({"name": "lora"}, "sweep 'lora': lora_modules has 'q_prj'; the linear layers of this model a"),
]
TORCH = [({"model": "t5"}, "model 't5' is no causal language model that transformers can make")]
JAX = [
    ({"model": "t5"}, "model_type is 't5'; the JAX backend computes llama, mistral, qwen2"),
    ({"model": "odd"}, "rope_type is 'yarn'; the JAX backend computes default, linear, llama3"),
    ({"model": "small.gguf"}, "is a GGUF file, which Torch alone trains from: --sweep-backend"),
]

PLAN_ALL = """
import json, sys
from harness import cli
for line in json.loads(sys.argv[1]):
    try:
        status = cli.main(line)
    except SystemExit as left:
        status = left.code
    print(f"[{status}]", file=sys.stderr, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "cases"), [("torch", BOTH + TORCH), ("jax", BOTH + JAX)])
def test_sweep_plan_refuses_each_mistake_in_one_line(project, backend, cases):
    write_bad(project)
    asked = []
    for given, _ in [*cases, ({}, "")]:
        case = {"name": "small", "model": "model", "task": "sums.jsonl"} | given
        line = ["plan", case["name"], "--backend", backend]
        asked.append(line + [f"--{of}={case[of]}" for of in ("model", "task") if case[of]])
    # The backends here compute on the CPU. A GPU that is too small, which they do not see, is none.
    small = write_smi(project.path / "bin", query="0, GPU-0, Card, 1 MiB\n", listing="")
    path = f"{small}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", PLAN_ALL, json.dumps(asked)],
        cwd=project.path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stderr.split("[2]\n")
    assert [one.count("\n") for one in said[:-1]] == [1] * len(cases)
    for (_, expected), one in zip(cases, said, strict=False):
        assert one.startswith("sweep: error: ")
        assert expected in one
    assert said[-1] == "[0]\n"  # and what is right is planned
    assert not (project.path / ".sweep" / "store.db").exists()


PYTEST_ALL = """
import json, sys
import pytest
for line in json.loads(sys.argv[1]):
    status = pytest.main(["-p", "harness.plugin", "experiments", "--sweep-executor", *line])
    print(f"[{int(status)}]", file=sys.stderr, flush=True)
"""

BEFORE_TRAINING = [
    *[case for case in BOTH if not {"notok", "wordless", "huge"} & {case[0].get("model")}][::3],
    ({"name": "lora"}, "lora_modules has 'q_prj'"),
    ({"model": "t5"}, "model 't5' is no causal language model"),
    ({"model": "odd", "options": ["inline", "--sweep-backend", "jax"]}, "is 'yarn'; the JAX"),
    (
        {"model": "huge", "options": ["local", "--sweep-workers", "3"]},
        " weights, and training it takes at least *, * for 3 workers; * of memory are free: *",
    ),
]


@pytest.mark.slow
def test_pytest_refuses_the_same_before_training(project):
    """One process has all the sessions: it imports Torch and transformers once."""
    write_bad(project)
    asked = []
    for given, _ in BEFORE_TRAINING:
        case = {"name": "small", "model": "model", "task": "sums.jsonl"} | given
        options = given.get("options", ["inline", "--sweep-backend", "torch"])
        named = [f"--sweep-{of}={case[of]}" for of in ("model", "task") if case[of]]
        asked.append([*options, "--sweep", case["name"], *named])
    done = subprocess.run(
        [sys.executable, "-c", PYTEST_ALL, json.dumps(asked)],
        cwd=project.path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    sessions = done.stderr.split(f"[{int(pytest.ExitCode.USAGE_ERROR)}]\n")
    assert len(sessions) == len(asked) + 1, done.stderr
    for (_, said), one in zip(BEFORE_TRAINING, sessions, strict=False):
        expected = f"ERROR: *{said.replace('[', '[[]')}*"
        assert any(fnmatchcase(line, expected) for line in one.splitlines()), (said, one)
    assert "Traceback" not in done.stderr + done.stdout
    assert not (project.path / ".sweep" / "store.db").exists()
