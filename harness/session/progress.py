"""The progress of a session, shown as a live line or in a log line now and then."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, TextIO

from harness.metrics import DELTA_PERF, Metric
from harness.session.tally import Tally
from harness.text import clock, duration, number, signed

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

SHOW_AFTER = 1.0
REFRESH_SECONDS = 0.2
LOG_SECONDS = 30.0
ERASE = "\r\x1b[K"
"""Takes the cursor to the beginning of its line, and the line away."""


class Observer:
    """Receives the progress of a session. This one shows nothing."""

    def update(self, tally: Tally) -> None:
        """Show ``tally``. Called a few times a second while the session waits."""

    def pause(self) -> None:
        """Clear what is shown, because something else will print."""

    def close(self) -> None:
        """Show nothing any more."""

    def waiting(self, said: str) -> AbstractContextManager[None]:
        """Show what takes its time before the first run, for as long as it does."""
        return nullcontext()


@contextmanager
def shown(
    stream: TextIO,
    said: str,
    uncaptured: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[None]:
    """Show a line on ``stream``, a terminal that `rewrites`, and erase it in the end."""

    def write(text: str) -> None:
        with uncaptured():
            stream.write(text)
            stream.flush()

    write(f"sweep: {said} …")
    try:
        yield
    finally:
        write(ERASE)


def describe(tally: Tally, now: float, width: int) -> str:
    """Return the state of a session in one line of at most ``width`` characters."""
    left, rate, per_step = tally.seconds_left(now), tally.rate(), tally.per_step()
    parts = [f"{tally.done}/{tally.total} runs"]
    if tally.failed:
        parts.append(f"{tally.failed} failed")
    if diverged := tally.ended.get("diverged"):
        parts.append(f"{diverged} diverged")
    if tally.preparing:
        parts.append(tally.preparing)
    if left is not None:
        parts.append(f"{clock(left)} to go")
    elif tally.since is not None:
        parts.append(f"{clock(now - tally.since)} so far")
    parts += [f"best {metric.name} {_written(metric, best)}" for metric, best in tally.best.items()]
    parts += [
        f"{metric.name} {number(point.perf)} at step {point.step}"
        for metric, point in tally.latest.items()
        if metric != DELTA_PERF and metric not in tally.best
    ]
    if tally.elsewhere:
        parts.append(f"{tally.elsewhere} with another session")
    parts.append(f"{len(tally.running)} running")
    together = (rate or 0.0) * len(tally.running)
    if rate and together:
        parts.append(f"{together:.0f} steps/s" if rate >= 1 else f"{duration(1 / rate)} a step")
    elif per_step is not None:
        parts.append(f"{duration(per_step * tally.steps_total / tally.total)} a run")
    while len(" · ".join(parts)) > width and len(parts) > 1:
        parts.pop()
    return " · ".join(parts)[:width]


def _written(metric: Metric, outcome: float) -> str:
    value = metric.level(outcome)
    return signed(value) if metric.is_change else number(value)


def rewrites(stream: TextIO) -> bool:
    """Return whether ``stream`` is a terminal that understands escape codes."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class _Display(Observer):
    """Shows the progress on a stream, also while nobody calls `update`.

    With ``ticks`` a thread shows it a few times a second from an `update` until the next `pause`: a
    run that this process trains itself may report nothing for an hour. The stream must then reach
    the terminal at any time, and is closed by `close`. ``uncaptured`` makes a context in which a
    stream reaches the terminal.
    """

    def __init__(
        self,
        stream: TextIO,
        width: int,
        uncaptured: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        ticks: bool = False,
    ) -> None:
        self._stream = stream
        self._width = width
        self._uncaptured = uncaptured
        self._since: float | None = None
        self._tally: Tally | None = None  # while it may be shown
        self._lock = threading.RLock()
        self._ticks = ticks
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def update(self, tally: Tally) -> None:
        """Show ``tally`` if it is time to, and from then on."""
        with self._lock:
            if self._closed.is_set():
                return
            now = time.monotonic()
            if self._since is None:
                self._since = now
            self._tally = tally
            self._show(tally, now)
            if self._ticks and self._thread is None:
                self._thread = threading.Thread(target=self._tick, name="sweep-line", daemon=True)
                self._thread.start()

    def pause(self) -> None:
        """Show nothing until the next `update`."""
        with self._lock:
            self._tally = None
            self._clear()

    def close(self) -> None:
        """Show nothing any more."""
        self.pause()
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._ticks:
            with suppress(OSError):
                self._stream.close()

    def _tick(self) -> None:
        while not self._closed.wait(REFRESH_SECONDS):
            with self._lock:
                if self._tally is not None:
                    self._show(self._tally, time.monotonic())

    def _show(self, tally: Tally, now: float) -> None:
        """Show ``tally`` if it is time to."""
        raise NotImplementedError

    def _clear(self) -> None:
        """Remove what is shown."""


class LiveLine(_Display):
    """A line below pytest's output that is redrawn, and leaves no trace when it is erased.

    It is there whenever the session waits, from a second after its first run began. ``column``
    returns the column to which pytest has written its current line, where the cursor goes back.
    """

    def __init__(
        self,
        stream: TextIO,
        width: int,
        column: Callable[[], int],
        uncaptured: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        ticks: bool = False,
    ) -> None:
        super().__init__(stream, width, uncaptured, ticks=ticks)
        self._column = column
        self._live: Live | None = None
        self._drawn = 0.0
        self._back = 0

    def waiting(self, said: str) -> AbstractContextManager[None]:
        """Show what takes its time before the first run."""
        return shown(self._stream, said, self._uncaptured)

    def _show(self, tally: Tally, now: float) -> None:
        assert self._since is not None
        if now - self._since < SHOW_AFTER:
            return
        if self._live is not None and now - self._drawn < REFRESH_SECONDS:
            return
        self._drawn = now
        with self._uncaptured():
            if self._live is None:
                self._live = self._start()
            self._live.update(self._render(tally, tally.timer()), refresh=True)

    def _clear(self) -> None:
        """Erase the line and put the cursor back where pytest left it."""
        if self._live is None:
            return
        with self._uncaptured():
            self._live.stop()
            self._live = None
            if self._back:
                self._stream.write(f"\x1b[1A\x1b[{self._back}C")
                self._stream.flush()

    def _start(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        self._back = self._column()
        if self._back:
            self._stream.write("\n")
            self._stream.flush()
        console = Console(file=self._stream, force_terminal=True, width=self._width)
        live = Live(
            console=console,
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        live.start()
        return live

    def _render(self, tally: Tally, now: float) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        bar = 0 if os.environ.get("NO_COLOR") else max(0, min(30, self._width - 72))
        grid = Table.grid(padding=(0, 1))
        text = describe(tally, now, self._width - bar - 2)
        if bar < 6:
            grid.add_row(text)
        else:
            total, now_at = max(1, tally.steps_total), tally.steps_now
            grid.add_row(ProgressBar(total=total, completed=now_at, width=bar), text)
        return grid


class LogLine(_Display):
    """Writes a plain line now and then, for output that is not a terminal.

    ``column`` returns the column to which pytest has written its line, which is ended first.
    """

    def __init__(
        self,
        stream: TextIO,
        width: int,
        column: Callable[[], int],
        uncaptured: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        ticks: bool = False,
    ) -> None:
        super().__init__(stream, width, uncaptured, ticks=ticks)
        self._column, self._ended = column, 0
        self._next: float | None = None

    def _show(self, tally: Tally, now: float) -> None:
        """Write a line every half minute of waiting."""
        if self._next is None:
            self._next = now + LOG_SECONDS
        if now >= self._next:
            self._next = now + LOG_SECONDS
            line = describe(tally, tally.timer(), self._width - 7)
            # The column stays where it was while pytest writes nothing after our line.
            at, ended = self._column(), self._ended
            self._ended, lead = at, "" if at == ended else "\n"
            with self._uncaptured():
                self._stream.write(f"{lead}sweep: {line}\n")
                self._stream.flush()
