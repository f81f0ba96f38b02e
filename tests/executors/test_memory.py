"""The memory that runs have: of the machine, of a control group, of GPUs."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from harness.errors import UsageError
from harness.executors import memory as module
from harness.executors.memory import Free, free, groups, shared
from tests.executors.nvidia_smi import CUT_UP

GIB = 2**30
UNLIMITED = 9223372036854771712
MACHINE = Free(1000, 2000)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Have a machine of 2,000 bytes, 1,000 of them free."""
    has = SimpleNamespace(available=MACHINE.available, total=MACHINE.total)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: has)


# ---- control groups ------------------------------------------------------------------------------


def write(system, cgroup, groups, version):
    """Write the files of control groups, each with its limit, what it uses and its file cache."""
    top = system / "sys/fs/cgroup" / ("memory" if version == 1 else ".")
    total, limit_in, used_in = (
        ("total_", "memory.limit_in_bytes", "memory.usage_in_bytes")
        if version == 1
        else ("", "memory.max", "memory.current")
    )
    for path, (limit, used, inactive, active) in groups.items():
        folder = top / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / limit_in).write_text(f"{limit}\n")
        (folder / used_in).write_text(f"{used}\n")
        lines = [f"{total}inactive_file {inactive}", f"{total}active_file {active}", "anon 7"]
        lines += ["inactive_file 0", "active_file 0"] if version == 1 else []  # its own alone
        (folder / "memory.stat").write_text("\n".join([*lines, ""]))
    (system / "proc/self").mkdir(parents=True)
    (system / "proc/self/cgroup").write_text(cgroup)


VERSIONS = pytest.mark.parametrize(
    ("version", "cgroup"),
    [(1, "9:cpu:/a/c\n4:hugetlb,memory:/a/b\n0::/\n"), (2, "0::/a/b\n")],
)


@VERSIONS
@pytest.mark.parametrize(
    ("found", "left"),
    [
        ({"a/b": (800, 500, 100, 50)}, Free(450, 800, of_group=True)),
        ({"a/b": (800, 700, 0, 0), "a": (900, 850, 0, 0)}, Free(50, 900, of_group=True)),
        ({"a/b": (800, 790, 0, 0), "a": (900, 850, 0, 0)}, Free(10, 800, of_group=True)),
        ({"": (300, 100, 0, 0)}, Free(200, 300, of_group=True)),  # a container's own
        ({"a/b": (800, 900, 0, 0)}, Free(0, 800, of_group=True)),
        ({"a/b": (800, 100, 500, 0)}, Free(800, 800, of_group=True)),
        ({"a/b": (1900, 100, 0, 0)}, MACHINE),
        ({"a/b": (UNLIMITED, 100, 0, 0), "a": ("max", 1, 0, 0)}, MACHINE),
        ({"a/b": ("max", 100, 0, 0), "": (700, 300, 0, 0)}, Free(400, 700, of_group=True)),
        ({"a/c": (10, 0, 0, 0)}, MACHINE),  # somebody else's
        ({"a/b": ("", 0, 0, 0)}, MACHINE),
        ({"a/b": (10, "?", 0, 0)}, MACHINE),
    ],
)
def test_the_free_memory_is_that_of_the_tightest_group_or_the_machine(
    tmp_path, version, cgroup, found, left
):
    write(tmp_path, cgroup, found, version)
    assert free(tmp_path) == left


@VERSIONS
@pytest.mark.parametrize("lacks", ["limit", "use", "memory.stat", "lines"])
def test_a_group_whose_files_cannot_be_read_has_no_limit(tmp_path, version, cgroup, lacks):
    write(tmp_path, cgroup, {"a/b": (10, 5, 0, 0), "": (500, 100, 0, 0)}, version)
    folder = next(tmp_path.glob("**/a/b"))
    if lacks == "lines":
        (folder / "memory.stat").write_text("anon 7\n")
    else:
        names = {"limit": ["memory.max", "memory.limit_in_bytes"]}
        names["use"] = ["memory.current", "memory.usage_in_bytes"]
        for name in names.get(lacks, [lacks]):
            (folder / name).unlink(missing_ok=True)
            (folder / name).mkdir()  # reading it raises OSError, for root too
    assert free(tmp_path) == Free(400, 500, of_group=True)


def test_without_control_groups_the_machine_counts(tmp_path):
    assert free(tmp_path) == MACHINE
    write(tmp_path, "0::/../../proc\n", {"": (300, 100, 0, 0)}, 2)
    assert [folder for folder, _ in groups(tmp_path)] == [tmp_path / "sys/fs/cgroup"]
    assert free(tmp_path).available == 200
    (tmp_path / "proc/self/cgroup").write_text("nonsense\n0::/\n")
    assert free(tmp_path) == MACHINE


def test_of_this_machine_it_is_some(monkeypatch):
    monkeypatch.undo()
    found = free()
    assert 0 < found.available <= psutil.virtual_memory().total
    assert found.available <= found.total


# ---- what runs share -----------------------------------------------------------------------------


def listed(*gibibytes):
    """Return what nvidia-smi says of GPUs with so much memory."""
    return "".join(f"{i}, GPU-{i}, Card {g}, {g * 1024} MiB\n" for i, g in enumerate(gibibytes))


def parts(*given, **more):
    return [(part.kind, part.available, part.runs, part.option) for part in shared(*given, **more)]


HOST = ("cpu", 1000, 2, "--sweep-workers")
CARD = ("cuda", 80 * GIB, 2, "--sweep-workers")


@pytest.mark.parametrize(
    ("device", "found"),
    [
        ("auto", [HOST, CARD]),
        ("cpu", [HOST]),
        ("cuda", [CARD]),
        ("cuda:1", [CARD]),
        ("cuda:2", []),
        ("tpu", []),
    ],
)
def test_a_device_says_whose_memory_counts(smi, device, found):
    smi(query=listed(80, 80), listing="")
    assert parts(device, 2, 9) == found


def test_no_more_runs_share_a_memory_than_there_are(smi):
    smi(query=listed(80), listing="")
    assert [part[2] for part in parts("auto", 5, 3)] == [3, 3]
    assert [part[2] for part in parts("auto", None, 3)] == [1, 1]


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "tpu:0"])
def test_where_there_is_no_driver_there_is_no_gpu(tmp_path, monkeypatch, device):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert parts(device, 2, 9) == ([HOST] if device in ("auto", "cpu") else [])


@pytest.mark.parametrize("device", ["cpu", "tpu"])
def test_a_driver_is_not_asked_in_vain(tmp_path, monkeypatch, device):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho asked > {tmp_path / 'asked'}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    shared(device, 2, 9)
    assert not Path(tmp_path / "asked").exists()
    shared("auto", 2, 9)
    assert Path(tmp_path / "asked").exists()


@pytest.mark.parametrize(
    ("sizes", "gpus", "per_gpu", "workers", "runs", "found"),
    [
        ((80, 80), 2, 1, None, 9, (80, 1)),
        ((80, 80), 2, 4, None, 9, (80, 4)),
        ((80, 80), 2, 4, None, 5, (80, 3)),
        ((80, 80), 2, 4, 2, 9, (80, 1)),
        ((80, 80), 2, 4, 3, 9, (80, 2)),
        ((80, 24), 2, 1, None, 9, (24, 1)),
        ((80, 24), 2, 1, None, 1, (80, 1)),  # the second is never used
        ((80, 24), 2, 4, 3, 9, (24, 1)),
        ((80, 60), 2, 4, 3, 9, (80, 2)),
        ((80, 24), ("1",), 2, None, 9, (24, 2)),
        ((80, 24), 1, 2, None, 9, (80, 2)),
    ],
)
def test_on_gpus_of_their_own_as_many_share_one_as_are_placed_there(
    smi, sizes, gpus, per_gpu, workers, runs, found
):
    smi(query=listed(*sizes), listing="")
    size, sharers = found
    assert parts("cuda", workers, runs, gpus=gpus, per_gpu=per_gpu) == [
        ("cuda", size * GIB, sharers, "--sweep-per-gpu")
    ]


def test_gpus_of_which_nothing_is_known_are_left_out(smi):
    smi()  # the second does not say how much memory it has
    assert [one.available for one in shared("cuda", None, 9, gpus=2)] == [81559 * 2**20]
    assert shared("cuda", None, 9, gpus=["1"]) == ()
    assert shared("cuda", 2, 9) == ()  # CUDA may have any of the two first
    with pytest.raises(UsageError, match="3 GPUs were asked for, but there are 2 GPUs here"):
        shared("cuda", None, 9, gpus=3)


def test_it_says_which_memory_it_is(smi, tmp_path, monkeypatch):
    smi(listing=CUT_UP)
    (part,) = shared("cuda", None, 9, gpus=["0:1"])
    assert part.said == "GPU 0:1 (NVIDIA H100 80GB HBM3 MIG 1g.10gb) has 10.0 GiB"
    assert shared("cpu", 1, 9)[0].said == "1,000 bytes of memory are free"
    write(tmp_path, "0::/\n", {"": (300, 100, 0, 0)}, 2)
    monkeypatch.setattr(module, "free", lambda: free(tmp_path))
    said = "200 bytes of memory are free in this control group (cgroup)"
    assert shared("cpu", 1, 9)[0].said == said
