"""A run of GRPO from its first step to its last, through interruptions; both backends use it.

Read `Course._step` from top to bottom: sample, reward, advantage, loss and update, evaluate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Protocol

import numpy as np

from harness.protocols import Notify
from harness.records import Evaluation, Job, Outcome, Progress, StepTrace
from harness.training import schedules, uniforms, useless
from harness.training.checkpoints import Arrays, Checkpoint, Saved
from harness.training.grpo import (
    TRAINING_VERSION,
    Batch,
    Diverged,
    fingerprint,
    grade_groups,
    group_advantages,
    require_finite,
)
from harness.training.measurement import HeldOut, train_difference
from harness.training.settings import GRPOSettings
from harness.training.tasks import GradedTask, Task, Tokens, completion_mask, get_task
from harness.training.uniforms import Uniforms
from harness.training.warm_start import Weights, checksum, warm_started

EVALUATION_BATCH = 1024
"""The most sequences that a policy generates at once in an evaluation."""

_values = attrgetter(*(field.name for field in fields(StepTrace)))
"""Returns the values of a trace entry, in the order that makes one."""


class Policy(Protocol):
    """The weights that a backend trains, the reference they started from, and their optimiser."""

    def sample(self, prompts: Tokens, noise: Uniforms) -> Tokens:
        """Return completions of ``prompts`` in training.

        ``prompts`` is ``[rows, integers]``; ``noise`` and the completions are ``[rows, group,
        tokens]``.
        """
        ...

    def sample_held_out(self, prompts: Tokens, noise: Uniforms) -> Tokens:
        """Return completions of ``prompts`` in an evaluation, shaped as in `sample`."""
        ...

    def learn(self, batch: Batch, kl_coef: float, learning_rate: float) -> Sequence[float]:
        """Compute the gradient of the loss, clip its norm, and take a step of AdamW.

        The loss is the mean over all unmasked tokens of policy loss + kl_coef·KL −
        entropy_coef·entropy. Where ``kl_coef`` is 0 the reference policy is not computed.

        Returns
        -------
        list of float
            Loss, KL (0 where it is not computed), entropy, and the gradient's norm before clipping.

        Raises
        ------
        Diverged
            Where the loss, the gradient or the weights are not finite.
        """
        ...

    def norm(self) -> float:
        """Return the Euclidean norm of all weights together."""
        ...

    def moved(self) -> float | None:
        """Return the share of the trained weights that differ from where the run began.

        They are compared as the forward pass computes with them: a step that is too small for
        bfloat16 changes nothing there. None where it is not known. Nothing is learned after this.
        """
        ...

    def state(self) -> Arrays:
        """Return the weights and AdamW's state, for `restore`."""
        ...

    def restore(self, state: Arrays) -> None:
        """Restore the weights and AdamW's state that `state` returned, of the same run."""
        ...


def train_decoder(
    job: Job,
    notify: Notify,
    make_weights: Callable[[Task, Notify], Weights],
    make_policy: Callable[[Task, Weights, GRPOSettings], Policy],
    *,
    device: str,
    library: str,
    peak: Callable[[], int],
) -> Outcome:
    """Train ``job``'s run on an embedded task, whose policy is a small decoder; see `train`.

    ``make_weights`` makes the task's warm start where it is not in the job's cache, and
    ``make_policy`` the backend's policy, given those weights.
    """
    began = time.perf_counter()
    task = get_task(job.conditions.task)
    settings = GRPOSettings.from_job(job, task)
    weights = warm_started(task, Path(job.cache), make_weights, notify)
    policy = make_policy(task, weights, settings)
    return train(
        job,
        notify,
        task,
        settings,
        policy,
        weights=checksum(weights)[:16],
        training=TRAINING_VERSION,
        device=device,
        library=library,
        peak=peak,
        began=began,
    )


def train(
    job: Job,
    notify: Notify,
    task: GradedTask,
    settings: GRPOSettings,
    policy: Policy,
    *,
    weights: str,
    training: str,
    device: str,
    library: str,
    peak: Callable[[], int],
    began: float,
) -> Outcome:
    """Train ``job``'s run with GRPO and measure it on its task's held-out prompts.

    The result depends on the job alone: on a CPU equal jobs give equal outcomes bit for bit,
    timings and memory apart, also where the run was interrupted and continues from its checkpoint.
    Steps count from 1 in the trace and in ``stopped_at``; a point of the curve has the number of
    steps before it.

    Parameters
    ----------
    job, notify
        As `harness.protocols.Trainer` has them.
    task, settings, policy
        What is trained on, how, and what.
    weights
        A digest of the weights that the policy starts from.
    training
        The version of the training.
    device, library
        Where and with what the policy computes, in words. Its digits would be others elsewhere.
    peak
        Returns the most memory used so far, in bytes.
    began
        When the run began, by `time.perf_counter`.

    Raises
    ------
    UsageError
        Where the config or the task cannot be used.
    """
    checkpoint = Checkpoint(job, training=training, weights=weights, device=device, library=library)
    course = Course(job, settings, task, policy, checkpoint, began=began, peak=peak)
    return course.run(notify, device=device, weights=weights)


class Course:
    """The step that a run is at, and what it has measured so far.

    Randomness, prompts included, is keyed by seed and step, and schedules are functions of the
    step. So a run's state is only what is kept here and in the policy.
    """

    def __init__(
        self,
        job: Job,
        settings: GRPOSettings,
        task: GradedTask,
        policy: Policy,
        checkpoint: Checkpoint,
        *,
        began: float,
        peak: Callable[[], int],
    ) -> None:
        self._run = job.run
        self._settings = settings
        self._task = task
        self._prompts = task.prompts("train")
        self._max_tokens = settings.max_tokens or task.max_tokens
        self._policy = policy
        self._held_out = HeldOut(task, job.run.seed, policy.sample_held_out)
        self._checkpoint = checkpoint
        self._began = began
        self._peak = peak
        self._peak_before = 0
        self._now = 0  # the step at hand, from 1
        self._tokens = 0  # sampled in training
        self._trace: list[StepTrace] = []

    def run(self, notify: Notify, *, device: str, weights: str) -> Outcome:
        """Take all steps, or those after the run's checkpoint, and return the outcome.

        The outcome says on which ``device`` the run was trained, and from which ``weights``. Where
        it diverges it keeps what it has measured. After any other exception the checkpoint stays
        for the next attempt.
        """
        error = None
        with self._checkpoint:
            try:
                self._begin(notify)
                for step in range(self._now, self._run.steps):
                    self._now = step + 1
                    reward, point = self._step(step)
                    self.save()
                    notify(Progress("train", self._now, self._run.steps, reward, point))
            except Diverged as diverged:
                error = f"{diverged} at step {self._now} of {self._run.steps}"
            moved = self._policy.moved()
        return self._outcome(error, device, weights, moved)

    def _begin(self, notify: Notify) -> None:
        """Measure the policy before the first step, or restore the checkpoint.

        Earlier measurements are reported again, so that a run that is interrupted twice keeps its
        whole curve.
        """
        saved = self._checkpoint.load()
        if saved is None:
            self._held_out.evaluate(0)
        else:
            self._restore(saved)
        for point in self._held_out.curve:
            notify(Progress("train", point.step, self._run.steps, evaluation=point))

    def _step(self, step: int) -> tuple[float, Evaluation | None]:
        """Take a step, counted from 0; return its mean reward, and the evaluation if one is due."""
        run, settings, task, policy = self._run, self._settings, self._task, self._policy
        rows, group = settings.batch_size, settings.generations

        # Sample
        chosen = self._prompts[uniforms.draw_prompts(run.seed, step, len(self._prompts), rows)]
        noise = uniforms.train_uniforms(run.seed, step, rows, group, self._max_tokens)
        completions = policy.sample(chosen, noise)
        mask = completion_mask(completions, *task.ends)
        self._tokens += int(mask.sum())

        # Reward
        rewards, _, parts = grade_groups(task, chosen, completions)
        reward = float(rewards.mean(dtype=np.float64))
        require_finite(reward=reward)
        rewards = useless.rewards_of(run.arm, run.seed, step, rewards)

        # Advantage
        advantages = group_advantages(rewards, settings.advantage_clip)

        # Loss and update
        kl_coef = schedules.kl_coefficient(step, settings.kl_coef, settings.kl_warmup_steps)
        learning_rate = schedules.learning_rate(
            settings.lr_schedule,
            step,
            run.steps,
            peak=settings.learning_rate,
            warmup=settings.warmup_steps,
        )
        batch = Batch(chosen, completions, mask, advantages)
        loss, penalty, entropy, grad_norm = policy.learn(batch, kl_coef, learning_rate)
        kl = penalty if kl_coef else None
        self._trace.append(
            StepTrace(
                step=self._now,
                learning_rate=learning_rate,
                reward=reward,
                kl=kl,
                entropy=entropy,
                grad_norm=grad_norm,
                loss=loss,
                completions=fingerprint(completions),
                no_signal=float((np.ptp(rewards, axis=1) == 0).mean()),
                truncated=float(1 - np.isin(completions, task.ends).any(axis=-1).mean()),
                length=float(mask.sum(axis=-1).mean()),
                parts=tuple((name, float(part.mean())) for name, part in parts.items()),
            )
        )

        # Evaluate
        if self._now % run.evaluate_every and self._now != run.steps:
            return reward, None
        require_finite(norm_of_the_weights=policy.norm())
        return reward, self._held_out.evaluate(self._now)

    def save(self) -> None:
        """Save a checkpoint of the step just done, if one is due."""
        if not self._checkpoint.is_due(self._now):
            return
        held_out = self._held_out
        scores = {f"scores.{index}": array for index, array in enumerate(held_out.scores)}
        facts = {
            "curve": [*map(tuple, held_out.curve)],
            "trace": [*map(_values, self._trace)],
            "tokens": self._tokens,
            "seconds": time.perf_counter() - self._began,
            "evaluation_seconds": held_out.seconds,
            "peak_memory": self._peak_so_far(),
        }
        policy = {f"policy.{name}": array for name, array in self._policy.state().items()}
        self._checkpoint.save(self._now, policy | scores, facts)

    def _restore(self, saved: Saved) -> None:
        facts = saved.facts
        self._now = saved.step
        self._trace = [
            replace(StepTrace(*row[:-1]), parts=tuple((name, mean) for name, mean in row[-1]))
            for row in facts["trace"]
        ]
        self._tokens = facts["tokens"]
        self._began -= facts["seconds"]
        self._peak_before = facts["peak_memory"]
        self._policy.restore(_part(saved.arrays, "policy."))
        self._held_out.curve = [Evaluation(*row) for row in facts["curve"]]
        self._held_out.scores = [*_part(saved.arrays, "scores.").values()]
        self._held_out.seconds = facts["evaluation_seconds"]

    def _outcome(
        self, error: str | None, device: str, weights: str, moved: float | None
    ) -> Outcome:
        held_out = self._held_out
        difference = held_out.difference() if error is None else None
        rewards = [entry.reward for entry in self._trace]
        return Outcome(
            status="completed" if difference else "diverged",
            perf_before=held_out.curve[0].perf if held_out.curve else None,
            perf_after=held_out.curve[-1].perf if difference else None,
            delta_perf=difference.delta if difference else None,
            delta_perf_se=difference.se if difference else None,
            prompts=len(held_out.prompts),
            samples=self._task.samples,
            prompts_changed=difference.prompts_changed if difference else None,
            clusters=difference.clusters if difference else None,
            clusters_changed=difference.clusters_changed if difference else None,
            train_delta_perf=train_difference(rewards, self._run.evaluate_every),
            curve=tuple(held_out.curve),
            trace=tuple(self._trace),
            seconds=time.perf_counter() - self._began,
            evaluation_seconds=held_out.seconds,
            tokens=self._tokens,
            peak_memory=self._peak_so_far(),
            device=device,
            error=error,
            stopped_at=None if error is None else self._now,
            weights=weights,
            items=held_out.items() if difference else None,
            weights_moved=moved,
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
