"""A session that a notebook runs by ``pytest.main`` leaves its process as it was."""

import sys

import pytest

from tests.conftest import ROOT

pytest_plugins = ["pytester"]

STATE = """
import contextlib, faulthandler, gc, io, json, locale, logging, multiprocessing, os, random, signal
import sys, threading, warnings
import numpy, psutil, pytest

def state():
    me = psutil.Process()
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    streams = (sys.stdin, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return dict(
        # pytest leaves the name of the test that Ctrl-C ends, with or without a sweep
        environ={n: v for n, v in os.environ.items() if n != "PYTEST_CURRENT_TEST"},
        cwd=os.getcwd(),
        path=list(sys.path),
        modules=sorted(n for n in sys.modules if n.startswith(("toy_", "test_", "_sweep_"))),
        signals={n: str(signal.getsignal(n)) for n in signal.valid_signals()},
        logging=[
            (one.name, one.level, str(one.handlers), one.disabled)
            for one in loggers if isinstance(one, logging.Logger)
        ],
        logging_disabled=logging.root.manager.disable,
        warnings=str(warnings.filters) + str(warnings.showwarning),
        streams=[(id(one), one.encoding, one.errors) for one in streams],
        random=str(random.getstate()),
        numpy=str(numpy.random.get_state()[1].tolist()) + str(numpy.geterr()),
        threads=sorted(thread.name for thread in threading.enumerate()),
        children=[child.pid for child in me.children(recursive=True)],
        files=me.num_fds(),
        start_method=multiprocessing.get_start_method(allow_none=True),
        gc=(gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        hooks=str([sys.excepthook, threading.excepthook, sys.unraisablehook, sys.displayhook]),
        traced=str((sys.gettrace(), sys.getprofile(), faulthandler.is_enabled())),
        locale=locale.setlocale(locale.LC_ALL),
        limits=(sys.getrecursionlimit(), os.nice(0), os.getpgrp(), sys.dont_write_bytecode),
    )
"""
"""Defines ``state()``, all of a process that a session might change."""

NOTEBOOK = (
    STATE
    + """
options = ["-p", "harness.plugin", "-p", "no:rerunfailures", "-q"]  # that one leaves a thread

def session(*more):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return int(pytest.main([*options, "experiments", *more]))

path = list(sys.path)
session("--sweep", "toy")  # what is imported, and what pytest and libraries do once
for mode, more in (
    ("", []),
    ("fails", []),
    ("interrupts", []),
    ("", ["--sweep-arms", "nope"]),
    ("", ["--sweep-store", "/proc/nowhere/s.db"]),
):
    os.environ["MODE"] = mode
    before = state()
    status = session("--sweep", "toy", "--sweep-fresh", "--sweep-executor", sys.argv[1], *more)
    after = state()
    left = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    print("ENDED", status, left)
print("PATH", sys.path == path)
"""
)

SWEEP = """
import os, signal, time
def train(job, notify):
    if job.run.index == 1 and os.environ["MODE"] == "fails":
        raise RuntimeError("no")
    if job.run.index == 1 and os.environ["MODE"] == "interrupts":
        os.kill(int(os.environ["NOTEBOOK"]), signal.SIGINT)
        time.sleep(10)
    return trainer(job, notify)
os.environ.setdefault("MODE", "")
os.environ.setdefault("NOTEBOOK", str(os.getpid()))
sweep = toy(trainer=train, arms={}, runs=2)
"""


@pytest.mark.parametrize("executor", ["inline", pytest.param("local", marks=pytest.mark.slow)])
def test_a_session_leaves_its_process_as_it_was(sweeps, monkeypatch, executor):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    sweeps.write(body=SWEEP)
    result = sweeps.pytester.run(sys.executable, "-c", NOTEBOOK, executor)
    ended = [line.split(" ", 2)[1:] for line in result.outlines if line.startswith("ENDED")]
    assert result.outlines[-1] == "PATH True"
    assert ended == [["0", "{}"], ["1", "{}"], ["2", "{}"], ["4", "{}"], ["4", "{}"]]


@pytest.mark.slow
def test_the_next_session_reads_the_project_s_files_anew(sweeps, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    sweeps.write(body="sweep = toy(arms={}, runs=2)")
    (sweeps.path / "conftest.py").write_text("")
    code = """
import pathlib, pytest
options = ["-p", "harness.plugin", "experiments", "--sweep", "toy", "--sweep-executor", "inline"]
pytest.main(options)
for name, old, new in (("test_toy", "runs=2", "runs=5"), ("toy_trainer", "0.1 + ", "0.25 + ")):
    file = pathlib.Path("experiments", name + ".py")
    file.write_text(file.read_text().replace(old, new))
pytest.main(options)
"""
    result = sweeps.pytester.run(sys.executable, "-c", code)
    sizes = [line for line in result.outlines if line.startswith("sweep toy: ")]
    assert [line.split(" runs")[0] for line in sizes] == ["sweep toy: 2", "sweep toy: 5"]
    assert len(sweeps.trained) == 7, "another trainer's runs are others"
    from harness.store import Store

    with Store.open(str(sweeps.path / ".sweep" / "store.db"), read_only=True) as store:
        before = [result.outcome.perf_before for result in store.results()]
    assert sum(perf >= 0.25 for perf in before) == 5
