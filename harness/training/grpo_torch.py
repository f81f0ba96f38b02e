"""GRPO in Torch: the loss, and the policy that `harness.training.course` trains.

Group relative policy optimisation (Shao et al., "DeepSeekMath", 2024, arXiv:2402.03300, section
4.1), with one update for each batch of completions: the policy that is updated is the one that
sampled. It differs from the paper where the sweeps ask for it:

* the KL penalty is the full KL(policy‖reference) of each token's distribution, not an estimate from
  the drawn token, and starts after a number of steps;
* there is an entropy bonus, and advantages are clipped;
* the loss is a mean over all completion tokens of the batch, as in DAPO (Yu et al., 2025,
  arXiv:2503.14476, equation 8), not first over each completion's. So a token counts the same in a
  long completion as in a short one, and microbatches add up to the batch exactly.

Tests check the loss and its gradient against `harness.training.reference`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.protocols import Notify
from harness.records import Job, Outcome
from harness.training import course, warm_start_torch
from harness.training.checkpoints import Arrays
from harness.training.device_torch import (
    PRECISIONS,
    describe,
    one_thread,
    open_device,
    out_of_memory,
    peak_bytes,
)
from harness.training.grpo import ADAM_BETAS, ADAM_EPSILON, Batch, microbatches, require_finite
from harness.training.model_torch import FlatWeights, completion_logits, generate
from harness.training.settings import GRPOSettings
from harness.training.tasks import Scores, Task, Tokens
from harness.training.uniforms import Uniforms
from harness.training.warm_start import Weights


def train(job: Job, notify: Notify) -> Outcome:
    """Train ``job``'s run on an embedded task (see `course.train`), as a `protocols.Trainer`.

    Also raises `BackendError` if the device is not here, and `MemoryError` if it or the host runs
    out of memory.
    """
    with out_of_memory(), one_thread():
        device = open_device(job.conditions.device)
        dtype = PRECISIONS[job.conditions.precision]
        return course.train_decoder(
            job,
            notify,
            warm_start_torch.make,
            lambda task, weights, settings: Policy(task, weights, settings, device, dtype),
            device=describe(device),
            library=f"torch {torch.__version__}",
            peak=lambda: peak_bytes(device),
        )


def grpo_loss(
    logits: Tensor,
    completions: Tensor,
    weights: Tensor,
    advantages: Tensor,
    *,
    reference: Tensor | None = None,
    kl_coef: float = 0.0,
    entropy_coef: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss, the KL(policy‖reference) and the entropy, each a weighted sum over tokens.

    The policy loss of a token is −A·π(token)/π_old(token). The updated policy is the one that
    sampled, so the ratio is 1 and needs no clipping. Only its gradient matters.

    Parameters
    ----------
    logits
        ``[rows, group, tokens, vocabulary]`` of the policy.
    completions
        ``[rows, group, tokens]``.
    weights
        ``[rows, group, tokens]``, the weight of each token: 0 after the end of a completion, before
        it 1 divided by the number of tokens in the whole batch.
    advantages
        ``[rows, group]``.
    reference
        Logits of the reference policy, shaped as ``logits``; without it KL is 0.
    kl_coef, entropy_coef
        The weights of KL and entropy in the loss.
    """
    log_probs = torch.log_softmax(logits, dim=-1)
    chosen = log_probs.gather(-1, completions.unsqueeze(-1)).squeeze(-1)
    ratio = torch.exp(chosen - chosen.detach())
    policy_loss = -(ratio * advantages.unsqueeze(-1) * weights).sum()
    weighted = log_probs.exp() * weights.unsqueeze(-1)
    entropy = -(weighted * log_probs).sum()
    if reference is None:
        return policy_loss - entropy_coef * entropy, torch.zeros_like(entropy), entropy
    kl = (weighted * (log_probs - torch.log_softmax(reference, dim=-1))).sum()
    return policy_loss + kl_coef * kl - entropy_coef * entropy, kl, entropy


class Policy:
    """The weights being trained, the reference they started from, and their optimiser."""

    def __init__(
        self,
        task: Task,
        weights: Weights,
        settings: GRPOSettings,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.task = task
        self.settings = settings
        self.device = device
        self.dtype = dtype
        self.weights = FlatWeights(weights, device)
        with torch.no_grad():
            self.reference = FlatWeights(weights, device).named(dtype)
        self.optimizer = torch.optim.AdamW(
            [self.weights.vector],
            lr=settings.learning_rate,
            betas=ADAM_BETAS,
            eps=ADAM_EPSILON,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def sample(self, prompts: Tokens, noise: Uniforms, most: int | None = None) -> Tokens:
        """Return completions of ``prompts``, at most ``most`` or a microbatch of them at a time."""
        most = most or self.settings.microbatch
        with torch.inference_mode():
            parameters = self.weights.named(self.dtype)
        completions = np.empty(noise.shape, dtype=np.int64)
        for rows, group in microbatches(noise.shape[0], noise.shape[1], most):
            completions[rows, group] = generate(
                parameters,
                self.task.shape,
                self._send(prompts[rows]),
                self._send(noise[rows, group]),
                self.task.end,
            )
        return completions

    def sample_held_out(self, prompts: Tokens, noise: Uniforms) -> Tokens:
        """Return completions of ``prompts`` in an evaluation."""
        return self.sample(prompts, noise, self.settings.microbatch or course.EVALUATION_BATCH)

    def learn(self, batch: Batch, kl_coef: float, learning_rate: float) -> list[float]:
        """Take a training step; see `course.Policy.learn`."""
        measured = self.gradient(*batch, kl_coef)
        require_finite(loss=measured[0], gradient_norm=measured[3])
        self.update(learning_rate)
        return measured

    def gradient(
        self,
        prompts: Tokens,
        completions: Tokens,
        mask: npt.NDArray[np.bool_],
        advantages: Scores,
        kl_coef: float,
    ) -> list[float]:
        """Compute the gradient over all microbatches and clip its norm.

        Takes and returns what `course.Policy.learn` does.
        """
        self.optimizer.zero_grad()
        share = mask / np.float32(mask.sum())
        sums = torch.zeros(3, device=self.device)
        rows, group, _ = completions.shape
        for part in microbatches(rows, group, self.settings.microbatch):
            batch = self._send(prompts[part[0]]), self._send(completions[part])
            logits = completion_logits(self.weights.named(self.dtype), self.task.shape, *batch)
            reference = None
            if kl_coef:
                with torch.no_grad():
                    reference = completion_logits(self.reference, self.task.shape, *batch)
            terms = grpo_loss(
                logits,
                batch[1],
                self._send(share[part]),
                self._send(advantages[part]),
                reference=reference,
                kl_coef=kl_coef,
                entropy_coef=self.settings.entropy_coef,
            )
            torch.autograd.backward(terms[0])
            sums += torch.stack(terms).detach()
        norm = torch.nn.utils.clip_grad_norm_(self.weights.vector, self.settings.max_grad_norm)
        measured: list[float] = torch.cat([sums, norm[None]]).tolist()
        return measured

    def update(self, learning_rate: float) -> None:
        """Take a step of AdamW along the gradient."""
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.step()

    def norm(self) -> float:
        """Return the Euclidean norm of all weights together."""
        return float(self.weights.vector.detach().norm())

    def moved(self) -> float:
        """Return the share of weights that have changed; see `course.Policy.moved`."""
        with torch.no_grad():
            now = self.weights.named(self.dtype)
        changed = sum(int((now[name] != then).sum()) for name, then in self.reference.items())
        return changed / self.weights.vector.numel()

    def state(self) -> Arrays:
        """Return the weights and AdamW's state, for `restore`."""
        moments = self.optimizer.state[self.weights.vector]
        tensors = {"weights": self.weights.vector.detach()} | {
            f"adamw.{name}": tensor for name, tensor in moments.items()
        }
        return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}

    def restore(self, state: Arrays) -> None:
        """Restore the weights and the optimiser's state that `state` returned, of the same run."""
        with torch.no_grad():
            self.weights.vector.copy_(torch.tensor(state["weights"]))
        moments = {
            name.removeprefix("adamw."): torch.tensor(array)
            for name, array in state.items()
            if name.startswith("adamw.")
        }
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": {0: moments}})

    def _send(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)
