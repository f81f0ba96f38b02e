"""Ctrl-C, SIGTERM and SIGHUP: the first ends a session in order, the second at once.

What handled them before does so again once pytest has ended: a notebook goes on.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, NoReturn

import pytest

HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BEFORE = pytest.StashKey[dict[signal.Signals, Any]]()


def pytest_configure(config: pytest.Config) -> None:
    """Remember what handles the signals."""
    config.stash[BEFORE] = {number: signal.getsignal(number) for number in HEEDED}


def pytest_unconfigure(config: pytest.Config) -> None:
    """Put back what handled the signals."""
    for number, handler in config.stash[BEFORE].items():
        if handler is not None:  # None was not set by Python, which cannot set it again
            _handle(number, handler)


def heed() -> None:
    """Let SIGTERM and SIGHUP act as Ctrl-C: a preempted node has seconds to save its results.

    SIGHUP stays ignored where nohup has it ignored.
    """
    _handle(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        _handle(signal.SIGHUP, _interrupt)


def pytest_keyboard_interrupt() -> None:
    """End in order now; let the next signal end this process, and its workers, at once."""
    for number in HEEDED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            _handle(number, _end)


def _handle(number: signal.Signals, handler: Any) -> None:  # noqa: ANN401 - as `signal` has it
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)
