"""What earlier sessions have left: warm starts, logs, processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from harness.doctor.check import Check
from harness.executors.worker import BOOT
from harness.text import byte_size
from harness.training.tasks import TASKS
from harness.training.warm_start import cache_file

MANY = 1e9
"""Bytes of logs from which on they are worth deleting."""


def warm_starts(cache: Path) -> Iterator[Check]:
    """Yield for each task whether the weights that its runs start from are there."""
    for name, task in TASKS.items():
        file = cache_file(task, cache)
        made = file.is_file()
        yield Check(
            f"warm start {name}",
            f"made, {byte_size(file.stat().st_size)}"
            if made
            else "none yet: the first run makes it",
        )


def workers() -> Iterator[Check]:
    """Yield the worker processes whose session has ended, which should have ended with it."""
    left, busy = [], 0
    for process in psutil.process_iter(["pid", "cmdline"]):
        session = _session_of(process.info["cmdline"] or ())
        if session is None:
            continue
        if psutil.pid_exists(session):
            busy += 1
        else:
            left.append(str(process.info["pid"]))
    if left:
        found = f"{len(left)} of sessions that have ended: process {', '.join(left)}"
        yield Check("workers", found, "warning", f"end them: kill -9 {' '.join(left)}")
    else:
        yield Check(
            "workers", f"{busy} processes of running sessions" if busy else "none left over"
        )


def logs(folder: Path) -> Iterator[Check]:
    """Yield how much the runs have printed."""
    sizes = [file.stat().st_size for file in folder.glob("*") if file.is_file()]
    total = sum(sizes)
    yield Check(
        "logs",
        f"{len(sizes):,} files, {byte_size(total)}" if sizes else "none",
        "warning" if total > MANY else "ok",
        f"delete those of runs you are done with in {folder}" if total > MANY else "",
    )


def _session_of(command: Sequence[str]) -> int | None:
    """Return the process id of the session that a worker was started by; None for no worker."""
    if BOOT not in command:
        return None
    arguments = command[list(command).index(BOOT) + 1 :]
    return int(arguments[2]) if len(arguments) > 2 and arguments[2].isdigit() else None
