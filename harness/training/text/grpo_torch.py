"""GRPO in Torch on a causal language model of transformers, whole or by adapters (LoRA).

`harness.training.grpo_torch` says which GRPO this is, and `harness.training.course` trains it: the
loop and the loss are the same. What differs is the policy. A prompt is computed once for all of its
completions, in generation and in training: the keys and values of the prompts are repeated for each
group, and gradients flow back through them. Where a model computes something else that way than in
a plain forward pass (it is compared when it is loaded), and with gradient checkpointing, which has
no such cache, each completion is computed with its prompt.

Logits over a large vocabulary are computed for a part of the tokens at a time, and their gradient
at once: so no array of all tokens and the whole vocabulary is ever made, and nothing is computed
twice.
"""

from __future__ import annotations

import copy
import inspect
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from harness.errors import UsageError
from harness.protocols import Notify
from harness.records import Job, Outcome
from harness.training import course
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
    TEXT_TRAINING_VERSION,
    Batch,
    Diverged,
    microbatches,
    require_finite,
)
from harness.training.grpo_torch import grpo_loss
from harness.training.settings import GRPOSettings
from harness.training.tasks import Scores, Tokens
from harness.training.text.model_files import ModelFiles
from harness.training.text.sampling_torch import draw
from harness.training.text.tokenised import TokenisedTask, of_conditions
from harness.training.uniforms import Uniforms, generator

Model: TypeAlias = Any  # transformers', which a type checker need not have installed

EVALUATION_ROWS = 64
"""The most completions that are generated at once in an evaluation."""

LOGITS = 256
"""The most tokens whose logits are computed at once in training."""

TOLERANCE = {torch.float32: 2e-3, torch.bfloat16: 0.2}
"""How far logits may be from those of a plain forward pass, as a share of their spread."""


def train(job: Job, notify: Notify) -> Outcome:
    """Train ``job``'s run on a language model (see `course.train`), as a `protocols.Trainer`.

    Also raises `BackendError` if the device is not here, and `MemoryError` if it or the host runs
    out of memory.
    """
    import transformers

    with out_of_memory():
        began = time.perf_counter()
        device = open_device(job.conditions.device)
        task, files = of_conditions(job.conditions)
        settings = GRPOSettings.from_job(job, task.task)
        model = load(files, settings, seed=job.run.seed)
        dtype = PRECISIONS[job.conditions.precision]
        policy = Policy(
            task,
            model,
            settings,
            device,
            dtype,
            start=lambda: load(files, settings, seed=job.run.seed),
        )
        return course.train(
            job,
            notify,
            task,
            settings,
            policy,
            weights=files.digest,
            training=TEXT_TRAINING_VERSION,
            device=describe(device),
            library=f"torch {torch.__version__}, transformers {transformers.__version__}",
            peak=lambda: peak_bytes(device),
            began=began,
        )


def load(files: ModelFiles, settings: GRPOSettings, *, seed: int) -> Model:
    """Return the model in float32, with adapters where the settings ask for them.

    Nothing is dropped out, also in training. The first factor of each adapter is drawn from the
    run's ``seed``; the second is 0, so that training begins at the model itself.

    Raises
    ------
    UsageError
        Where the model cannot be read, or has no modules of the names that are to be adapted.
    """
    from transformers import AutoModelForCausalLM

    where = {"gguf_file": files.gguf} if files.gguf else {}
    try:
        model: Model = AutoModelForCausalLM.from_pretrained(
            files.folder, dtype=torch.float32, **where
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(f"model {files.name!r} cannot be read: {said:.200}") from None
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0
    model.eval()
    return _adapted(model, settings, seed) if settings.lora_rank else model


def _adapted(model: Model, settings: GRPOSettings, seed: int) -> Model:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise UsageError(
            f"lora_rank is {settings.lora_rank}, and peft is not installed; run: "
            'pip install "pytest-sweep[hf]"'
        ) from None
    modules = settings.lora_modules
    named = [modules] if isinstance(modules, str) else list(modules or ())
    there = sorted(
        {name.rsplit(".", maxsplit=1)[-1] for name, one in model.named_modules() if _is_linear(one)}
    )
    for name in named:
        if name not in there:
            raise UsageError(
                f"lora_modules has {name!r}; the linear layers of this model are {', '.join(there)}"
            )
    alpha = 2 * settings.lora_rank if settings.lora_alpha is None else settings.lora_alpha
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # it is only divided
        lora_dropout=0.0,
        target_modules=named or "all-linear",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():  # peft asks transformers in ways that will go
        warnings.simplefilter("ignore", FutureWarning)
        adapted: Model = get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if ".lora_A." in name:
                draws = generator(seed, f"adapter {name}").standard_normal(parameter.shape)
                scale = parameter.shape[1] ** -0.5
                parameter.copy_(torch.from_numpy(scale * draws))
    adapted.eval()
    return adapted


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


class Policy:
    """The model being trained, the reference that it started from, and its optimiser.

    The forward pass computes in ``dtype``. The weights being trained are kept in float32, and so
    are their gradients: in bfloat16 steps as small as those of fine-tuning would be rounded away.
    """

    def __init__(
        self,
        task: TokenisedTask,
        model: Model,
        settings: GRPOSettings,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        start: Callable[[], Model] | None = None,
    ) -> None:
        """Send the model to the device; ``start`` loads it again as it is now, for `moved`."""
        self.task = task
        self.settings = settings
        self.device = device
        self.model = model.to(device)
        trained = [one for one in model.parameters() if one.requires_grad]
        if dtype is not torch.float32:
            kept = [one.detach().clone() for one in trained]
            _convert(model, dtype, keep=bool(settings.lora_rank))
        # Where the model computes in float32, or adapters alone are trained, they are the same.
        self._live = [one for one in model.parameters() if one.requires_grad]
        same = self._live[0].dtype is torch.float32
        self.weights: list[Tensor] = [*self._live] if same else kept
        if not same:
            for weight, live in zip(self.weights, self._live, strict=True):
                live.register_post_accumulate_grad_hook(_add_to(weight))
        # Adapters are small. Of a whole model no copy is kept for `moved`: it is loaded again.
        self._began = [one.detach().clone() for one in self._live] if settings.lora_rank else []
        self._start = start
        self._reference: Model = None
        if settings.kl_coef and not settings.lora_rank:
            self._reference = copy.deepcopy(model).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.weights,
            lr=settings.learning_rate,
            betas=ADAM_BETAS,
            eps=ADAM_EPSILON,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        takes = inspect.signature(type(self._inner(model)).forward).parameters
        self._cache = "cache" if "cache" in takes else "past_key_values"  # its name until lately
        vocabulary = self._head(model).weight.shape[0]
        lacking = torch.ones(vocabulary, dtype=torch.bool)
        lacking[torch.from_numpy(task.known[task.known < vocabulary])] = False
        self._lacking = lacking.to(device)
        if settings.gradient_checkpointing:
            inner = self._inner(model)
            with warnings.catch_warnings():  # a new name for it, from transformers 6 on
                warnings.simplefilter("ignore", FutureWarning)
                inner.gradient_checkpointing_enable({"use_reentrant": False})
            if settings.lora_rank:
                inner.enable_input_require_grads()
        self.shares_prompts = not settings.gradient_checkpointing and self._agrees()

    # ---- the model ------------------------------------------------------------------------------

    def _inner(self, model: Model) -> Model:
        """Return the causal model, without what wraps it to adapt it."""
        return model.get_base_model() if self.settings.lora_rank else model

    def _head(self, model: Model) -> Model:
        return self._inner(model).get_output_embeddings()

    def _padded(self, rows: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens, mask and positions of the prompts of ``rows``, padded on the left."""
        tokens = [self.task.tokens[row] for row in rows]
        longest = max(map(len, tokens))
        padding = min(self.task.ends)
        padded = [[padding] * (longest - len(one)) + [*one] for one in tokens]
        read = [[0] * (longest - len(one)) + [1] * len(one) for one in tokens]
        mask = torch.tensor(read, device=self.device)
        positions = (mask.cumsum(dim=-1) - 1).clamp_(min=0)
        return torch.tensor(padded, device=self.device), mask, positions

    # ---- sampling -------------------------------------------------------------------------------

    def sample(self, prompts: Tokens, noise: Uniforms) -> Tokens:
        """Return completions of ``prompts`` in training."""
        settings = self.settings
        most = settings.microbatch or prompts.shape[0] * noise.shape[1]
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
            prompts[order], noise[order], EVALUATION_ROWS, task.temperature, task.top_p
        )
        return completions

    @torch.no_grad()
    def _sample(
        self, prompts: Tokens, noise: Uniforms, most: int, temperature: float, top_p: float
    ) -> Tokens:
        self.model.eval()
        completions = np.full(noise.shape, self.task.ends[0], dtype=np.int64)
        for rows, group in microbatches(noise.shape[0], noise.shape[1], most):
            part = noise[rows, group]
            drawn = self._generate(prompts[rows, 0], part, temperature, top_p)
            completions[rows, group, : drawn.shape[-1]] = drawn
        return completions

    def _generate(
        self, rows: npt.NDArray[np.int64], noise: Uniforms, temperature: float, top_p: float
    ) -> Tokens:
        """Return completions ``[rows, group, tokens]``, up to the last that has not ended."""
        count, group, length = noise.shape
        tokens, mask, positions = self._padded(rows)
        uniforms = torch.from_numpy(noise.reshape(count * group, length)).to(self.device)
        ends = torch.tensor(self.task.ends, device=self.device)
        ended = torch.zeros(count * group, dtype=torch.bool, device=self.device)
        broken = torch.zeros((), dtype=torch.bool, device=self.device)
        cached, columns = None, []
        for step in range(length):
            output = self.model(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                use_cache=True,
                logits_to_keep=1,
                **{self._cache: cached},
            )
            cached, logits = output[self._cache], output.logits[:, -1].float()
            if step == 0:
                cached.batch_repeat_interleave(group)
                logits = logits.repeat_interleave(group, dim=0)
                mask = mask.repeat_interleave(group, dim=0)
                positions = positions[:, -1:].repeat_interleave(group, dim=0)
            broken |= ~logits.amax(dim=-1).isfinite().all()
            logits = (logits / temperature).masked_fill(self._lacking, -torch.inf)
            drawn = draw(most_probable(logits, top_p), uniforms[:, step])
            columns.append(torch.where(ended, ends[0], drawn))
            ended |= torch.isin(drawn, ends)
            if ended.all():
                break
            tokens, positions = columns[-1][:, None], positions + 1
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
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
        self.model.train(self.settings.gradient_checkpointing)
        share = mask / np.float32(mask.sum())
        sums = torch.zeros(3, device=self.device)
        rows, group, _ = completions.shape
        for part in microbatches(rows, group, self._most(prompts, completions)):
            length = max(1, int(mask[part].sum(axis=-1).max()))
            tokens = self._send(completions[part])[..., :length]
            counted = self._send(mask[part])[..., :length].flatten(0, 1)
            hidden = self._hidden(self.model, prompts[part[0], 0], tokens)[counted]
            reference = None
            if kl_coef:
                with torch.no_grad(), self._as_reference() as model:
                    reference = self._hidden(model, prompts[part[0], 0], tokens)[counted]
            each = self._send(advantages[part]).flatten()[:, None].expand(counted.shape)[counted]
            weights = self._send(share[part])[..., :length].flatten(0, 1)[counted]
            drawn = tokens.flatten(0, 1)[counted]
            sums += self._backward(
                hidden, drawn, weights, each, reference=reference, kl_coef=kl_coef
            )
        self.model.eval()
        norm = torch.nn.utils.clip_grad_norm_(self.weights, self.settings.max_grad_norm)
        measured: list[float] = torch.cat([sums, norm[None].to(sums)]).tolist()
        return measured

    def _most(self, prompts: Tokens, completions: Tokens) -> int | None:
        """Return the most completions of a microbatch; None where all go at once."""
        limits = [self.settings.microbatch]
        if self.settings.microbatch_tokens is not None:
            longest = max(len(self.task.tokens[row]) for row in prompts[:, 0])
            limits.append(self.settings.microbatch_tokens // (longest + completions.shape[-1]))
        given = [limit for limit in limits if limit is not None]
        return max(1, min(given)) if given else None

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
                    compared = self._logits(model, reference[now])[:, None, None]
            terms = grpo_loss(
                self._logits(self.model, leaf[now])[:, None, None],
                drawn[now, None, None],
                weights[now, None, None],
                advantages[now, None],
                reference=compared,
                kl_coef=kl_coef,
                entropy_coef=self.settings.entropy_coef,
            )
            torch.autograd.backward(terms[0])
            sums += torch.stack(terms).detach()
        torch.autograd.backward(hidden, leaf.grad)
        return sums

    def _logits(self, model: Model, hidden: Tensor) -> Tensor:
        """Return the tempered logits of ``hidden`` ``[n, width]`` in float32."""
        logits: Tensor = self._head(model)(hidden).float()
        return logits / self.settings.temperature

    def _hidden(self, model: Model, rows: npt.NDArray[np.int64], completions: Tensor) -> Tensor:
        """Return the states that each token of ``completions`` is predicted from.

        ``completions`` is ``[rows, group, tokens]``, the result ``[rows · group, tokens, width]``.
        """
        share = getattr(self, "shares_prompts", True)
        return (self._hidden_once if share else self._hidden_plain)(model, rows, completions)

    def _hidden_once(
        self, model: Model, rows: npt.NDArray[np.int64], completions: Tensor
    ) -> Tensor:
        """Compute each prompt once, and its completions with its keys and values."""
        _, group, length = completions.shape
        decoder = self._inner(model).get_decoder()
        tokens, mask, positions = self._padded(rows)
        read = decoder(
            input_ids=tokens, attention_mask=mask, position_ids=positions, use_cache=True
        )
        last: Tensor = read.last_hidden_state[:, -1:].repeat_interleave(group, dim=0)
        if length == 1:
            return last
        cached = read[self._cache]
        cached.batch_repeat_interleave(group)
        given = completions.flatten(0, 1)[:, :-1]
        mask = mask.repeat_interleave(group, dim=0)
        steps = torch.arange(1, length, device=self.device)
        after = decoder(
            input_ids=given,
            attention_mask=torch.cat([mask, mask.new_ones(given.shape)], dim=1),
            position_ids=positions[:, -1:].repeat_interleave(group, dim=0) + steps,
            use_cache=True,
            **{self._cache: cached},
        )
        return torch.cat([last, after.last_hidden_state], dim=1)

    def _hidden_plain(
        self, model: Model, rows: npt.NDArray[np.int64], completions: Tensor
    ) -> Tensor:
        """Compute each completion with its prompt."""
        _, group, length = completions.shape
        tokens, mask, positions = (
            part.repeat_interleave(group, dim=0) for part in self._padded(rows)
        )
        given = completions.flatten(0, 1)[:, :-1]
        steps = torch.arange(1, length, device=self.device)
        read = self._inner(model).get_decoder()(
            input_ids=torch.cat([tokens, given], dim=1),
            attention_mask=torch.cat([mask, mask.new_ones(given.shape)], dim=1),
            position_ids=torch.cat([positions, positions[:, -1:] + steps], dim=1),
            use_cache=False,
        )
        states: Tensor = read.last_hidden_state[:, -length:]
        return states

    @torch.no_grad()
    def _agrees(self) -> bool:
        """Return whether a prompt can be computed once for its group.

        Compares with the model's own plain forward pass, on two prompts of unequal length.

        Raises
        ------
        UsageError
            Where the logits of the head differ from the model's own: it scales or caps them.
        """
        lengths = [len(one) for one in self.task.tokens]
        rows = np.array([int(np.argmin(lengths)), int(np.argmax(lengths))])
        completions = torch.from_numpy(self.task.known[:3]).to(self.device).expand(2, 2, 3)
        tokens, mask, positions = (part.repeat_interleave(2, dim=0) for part in self._padded(rows))
        given = completions.flatten(0, 1)[:, :-1]
        steps = torch.arange(1, 3, device=self.device)
        plain = (
            self.model(
                input_ids=torch.cat([tokens, given], dim=1),
                attention_mask=torch.cat([mask, mask.new_ones(given.shape)], dim=1),
                position_ids=torch.cat([positions, positions[:, -1:] + steps], dim=1),
            )
            .logits[:, -3:]
            .float()
        )
        allowed = TOLERANCE[next(self.model.parameters()).dtype] * float(plain.std())

        def differs(hidden: Tensor) -> bool:
            found = self._head(self.model)(hidden).float()
            return bool((found - plain).abs().max() > allowed)

        if differs(self._hidden_plain(self.model, rows, completions)):
            raise UsageError(
                f"this model ({type(self._inner(self.model)).__name__}) does more with its logits "
                "than its head: it cannot be trained here"
            )
        return not differs(self._hidden_once(self.model, rows, completions))

    @contextmanager
    def _as_reference(self) -> Iterator[Model]:
        """Give the model as it was before the first step."""
        off = self.model.disable_adapter() if self.settings.lora_rank else nullcontext()
        with off:
            yield self._reference or self.model

    def update(self, learning_rate: float) -> None:
        """Take a step of AdamW along the gradient."""
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.step()
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
        """Return the share of trained weights that have changed; see `course.Policy.moved`.

        Where the model is loaded again for this, its gradients give their room.
        """
        then: list[Tensor] = self._began
        if not then and self._reference is not None:
            then = list(self._reference.parameters())
        elif not then and self._start is not None:
            self.optimizer.zero_grad()
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


def _convert(model: Model, dtype: torch.dtype, *, keep: bool) -> None:
    """Convert a model to ``dtype``, but for the weights that are trained where ``keep`` says so."""
    with torch.no_grad():
        for one in model.parameters():
            if not (keep and one.requires_grad):
                one.data = one.data.to(dtype)
        for module in model.modules():
            for name, buffer in module.named_buffers(recurse=False):
                if buffer.is_floating_point() and "inv_freq" not in name:
                    setattr(module, name, buffer.to(dtype))


def _add_to(weight: Tensor) -> Any:  # noqa: ANN401  Torch's hook
    """Return a hook that adds a parameter's gradient to that of its float32 ``weight``."""

    def hook(live: Tensor) -> None:
        if live.grad is None:
            return
        gradient = live.grad.float()
        weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)
        live.grad = None

    return hook
