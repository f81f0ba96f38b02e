"""Measure runs: perf, its standard error and the paired difference. Needs only NumPy."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.records import Evaluation, Outcome, StepTrace
from harness.training.grpo import in_groups, require_finite
from harness.training.tasks import Scores, Task, Tokens
from harness.training.uniforms import Uniforms, eval_uniforms

Sample = Callable[[Tokens, Uniforms], Tokens]


@dataclass(frozen=True, slots=True)
class Difference:
    """ΔPerf with its standard error, and how many prompts changed their score."""

    delta: float
    se: float
    prompts_changed: int


class HeldOut:
    """Evaluates a policy on a task's held-out prompts, with the same noise each time.

    ``sample`` draws completions ``[prompts, samples, tokens]`` from the policy as it is when
    called, given prompts ``[prompts, prompt_tokens]`` and noise ``[prompts, samples, tokens]``.
    ``curve`` has a point for each evaluation, ``seconds`` is what they took together.
    """

    def __init__(self, task: Task, seed: int, sample: Sample) -> None:
        self.task = task
        self.prompts = task.prompts("held_out")
        self.noise = eval_uniforms(seed, len(self.prompts), task.samples, task.max_tokens)
        self.curve: list[Evaluation] = []
        self.seconds = 0.0
        self._sample = sample
        self._scores: list[Scores] = []

    def evaluate(self, step: int) -> Evaluation:
        """Measure the policy after ``step`` steps and add the point to the curve.

        Raises
        ------
        Diverged
            Where a score or reward is not finite; the curve is left as it is.
        """
        began = time.perf_counter()
        completions = self._sample(self.prompts, self.noise)
        scores = in_groups(self.task.score, self.prompts, completions)
        point = evaluation(step, scores, in_groups(self.task.reward, self.prompts, completions))
        self.seconds += time.perf_counter() - began
        require_finite(held_out_score=point.perf, held_out_reward=point.reward)
        self.curve.append(point)
        self._scores = [*self._scores[:1], scores]
        return point

    @property
    def scores(self) -> tuple[Scores, ...]:
        """The scores of the first and the last evaluation, each ``[prompts, samples]``."""
        return tuple(self._scores)

    def take_up(
        self, curve: Sequence[Evaluation], scores: Sequence[Scores], seconds: float
    ) -> None:
        """Continue from what was measured of the same run before an interruption."""
        self.curve, self._scores, self.seconds = list(curve), list(scores), seconds

    def difference(self) -> Difference:
        """Return the last evaluation less the first, paired by prompt."""
        return paired_difference(self._scores[0], self._scores[-1])


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


def outcome(
    held_out: HeldOut,
    trace: Sequence[StepTrace],
    interval: int,
    *,
    began: float,
    tokens: int,
    peak: int,
    device: str,
    weights: str,
    stopped_at: int | None = None,
    error: str | None = None,
) -> Outcome:
    """Return the outcome of a run: measured, or diverged where there is an ``error``.

    Parameters
    ----------
    held_out
        With all evaluations made.
    trace
        An entry a step.
    interval
        How many steps at either end ``train_delta_perf`` compares.
    began
        When the run did, by `time.perf_counter`.
    tokens, peak, device, weights
        Completion tokens sampled in training, bytes of memory, where, in words, and a digest of the
        weights that it started from.
    stopped_at, error
        The step that diverged, counted from 1, and how.
    """
    difference = held_out.difference() if error is None else None
    return Outcome(
        status="completed" if difference else "diverged",
        perf_before=held_out.curve[0].perf if held_out.curve else None,
        perf_after=held_out.curve[-1].perf if difference else None,
        delta_perf=difference.delta if difference else None,
        delta_perf_se=difference.se if difference else None,
        prompts=len(held_out.prompts),
        samples=held_out.task.samples,
        prompts_changed=difference.prompts_changed if difference else None,
        train_delta_perf=train_difference([entry.reward for entry in trace], interval),
        curve=tuple(held_out.curve),
        trace=tuple(trace),
        seconds=time.perf_counter() - began,
        evaluation_seconds=held_out.seconds,
        tokens=tokens,
        peak_memory=peak,
        device=device,
        error=error,
        stopped_at=stopped_at,
        weights=weights,
    )


def peak_memory() -> int:
    """Return the most memory this process has held, in bytes: it never falls within a process."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    status = Path("/proc/self/status")
    if status.exists():
        # What getrusage says on Linux begins with what the process that started this one held.
        lines = status.read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _standard_error(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
