"""A network in plain JAX that tells in which of three rings a point lies."""

import jax
import jax.numpy as jnp


def rings(n, seed):
    """Return points [n, 2] in three noisy rings, and the ring of each."""
    ring, angle, noise = jax.random.split(jax.random.key(seed), 3)
    y = jax.random.randint(ring, (n,), 0, 3)
    radius = 0.5 + y + 0.25 * jax.random.normal(noise, (n,))
    turn = jax.random.uniform(angle, (n,), maxval=2 * jnp.pi)
    return jnp.stack([radius * jnp.cos(turn), radius * jnp.sin(turn)], axis=1), y


def init(key, width):
    """Return the weights of a network with one hidden layer."""
    first, second = jax.random.split(key)
    return {
        "first": jax.random.normal(first, (3, width)),
        "second": jax.random.normal(second, (width, 3)) / width**0.5,
    }


def logits(weights, x):
    """Return the scores [points, rings]."""
    inputs = jnp.concatenate([x, jnp.ones((len(x), 1))], axis=1)
    return jax.nn.tanh(inputs @ weights["first"]) @ weights["second"]


def loss(weights, x, y):
    """Return the mean negative log-likelihood."""
    return -jax.nn.log_softmax(logits(weights, x))[jnp.arange(len(y)), y].mean()


@jax.jit
def update(weights, velocity, data, learning_rate, momentum):
    """Take a step of gradient descent with momentum on ``data``, the points and their rings."""
    gradient = jax.grad(loss)(weights, *data)
    velocity = jax.tree.map(lambda v, g: momentum * v - learning_rate * g, velocity, gradient)
    return jax.tree.map(jnp.add, weights, velocity), velocity


@jax.jit
def right(weights, x, y):
    """Return for each point whether its ring is found."""
    return logits(weights, x).argmax(axis=1) == y
