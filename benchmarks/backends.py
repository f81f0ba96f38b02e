"""A GRPO step of the embedded task on JAX beside the same step on Torch.

    python benchmarks/backends.py [--batch-size 8] [--generations 16 32] [--blocks 15]

One thread of one core, in one process, from the same weights and noise: ten steps of the one, then
ten of the other. Printed are medians and the median of the ratios of neighbouring blocks.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__" and hasattr(os, "sched_setaffinity"):
    # Before the libraries count the cores.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import jax
import jax.numpy as jnp
import torch
from step import CACHE, weights_of

from harness.training import grpo_jax, grpo_torch, uniforms
from harness.training.device_jax import computing_on, keep_programs, open_device
from harness.training.grpo import grade_groups, group_advantages
from harness.training.settings import GRPOSettings
from harness.training.tasks import completion_mask, get_task

TASK = get_task("addition")
BLOCK = 10
"""Steps in a row of one backend."""

Policy = grpo_torch.Policy | grpo_jax.Policy


def step(policy: Policy, now: int, kl_coef: float) -> float:
    """Take a training step as the trainers do, with learning rate 0; return its seconds."""
    began = time.perf_counter()
    rows, group = policy.settings.batch_size, policy.settings.generations
    prompts = TASK.prompts("train")
    chosen = prompts[uniforms.draw_prompts(1, now, len(prompts), rows)]
    noise = uniforms.train_uniforms(1, now, rows, group, TASK.max_tokens)
    completions = policy.sample(chosen, noise)
    mask = completion_mask(completions, TASK.end)
    advantages = group_advantages(grade_groups(TASK, chosen, completions).rewards, 2.0)
    policy.gradient(chosen, completions, mask, advantages, kl_coef)
    policy.update(0.0)
    return time.perf_counter() - began


def jax_step_of(
    rows: int, group: int, *, kl_coef: float, device: str, cache: Path
) -> Callable[[], float]:
    """Return a function that takes a training step on ``device`` with JAX, as `step` does."""
    settings = GRPOSettings(0.0, rows, group, entropy_coef=0.002)
    where = open_device(device)
    keep_programs(cache / "programs", where)
    with computing_on(where):
        policy = grpo_jax.Policy(TASK, weights_of(TASK, cache), settings, jnp.float32)
    steps = iter(range(10**9))

    def take() -> float:
        with computing_on(where):
            return step(policy, next(steps), kl_coef)

    return take


def compare(rows: int, group: int, kl_coef: float, blocks: int) -> str:
    """Return a line on both backends' steps of one size."""
    weights = weights_of(TASK)
    settings = GRPOSettings(0.0, rows, group, entropy_coef=0.002)
    on_torch = grpo_torch.Policy(TASK, weights, settings, torch.device("cpu"), torch.float32)
    on_jax = grpo_jax.Policy(TASK, weights, settings, jnp.float32)
    took = defaultdict(list)
    # In blocks, as in training: each backend's weights and programs fill the core's cache.
    for block in range(blocks + 1):
        for name, policy in (("torch", on_torch), ("jax", on_jax)):
            steps = [step(policy, block * BLOCK + now, kl_coef) for now in range(BLOCK)]
            took[name].append(1e3 * statistics.median(steps))
    pairs = list(zip(took["jax"][1:], took["torch"][1:], strict=True))
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    medians = {name: statistics.median(times[1:]) for name, times in took.items()}
    return (
        f"{rows}×{group}, KL coefficient {kl_coef}: torch {medians['torch']:.2f} ms, "
        f"jax {medians['jax']:.2f} ms, ratio {ratio:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--generations", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--blocks", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = open_device("cpu")
    keep_programs(CACHE / "programs", device)
    print(f"torch {torch.__version__}, jax {jax.__version__}; promised: a ratio of at most 0.65")
    with computing_on(device):
        for group in options.generations:
            for kl_coef in (0.0, 0.005):
                print(compare(options.batch_size, group, kl_coef, options.blocks))


if __name__ == "__main__":
    main()
