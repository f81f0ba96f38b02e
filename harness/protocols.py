"""The seams: what a trainer, an executor and a claim must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.records import Job, Outcome, Progress
from harness.verdicts import Evidence, Verdict

Notify = Callable[[Progress], None]


class Trainer(Protocol):
    """Trains one run in this process: a module-level function, loaded by its reference.

    It calls ``notify`` once a step at most, and returns what came of the run: ``completed``, or
    ``diverged`` at the step where loss or reward stopped being finite. Anything it raises is
    recorded as ``failed`` (``MemoryError`` and a device's out-of-memory error as ``oom``).
    """

    def __call__(self, job: Job, notify: Notify) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Started:
    """A worker has begun the run."""

    key: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """The run is a step further."""

    key: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over, well or not."""

    key: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Withheld:
    """The run is not begun here: another session has it."""

    key: str


Event = Started | Progressed | Finished | Withheld

MayBegin = Callable[[Job], bool]
"""Whether a job is this session's to begin, asked when a worker is free for it."""


class Executor(Protocol):
    """Trains jobs, some at a time. It stores nothing: it tells what happened.

    Every submitted job ends in exactly one ``Finished``, whatever becomes of its worker, unless
    the executor is closed first. Events of one job come in order.

    An executor is made with a question ``may_begin``, or None. It is asked right before a job is
    handed to a worker, from inside ``poll`` or ``submit``; a job that it says False of is dropped,
    and ``Withheld`` is all that is told of it. What it raises leaves ``poll`` or ``submit``, and
    the job stays queued, before all others.

    An executor is made with a callback ``on_event``, or None. It is called with each event as soon
    as the executor knows of it, from inside ``poll`` or ``submit``, and the next ``poll`` to
    return brings the same events in the same order. So ``poll`` is what results are taken from,
    and the callback is for showing live progress, also where ``poll`` itself trains (``inline``).
    A run that ends other than ``completed`` keeps the evaluations it had reported.
    """

    workers: int

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue ``jobs``, to be begun in this order.

        But that a worker keeps to jobs of one program while there are some, where workers are
        processes of their own. Nothing overtakes a job without a program.
        """
        ...

    def poll(self, timeout: float) -> Sequence[Event]:
        """Return what has happened, waiting up to ``timeout`` seconds for something to."""
        ...

    def close(self) -> Sequence[Event]:
        """Stop at once and leave no process behind. Runs in flight are lost.

        Returns what had happened by then and `poll` has not told: what has finished is not lost.
        """
        ...


class Claim(Protocol):
    """What a question asserts.

    ``parameters`` are those it names, ``arms`` those it needs, ``uses_baseline`` whether it
    compares with one. ``describe`` states the claim and its thresholds in one line: it is what is
    hashed before the first run, so two claims with the same line are the same claim.
    """

    @property
    def parameters(self) -> tuple[str, ...]: ...
    @property
    def arms(self) -> tuple[str, ...]: ...
    @property
    def uses_baseline(self) -> bool: ...
    @property
    def text(self) -> str: ...
    def describe(self) -> str: ...
    def judge(self, id: str, evidence: Evidence) -> Verdict: ...
