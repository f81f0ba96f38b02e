"""The programs that GRPO of language models compiles in JAX: sample, add a gradient, update.

Logits over a vocabulary of 50,000 are the largest thing in training. The loss takes them a part of
the tokens at a time, and makes their gradient at once with them: they are neither kept nor computed
again, and there are never more than those of one part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from harness.training.programs_jax import Coefficients, Rates, grpo_loss, optimizer
from harness.training.text import decoder_jax as decoder
from harness.training.text.architecture import Architecture
from harness.training.text.decoder_jax import Prompts
from harness.training.text.layers_jax import Parameters, cast, head_of
from harness.training.text.sampling_jax import Sampling

Argument = Any
"""A NumPy array outside a program, a JAX array inside."""

LOGITS = 2**24
"""The most logits of one part of the tokens: 64 MB in float32."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What programs are compiled for.

    ``dtype`` is the precision that is computed in; weights that are trained are kept in float32.
    ``adapter`` is what the product of an adapter's matrices is multiplied by. With ``recompute``
    the layers' activations are computed again for the gradient.
    """

    shape: Architecture
    dtype: str
    adapter: float = 1.0
    recompute: bool = False


class Weights(NamedTuple):
    """The weights that are trained, in float32, and those that are not, as they are computed with.

    Where all are trained, none are ``frozen``. Where adapters are, these are all that is trained.
    """

    trained: Parameters
    frozen: Parameters


class Drawn(NamedTuple):
    """Tokens that were drawn, their weights in the loss and their advantages: each ``[n]``."""

    tokens: Argument
    weights: Argument
    advantages: Argument


class Batch(NamedTuple):
    """Completions with their prompts, and the tokens of them that count.

    ``completions`` is ``[rows, group, tokens]``. ``order`` ``[n]`` has the places in it of the
    tokens of ``drawn``. A weight of 0 fills up.
    """

    prompts: Prompts
    completions: Argument
    order: Argument
    drawn: Drawn


def part_size(tokens: int, vocabulary: int) -> int:
    """Return how many of the ``tokens`` the loss takes at a time: in equal parts."""
    most = max(1, LOGITS // vocabulary)
    return -(-tokens // -(-tokens // most))


def working(weights: Weights, plan: Plan) -> Parameters:
    """Return the weights that are computed with."""
    trained = cast(weights.trained, plan.dtype)
    scaled = {
        name: array * plan.adapter if name.endswith(".b") else array
        for name, array in trained.items()
    }
    return weights.frozen | scaled


def merged(weights: Weights, plan: Plan) -> Parameters:
    """Return the weights that completions are drawn with: adapters are added to their matrices."""
    parameters = working(weights, plan)
    for name in [name.removesuffix(".a") for name in parameters if name.endswith(".a")]:
        a, b = parameters.pop(f"{name}.a"), parameters.pop(f"{name}.b")
        parameters[name] = parameters[name] + b @ a
    return parameters


@partial(jax.jit, static_argnames="plan")
def sample(
    weights: Weights, prompts: Prompts, noise: Array, sampling: Sampling, *, plan: Plan
) -> tuple[Array, Array]:
    return decoder.generate(merged(weights, plan), plan.shape, prompts, noise, sampling)


@partial(jax.jit, static_argnames=("plan", "size"))
def gradient(
    weights: Weights,
    reference: Parameters | None,
    batch: Batch,
    coefficients: Coefficients,
    temperature: Array,
    *,
    plan: Plan,
    size: int,
) -> tuple[Parameters, Array]:
    """Return the gradient of the trained weights, and the sums of loss, KL and entropy.

    ``reference`` are the weights to compare with, or None where KL is off. ``size`` tokens of the
    batch are taken at a time.
    """

    def hidden_of(parameters: Parameters) -> Array:
        hidden = decoder.completion_hidden(
            parameters, plan.shape, batch.prompts, batch.completions, recompute=plan.recompute
        )
        return hidden.reshape(-1, plan.shape.width)[batch.order]

    def of_trained(trained: Parameters) -> tuple[Array, Array]:
        parameters = working(Weights(trained, weights.frozen), plan)
        return hidden_of(parameters), head_of(parameters)

    (hidden, head), pull = jax.vjp(of_trained, weights.trained)
    compared = None if reference is None else hidden_of(reference)
    learns_head = not weights.frozen

    def loss(hidden: Array, head: Array, drawn: Drawn, other: Array | None) -> tuple[Array, Array]:
        def logits(hidden: Array, head: Array) -> Array:
            scores = (head @ hidden.T).astype(jnp.float32) / temperature
            return scores[:, None, :, None]  # one token a row, one row a group

        log_r = None
        if reference is not None and other is not None:
            log_r = jax.nn.log_softmax(logits(other, head_of(reference)), axis=0)
        value, (kl, entropy) = grpo_loss(
            logits(hidden, head),
            drawn.tokens[:, None, None],
            drawn.weights[:, None, None],
            drawn.advantages[:, None],
            reference=log_r,
            kl_coef=coefficients.kl,
            entropy_coef=coefficients.entropy,
        )
        return value, jnp.stack([value, kl, entropy])

    def step(
        carry: tuple[Array, Array], part: tuple[Array, Drawn, Array | None]
    ) -> tuple[tuple[Array, Array], Array]:
        hidden, drawn, other = part

        def learn(carry: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
            sums, total = carry
            wanted = (0, 1) if learns_head else 0
            found, measured = jax.grad(loss, wanted, has_aux=True)(hidden, head, drawn, other)
            if learns_head:
                found, of_head = found
                total = total + of_head
            return (sums + measured, total), found

        def skip(carry: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
            return carry, jnp.zeros_like(hidden)

        took: tuple[tuple[Array, Array], Array] = lax.cond(
            (drawn.weights > 0).any(), learn, skip, carry
        )
        return took

    parts = jax.tree.map(
        lambda array: array.reshape(-1, size, *array.shape[1:]), (hidden, batch.drawn, compared)
    )
    total = jnp.zeros(head.shape if learns_head else (), jnp.float32)
    (sums, total), of_hidden = lax.scan(step, (jnp.zeros(3), total), parts)
    of_head = total.astype(head.dtype) if learns_head else jnp.zeros_like(head)
    (found,) = pull((of_hidden.reshape(hidden.shape), of_head))
    return found, sums


@partial(jax.jit, donate_argnums=0)
def add(one: tuple[Parameters, Array], other: tuple[Parameters, Array]) -> tuple[Parameters, Array]:
    """Return the sum of two gradients with their sums."""
    return {name: array + other[0][name] for name, array in one[0].items()}, one[1] + other[1]


@jax.jit
def first_moments(trained: Parameters) -> optax.OptState:
    nought = np.float32(0.0)
    return optimizer(Rates(nought, nought, nought)).init(trained)


def _norm(arrays: Parameters) -> Array:
    """Return the Euclidean norm of all arrays together."""
    return jnp.sqrt(jnp.stack([jnp.square(array).sum() for array in arrays.values()]).sum())


norm = jax.jit(_norm)


@partial(jax.jit, donate_argnames=("trained", "moments"))
def update(
    trained: Parameters, moments: optax.OptState, found: tuple[Parameters, Array], rates: Rates
) -> tuple[Parameters, optax.OptState, Array]:
    """Return weights and moments after a step, and loss, KL, entropy and two norms.

    The norms are that of the gradient before it is clipped, and that of the weights before the
    step.
    """
    change, moments = optimizer(rates).update(found[0], moments, trained)
    norms = jnp.stack([_norm(found[0]), _norm(trained)])
    return optax.apply_updates(trained, change), moments, jnp.concatenate([found[1], norms])
