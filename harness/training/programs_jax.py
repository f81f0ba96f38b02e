"""The programs that GRPO in JAX compiles: sample a tile, add its gradient, update the weights.

A process compiles them once for each shape and keeps them on disk for the next one. Everything else
that a config sets is an argument. Tests check the loss and its gradient against
`harness.training.reference`.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from harness.training.grpo import ADAM_BETAS, ADAM_EPSILON
from harness.training.model_jax import (
    Decoder,
    Parameters,
    completion_logits,
    flat,
    generate,
    named,
)

Argument = Any
"""A NumPy array outside a program, a JAX array inside."""


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

    This is `harness.training.grpo_torch.grpo_loss` for ``logits`` of ``[vocabulary, tokens, rows,
    group]``, and a ``reference`` of that shape which holds log-probabilities.
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
    """A tile of sampled completions with their prompts, as `grpo_loss` takes it."""

    prompts: Argument
    completions: Argument
    weights: Argument
    advantages: Argument


class Coefficients(NamedTuple):
    """The weights of KL and entropy in the loss."""

    kl: Argument
    entropy: Argument


class Rates(NamedTuple):
    """The numbers of an optimiser's step."""

    learning: Argument
    max_grad_norm: Argument
    weight_decay: Argument


class Gradient(NamedTuple):
    """The sum over tiles: the gradient of all weights, and loss, KL and entropy."""

    vector: Array
    sums: Array


@partial(jax.jit, static_argnames=("decoder", "end"))
def sample(vector: Array, prompts: Array, noise: Array, *, decoder: Decoder, end: int) -> Array:
    return generate(named(vector, decoder), decoder.shape, prompts, noise, end)


@partial(jax.jit, static_argnames="decoder", donate_argnames="total")
def add_gradient(
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
        # Both branches are compiled, but only one runs.
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

    # By name, not by the vector, since the gradient of a slice would be as long as the vector.
    gradient, sums = jax.grad(loss, has_aux=True)(named(vector, decoder))
    return Gradient(total.vector + flat(gradient, decoder), total.sums + sums)


def optimizer(rates: Rates) -> optax.GradientTransformation:
    adamw = optax.adamw(
        rates.learning,
        b1=ADAM_BETAS[0],
        b2=ADAM_BETAS[1],
        eps=ADAM_EPSILON,
        weight_decay=rates.weight_decay,
    )
    return optax.chain(optax.clip_by_global_norm(rates.max_grad_norm), adamw)


@jax.jit
def first_moments(vector: Array) -> optax.OptState:
    nought = np.float32(0.0)
    return optimizer(Rates(nought, nought, nought)).init(vector)


@jax.jit
def no_gradient(vector: Array) -> Gradient:
    return Gradient(jnp.zeros_like(vector), jnp.zeros(3))


norm = jax.jit(jnp.linalg.norm)


@partial(jax.jit, donate_argnames=("vector", "moments"))
def update(
    vector: Array, moments: optax.OptState, total: Gradient, rates: Rates
) -> tuple[Array, optax.OptState, Array]:
    change, moments = optimizer(rates).update(total.vector, moments, vector)
    norms = jnp.stack([jnp.linalg.norm(total.vector), jnp.linalg.norm(vector)])
    return optax.apply_updates(vector, change), moments, jnp.concatenate([total.sums, norms])
