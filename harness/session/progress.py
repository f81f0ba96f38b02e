"""The progress of a session, shown as a live line or in a log line now and then."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from harness.protocols import Event, Progressed, Skipped, Started
from harness.records import Outcome, Run
from harness.text import clock

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

SHOW_AFTER = 1.0
REFRESH_SECONDS = 0.2
LOG_SECONDS = 30.0


@dataclass
class Tally:
    """Counts of the runs and steps of a session, for a progress display.

    ``preparing`` is what runs wait for before their first step, such as a warm start. ``began`` is
    the time of the first step, so that the rate is that of training. ``elsewhere`` counts the runs
    of other sessions that this one waits for.
    """

    total: int = 0
    done: int = 0
    running: dict[str, tuple[int, int]] = field(default_factory=dict)
    preparing: str = ""
    steps_total: int = 0
    steps_done: int = 0
    began: float | None = None
    last: tuple[str, Outcome] | None = None
    elsewhere: int = 0

    @property
    def left(self) -> int:
        """The number of runs that have not begun."""
        return self.total - self.done - len(self.running)

    @property
    def steps_now(self) -> int:
        """The number of steps trained in this session so far."""
        return self.steps_done + sum(step for step, _ in self.running.values())

    def rate(self, now: float) -> float | None:
        """Return steps per second so far; None before the first step."""
        if self.began is None or not self.steps_now or now <= self.began:
            return None
        return self.steps_now / (now - self.began)

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds that the remaining steps take at the rate so far."""
        rate = self.rate(now)
        return (self.steps_total - self.steps_now) / rate if rate else None

    def count(self, event: Event, run: Run) -> None:
        """Count an event of ``run``. A run that another session has does not count here."""
        if isinstance(event, Started):
            self.running[event.key] = (0, run.steps)
        elif isinstance(event, Progressed):
            progress = event.progress
            if progress.stage == "train":
                self.preparing = ""
                self.began = time.monotonic() if self.began is None else self.began
                self.running[event.key] = (progress.step, run.steps)
            else:
                self.preparing = f"{progress.stage} {progress.step / progress.steps:.0%}"
        elif isinstance(event, Skipped):
            self.drop(run)
        else:
            self.running.pop(event.key, None)
            self.done += 1
            self.steps_done += run.steps
            self.last = (run.id, event.outcome)

    def expect(self, run: Run) -> None:
        """Add ``run`` to the runs to be trained; again if it is retried."""
        self.total += 1
        self.steps_total += run.steps

    def drop(self, run: Run) -> None:
        """Remove ``run``, which has not begun, from the runs to be trained."""
        self.total -= 1
        self.steps_total -= run.steps


class Observer:
    """Receives the progress of a session. This one shows nothing."""

    def update(self, tally: Tally) -> None:
        """Show ``tally``. Called a few times a second while the session waits."""

    def pause(self) -> None:
        """Clear what is shown, because something else will print."""


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
    """A line below pytest's output that is redrawn, and leaves no trace when it is erased.

    ``column`` returns the column to which pytest has written its current line, where the cursor
    goes back. ``uncaptured`` makes a context in which the stream reaches the terminal.
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
        """Redraw the line, at most a few times a second, and not for short waits."""
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
        """Erase the line and put the cursor back where pytest left it."""
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
    """Writes a plain line now and then, for output that is not a terminal.

    ``lead`` is written before each line, to end pytest's current line.
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
        """Write a line every half minute of waiting."""
        now = time.monotonic()
        if self._next is None:
            self._next = now + LOG_SECONDS
        if now >= self._next:
            self._next = now + LOG_SECONDS
            with self._uncaptured():
                self._stream.write(f"{self._lead}sweep: {describe(tally, now, self._width - 7)}\n")
                self._stream.flush()
