"""The forward passes of a causal language model of transformers, as training asks for them.

In training a prompt is computed once for all of its completions, in one of two ways. Either a row
holds a prompt and all of its completions, and a four-dimensional mask keeps the completions apart.
Or the keys and values of the prompts are kept, repeated for each group, and gradients flow back
through them: that takes a second pass, but a completion does not attend to the others. Where
neither serves, each completion is computed with its own prompt. `LanguageModel.way` has the rule.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from harness.errors import UsageError
from harness.training.settings import GRPOSettings
from harness.training.text.cache_torch import make_room
from harness.training.text.loading_torch import is_linear
from harness.training.text.tokenised import TokenisedTask

Module: TypeAlias = Any  # transformers' models and caches, which a type checker need not have
Rows: TypeAlias = npt.NDArray[np.int64]
Way = Literal["cached", "packed", "plain"]

TOLERANCE = {torch.float32: 2e-3, torch.bfloat16: 0.2}
"""How far logits may be from those of a plain forward pass, as a share of their spread."""

PASS = 64
"""So many tokens cost as much as a pass has in itself: its weights, and to add their gradients."""

COMPARED = 3
"""The tokens of the completions that are compared when a model is loaded."""


class Padded(NamedTuple):
    """Prompts of equal width: tokens, positions, and the mask of the tokens that are read.

    All are ``[rows, tokens]``. The padding is on the left. Where there is none the mask is None:
    attention is faster without one.
    """

    tokens: Tensor
    positions: Tensor
    mask: Tensor | None

    def repeated(self, group: int) -> Padded:
        """Return each row ``group`` times."""
        mask = None if self.mask is None else self.mask.repeat_interleave(group, dim=0)
        tokens, positions = (
            part.repeat_interleave(group, dim=0) for part in (self.tokens, self.positions)
        )
        return Padded(tokens, positions, mask)


class LanguageModel:
    """The forward passes of a causal model: hidden states for training, logits for sampling."""

    def __init__(
        self, module: Module, task: TokenisedTask, settings: GRPOSettings, device: torch.device
    ) -> None:
        """Take ``module``, which is on ``device``, and find out how it can be computed.

        Raises
        ------
        UsageError
            Where its logits are not those of its head, also scaled or capped as its config says.
        """
        self.module = module
        self.device = device
        self._task = task
        self._inner = module.get_base_model() if settings.lora_rank else module
        self._adapted = bool(settings.lora_rank)
        takes = inspect.signature(type(self._inner).forward).parameters
        self._cache = "cache" if "cache" in takes else "past_key_values"  # its name until lately
        self._checkpoints = settings.gradient_checkpointing
        self._ways: set[Way] = {"plain"}
        self._repeats = True  # the cache of a prompt for its group
        self._finish: Finish = _as_they_are
        self._compare()
        if self._checkpoints:
            with warnings.catch_warnings():  # a new name for it, from transformers 6 on
                warnings.simplefilter("ignore", FutureWarning)
                self._inner.gradient_checkpointing_enable({"use_reentrant": False})
            if self._adapted:
                self._inner.enable_input_require_grads()

    def copy(self) -> LanguageModel:
        """Return a copy with weights of its own, which is not trained."""
        other = copy.copy(self)
        other.module = other._inner = copy.deepcopy(self.module).requires_grad_(False)
        return other

    @contextmanager
    def without_adapters(self) -> Iterator[LanguageModel]:
        """Give the model as it is without its adapters, if it has any."""
        with self.module.disable_adapter() if self._adapted else nullcontext():
            yield self

    def trains(self, training: bool) -> None:
        """Say whether the forward passes to come are those of training or of sampling."""
        self.module.train(training and self._checkpoints)

    # ---- sampling -------------------------------------------------------------------------------

    def padded(self, rows: Rows) -> Padded:
        """Return the prompts of the task's ``rows``, padded on the left."""
        tokens = [self._task.tokens[row] for row in rows]
        longest = max(map(len, tokens))
        padding = min(self._task.ends)
        padded = [[padding] * (longest - len(one)) + [*one] for one in tokens]
        read = [[0] * (longest - len(one)) + [1] * len(one) for one in tokens]
        mask = torch.tensor(read, device=self.device)
        positions = (mask.cumsum(dim=-1) - 1).clamp_(min=0)
        is_padded = any(len(one) < longest for one in tokens)
        return Padded(
            torch.tensor(padded, device=self.device), positions, mask if is_padded else None
        )

    def continued(
        self, rows: Rows, group: int, length: int, drawn: Sequence[Tensor]
    ) -> Iterator[Tensor]:
        """Give the logits ``[rows · group, vocabulary]`` of each next token of the completions.

        There are ``length`` of them, ``group`` of each prompt. When the next is asked for,
        ``drawn`` has the tokens ``[rows · group]`` of all before.
        """
        given = self.padded(rows)
        if not self._repeats:
            given = given.repeated(group)
        cached = None
        for step in range(length):
            read = self._decoder()(
                input_ids=given.tokens,
                attention_mask=given.mask,
                position_ids=given.positions,
                use_cache=True,
                **{self._cache: cached},
            )
            cached, logits = read[self._cache], self.logits(read.last_hidden_state[:, -1])
            if step == 0 and self._repeats:
                cached.batch_repeat_interleave(group)
                logits, given = logits.repeat_interleave(group, dim=0), given.repeated(group)
            if step == 0:
                make_room(cached, length - 1)
            yield logits
            if step + 1 < length:
                tokens = drawn[-1][:, None]
                given = Padded(tokens, given.positions[:, -1:] + 1, _longer(given.mask, tokens))

    # ---- training -------------------------------------------------------------------------------

    @property
    def vocabulary(self) -> int:
        """How many logits a token has."""
        size: int = self._head().weight.shape[0]
        return size

    @property
    def features(self) -> int:
        """How many numbers go into and come out of the linear layers but the head, for a token.

        Those of adapters, which are few, do not count.
        """
        head = self._head()
        return sum(
            sum(one.weight.shape)
            for name, one in self.module.named_modules()
            if is_linear(one) and one is not head and ".lora_" not in name
        )

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits ``[n, vocabulary]`` of ``hidden`` ``[n, width]``, in float32."""
        return self._finish(self._head()(hidden).float())

    def hidden(self, rows: Rows, completions: Tensor) -> Tensor:
        """Return the states that each token of ``completions`` is predicted from.

        ``completions`` is ``[rows, group, tokens]``, the result ``[rows · group, tokens, width]``.
        """
        _, group, length = completions.shape
        longest = max(len(self._task.tokens[row]) for row in rows)
        way = self.way(longest, group, length, rows=len(rows))
        computed = {"cached": self._cached, "packed": self._packed, "plain": self._plain}
        return computed[way](rows, completions)

    def way(self, prompt: int, group: int, length: int, *, rows: int = 1) -> Way:
        """Return how completions are computed: groups of ``length`` tokens after ``prompt``.

        It is the way of the least operations, of those that the model can be computed in. Each
        weight of a layer has two of them for a token, and each feature four for a token and one
        that it attends to. Packed, a token attends to all of its row; a pass more costs as much as
        `PASS` tokens, for all ``rows`` groups together.
        """
        config = self._inner.config.get_text_config()
        a_token = 2 * self._layer_weights() / config.num_hidden_layers
        a_pair = 4 * config.hidden_size
        once = prompt + group * length
        costs: dict[Way, float] = {
            "plain": group * (a_token * (prompt + length) + a_pair * (prompt + length) ** 2),
            "packed": a_token * once + a_pair * once**2,
            "cached": a_token * (once + PASS / rows)
            + a_pair * (prompt**2 + group * length * (prompt + length)),
        }
        return min((way for way in costs if way in self._ways), key=costs.__getitem__)

    def _layer_weights(self) -> int:
        """Return how many weights the matrices of all layers have together."""
        return sum(
            one.numel()
            for module in self._decoder().modules()
            if not isinstance(module, nn.Embedding)
            for one in module.parameters(recurse=False)
            if one.ndim == 2
        )

    def _decoder(self) -> Module:
        return self._inner.get_decoder()

    def _head(self) -> Module:
        return self._inner.get_output_embeddings()

    def _cached(self, rows: Rows, completions: Tensor) -> Tensor:
        """Compute each prompt once, and its completions with its keys and values."""
        _, group, length = completions.shape
        decoder = self._decoder()
        prompts = self.padded(rows)
        read = decoder(
            input_ids=prompts.tokens,
            attention_mask=prompts.mask,
            position_ids=prompts.positions,
            use_cache=True,
        )
        last: Tensor = read.last_hidden_state[:, -1:].repeat_interleave(group, dim=0)
        if length == 1:
            return last
        cached = read[self._cache]
        cached.batch_repeat_interleave(group)
        given = completions.flatten(0, 1)[:, :-1]
        prompts = prompts.repeated(group)
        after = decoder(
            input_ids=given,
            attention_mask=_longer(prompts.mask, given),
            position_ids=self._after(prompts.positions, length - 1),
            use_cache=True,
            **{self._cache: cached},
        )
        return torch.cat([last, after.last_hidden_state], dim=1)

    def _packed(self, rows: Rows, completions: Tensor) -> Tensor:
        """Compute each prompt and all of its completions in one row, with a mask between them."""
        _, group, length = completions.shape
        tokens, positions, mask = self.padded(rows)
        prompt, given = tokens.shape[1], completions[..., :-1].flatten(1)
        whole = torch.cat([tokens, given], dim=1)
        # Of each token its completion's number, of the prompt's −1. Each reads what precedes it in
        # its own completion and the prompt; padding reads itself, so that no row of the mask is
        # empty.
        part = torch.arange(group, device=self.device).repeat_interleave(length - 1)
        part = torch.cat([part.new_full((prompt,), -1), part])
        at = torch.arange(len(part), device=self.device)
        allowed = (part[:, None] == part) | (part == -1)
        allowed = allowed & (at[:, None] >= at)
        read = (
            torch.ones_like(whole)
            if mask is None
            else torch.cat([mask, mask.new_ones(given.shape)], dim=1)
        )
        allowed = allowed & read[:, None].bool() | (at[:, None] == at)
        dtype = next(self._decoder().parameters()).dtype
        closed = torch.zeros(allowed.shape, dtype=dtype, device=self.device)
        closed = closed.masked_fill_(~allowed, torch.finfo(dtype).min)[:, None]
        states: Tensor = self._decoder()(
            input_ids=whole,
            attention_mask=closed,
            position_ids=torch.cat(
                [positions, self._after(positions, length - 1).repeat(1, group)], dim=1
            ),
            use_cache=False,
        ).last_hidden_state
        last = states[:, prompt - 1, None, None].expand(-1, group, -1, -1)
        after = states[:, prompt:].view(len(tokens), group, length - 1, states.shape[-1])
        return torch.cat([last, after], dim=2).flatten(0, 1)

    def _plain(self, rows: Rows, completions: Tensor) -> Tensor:
        """Compute each completion with its prompt."""
        length = completions.shape[2]
        states: Tensor = self._decoder()(
            **self._whole(rows, completions), use_cache=False
        ).last_hidden_state
        return states[:, -length:]

    def _whole(self, rows: Rows, completions: Tensor) -> dict[str, Tensor | None]:
        """Return each completion but its last token after its prompt, as a model takes them."""
        _, group, length = completions.shape
        tokens, positions, mask = self.padded(rows).repeated(group)
        given = completions.flatten(0, 1)[:, :-1]
        return {
            "input_ids": torch.cat([tokens, given], dim=1),
            "attention_mask": _longer(mask, given),
            "position_ids": torch.cat([positions, self._after(positions, length - 1)], dim=1),
        }

    def _after(self, positions: Tensor, length: int) -> Tensor:
        """Return the ``length`` positions after ``positions``."""
        return positions[:, -1:] + torch.arange(1, length + 1, device=self.device)

    # ---- what the model is ----------------------------------------------------------------------

    @torch.no_grad()
    def _compare(self) -> None:
        """Find what the logits are made of, and in which ways a prompt can be computed once.

        Compares with the model's own plain forward pass, on two prompts of unequal length.
        """
        lengths = [len(one) for one in self._task.tokens]
        rows = np.array([int(np.argmin(lengths)), int(np.argmax(lengths))])
        tokens = np.resize(self._task.known, (2, 2, COMPARED))
        completions = torch.from_numpy(tokens).to(self.device)
        # Where a model can be told to, it makes no logits of the prompts.
        takes = inspect.signature(type(self._inner).forward).parameters
        few = {"logits_to_keep": COMPARED} if "logits_to_keep" in takes else {}
        read = self.module(**self._whole(rows, completions), **few)
        plain = read.logits[:, -COMPARED:].float()
        allowed = TOLERANCE[next(self.module.parameters()).dtype] * float(plain.std())

        def agrees(hidden: Tensor) -> bool:
            return bool((self.logits(hidden) - plain).abs().max() <= allowed)

        hidden = self._plain(rows, completions)
        for finish in _finishes(self._inner.config.get_text_config()):
            self._finish = finish
            if agrees(hidden):
                break
        else:
            raise UsageError(
                f"this model ({type(self._inner).__name__}) does more with its logits than its "
                "head, in a way that is not known here: it cannot be trained here"
            )
        self._repeats = agrees(self._cached(rows, completions))
        if self._repeats and not self._checkpoints:  # there is no cache where states are not kept
            self._ways.add("cached")
        if not _has_windows(self._inner.config.get_text_config()):
            with suppress(ValueError, RuntimeError, TypeError, IndexError):  # it takes no such mask
                if agrees(self._packed(rows, completions)):
                    self._ways.add("packed")


def _longer(mask: Tensor | None, given: Tensor) -> Tensor | None:
    """Return the mask of what it is of and then of tokens that are all read."""
    return None if mask is None else torch.cat([mask, mask.new_ones(given.shape)], dim=1)


Finish: TypeAlias = Callable[[Tensor], Tensor]
"""What a model does to the logits of its head."""


def _scaled(factor: float) -> Finish:
    return lambda logits: logits * factor


def _capped(cap: float) -> Finish:
    return lambda logits: torch.tanh(logits / cap) * cap


def _as_they_are(logits: Tensor) -> Tensor:
    return logits


def _finishes(config: Module) -> Iterator[Finish]:
    """Give what a model of ``config`` may do to its logits, by the settings that it has."""
    for name, power in (
        ("logits_scaling", -1),  # Granite
        ("logit_scale", 1),  # Cohere
        ("logits_scaling", 1),  # HyperCLOVA X
        ("lm_head_multiplier", 1),  # Falcon H1
    ):
        if scale := getattr(config, name, None):
            yield _scaled(float(scale) ** power)
    if cap := getattr(config, "final_logit_softcapping", None):  # Gemma
        yield _capped(float(cap))
    yield _as_they_are


def _has_windows(config: Module) -> bool:
    """Return whether some layers read only the tokens of a window, which a full mask overrules."""
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        return True
    window = getattr(config, "sliding_window", None) or getattr(
        config, "attention_chunk_size", None
    )
    return window is not None and getattr(config, "use_sliding_window", True)
