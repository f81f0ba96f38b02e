"""Make a task's warm start with JAX: supervised learning on noisy demonstrations."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from harness.protocols import Notify
from harness.records import Progress
from harness.training import warm_start
from harness.training.model_jax import Parameters, completion_logits
from harness.training.tasks import ModelShape, Task

State = tuple[Parameters, optax.OptState]
"""Weights and the optimiser's moments."""


def make(task: Task, notify: Notify) -> warm_start.Weights:
    """Return the weights of ``task``, trained as in `harness.training.warm_start_torch`."""
    recipe = task.warm_start
    with jax.default_device(jax.devices("cpu")[0]):
        weights: Parameters = {
            name: jnp.array(array.T) for name, array in warm_start.initial_weights(task).items()
        }
        state: State = weights, _optimizer(0.0, recipe.weight_decay).init(weights)
        for step in range(recipe.steps):
            prompts, completions, targets, mask = warm_start.demonstration_batch(task, step)
            batch = prompts.astype(np.int32), completions.astype(np.int32)[:, None], targets, mask
            rate = np.float32(warm_start.learning_rate(task, step))
            state = _learn(state, rate, batch, shape=task.shape, decay=recipe.weight_decay)
            notify(Progress(stage=warm_start.STAGE, step=step + 1, steps=recipe.steps))
        return {name: np.array(array).T.copy() for name, array in state[0].items()}


def _optimizer(rate: np.float32 | float, decay: float) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=decay))


@partial(jax.jit, static_argnames=("shape", "decay"), donate_argnames="state")
def _learn(
    state: State,
    rate: np.float32,
    batch: tuple[Any, ...],
    *,
    shape: ModelShape,
    decay: float,
) -> State:
    weights, moments = state
    prompts, completions, targets, mask = batch

    def loss(weights: Parameters) -> Array:
        logits = completion_logits(weights, shape, prompts, completions)[..., 0]
        log_probs = jax.nn.log_softmax(logits, axis=0)
        per_token = -(targets.transpose(2, 1, 0) * log_probs).sum(axis=0)
        mean: Array = (per_token * mask.T).sum() / mask.sum()
        return mean

    change, moments = _optimizer(rate, decay).update(jax.grad(loss)(weights), moments, weights)
    return dict(optax.apply_updates(weights, change)), moments
