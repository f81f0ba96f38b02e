"""The programs that GRPO in JAX compiles: sample a tile, add its gradient, update the weights.

They are compiled once for each shape in a process and kept on disk for the next. Everything else
that a config sets is an argument. The loss and its gradient are checked against
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
"""An array of NumPy's outside of a program, one of JAX's within."""


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
        The weights of KL and entropy in the loss.
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
def first_moments(vector: Array) -> optax.OptState:
    nought = np.float32(0.0)
    return _optimizer(Rates(nought, nought, nought)).init(vector)


@jax.jit
def no_gradient(vector: Array) -> Gradient:
    return Gradient(jnp.zeros_like(vector), jnp.zeros(3))


norm = jax.jit(jnp.linalg.norm)


@partial(jax.jit, donate_argnames=("vector", "moments"))
def update(
    vector: Array, moments: optax.OptState, total: Gradient, rates: Rates
) -> tuple[Array, optax.OptState, Array]:
    change, moments = _optimizer(rates).update(total.vector, moments, vector)
    norms = jnp.stack([jnp.linalg.norm(total.vector), jnp.linalg.norm(vector)])
    return optax.apply_updates(vector, change), moments, jnp.concatenate([total.sums, norms])
