"""One GRPO step on the embedded task, beside the matrix products that it consists of.

    python benchmarks/step.py [--batch-size 8] [--generations 16] [--repeats 60] [--shapes]

Both on one thread of one CPU, in turn in one process; prints medians and the median of the paired
ratios. The products are those of the trainer as it is, no more: a prompt's activations are computed
once for its whole group, in generation and in training. `--shapes` lists them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from harness.training import uniforms, warm_start_torch
from harness.training.grpo import grade_groups, group_advantages
from harness.training.grpo_torch import Policy
from harness.training.settings import GRPOSettings
from harness.training.tasks import Task, completion_mask, get_task
from harness.training.warm_start import Weights, warm_started

CACHE = Path(tempfile.gettempdir()) / "pytest-sweep-benchmarks"

Product = tuple[int, int, int, int]
"""How many products of one call, and its rows, inner size and columns."""


def products(task: Task, rows: int, group: int, *, reference: bool) -> Counter[Product]:
    """Return the matrix products of a step and how often each is computed.

    A step samples (prompts once, then a token of each completion at a time), computes the policy
    and, with ``reference``, the reference policy on what was sampled, and goes back through the
    policy: two products for each of the forward pass, one for either operand.
    """
    prompt, length = task.prompt_tokens, task.max_tokens
    packed = prompt + group * (length - 1)
    counted: Counter[Product] = Counter()

    def passes(queries: int, keys: int, skipped: int, times: int, backward: bool) -> None:
        """Count a forward pass of ``queries`` tokens a row; ``skipped`` end before the last mix."""
        width, heads = task.shape.width, task.shape.heads
        size = width // heads
        for layer in range(task.shape.layers):
            kept = queries - (skipped if layer == task.shape.layers - 1 else 0)
            forward = [
                (1, rows * queries, width, 3 * width),
                (rows * heads, kept, size, keys),
                (rows * heads, kept, keys, size),
                (1, rows * kept, width, width),
                (1, rows * kept, width, 4 * width),
                (1, rows * kept, 4 * width, width),
            ]
            for product in forward:
                add(product, times, backward)
        add((1, rows * (queries - skipped), width, task.vocabulary), times, backward)

    def add(product: Product, times: int, backward: bool) -> None:
        count, m, k, n = product
        counted[product] += times
        if backward:
            counted[(count, m, n, k)] += times
            counted[(count, k, m, n)] += times

    passes(prompt, prompt, prompt - 1, 1, backward=False)
    for step in range(1, length):
        passes(group, prompt + step * group, 0, 1, backward=False)
    passes(packed, packed, prompt - 1, 1, backward=True)
    if reference:
        passes(packed, packed, prompt - 1, 1, backward=False)
    return counted


def bare(counted: Counter[Product]) -> Callable[[], None]:
    """Return a function that computes the products and nothing else, into memory it has."""
    calls = []
    for (count, m, k, n), times in counted.items():
        left, right, out = (
            torch.randn(count, m, k),
            torch.randn(count, k, n),
            torch.empty(count, m, n),
        )
        if count == 1:
            calls += [(torch.mm, left[0], right[0], out[0])] * times
        else:
            calls += [(torch.bmm, left, right, out)] * times

    def compute() -> None:
        with torch.inference_mode():
            for product, left, right, out in calls:
                product(left, right, out=out)

    return compute


def weights_of(task: Task, cache: Path = CACHE) -> Weights:
    """Return the weights that runs of ``task`` start from; the first call makes them."""
    return warm_started(task, cache, warm_start_torch.make, lambda progress: None)


def step_of(
    task: Task,
    rows: int,
    group: int,
    *,
    kl_coef: float,
    device: str = "cpu",
    cache: Path = CACHE,
) -> Callable[[], None]:
    """Return a function that takes a training step as the trainer does, with learning rate 0."""
    settings = GRPOSettings(0.0, rows, group, entropy_coef=0.002)
    weights = weights_of(task, cache)
    policy = Policy(task, weights, settings, torch.device(device), torch.float32)
    prompts = task.prompts("train")
    steps = iter(range(10**9))

    def step() -> None:
        now = next(steps)
        chosen = prompts[uniforms.draw_prompts(1, now, len(prompts), rows)]
        noise = uniforms.train_uniforms(1, now, rows, group, task.max_tokens)
        completions = policy.sample(chosen, noise, None)
        mask = completion_mask(completions, task.end)
        rewards = grade_groups(task, chosen, completions).rewards
        advantages = group_advantages(rewards, settings.advantage_clip)
        policy.gradient(chosen, completions, mask, advantages, kl_coef)
        policy.update(0.0)

    return step


def seconds(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--generations", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--shapes", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = get_task("addition")
    for kl_coef in (0.0, 0.005):
        counted = products(task, options.batch_size, options.generations, reference=kl_coef > 0)
        step = step_of(task, options.batch_size, options.generations, kl_coef=kl_coef)
        compute = bare(counted)
        for _ in range(5):
            step()
            compute()
        pairs = [(seconds(step), seconds(compute)) for _ in range(options.repeats)]
        took, needed = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        flops = sum(2 * c * m * k * n * times for (c, m, k, n), times in counted.items())
        print(
            f"{options.batch_size}×{options.generations}, KL coefficient {kl_coef}: "
            f"step {took:.2f} ms, {sum(counted.values())} products {needed:.2f} ms "
            f"({flops / 1e6:.0f} MFLOP), ratio {ratio:.2f}"
        )
        if options.shapes:
            for (count, m, k, n), times in sorted(counted.items()):
                batch = f"{count} × " if count > 1 else ""
                print(f"  {times:3d} × {batch}[{m}, {k}] @ [{k}, {n}]")


if __name__ == "__main__":
    main()
