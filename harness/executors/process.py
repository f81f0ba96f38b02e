"""A worker process of this machine: started, killed, and the memory it has."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

import psutil

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
        """The time at which the job's timeout is over, by the monotonic clock."""
        if self.job is None or self.job.timeout is None:
            return None
        return self.began + self.job.timeout

    def filled(self, outcome: Outcome) -> Outcome:
        """Fill in what is known of the worker's job and ``outcome`` does not say."""
        return filled(outcome, self.curve, time.monotonic() - self.began)

    def kill(self) -> None:
        """Kill the process with its process group: all that it has started ends too."""
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
    """Start a worker as a separate program in a new process group, printing to ``log``.

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


def over(limits: Mapping[int, int]) -> dict[int, int]:
    """Return the child processes that have more memory than their limit, with their bytes.

    That is what lies in the machine's memory, theirs with all that they have started. Pages that
    several of them share are counted once, in parts, where the system tells: a fork seems as large
    as its parent.
    """
    trees: defaultdict[int, list[psutil.Process]] = defaultdict(list)
    root_of = {pid: pid for pid in limits}
    for process in _descendants():
        with contextlib.suppress(psutil.Error):
            root = root_of.get(process.pid) or root_of.get(process.ppid())
            if root is not None:
                root_of[process.pid] = root
                trees[root].append(process)
    found = {}
    for root, limit in limits.items():
        # What is shared takes the system a while to tell, so it is asked only where it matters.
        if sum(map(_resident, trees[root])) > limit:
            used = sum(map(_share, trees[root]))
            if used > limit:
                found[root] = used
    return found


def own(process: int) -> int:
    """Return the bytes of one process alone; 0 where it is gone."""
    with contextlib.suppress(psutil.Error):
        return _resident(psutil.Process(process))
    return 0


def oom_kills(system: Path = Path("/")) -> int | None:
    """Return how many processes the system has killed since memory ran out.

    Of this control group where that is counted, else of this machine; None where neither is.
    """
    for counter in _counters(system):
        with contextlib.suppress(OSError, ValueError):
            for line in counter.read_text().splitlines():
                name, _, number = line.partition(" ")
                if name == "oom_kill":
                    return int(number)
    return None


def _descendants() -> list[psutil.Process]:
    """Return all processes below this one, parents before their children."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process().children(recursive=True)
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


def _counters(system: Path) -> Iterator[Path]:
    """Return the files that may count such kills, the nearest first."""
    groups = system / "sys/fs/cgroup"
    with contextlib.suppress(OSError):
        for line in (system / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            inside = path.lstrip("/")
            if not controllers:
                yield groups / inside / "memory.events"
            elif "memory" in controllers.split(","):
                yield groups / "memory" / inside / "memory.oom_control"
    yield system / "proc/vmstat"
