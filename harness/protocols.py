"""The seams: the protocols of a trainer, an executor and a claim."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from harness.errors import UsageError
from harness.metrics import DELTA_PERF, Metric
from harness.records import Config, GapKind, Job, Outcome, Progress, Result, Run, Value
from harness.verdicts import Difference, Evidence, Pricing, Verdict

Notify = Callable[[Progress], None]


class Trainer(Protocol):
    """Trains one run in this process: a module-level function, loaded by its reference.

    It calls ``notify`` at most once a step, and returns the outcome: ``completed``, or ``diverged``
    at the step where loss or reward stopped being finite. Anything it raises is recorded as
    ``failed`` (``MemoryError`` and a device's out-of-memory error as ``oom``).
    """

    def __call__(self, job: Job, notify: Notify) -> Outcome: ...


def takes_run(function: Callable[..., object]) -> bool:
    """Return whether a training function takes a `harness.TrainingRun`; else (job, notify).

    One positional parameter without a default is a run, two are a job and ``notify``. Raises
    `UsageError` for a function that takes anything else.
    """
    name = getattr(function, "__qualname__", repr(function))
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [
        one
        for one in inspect.signature(function).parameters.values()
        if one.default is inspect.Parameter.empty
        and one.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    if not 1 <= len(needed) <= 2 or any(one.kind not in kinds for one in needed):
        takes = ", ".join(one.name for one in needed) or "nothing"
        raise UsageError(f"trainer {name} takes {takes}; write it as def {name}(run)")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise UsageError(
            f"trainer {name} is async or has a yield; write it as a plain def {name}(run)"
        )
    return len(needed) == 1


@dataclass(frozen=True, slots=True)
class Started:
    """A worker has begun the run."""

    key: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """The run has trained another step."""

    key: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is over, however it ended."""

    key: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Skipped:
    """The run is not begun here: another session has it."""

    key: str


Event = Started | Progressed | Finished | Skipped

MayBegin = Callable[[Job], bool]
"""Decides whether this session may begin a job, when a worker is free for it."""


class Executor(Protocol):
    """Trains jobs, some at a time. It stores nothing; it reports events.

    Every submitted job ends in exactly one ``Finished``, whatever becomes of its worker, unless
    the executor is closed first. Events of one job come in order. A run that ends other than
    ``completed`` keeps the evaluations it had reported.

    An executor is made with a function ``may_begin``, or None. It is called right before a job is
    handed to a worker, from inside ``poll`` or ``submit``. If it returns False, the job is dropped,
    and ``Skipped`` is its only event. If it raises, ``poll`` or ``submit`` raises too, and the job
    stays first in the queue.

    An executor is made with a callback ``on_event``, or None. It is called with each event at once,
    from inside ``poll`` or ``submit``; the next ``poll`` returns the same events in the same order.
    Take results from ``poll``, and use the callback to show live progress, also where ``poll``
    itself trains (``inline``).
    """

    workers: int

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue ``jobs``, which begin in this order.

        But a worker process keeps to jobs of one program while there are some. Nothing overtakes a
        job without a program.
        """
        ...

    def poll(self, timeout: float) -> Sequence[Event]:
        """Return the events so far, waiting up to ``timeout`` seconds for one."""
        ...

    def close(self) -> Sequence[Event]:
        """Stop at once and leave no process behind. Runs in flight are lost.

        Return the events that `poll` has not returned yet, so that no finished run is lost.
        """
        ...


@runtime_checkable
class Claim(Protocol):
    """A statement to be judged, with all that planning, judging, auditing and comparing need of it.

    `harness.BaseClaim` has everything but `question`, `describe` and the decision; your own claim
    derives from it.

    ``parameters`` are those that the claim names. ``within`` is one whose levels are compared one
    by one. ``arms`` are those that it needs. ``paired_at`` says by arm which value of the arm's
    parameter a main run must have for the arm's runs to be compared with it; empty where none is
    asked for. ``uses_baseline`` says whether it needs a baseline. With fewer runs (or pairs) than
    ``fewest`` it is judged only once all are in. ``by_counts`` says that counts alone decide it, so
    that `curtailed` may settle it early. ``on_spread`` says that it is about how single results
    spread, as counts of successes and tails are: of means over seeds it is another claim.
    ``on_gains`` says that it claims a gain from training: where it is not supported, its verdict
    says so if there was nothing to learn from. ``rests_on`` are the kinds of missing values that
    could change it: with one of them in a run of ``runs_of`` it is never supported.
    """

    @property
    def parameters(self) -> tuple[str, ...]: ...
    @property
    def within(self) -> str | None: ...
    @property
    def arms(self) -> tuple[str, ...]: ...
    @property
    def paired_at(self) -> Mapping[str, Value]: ...
    @property
    def uses_baseline(self) -> bool: ...
    @property
    def fewest(self) -> int: ...
    @property
    def by_counts(self) -> bool: ...
    @property
    def on_spread(self) -> bool: ...
    @property
    def on_gains(self) -> bool: ...
    @property
    def rests_on(self) -> Collection[GapKind]: ...
    @property
    def confirms_against(self) -> str | int | Config | None: ...

    def question(self, metric: Metric = DELTA_PERF) -> str:
        """Return the question in plain words."""
        ...

    def asked(self, evidence: Evidence) -> str:
        """Return the question as it is asked of these runs, which may be scaled down."""
        ...

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        """Return the claim and its thresholds in one line.

        It is hashed before the first run: two claims with the same line are the same claim.
        """
        ...

    def judge(self, id: str, evidence: Evidence) -> Verdict:
        """Judge the claim. Equal evidence and id give an equal verdict."""
        ...

    def runs_of(self, evidence: Evidence) -> Sequence[Result]:
        """Return the runs that the claim is judged on."""
        ...

    def curtailed(self, id: str, evidence: Evidence, planned: int) -> Verdict | None:
        """Return the verdict that the runs still to come cannot change; None where they can.

        ``planned`` are the main runs of the sweep, finished or not.
        """
        ...

    def power(self, design: Any) -> Pricing | None:  # noqa: ANN401  a `Design` is above this
        """Return the claim's effects and their power under a `harness.claims.design.Design`.

        None where the claim does not say its power.
        """
        ...

    def worse(self, now: Evidence, then: Evidence, was: Verdict) -> tuple[Difference, ...]:
        """Test whether ``now`` is worse than ``then`` in what the claim rests on.

        ``was`` is the verdict of then. Each test is one-sided and keeps its level by itself.
        """
        ...

    def window(self, run: Run) -> tuple[float, float] | None:
        """Return the first and last step of the part of the curve it uses; None if it uses none."""
        ...
