"""What the worker processes have of this machine's memory, and whether it ran out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil


def over(limits: Mapping[int, int]) -> dict[int, int]:
    """Return the bytes that some child processes have, of those that have more than their limit.

    That is what lies in the machine's memory, theirs with all that they have started. Pages that
    several of them share are counted once, in parts, where the system tells: a fork seems as large
    as its parent.
    """
    trees: defaultdict[int, list[psutil.Process]] = defaultdict(list)
    root_of = {pid: pid for pid in limits}
    for process in _descendants():
        with suppress(psutil.Error):
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
    with suppress(psutil.Error):
        return _resident(psutil.Process(process))
    return 0


def oom_kills(system: Path = Path("/")) -> int | None:
    """Return how many processes the system has killed since memory ran out.

    Of this control group where that is counted, else of this machine; None where neither is.
    """
    for counter in _counters(system):
        with suppress(OSError, ValueError):
            for line in counter.read_text().splitlines():
                name, _, number = line.partition(" ")
                if name == "oom_kill":
                    return int(number)
    return None


def _descendants() -> list[psutil.Process]:
    """Return all processes below this one, parents before their children."""
    with suppress(psutil.Error):
        return psutil.Process().children(recursive=True)
    return []


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _share(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        memory = process.memory_full_info()
        return int(getattr(memory, "pss", memory.uss))
    return _resident(process)


def _counters(system: Path) -> Iterator[Path]:
    """Return the files that may count such kills, the nearest first."""
    groups = system / "sys/fs/cgroup"
    with suppress(OSError):
        for line in (system / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            inside = path.lstrip("/")
            if not controllers:
                yield groups / inside / "memory.events"
            elif "memory" in controllers.split(","):
                yield groups / "memory" / inside / "memory.oom_control"
    yield system / "proc/vmstat"
