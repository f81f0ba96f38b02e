"""Write what a session finds to trackers: MLflow, TensorBoard, W&B, Optuna.

Each tracker has a module, the only one that imports its library.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import re
import shlex
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from harness.errors import UsageError
from harness.integrations.trackers.base import (
    TrackedSweep,
    Tracker,
    tracked_run,
    verdict_tags,
)
from harness.records import Result
from harness.verdicts import Verdict


class Tracking:
    """The trackers that were asked for.

    One that fails is not used any more: `failures` has a line for each, and no run is lost, for it
    is in the store. What is written is known by the run's key, so that it can be written again.
    """

    def __init__(self, targets: Iterable[str], home: Path, here: Path) -> None:
        self._trackers = {target: _opened(target, home, here) for target in targets}
        self._sweeps: dict[str, TrackedSweep] = {}
        self.failures: dict[str, str] = {}
        self._written: set[tuple[str, str, str | None]] = set()

    def begin(self, sweeps: Iterable[TrackedSweep]) -> None:
        """Make the places of ``sweeps``.

        Raises
        ------
        UsageError
            Where one cannot be made. It names the tracker.
        """
        for sweep in sweeps:
            self._sweeps[sweep.name] = sweep
            for target in self._trackers:
                with _alone(target):
                    self._try(target, partial(_begin, sweep))
        for target, why in self.failures.items():
            raise UsageError(f"{hidden(target)} cannot be written: {why}")

    def write_run(self, result: Result) -> None:
        """Write a run of a sweep that was begun."""
        end = (result.run.sweep, result.key, result.finished_at)
        if end in self._written:
            return
        self._written.add(end)
        sweep, run = self._sweeps[result.run.sweep], tracked_run(result)
        for target in self._trackers:
            self._try(target, lambda tracker: tracker.write_run(sweep, run))

    def write_verdicts(self, name: str, verdicts: Sequence[Verdict], scope: str = "") -> None:
        """Write verdicts on a sweep that was begun; ``scope`` says on which part, if not all."""
        if not verdicts:
            return
        sweep, tags = self._sweeps[name], verdict_tags(verdicts)
        for target in self._trackers:
            self._try(target, lambda tracker: tracker.write_verdicts(sweep, tags, scope))

    def close(self) -> None:
        """Finish what was begun."""
        for target in self._trackers:
            self._try(target, lambda tracker: tracker.close())

    def _try(self, target: str, write: Callable[[Tracker], None]) -> None:
        if target in self.failures:
            return
        try:
            with warnings.catch_warnings(action="ignore"):  # their libraries' own
                write(self._trackers[target])
        except Exception as error:  # noqa: BLE001  each library has errors of its own
            self.failures[target] = hidden(_reason(error))


def _begin(sweep: TrackedSweep, tracker: Tracker) -> None:
    tracker.begin(sweep)


def repeated(sweeps: Iterable[str], target: str, options: Sequence[str] = ()) -> str:
    """Return the commands that write the stored runs of ``sweeps`` to a tracker."""
    end = ["--to", hidden(target), *options]
    return "; ".join(shlex.join(["sweep", "export", name, *end]) for name in sweeps)


def hidden(text: str) -> str:
    """Return ``text`` without the password of an address."""
    return re.sub(r"(://[^/\s:@]*):[^/\s@]+@", r"\1:***@", text)


def _opened(target: str, home: Path, here: Path) -> Tracker:
    name, _, place = target.partition(":")
    module = importlib.import_module(f"{__name__}.{name}")
    try:
        with _alone(target), warnings.catch_warnings(action="ignore"):
            tracker: Tracker = module.open_tracker(place, home, here)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{name} needs the package {error.name}: pip install 'pytest-sweep[{name}]'"
        ) from error
    except Exception as error:
        raise UsageError(f"{hidden(target)} cannot be opened: {hidden(_reason(error))}") from error
    return tracker


def lock_of(target: str) -> Path:
    """Return the file that is locked while the place of a tracker is made."""
    name = f"pytest-sweep-{os.getuid()}-{target.partition(':')[0]}.lock"
    return Path(tempfile.gettempdir(), name)


@contextmanager
def _alone(target: str) -> Iterator[None]:
    """Let no other session of the user on this machine make a place of this tracker meanwhile.

    The libraries fail, or make things twice, where two make the same database or experiment.
    """
    lock = None
    with suppress(OSError):  # where there can be no lock, it is done without
        lock = lock_of(target).open("ab")
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if lock is not None:
            lock.close()


def _reason(error: BaseException) -> str:
    said = " ".join(str(error).split())[:200]
    return said or type(error).__name__
