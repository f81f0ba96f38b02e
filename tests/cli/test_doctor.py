"""``sweep doctor``: what is well here, and what to do about what is not."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy
import psutil
import pytest

from harness.cli import common
from harness.doctor import checks as checks_module
from harness.doctor import machine
from harness.executors.memory import Free
from harness.executors.worker import BOOT
from harness.store import Store
from harness.text import byte_size
from tests.factories import make_results


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A project with a store, on a machine that has both backends, whose devices answer at once."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    with Store.open(".sweep/store.db") as store:
        for result in make_results([0.1, None], finished_at="2025-01-01T00:00:00Z"):
            store.save(result)
    for module in (machine, checks_module):
        monkeypatch.setattr(module, "missing_libraries", lambda backend: [])
    monkeypatch.setattr(machine, "devices_here", lambda name, patience: ("cpu",))
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    monkeypatch.setattr(machine, "free", lambda: Free(8 * 10**9, 16 * 10**9))
    return tmp_path


def checks(sweep, line="doctor", status=0):
    code, out, err = sweep(f"{line} --json")
    assert (code, err) == (status, ""), out
    return {check["name"]: check for check in json.loads(out)["checks"]}


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_all_is_well(here, sweep):
    before = files(here)
    status, out, err = sweep("doctor")
    assert (status, err) == (0, "")
    assert re.split("  +", out.splitlines()[0]) == ["check", "result", "what to do"]
    assert out.endswith("\nall is well\n")
    assert "schema 4: 2 runs (1" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    assert "\033" not in out
    # SQLite itself leaves an empty log beside a file that it reads.
    assert {path.name for path in files(here).keys() - before.keys()} <= {
        "store.db-shm", "store.db-wal"}  # fmt: skip
    found = checks(sweep)
    assert {check["level"] for check in found.values()} == {"ok"}
    assert found["integrity"]["found"] == "the database is whole"


def test_without_a_store_nothing_is_made(here, sweep):
    shutil.rmtree(".sweep")
    assert checks(sweep)["store"]["found"].startswith("none yet at ")
    assert not Path(".sweep").exists()


def test_a_store_that_is_no_database_is_broken(here, sweep):
    Path("bad.db").write_text("not a database, and long enough to be taken for one " * 9)
    status, out, _ = sweep("doctor --store bad.db")
    assert status == 1
    assert "error: store" in out
    assert out.endswith("\n1 error\n")


def test_a_damaged_database_is_found(here, sweep):
    path = Path(".sweep/store.db")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=DELETE")
    (root,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'sweep_questions'"
    ).fetchone()
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * page)
        file.write(b"\x0d\x00\x00\x00\x09" + b"\xff" * 200)
    found = checks(sweep, status=1)["integrity"]
    assert found["level"] == "error"
    assert "the database is damaged" in found["found"]
    assert "sweep export" in found["advice"]


def test_who_has_runs_now(here, sweep):
    take = (
        "import os; from harness.store import Store; s = Store.open('.sweep/store.db');"
        "s.acquire('x'); s.acquire('y'); print(os.getpid(), flush=True); input(); os._exit(9)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", take],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as other:  # fmt: skip
        pid = other.stdout.readline().strip()
        found = checks(sweep)["sessions"]["found"]
        other.communicate("\n")
    assert re.fullmatch(rf"2 runs taken by process {pid} on \S+", found)
    assert checks(sweep)["sessions"]["found"] == "2 runs that ended sessions had taken, free again"


def test_a_clock_that_is_behind(here, sweep):
    with Store.open(".sweep/store.db") as store:
        (result,) = make_results([0.3], prefix="late", steps=7)
        store.save(replace(result, finished_at="2999-01-01T00:00:00Z"))
    found = checks(sweep)["clock"]
    assert found["level"] == "warning"
    assert "the newest run finished at 2999" in found["found"]


@pytest.mark.parametrize(("free", "level"), [(2**30, "ok"), (9e8, "warning"), (1e6, "error")])
def test_the_room_on_the_disk(here, sweep, monkeypatch, free, level):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    found = checks(sweep, status=int(level == "error"))["disk of store, cache, logs"]
    assert (found["level"], found["found"]) == (level, f"{byte_size(free)} free")
    assert ("make room" in found["advice"]) == (level != "ok")


def test_a_warning_is_no_failure_unless_strict(here, sweep, monkeypatch):
    monkeypatch.setattr(machine, "free", lambda: Free(5 * 10**8, 16 * 10**9))
    status, out, _ = sweep("doctor")
    assert status == 0
    assert checks(sweep)["memory"]["found"] == "476.8 MiB of 14.9 GiB free"
    assert "memory" in out
    assert "warning: " in out
    assert "what to do" in out
    assert max(map(len, out.splitlines())) <= 80
    assert out.endswith("\n1 warning\n")
    assert sweep("doctor --strict")[0] == 1
    monkeypatch.setattr(common, "colour", lambda: True)
    assert "\033[33mwarning:\033[0m" in sweep("doctor")[1]


def test_the_memory_is_that_of_a_control_group_which_allows_less(here, sweep, monkeypatch):
    monkeypatch.setattr(machine, "free", lambda: Free(2**30, 2**31, of_group=True))
    found = checks(sweep)["memory"]
    said = "1.0 GiB of 2.0 GiB free in this control group (cgroup)"
    assert (found["level"], found["found"]) == ("ok", said)
    assert max(map(len, sweep("doctor")[1].splitlines())) <= 80


def test_what_is_missing_is_named_with_the_command(here, sweep, monkeypatch):
    monkeypatch.setattr(
        checks_module, "_requirements", lambda: ["numpy>=999", "scipy>=1", "not-there>=2"]
    )
    found = checks(sweep, status=1)["versions"]
    assert "not as needed: numpy>=999, not-there>=2" in found["found"]
    assert found["advice"] == 'pip install "numpy>=999" "not-there>=2"'


@pytest.mark.parametrize(
    ("installed", "level"), [({"torch", "safetensors"}, "ok"), ({"optax"}, "warning")]
)
def test_what_a_backend_lacks(here, sweep, monkeypatch, installed, level):
    def missing(backend):
        return [library for library in backend.libraries if library not in installed]

    for module in (machine, checks_module):
        monkeypatch.setattr(module, "missing_libraries", missing)
    found = checks(sweep)["backend jax"]
    assert found["found"].startswith("lacks jax")
    assert found["advice"] == 'pip install "pytest-sweep[jax]", to train by it'
    assert found["level"] == level


def test_a_driver_that_hangs_hangs_nothing_else(here, sweep, monkeypatch, tmp_path):
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text("#!/bin/sh\nexec sleep 20\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{driver.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(machine.shutil, "which", lambda name: str(driver))
    monkeypatch.setattr(machine, "PATIENCE", 0.3)
    began = time.monotonic()
    found = checks(sweep)["GPUs"]
    assert time.monotonic() - began < 15
    assert (found["level"], found["found"]) == ("warning", "no answer in 0.3 s")


def test_a_backend_that_sees_none_of_the_gpus(here, sweep, monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda name: "nvidia-smi")
    monkeypatch.setattr(machine, "devices", lambda: ("0 (GPU-1, H100, 80 GiB)",))
    found = checks(sweep)
    assert found["GPUs"]["found"] == "0 (GPU-1, H100, 80 GiB)"
    assert found["devices of jax"]["level"] == "warning"
    assert (
        'install it for CUDA (pip install "pytest-sweep[jax]")' in found["devices of jax"]["advice"]
    )


def test_workers_whose_session_has_ended(here, sweep, monkeypatch):
    gone = subprocess.run(["true"], check=True) and 2**22 + 1
    commands = {
        11: ["python", "-c", BOOT, "4", "5", str(gone), "[]"],
        12: ["python", "-c", BOOT, "4", "5", str(os.getpid()), "[]"],
        13: ["python", "-c", "print()"],
        14: None,
    }
    processes = [SimpleNamespace(info={"pid": p, "cmdline": c}) for p, c in commands.items()]
    monkeypatch.setattr(psutil, "process_iter", lambda fields: processes)
    found = checks(sweep)["workers"]
    assert found["found"] == "1 of sessions that have ended: process 11"
    assert found["advice"] == "end them: kill -9 11"
    processes.pop(0)
    assert checks(sweep)["workers"]["found"] == "1 process of running sessions"


def test_logs_and_warm_starts(here, sweep, monkeypatch):
    found = checks(sweep)
    assert found["logs"]["found"] == "none"
    assert found["warm start addition"]["found"].startswith("none yet")
    (here / ".sweep" / "logs").mkdir()
    for name in "ab":
        (here / ".sweep" / "logs" / name).write_text("x" * 2000)
    (here / ".sweep" / "cache").mkdir()
    task = checks_module.TASKS["addition"]
    checks_module.cache_file(task, here / ".sweep" / "cache").write_bytes(b"x" * 10)
    monkeypatch.setattr(checks_module, "MANY", 3000)
    found = checks(sweep)
    assert (found["logs"]["level"], found["logs"]["found"]) == ("warning", "2 files, 3.9 KiB")
    assert found["warm start addition"]["found"] == "made, 10 bytes"


def test_what_fails_in_one_check_is_its_result(here, sweep, monkeypatch):
    def broken():
        raise OSError("the disk is on fire")

    monkeypatch.setattr(machine, "workers", broken)
    found = checks(sweep, status=1)
    assert (found["workers"]["level"], found["workers"]["found"]) == (
        "error",
        "the disk is on fire",
    )
    assert "logs" in found


OWN = """
from harness import Sweep, Uniform
from helper import train
own = Sweep("own", runs=3, steps=4, space=dict(learning_rate=Uniform(0.1, 1.0)), trainer=train,
            depends_on=["data.csv"])
"""


def test_it_lists_what_a_training_function_is_made_of(here, sweep, monkeypatch):
    monkeypatch.delitem(sys.modules, "helper", raising=False)
    (here / "experiments").mkdir()
    (here / "experiments" / "test_own.py").write_text(OWN)
    (here / "experiments" / "helper.py").write_text("import numpy\ndef train(job, notify): pass")
    (here / "data.csv").touch()
    found = checks(sweep)["code of own"]
    version = numpy.__version__
    assert found["found"] == f"helper.py, ../data.csv; not part of it: numpy {version}"
    (here / "data.csv").unlink()
    found = checks(sweep, status=1)["code of own"]
    assert (found["level"], "'data.csv'" in found["found"]) == ("error", True)
    (here / "experiments" / "test_own.py").write_text("import no_such_thing")
    found = checks(sweep, status=1)["sweeps"]
    assert found["found"].startswith("not read: experiments/test_own.py:1: ModuleNotFoundError")
