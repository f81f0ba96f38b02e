"""The live line in pytest's terminal, and what xdist's controller knows of its workers."""

import os
import pty
import subprocess
import sys
from types import SimpleNamespace

import pytest

from harness.plugin.progress import WorkersProgress
from harness.session.progress import Observer, describe
from harness.session.tally import Tally
from tests.session.fakes import make

pytest_plugins = ["pytester"]

SLEEPY = """
import time
from harness import Outcome

def train(job, notify):
    time.sleep(1.7)
    return Outcome("completed", perf_before=0.1, perf_after=0.2, delta_perf=0.1)

sweep = toy(runs=3, arms={}, questions={}, trainer=train)
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", ["--sweep-executor inline", "--sweep-executor local", "-n 1"])
def test_a_terminal_has_a_live_line_while_runs_report_nothing(sweeps, options):
    sweeps.write(body=SLEEPY)
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "pytest", "-p", "harness.plugin", "experiments", "--sweep", "toy"]
    process = subprocess.Popen(
        [*line, *options.split()],
        cwd=sweeps.path,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm"},
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    assert process.wait(60) == 0
    text = said.decode()
    assert "0/3 runs · 0:01 so far" in text
    assert "to go" in text
    assert "best ΔPerf +0.100" in text


class Recorder(Observer):
    def __init__(self):
        self.tallies, self.lines, self.paused = [], [], 0

    def update(self, tally):
        self.lines.append(describe(tally, 0.0, 200))

    def pause(self):
        self.paused += 1


def report(run, when="call", **facts):
    told = {"id": run.id, "status": "completed", "delta_perf": 0.1, "seconds": 5.0, **facts}
    properties = [(f"sweep.{name}", value) for name, value in told.items()]
    return SimpleNamespace(when=when, user_properties=properties)


@pytest.fixture
def workers():
    """The progress of two workers with three runs of four."""
    runs = make(runs=4).plan()
    session = SimpleNamespace(observer=Recorder(), unfinished=lambda: runs, tally=Tally(workers=0))
    watched = WorkersProgress(session)
    watched._tally.timer = lambda: 0.0
    ids = [f"test_s.py::test_run[{run.id}]" for run in runs[:3]]
    for _ in range(2):
        watched.pytest_xdist_node_collection_finished([*ids, "test_s.py::test_question[s-q]"])
    return watched, session.observer, runs


def call(hook):
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(None)


def test_the_controller_counts_the_runs_that_its_workers_report(workers):
    watched, seen, runs = workers
    call(watched.pytest_runtest_logstart())
    assert "0/3 runs" in seen.lines[-1]
    assert "2 running" in seen.lines[-1]
    call(watched.pytest_runtest_logreport(report(runs[1])))
    assert seen.lines[-1].startswith("1/3 runs · 0:05 to go · best ΔPerf +0.100 · 2 running")
    call(watched.pytest_runtest_logreport(report(runs[1], when="teardown")))
    call(watched.pytest_runtest_logreport(report(runs[3])))  # it was stored, or not selected
    assert seen.lines[-1].startswith("1/3 runs")
    call(watched.pytest_runtest_logreport(report(runs[2], status="failed", delta_perf=None)))
    assert seen.lines[-1].startswith("2/3 runs · 1 failed")
    shown = len(seen.lines)
    call(watched.pytest_runtest_logreport(report(runs[0])))
    assert len(seen.lines) == shown  # nothing is in training any more
    assert seen.paused == 6


def test_a_worker_that_is_gone_trains_nothing(workers):
    watched, seen, _ = workers
    call(watched.pytest_testnodedown(None))
    assert "1 running" in seen.lines[-1]
