"""Where a language model begins on the arithmetic that ships: what can be learned from it.

    python benchmarks/first_scores.py MODEL [--only TEXT] [--held-out 64] [--samples 2]
                                            [--threads 1]

MODEL is a folder, such as `scripts/smollm2.py` writes. For each task it prints the perf before any
training, as a sweep measures it, at temperature 1; the share of prompts whose samples have unequal
rewards, without which GRPO learns nothing from a prompt; the share of completions that end before
the limit; and the first completion.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.training.settings import GRPOSettings
from harness.training.text.arithmetic import TASKS
from harness.training.text.model_files import locate
from harness.training.text.tasks import TextTask
from harness.training.text.tokenised import tokenised
from harness.training.uniforms import eval_uniforms

NOTHING = GRPOSettings(learning_rate=0.0, batch_size=1, generations=2, kl_coef=0.0)
"""Settings of a model that is not trained."""


def smaller(task: TextTask, held_out: int, samples: int) -> TextTask:
    """Return a task with the first of its held-out prompts, and as few to train on."""
    kept = {*task.numbers("held_out")[:held_out], *task.numbers("train")[:1]}
    rows = tuple(row for number, row in enumerate(task.rows) if number in kept)
    return replace(task, rows=rows, samples=samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--only", default="", metavar="TEXT", help="tasks with this in their name")
    parser.add_argument("--held-out", type=int, default=64, metavar="N")
    parser.add_argument("--samples", type=int, default=2, metavar="N")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    given = parser.parse_args()

    import torch

    from harness.training.text import grpo_torch, loading_torch

    torch.set_num_threads(given.threads)
    files = locate(given.model, Path())
    model = loading_torch.load(files, NOTHING, seed=0)
    print(f"{'task':14}{'perf':>7}{'SE':>7}{'unequal':>9}{'ended':>7}{'seconds':>9}  a completion")
    for name, make in TASKS.items():
        if given.only not in name:
            continue
        began = time.perf_counter()
        task = tokenised(smaller(make(), given.held_out, given.samples), files)
        policy = grpo_torch.Policy(task, model, NOTHING, torch.device("cpu"))
        prompts = task.prompts("held_out")
        noise = eval_uniforms(0, len(prompts), given.samples, task.max_tokens)
        drawn = policy.sample_held_out(prompts, noise).reshape(-1, task.max_tokens)
        scores = task.grade(np.repeat(prompts, given.samples, axis=0), drawn).scores
        each = scores.reshape(-1, given.samples)
        error = each.mean(axis=1).std(ddof=1) / len(each) ** 0.5
        unequal = (each.min(axis=1) < each.max(axis=1)).mean()
        ended = np.isin(drawn, task.ends).any(axis=1).mean()
        text = task.tokenizer.decode(drawn[0].tolist(), skip_special_tokens=True)
        print(
            f"{name:14}{scores.mean():7.3f}{error:7.3f}{unequal:9.2f}{ended:7.2f}"
            f"{time.perf_counter() - began:9.1f}  {text!r}",
            flush=True,
        )


if __name__ == "__main__":
    main()
