"""Write files that a reader sees whole, as they were or as they are, and never half written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def part_of(path: Path) -> Path:
    """Return the file beside ``path`` that this process writes before it takes its place."""
    return path.with_name(f"{path.name}.{os.getpid()}.part")


@contextmanager
def replacing(*paths: Path, durable: bool = False) -> Iterator[tuple[Path, ...]]:
    """Give a file to write for each of ``paths``; they take their places once all are written.

    An exception while they are written removes them, and leaves what was there. Each is put in its
    place by itself. With ``durable`` they are on the disk first, so that not even a power failure
    leaves half of one. Raises `OSError` where one cannot be put in its place.
    """
    parts = tuple(map(part_of, paths))
    try:
        yield parts
        if durable:
            _sync(parts)
        for part, path in zip(parts, paths, strict=True):
            part.replace(path)
    except BaseException:
        for part in parts:
            with suppress(OSError):  # a read-only disk says so even of what is not there
                part.unlink(missing_ok=True)
        raise
    if durable:
        _sync({path.parent for path in paths})


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write that takes the place of ``path`` once it is whole and on the disk.

    Its folder is made where there is none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, durable=True) as (part,), part.open("wb") as file:
        yield file


def write_whole(path: Path, *pieces: bytes | memoryview) -> None:
    """Write a file so that ``path`` is never half written, even if the power fails."""
    with whole_file(path) as file:
        file.writelines(pieces)


def _sync(paths: Iterable[Path]) -> None:
    """Wait until files or folders are on the disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
