"""The worker process: it trains the jobs that come through its pipe, one after another.

It is a program of its own, so that the parent's main module does not run again. It prints into the
log of its job, and ends when its parent does, however that ends. It ignores Ctrl-C, which the
session handles.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from harness.executors.logs import cut, redirect
from harness.executors.outcomes import failure, one_line, traceback_text, train
from harness.protocols import Event, Finished, Progressed, Started
from harness.records import Job, Outcome, Progress

QUIET = 0.05
"""The least seconds between two progress messages of a run without an evaluation."""

LOOK = 0.2
"""Seconds between two checks of a worker's guard: the log's length, and that the parent lives."""

BOOT = (
    "import sys, json; path = json.loads(sys.argv[4]); sys.path[:] = path; "
    "from harness.executors.worker import main; sys.path[:] = path[1:]; "
    "main(*map(int, sys.argv[1:4]))"
)
"""The program of a worker. Its arguments are the descriptors of its pipe and its lifeline, the
parent's process id, and as JSON the folder of our package with sys.path behind it: what comes first
there may be another ``harness``."""


def main(pipe: int, lifeline: int, parent: int) -> NoReturn:
    """Serve the jobs that come through the file descriptor ``pipe`` until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # `_end` ends a whole group, which must be ours
    watched = _guard(lifeline, pipe, parent)
    _be_killed_first()
    faulthandler.enable(file=2, all_threads=False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(  # type: ignore[union-attr]
            encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
    connection = Connection(pipe)
    sender = _Sender(connection, _end)
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            _end()
        sender.send(Started(job.key))
        redirect(job.log)
        with contextlib.suppress(OSError):
            os.write(watched, os.fsencode(job.log) + b"\0")
        outcome = _attempt(job, sender)
        _save_coverage()
        _flush()
        cut(job.log)
        try:
            sender.send(Finished(job.key, outcome))
        except Exception as error:  # noqa: BLE001 pickling may run a user's code
            said = f"the trainer returned something that cannot be sent: {one_line(error)}"
            sender.send(Finished(job.key, Outcome("failed", error=f"{said} (log: {job.log})")))


def _attempt(job: Job, sender: _Sender) -> Outcome:
    sender.begin()
    try:
        return train(job, partial(sender.notify, job.key))
    except BaseException as error:  # noqa: BLE001
        outcome = failure(error, job.log)
        # A trainer may have closed the stream, or the disk be full. The outcome counts more.
        with contextlib.suppress(OSError, ValueError, MemoryError):
            print(traceback_text(error), file=sys.__stderr__, flush=True)
        return outcome


class _Sender:
    """Sends a job's events, and its progress no faster than the parent reads it."""

    def __init__(self, connection: Connection, gone: Callable[[], NoReturn]) -> None:
        self._connection = connection
        self._gone = gone
        self._lock = threading.Lock()
        self._writable = select.poll()
        self._writable.register(connection.fileno(), select.POLLOUT)
        self.begin()

    def begin(self) -> None:
        """Forget the progress of the previous job."""
        self._stage = ""
        self._next = 0.0

    def send(self, event: Event) -> None:
        """Send ``event``, or call ``gone`` if nobody listens any more."""
        with self._lock:
            try:
                self._connection.send(event)
            except OSError:
                self._gone()

    def notify(self, key: str, progress: Progress) -> None:
        """Send ``progress`` if it is a new stage or has an evaluation.

        Drop any other that comes too soon, or while the parent is still reading.
        """
        now = time.monotonic()
        important = progress.evaluation is not None or progress.stage != self._stage
        if not important and (now < self._next or not self._writable.poll(0)):
            return
        self._stage, self._next = progress.stage, now + QUIET
        self.send(Progressed(key, progress))


def _guard(lifeline: int, pipe: int, parent: int) -> int:
    """Fork a small process that ends this one's group when the parent is gone.

    The parent holds the other end of ``lifeline``, which the system closes however the parent ends.
    A thread would not do: it does not run while a trainer's C code holds the interpreter. Ending
    the group also ends what a trainer has started. The guard also cuts a log that grows too long.
    Returns the descriptor to which the log's path is written.
    """
    told, tell = os.pipe()
    os.set_blocking(told, False)
    os.set_blocking(tell, False)  # the trainer never waits for its guard
    if os.fork():
        os.close(lifeline)
        os.close(told)
        return tell
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(pipe)
    os.close(tell)
    log = ""
    while not select.select([lifeline], [], [], LOOK)[0] and _is_alive(parent):
        log = _last_told(told) or log
        if log:
            cut(log)
    _end()


def _last_told(told: int) -> str:
    """Return the last path that was written to the pipe ``told``; empty without one."""
    try:
        paths = os.read(told, 2**16).split(b"\0")
    except BlockingIOError:
        return ""
    return os.fsdecode(paths[-2]) if len(paths) > 1 else ""


def _be_killed_first() -> None:
    """Make Linux kill this process before the session when memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _save_coverage() -> None:
    """Save what coverage.py measures, if the environment has started it: we end by being killed."""
    coverage = sys.modules.get("coverage")
    current = coverage.Coverage.current() if coverage is not None else None
    if current is not None:
        current.save()


def _flush() -> None:
    """Flush Python's and the C library's buffers into this job's log."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    ctypes.CDLL(None).fflush(None)


def _end() -> NoReturn:
    """Kill this process, its guard, and all that it has started, in whatever process group."""
    with contextlib.suppress(Exception):  # the worker, which leads the group, may be gone
        import psutil

        for process in psutil.Process(os.getpgrp()).children(recursive=True):
            if process.pid != os.getpid():
                process.kill()
    os.killpg(0, signal.SIGKILL)
    os._exit(1)
