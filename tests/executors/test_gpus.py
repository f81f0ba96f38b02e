"""Sessions on GPUs, by a fake list of them, and with a limit of memory."""

from __future__ import annotations

import os

import pytest

from harness.store import Store
from tests.executors.nvidia_smi import write_smi

pytest_plugins = ["pytester"]

GPUS = ["GPU-aaaa1111-2222", "GPU-bbbb1111-2222"]


@pytest.fixture
def two_gpus(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{write_smi(tmp_path / 'bin')}:{os.environ['PATH']}")


def runs_of(sweeps):
    with Store.open(str(sweeps.path / ".sweep" / "store.db"), read_only=True) as store:
        return store.results("toy")


TELLS_GPU = """
import os
def tells(job, notify):
    with open(os.environ["TRAINED"] + ".gpus", "a") as file:
        print(job.run.id, os.environ["CUDA_VISIBLE_DEVICES"], os.getpid(), file=file)
    return trainer(job, notify)
sweep = toy(trainer=tells)
"""


def test_each_run_of_a_session_sees_its_own_gpu(sweeps, two_gpus):
    sweeps.write(body=TELLS_GPU)
    options = ["--sweep", "toy", "--sweep-gpus", "2", "--sweep-per-gpu", "2"]
    result = sweeps.run(*options, executor="local")
    assert result.ret == 0
    assert {run.outcome.status for run in runs_of(sweeps)} == {"completed"}
    told = (sweeps.path / "trained.txt.gpus").read_text().split("\n")[:-1]
    assert len(told) == 11
    gpu_of = {line.split()[2]: line.split()[1] for line in told}
    assert sorted(gpu_of.values()) == sorted(GPUS * 2)


def test_more_gpus_than_there_are_is_a_usage_error_before_anything_is_trained(sweeps, two_gpus):
    sweeps.write()
    result = sweeps.run("--sweep", "toy", "--sweep-gpus", "3", executor="local")
    assert result.ret == 4
    said = result.stderr.str() + result.stdout.str()
    assert "3 GPUs were asked for, but there are 2 GPUs here: 0 (GPU-aaaa1111-2222, NVIDIA" in said
    assert "Traceback" not in said
    assert sweeps.trained == []


OOM_WHILE_SHARING = """
import os, time
def greedy(job, notify):
    share = float(os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"])
    with open(os.environ["TRAINED"] + ".shares", "a") as file:
        print(job.run.index, job.run.arm, share, file=file)
    if job.run.index == 3 and job.run.arm == "main" and share < 0.9:
        raise MemoryError("20 GiB")
    return trainer(job, notify)
sweep = toy(trainer=greedy)
"""


def test_a_run_that_is_out_of_memory_while_sharing_is_tried_again_alone(sweeps, two_gpus):
    sweeps.write(body=OOM_WHILE_SHARING)
    options = ["--sweep", "toy", "--sweep-gpus", "1", "--sweep-per-gpu", "2"]
    result = sweeps.run(*options, executor="local")
    assert result.ret == 0
    assert {run.outcome.status for run in runs_of(sweeps)} == {"completed"}
    shares = (sweeps.path / "trained.txt.shares").read_text().splitlines()
    assert [line for line in shares if line.startswith("3 main")] == ["3 main 0.45", "3 main 0.9"]
    assert sum(line.endswith(" 0.9") for line in shares) == 1


TAKES_MEMORY = """
import time
def greedy(job, notify):
    if job.run.index == 3 and job.run.arm == "main":
        held = b"x" * (300 * 2**20)
        time.sleep(60)
    return trainer(job, notify)
sweep = toy(trainer=greedy)
"""


def test_a_run_that_takes_more_memory_than_it_may_costs_itself_only(sweeps):
    sweeps.write(body=TAKES_MEMORY)
    options = ["--sweep", "toy", "--sweep-memory", "200M", "--sweep-retries", "0"]
    result = sweeps.run(*options, executor="local")
    assert result.ret == 1
    by_status = {}
    for run in runs_of(sweeps):
        by_status.setdefault(run.outcome.status, []).append(run)
    assert len(by_status["completed"]) == 10
    (stopped,) = by_status["oom"]
    assert "MiB of memory, more than the 200.0 MiB that a run may have" in stopped.outcome.error
