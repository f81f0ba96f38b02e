"""Find the memory that runs have: what is free on this machine, and that of its GPUs."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

from harness.executors.devices import Device, chosen, of_cuda
from harness.executors.scheduling import Placement
from harness.text import byte_size
from harness.training.backends import Memory


@dataclass(frozen=True, slots=True)
class GroupFiles:
    """The names of the files in which a control group counts its memory.

    ``cache`` are the fields of ``memory.stat`` with the bytes of files that the system forgets
    when others need the room.
    """

    limit: str
    used: str
    cache: tuple[str, str]
    kills: str


_FIRST = GroupFiles(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
    "memory.oom_control",
)
_SECOND = GroupFiles(
    "memory.max", "memory.current", ("inactive_file", "active_file"), "memory.events"
)
"""The files of control groups of version 1 and 2."""


@dataclass(frozen=True, slots=True)
class Free:
    """The free bytes of a machine, or of a control group that allows less, and all that it has."""

    available: int
    total: int
    of_group: bool = False

    @property
    def where(self) -> str:
        """Where this is all that is free, in words that follow ``free``; empty for the machine."""
        return " in this control group (cgroup)" if self.of_group else ""


def free(system: Path = Path("/")) -> Free:
    """Return the memory that this process and those that it starts can still take.

    The machine has so much, or a control group allows less: that of a container, of a service or
    of a job of a batch system. A group whose files cannot be read has no limit.
    """
    machine = psutil.virtual_memory()
    found = [Free(int(machine.available), int(machine.total))]
    for folder, files in groups(system):
        with contextlib.suppress(OSError, ValueError, KeyError):
            limit = int((folder / files.limit).read_text())  # ValueError where there is none
            used = int((folder / files.used).read_text())
            lines = (folder / "memory.stat").read_text().splitlines()
            counts = dict(line.split(" ", 1) for line in lines)
            cached = sum(int(counts[name]) for name in files.cache)
            found.append(Free(max(0, min(limit, limit - used + cached)), limit, of_group=True))
    return min(found, key=lambda one: one.available)


def groups(system: Path = Path("/")) -> Iterator[tuple[Path, GroupFiles]]:
    """Yield the control groups of this process that count memory, each before the one around it.

    In a container the path that the system names is often not there. Then only the last folder is,
    which is the container's own group.
    """
    mounted = system / "sys/fs/cgroup"
    with contextlib.suppress(OSError, ValueError):
        for line in (system / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            top, files = (mounted / "memory", _FIRST) if controllers else (mounted, _SECOND)
            parts = PurePosixPath(path).parts[1:]
            if ".." in parts:  # the group is outside of what this process sees
                parts = ()
            for depth in range(len(parts), -1, -1):
                yield top.joinpath(*parts[:depth]), files


def shared(
    device: str,
    workers: int | None,
    runs: int,
    *,
    gpus: int | Sequence[str] | None = None,
    per_gpu: int = 1,
) -> tuple[Memory, ...]:
    """Return each memory that runs on ``device`` may share on this machine, at most one of a kind.

    nvidia-smi is asked only where a GPU may be used. A GPU whose memory it does not say is left
    out.

    Parameters
    ----------
    device
        As it was asked for, such as ``auto``.
    workers
        The most runs at the same time; None for as many as there are places.
    runs
        The number of all runs.
    gpus, per_gpu
        As for `make_executor`.

    Raises
    ------
    UsageError
        Where the ``gpus`` are not here.
    """
    together = min(workers or 1, runs)
    if gpus is not None:
        tightest = _tightest(chosen(gpus), per_gpu, runs if workers is None else together)
        return () if tightest is None else (_of_gpu(*tightest, "--sweep-per-gpu"),)
    kind, _, number = device.partition(":")
    found = []
    if kind in ("auto", "cpu"):
        left = free()
        said = f"{byte_size(left.available)} of memory are free{left.where}"
        found.append(Memory("cpu", left.available, together, said, "--sweep-workers"))
    if kind in ("auto", "cuda"):
        gpu = of_cuda(int(number or 0))
        if gpu is not None and gpu.memory is not None:
            found.append(_of_gpu(gpu, together, "--sweep-workers"))
    return tuple(found)


def _tightest(devices: Sequence[Device], per_device: int, most: int) -> tuple[Device, int] | None:
    """Return the device with the least memory for a job, and how many jobs share it.

    Up to ``most`` jobs are placed as `LocalExecutor` places them.
    """
    names = tuple(device.uuid for device in devices)
    placed: list[tuple[str, bool]] = []
    while len(placed) < most:
        spot = Placement(names, per_device, tuple(placed)).spot(alone_waits=False, others_wait=True)
        if spot is None:
            break
        placed.append((spot.devices[0], False))
    count = Counter(name for name, _ in placed)
    known = [
        (device.memory / count[device.uuid], device)
        for device in devices
        if device.memory is not None and count[device.uuid]
    ]
    if not known:
        return None
    _, least = min(known, key=lambda pair: pair[0])
    return least, count[least.uuid]


def _of_gpu(device: Device, sharers: int, option: str) -> Memory:
    size = device.memory or 0
    said = f"GPU {device.index} ({device.name}) has {byte_size(size)}"
    return Memory("cuda", size, sharers, said, option)
