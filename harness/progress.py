"""Live progress of a session: one line that rewrites itself, or now and then a line in a log."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TextIO

from harness.tally import Observer, Tally

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

SHOW_AFTER = 1.0
REFRESH_SECONDS = 0.2
LOG_SECONDS = 30.0


def clock(seconds: float | None) -> str:
    """Return a duration as ``m:ss`` or ``h:mm:ss``; ``…`` where it is not known yet."""
    if seconds is None:
        return "…"
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def describe(tally: Tally, now: float, width: int) -> str:
    """Return the state of a session in one line of at most ``width`` characters."""
    rate = tally.rate(now)
    doing = tally.preparing or (f"{rate:.0f} steps/s" if rate else "starting")
    parts = [
        f"{tally.done}/{tally.total} runs",
        f"{len(tally.running)} running",
        f"{tally.left} left",
        *([f"{tally.elsewhere} with another session"] if tally.elsewhere else []),
        doing,
        f"{clock(tally.seconds_left(now))} to go",
    ]
    if tally.last is not None and tally.last[1].delta_perf is not None:
        parts.append(f"last ΔPerf {tally.last[1].delta_perf:+.3f}")
    elif tally.last is not None:
        parts.append(f"last {tally.last[1].status}")
    while len(" · ".join(parts)) > width and len(parts) > 1:
        parts.pop()
    return " · ".join(parts)[:width]


class LiveLine(Observer):
    """A line below pytest's own output that rewrites itself, and leaves no trace when it goes.

    ``column`` tells how far pytest has written in its current line, so that the cursor can be put
    back there. ``uncaptured`` makes a context in which the stream reaches the terminal.
    """

    def __init__(
        self,
        stream: TextIO,
        width: int,
        column: Callable[[], int],
        uncaptured: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._stream = stream
        self._width = width
        self._uncaptured = uncaptured
        self._column = column
        self._since: float | None = None
        self._live: Live | None = None
        self._drawn = 0.0
        self._back = 0

    def update(self, tally: Tally) -> None:
        """Draw the line anew, a few times a second at most and not for the briefest waits."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        if now - self._since < SHOW_AFTER or now - self._drawn < REFRESH_SECONDS:
            return
        self._drawn = now
        with self._uncaptured():
            if self._live is None:
                self._live = self._start()
            self._live.update(self._render(tally, now), refresh=True)

    def pause(self) -> None:
        """Erase the line and put the cursor back where pytest had left it."""
        self._since = None
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


class LogLine(Observer):
    """For output that is not a terminal: a plain line now and then.

    ``lead`` goes before each: what ends the line that pytest is in, or nothing.
    """

    def __init__(
        self,
        stream: TextIO,
        width: int,
        uncaptured: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        lead: str = "\n",
    ) -> None:
        self._stream = stream
        self._width = width
        self._uncaptured = uncaptured
        self._lead = lead
        self._next: float | None = None

    def update(self, tally: Tally) -> None:
        """Write a line, one every half minute of waiting."""
        now = time.monotonic()
        if self._next is None:
            self._next = now + LOG_SECONDS
        if now >= self._next:
            self._next = now + LOG_SECONDS
            with self._uncaptured():
                self._stream.write(f"{self._lead}sweep: {describe(tally, now, self._width - 7)}\n")
                self._stream.flush()
