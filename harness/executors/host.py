"""The Ray executor's side on a node: it trains jobs there, without importing Ray."""

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
"""Seconds for which progress is gathered before it is sent, since there may be many hosts."""


@dataclass(frozen=True, slots=True)
class Request:
    """A job for a host. ``mark`` is the text that the session has just written into its log."""

    job: Job
    mark: str


@dataclass(frozen=True, slots=True)
class Response:
    """The events that a host reports.

    If the session cannot read the host's files, ``lines`` are the last of the job's log, and
    ``log`` is all of it once the job has ended.
    """

    events: tuple[Event, ...]
    lines: tuple[str, ...] = ()
    log: bytes | None = None


class Host:
    """Trains the jobs it is given, one after another, in a worker process.

    The worker is one of `LocalExecutor`. So its failures are found and reported as on the session's
    machine, and its death does not end this process. Requests and responses are bytes, so that we
    and not Ray find what cannot be pickled, and know the job. ``path`` is the session's `sys.path`,
    ``folder`` its working directory, used if it exists here. If Ray has given this process a GPU,
    ``sharers`` processes share it.
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
        """Return the name of this machine, to show that the host is ready."""
        return socket.gethostname().encode()

    def work(self, request: bytes | None, timeout: float) -> bytes:
        """Begin the job of the pickled `Request`, if one is given; return a pickled `Response`.

        Waits up to ``timeout`` seconds for something to happen.
        """
        if request is not None:
            self._begin(pickle.loads(request))
        until = time.monotonic() + timeout
        events: list[Event] = []
        while all(isinstance(event, Progressed) for event in events):
            happened = self._executor.poll(max(0.0, until - time.monotonic()))
            if not happened:
                break
            if not events:
                until = min(until, time.monotonic() + GATHER)
            events += happened
        return self._response(events)

    def close(self) -> bytes:
        """Kill the worker; return a pickled `Response` with what it has sent."""
        return self._response(self._executor.close())

    def _begin(self, request: Request) -> None:
        try:
            ours = Path(request.job.log).read_text(encoding="utf-8") == request.mark
        except (OSError, UnicodeDecodeError):
            ours = False
        self._log = None if ours else request.job.log
        self._executor.submit([request.job])

    def _response(self, events: Sequence[Event]) -> bytes:
        if self._log is None:
            return pickle.dumps(Response(tuple(events)))
        log = None
        if any(isinstance(event, Finished) for event in events):
            with suppress(OSError):
                log = Path(self._log).read_bytes()
        return pickle.dumps(Response(tuple(events), tuple(tail(self._log)), log))
