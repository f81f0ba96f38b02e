"""Rewards that say nothing about the completions: those of the arms ``null`` and ``random``.

The arm ``null`` permutes the rewards within their group: they keep their distribution, and a group
whose rewards are equal teaches nothing, as in the main runs. The arm ``random`` tosses a fair coin
for each completion, a reward of 0 or 1 [1]_: every group then moves the policy, whatever the
completions are worth.

.. [1] Shao et al., "Spurious rewards: rethinking training signals in RLVR", arXiv:2506.10947
   (2025), whose random rewards are 1 with a probability γ of one half.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from harness.training.uniforms import Integers, generator


def rewards_of(arm: str, seed: int, step: int, rewards: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what a run of ``arm`` learns from in place of ``rewards`` ``[prompts, generations]``.

    That is the rewards themselves in all arms but the two that teach nothing. Shape and type stay.
    """
    if arm == "null":
        return generator(seed, "null", step).permuted(rewards, axis=1)
    if arm == "random":
        return coins(rewards.size, seed, step).reshape(rewards.shape).astype(rewards.dtype)
    return rewards


def permutation(groups: Integers, seed: int, step: int, call: int) -> Integers:
    """Return a permutation of positions [n] that keeps each within its group.

    ``groups`` [n] are numbers of groups, ``call`` is the number of the call within the step.
    """
    draws = generator(seed, "null", step, call)
    order = np.arange(len(groups))
    for number in np.unique(groups):
        members = np.flatnonzero(groups == number)
        order[members] = draws.permutation(members)
    return order


def coins(count: int, seed: int, step: int, call: int = 0) -> Integers:
    """Return ``count`` rewards of the arm ``random``: 0 or 1, each with probability one half."""
    draws = generator(seed, "random", step, call)
    return (draws.random(count, dtype=np.float32) < 0.5).astype(np.int64)
