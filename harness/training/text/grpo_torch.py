"""GRPO in Torch on a causal language model of transformers, whole or by adapters (LoRA).

`harness.training.grpo_torch` says which GRPO this is, and `harness.training.course` trains it: the
loop and the loss are the same. What differs is the policy: a `model_torch.LanguageModel`, which
computes a prompt once for all of its completions, in generation and in training.

Logits over a large vocabulary are computed for a part of the tokens at a time, and their gradient
at once, from its formula (`loss_torch`): so no array of all tokens and the whole vocabulary is ever
made, and nothing is computed twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.errors import UsageError
from harness.protocols import Notify
from harness.records import Job, Outcome
from harness.training.checkpoints import Arrays
from harness.training.device_torch import (
    PRECISIONS,
    describe,
    open_device,
    out_of_memory,
    peak_bytes,
)
from harness.training.grpo import (
    ADAM_BETAS,
    ADAM_EPSILON,
    Batch,
    Diverged,
    microbatches,
    require_finite,
)
from harness.training.settings import GRPOSettings
from harness.training.tasks import Scores, Tokens
from harness.training.text import training
from harness.training.text.heap import freed_memory_kept
from harness.training.text.loading_torch import Module, convert, load
from harness.training.text.loss_torch import loss_and_gradient
from harness.training.text.model_files import ModelFiles
from harness.training.text.model_torch import LanguageModel
from harness.training.text.products_torch import reordered, use_onednn
from harness.training.text.sampling_torch import draw
from harness.training.text.tokenised import TokenisedTask
from harness.training.uniforms import Uniforms

SEQUENCES = 64
"""The most completions that are drawn at once in an evaluation, and on a CPU in training too.

More are no faster there, and the keys and values of 64 with 150 tokens take 0.4 GB at 135 million
parameters.
"""

LOGITS = 256
"""The most tokens whose logits are computed at once in training."""


REORDERED = 12
"""With so many passes for next tokens, or more, it is worth while to reorder the weights first."""


def train(job: Job, notify: Notify) -> Outcome:
    """Train ``job``'s run on a language model (see `course.train`), as a `protocols.Trainer`.

    Also raises `BackendError` if the device is not here, and `MemoryError` if it or the host runs
    out of memory.
    """
    import transformers

    device = open_device(job.conditions.device)
    dtype = PRECISIONS[job.conditions.precision]

    def policy(task: TokenisedTask, files: ModelFiles, settings: GRPOSettings) -> Policy:
        def start() -> Module:
            return load(files, settings, seed=job.run.seed)

        return Policy(task, start(), settings, device, dtype, start=start)

    with out_of_memory(), freed_memory_kept() if device.type == "cpu" else nullcontext():
        return training.train(
            job,
            notify,
            policy,
            device=describe(device),
            library=f"torch {torch.__version__}, transformers {transformers.__version__}",
            peak=lambda: peak_bytes(device),
        )


class Policy:
    """The model being trained, the reference that it started from, and its optimiser.

    The forward pass computes in ``dtype``. The weights being trained are kept in float32, and so
    are their gradients: in bfloat16 steps as small as those of fine-tuning would be rounded away.
    """

    def __init__(
        self,
        task: TokenisedTask,
        module: Module,
        settings: GRPOSettings,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        start: Callable[[], Module] | None = None,
    ) -> None:
        """Send the model to the device; ``start`` loads it again as it is now, for `moved`."""
        self.task = task
        self.settings = settings
        self.device = device
        in_half, adapted = dtype is not torch.float32, bool(settings.lora_rank)
        if in_half and adapted:  # before it takes the device's memory
            convert(module, dtype, keep=True)
        module = module.to(device)
        if in_half and not adapted:
            trained = [one for one in module.parameters() if one.requires_grad]
            kept = [one.detach().clone() for one in trained]
            convert(module, dtype, keep=False)
        # Where the model computes in float32, or adapters alone are trained, they are the same.
        self._live = [one for one in module.parameters() if one.requires_grad]
        same = self._live[0].dtype is torch.float32
        self.weights: list[Tensor] = [*self._live] if same else kept
        if not same:
            for weight, live in zip(self.weights, self._live, strict=True):
                live.register_post_accumulate_grad_hook(_add_to(weight))
        use_onednn(module)
        self.model = LanguageModel(module, task, settings, device)
        self.tokens = training.tokens_of_a_pass(
            settings,
            self.model.features,
            number_bytes=dtype.itemsize,
            on_host=device.type == "cpu",
        )
        # Only a penalty compares with the weights at the start: without one no copy is kept.
        copied = settings.kl_coef and not settings.lora_rank
        self._reference = self.model.copy() if copied else None
        # Adapters are small. Of a whole model no copy is kept for `moved`: it is loaded again.
        self._began = [one.detach().clone() for one in self._live] if settings.lora_rank else []
        self._start = start
        self.optimizer = torch.optim.AdamW(
            self.weights,
            lr=settings.learning_rate,
            betas=ADAM_BETAS,
            eps=ADAM_EPSILON,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        lacking = torch.ones(self.model.vocabulary, dtype=torch.bool)
        lacking[torch.from_numpy(task.known[task.known < len(lacking)])] = False
        self._lacking = lacking.nonzero().flatten().to(device)

    # ---- sampling -------------------------------------------------------------------------------

    def sample(self, prompts: Tokens, noise: Uniforms) -> Tokens:
        """Return completions of ``prompts`` in training."""
        settings = self.settings
        together = SEQUENCES if self.device.type == "cpu" else prompts.shape[0] * noise.shape[1]
        most = settings.microbatch or together
        return self._sample(prompts, noise, most, settings.temperature, settings.top_p)

    def sample_held_out(self, prompts: Tokens, noise: Uniforms) -> Tokens:
        """Return completions of ``prompts`` in an evaluation, in batches that are always the same.

        Logits depend on the shape of their batch, in the last bits.
        """
        order = np.array(
            sorted(range(len(prompts)), key=lambda at: len(self.task.tokens[prompts[at, 0]]))
        )
        task = self.task
        completions = np.empty(noise.shape, dtype=np.int64)
        completions[order] = self._sample(
            prompts[order], noise[order], SEQUENCES, task.temperature, task.top_p
        )
        return completions

    @torch.no_grad()
    def _sample(
        self, prompts: Tokens, noise: Uniforms, most: int, temperature: float, top_p: float
    ) -> Tokens:
        self.model.trains(False)
        completions = np.full(noise.shape, self.task.ends[0], dtype=np.int64)
        parts = [*microbatches(noise.shape[0], noise.shape[1], most)]
        # A second copy of all weights has the room of their gradients, of which there are none now.
        many = len(parts) * noise.shape[-1] >= REORDERED and not self.settings.lora_rank
        largest = noise[parts[0]].shape
        with reordered(self.model.module, math.prod(largest[:2])) if many else nullcontext():
            for rows, group in parts:
                part = noise[rows, group]
                drawn = self._generate(prompts[rows, 0], part, temperature, top_p)
                completions[rows, group, : drawn.shape[-1]] = drawn
        return completions

    def _generate(
        self, rows: npt.NDArray[np.int64], noise: Uniforms, temperature: float, top_p: float
    ) -> Tokens:
        """Return completions ``[rows, group, tokens]``, up to the last that has not ended."""
        count, group, length = noise.shape
        uniforms = torch.from_numpy(noise.reshape(count * group, length)).to(self.device)
        ends = torch.tensor(self.task.ends, device=self.device)
        ended = torch.zeros(count * group, dtype=torch.bool, device=self.device)
        broken = torch.zeros((), dtype=torch.bool, device=self.device)
        columns: list[Tensor] = []
        for step, logits in enumerate(self.model.continued(rows, group, length, columns)):
            broken |= ~logits.amax(dim=-1).isfinite().all()
            allowed = logits if temperature == 1.0 else logits / temperature
            allowed.index_fill_(1, self._lacking, -torch.inf)
            drawn = draw(most_probable(allowed, top_p), uniforms[:, step])
            columns.append(torch.where(ended, ends[0], drawn))
            ended |= torch.isin(drawn, ends)
            if ended.all():
                break
        if broken:
            raise Diverged("the logits of the model are not finite")
        host: Tokens = torch.stack(columns, dim=1).view(count, group, -1).cpu().numpy()
        return host

    # ---- learning -------------------------------------------------------------------------------

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
        self.model.trains(True)
        share = mask / np.float32(mask.sum())
        sums = torch.zeros(3, device=self.device)
        rows, group, _ = completions.shape
        for part in microbatches(rows, group, self._most(prompts, mask)):
            length = max(1, int(mask[part].sum(axis=-1).max()))
            tokens = self._send(completions[part])[..., :length]
            counted = self._send(mask[part])[..., :length].flatten(0, 1)
            hidden = self.model.hidden(prompts[part[0], 0], tokens)[counted]
            reference = None
            if kl_coef:
                with torch.no_grad(), self._as_reference() as model:
                    reference = model.hidden(prompts[part[0], 0], tokens)[counted]
            each = self._send(advantages[part]).flatten()[:, None].expand(counted.shape)[counted]
            weights = self._send(share[part])[..., :length].flatten(0, 1)[counted]
            drawn = tokens.flatten(0, 1)[counted]
            sums += self._backward(
                hidden, drawn, weights, each, reference=reference, kl_coef=kl_coef
            )
        self.model.trains(False)
        norm = torch.nn.utils.clip_grad_norm_(self.weights, self.settings.max_grad_norm)
        measured: list[float] = torch.cat([sums, norm[None].to(sums)]).tolist()
        return measured

    def _most(self, prompts: Tokens, mask: npt.NDArray[np.bool_]) -> int:
        """Return the most completions of one forward and backward pass."""
        rows, group, _ = mask.shape
        longest = max(len(self.task.tokens[row]) for row in prompts[:, 0])
        written = int(mask.sum(axis=-1).max())
        once = self.model.way(longest, group, written) != "plain"
        return training.completions_of_a_pass(
            rows,
            group,
            most=self.settings.microbatch,
            tokens=self.tokens,
            read=longest if once else 0,
            written=written if once else longest + written,
        )

    def _backward(
        self,
        hidden: Tensor,
        drawn: Tensor,
        weights: Tensor,
        advantages: Tensor,
        *,
        reference: Tensor | None,
        kl_coef: float,
    ) -> Tensor:
        """Add the gradient of tokens ``[n]`` with ``hidden`` ``[n, width]``; return the sums.

        The head's part is computed for `LOGITS` tokens at a time, down to the hidden states; then
        the rest of the model's, once.
        """
        leaf = hidden.detach().requires_grad_()
        sums = torch.zeros(3, device=self.device)
        for start in range(0, len(drawn), LOGITS):
            now = slice(start, start + LOGITS)
            compared = None
            if reference is not None:
                with torch.no_grad(), self._as_reference() as model:
                    compared = model.logits(reference[now])
            logits = self.model.logits(leaf[now])
            found, gradient = loss_and_gradient(
                logits.detach(),
                drawn[now],
                weights[now],
                advantages[now],
                reference=compared,
                kl_coef=kl_coef,
                entropy_coef=self.settings.entropy_coef,
                temperature=self.settings.temperature,
            )
            torch.autograd.backward(logits, gradient)
            sums += found
        torch.autograd.backward(hidden, leaf.grad)
        return sums

    @contextmanager
    def _as_reference(self) -> Iterator[LanguageModel]:
        """Give the model as it was before the first step."""
        if self._reference is not None:
            yield self._reference
        else:
            with self.model.without_adapters() as model:
                yield model

    def update(self, learning_rate: float) -> None:
        """Take a step of AdamW along the gradient, which is dropped."""
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._show()

    @torch.no_grad()
    def _show(self) -> None:
        """Give the forward pass the weights as they are now, in its own precision."""
        for weight, live in zip(self.weights, self._live, strict=True):
            if weight is not live:
                live.copy_(weight)

    # ---- what is kept ---------------------------------------------------------------------------

    def norm(self) -> float:
        """Return the Euclidean norm of all weights that are trained."""
        return float(torch.stack([weight.detach().norm() for weight in self.weights]).norm())

    @torch.no_grad()
    def moved(self) -> float | None:
        """Return the share of trained weights that have changed; see `course.Policy.moved`."""
        then: list[Tensor] = self._began
        if not then and self._reference is not None:
            then = list(self._reference.module.parameters())
        elif not then and self._start is not None:
            try:
                then = list(self._start().parameters())
            except UsageError:  # its files are gone, which shall not cost the run
                return None
        if not then:
            return None
        changed = sum(
            int((live != old.to(live)).sum()) for live, old in zip(self._live, then, strict=True)
        )
        return float(changed / sum(live.numel() for live in self._live))

    def state(self) -> Arrays:
        """Return the weights that are trained and AdamW's state, for `restore`."""
        tensors: dict[str, Tensor] = {}
        for index, weight in enumerate(self.weights):
            tensors[f"weights.{index}"] = weight.detach()
            moments: Mapping[str, Tensor] = self.optimizer.state[weight]
            tensors |= {f"adamw.{index}.{name}": moment for name, moment in moments.items()}
        return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}

    @torch.no_grad()
    def restore(self, state: Arrays) -> None:
        """Restore the weights and the optimiser's state that `state` returned, of the same run."""
        moments: dict[int, dict[str, Tensor]] = {}
        for index, weight in enumerate(self.weights):
            weight.copy_(torch.from_numpy(state[f"weights.{index}"]))
            start = f"adamw.{index}."
            moments[index] = {
                name.removeprefix(start): torch.from_numpy(array.copy())
                for name, array in state.items()
                if name.startswith(start)
            }
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": moments})
        self._show()

    def _send(self, array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)


def most_probable(logits: Tensor, top_p: float) -> Tensor:
    """Return ``logits`` ``[..., vocabulary]`` with −∞ for all but the most probable tokens.

    Kept are the fewest whose probabilities together reach ``top_p``, and all as probable as the
    least of them.
    """
    if top_p >= 1.0:
        return logits
    ordered, _ = torch.sort(torch.softmax(logits, dim=-1), dim=-1, descending=True)
    needed = (ordered.cumsum(dim=-1) < top_p).sum(dim=-1, keepdim=True)
    least = ordered.gather(-1, needed.clamp(max=ordered.shape[-1] - 1))
    kept: Tensor = logits.masked_fill(torch.softmax(logits, dim=-1) < least, -torch.inf)
    return kept


def _add_to(weight: Tensor) -> Any:  # noqa: ANN401  Torch's hook
    """Return a hook that adds a parameter's gradient to that of its float32 ``weight``."""

    def hook(live: Tensor) -> None:
        if live.grad is None:
            return
        gradient = live.grad.float()
        weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)
        live.grad = None

    return hook
