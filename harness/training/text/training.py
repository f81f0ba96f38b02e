"""What the trainers of language models have in common: their start, and the size of a pass."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.protocols import Notify
from harness.records import Job, Outcome
from harness.training import course
from harness.training.grpo import TEXT_TRAINING_VERSION
from harness.training.settings import GRPOSettings
from harness.training.text.model_files import ModelFiles
from harness.training.text.tokenised import TokenisedTask, of_conditions

ACTIVATIONS = {"host": 2**31, "accelerator": 2**33}
"""Bytes that the linear layers of a pass keep, about, where ``microbatch_tokens`` is None.

All that a pass keeps is about twice as much.
"""

LEAST_TOKENS = 512
"""So many tokens a pass has nevertheless: with fewer, products of matrices become slow."""


def train(
    job: Job,
    notify: Notify,
    make_policy: Callable[[TokenisedTask, ModelFiles, GRPOSettings], course.Policy],
    *,
    device: str,
    library: str,
    peak: Callable[[], int],
) -> Outcome:
    """Train ``job``'s run on a task of text, whose policy is a language model; see `course.train`.

    ``make_policy`` makes the backend's policy of a task and the files of a model. Raises
    `UsageError` where they cannot be used, or are no longer what they were when they were planned.
    """
    began = time.perf_counter()
    task, files = of_conditions(job.conditions)
    settings = GRPOSettings.from_job(job, task.task)
    return course.train(
        job,
        notify,
        task,
        settings,
        make_policy(task, files, settings),
        weights=files.digest,
        training=TEXT_TRAINING_VERSION,
        device=device,
        library=library,
        peak=peak,
        began=began,
    )


def tokens_of_a_pass(
    settings: GRPOSettings, features: int, *, number_bytes: int, on_host: bool
) -> int:
    """Return the most tokens of one forward and backward pass, padding included.

    They are the setting ``microbatch_tokens``; where that is None, as many as keep about
    `ACTIVATIONS` bytes, but at least `LEAST_TOKENS`. For its gradient, a linear layer keeps what
    goes in and what comes out. The head does not count, since its logits are not kept. The number
    depends on the model, the precision and the kind of device, not on the memory that is free: so
    a run is the same everywhere.

    Parameters
    ----------
    features
        The numbers that go into and come out of all linear layers but the head, for a token.
    number_bytes
        The bytes of each: 4 in float32.
    on_host
        Whether the model is on the CPU.
    """
    if settings.microbatch_tokens is not None:
        return settings.microbatch_tokens
    kept = ACTIVATIONS["host" if on_host else "accelerator"]
    return max(LEAST_TOKENS, kept // (number_bytes * features))


def completions_of_a_pass(
    rows: int, group: int, *, most: int | None, tokens: int, read: int, written: int
) -> int:
    """Return the most completions of one forward and backward pass, at least 1.

    They are at most ``most``, and have at most ``tokens`` tokens, of which each has ``written`` and
    the prompt of a group ``read``. Groups stay whole if one fits.
    """
    whole = tokens // (read + group * written)
    fits = whole * group if whole else (tokens - read) // written
    return max(1, min(fits, rows * group if most is None else most))
