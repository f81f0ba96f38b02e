"""A training function that goes wrong in the way it is told to, for tests of what survives it.

The fault of a run is the value of its config's parameter ``fault``. Or else the environment
variable ``SWEEP_FAULTS`` names the faults of some runs of a sweep by their index, as in
``hang@3,segfault@7``: each of them strikes once, so that a run which is tried again is the run it
would have been undisturbed. ``none`` is no fault.
"""

from __future__ import annotations

import ctypes
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from harness.protocols import Notify
from harness.records import Evaluation, Job, Outcome, Progress

FILE = __file__
VARIABLE = "SWEEP_FAULTS"
STEP_SECONDS = 0.005


def train(job: Job, notify: Notify) -> Outcome:
    """Train a made-up run: perf rises by a little that config and seed decide."""
    fault = fault_of(job)
    if fault == "raise_at_once":
        raise ValueError("at once")
    return _trained(job, notify, fault)


def fault_of(job: Job) -> str:
    """Return the fault that strikes ``job`` now, ``none`` without one."""
    fault = job.run.config.get("fault")
    if fault is not None:
        return str(fault)
    told = (entry.partition("@") for entry in os.environ.get(VARIABLE, "").split(",") if entry)
    at = {int(index): name for name, _, index in told}
    name = at.get(job.run.index, "none") if job.run.arm == "main" else "none"
    if name == "none":
        return name
    struck = Path(job.cache) / f"struck-{job.key}"
    struck.parent.mkdir(parents=True, exist_ok=True)
    try:
        struck.touch(exist_ok=False)
    except FileExistsError:
        return "none"
    return name


def _trained(job: Job, notify: Notify, fault: str) -> Outcome:
    draws = random.Random(f"{sorted(job.run.config.items(), key=str)} {job.run.seed}")
    gain, middle = draws.gauss(0.05, 0.05), max(1, job.run.steps // 2)
    curve = [Evaluation(0, 0.2, 0.01, 0.2)]
    for step in range(1, job.run.steps + 1):
        time.sleep(STEP_SECONDS)
        evaluation = None
        if step % job.run.evaluate_every == 0 or step == job.run.steps:
            perf = 0.2 + gain * step / job.run.steps
            evaluation = Evaluation(step, perf, 0.01, perf)
            curve.append(evaluation)
        notify(Progress("train", step, job.run.steps, 0.2, evaluation))
        if step == middle and fault != "none":
            print(f"about to {fault}", flush=True)
            if fault == "nan":
                gain = math.nan
            else:
                FAULTS[fault]()
    return Outcome(
        "completed",
        perf_before=0.2,
        perf_after=curve[-1].perf,
        delta_perf=curve[-1].perf - 0.2,
        delta_perf_se=0.01,
        prompts=512,
        samples=4,
        prompts_changed=40,
        curve=tuple(curve),
    )


def _hang() -> None:
    time.sleep(3600)


def _hang_in_c() -> None:
    """Hang with the interpreter's lock held: no other thread of this process runs."""
    ctypes.PyDLL(None).sleep(3600)


def _allocate() -> None:
    """Take memory without end: a hundredth of a second for each 8 MiB."""
    held = []
    while True:
        held.append(bytearray(os.urandom(2**20) * 8))
        time.sleep(0.01)


def _allocate_in_children() -> None:
    """Have children that take memory without end, each a part of it."""
    for _ in range(2):
        if os.fork() == 0:
            _allocate()
    time.sleep(3600)


def _segfault() -> None:
    ctypes.string_at(0)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _exit() -> None:
    os._exit(3)


def _print() -> None:
    """Print 100 MB, then the last words."""
    line = "x" * 999 + "\n"
    for _ in range(100_000):
        sys.stdout.write(line)
    print("the last words")


def _print_and_die() -> None:
    _print()
    _kill()


def _no_memory() -> None:
    raise MemoryError("4 TiB")


def _raise() -> None:
    raise ValueError("the loss is not what it was")


FAULTS: dict[str, Callable[[], object]] = {
    "hang": _hang,
    "hang_in_c": _hang_in_c,
    "allocate": _allocate,
    "allocate_in_children": _allocate_in_children,
    "no_memory": _no_memory,
    "segfault": _segfault,
    "kill": _kill,
    "exit": _exit,
    "print": _print,
    "print_and_die": _print_and_die,
    "raise": _raise,
}
"""What can go wrong in the middle of a run, by name. Beside these, there is ``nan``, from when on
perf is not a number, and ``raise_at_once``."""
