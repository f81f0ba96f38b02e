"""Whole sessions that are killed or interrupted, and what the same command does next."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from harness.errors import StoreError
from harness.store import Store

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]


def command(folder, *options):
    """Return the command of a session on the experiments, writing to ``folder`` below its root."""
    chosen = ["--sweep-store", str(folder / "store.db"), "--sweep-report", str(folder), *options]
    here = ["-c", str(folder.parent / "pytest.ini"), "-p", "no:cacheprovider"]
    return [sys.executable, "-m", "pytest", "-p", "harness.plugin", *here, "experiments", *chosen]


def finished(folder):
    """Return the finished runs in a store that a session may be about to make."""
    try:
        store = Store.open(str(folder / "store.db"), create=False, read_only=True)
    except StoreError:
        return {}
    with store:
        return {r.run.id: r for r in store.results() if r.is_final}


def wait_for_runs(folder, count, process, seconds=120):
    deadline = time.monotonic() + seconds
    while len(finished(folder)) < count:
        assert process.poll() is None, "the session ended before it could be interrupted"
        assert time.monotonic() < deadline, f"no {count} runs within {seconds} s"
        time.sleep(0.05)


@contextmanager
def session(arguments, cwd):
    """Run a session in a process group of its own, and leave nothing of it behind."""
    process = subprocess.Popen(
        arguments,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


SMALL = ["--sweep", "focused", "--sweep-runs", "4", "--sweep-steps", "10", "--sweep-arms", "none"]


BACKENDS = [
    pytest.param("torch", marks=pytest.mark.torch),
    pytest.param("jax", marks=pytest.mark.jax),
]


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_killed_session_resumes_to_the_same_results_bit_for_bit(warm_project, backend):
    whole, killed = warm_project / "whole", warm_project / "killed"
    small = [*SMALL, "--sweep-backend", backend]
    subprocess.run(command(whole, *small), cwd=ROOT, stdout=subprocess.DEVNULL, check=False)

    with session(command(killed, *small), ROOT) as process:
        wait_for_runs(killed, 1, process)
        workers = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive, "workers outlived their session"
    before = finished(killed)
    assert 1 <= len(before) < 4

    subprocess.run(command(killed, *small), cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    after, uninterrupted = finished(killed), finished(whole)
    assert len(after) == 4
    for id_, result in before.items():
        assert after[id_].finished_at == result.finished_at, f"{id_} was trained again"
    for id_, result in uninterrupted.items():
        assert after[id_].outcome.delta_perf == result.outcome.delta_perf
        assert after[id_].outcome.curve == result.outcome.curve
        assert after[id_].outcome.trace == result.outcome.trace


def test_an_interrupted_session_reports_and_leaves_no_worker(sweeps, monkeypatch):
    sweeps.write(
        body="""
        import time
        def slow(job, notify):
            time.sleep(0 if job.run.index < 2 else 30)
            return trainer(job, notify)
        sweep = toy(trainer=slow, arms={})
        """
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    options = ["-p", "harness.plugin", "experiments", "--sweep", "toy"]
    with session([sys.executable, "-m", "pytest", *options], sweeps.path) as process:
        wait_for_runs(sweeps.path / ".sweep", 2, process)
        workers = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=30)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "6 of 8 runs missing" in printed
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    report = json.loads((sweeps.path / ".sweep/reports/toy-smoke/report.json").read_text())
    assert report["complete"] is False
    assert len(finished(sweeps.path / ".sweep")) == 2


@pytest.mark.slow
def test_sigterm_is_heeded_as_ctrl_c_is_and_keeps_the_curves_so_far(sweeps, monkeypatch):
    sweeps.write(
        body="""
        import time
        from harness.records import Evaluation, Progress
        def slow(job, notify):
            if job.run.index < 2:
                return trainer(job, notify)
            notify(Progress("train", 5, 20, 0.1, Evaluation(5, 0.2, 0.01, 0.2)))
            open(f"begun-{job.run.index}", "w").close()
            time.sleep(60)
        sweep = toy(trainer=slow, arms={})
        """
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    options = ["-p", "harness.plugin", "experiments", "--sweep", "toy"]
    with session([sys.executable, "-m", "pytest", *options], sweeps.path) as process:
        deadline = time.monotonic() + 120
        while len(list(sweeps.path.glob("begun-*"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "6 of 8 runs missing" in printed
    with Store.open(str(sweeps.path / ".sweep/store.db"), read_only=True) as store:
        left = [r for r in store.results() if r.outcome.status == "interrupted"]
    assert [r.outcome.curve[-1].step for r in left] == [5, 5]


@pytest.mark.slow
def test_a_second_signal_ends_at_once(sweeps, monkeypatch):
    sweeps.write(
        body="""
        import time
        def slow(job, notify):
            open(f"begun-{job.run.index}", "w").close()
            time.sleep(60)
        sweep = toy(trainer=slow, arms={})
        """
    )
    (sweeps.path / "conftest.py").write_text(
        "import time, pytest\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_sessionfinish():\n"
        "    open('ending', 'w').close()\n"
        "    time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    options = ["-p", "harness.plugin", "experiments", "--sweep", "toy"]
    with session([sys.executable, "-m", "pytest", *options], sweeps.path) as process:
        for awaited in ("begun-0", "ending"):
            deadline = time.monotonic() + 120
            while not (sweeps.path / awaited).exists():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            workers = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGINT
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
