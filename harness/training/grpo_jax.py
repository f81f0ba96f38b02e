"""GRPO in JAX, read from top to bottom: sample, reward, advantage, loss, update, evaluate.

The same run as `harness.training.grpo_torch`'s, phase by phase: the same prompts, the same noise,
so the same tokens until rounding first parts them; that file says which GRPO it is. Three programs
do the computing: one samples a tile of completions, one adds a tile's gradient to the batch's, one
takes the optimiser's step. They are compiled once for each shape in a process, kept on disk for the
next, and everything else a config sets is an argument of theirs.

The loss and its gradient are checked against `harness.training.reference`.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from jax import Array, lax
from jax.typing import DTypeLike

from harness.errors import UsageError
from harness.protocols import Notify
from harness.records import Job, Outcome, Progress, StepTrace
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
    ADAM_BETAS,
    ADAM_EPSILON,
    fingerprint,
    group_advantages,
    in_groups,
    require_finite,
)
from harness.training.measurement import HeldOut
from harness.training.model_jax import (
    Decoder,
    Parameters,
    completion_logits,
    flat,
    generate,
    named,
    vector_of,
)
from harness.training.settings import GRPOSettings
from harness.training.tasks import Scores, Task, Tokens, completion_mask, get_task
from harness.training.tiles import Tile, evaluation_tile, training_tile
from harness.training.warm_start import Weights, warm_started

Argument = Any
"""An array of NumPy's outside of a program, one of JAX's within."""

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


def grpo_loss(
    logits: Array,
    completions: Array,
    weights: Array,
    advantages: Array,
    *,
    reference: Array | None = None,
    kl_coef: Array | float = 0.0,
    entropy_coef: Array | float = 0.0,
) -> tuple[Array, tuple[Array, Array]]:
    """Return the loss, with the KL(policy‖reference) and the entropy, each a sum over tokens.

    The policy loss of a token is −A·π(token)/π_old(token). The policy that sampled is the one that
    is updated, so the ratio is 1 and only its gradient matters; it needs no clipping either.

    Parameters
    ----------
    logits
        ``[vocabulary, tokens, rows, group]`` of the policy.
    completions
        ``[rows, group, tokens]``, what was drawn.
    weights
        ``[rows, group, tokens]``, how much each token counts: 0 after the end of a completion, and
        1 divided by the number of tokens of the whole batch before.
    advantages
        ``[rows, group]``.
    reference
        Log-probabilities of the reference policy, shaped as ``logits``; without it KL is 0.
    kl_coef, entropy_coef
        What KL and entropy count for.
    """
    log_probs = jax.nn.log_softmax(logits, axis=0)
    drawn, weights = completions.transpose(2, 0, 1), weights.transpose(2, 0, 1)
    is_drawn = jnp.arange(logits.shape[0])[:, None, None, None] == drawn
    chosen = jnp.where(is_drawn, log_probs, 0.0).sum(axis=0)
    ratio = jnp.exp(chosen - lax.stop_gradient(chosen))
    policy_loss = -(ratio * advantages * weights).sum()
    weighted = jnp.exp(log_probs) * weights
    entropy = -(weighted * log_probs).sum()
    if reference is None:
        return policy_loss - entropy_coef * entropy, (jnp.zeros_like(entropy), entropy)
    kl = (weighted * (log_probs - reference)).sum()
    return policy_loss + kl_coef * kl - entropy_coef * entropy, (kl, entropy)


class Batch(NamedTuple):
    """A tile of what was sampled, as `grpo_loss` takes it, with its prompts."""

    prompts: Argument
    completions: Argument
    weights: Argument
    advantages: Argument


class Coefficients(NamedTuple):
    """What KL and entropy count for."""

    kl: Argument
    entropy: Argument


class Rates(NamedTuple):
    """What a step of the optimiser is taken with."""

    learning: Argument
    max_grad_norm: Argument
    weight_decay: Argument


class Gradient(NamedTuple):
    """What tiles add up to: the gradient of all weights, and the sums of loss, KL and entropy."""

    vector: Array
    sums: Array


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
        self.moments = _moments(self.weights)
        self.total = _nothing(self.weights)

    def sample(self, prompts: Tokens, noise: uniforms.Uniforms, tile: Tile) -> Tokens:
        """Return completions of ``prompts``, computed a ``tile`` at a time.

        ``prompts`` is ``[rows, prompt tokens]``, ``noise`` and the completions are ``[rows, group,
        tokens]``.
        """
        asked = prompts.astype(np.int32)
        parts = [
            (
                cut,
                _sample(
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
        coefficients = Coefficients(np.float32(kl_coef), np.float32(self.settings.entropy_coef))
        total, tile = _nothing(self.weights), self.tile
        for cut in tile.cuts(*mask.shape[:2]):
            batch = Batch(
                tile.fill(asked[cut[0]], grouped=False),
                tile.fill(drawn[cut]),
                tile.fill(share[cut]),
                tile.fill(advantages[cut]),
            )
            total = _add_gradient(
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
        rates = Rates(
            np.float32(learning_rate),
            np.float32(self.settings.max_grad_norm),
            np.float32(self.settings.weight_decay),
        )
        self.weights, self.moments, measured = _update(
            self.weights, self.moments, self.total, rates
        )
        numbers: list[float] = np.asarray(measured).tolist()
        return numbers

    def norm(self) -> float:
        """Return the Euclidean norm of all weights together."""
        return float(_norm(self.weights))

    def state(self) -> Arrays:
        """Return the weights and AdamW's state, for `restore`; valid until the next `update`."""
        leaves = jax.tree.leaves(self.moments)
        moments = {f"adamw.{index}": np.asarray(leaf) for index, leaf in enumerate(leaves)}
        return {"weights": np.asarray(self.weights)} | moments

    def restore(self, state: Arrays) -> None:
        """Be what the policy was whose `state` this is, of the same run."""
        self.weights = jnp.array(state["weights"])
        leaves, structure = jax.tree.flatten(self.moments)
        restored = [jnp.array(state[f"adamw.{index}"]) for index in range(len(leaves))]
        self.moments = jax.tree.unflatten(structure, restored)


@partial(jax.jit, static_argnames=("decoder", "end"))
def _sample(vector: Array, prompts: Array, noise: Array, *, decoder: Decoder, end: int) -> Array:
    return generate(named(vector, decoder), decoder.shape, prompts, noise, end)


@partial(jax.jit, static_argnames="decoder", donate_argnames="total")
def _add_gradient(
    total: Gradient,
    vector: Array,
    reference: Array,
    batch: Batch,
    coefficients: Coefficients,
    *,
    decoder: Decoder,
) -> Gradient:
    def logits_of(parameters: Parameters) -> Array:
        return completion_logits(parameters, decoder.shape, batch.prompts, batch.completions)

    def loss(parameters: Parameters) -> tuple[Array, Array]:
        logits = logits_of(parameters)
        # Both sides of the condition are compiled, and one of them runs.
        is_on = coefficients.kl > 0
        compared = lax.cond(
            is_on,
            lambda: jax.nn.log_softmax(logits_of(named(reference, decoder)), axis=0),
            lambda: jnp.zeros_like(logits),
        )
        value, (kl, entropy) = grpo_loss(
            logits,
            *batch[1:],
            reference=compared,
            kl_coef=coefficients.kl,
            entropy_coef=coefficients.entropy,
        )
        return value, jnp.stack([value, jnp.where(is_on, kl, 0.0), entropy])

    # By name, not by the vector: the gradient of a slice would be as long as the vector.
    gradient, sums = jax.grad(loss, has_aux=True)(named(vector, decoder))
    return Gradient(total.vector + flat(gradient, decoder), total.sums + sums)


def _optimizer(rates: Rates) -> optax.GradientTransformation:
    adamw = optax.adamw(
        rates.learning,
        b1=ADAM_BETAS[0],
        b2=ADAM_BETAS[1],
        eps=ADAM_EPSILON,
        weight_decay=rates.weight_decay,
    )
    return optax.chain(optax.clip_by_global_norm(rates.max_grad_norm), adamw)


@jax.jit
def _moments(vector: Array) -> optax.OptState:
    nought = np.float32(0.0)
    return _optimizer(Rates(nought, nought, nought)).init(vector)


@jax.jit
def _nothing(vector: Array) -> Gradient:
    return Gradient(jnp.zeros_like(vector), jnp.zeros(3))


_norm = jax.jit(jnp.linalg.norm)


@partial(jax.jit, donate_argnames=("vector", "moments"))
def _update(
    vector: Array, moments: optax.OptState, total: Gradient, rates: Rates
) -> tuple[Array, optax.OptState, Array]:
    change, moments = _optimizer(rates).update(total.vector, moments, vector)
    norms = jnp.stack([jnp.linalg.norm(total.vector), jnp.linalg.norm(vector)])
    return optax.apply_updates(vector, change), moments, jnp.concatenate([total.sums, norms])
