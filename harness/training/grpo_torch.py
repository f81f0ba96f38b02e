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

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.errors import UsageError
from harness.protocols import Notify
from harness.records import Job, Outcome, Progress, StepTrace
from harness.training import schedules, uniforms, warm_start_torch
from harness.training.checkpoints import Arrays
from harness.training.course import Course
from harness.training.device_torch import (
    PRECISIONS,
    describe,
    one_thread,
    open_device,
    out_of_memory,
    peak_bytes,
)
from harness.training.grpo import (
    ADAM_BETAS,
    ADAM_EPSILON,
    fingerprint,
    group_advantages,
    in_groups,
    microbatches,
    require_finite,
)
from harness.training.measurement import HeldOut
from harness.training.model_torch import FlatWeights, completion_logits, generate
from harness.training.settings import GRPOSettings
from harness.training.tasks import Scores, Task, Tokens, completion_mask, get_task
from harness.training.warm_start import Weights, warm_started

EVALUATION_BATCH = 1024
"""The most sequences of one generation at an evaluation."""


def train(job: Job, notify: Notify) -> Outcome:
    """Train ``job``'s run with GRPO and measure it on its task's held-out prompts.

    Satisfies `harness.protocols.Trainer`. The result depends on the job alone: on a CPU equal
    jobs give equal outcomes bit for bit, timings and memory apart, also where the run was
    interrupted and goes on from its checkpoint. Steps are counted
    from 1 in the trace and in ``stopped_at``; the curve's step is how many were done.

    Raises
    ------
    UsageError
        Where the config, the task or the device's name cannot be used.
    BackendError
        Where the device is not here.
    MemoryError
        Where host or device run out of memory.
    """
    with out_of_memory(), one_thread():
        return _train(job, notify)


def _train(job: Job, notify: Notify) -> Outcome:
    began = time.perf_counter()
    run, settings, task = job.run, GRPOSettings.from_job(job), get_task(job.conditions.task)
    prompts = task.prompts("train")
    rows, group = settings.batch_size, settings.generations
    if rows > len(prompts):
        raise UsageError(
            f"batch_size is {rows}; expected at most the {len(prompts)} training prompts of task "
            f"{task.name!r}"
        )
    device = open_device(job.conditions.device)
    weights = warm_started(task, Path(job.cache), warm_start_torch.make, notify)
    policy = Policy(task, weights, settings, device, PRECISIONS[job.conditions.precision])
    held_out = HeldOut(
        task,
        run.seed,
        lambda asked, noise: policy.sample(asked, noise, settings.microbatch or EVALUATION_BATCH),
    )
    course = Course(
        job,
        policy,
        held_out,
        began=began,
        weights=weights,
        device=describe(device),
        library=f"torch {torch.__version__}",
        peak=lambda: peak_bytes(device),
    )
    with course:
        for step in course.begin(notify):
            now = course.now = step + 1

            # Sample
            chosen = prompts[uniforms.draw_prompts(run.seed, step, len(prompts), rows)]
            noise = uniforms.train_uniforms(run.seed, step, rows, group, task.max_tokens)
            completions = policy.sample(chosen, noise, settings.microbatch)
            mask = completion_mask(completions, task.end)
            course.tokens += int(mask.sum())

            # Reward
            rewards = in_groups(task.reward, chosen, completions)
            reward = float(rewards.mean(dtype=np.float64))
            require_finite(reward=reward)
            if run.arm == "null":
                rewards = uniforms.permute_within_groups(run.seed, step, rewards)

            # Advantage
            advantages = group_advantages(rewards, settings.advantage_clip)

            # Loss
            kl_coef = schedules.kl_coefficient(step, settings.kl_coef, settings.kl_warmup_steps)
            measured = policy.gradient(chosen, completions, mask, advantages, kl_coef)
            loss, penalty, entropy, grad_norm = measured
            kl = penalty if kl_coef else None
            require_finite(loss=loss, gradient_norm=grad_norm)

            # Update
            learning_rate = schedules.learning_rate(
                settings.lr_schedule,
                step,
                run.steps,
                peak=settings.learning_rate,
                warmup=settings.warmup_steps,
            )
            policy.update(learning_rate)
            drawn = fingerprint(completions)
            course.trace.append(
                StepTrace(now, learning_rate, reward, kl, entropy, grad_norm, loss, drawn)
            )

            # Evaluate
            point = None
            if now % run.evaluate_every == 0 or now == run.steps:
                require_finite(norm_of_the_weights=policy.norm())
                point = held_out.evaluate(now)
            course.save()
            notify(Progress("train", now, run.steps, reward, point))
    return course.outcome()


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

    The policy loss of a token is −A·π(token)/π_old(token). The policy that sampled is the one that
    is updated, so the ratio is 1 and only its gradient matters; it needs no clipping either.

    Parameters
    ----------
    logits
        ``[rows, group, tokens, vocabulary]`` of the policy.
    completions
        ``[rows, group, tokens]``, what was drawn.
    weights
        ``[rows, group, tokens]``, how much each token counts: 0 after the end of a completion, and
        1 divided by the number of tokens of the whole batch before.
    advantages
        ``[rows, group]``.
    reference
        Logits of the reference policy, shaped as ``logits``; without it KL is 0.
    kl_coef, entropy_coef
        What KL and entropy count for.
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

    def sample(self, prompts: Tokens, noise: uniforms.Uniforms, most: int | None) -> Tokens:
        """Return completions of ``prompts``, at most ``most`` sequences at a time.

        ``prompts`` is ``[rows, prompt tokens]``, ``noise`` and the completions are ``[rows, group,
        tokens]``.
        """
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

    def gradient(
        self,
        prompts: Tokens,
        completions: Tokens,
        mask: npt.NDArray[np.bool_],
        advantages: Scores,
        kl_coef: float,
    ) -> list[float]:
        """Compute the gradient of the loss over all microbatches, its norm clipped.

        The loss is the mean over all unmasked tokens of policy loss + kl_coef·KL −
        entropy_coef·entropy.

        Parameters
        ----------
        prompts
            ``[rows, prompt tokens]``.
        completions, mask
            ``[rows, group, tokens]``.
        advantages
            ``[rows, group]``.
        kl_coef
            Where it is 0 the reference policy is not computed.

        Returns
        -------
        list of float
            Loss, KL (0 where it is not computed), entropy, and the gradient's norm before clipping.
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
