"""The devices, asked for in processes of their own: a driver that hangs does not hang this one."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from harness.doctor.check import Check
from harness.errors import HarnessError
from harness.executors.devices import devices
from harness.training.backends import BACKENDS, devices_here, missing_libraries, pip

DRIVER = "nvidia-smi"

PATIENCE = 30.0
"""Seconds that all of the answers together may take."""


@dataclass
class Answer:
    """What a thread heard, or what went wrong."""

    since: float
    done: threading.Event = field(default_factory=threading.Event)
    names: tuple[str, ...] = ()
    error: str = ""


def ask() -> Mapping[str, Answer]:
    """Begin to ask the driver and each backend that is installed, all at once."""
    asked: dict[str, Callable[[], tuple[str, ...]]] = {}
    if shutil.which(DRIVER):
        asked[DRIVER] = lambda: tuple(map(str, devices()))
    for name, backend in BACKENDS.items():
        if not missing_libraries(backend):
            asked[name] = partial(devices_here, name, patience=PATIENCE)
    return {name: _begun(work) for name, work in asked.items()}


def found(asked: Mapping[str, Answer]) -> Iterator[Check]:
    """Yield what each has answered, waiting for what is left of the patience."""
    if DRIVER not in asked:
        yield Check("GPUs", f"no {DRIVER} here, and so no driver of NVIDIA's")
    for name, answer in asked.items():
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
                DRIVER in asked
                and bool(asked[DRIVER].names)
                and not any(n.startswith("cuda") for n in answer.names)
            )
            yield Check(
                about,
                ", ".join(answer.names),
                "warning" if unseen else "ok",
                f"{name} sees no GPU: install it for CUDA ({pip(name)})" if unseen else "",
            )


def _begun(work: Callable[[], tuple[str, ...]]) -> Answer:
    answer = Answer(time.monotonic())

    def heard() -> None:
        try:
            answer.names = work()
        except HarnessError as error:
            answer.error = str(error)
        answer.done.set()

    # A daemon: a process that cannot even be killed is not waited for.
    threading.Thread(target=heard, name="sweep-doctor", daemon=True).start()
    return answer
