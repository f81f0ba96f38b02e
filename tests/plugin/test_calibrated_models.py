"""`sweep calibrate` on a tiny language model, and a session that uses what it found."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.torch, pytest.mark.trl, pytest.mark.slow(seconds=40)]

FILE = """
from harness import LogUniform, Sweep

small = Sweep(
    "small", runs=1, steps=16, seed=1, evaluate_every=16,
    space=dict(learning_rate=LogUniform(1e-7, 4e-7), batch_size=4, generations=8),
)

def test_run(run):
    run.train()
"""

TASK = """
from harness import TextTask

def late(completions):
    \"\"\"Return the share of signs in the later half of the alphabet.\"\"\"
    return [sum(sign > "M" for sign in text) / max(1, len(text)) for text in completions]

task = TextTask.from_records(
    [{"prompt": f"{n}:", "answer": ""} for n in range(60)],
    name="late", rewards=late, max_tokens=6, samples=2,
)
"""

COMMANDS = """
import json, sys
from pathlib import Path
from harness import cli
from tests.training.text import tiny_models

tiny_models.write(Path("model"), "llama")
for line in json.loads(sys.argv[1]):
    assert cli.main(line) == 0
    print("[end]")
"""

GIVEN = "--model model --task task.py:task"


def commands(folder, *lines):
    """Write a model, run ``sweep`` so often beside it, and return what it prints each time.

    One process does all: it imports Torch and transformers once.
    """
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps([shlex.split(line) for line in lines])],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [" ".join(said.split()) for said in done.stdout.split("[end]\n")[:-1]]


def test_a_model_is_calibrated_and_its_sweep_trained_with_what_was_found(sweeps):
    folder = sweeps.path
    (folder / "experiments").mkdir()
    (folder / "experiments" / "test_small.py").write_text(FILE)
    (folder / "task.py").write_text(TASK)
    line = f"calibrate small {GIVEN} --from 1e-3 --to 1e-2 --json"
    planned, said, said_again = commands(folder, f"plan small {GIVEN}", line, line)
    assert "is not calibrated" in planned
    found = json.loads(said)
    assert found["standing"] == "found"
    assert 1e-3 <= found["learning_rate"] <= 1e-2
    assert json.loads(said_again) == found  # from the store
    (entry,) = json.loads((folder / "lr_transfer.json").read_text())["calibrations"]
    assert entry["lr_transfer"] == found["lr_transfer"]
    # A session on the same model and task trains with it, and says so.
    options = GIVEN.replace("--", "--sweep-")
    done = sweeps.run_apart("--sweep", "small", "--sweep-executor", "inline", *options.split())
    done.stdout.fnmatch_lines(["*lr_transfer * is calibrated (lr_transfer.json, sweep small*"])
    report = json.loads((folder / ".sweep/reports/small/report.json").read_text())
    assert report["conditions"]["lr_transfer"] == found["lr_transfer"]
    assert report["runs"][0]["delta_perf"] > 0.05
    page = (folder / ".sweep/reports/small/report.md").read_text()
    assert "times the sweep's, as sweep calibrate found" in page
