"""Trainers made to go wrong, each in its own way. Workers load them by the path of this file."""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from harness.protocols import Notify
from harness.records import Evaluation, Job, Outcome, Progress, StepTrace

FILE = __file__


def point(step: int) -> Evaluation:
    return Evaluation(step, 0.1 + step / 1000, 0.01, 0.1)


def completed(job: Job) -> Outcome:
    return Outcome(
        "completed",
        perf_before=0.1,
        perf_after=0.1 + job.run.index / 100,
        delta_perf=job.run.index / 100,
        delta_perf_se=0.01,
        device=str(os.getpid()),
    )


def quick(job: Job, notify: Notify) -> Outcome:
    return completed(job)


def steps(job: Job, notify: Notify) -> Outcome:
    for step in range(1, job.run.steps + 1):
        evaluation = point(step) if step % job.run.evaluate_every == 0 else None
        notify(Progress("train", step, job.run.steps, 0.5, evaluation))
    return completed(job)


def chatty(job: Job, notify: Notify) -> Outcome:
    """Reports 200,000 steps as fast as it can."""
    for step in range(200_000):
        notify(Progress("train", step, 200_000))
    return completed(job)


def brief(job: Job, notify: Notify) -> Outcome:
    """Long enough for other workers to have their share."""
    time.sleep(0.02)
    return completed(job)


def slow(job: Job, notify: Notify) -> Outcome:
    """Half a second's work, in ten steps."""
    for step in range(10):
        notify(Progress("train", step, 10, evaluation=point(step) if step == 0 else None))
        time.sleep(0.05)
    return completed(job)


def steps_slowly(job: Job, notify: Notify) -> Outcome:
    """Says its first step, and takes two seconds."""
    print(f"step 1 of {job.run.steps}")
    notify(Progress("train", 1, job.run.steps, evaluation=point(1)))
    time.sleep(2)
    return completed(job)


def raises(job: Job, notify: Notify) -> Outcome:
    notify(Progress("train", 10, 20, evaluation=point(10)))
    raise ValueError("the loss\nis not what it was")


def raises_on_odd(job: Job, notify: Notify) -> Outcome:
    if job.run.index % 2:
        raise ValueError("odd")
    return completed(job)


def no_memory(job: Job, notify: Notify) -> Outcome:
    raise MemoryError("4 TiB")


def no_device_memory(job: Job, notify: Notify) -> Outcome:
    raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")


def returns_nothing(job: Job, notify: Notify) -> None:
    return None


def returns_nan(job: Job, notify: Notify) -> Outcome:
    nan = float("nan")
    return Outcome(
        "completed",
        perf_before=0.1,
        perf_after=nan,
        delta_perf=nan,
        delta_perf_se=nan,
        curve=(point(0), Evaluation(10, nan, nan, nan)),
        trace=(StepTrace(1, 1e-6, 0.1, 0.0, 1.0, float("inf"), nan),),
    )


def exits_python(job: Job, notify: Notify) -> Outcome:
    sys.exit(3)


def interrupted(job: Job, notify: Notify) -> Outcome:
    raise KeyboardInterrupt


def dies(job: Job, notify: Notify) -> Outcome:
    """Kills its worker when its index is 1; how, says its config."""
    if job.run.index != 1:
        return steps(job, notify)
    notify(Progress("train", 10, 20, evaluation=point(10)))
    print("last words")
    how = job.run.config["how"]
    if how == "exit":
        sys.stdout.flush()
        os._exit(7)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "abort":
        os.abort()
    if how == "close":
        os.closerange(3, 65_536)
        time.sleep(60)
    raise AssertionError(how)


def hangs(job: Job, notify: Notify) -> Outcome:
    """Hangs when its index is 1."""
    if job.run.index == 1:
        notify(Progress("train", 10, 20, evaluation=point(10)))
        time.sleep(600)
    return completed(job)


def hangs_reporting(job: Job, notify: Notify) -> Outcome:
    """Never ends, but reports progress, when its index is 1."""
    while job.run.index == 1:
        notify(Progress("train", 10, 20, evaluation=point(10)))
        time.sleep(0.02)
    return completed(job)


def hangs_deaf(job: Job, notify: Notify) -> Outcome:
    """Hangs in C with the interpreter's lock held: no other thread of this process runs."""
    Path(job.cache, "deaf").write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(600)
    return completed(job)


def has_children(job: Job, notify: Notify) -> Outcome:
    """Leaves a process behind, in a session of its own, that holds everything open, and hangs."""
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    child = subprocess.Popen(sleep, start_new_session=True)
    Path(job.cache, "child").write_text(str(child.pid))
    time.sleep(600)
    return completed(job)


def leaves_fork_and_dies(job: Job, notify: Notify) -> Outcome:
    """Dies while a forked child holds the pipe open."""
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    Path(job.cache, "child").write_text(str(child))
    os._exit(9)


def prints(job: Job, notify: Notify) -> Outcome:
    print(f"python of {job.run.id} ✓")
    print("error stream", file=sys.stderr)
    os.write(1, b"descriptor 1\n")
    os.write(2, b"descriptor 2\n")
    ctypes.CDLL(None).printf(b"the C library of %d\n", job.run.index)
    subprocess.run([sys.executable, "-c", "print('a child')"], check=True)
    return completed(job)


def prints_much(job: Job, notify: Notify) -> Outcome:
    """Prints 5 MiB and some last words."""
    for number in range(5 * 1024):
        sys.stdout.write(f"{number} {'x' * 1017}\n")
    print("last words")
    return completed(job)


def prints_forever(job: Job, notify: Notify) -> Outcome:
    for number in itertools.count():
        sys.stdout.write(f"{number} {'x' * 1000}\n")
    raise AssertionError


_kept = []


def keeps_memory(job: Job, notify: Notify) -> Outcome:
    """Keeps 200 MiB for good."""
    _kept.append(b"x" * 200 * 2**20)
    return completed(job)


def ignores_interrupt(job: Job, notify: Notify) -> Outcome:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)
    return completed(job)


def tells_threads(job: Job, notify: Notify) -> Outcome:
    print(os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"])
    print("pytest" in sys.modules, "torch" in sys.modules)
    return completed(job)


def sees_device(job: Job, notify: Notify) -> Outcome:
    """Prints which device its process sees and what part of it, which process it is, and when."""
    begun = time.monotonic()
    time.sleep(0.1)
    device = os.environ["CUDA_VISIBLE_DEVICES"]
    fraction = os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"]
    print(device, fraction, os.getpid(), begun, time.monotonic())
    return completed(job)


def tells_psutil(job: Job, notify: Notify) -> Outcome:
    """Prints where a library comes from that Ray brings a copy of."""
    import psutil

    print(psutil.__file__)
    return completed(job)


def notifies_from_threads(job: Job, notify: Notify) -> Outcome:
    """Sends 200 messages, each too long to be written at once, from four threads."""

    def tell() -> None:
        for step in range(50):
            notify(Progress("x" * 100_000, step, 50, evaluation=point(step)))

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return completed(job)


def leaves_a_thread(job: Job, notify: Notify) -> Outcome:
    """Leaves a thread behind that goes on to report."""

    def tell() -> None:
        while True:
            time.sleep(0.01)
            notify(Progress("left behind", 1, 2, evaluation=point(1)))

    thread = threading.Timer(0.1, tell)
    thread.daemon = True
    thread.start()
    return completed(job)


def sends_unreadable(job: Job, notify: Notify) -> Outcome:
    """Sends a progress whose content can be pickled, and not be read elsewhere."""

    class Bomb:
        def __reduce__(self):
            return (float, ("not a number",))

    notify(Progress("train", 1, 2, evaluation=Bomb()))  # type: ignore[arg-type]
    return completed(job)


def returns_unreadable(job: Job, notify: Notify) -> Outcome:
    """Returns an outcome that holds a function of this run alone."""
    return replace(completed(job), weights=lambda: job)  # type: ignore[arg-type]


NOT_CALLABLE = 3
