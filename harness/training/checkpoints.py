"""Checkpoints: the state from which an interrupted run goes on, kept whole or not at all.

A checkpoint is one file. Its first line is a seal, with a SHA-256 of everything after it; the
second is JSON, with what the checkpoint belongs to and the numbers that were saved; then come the
arrays, each as NumPy's own ``.npy``. Nothing of it is executed when it is read.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from harness.records import Job

Arrays = Mapping[str, npt.NDArray[Any]]

_SEAL = b"pytest-sweep checkpoint 1 %64s\n"
"""The first line; the number is raised whenever a file is laid out differently."""


@dataclass(frozen=True, slots=True)
class Saved:
    """The state that a run saved after ``step`` steps."""

    step: int
    arrays: Arrays
    facts: Mapping[str, Any]


class Checkpoint:
    """The checkpoint of one run: read at its start, replaced as it trains, removed when it is done.

    Used as a context: left in the ordinary way, the run is done and the checkpoint goes; left by
    an exception, the run was interrupted and it stays. Files are written by a thread of their own,
    so that training does not wait for the disk. A checkpoint that cannot be written or used costs
    nothing but a line of the run's log.

    Parameters
    ----------
    job
        The run. Without ``job.checkpoint`` nothing is read or written; without
        ``job.checkpoint_every`` nothing is written.
    made_with
        What must be equal, beside the run and its trainer, for training to go on to the same
        result: versions, say.
    """

    def __init__(self, job: Job, **made_with: str) -> None:
        self._path = None if job.checkpoint is None else Path(job.checkpoint)
        self._every = job.checkpoint_every
        self._last = job.run.steps
        self._owner = {"run": job.key, "trainer": job.conditions.trainer_version} | made_with
        self._writing: Thread | None = None
        self._has_failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(done=kind is None)

    def is_due(self, step: int) -> bool:
        """Return whether to save after ``step`` steps; never after the last."""
        if self._path is None or self._every is None:
            return False
        return step % self._every == 0 and step < self._last

    def load(self) -> Saved | None:
        """Load the last checkpoint; None where the run starts from the beginning.

        A file that is damaged, or belongs to another run, trainer or version, is told of and left
        alone.
        """
        if self._path is None:
            return None
        try:
            with self._path.open("rb") as file:
                return self._read(file)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._say(f"cannot be read ({error}); training begins anew")
            return None

    def save(self, step: int, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        """Save what ``load`` will return; the previous save is kept until this one is whole.

        The arrays are copied before this returns.

        Parameters
        ----------
        step
            How many steps are done.
        arrays
            By name, of NumPy's own types of numbers or text.
        facts
            Whatever JSON can hold.

        Raises
        ------
        TypeError
            Where an array or a fact is of another kind.
        """
        if self._path is None:
            return
        for name, array in arrays.items():
            dtype = np.asarray(array).dtype
            if dtype.kind in "OV":  # an .npy file would not bring these back as they are
                raise TypeError(f"array {name!r} of a checkpoint is of {dtype}; expected numbers")
        said = {"of": self._owner, "step": step, "arrays": [*arrays], "facts": dict(facts)}
        content = io.BytesIO(json.dumps(said, separators=(",", ":")).encode() + b"\n")
        content.seek(0, io.SEEK_END)
        self._settle()
        try:
            for array in arrays.values():
                np.save(content, array, allow_pickle=False)
            self._writing = Thread(target=self._write, args=(self._path, content.getbuffer()))
            self._writing.start()
        except (MemoryError, RuntimeError) as error:
            self._writing = None
            self._fail(error)

    def close(self, *, done: bool) -> None:
        """Wait for the save in progress; remove the checkpoint when the run is ``done``."""
        self._settle()
        if done and self._path is not None:
            discard(self._path)

    def _read(self, file: io.BufferedReader) -> Saved | None:
        seal = file.readline(len(_SEAL) + 64)
        begin = file.tell()
        if seal != _SEAL % hashlib.file_digest(file, "sha256").hexdigest().encode():
            self._say("is damaged, or of another version; training begins anew")
            return None
        file.seek(begin)
        said = json.loads(file.readline())
        for name in self._owner | said["of"]:
            theirs, ours = said["of"].get(name), self._owner.get(name)
            if theirs != ours:
                self._say(f"is of {name} {theirs!r}, not {ours!r}; training begins anew")
                return None
        self._say(f"has {said['step']} of {self._last} steps; training goes on from there")
        arrays = {name: np.load(file, allow_pickle=False) for name in said["arrays"]}
        return Saved(said["step"], arrays, said["facts"])

    def _write(self, path: Path, content: memoryview) -> None:
        try:
            _replace(path, content)
        except (OSError, MemoryError) as error:
            self._fail(error)

    def _settle(self) -> None:
        if self._writing is not None:
            self._writing.join()
            self._writing = None

    def _fail(self, error: Exception) -> None:
        """Warn once that a save failed: on a full disk the next ones fail too."""
        if not self._has_failed:
            self._say(f"was not saved ({str(error) or type(error).__name__}); training goes on")
        self._has_failed = True

    def _say(self, what: str) -> None:
        # The log may be on the disk that is full.
        with contextlib.suppress(OSError, ValueError):
            print(f"checkpoint {self._path} {what}", flush=True)


def discard(path: str | Path) -> None:
    """Remove a run's checkpoint, a file or a folder, with any unfinished write of it."""
    path = Path(path)
    parts = path.parent.glob(f"{glob.escape(path.name)}.*.part")
    for one in (path, *parts):
        with contextlib.suppress(OSError):
            if one.is_dir() and not one.is_symlink():
                shutil.rmtree(one)
            else:
                one.unlink(missing_ok=True)


def _replace(path: Path, content: memoryview) -> None:
    """Write a sealed file so that ``path`` is never half written, even when power is lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(_SEAL % hashlib.sha256(content).hexdigest().encode())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
