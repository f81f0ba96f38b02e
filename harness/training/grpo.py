"""The version, constants and NumPy steps that both GRPO trainers share."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.training.tasks import Graded, GradedTask, Scores, Tokens

TRAINING_VERSION = "1"
"""Raise it by hand whenever the same config and seed would train differently than before."""

TEXT_TRAINING_VERSION = "text-3"
"""The same for language models."""

ADVANTAGE_EPSILON = 1e-6
"""Added to a group's standard deviation before its rewards are divided by it."""

ADAM_BETAS = (0.9, 0.999)
"""Decay rates of AdamW's two moments."""

ADAM_EPSILON = 1e-8
"""Added to the root of AdamW's second moment."""


class Batch(NamedTuple):
    """The completions of a training step, ``[rows, group, tokens]``, and the mask of their tokens.

    ``prompts`` is ``[rows, prompt tokens]``, ``advantages`` ``[rows, group]``.
    """

    prompts: Tokens
    completions: Tokens
    mask: npt.NDArray[np.bool_]
    advantages: Scores


class Diverged(Exception):  # noqa: N818  (an outcome of training, not an error of the program)
    """A number that must be finite is not. The message names it."""


def require_finite(**numbers: float) -> None:
    """Check that every number is finite.

    Raises `Diverged` for the first that is not, with its name.
    """
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise Diverged(f"{name.replace('_', ' ')} is {number}")


def grade_groups(task: GradedTask, prompts: Tokens, completions: Tokens) -> Graded:
    """Grade each completion of each prompt.

    ``prompts`` is ``[rows, integers]``, ``completions`` ``[rows, group, tokens]``. What is returned
    is ``[rows, group]``.
    """
    rows, group, length = completions.shape
    repeated = np.repeat(prompts, group, axis=0)
    rewards, scores, parts = task.grade(repeated, completions.reshape(rows * group, length))
    return Graded(
        rewards.reshape(rows, group),
        scores.reshape(rows, group),
        {name: part.reshape(rows, group) for name, part in parts.items()},
    )


def fingerprint(completions: Tokens) -> int:
    """Return a CRC-32 of ``completions``, which is hardly ever the same for other tokens."""
    return zlib.crc32(np.ascontiguousarray(completions, dtype="<i4").tobytes())


def group_advantages(rewards: Scores, clip: float) -> Scores:
    """Return each completion's advantage over its group: ``[rows, group]`` to ``[rows, group]``.

    The advantage is the reward less the group's mean, divided by the group's standard deviation
    (ddof 0) and clipped to ±clip. This is DeepSeekMath's outcome supervision (arXiv:2402.03300,
    section 4.1.2). A group whose rewards are all equal has advantage 0.
    """
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    spread = rewards.std(axis=1, keepdims=True) + np.float32(ADVANTAGE_EPSILON)
    return np.asarray(np.clip(centred / spread, -clip, clip), dtype=np.float32)


def microbatches(rows: int, group: int, most: int | None) -> Iterator[tuple[slice, slice]]:
    """Yield slices of rows and groups that cover a batch, with at most ``most`` sequences each.

    A group stays whole if it fits, since its completions share their prompt's computation.
    """
    most = rows * group if most is None else most
    members = min(group, most)
    together = max(1, most // group)
    for row in range(0, rows, together):
        for member in range(0, group, members):
            yield slice(row, row + together), slice(member, member + members)
