"""Make a task's warm start with Torch: supervised learning on noisy demonstrations."""

from __future__ import annotations

import torch
from torch.nn.utils import clip_grad_norm_

from harness.protocols import Notify
from harness.records import Progress
from harness.training import warm_start
from harness.training.model_torch import FlatWeights, completion_logits
from harness.training.tasks import Task


def make(task: Task, notify: Notify) -> warm_start.Weights:
    """Return the warm-started weights of ``task``, trained here on the CPU from its own seed.

    The loss is the cross-entropy of the policy and the noisy demonstrations' distribution, a mean
    over the tokens up to the end.
    """
    recipe = task.warm_start
    weights = FlatWeights(warm_start.initial_weights(task), torch.device("cpu"))
    optimizer = torch.optim.AdamW(
        [weights.vector], lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    for step in range(recipe.steps):
        batch = warm_start.demonstration_batch(task, step)
        prompts, completions, targets, mask = (torch.from_numpy(array) for array in batch)
        logits = completion_logits(weights.named(), task.shape, prompts, completions[:, None])[:, 0]
        loss = -(targets * torch.log_softmax(logits, dim=-1)).sum(dim=-1)
        optimizer.zero_grad()
        torch.autograd.backward((loss * mask).sum() / mask.sum())
        clip_grad_norm_(weights.vector, 1.0)
        optimizer.param_groups[0]["lr"] = warm_start.learning_rate(task, step)
        optimizer.step()
        notify(Progress(stage=warm_start.STAGE, step=step + 1, steps=recipe.steps))
    return weights.arrays()
