"""A worker process of this machine, our end of its pipe, and the job it has."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe

from harness.executors.outcomes import filled
from harness.executors.worker import BOOT
from harness.records import Evaluation, Job, Outcome

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
    "NPROC",  # XLA, for JAX on a CPU
)


@dataclass
class Worker:
    """A worker process with our end of its pipe, and the job it has, if any.

    ``proven`` is one that has begun a job before, ``started`` one that has begun the job at hand.
    ``program`` is that of the last job which had one. ``device`` is the one it was started on,
    empty without, and ``alone`` whether it was started to have that to itself.
    """

    process: subprocess.Popen[bytes]
    pipe: Connection
    lifeline: Connection
    device: str = ""
    alone: bool = False
    proven: bool = False
    job: Job | None = None
    program: str = ""
    started: bool = False
    began: float = 0.0
    curve: list[Evaluation] = field(default_factory=list)
    oom_kills: int | None = None

    @property
    def deadline(self) -> float | None:
        """When the job at hand has had its time, by the monotonic clock."""
        if self.job is None or self.job.timeout is None:
            return None
        return self.began + self.job.timeout

    def filled(self, outcome: Outcome) -> Outcome:
        """Return ``outcome`` with what is known of the job at hand."""
        return filled(outcome, self.curve, time.monotonic() - self.began)

    def kill(self) -> None:
        """Kill the process with its process group: what it has started goes with it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def reap(self, seconds: float = 5.0) -> None:
        """Wait until the process is gone, and close our ends."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        self.pipe.close()
        self.lifeline.close()


def with_threads(count: int) -> dict[str, str]:
    """Return the variables by which numerical libraries compute with ``count`` threads."""
    return dict.fromkeys(_THREADS, str(count))


def start(log: str, variables: Mapping[str, str]) -> Worker:
    """Start a worker as a program of its own, in a process group of its own, printing to ``log``.

    ``variables`` are added to the environment of this process for it.

    Raises
    ------
    OSError
        Where it cannot be started.
    """
    ours, theirs = Pipe()
    watched, lifeline = Pipe(duplex=False)
    descriptors = [theirs.fileno(), watched.fileno()]
    path = json.dumps([os.path.abspath(entry) for entry in sys.path])  # noqa: PTH100
    arguments = [*map(str, (*descriptors, os.getpid())), path]
    try:
        with theirs, watched, open(log, "ab") as output:  # noqa: PTH123
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", BOOT, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=descriptors,
                env={**os.environ, **variables},
                process_group=0,
            )
    except BaseException:
        ours.close()
        lifeline.close()
        raise
    return Worker(process, ours, lifeline)


def death(code: int) -> str:
    """Say how a process that ended with ``code`` died."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    meaning = {"SIGKILL": ", as the system does when memory runs out", "SIGSEGV": ", a bad access"}
    return f"was killed by {name}{meaning.get(name, '')}"
