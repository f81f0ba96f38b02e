"""The log file of a run, with all that Python or a C library prints while it trains."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

FATAL = "Fatal Python error"
TRACEBACK = "Traceback (most recent call last):\n"

LIMIT = 2 * 2**20
"""A log of more bytes than this is cut."""
KEPT = 2**19
"""The bytes that are kept of a log's beginning, and of its end, when it is cut."""
_CUT = b"\n[sweep] the middle of this log is left out: too much was printed\n"


def begin_log(path: str) -> None:
    """Create the empty log file ``path``, with its folders."""
    log = Path(path)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")


def redirect(path: str) -> None:
    """Redirect file descriptors 1 and 2 of this process to the end of the file ``path``."""
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
    finally:
        os.close(log)


def append(path: str, text: str) -> None:
    """Append ``text`` to the log ``path``; ignore a log that cannot be written."""
    with suppress(OSError):
        log = Path(path)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)


def cut(path: str) -> None:
    """Cut a log that is too long to its beginning and its end, if possible.

    Others may append to it at the same time. What they add while it is being cut is lost.
    """
    with suppress(OSError):
        if os.stat(path).st_size <= LIMIT:  # noqa: PTH116 it is called often
            return
        with open(path, "r+b", buffering=0) as log:  # noqa: PTH123
            with suppress(OSError):  # a network file system may have no locks
                fcntl.flock(log, fcntl.LOCK_EX)
            size = os.fstat(log.fileno()).st_size
            if size <= LIMIT:
                return
            # The end is copied forward over the middle, so that the file always has it.
            end = _CUT + os.pread(log.fileno(), KEPT, size - KEPT)
            os.pwrite(log.fileno(), end, KEPT)
            os.truncate(log.fileno(), KEPT + len(end))


def last_traceback(path: str, lines: int = 30, reach: int = 65_536) -> list[str]:
    """Return the last traceback in a log, shortened to ``lines`` lines; empty without one.

    Looks at the last ``reach`` bytes. Of a longer one the first two lines and the last ones stay.
    """
    text = _end(path, reach)
    _, header, rest = text.rpartition(TRACEBACK)
    found = f"{header}{rest}".rstrip().splitlines() if header else []
    if len(found) > lines:
        found = [*found[:2], "  …", *found[3 - lines :]]
    return found


def _end(path: str, reach: int) -> str:
    """Return the last ``reach`` bytes of a log as text; empty if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - reach))
            return file.read(reach).decode("utf-8", errors="replace")
    except OSError:
        return ""


def tail(path: str, lines: int = 4, reach: int = 8192) -> list[str]:
    """Return the last ``lines`` lines of a log that are not blank, reading only its end.

    If there is a crash report of the interpreter within ``reach`` bytes of the end, return its
    first lines instead, which say what happened.
    """
    text = _end(path, reach)
    said = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    fatal = next((i for i, line in enumerate(said) if line.startswith(FATAL)), None)
    chosen = said[-lines:] if fatal is None else said[fatal : fatal + lines]
    return [line[:200] for line in chosen]
