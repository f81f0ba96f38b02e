"""The machine: room on its disks, cores and memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from harness.doctor.check import Check, Level
from harness.errors import StoreError
from harness.session.environment import cpus
from harness.store.sqlite import locate
from harness.text import byte_size

LITTLE = 1e9
"""Bytes of room on a disk, or of free memory, below which it soon ends."""

_NOTHING = 1e7


def disk(store: str, home: Path) -> Iterator[Check]:
    """Yield the room on each disk that something is written to, and whether it can be written."""
    places = {"cache": home / "cache", "logs": home / "logs"}
    if "://" not in store or store.startswith("sqlite"):
        with suppress(StoreError):  # told with the store
            places = {"store": locate(store).parent, **places}
    disks: dict[int, tuple[Path, list[str]]] = {}
    for name, place in places.items():
        there = next(folder for folder in (place, *place.parents) if folder.exists())
        disks.setdefault(there.stat().st_dev, (there, []))[1].append(name)
        if not os.access(there, os.W_OK):
            yield Check(
                f"disk of {name}", f"{there} cannot be written", "error", "make it writable"
            )
    for there, names in disks.values():
        free = shutil.disk_usage(there).free
        level: Level = "ok" if free >= LITTLE else "warning" if free >= _NOTHING else "error"
        yield Check(
            f"disk of {', '.join(names)}",
            f"{byte_size(free)} free",
            level,
            "" if level == "ok" else f"make room on the disk of {there}",
        )


def machine() -> Iterator[Check]:
    """Yield the cores and the memory."""
    yield Check("cores", f"{cpus()} of {os.cpu_count()} for this process")
    memory = psutil.virtual_memory()
    low = memory.available < LITTLE
    yield Check(
        "memory",
        f"{byte_size(memory.available)} of {byte_size(memory.total)} free",
        "warning" if low else "ok",
        "end other programs, or train with fewer workers (--sweep-workers)" if low else "",
    )
