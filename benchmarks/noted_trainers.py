"""Training functions that note each training's begin and end, for tests of what survives a fault.

A training is noted in the file ``trained.txt`` beside the folder ``.sweep`` of its session, a line
for its begin, for the first step that it takes, and for its end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import faulty_trainers

from harness.protocols import Notify
from harness.records import Job, Outcome, Progress

NOTES = "trained.txt"


def faulty(job: Job, notify: Notify) -> Outcome:
    """Train as `faulty_trainers` does."""
    return _noted(faulty_trainers.train, job, notify)


def grpo(job: Job, notify: Notify) -> Outcome:
    """Train with GRPO on the embedded task, by Torch."""
    from harness.training import grpo_torch

    return _noted(grpo_torch.train, job, notify)


def _noted(train: Callable[[Job, Notify], Outcome], job: Job, notify: Notify) -> Outcome:
    first = True

    def tell(progress: Progress) -> None:
        nonlocal first
        # What was measured before a checkpoint is told again, and is no step of this training.
        if first and progress.stage == "train" and progress.evaluation is None:
            first = False
            _note(job, "step", progress.step)
        notify(progress)

    _note(job, "begun")
    outcome = train(job, tell)
    _note(job, "ended")
    return outcome


def _note(job: Job, what: str, step: int = 0) -> None:
    line = f"{what} {job.run.id} {os.getpid()} {time.time()} {step}\n"
    notes = os.open(Path(job.cache).parents[1] / NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(notes, line.encode())
    finally:
        os.close(notes)
