"""GRPO in Torch, read from top to bottom: sample, reward, advantage, loss, update, evaluate.

Group relative policy optimisation (Shao et al., "DeepSeekMath", 2024, arXiv:2402.03300, section
4.1), with one update for each batch of completions, so that the policy which is updated is the
one that sampled. It differs from that paper in what the sweeps ask for:

* the KL penalty is the full KL(policy‖reference) of each token's distribution, not an estimate from
  the drawn token, and is switched on after a number of steps;
* an entropy bonus; advantages clipped;
* the loss is a mean over all completion tokens of the batch, as in DAPO (Yu et al., 2025,
  arXiv:2503.14476, equation 8), not first over each completion's: a token counts the same in a long
  completion as in a short one, and microbatches add up to the batch exactly.

The loss and its gradient are checked against `harness.training.reference`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.errors import UsageError
from harness.protocols import Notify
from harness.records import Evaluation, Job, Outcome, Progress, StepTrace
from harness.sweep import scale_steps
from harness.training import schedules, uniforms, warm_start_torch
from harness.training.device_torch import (
    PRECISIONS,
    describe,
    open_device,
    out_of_memory,
    peak_bytes,
)
from harness.training.grpo import ADAM_BETAS, ADAM_EPSILON, ADVANTAGE_EPSILON
from harness.training.measurement import evaluation, paired_difference, train_difference
from harness.training.model_torch import (
    Parameters,
    cast,
    completion_logits,
    generate,
    to_parameters,
)
from harness.training.settings import GRPOSettings
from harness.training.tasks import Scores, Task, Tokens, completion_mask, get_task
from harness.training.warm_start import Weights, warm_started
