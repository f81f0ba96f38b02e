"""The randomness of a run: drawn on the host, keyed by purpose, the same for every backend.

Every draw comes from a Philox counter generator [1]_ whose key is (run seed, purpose) and whose
counter starts at the given indices. So equal keys give equal draws, in any order and any process,
and different keys give independent ones.

.. [1] Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Uniforms = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


def generator(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """Return the generator of a key: a run's seed, a purpose, and up to three indices.

    ``purpose`` is ``train``, ``eval``, ``prompts``, ``null``, ``random`` or another word.
    ``indices`` are integers from 0 to 2⁶⁴ − 1, such as the step; ``(1,)`` and ``(1, 0)`` are the
    same key.
    """
    if len(indices) > 3:
        raise ValueError(f"a key has at most 3 indices, not {len(indices)}: {indices}")
    words = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    key = [int.from_bytes(words[start : start + 8], "little") for start in (0, 8)]
    # A draw advances the lowest word of the counter; the indices fill the words above it.
    counter = [0, *indices, *(0 for _ in range(3 - len(indices)))]
    bits = np.random.Philox(
        key=np.array(key, dtype=np.uint64), counter=np.array(counter, dtype=np.uint64)
    )
    return np.random.Generator(bits)


def train_uniforms(seed: int, step: int, prompts: int, generations: int, tokens: int) -> Uniforms:
    """Return the sampling noise of a training step, in [0, 1)."""
    draws = generator(seed, "train", step)
    return draws.random((prompts, generations, tokens), dtype=np.float32)


def eval_uniforms(seed: int, prompts: int, samples: int, tokens: int) -> Uniforms:
    """Return the sampling noise of every evaluation of a run: ``[prompts, samples, tokens]``.

    The step is not part of the key, so two evaluations differ only where the policy does. A value
    depends only on its prompt, sample and position: evaluating more prompts, more samples or longer
    completions does not change the other values.
    """
    uniforms = np.empty((prompts, samples, tokens), dtype=np.float32)
    for sample in range(samples):
        for position in range(tokens):
            draws = generator(seed, "eval", sample, position)
            uniforms[:, sample, position] = draws.random(prompts, dtype=np.float32)
    return uniforms


def draw_prompts(seed: int, step: int, available: int, batch_size: int) -> Integers:
    """Return the indices of the prompts of a training step, all different."""
    draws = generator(seed, "prompts", step)
    return draws.choice(available, size=batch_size, replace=False).astype(np.int64)
