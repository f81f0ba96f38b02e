"""The far end of the Ray executor: what sits on a node and trains there, without Ray itself."""

from __future__ import annotations

import os
import pickle
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.executors.devices import VISIBLE, Device
from harness.executors.local import LocalExecutor
from harness.executors.logs import tail
from harness.protocols import Event, Finished, Progressed
from harness.records import Job

GATHER = 0.1
"""Seconds that progress is gathered for before it is sent: there may be many hosts to listen to."""


@dataclass(frozen=True, slots=True)
class Order:
    """A job for a host. ``mark`` is what the session has just written into the job's log."""

    job: Job
    mark: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What a host has to tell.

    Where the session does not see the host's files ``lines`` are the last ones that the job has
    printed, and with its end ``log`` is its whole log.
    """

    events: tuple[Event, ...]
    lines: tuple[str, ...] = ()
    log: bytes | None = None


class Host:
    """Trains the jobs it is given, one after another, in a worker process of its own.

    The worker is one of `LocalExecutor`, so that what befalls it is found out and worded here as on
    the session's machine, and its death is not this process's. What goes in and comes out is bytes:
    what cannot be pickled is found by us, where it can be said of which job it is. ``path`` is the
    session's `sys.path`, ``folder`` its working directory, used where it exists. Where Ray has
    given this process a GPU it is one of so many ``sharers``.
    """

    def __init__(self, threads: int, sharers: int, path: Sequence[str], folder: str) -> None:
        sys.path[:] = [*path, *(entry for entry in sys.path if entry not in path)]
        with suppress(OSError):
            os.chdir(folder)
        gpu = os.environ.get(VISIBLE) if sharers else None
        self._executor = LocalExecutor(
            1,
            threads=threads,
            devices=(Device(gpu, gpu, "", None),) if gpu else (),
            per_device=sharers or 1,
        )
        self._log: str | None = None

    def node(self) -> bytes:
        """Return the name of the machine that this is, once it is ready."""
        return socket.gethostname().encode()

    def work(self, order: bytes | None, timeout: float) -> bytes:
        """Begin the job of the pickled `Order`, if one is given; return a pickled `Heard`.

        Waits up to ``timeout`` seconds for something to happen.
        """
        if order is not None:
            self._begin(pickle.loads(order))
        until = time.monotonic() + timeout
        events: list[Event] = []
        while all(isinstance(event, Progressed) for event in events):
            happened = self._executor.poll(max(0.0, until - time.monotonic()))
            if not happened:
                break
            if not events:
                until = min(until, time.monotonic() + GATHER)
            events += happened
        return self._heard(events)

    def close(self) -> bytes:
        """Kill the worker; return a pickled `Heard` with what it had sent before."""
        return self._heard(self._executor.close())

    def _begin(self, order: Order) -> None:
        try:
            ours = Path(order.job.log).read_text(encoding="utf-8") == order.mark
        except (OSError, UnicodeDecodeError):
            ours = False
        self._log = None if ours else order.job.log
        self._executor.submit([order.job])

    def _heard(self, events: Sequence[Event]) -> bytes:
        if self._log is None:
            return pickle.dumps(Heard(tuple(events)))
        log = None
        if any(isinstance(event, Finished) for event in events):
            with suppress(OSError):
                log = Path(self._log).read_bytes()
        return pickle.dumps(Heard(tuple(events), tuple(tail(self._log)), log))
