"""How far a session's training is, and who is told of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from harness.protocols import Event, Progressed, Started, Withheld
from harness.records import Outcome, Run


@dataclass
class Tally:
    """How far the session's training is; what a progress display shows.

    ``preparing`` says what runs wait for that is no step of theirs, as a warm start. ``began`` is
    when the first step was trained, so that the rate is that of training. ``elsewhere`` are runs
    that another session has, which are waited for.
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
        """Runs not begun."""
        return self.total - self.done - len(self.running)

    @property
    def steps_now(self) -> int:
        """Steps trained in this session so far."""
        return self.steps_done + sum(step for step, _ in self.running.values())

    def rate(self, now: float) -> float | None:
        """Return steps per second over the session, None before the first step."""
        if self.began is None or not self.steps_now or now <= self.began:
            return None
        return self.steps_now / (now - self.began)

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds that the remaining steps will take at the rate so far."""
        rate = self.rate(now)
        return (self.steps_total - self.steps_now) / rate if rate else None

    def count(self, event: Event, run: Run) -> None:
        """Count an event of ``run``; one that another session has is none of this session's."""
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
        elif isinstance(event, Withheld):
            self.spare(run)
        else:
            self.running.pop(event.key, None)
            self.done += 1
            self.steps_done += run.steps
            self.last = (run.id, event.outcome)

    def expect(self, run: Run) -> None:
        """Count ``run`` as one to be trained, or to be trained once more."""
        self.total += 1
        self.steps_total += run.steps

    def spare(self, run: Run) -> None:
        """Count ``run``, which has not begun, as one that is not needed."""
        self.total -= 1
        self.steps_total -= run.steps


class Observer:
    """Is told of the session's progress; this one does nothing."""

    def update(self, tally: Tally) -> None:
        """Show ``tally``; called a few times a second while the session waits."""

    def pause(self) -> None:
        """Clear what is shown: something else is about to print."""
