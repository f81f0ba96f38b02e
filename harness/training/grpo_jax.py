"""GRPO in JAX, read from top to bottom: sample, reward, advantage, loss, update, evaluate.

The same run as that of `harness.training.grpo_torch`, phase by phase, with the same prompts and
noise, so the tokens are the same until rounding first differs. That file says which GRPO it is.
Three programs do the computing (`harness.training.programs_jax`): one samples a tile of
completions, one adds a tile's gradient to the batch's, one takes the optimiser's step.
"""

from __future__ import annotations

import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from jax.typing import DTypeLike

from harness.errors import UsageError
from harness.protocols import Notify
from harness.records import Job, Outcome, Progress, StepTrace
from harness.training import programs_jax as programs
from harness.training import schedules, uniforms, warm_start_jax
from harness.training.checkpoints import Arrays
from harness.training.course import Course
from harness.training.device_jax import (
    PRECISIONS,
    computing_on,
    describe,
    keep_programs,
    open_device,
    out_of_memory,
    peak_bytes,
)
from harness.training.grpo import (
    fingerprint,
    group_advantages,
    in_groups,
    require_finite,
)
from harness.training.measurement import HeldOut
from harness.training.model_jax import (
    Decoder,
    vector_of,
)
from harness.training.settings import GRPOSettings
from harness.training.tasks import Scores, Task, Tokens, completion_mask, get_task
from harness.training.tiles import Tile, evaluation_tile, training_tile
from harness.training.warm_start import Weights, warm_started

EVALUATION_BATCH = 1024
"""The most sequences of one generation at an evaluation."""


def train(job: Job, notify: Notify) -> Outcome:
    """Train ``job``'s run with GRPO and measure it on its task's held-out prompts.

    Satisfies `harness.protocols.Trainer`. The result depends on the job alone: on a CPU equal
    jobs give equal outcomes bit for bit, timings and memory apart, also where the run was
    interrupted and goes on from its checkpoint. Steps are counted
    from 1 in the trace and in ``stopped_at``; the curve's step is how many were done.

    Raises
    ------
    UsageError
        Where the config, the task or the device's name cannot be used.
    BackendError
        Where the device is not here.
    MemoryError
        Where host or device run out of memory.
    """
    keep_programs(Path(job.cache) / "programs")
    device = open_device(job.conditions.device)
    with out_of_memory(), computing_on(device):
        return _train(job, notify, device)


def _train(job: Job, notify: Notify, device: jax.Device) -> Outcome:
    began = time.perf_counter()
    run, settings, task = job.run, GRPOSettings.from_job(job), get_task(job.conditions.task)
    prompts = task.prompts("train")
    rows, group = settings.batch_size, settings.generations
    if rows > len(prompts):
        raise UsageError(
            f"batch_size is {rows}; expected at most the {len(prompts)} training prompts of task "
            f"{task.name!r}"
        )
    weights = warm_started(task, Path(job.cache), warm_start_jax.make, notify)
    policy = Policy(task, weights, settings, PRECISIONS[job.conditions.precision])
    most = settings.microbatch or EVALUATION_BATCH
    tile = evaluation_tile(len(task.prompts("held_out")), task.samples, most)
    held_out = HeldOut(task, run.seed, lambda asked, noise: policy.sample(asked, noise, tile))
    course = Course(
        job,
        policy,
        held_out,
        began=began,
        weights=weights,
        device=describe(device),
        library=f"jax {jax.__version__}, optax {optax.__version__}",
        peak=lambda: peak_bytes(device),
    )
    with course:
        for step in course.begin(notify):
            now = course.now = step + 1

            # Sample
            chosen = prompts[uniforms.draw_prompts(run.seed, step, len(prompts), rows)]
            noise = uniforms.train_uniforms(run.seed, step, rows, group, task.max_tokens)
            completions = policy.sample(chosen, noise, policy.tile)
            mask = completion_mask(completions, task.end)
            course.tokens += int(mask.sum())

            # Reward
            rewards = in_groups(task.reward, chosen, completions)
            reward = float(rewards.mean(dtype=np.float64))
            require_finite(reward=reward)
            if run.arm == "null":
                rewards = uniforms.permute_within_groups(run.seed, step, rewards)

            # Advantage
            advantages = group_advantages(rewards, settings.advantage_clip)

            # Loss
            kl_coef = schedules.kl_coefficient(step, settings.kl_coef, settings.kl_warmup_steps)
            policy.gradient(chosen, completions, mask, advantages, kl_coef)

            # Update
            learning_rate = schedules.learning_rate(
                settings.lr_schedule,
                step,
                run.steps,
                peak=settings.learning_rate,
                warmup=settings.warmup_steps,
            )
            loss, penalty, entropy, grad_norm, norm = policy.update(learning_rate)
            kl = penalty if kl_coef else None
            # A norm that overflows is 0 further on, and so would be the gradient: not a NaN.
            require_finite(loss=loss, gradient_norm=grad_norm, norm_of_the_weights=norm)
            drawn = fingerprint(completions)
            course.trace.append(
                StepTrace(now, learning_rate, reward, kl, entropy, grad_norm, loss, drawn)
            )

            # Evaluate
            point = None
            if now % run.evaluate_every == 0 or now == run.steps:
                require_finite(norm_of_the_weights=policy.norm())
                point = held_out.evaluate(now)
            course.save()
            notify(Progress("train", now, run.steps, reward, point))
    return course.outcome()


class Policy:
    """The weights being trained, the reference they started from, and their optimiser."""

    def __init__(
        self, task: Task, weights: Weights, settings: GRPOSettings, dtype: DTypeLike
    ) -> None:
        self.task = task
        self.settings = settings
        self.tile = training_tile(settings.batch_size, settings.generations, settings.microbatch)
        self.decoder = Decoder.of(task.shape, weights, dtype)
        vector = vector_of(weights)
        self.weights, self.reference = jnp.array(vector), jnp.array(vector)
        self.moments = programs.first_moments(self.weights)
        self.total = programs.no_gradient(self.weights)

    def sample(self, prompts: Tokens, noise: uniforms.Uniforms, tile: Tile) -> Tokens:
        """Return completions of ``prompts``, computed a ``tile`` at a time.

        ``prompts`` is ``[rows, prompt tokens]``, ``noise`` and the completions are ``[rows, group,
        tokens]``.
        """
        asked = prompts.astype(np.int32)
        parts = [
            (
                cut,
                programs.sample(
                    self.weights,
                    tile.fill(asked[cut[0]], grouped=False),
                    tile.fill(noise[cut]),
                    decoder=self.decoder,
                    end=self.task.end,
                ),
            )
            for cut in tile.cuts(*noise.shape[:2])
        ]
        completions = np.empty(noise.shape, dtype=np.int64)
        for cut, drawn in parts:
            part = completions[cut]
            part[...] = np.asarray(drawn)[: part.shape[0], : part.shape[1]]
        return completions

    def gradient(
        self,
        prompts: Tokens,
        completions: Tokens,
        mask: npt.NDArray[np.bool_],
        advantages: Scores,
        kl_coef: float,
    ) -> None:
        """Compute the gradient of the loss over all tiles, for `update` to take.

        The loss is the mean over all unmasked tokens of policy loss + kl_coef·KL −
        entropy_coef·entropy.

        Parameters
        ----------
        prompts
            ``[rows, prompt tokens]``.
        completions, mask
            ``[rows, group, tokens]``.
        advantages
            ``[rows, group]``.
        kl_coef
            Where it is 0 the reference policy is not computed.
        """
        share = mask / np.float32(mask.sum())
        asked, drawn = prompts.astype(np.int32), completions.astype(np.int32)
        coefficients = programs.Coefficients(
            np.float32(kl_coef), np.float32(self.settings.entropy_coef)
        )
        total, tile = programs.no_gradient(self.weights), self.tile
        for cut in tile.cuts(*mask.shape[:2]):
            batch = programs.Batch(
                tile.fill(asked[cut[0]], grouped=False),
                tile.fill(drawn[cut]),
                tile.fill(share[cut]),
                tile.fill(advantages[cut]),
            )
            total = programs.add_gradient(
                total, self.weights, self.reference, batch, coefficients, decoder=self.decoder
            )
        self.total = total

    def update(self, learning_rate: float) -> list[float]:
        """Take a step of AdamW along the gradient, its norm clipped.

        Returns
        -------
        list of float
            Loss, KL (0 where it is not computed), entropy, the gradient's norm before clipping, and
            the norm of the weights before the step.
        """
        rates = programs.Rates(
            np.float32(learning_rate),
            np.float32(self.settings.max_grad_norm),
            np.float32(self.settings.weight_decay),
        )
        self.weights, self.moments, measured = programs.update(
            self.weights, self.moments, self.total, rates
        )
        numbers: list[float] = np.asarray(measured).tolist()
        return numbers

    def norm(self) -> float:
        """Return the Euclidean norm of all weights together."""
        return float(programs.norm(self.weights))

    def state(self) -> Arrays:
        """Return the weights and AdamW's state, for `restore`; valid until the next `update`."""
        leaves = jax.tree.leaves(self.moments)
        moments = {f"adamw.{index}": np.asarray(leaf) for index, leaf in enumerate(leaves)}
        return {"weights": np.asarray(self.weights)} | moments

    def restore(self, state: Arrays) -> None:
        """Restore the weights and the optimiser's state that `state` returned, of the same run."""
        self.weights = jnp.array(state["weights"])
        leaves, structure = jax.tree.flatten(self.moments)
        restored = [jnp.array(state[f"adamw.{index}"]) for index in range(len(leaves))]
        self.moments = jax.tree.unflatten(structure, restored)
