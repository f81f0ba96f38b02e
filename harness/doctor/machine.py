"""Check this machine: disks, cores, memory, devices, and processes left by sessions."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

from harness.doctor.checks import Check, Level
from harness.errors import HarnessError, StoreError
from harness.executors.devices import devices
from harness.executors.memory import free
from harness.executors.worker import BOOT
from harness.session.environment import cpus
from harness.store.sqlite import locate
from harness.text import byte_size, plural
from harness.training.backends import BACKENDS, devices_here, missing_libraries, pip

LITTLE = 2**30
"""A disk, or the memory, with fewer free bytes than this will soon be full."""

_NOTHING = 10 * 2**20

DRIVER = "nvidia-smi"

PATIENCE = 30.0
"""Seconds that all devices together may take to answer."""


def disk(store: str, home: Path) -> Iterator[Check]:
    """Check that each disk has room and can be written."""
    places = {"cache": home / "cache", "logs": home / "logs"}
    if "://" not in store or store.startswith("sqlite"):
        with suppress(StoreError):  # the check of the store reports it
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
    """Check the cores and the memory."""
    yield Check("cores", f"{cpus()} of {os.cpu_count()} for this process")
    memory = free()
    low = memory.available < LITTLE
    yield Check(
        "memory",
        f"{byte_size(memory.available)} of {byte_size(memory.total)} free{memory.where}",
        "warning" if low else "ok",
        "end other programs, or train with fewer workers (--sweep-workers)" if low else "",
    )


def workers() -> Iterator[Check]:
    """Check for worker processes that have outlived their session."""
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
        running = f"{plural(busy, 'process', 'processes')} of running sessions"
        yield Check("workers", running if busy else "none left over")


def _session_of(command: Sequence[str]) -> int | None:
    """Return the process id of a worker's session; None where the process is no worker."""
    if BOOT not in command:
        return None
    arguments = command[list(command).index(BOOT) + 1 :]
    return int(arguments[2]) if len(arguments) > 2 and arguments[2].isdigit() else None


# ---- devices -------------------------------------------------------------------------------------


@dataclass
class Answer:
    """The devices that a driver or a backend names, or its error, once it is ``done``.

    Each is asked in a process of its own, so that a driver that hangs does not hang this one.
    """

    since: float
    done: threading.Event = field(default_factory=threading.Event)
    names: tuple[str, ...] = ()
    error: str = ""


def ask_devices() -> Mapping[str, Answer]:
    """Begin to ask the driver and each installed backend for its devices, all at once."""
    questions: dict[str, Callable[[], tuple[str, ...]]] = {}
    if shutil.which(DRIVER):
        questions[DRIVER] = lambda: tuple(map(str, devices()))
    for name, backend in BACKENDS.items():
        if not missing_libraries(backend):
            questions[name] = partial(devices_here, name, patience=PATIENCE)
    return {name: _begun(ask) for name, ask in questions.items()}


def devices_found(answers: Mapping[str, Answer]) -> Iterator[Check]:
    """Yield a check of each answer, waiting for what is left of the patience."""
    if DRIVER not in answers:
        yield Check("GPUs", f"no {DRIVER} here, so no NVIDIA driver")
    for name, answer in answers.items():
        answer.done.wait(max(0.0, answer.since + PATIENCE - time.monotonic()))
        about = "GPUs" if name == DRIVER else f"devices of {name}"
        if not answer.done.is_set():
            yield Check(
                about,
                f"no answer in {PATIENCE:g} s",
                "warning",
                "its driver hangs: look at nvidia-smi and the system's log",
            )
        elif answer.error:
            yield Check(about, answer.error, "warning")
        elif name == DRIVER:
            yield Check(about, "; ".join(answer.names) or "none")
        else:
            unseen = (
                DRIVER in answers
                and bool(answers[DRIVER].names)
                and not any(n.startswith("cuda") for n in answer.names)
            )
            yield Check(
                about,
                ", ".join(answer.names),
                "warning" if unseen else "ok",
                f"{name} sees no GPU: install it for CUDA ({pip(name)})" if unseen else "",
            )


def _begun(ask: Callable[[], tuple[str, ...]]) -> Answer:
    answer = Answer(time.monotonic())

    def wait() -> None:
        try:
            answer.names = ask()
        except HarnessError as error:
            answer.error = str(error)
        answer.done.set()

    # A daemon, because nothing should wait for a process that cannot even be killed.
    threading.Thread(target=wait, name="sweep-doctor", daemon=True).start()
    return answer
