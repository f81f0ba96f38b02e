"""Which process this is, and whether another one on this machine still runs."""

from __future__ import annotations

import os
import socket
import uuid
from functools import cache
from pathlib import Path
from typing import NamedTuple

import psutil

_CLOSE = 1.0
"""Seconds within which two times of starting are one: no process id comes round so soon."""


class Process(NamedTuple):
    """A process: ``began`` is when it started, ``place`` where its id means something.

    ``host`` is the machine's name, for people; machines, and containers on one, may share it.
    """

    host: str
    place: str
    pid: int
    began: float


def this_process() -> Process:
    """Return what tells this process from all others, here and elsewhere."""
    return Process(socket.gethostname(), _place(), os.getpid(), _began(psutil.Process()))


def is_gone(process: Process) -> bool | None:
    """Return whether ``process`` has ended; None where that cannot be told from here."""
    if process.place != _place():
        return None
    try:
        found = psutil.Process(process.pid)
        if found.status() == psutil.STATUS_ZOMBIE:
            return True
        return abs(_began(found) - process.began) > _CLOSE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return None


def _began(process: psutil.Process) -> float:
    """Return when it started: on Linux since the machine did, whatever its clock is set to."""
    return process.create_time() - (psutil.boot_time() if psutil.LINUX else 0.0)


@cache
def _place() -> str:
    """Return what is the same for all processes that see this one under its id, until a reboot."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode():x}"
