"""A worker process of this machine: how it is started and killed, and the memory it has."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import psutil

from harness.executors.memory import groups
from harness.executors.pool import PoolWorker
from harness.executors.worker import BOOT

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of our package."""

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
class Worker(PoolWorker):
    """A worker process with our end of its pipe.

    A ``proven`` worker has begun a job before. ``device`` is the one it was started on, if any, and
    ``alone`` says that it has this device to itself.
    """

    process: subprocess.Popen[bytes]
    pipe: Connection
    lifeline: Connection
    device: str = ""
    alone: bool = False
    proven: bool = False
    oom_kills: int | None = None

    @property
    def deadline(self) -> float:
        """The end of the job's timeout on the monotonic clock; infinite without one."""
        if self.job is None or self.job.timeout is None:
            return math.inf
        return self.began + self.job.timeout

    def kill(self) -> None:
        """Kill the process with its process group and all that it has started.

        What it has started may be in a group of its own, as the workers of a launcher are.
        """
        started = below(self.process.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        for process in started:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def reap(self, seconds: float = 5.0) -> None:
        """Wait until the process is gone, and close our ends."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        self.pipe.close()
        self.lifeline.close()


def with_threads(count: int) -> dict[str, str]:
    """Return the variables that make numerical libraries compute with ``count`` threads."""
    return dict.fromkeys(_THREADS, str(count))


def start(log: str, variables: Mapping[str, str]) -> Worker:
    """Start a worker as a separate program in a new process group, printing to ``log``.

    Its environment is this process's with ``variables``. Raises `OSError` if it cannot be started.
    """
    ours, theirs = Pipe()
    watched, lifeline = Pipe(duplex=False)
    descriptors = [theirs.fileno(), watched.fileno()]
    entries = [str(PACKAGE.parent), *(os.path.abspath(entry) for entry in sys.path)]  # noqa: PTH100
    arguments = [*map(str, (*descriptors, os.getpid())), json.dumps(entries)]
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
    """Return how a process that ended with ``code`` died, in words."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    meaning = {"SIGKILL": ", as the system does when memory runs out", "SIGSEGV": ", a bad access"}
    return f"was killed by {name}{meaning.get(name, '')}"


def over(limits: Mapping[int, int]) -> dict[int, int]:
    """Return the child processes that have more memory than their limit, with their bytes.

    The bytes are those in the machine's memory, of the process and all that it has started. Shared
    pages count once, where the system says so; otherwise a fork seems as large as its parent.
    """
    trees: defaultdict[int, list[psutil.Process]] = defaultdict(list)
    root_of = {pid: pid for pid in limits}
    for process in below(os.getpid()):
        with contextlib.suppress(psutil.Error):
            root = root_of.get(process.pid) or root_of.get(process.ppid())
            if root is not None:
                root_of[process.pid] = root
                trees[root].append(process)
    found = {}
    for root, limit in limits.items():
        # The system needs a while to find what is shared, so we ask only where it matters.
        if sum(map(_resident, trees[root])) > limit:
            used = sum(map(_share, trees[root]))
            if used > limit:
                found[root] = used
    return found


def own(process: int) -> int:
    """Return the bytes of one process without others; 0 if it is gone."""
    with contextlib.suppress(psutil.Error):
        return _resident(psutil.Process(process))
    return 0


def oom_kills(system: Path = Path("/")) -> int | None:
    """Return how many processes the system has killed because memory ran out.

    It counts this control group's, or else this machine's. None if there is no count.
    """
    counters = [folder / files.kills for folder, files in groups(system)]
    for counter in (*counters, system / "proc/vmstat"):
        with contextlib.suppress(OSError, ValueError):
            for line in counter.read_text().splitlines():
                name, _, number = line.partition(" ")
                if name == "oom_kill":
                    return int(number)
    return None


def below(process: int) -> list[psutil.Process]:
    """Return all processes below one, parents before their children."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(process).children(recursive=True)
    return []


def _resident(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _share(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        memory = process.memory_full_info()
        return int(getattr(memory, "pss", memory.uss))
    return _resident(process)
