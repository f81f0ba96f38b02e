"""Python processes that tests start beside themselves."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]


def python(code, *arguments, **options):
    """Start Python on ``code``, with the project and its tests to import, its output a pipe."""
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(ROOT)!r}]\n{code}", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def is_gone(pid, seconds=10.0):
    """Whether a process ends within some seconds; a zombie has ended."""
    until = time.monotonic() + seconds
    while True:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.02)


def wait_for(path, seconds=10.0):
    until = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < until, f"no {path}"
        time.sleep(0.02)
    return path.read_text()
