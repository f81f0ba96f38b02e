"""Worker processes and the session that started them, when either goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from multiprocessing import Pipe
from pathlib import Path

import psutil
import pytest

from harness.executors import make_executor, worker
from harness.protocols import Finished, Progressed, Started
from harness.records import Progress
from tests.executors.contract import drain, make_job
from tests.processes import is_gone, wait_for

ROOT = Path(__file__).parents[2]


SESSION = """
import sys
sys.path[:] = {path!r}
from pathlib import Path
from harness.executors import make_executor
from harness.protocols import Started
from tests.executors.contract import make_job

folder = Path({folder!r})
executor = make_executor("local", 2)
executor.submit([make_job(folder, index, {trainer!r}) for index in (1, 1)])
began = 0
try:
    while True:
        began += sum(isinstance(event, Started) for event in executor.poll(1))
        if began == 2:
            began = 0
            workers = [worker.process.pid for worker in executor._pool]
            (folder / "workers").write_text(" ".join(map(str, workers)))
except KeyboardInterrupt:
    executor.close()
    print("interrupted", flush=True)
"""


@pytest.fixture
def session(tmp_path):
    """Start a session of two workers in a process group of its own; give it and its workers."""
    started, orphans = [], []

    def start(trainer):
        code = SESSION.format(path=[str(ROOT), *sys.path], folder=str(tmp_path), trainer=trainer)
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, process_group=0
        )
        started.append(process)
        pids = [int(pid) for pid in wait_for(tmp_path / "workers").split()]
        assert len(pids) == 2
        orphans.extend(pids)
        return process, pids

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()
    for pid in orphans:
        if not is_gone(pid, 0):
            psutil.Process(pid).kill()


@pytest.mark.parametrize("trainer", ["hangs", "hangs_reporting", "hangs_deaf", "has_children"])
def test_a_session_that_is_killed_leaves_no_orphan(session, tmp_path, trainer):
    process, pids = session(trainer)
    if trainer == "has_children":
        pids.append(int(wait_for(tmp_path / "child")))
    process.kill()
    process.wait()
    assert all(is_gone(pid) for pid in pids)


def test_ctrl_c_is_the_sessions_to_decide(session):
    process, pids = session("hangs")
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=10)[0] == "interrupted\n"
    assert process.returncode == 0
    assert all(is_gone(pid, 1) for pid in pids)


def test_a_session_that_ends_without_closing_leaves_no_orphan(session):
    process, pids = session("hangs")
    process.terminate()
    process.wait()
    assert all(is_gone(pid) for pid in pids)


def test_a_parent_that_does_not_read_holds_up_no_progress(monkeypatch):
    monkeypatch.setattr(worker, "QUIET", 0.0)
    ours, theirs = Pipe()
    with ours, theirs:
        sender = worker._Sender(theirs, sys.exit)

        def report():
            for step in range(20_000):  # far more than a pipe takes
                sender.notify("key", Progress("train", step, 20_000))

        trainer = threading.Thread(target=report, daemon=True)
        trainer.start()
        trainer.join(30)
        assert not trainer.is_alive()
        read = 0
        while ours.poll():
            ours.recv()
            read += 1
        assert 0 < read < 20_000


def test_events_say_when_a_run_began(tmp_path):
    executor = make_executor("local", 1)
    try:
        executor.submit([make_job(tmp_path, 0, "slow"), make_job(tmp_path, 1)])
        first = executor.poll(10)
        assert first == [Started("key-0")] or isinstance(first[1], Progressed)
        rest = drain(executor, 2)
        assert sum(isinstance(event, Finished) for event in rest) == 2
    finally:
        executor.close()
