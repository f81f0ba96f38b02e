"""Ctrl-C and SIGTERM: the first ends a session in order, the second at once."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import NoReturn


def heed_sigterm() -> None:
    """Let SIGTERM act as Ctrl-C: a preempted node has seconds to save its results."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)


def pytest_keyboard_interrupt() -> None:
    """End in order now; let the next signal end this process, and its workers, at once."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)
