"""A run of GRPO from its first step to its last, through interruptions; both trainers use it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from types import TracebackType
from typing import Protocol, Self

from harness.protocols import Notify
from harness.records import Evaluation, Job, Outcome, Progress, StepTrace
from harness.training.checkpoints import Arrays, Checkpoint, Saved
from harness.training.grpo import TRAINING_VERSION, Diverged
from harness.training.measurement import HeldOut, outcome
from harness.training.warm_start import Weights, checksum

_entry = attrgetter(*(field.name for field in fields(StepTrace)))
"""The values of an entry of the trace, in the order that makes one."""


class Learner(Protocol):
    """A policy whose weights and optimiser state can be saved and restored."""

    def state(self) -> Arrays: ...
    def restore(self, state: Arrays) -> None: ...


class Course:
    """The step that a run is at, and what it has measured so far.

    Used as a context around the steps. A run that diverges leaves it as one that completes does,
    with its step and its reason kept for the outcome. Anything else that is raised goes on, and
    the checkpoint stays for the next attempt. Randomness is keyed by seed and step, prompts too,
    and schedules are functions of the step: the state of a run is what is kept here, the policy's,
    and nothing else.

    ``trace`` has an entry a step, ``tokens`` counts those sampled in training, and ``now`` is the
    step at hand, from 1.

    Parameters
    ----------
    job, policy, held_out
        The run, what it trains, and what it is measured on.
    began
        When it did, by `time.perf_counter`.
    weights
        Those it starts from; the policy's reference too.
    device, library
        Where and with what it computes, in words: on another, its digits would be others.
    peak
        Returns the most memory used so far, in bytes.
    """

    def __init__(
        self,
        job: Job,
        policy: Learner,
        held_out: HeldOut,
        *,
        began: float,
        weights: Weights,
        device: str,
        library: str,
        peak: Callable[[], int],
    ) -> None:
        self.trace: list[StepTrace] = []
        self.tokens = 0
        self.now = 0
        self._run = job.run
        self._policy = policy
        self._held_out = held_out
        self._began = began
        self._weights = checksum(weights)[:16]
        self._device = device
        self._peak = peak
        self._peak_before = 0
        self._stopped_at: int | None = None
        self._error: str | None = None
        self._checkpoint = Checkpoint(
            job, training=TRAINING_VERSION, weights=self._weights, device=device, library=library
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        has_diverged = isinstance(error, Diverged)
        if has_diverged:
            self._stopped_at = self.now
            self._error = f"{error} at step {self.now} of {self._run.steps}"
        self._checkpoint.close(done=error is None or has_diverged)
        return has_diverged

    def begin(self, notify: Notify) -> range:
        """Return the steps to take, from 0: all, or those after the run's checkpoint.

        What was measured before them is told again, so that a run that is interrupted twice keeps
        the whole of its curve.
        """
        saved = self._checkpoint.load()
        if saved is None:
            self._held_out.evaluate(0)
        else:
            self._take_up(saved)
        for point in self._held_out.curve:
            notify(Progress("train", point.step, self._run.steps, evaluation=point))
        return range(self.now, self._run.steps)

    def save(self) -> None:
        """Save a checkpoint of the step just done, if one is due."""
        if not self._checkpoint.is_due(self.now):
            return
        held_out = self._held_out
        scores = {f"scores.{index}": array for index, array in enumerate(held_out.scores)}
        facts = {
            "curve": [*map(tuple, held_out.curve)],
            "trace": [*map(_entry, self.trace)],
            "tokens": self.tokens,
            "seconds": time.perf_counter() - self._began,
            "evaluation_seconds": held_out.seconds,
            "peak_memory": self._peak_so_far(),
        }
        policy = {f"policy.{name}": array for name, array in self._policy.state().items()}
        self._checkpoint.save(self.now, policy | scores, facts)

    def outcome(self) -> Outcome:
        """Return the outcome of the run."""
        return outcome(
            self._held_out,
            self.trace,
            self._run.evaluate_every,
            began=self._began,
            tokens=self.tokens,
            peak=self._peak_so_far(),
            device=self._device,
            weights=self._weights,
            stopped_at=self._stopped_at,
            error=self._error,
        )

    def _take_up(self, saved: Saved) -> None:
        facts = saved.facts
        self.now = saved.step
        self.trace = [StepTrace(*row) for row in facts["trace"]]
        self.tokens = facts["tokens"]
        self._began -= facts["seconds"]
        self._peak_before = facts["peak_memory"]
        self._policy.restore(_part(saved.arrays, "policy."))
        self._held_out.take_up(
            [Evaluation(*row) for row in facts["curve"]],
            [*_part(saved.arrays, "scores.").values()],
            facts["evaluation_seconds"],
        )

    def _peak_so_far(self) -> int:
        return max(self._peak_before, self._peak())


def _part(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays whose names begin with ``prefix``, without it, in their order."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
