"""A Ray of the session's own, from its start to its end; and addresses where there is none."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from harness.errors import BackendError, UsageError
from harness.executors import make_executor
from tests.executors.nvidia_smi import write_smi
from tests.executors.test_local import ROOT
from tests.processes import is_gone, wait_for

pytestmark = pytest.mark.ray

SESSION = """
import os, signal, sys, time
sys.path[:] = {path!r}
from pathlib import Path
from harness.executors import make_executor
from harness.protocols import Finished, Started
from tests.executors.contract import drain, make_job, outcomes

def told(*_):
    raise SystemExit(3)

folder = Path({folder!r})
signal.signal(signal.SIGTERM, told)
executor = make_executor("ray", 2)
executor.submit([make_job(folder, index, {trainer!r}) for index in (0, 2)])
drain(executor, 2, 300)
assert signal.getsignal(signal.SIGTERM) is told
executor.submit([make_job(folder, 1, {trainer!r}), make_job(folder, 3, "hangs_deaf")])
try:
    began = 0
    while began < 2:
        began += sum(isinstance(event, Started) for event in executor.poll(1))
    time.sleep(0.3)
    (folder / "ready").write_text("now")
    while {waits!r}:
        executor.poll(5)
except KeyboardInterrupt:
    print("interrupted", flush=True)
executor.close()
"""


class Session:
    """A process with a Ray of its own, whose workers hang, and all that it has started."""

    def __init__(self, folder, trainer="hangs", waits=True):
        code = SESSION.format(
            path=[str(ROOT), *sys.path], folder=str(folder), trainer=trainer, waits=waits
        )
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        wait_for(folder / "ready", 120)
        everything = psutil.Process(self.process.pid).children(recursive=True)
        agents = {child for child in everything if "Agent" in "".join(_words(child))}
        self.agents = {child.pid for child in agents}
        self.children = {child.pid for child in everything} - self.agents
        homes = {word for p in everything for word in _words(p) if word.startswith("/tmp/sweep-")}
        self.homes = {Path(*Path(home).parts[:3]) for home in homes}

    def ends(self):
        """Wait for its end, which leaves nothing; return what it printed."""
        said = self.process.communicate(timeout=60)[0]
        assert all(is_gone(pid, 20) for pid in self.children)
        assert all(is_gone(pid, 20) for pid in self.agents)
        return said


def _words(process):
    try:
        return [word.partition("=")[2] or word for word in process.cmdline()]
    except psutil.Error:
        return []


@pytest.fixture
def session(tmp_path):
    started = []

    def start(**options):
        started.append(Session(tmp_path, **options))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        one.process.stdout.close()


@pytest.fixture(scope="session")
def lingering():
    """Agents of Ray that look once a minute whether it lives: they must end by then.

    That is looked at after all tests, which run in that minute.
    """
    agents = set()
    yield agents
    assert all(is_gone(pid, 90) for pid in agents)


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 3)])
def test_a_session_that_is_killed_leaves_no_process(session, lingering, sent, status):
    one = session()
    if sent is signal.SIGKILL:
        lingering |= one.agents
        one.agents = set()
    one.process.send_signal(sent)
    one.ends()
    assert one.process.returncode == status


@pytest.mark.slow
def test_it_is_started_for_the_session_and_ends_with_it_without_a_word(session):
    one = session(waits=False)
    assert len(one.homes) == 1
    assert one.ends() == ""
    assert one.process.returncode == 0
    assert not any(home.exists() for home in one.homes)
    logs = one.folder / "logs"
    assert (logs / "ray" / "raylet.out").stat().st_size > 0
    assert {log.name for log in logs.glob("*.log")} == {f"s-0{i}.log" for i in range(4)}


@pytest.mark.slow
def test_ctrl_c_is_the_sessions_to_decide(session):
    one = session()
    os.killpg(one.process.pid, signal.SIGINT)
    assert one.ends() == "interrupted\n"
    assert one.process.returncode == 0


def test_nothing_is_started_before_the_first_job():
    import ray

    before = set(psutil.Process().children(recursive=True))
    executor = make_executor("ray", 3)
    assert executor.workers == 3
    assert executor.poll(5) == []
    assert executor.close() == []
    assert set(psutil.Process().children(recursive=True)) <= before
    assert not ray.is_initialized()


def test_where_it_cannot_be_started_each_run_says_so(tmp_path, monkeypatch):
    import ray

    from tests.executors.contract import drain, make_job, outcomes

    tried = []

    def init(*_, **__):
        tried.append(1)
        raise RuntimeError("the object store\nhas no memory")

    monkeypatch.setattr(ray, "init", init)
    executor = make_executor("ray")
    executor.submit([make_job(tmp_path, index) for index in range(3)])
    ended = outcomes(drain(executor, 3))
    executor.close()
    for outcome in ended.values():
        assert outcome.status == "failed"
        assert outcome.error == (
            "Ray cannot be started here: RuntimeError: the object store has no memory"
        )
    assert len(tried) == 2


GPUS = """
import sys
sys.path[:] = {path!r}
from pathlib import Path
from harness.executors import make_executor
from tests.executors.contract import drain, make_job, outcomes

folder = Path({folder!r})
executor = make_executor("ray", None, gpus=["1", "0"], per_gpu=2)
assert executor.workers == 4
executor.submit([make_job(folder, i, "sees_device", alone=i == 8) for i in range(9)])
ended = outcomes(drain(executor, 9, 300))
executor.close()
for index in range(9):
    print(ended[index].error or Path(folder, "logs", f"s-0{{index}}.log").read_text().strip())
"""


@pytest.mark.slow
def test_a_run_sees_its_own_gpu_and_one_that_is_to_be_alone_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{write_smi(tmp_path / 'bin')}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    code = GPUS.format(path=[str(ROOT), *sys.path], folder=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    shared, alone = rows[:8], rows[8]
    both = {"GPU-aaaa1111-2222", "GPU-bbbb1111-2222"}
    assert {row[0] for row in shared} == both
    assert {row[1] for row in shared} == {"0.450"}
    assert alone[0] in both
    assert alone[1] == "0.900"
    begun, over = float(alone[-2]), float(alone[-1])
    beside = [row for row in shared if row[0] == alone[0]]
    assert all(float(row[-1]) <= begun or float(row[-2]) >= over for row in beside)


def test_gpus_that_are_not_here_or_that_a_cluster_chooses(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(write_smi(tmp_path)))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(UsageError, match="7 GPUs were asked for, but there are 2 GPUs here"):
        make_executor("ray", gpus=7)
    with pytest.raises(UsageError, match="--sweep-gpus 0,1 names GPUs, but on a cluster"):
        make_executor("ray", gpus=["0", "1"], address="auto")


@pytest.mark.parametrize("address", ["nonsense", "a b:1", "http://here:1", "here", ":1", "ray://x"])
def test_what_is_no_address(address):
    with pytest.raises(UsageError) as caught:
        make_executor("ray", address=address)
    assert str(caught.value) == (
        f"Ray address {address!r} is not an address: give auto, HOST:PORT, or ray://HOST:PORT"
    )


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_listens(scheme, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)  # as if grpc were here
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(UsageError) as caught:
        make_executor("ray", address=f"{scheme}127.0.0.1:{port}")
    assert time.monotonic() - began < 5
    assert str(caught.value) == (
        f"no Ray cluster at '{scheme}127.0.0.1:{port}': ConnectionRefusedError: [Errno 111] "
        "Connection refused; give the address that 'ray start --head' printed, or leave it out"
    )


def test_an_address_that_something_else_listens_at(monkeypatch):
    from harness.executors import cluster

    monkeypatch.setattr(cluster, "CHECK", 4.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []
        listening = threading.Thread(target=lambda: held.append(server.accept()[0]), daemon=True)
        listening.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"no Ray cluster at '{address}': no answer in 4 s"):
            make_executor("ray", address=address)
        for connection in held:
            connection.close()


def test_no_cluster_to_be_found(monkeypatch):
    import ray._private.services as services

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # "auto" finds any Ray on this machine, and other tests may have one running now.
    monkeypatch.setattr(services, "find_gcs_addresses", set)
    monkeypatch.setattr(services, "find_bootstrap_address", lambda *_: None)
    with pytest.raises(UsageError) as caught:
        make_executor("ray", address="auto")
    assert str(caught.value).startswith("no Ray cluster at 'auto': ")
    assert "start one with 'ray start --head'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cluster_of_another_version(monkeypatch):
    from harness.executors import cluster

    said = (
        "Traceback (most recent call last):\n  File\n"
        "RuntimeError: Ray version mismatch: the cluster has 2.60.0 but here is 2.44.1\n"
    )
    checked = subprocess.CompletedProcess([], 1, stdout="", stderr=said)
    monkeypatch.setattr(cluster.subprocess, "run", lambda *_, **__: checked)
    monkeypatch.setattr(cluster, "_reach", lambda address: None)
    with pytest.raises(UsageError) as caught:
        make_executor("ray", address="head:6379")
    assert str(caught.value) == (
        "no Ray cluster at 'head:6379': RuntimeError: Ray version mismatch: the cluster has 2.60.0 "
        "but here is 2.44.1; install the same Ray and Python here and on its nodes"
    )


def test_a_client_without_its_library(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"needs Ray's client: pip install 'ray\[client\]'"):
        make_executor("ray", address="ray://head:10001")
