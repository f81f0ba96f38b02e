"""A trial of a fault: a small project, sessions on it, and what is compared with undisturbed ones.

A `Trial` is one time of a scenario. It has a project of its own in a temporary folder, starts real
pytest sessions on it, and finds out in the end what was lost, what was trained twice, and whether
the last report is that of a session that nothing befell.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from noted_trainers import NOTES

from harness.records import Result
from harness.store import Store

ROOT = Path(__file__).parents[1]
RUNS = {"faulty": 24, "grpo": 8}
"""The runs of the sweep that each of `noted_trainers` trains; those of GRPO take seconds each."""
PATIENCE = 300.0
"""Seconds after which a session, or what is waited for in it, is given up."""
IN_FLIGHT = 1.0
"""Seconds that a result may take from a training function's end into the store."""

SWEEPS = {
    "faulty": "steps=30, space=dict(learning_rate=LogUniform(1e-7, 1e-6))",
    "grpo": """steps=20, task="addition", space=dict(
        learning_rate=LogUniform(1e-3, 5e-3), batch_size=4, generations=8)""",
}
"""What is declared of the sweep that each of `noted_trainers` trains."""

SWEEP_FILE = """
from noted_trainers import {trainer}

from harness import LogUniform, Sweep
from harness.claims import still_improves, success_rate

faults = Sweep(
    "faults", runs={runs}, seed=20250919, evaluate_every=5, trainer={trainer}, {declared},
    questions=dict(
        success_above_half=success_rate.above(0.5),
        plateau=still_improves(since=10, margin=0.02),
    ),
)


def test_run(run):
    run.train()


def test_question(question):
    question.judge()
"""


@dataclass
class Training:
    """A training of a run as its trainer noted it: by which process, from when until when."""

    run: str
    pid: int
    began: float
    first_step: int = 0
    ended: float | None = None

    @property
    def process(self) -> psutil.Process | None:
        """The process that trains or trained it, where that still runs."""
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if process.create_time() <= self.began and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


@dataclass(frozen=True)
class Found:
    """What a trial found: runs lost, runs trained twice, an equal report or not, what is wrong."""

    lost: int
    twice: int
    equal: bool
    wrong: tuple[str, ...]
    remark: str = field(default="", compare=False)

    @property
    def is_well(self) -> bool:
        """Whether everything is as it should be."""
        return self == Found(0, 0, True, ())


class Session:
    """A pytest session in a process group of its own, as a terminal would start it."""

    def __init__(self, trial: Trial, command: list[str], variables: dict[str, str]) -> None:
        self._trial = trial
        self._begun_before = len(trial.trainings())
        self._output = trial.folder / f"output-{time.monotonic_ns()}.txt"
        path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=trial.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path, **variables},
                start_new_session=True,
            )

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    @property
    def printed(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(errors="replace")

    def begun(self) -> list[Training]:
        """Return the trainings that began since it was started."""
        return self._trial.trainings()[self._begun_before :]

    def wait_for(self, what: Callable[[], bool]) -> bool:
        """Wait until something is so; False where the session ended before."""
        until = time.monotonic() + PATIENCE
        while not what():
            if self.is_over:
                return what()
            if time.monotonic() > until:
                raise TimeoutError(f"nothing came of it in {PATIENCE:g} s: {self.printed[-2000:]}")
            time.sleep(0.01)
        return True

    def wait_for_a_moment(self, *, training: bool = False) -> bool:
        """Wait for a moment of the session at random; False where it had ended by then.

        It may be in its start, in any of its runs or at its end; with ``training`` it is not before
        the first run begins.
        """
        chance = self._trial.chance
        begun = chance.randint(1 if training else 0, self._trial.runs)
        if begun == 0:
            time.sleep(chance.uniform(0, 2))
        else:
            self.wait_for(lambda: len(self.begun()) >= begun)
            time.sleep(chance.uniform(0, 0.3))
        return not self.is_over

    def end(self) -> int:
        """Wait until it has ended, by itself or by a signal, and see that it has not crashed.

        It may print tracebacks that begin in the training function. Returns its exit status.
        """
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._trial.complain(f"a session did not end: {self.printed[-2000:]}")
            self.kill()
            return self.process.returncode
        if status != -signal.SIGTERM:
            _, *entries = self.printed.split("Traceback (most recent call last):\n")
            crashed = any("noted_trainers.py" not in entry.split("\n")[0] for entry in entries)
            is_quiet = not crashed and "INTERNALERROR" not in self.printed
            self._trial.check(is_quiet, self.printed[-4000:])
        return status

    def end_with(self, expected: int) -> None:
        """Wait until it has ended, and check that its exit status is ``expected``."""
        status = self.end()
        self._trial.check(
            status == expected, f"exit status {status}, not {expected}: {self.printed[-2000:]}"
        )

    def end_well(self) -> None:
        """Wait until it has ended as an undisturbed session does."""
        self.end_with(undisturbed(self._trial.trainer).status)

    def kill(self) -> None:
        """Kill it by SIGKILL; what it has started is to end by itself."""
        with suppress(psutil.Error):
            started = psutil.Process(self.process.pid).children(recursive=True)
            self._trial.orphans += [one for one in started if not _is_an_agent(one)]
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal: Ctrl-C as a terminal does, to its whole group."""
        with suppress(ProcessLookupError):
            if number == signal.SIGINT:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)


@dataclass
class Trial:
    """One time of a scenario, on one executor, with whatever ``chance`` says.

    ``excepted`` are the runs that are not to be as undisturbed, ``lasting`` what is to be closed
    when all has been looked at. ``remark`` says what was done otherwise than in other trials.
    """

    folder: Path
    executor: str
    chance: random.Random
    trainer: str = "faulty"
    options: tuple[str, ...] = ()
    url: str = ""
    wrong: list[str] = field(default_factory=list)
    strikes: list[tuple[float, float]] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    orphans: list[psutil.Process] = field(default_factory=list)
    excepted: set[str] = field(default_factory=set)
    lasting: ExitStack = field(default_factory=ExitStack)
    remark: str = ""

    @property
    def runs(self) -> int:
        """How many runs its sweep has."""
        return RUNS[self.trainer]

    @property
    def home(self) -> Path:
        """The folder of everything that sessions write."""
        return self.folder / ".sweep"

    def start(
        self, *options: str, report: str = "reports", variables: dict[str, str] | None = None
    ) -> Session:
        """Start a session on the project, which is written where it is not there."""
        file = self.folder / "experiments" / "test_faults.py"
        if not file.exists():
            file.parent.mkdir()
            (self.folder / "pytest.ini").write_text("[pytest]\n")
            declared = SWEEPS[self.trainer]
            text = SWEEP_FILE.format(trainer=self.trainer, runs=self.runs, declared=declared)
            file.write_text(text)
        command = [sys.executable, "-m", "pytest", "-p", "harness.plugin", "-p", "no:cacheprovider"]
        command += ["experiments", "--sweep", "faults", f"--sweep-report={self.home / report}"]
        command += ["--sweep-executor", self.executor, *self.options, *options]
        command += [f"--sweep-store={self.url}"] if self.url else []
        session = Session(self, command, variables or {})
        self.sessions.append(session)
        return session

    @contextmanager
    def strike(self) -> Iterator[None]:
        """Note that what ends meanwhile, or ended just before, may not have been stored."""
        began = time.time()
        yield
        self.strikes.append((began - IN_FLIGHT, time.time()))

    def check(self, well: bool, otherwise: str) -> None:
        """Note what is wrong where something is not well."""
        if not well:
            self.complain(otherwise)

    def complain(self, what: str) -> None:
        """Note what is wrong."""
        self.wrong.append(what)

    def trainings(self) -> list[Training]:
        """Return all trainings that have begun, in order."""
        notes = self.folder / NOTES
        begun: list[Training] = []
        for line in notes.read_text().splitlines() if notes.exists() else []:
            what, run, pid, at, step = line.split()
            if what == "begun":
                begun.append(Training(run, int(pid), float(at)))
                continue
            mine = next(t for t in reversed(begun) if (t.run, t.pid) == (run, int(pid)))
            if what == "step":
                mine.first_step = int(step)
            else:
                mine.ended = float(at)
        return begun

    def workers(self) -> list[psutil.Process]:
        """Return the processes that have trained and still run; on Ray their hosts too."""
        found = {t.process for t in self.trainings()} - {None}
        workers = [process for process in found if process is not None]
        for worker in list(workers):
            with suppress(psutil.Error):
                host = worker.parent()
                if host is not None and host.name().startswith("ray::"):
                    workers.append(host)
        return sorted(set(workers), key=lambda process: process.pid)

    def stored(self) -> dict[str, Result]:
        """Return the results in the store by their runs."""
        with Store.open(self.url or str(self.home / "store.db"), read_only=True) as store:
            return {result.run.id: result for result in store.results("faults")}

    def report(self, where: str = "reports") -> dict[str, Any]:
        """Return what can be compared of the last report that was written to a folder."""
        written = (self.home / where).glob("*/report.json")  # one that is not complete is elsewhere
        return comparable(json.loads(max(written, key=_written).read_text()))

    def compare(self, where: str = "reports") -> bool:
        """Return whether a report is that of an undisturbed session, `excepted` runs apart."""
        try:
            mine = self.report(where)
        except ValueError as error:
            self.complain(f"there is no report in {where} ({error})")
            return False
        expected = undisturbed(self.trainer).report
        if not self.excepted:
            return mine == expected
        return _others(mine, self.excepted) == _others(expected, self.excepted)

    def found(self) -> Found:
        """Return what came of the trial, once its last session has ended."""
        stored = self.stored()
        lost = [run for run in undisturbed(self.trainer).runs if not _is_kept(stored.get(run))]
        twice = sum(self._superfluous(run, stored.get(run)) for run in stored)
        self._expect_nobody()
        is_equal = self.compare()
        lost = [run for run in lost if run not in self.excepted]
        return Found(len(lost), twice, is_equal, tuple(self.wrong), self.remark)

    def _expect_nobody(self) -> None:
        """Check that no process outlives the sessions."""
        _, alive = psutil.wait_procs([*self.orphans, *self.workers()], timeout=30)
        for process in alive:
            with suppress(psutil.Error):
                self.complain(f"outlived its session: {' '.join(process.cmdline())[:200]}")
                process.kill()

    def _superfluous(self, run: str, kept: Result | None) -> int:
        """Return how many trainings of a run there were that should not have been."""
        trainings = [training for training in self.trainings() if training.run == run]
        at = datetime.fromisoformat(kept.finished_at or "").timestamp() if kept else 0.0
        again = [t for t in trainings if _is_kept(kept) and t.began > at]
        whole = [t for t in trainings if t.ended is not None and t not in again]
        in_vain = [training for training in whole[:-1] if not self._was_struck(training)]
        if again or in_vain:
            self.complain(f"stored at {at}, struck at {self.strikes}: {trainings}")
        return len(again) + len(in_vain)

    def _was_struck(self, training: Training) -> bool:
        """Return whether a training was in flight when something struck."""
        ended = training.ended or training.began
        return any(training.began <= until and since <= ended for since, until in self.strikes)


def comparable(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report without what differs between any two sessions."""
    report = {name: value for name, value in report.items() if name != "environment"}
    report["runs"] = [
        {name: value for name, value in run.items() if name != "seconds"} for run in report["runs"]
    ]
    return report


@dataclass(frozen=True)
class Undisturbed:
    """What comes of a session that nothing befalls: its report, as compared, and its status."""

    report: dict[str, Any]
    status: int

    @property
    def runs(self) -> list[str]:
        """The ids of the runs, in the order in which they are begun."""
        return [run["id"] for run in self.report["runs"]]


@cache
def undisturbed(trainer: str) -> Undisturbed:
    """Return what comes of a session with a trainer that nothing befalls; made once."""
    with trial("local", random.Random(0), trainer=trainer) as quiet:
        status = quiet.start().end()
        made = Undisturbed(quiet.report(), status)
        assert {run["status"] for run in made.report["runs"]} == {"completed"}
        assert not quiet.wrong, quiet.wrong
        assert len(quiet.trainings()) == len(made.runs) == quiet.runs
        return made


@contextmanager
def trial(executor: str, chance: random.Random, *, trainer: str = "faulty") -> Iterator[Trial]:
    """Give a trial a project, and leave nothing of it behind."""
    with TemporaryDirectory(prefix="sweep-faults-", ignore_cleanup_errors=True) as folder:
        made = Trial(Path(folder), executor, chance, trainer)
        if trainer == "grpo":
            (made.home / "cache").parent.mkdir()
            (made.home / "cache").symlink_to(warm_folder(), target_is_directory=True)
        try:
            yield made
        finally:
            for session in made.sessions:
                if not session.is_over:
                    session.kill()
            made.lasting.close()


@cache
def warm_folder() -> Path:
    """Return a folder that is the cache of all trials with GRPO: the warm start is made once."""
    folder = TemporaryDirectory(prefix="sweep-faults-cache-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _is_an_agent(process: psutil.Process) -> bool:
    """Whether it is of Ray's own, and looks only once a minute whether its node is there."""
    with suppress(psutil.Error):
        return process.name().startswith("ray::") and "Agent" in process.name()
    return False


def _written(path: Path) -> float:
    return path.stat().st_mtime


def _is_kept(result: Result | None) -> bool:
    return result is not None and result.is_final


AMONG_ALL = {
    "after_selection",
    "after_selection_low",
    "after_selection_high",
    "probability_best",
}
"""What a report says of a run by what the others reached."""


def _others(report: dict[str, Any], excepted: set[str]) -> list[Any]:
    return [
        {field: value for field, value in run.items() if field not in AMONG_ALL}
        for run in report["runs"]
        if run["id"] not in excepted
    ]
