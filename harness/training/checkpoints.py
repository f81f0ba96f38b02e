"""Checkpoints: the state from which an interrupted run continues, saved whole or not at all.

A checkpoint is one file. Its first line is a seal with a SHA-256 of the rest, the second is JSON
with the checkpoint's owner and the saved facts. Then come the arrays, each as NumPy's ``.npy``.
Reading it executes nothing.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import importlib
import io
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from harness.errors import blamed
from harness.files import whole_file
from harness.records import Job

Arrays = Mapping[str, npt.NDArray[Any]]

_SEAL = b"pytest-sweep checkpoint 1 %64s\n"
"""The first line. Raise the number whenever the layout of a file changes."""

BRIEF = 1.0
"""Seconds that a save may take, however often saves are asked for."""

LEAST_APART = 20
"""Longer saves begin at least this many times as long apart: so a twentieth goes into saving."""

LARGE = 2**26
"""Bytes of arrays from which on they are written at once, rather than copied for a thread."""


@dataclass(frozen=True, slots=True)
class Saved:
    """The state that a run saved after ``step`` steps."""

    step: int
    arrays: Arrays
    facts: Mapping[str, Any]


class Checkpoint:
    """The checkpoint of one run: read at its start, replaced as it trains, removed when it is done.

    Use it as a context. It is removed at the end, unless an exception ends the context: then the
    run was interrupted. If a checkpoint cannot be written or used, the run's log says so and
    training continues.

    A thread writes a copy of the arrays, so training does not wait for the disk. Of `LARGE` ones,
    such as a language model's, no copy is made: training waits until they are written.

    Parameters
    ----------
    job
        The run. Without ``job.checkpoint`` nothing is read or written; without
        ``job.checkpoint_every`` nothing is written.
    clock
        Returns a time in seconds, which only rises.
    made_with
        What else must be equal for the run to end with the same result, such as versions. The run
        and its trainer always must.
    """

    def __init__(
        self, job: Job, *, clock: Callable[[], float] = time.monotonic, **made_with: str
    ) -> None:
        self._path = None if job.checkpoint is None else Path(job.checkpoint)
        self._every = job.checkpoint_every
        self._last = job.run.steps
        self._owner = {"run": job.key, "trainer": job.conditions.trainer_version} | made_with
        self._writing: Thread | None = None
        self._has_failed = False
        self._clock = clock
        self._began = clock()  # the last save, or the run if there was none
        self._took: float | None = 0.0  # that save; None while it is being written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(done=kind is None)

    def is_due(self, step: int) -> bool:
        """Return whether to save after ``step`` steps; never after the last.

        That is after so many steps, or so long after the last save began, as the job says. But
        where that save took longer than `BRIEF`, the next waits `LEAST_APART` times as long.
        """
        if self._path is None or self._every is None or step >= self._last:
            return False
        since = self._clock() - self._began
        took = since if self._took is None else self._took
        if took > BRIEF and since < LEAST_APART * took:
            return False
        if isinstance(self._every, timedelta):
            return since >= self._every.total_seconds()
        return step % self._every == 0

    def load(self) -> Saved | None:
        """Load the last checkpoint; None if the run starts from the beginning.

        A file that is damaged, or belongs to another run, trainer or version, is left alone, and
        the log says so.
        """
        if self._path is None:
            return None
        try:
            with self._path.open("rb") as file:
                return self._read(file)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._say(f"cannot be read ({error}); training starts again")
            return None

    def save(self, step: int, arrays: Arrays, facts: Mapping[str, Any]) -> None:
        """Save the state after ``step`` steps. The previous save is kept until this one is whole.

        The arrays are copied or written before this returns. They hold NumPy's own types of numbers
        or text, and ``facts`` whatever JSON can hold; anything else is a `TypeError`.
        """
        if self._path is None:
            return
        for name, array in arrays.items():
            dtype = np.asarray(array).dtype
            if dtype.kind in "OV":  # an .npy file does not preserve these
                raise TypeError(f"array {name!r} of a checkpoint is of {dtype}; expected numbers")
        said = {"of": self._owner, "step": step, "arrays": [*arrays], "facts": dict(facts)}
        head = json.dumps(said, separators=(",", ":")).encode() + b"\n"
        self._settle()
        self._began, self._took = self._clock(), None
        if sum(np.asarray(array).nbytes for array in arrays.values()) >= LARGE:
            self._write(partial(_write_arrays, self._path, head, arrays))
            return
        try:
            content = io.BytesIO(head)
            content.seek(0, io.SEEK_END)
            for array in arrays.values():
                np.save(content, array, allow_pickle=False)
            write = partial(_write_content, self._path, content.getbuffer())
            self._writing = Thread(target=self._write, args=(write,))
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
            self._say("is damaged, or of another version; training starts again")
            return None
        file.seek(begin)
        said = json.loads(file.readline())
        for name in self._owner | said["of"]:
            theirs, ours = said["of"].get(name), self._owner.get(name)
            if theirs != ours:
                self._say(f"is of {name} {theirs!r}, not {ours!r}; training starts again")
                return None
        self._say(f"has {said['step']} of {self._last} steps; training continues from there")
        arrays = {name: np.load(file, allow_pickle=False) for name in said["arrays"]}
        return Saved(said["step"], arrays, said["facts"])

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except (OSError, MemoryError) as error:
            self._fail(error)
        self._took = self._clock() - self._began

    def _settle(self) -> None:
        if self._writing is not None:
            self._writing.join()
            self._writing = None

    def _fail(self, error: Exception) -> None:
        """Warn once that a save failed: on a full disk the next ones fail too."""
        if not self._has_failed:
            self._say(f"was not saved ({str(error) or type(error).__name__}); training continues")
        self._has_failed = True

    def _say(self, what: str) -> None:
        # The log may be on the full disk.
        with contextlib.suppress(OSError, ValueError):
            print(f"checkpoint {self._path} {what}", flush=True)


_ARRAY, _PAIRS, _TUPLE = "array of", "pairs", "tuple"
"""Keys of the objects in the facts that stand for what JSON lacks."""


def packed(state: object) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return nested ``state`` as the arrays and the facts of a checkpoint, for `unpacked`.

    Raises `UsageError`, with the user's own line, for a value that cannot be kept.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    return arrays, {"content": _packed(state, "", arrays)}


def unpacked(arrays: Arrays, facts: Mapping[str, Any]) -> Any:  # noqa: ANN401  as it was
    """Return what was `packed`: Torch's tensors as tensors on the CPU, other arrays as NumPy's."""
    return _unpacked(facts["content"], arrays)


def _packed(value: object, at: str, arrays: dict[str, npt.NDArray[Any]]) -> object:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        items = [_packed(one, f"{at}[{i}]", arrays) for i, one in enumerate(value)]
        return items if isinstance(value, list) else {_TUPLE: items}
    if isinstance(value, Mapping):
        keys = [_packed(key, f"{at}[{key!r}]", arrays) for key in value]
        items = [_packed(one, f"{at}[{key!r}]", arrays) for key, one in value.items()]
        return {_PAIRS: [*zip(keys, items, strict=True)]}
    kind, array = _as_array(value)
    if array is None or array.dtype.kind in "OV":
        name = at.removeprefix("['state']")
        raise blamed(
            f"run.save: {name} is a {type(value).__name__}, which a "
            "checkpoint cannot keep; give arrays, numbers, text, and dictionaries or lists of them,"
            " or write a file into run.folder"
        )
    name = str(len(arrays))
    arrays[name] = array
    return {_ARRAY: kind, "name": name}


def _as_array(value: object) -> tuple[str, npt.NDArray[Any] | None]:
    """Return an array as NumPy's, with what it is of; None for what is no array."""
    if hasattr(value, "detach"):
        torch = sys.modules["torch"]
        tensor = value.detach().cpu()
        if tensor.dtype == torch.bfloat16:  # which NumPy lacks
            return "torch.bfloat16", tensor.view(torch.int16).numpy()
        return "torch", tensor.numpy()
    if hasattr(value, "__array__"):
        return "numpy", np.asarray(value)
    return "", None


def _unpacked(value: Any, arrays: Arrays) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return [_unpacked(one, arrays) for one in value]
    if not isinstance(value, dict):
        return value
    if _TUPLE in value:
        return tuple(_unpacked(one, arrays) for one in value[_TUPLE])
    if _PAIRS in value:
        return {_unpacked(key, arrays): _unpacked(one, arrays) for key, one in value[_PAIRS]}
    array = arrays[value["name"]]
    if value[_ARRAY] == "numpy":
        return array
    torch = importlib.import_module("torch")
    tensor = torch.from_numpy(array.copy())
    return tensor.view(torch.bfloat16) if value[_ARRAY] == "torch.bfloat16" else tensor


def discard(path: str | Path) -> None:
    """Remove a run's checkpoint, a file or a folder, with any unfinished write."""
    path = Path(path)
    parts = path.parent.glob(f"{glob.escape(path.name)}.*.part")
    for one in (path, *parts):
        with contextlib.suppress(OSError):
            if one.is_dir() and not one.is_symlink():
                shutil.rmtree(one)
            else:
                one.unlink(missing_ok=True)


def _write_content(path: Path, content: memoryview) -> None:
    with whole_file(path) as file:
        file.write(_SEAL % hashlib.sha256(content).hexdigest().encode())
        file.write(content)


def _write_arrays(path: Path, head: bytes, arrays: Arrays) -> None:
    """Write a checkpoint from its arrays themselves, a few megabytes at a time."""
    with whole_file(path) as file:
        file.write(_SEAL % (b"0" * 64))  # its place
        hashing = _Hashing(file)
        hashing.write(head)
        for array in arrays.values():
            np.save(hashing, array, allow_pickle=False)
        file.seek(0)
        file.write(_SEAL % hashing.digest.hexdigest().encode())


class _Hashing:
    """A file that is written to, with the SHA-256 of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, part: bytes) -> int:
        self.digest.update(part)
        return self._file.write(part)
