"""The GPUs of this machine, as a fake nvidia-smi prints them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.executors import devices as module
from harness.executors import make_executor
from harness.executors.devices import Device, chosen, devices, environment, of_cuda, visible
from tests.executors.contract import drain, make_job, outcomes
from tests.executors.nvidia_smi import CUT_UP

GIB = 2**30


def test_the_gpus_of_this_machine(smi):
    smi()
    assert devices() == (
        Device("0", "GPU-aaaa1111-2222", "NVIDIA H100 80GB HBM3", 81559 * 2**20),
        Device("1", "GPU-bbbb1111-2222", "NVIDIA GB10", None),
    )


def test_of_a_gpu_that_is_cut_up_there_are_the_parts(smi):
    smi(listing=CUT_UP)
    assert devices() == (
        Device("0:0", "MIG-cccc-1", "NVIDIA H100 80GB HBM3 MIG 3g.40gb", 40 * GIB),
        Device("0:1", "MIG-dddd-2", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", 10 * GIB),
        Device("1", "GPU-bbbb1111-2222", "NVIDIA GB10", None),
    )


def test_without_nvidia_smi_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        make_executor("local", gpus=1)
    assert str(caught.value) == (
        "nvidia-smi, which lists the GPUs, cannot be run (No such file or "
        "directory): install NVIDIA's driver, or leave --sweep-gpus out"
    )


@pytest.mark.parametrize(
    ("query", "code"), [("No devices were found\n", 6), ("No devices were found\n", 0)]
)
def test_what_nvidia_smi_says_instead_is_told(smi, query, code):
    smi(query=query, code=code)
    with pytest.raises(
        UsageError, match=r"nvidia-smi does not list the GPUs: No devices were found$"
    ):
        devices()


def test_an_nvidia_smi_that_does_not_answer(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    with pytest.raises(UsageError, match=r"nvidia-smi does not list the GPUs: no answer in 0\.2 s"):
        devices()


def indices(found):
    return [device.index for device in found]


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        (None, ["0:0", "0:1", "1"]),
        ("", []),
        ("-1", []),
        ("1,0", ["1", "0:0", "0:1"]),
        ("1,7,0", ["1"]),
        ("MIG-dddd-2, GPU-bbbb", ["0:1", "1"]),
        ("MIG-", []),
    ],
)
def test_the_user_s_own_setting_is_respected(smi, setting, left):
    smi(listing=CUT_UP)
    assert indices(visible(devices(), setting)) == left


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (1, ["0:0"]),
        (3, ["0:0", "0:1", "1"]),
        (["1"], ["1"]),
        (["0"], ["0:0", "0:1"]),
        (["0:1", "1"], ["0:1", "1"]),
        (["GPU-bbbb1111-2222", "1", "MIG-cccc-1"], ["1", "0:0"]),
    ],
)
def test_gpus_are_chosen_by_count_index_or_uuid(smi, asked, found):
    smi(listing=CUT_UP)
    assert indices(chosen(asked)) == found


MIXED = "0, GPU-0, T4, 15360 MiB\n1, GPU-1, A100, 40960 MiB\n2, GPU-2, T4, 15360 MiB\n"
ALIKE = MIXED.replace("A100, 40960", "T4, 15360")


@pytest.mark.parametrize(
    ("query", "setting", "order", "found"),
    [
        (ALIKE, None, None, ["0", "1", "2", None]),
        (ALIKE, "2,0", None, ["2", "0", None, None]),
        (ALIKE, "", None, [None] * 4),
        (MIXED, None, None, ["1", "1", "1", None]),
        (MIXED, "0", None, ["1", None, None, None]),  # CUDA's 0 may be the fastest
        (MIXED, "0,1", "PCI_BUS_ID", ["0", "1", None, None]),
        (MIXED.replace("40960 MiB", "[N/A]"), None, None, [None] * 4),
    ],
)
def test_the_gpu_that_cuda_has_under_a_number(smi, monkeypatch, query, setting, order, found):
    smi(query=query, listing="")
    for name, value in (("CUDA_VISIBLE_DEVICES", setting), ("CUDA_DEVICE_ORDER", order)):
        if value is not None:
            monkeypatch.setenv(name, value)
    seen = [of_cuda(number) for number in range(4)]
    assert [None if one is None else one.index for one in seen] == found


def test_without_a_driver_cuda_has_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert of_cuda(0) is None


HERE = "0 (GPU-aaaa1111-2222, NVIDIA H100 80GB HBM3, 80 GiB)"


@pytest.mark.parametrize(
    ("asked", "setting", "says"),
    [
        (
            3,
            None,
            "3 GPUs were asked for, but there are 2 GPUs here: "
            f"{HERE}, 1 (GPU-bbbb1111-2222, NVIDIA GB10)",
        ),
        (
            ["7"],
            None,
            "GPU '7' is not the index or UUID of one; there are 2 GPUs here: "
            f"{HERE}, 1 (GPU-bbbb1111-2222, NVIDIA GB10)",
        ),
        (
            2,
            "0",
            f"2 GPUs were asked for, but there is 1 GPU here (CUDA_VISIBLE_DEVICES is '0'): {HERE}",
        ),
        (
            ["1"],
            "",
            "GPU '1' is not the index or UUID of one; there is no GPU here "
            "(CUDA_VISIBLE_DEVICES is '')",
        ),
    ],
)
def test_more_than_there_are_names_those_there_are(smi, monkeypatch, asked, setting, says):
    smi()
    if setting is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", setting)
    with pytest.raises(UsageError) as caught:
        make_executor("local", gpus=asked)
    assert str(caught.value) == says


def test_what_a_process_is_told(monkeypatch):
    device = Device("0", "GPU-1", "a GPU", None)
    names = ["PREALLOCATE", "MEM_FRACTION"]
    for name in names:
        monkeypatch.delenv(f"XLA_PYTHON_CLIENT_{name}", raising=False)
    assert environment(device, 3) == {
        "CUDA_VISIBLE_DEVICES": "GPU-1",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.300",
    }
    for name in names:
        monkeypatch.setenv(f"XLA_PYTHON_CLIENT_{name}", "0.5")
    assert environment(device, 3) == {"CUDA_VISIBLE_DEVICES": "GPU-1"}
    for name in names:
        monkeypatch.delenv(f"XLA_PYTHON_CLIENT_{name}")
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.5")  # as newer JAX has it: not both
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in environment(device, 3)


def test_what_runs_inline_has_no_gpu_of_its_own():
    with pytest.raises(UsageError, match="'inline' trains in this process, on the device that"):
        make_executor("inline", gpus=1)
    with pytest.raises(UsageError, match="the number of runs a GPU must be at least 1, not 0"):
        make_executor("local", gpus=1, per_gpu=0)


class Sightings:
    """When each job began and ended, on which device, in which process, by what it printed."""

    def __init__(self, jobs, ended):
        self.rows = {}
        for job in jobs:
            device, fraction, pid, begun, done = Path(job.log).read_text().split()
            self.rows[job.run.index] = (device, fraction, pid, float(begun), float(done))
        assert {outcome.status for outcome in ended.values()} == {"completed"}

    def at_once(self):
        """How many jobs ran on one device at the same time, at the most."""
        return max(
            sum(row[0] == device and row[3] <= at < row[4] for row in self.rows.values())
            for device, _, _, at, _ in self.rows.values()
        )

    def beside(self, index):
        """The jobs that ran on the device of this one while it did."""
        device, _, _, begun, done = self.rows[index]
        return [
            other
            for other, (where, _, _, from_, to) in self.rows.items()
            if other != index and where == device and from_ < done and to > begun
        ]


def sightings(jobs, **options):
    executor = make_executor("local", **{"workers": 99} | options)
    try:
        executor.submit(jobs)
        return executor, Sightings(jobs, outcomes(drain(executor, len(jobs), 60)))
    finally:
        executor.close()


def test_each_run_sees_its_own_device(smi, tmp_path):
    smi()
    jobs = [make_job(tmp_path, index, "sees_device") for index in range(10)]
    executor, seen = sightings(jobs, gpus=2, per_gpu=2)
    assert executor.workers == 4
    of_process = {row[2]: row[0] for row in seen.rows.values()}
    assert sorted(of_process.values()) == ["GPU-aaaa1111-2222"] * 2 + ["GPU-bbbb1111-2222"] * 2
    assert all(of_process[pid] == device for device, _, pid, _, _ in seen.rows.values())
    assert {row[1] for row in seen.rows.values()} == {"0.450"}
    assert seen.at_once() <= 2


def test_fewer_workers_may_be_asked_for(smi, tmp_path):
    smi()
    jobs = [make_job(tmp_path, index, "sees_device") for index in range(4)]
    executor, seen = sightings(jobs, gpus=["1", "0"], per_gpu=2, workers=2)
    assert executor.workers == 2
    assert {row[0] for row in seen.rows.values()} == {"GPU-aaaa1111-2222", "GPU-bbbb1111-2222"}
    assert len({row[2] for row in seen.rows.values()}) == 2


@pytest.mark.parametrize("per_gpu", [1, 3])
def test_a_job_that_is_to_be_alone_is_alone(smi, tmp_path, per_gpu):
    smi()
    jobs = [make_job(tmp_path, i, "sees_device", alone=i in (3, 4, 9)) for i in range(14)]
    _, seen = sightings(jobs, gpus=2, per_gpu=per_gpu)
    for index in (3, 4, 9):
        assert seen.beside(index) == []
        assert seen.rows[index][1] == "0.900"
        if per_gpu > 1:  # in a process of its own, that has kept nothing of what ran before
            pid = seen.rows[index][2]
            assert [row[2] for row in seen.rows.values()].count(pid) == 1
    assert {seen.rows[i][1] for i in (0, 1, 13)} == {"0.900" if per_gpu == 1 else "0.300"}


def test_no_other_process_keeps_memory_of_the_device_of_a_job_that_is_alone(smi, tmp_path):
    smi()
    executor = make_executor("local", gpus=1, per_gpu=3, workers=3)
    try:
        executor.submit([make_job(tmp_path, index, "sees_device") for index in range(3)])
        drain(executor, 3)
        executor.submit([make_job(tmp_path, 3, "sees_device", alone=True)])
        assert len(executor._pool) == 1
        drain(executor, 1)
        executor.submit([make_job(tmp_path, index, "sees_device") for index in range(4, 6)])
        assert [worker.alone for worker in executor._pool] == [False, False]
        drain(executor, 2)
    finally:
        executor.close()


def test_without_devices_alone_means_nothing(tmp_path):
    executor = make_executor("local", 2)
    try:
        jobs = [make_job(tmp_path, index, "slow", alone=True) for index in range(4)]
        executor.submit(jobs)
        ended = outcomes(drain(executor, 4))
    finally:
        executor.close()
    assert len({outcome.device for outcome in ended.values()}) == 2
