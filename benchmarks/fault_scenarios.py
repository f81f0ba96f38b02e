"""What can befall a sweep, each a function that does it to a trial."""

from __future__ import annotations

import importlib
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
from fault_trials import Session, Trial, undisturbed
from faulty_trainers import VARIABLE

LOG_LIMIT = 3 * 2**20
"""Bytes that the log of a run may have, however much the run prints."""
LOCKED = 10.0
"""Seconds for which another process locks the store."""
MANY = "hang@1,segfault@4,exit@7,allocate@10,kill@13,print_and_die@16,no_memory@19,hang_in_c@22"
LIMITS = ("--sweep-timeout=8", "--sweep-memory=500M")


@dataclass(frozen=True)
class Scenario:
    """Something that befalls a sweep: what does it, where, and how often at full size.

    ``needs`` are the markers of the tests that need the same.
    """

    name: str
    befall: Callable[[Trial], None]
    times: int = 1
    executors: tuple[str, ...] = ("local", "ray")
    trainer: str = "faulty"
    needs: tuple[str, ...] = ()

    def lacks(self, executor: str) -> str:
        """Return what this machine lacks for it on an executor; empty where it has all."""
        needed = [*self.needs, "ray"] if executor == "ray" else list(self.needs)
        modules = {"ray": "ray", "torch": "torch", "postgres": "psycopg"}
        missing = [name for name in needed if find_spec(modules[name]) is None]
        if "postgres" in needed and not any(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
            missing += [] if shutil.which("postgres") else ["PostgreSQL's server"]
        return ", ".join(missing)


def worker_killed(trial: Trial) -> None:
    """Kill a worker at a random moment; the session itself makes up for it."""
    session = trial.start()
    _kill_worker(trial, session)
    session.end_well()


def session_killed(trial: Trial) -> None:
    """Kill the session at a random moment, and give the same command again."""
    session = trial.start()
    if session.wait_for_a_moment():
        with trial.strike():
            session.kill()
    trial.start().end_well()


def signalled(number: signal.Signals, trial: Trial) -> None:
    """Send the session a signal at a random moment, and give the same command again."""
    session = trial.start()
    is_in_time = session.wait_for_a_moment()
    with trial.strike():
        session.signal(number)
        began = time.monotonic()
        session.end()
        took = time.monotonic() - began
    trial.check(took < 30, f"it took {took:.0f} s to end after {number.name}")
    if is_in_time and session.begun() and len(trial.stored()) < trial.runs:
        trial.check(
            session.process.returncode == 2, f"{session.process.returncode}: {session.printed}"
        )
    trial.start().end_well()


def some_runs(faults: Sequence[str], trial: Trial) -> None:
    """Let a run go wrong by each of ``faults``: it ends as what it is, the others as undisturbed.

    The same command again then trains these runs alone, but those that have ended for good.
    """
    places = trial.chance.sample(range(trial.runs), len(faults))
    struck = {
        undisturbed(trial.trainer).runs[at]: name for at, name in zip(places, faults, strict=True)
    }
    told = ",".join(f"{name}@{at}" for at, name in zip(places, faults, strict=True))
    ends = [ONE_RUN[name][1] for name in faults]
    trial.options = LIMITS
    trial.excepted = set(struck)
    trial.start("--sweep-retries=0", variables={VARIABLE: told}).end_with(
        int(any(status not in ("completed", "diverged") for status in ends))
    )
    stored = trial.stored()
    for run, fault in struck.items():
        _, status, says = ONE_RUN[fault]
        outcome = stored[run].outcome
        error = outcome.error or ""
        trial.check(outcome.status == status, f"{fault} ended as {outcome}")
        trial.check(says in error, f"{fault}: {says!r} is not in {error!r}")
        trial.check("\n" not in error, f"more than a line: {error!r}")
    trial.check(trial.compare(), "the other runs are not as undisturbed")
    logs = [log.stat().st_size for log in (trial.home / "logs").glob("*.log")]
    trial.check(max(logs) < LOG_LIMIT, f"a log has {max(logs):,} bytes")
    trial.excepted = {
        run for run in struck if stored[run].is_final and stored[run].outcome.status != "completed"
    }
    if not all(stored[run].is_final for run in struck):
        trial.start().end_well()


def many_runs(trial: Trial) -> None:
    """Let a third of the runs go wrong, each in its own way; each is tried again at once."""
    trial.start(*LIMITS, variables={VARIABLE: MANY}).end_well()


def disk_full(trial: Trial) -> None:
    """Fill the disk at a random moment; once there is room, give the same command again."""
    mounted = trial.lasting.enter_context(_small_disk(trial.home))
    session = trial.start()
    if session.wait_for_a_moment():
        with trial.strike():
            if mounted:
                _fill(trial.home / "filler")
            else:
                trial.remark = "by a limit"  # who may not mount a disk: no file may grow
                limit = (2**16, resource.RLIM_INFINITY)
                resource.prlimit(session.process.pid, resource.RLIMIT_FSIZE, limit)
            session.end()
    (trial.home / "filler").unlink(missing_ok=True)
    trial.start().end_well()


def store_locked(trial: Trial) -> None:
    """Have another process lock the store at a random moment."""
    session = trial.start()
    if session.wait_for_a_moment(training=True):
        other = sqlite3.connect(trial.home / "store.db", isolation_level=None, timeout=30)
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(LOCKED)
        other.rollback()
        other.close()
    session.end_well()


def postgres_restarted(trial: Trial) -> None:
    """Restart the server at a random moment, every other time by a crash."""
    # The tests' server has no types, and the rest of the tests is not to be checked for it.
    server_class: Any = importlib.import_module("tests.postgres").Server
    server = trial.lasting.enter_context(server_class())
    trial.url = server.database()
    session = trial.start()
    if session.wait_for_a_moment(training=True):
        server.stop(trial.chance.choice([signal.SIGINT, signal.SIGQUIT]))
        time.sleep(trial.chance.uniform(0, 3))
        server.start()
    session.end_well()


def node_killed(trial: Trial) -> None:
    """Kill a node of a cluster of two at a random moment."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1}, shutdown_at_exit=True)
    trial.lasting.callback(cluster.shutdown)
    node = cluster.add_node(num_cpus=1)
    session = trial.start("--sweep-ray-address", cluster.address, "--sweep-workers=2")
    if session.wait_for_a_moment(training=True):
        with trial.strike():
            cluster.remove_node(node, allow_graceful=False)
    session.end_well()


def two_sessions(trial: Trial) -> None:
    """Start two sessions at once: both report all runs."""
    both = [trial.start(report=name) for name in ("reports", "others")]
    for session in both:
        session.end_well()
    trial.check(trial.compare("others"), "the other session's report is another")


def one_of_two_killed(trial: Trial) -> None:
    """Kill one of two sessions at a random moment: the other finishes its runs."""
    killed, other = trial.start(report="others"), trial.start()
    if killed.wait_for_a_moment(training=True):
        with trial.strike():
            killed.kill()
    other.end_well()


def xdist_worker_killed(trial: Trial) -> None:
    """Kill one of xdist's workers, and give the same command again: its run has crashed."""
    trial.options = ("-n", "2")
    session = trial.start()
    _kill_worker(trial, session)
    session.end()
    crashed = {run for run, result in trial.stored().items() if not result.is_final}
    trial.check(len(crashed) <= 1, f"more than its run was lost: {crashed}")
    trial.excepted = crashed
    trial.check(trial.compare(), "the other runs are not as undisturbed")
    trial.excepted = set()
    trial.start().end_well()


def killed_with_checkpoints(trial: Trial) -> None:
    """Kill the session while runs have checkpoints: they go on from there, to the same figures."""
    trial.options = ("--sweep-checkpoint-every=5",)
    checkpoints = trial.home / "checkpoints"
    begun = trial.chance.randint(1, trial.runs)
    session = trial.start()
    session.wait_for(lambda: len(session.begun()) >= begun and any(_kept(checkpoints)))
    with trial.strike():
        session.kill()
    psutil.wait_procs(trial.orphans, 60)
    expected = len(_kept(checkpoints))
    again = trial.start()
    again.end_well()
    resumed = [t for t in again.begun() if t.first_step > 1]
    trial.check(len(resumed) == expected, f"{len(resumed)} of {expected} runs were resumed")
    trial.check(not _kept(checkpoints), "a checkpoint is left behind")


def _kill_worker(trial: Trial, session: Session) -> None:
    if session.wait_for_a_moment(training=True) and (workers := trial.workers()):
        with trial.strike():
            trial.chance.choice(workers).kill()


def _kept(checkpoints: Path) -> list[Path]:
    """Return the checkpoints that are whole: what is being written has a name with a dot."""
    return [path for path in checkpoints.glob("*") if "." not in path.name]


@contextmanager
def _small_disk(folder: Path) -> Iterator[bool]:
    """Mount a disk of 4 MB at ``folder``; False where that may not be done."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    mounted = (
        os.getuid() == 0 and not subprocess.run(mount, capture_output=True, check=False).returncode
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(path: Path) -> None:
    """Write to a file until there is no room."""
    with path.open("wb", buffering=0) as file:
        for size in (2**16, 2**10, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


ONE_RUN = {
    # its fault: what it is called in the table, how it ends, what its error says
    "hang": ("a run hangs", "timeout", "about to hang"),
    "hang_in_c": ("a run hangs in C", "timeout", "about to hang_in_c"),
    "allocate": ("a run allocates without end", "oom", "about to allocate"),
    "allocate_in_children": ("its children allocate", "oom", "about to allocate_in_children"),
    "segfault": ("a run segfaults", "crashed", "Segmentation fault"),
    "kill": ("a run kills itself", "crashed", "about to kill"),
    "exit": ("a run exits", "crashed", "about to exit"),
    "print": ("a run prints 100 MB", "completed", ""),
    "print_and_die": ("prints 100 MB and dies", "crashed", "the last words"),
    "nan": ("a run returns NaN", "diverged", "not a finite number"),
    "raise_at_once": ("raises in its first line", "failed", "ValueError: at once"),
    "raise": ("a run raises", "failed", "the loss is not what it was"),
}

SCENARIOS = [
    Scenario("kill -9 of a worker", worker_killed, 20),
    Scenario("kill -9 of the session", session_killed, 10),
    Scenario("SIGTERM", partial(signalled, signal.SIGTERM), 5),
    Scenario("Ctrl-C", partial(signalled, signal.SIGINT), 5),
    *(Scenario(name, partial(some_runs, (fault,))) for fault, (name, _, _) in ONE_RUN.items()),
    Scenario("a third of the runs, at once", many_runs),
    Scenario("disk full", disk_full, 5, ("local",)),
    Scenario("store locked for 10 s", store_locked, 2, ("local",)),
    Scenario("PostgreSQL restarted", postgres_restarted, 3, ("local",), needs=("postgres",)),
    Scenario("a Ray node killed", node_killed, 3, ("ray",)),
    Scenario("two sessions at once", two_sessions, 3),
    Scenario("two sessions, one killed", one_of_two_killed, 3),
    Scenario("an xdist worker killed", xdist_worker_killed, 3, ("local",)),
    Scenario(
        "killed, with checkpoints", killed_with_checkpoints, 3, ("local",), "grpo", ("torch",)
    ),
]
