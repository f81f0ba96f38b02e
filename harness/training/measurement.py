"""What a run's scores say: perf, its standard error, and the paired difference. NumPy only."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.records import Evaluation
from harness.training.tasks import Scores


@dataclass(frozen=True, slots=True)
class Difference:
    """ΔPerf with its standard error, and how many prompts changed their score."""

    delta: float
    se: float
    prompts_changed: int


def evaluation(step: int, scores: Scores, rewards: Scores) -> Evaluation:
    """Return the point of the learning curve after ``step`` steps.

    ``scores`` and ``rewards`` are ``[prompts, samples]``; the standard error is that of the mean
    over prompts, which are what is sampled: its samples are averaged within each first.
    """
    per_prompt = scores.mean(axis=1, dtype=np.float64)
    return Evaluation(
        step=step,
        perf=float(per_prompt.mean()),
        se=_standard_error(per_prompt),
        reward=float(rewards.mean(dtype=np.float64)),
    )


def paired_difference(before: Scores, after: Scores) -> Difference:
    """Return perf ``after`` minus ``before``, both ``[prompts, samples]`` of the same prompts."""
    differences = after.mean(axis=1, dtype=np.float64) - before.mean(axis=1, dtype=np.float64)
    return Difference(
        delta=float(differences.mean()),
        se=_standard_error(differences),
        prompts_changed=int(np.count_nonzero(differences)),
    )


def train_difference(rewards: Sequence[float], interval: int) -> float | None:
    """Return the mean training reward of the last ``interval`` steps minus that of the first.

    ``rewards`` has one mean reward a step. None where there are fewer than two steps; a run
    shorter than two intervals is split in halves.
    """
    interval = min(interval, len(rewards) // 2)
    if interval == 0:
        return None
    return float(np.mean(rewards[-interval:]) - np.mean(rewards[:interval]))


def peak_memory() -> int:
    """Return the most memory this process has held, in bytes: it never falls within a process."""
    if sys.platform == "win32":
        import psutil  # noqa: PLC0415  (only where `resource` does not exist)

        return int(psutil.Process().memory_info().peak_wset)
    import resource  # noqa: PLC0415  (POSIX only)

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _standard_error(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
