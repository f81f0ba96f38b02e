"""Errors that a user can mend: one clear line each, never a traceback."""

from __future__ import annotations

import math
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import FrameType


class HarnessError(Exception):
    """An error that says in one line what was given, what was expected, and what to do."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows of it: IPython asks for this in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class SweepError(HarnessError):
    """A sweep is declared in a way that cannot be run."""


class UsageError(HarnessError):
    """An option or an argument has a value that cannot be used."""


class UnclearTableError(UsageError):
    """The use of a column of a table cannot be known without a flag.

    ``said`` is the message, and ``choices`` are options to choose from, the best guess first: each
    is what the user may add to the command that they gave.
    """

    def __init__(self, said: str, choices: Iterable[tuple[str, ...]] = ()) -> None:
        self.said, self.choices = said, tuple(choices)
        flags = " or ".join(" ".join(choice) for choice in self.choices)
        super().__init__(f"{said}: {flags}" if flags else said)


class UnclearMetricError(UnclearTableError):
    """A table does not tell by itself what its runs are judged by."""


class BackendError(UsageError):
    """A training backend or device that was asked for is not on this machine."""


class StoreError(HarnessError):
    """The store cannot be opened, read or written."""


def first_sentence(error: BaseException) -> str:
    """Return what an error of a library says first, in one line of at most 200 characters."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line.split(". ", maxsplit=1)[0].rstrip(".: ")[:200]


def nearest(name: object, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the known name nearest to ``name``, or nothing."""
    import difflib

    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def unquoted(value: object) -> str:
    """Return ``; write it without quotes: 1e-6`` for text that is a number, or nothing."""
    try:
        if isinstance(value, str) and math.isfinite(float(value)):
            return f"; write it without quotes: {value.strip()}"
    except ValueError:
        pass
    return ""


_OURS = Path(__file__).parent
_PYTHON = Path(sysconfig.get_path("stdlib"))
_SITES = {"site-packages", "dist-packages"}


def blamed(what: str) -> UsageError:
    """Return the error ``what`` with the file and line of the user's own code that led to it.

    That is the innermost call that is neither ours, nor Python's, nor in an installed package; the
    innermost that is not ours where all the others are installed.
    """
    frame: FrameType | None = sys._getframe(1)  # inspect.stack would read every source file
    nearest_at = ""
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if not file.is_relative_to(_OURS) and file.is_absolute():
            at = f"{short(file)}:{frame.f_lineno}"
            if not (file.is_relative_to(_PYTHON) or _SITES.intersection(file.parts)):
                return UsageError(f"{at}: {what}")
            nearest_at = nearest_at or at
        frame = frame.f_back
    return UsageError(f"{nearest_at}: {what}" if nearest_at else what)


def short(file: str | Path) -> str:
    """Return a path relative to the working directory where it lies in it."""
    file, here = Path(file), Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)
