"""What a session asks of this machine before it trains."""

from dataclasses import replace

import pytest

from harness.errors import UsageError
from harness.executors import memory as found
from harness.records import Conditions
from harness.session import jobs
from harness.session.jobs import check_trainable, memory_of
from harness.session.settings import Settings
from harness.sweeps.plan import Plan, Selection
from harness.training import backends
from tests.executors.nvidia_smi import write_smi
from tests.session.fakes import make

GIB = 2**30
GPUS = "0, GPU-0, Card, 24576 MiB\n1, GPU-1, Card, 24576 MiB\n"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Have a machine with 8 GiB of free memory and two GPUs of 24 GiB."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(write_smi(tmp_path / "bin", query=GPUS, listing="")))
    monkeypatch.setattr(found, "free", lambda: found.Free(8 * GIB, 16 * GIB))


@pytest.fixture
def compared(monkeypatch, tmp_path, machine):
    """Return what the memory of a language model's runs is, as a session with settings finds it."""
    monkeypatch.setattr(backends, "devices_here", lambda backend: ("cpu", "cuda:0", "cuda:1"))
    seen = []
    monkeypatch.setattr(jobs, "check_configs", lambda planned, memory: seen.append(memory))

    def compare(device="auto", model="model", **settings):
        given = Settings(tmp_path, tmp_path, "", tmp_path, **settings)
        check_trainable(planned(device, model), given)
        return [(part.kind, part.available // GIB, part.runs) for part in seen.pop()]

    return compare


def planned(device="auto", model="model", runs=9):
    sweep = replace(make(runs=runs), trainer=None)
    conditions = Conditions("", "", "torch", "float32", device, "", "", "", model_source=model)
    return Plan(sweep, Selection(), conditions, {run.id: run for run in sweep.plan()})


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, [("cpu", 8, 2), ("cuda", 24, 2)]),
        ({"workers": 12}, [("cpu", 8, 9), ("cuda", 24, 9)]),
        ({"executor": "inline", "workers": 4}, [("cpu", 8, 1), ("cuda", 24, 1)]),
        ({"device": "cpu"}, [("cpu", 8, 2)]),
        ({"device": "cuda:1", "workers": 3}, [("cuda", 24, 3)]),
        ({"device": "cuda", "workers": None, "gpus": 2, "per_gpu": 4}, [("cuda", 24, 4)]),
        ({"device": "cuda", "workers": 2, "gpus": 2, "per_gpu": 4}, [("cuda", 24, 1)]),
        ({"device": "cuda", "workers": None, "gpus": ("1",)}, [("cuda", 24, 1)]),
        ({"executor": "ray"}, []),
        ({"executor": "ray", "device": "cuda", "gpus": 2}, []),
        ({"model": ""}, []),  # the embedded task's
    ],
)
def test_runs_share_the_memory_of_where_they_are(compared, given, found):
    assert compared(**given) == found


def test_gpus_that_are_not_here_are_told_before_training(compared):
    with pytest.raises(UsageError, match="3 GPUs were asked for, but there are 2 GPUs here"):
        compared(device="cuda", gpus=3)


def test_a_plan_is_of_one_run_at_a_time(machine):
    parts = memory_of(planned(), 1)
    assert [(part.kind, part.runs) for part in parts] == [("cpu", 1), ("cuda", 1)]


def test_what_needs_no_memory_looks_for_none(monkeypatch):
    monkeypatch.setattr(found, "shared", lambda *given, **more: pytest.fail("it was looked for"))
    assert memory_of(planned(model=""), 1) == ()
