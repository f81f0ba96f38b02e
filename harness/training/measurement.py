"""Measure runs: perf, its standard error and the paired difference. Needs only NumPy."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.records import Evaluation, ItemScores
from harness.statistics.groups import clustered_error
from harness.training.grpo import grade_groups, require_finite
from harness.training.tasks import GradedTask, Scores, Tokens
from harness.training.uniforms import Uniforms, eval_uniforms

Sample = Callable[[Tokens, Uniforms], Tokens]


@dataclass(frozen=True, slots=True)
class Difference:
    """ΔPerf with its standard error, and the number of prompts whose score changed.

    ``clusters`` is the effective number of clusters of prompts, and ``clusters_changed`` how many
    of them changed; both are None where each prompt is by itself.
    """

    delta: float
    se: float
    prompts_changed: int
    clusters: float | None = None
    clusters_changed: int | None = None


class HeldOut:
    """Evaluates a policy on a task's held-out prompts, with the same noise each time.

    ``sample`` draws completions ``[prompts, samples, tokens]`` from the policy, given prompts
    ``[prompts, prompt_tokens]`` and noise ``[prompts, samples, tokens]``. ``curve`` has a point for
    each evaluation; together they took ``seconds``. ``scores`` has those of the first and the last
    evaluation, each ``[prompts, samples]``.
    """

    def __init__(self, task: GradedTask, seed: int, sample: Sample) -> None:
        self.task = task
        self.prompts = task.prompts("held_out")
        self.clusters = task.clusters(self.prompts)
        self.noise = eval_uniforms(seed, len(self.prompts), task.samples, task.max_tokens)
        self.curve: list[Evaluation] = []
        self.seconds = 0.0
        self._sample = sample
        self.scores: list[Scores] = []

    def evaluate(self, step: int) -> Evaluation:
        """Measure the policy after ``step`` steps and add the point to the curve.

        Raises `Diverged` where a score or reward is not finite, and leaves the curve as it is.
        """
        began = time.perf_counter()
        completions = self._sample(self.prompts, self.noise)
        rewards, scores, _ = grade_groups(self.task, self.prompts, completions)
        point = evaluation(step, scores, rewards, self.clusters)
        self.seconds += time.perf_counter() - began
        require_finite(held_out_score=point.perf, held_out_reward=point.reward)
        self.curve.append(point)
        self.scores = [*self.scores[:1], scores]
        return point

    def difference(self) -> Difference:
        """Return the last evaluation less the first, paired by prompt."""
        return paired_difference(self.scores[0], self.scores[-1], self.clusters)

    def items(self) -> ItemScores:
        """Return the scores of the last evaluation and of the first by prompt."""
        before, after = (tuple(_per_prompt(s).tolist()) for s in (self.scores[0], self.scores[-1]))
        return ItemScores(after, before, self.task.names(self.prompts), self.clusters)


def evaluation(
    step: int, scores: Scores, rewards: Scores, clusters: Sequence[str] = ()
) -> Evaluation:
    """Return the point of the learning curve after ``step`` steps.

    ``scores`` and ``rewards`` are ``[prompts, samples]``. The standard error is that of the mean
    over prompts, each with the mean of its samples; by cluster where ``clusters`` ``[prompts]`` are
    given.
    """
    per_prompt = _per_prompt(scores)
    return Evaluation(
        step=step,
        perf=float(per_prompt.mean()),
        se=standard_error(per_prompt, clusters),
        reward=float(rewards.mean(dtype=np.float64)),
    )


def paired_difference(before: Scores, after: Scores, clusters: Sequence[str] = ()) -> Difference:
    """Return perf ``after`` minus ``before``, given the ``[prompts, samples]`` scores of each.

    The standard error is by cluster where ``clusters`` ``[prompts]`` are given.
    """
    differences = _per_prompt(after) - _per_prompt(before)
    grouped = clustered_error(differences, clusters) if clusters else None
    return Difference(
        delta=float(differences.mean()),
        se=standard_error(differences) if grouped is None else grouped.se,
        prompts_changed=int(np.count_nonzero(differences)),
        clusters=grouped and grouped.clusters,
        clusters_changed=grouped and grouped.changed,
    )


def train_difference(rewards: Sequence[float], interval: int) -> float | None:
    """Return the mean training reward of the last ``interval`` steps minus that of the first.

    ``rewards`` has the mean reward of each step. A run shorter than two intervals is split in
    halves. The result is None for fewer than two steps.
    """
    interval = min(interval, len(rewards) // 2)
    if interval == 0:
        return None
    return float(np.mean(rewards[-interval:]) - np.mean(rewards[:interval]))


def peak_memory() -> int:
    """Return the most bytes of memory that this process has held so far."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux, getrusage starts from the peak of the process that started this one.
        lines = status.read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def standard_error(values: npt.NDArray[np.float64], clusters: Sequence[str] = ()) -> float:
    """Return the standard error of the mean of ``values`` ``[items]``, where needed by cluster.

    ``clusters`` name the group of each item, such as the text that a question is about: see
    `clustered_error`. NaN for fewer than two items or groups.
    """
    n = len(values)
    if len(clusters):
        return clustered_error(values, clusters).se
    return float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else math.nan


def _per_prompt(scores: Scores) -> npt.NDArray[np.float64]:
    return np.asarray(scores.mean(axis=1, dtype=np.float64))
