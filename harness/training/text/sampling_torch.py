"""Sample text from a causal language model of transformers, with noise made on the host."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from harness.errors import UsageError
from harness.text import plural
from harness.training.grpo import Diverged
from harness.training.text.prompts import ends_of, prompt_tokens
from harness.training.uniforms import Uniforms, eval_uniforms

if TYPE_CHECKING:
    from harness.training.run import TrainingRun

Scores = npt.NDArray[np.float64]
# Transformers' types, which a type checker need not have installed.
Model: TypeAlias = Any
Tokenizer: TypeAlias = Any

_NOISE, _WEIGHT = 24, 38
"""Bits of a uniform and of a token's probability. Their product with a sum fits into 63 bits."""


def draw(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Draw a token from each row of ``logits`` ``[..., vocabulary]`` by ``uniforms`` ``[...]``.

    A token is the first whose cumulative probability exceeds the uniform, a multiple of 2⁻²⁴ in
    [0, 1), times the total. Probabilities are rounded down to multiples of 2⁻³⁸. So their sums are
    exact, in whatever order a device adds them, and equal logits give equal tokens. A token whose
    logit is −∞ is never drawn.
    """
    weights = torch.softmax(logits.float(), dim=-1).mul_(2**_WEIGHT).long()
    cumulative = weights.cumsum(dim=-1)
    noise = (uniforms.double() * 2**_NOISE).long().unsqueeze(-1)
    limit = (cumulative[..., -1:] * noise) >> _NOISE  # less than the total
    return torch.searchsorted(cumulative, limit, right=True).squeeze(-1)


@torch.no_grad()
def sample_text(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    uniforms: Uniforms,
    *,
    known: Collection[int],
    ends: Collection[int],
    temperature: float = 1.0,
    rows: int = 64,
) -> list[list[int]]:
    """Draw a completion of each prompt by inverse CDF, as `draw` does.

    Prompts are taken ``rows`` at a time, the shortest first, and padded on the left. Logits depend
    on the shape of a batch, in the last bits: equal arguments give equal batches, and a completion
    that has ended keeps its row. The model is used as it is; see `undisturbed`.

    Parameters
    ----------
    model
        A decoder whose forward pass takes ``input_ids`` and ``attention_mask``, and has a cache.
    prompts
        The tokens of each prompt, at least one.
    uniforms
        ``[prompts, tokens]``: the noise. Its width is the most tokens of a completion.
    known
        The tokens that may be drawn. A model may have more, which its tokeniser lacks.
    ends
        The tokens that end a completion.
    temperature
        What the logits are divided by; above 0.

    Returns
    -------
    list
        The tokens of each completion, with the one that ended it.

    Raises
    ------
    Diverged
        Where logits are not finite numbers; −∞ is allowed.
    """
    completions: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), rows):
        batch = order[start : start + rows]
        drawn = _sample_batch(
            model,
            [prompts[index] for index in batch],
            uniforms[batch],
            known=known,
            ends=ends,
            temperature=temperature,
        )
        for index, tokens in zip(batch, drawn, strict=True):
            completions[index] = tokens
    return completions


def _sample_batch(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    uniforms: Uniforms,
    *,
    known: Collection[int],
    ends: Collection[int],
    temperature: float,
) -> list[list[int]]:
    device = next(model.parameters()).device
    longest = max(map(len, prompts))
    padding = min(known)
    padded = [[padding] * (longest - len(prompt)) + [*prompt] for prompt in prompts]
    read = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    tokens, mask = torch.tensor(padded, device=device), torch.tensor(read, device=device)
    positions = (mask.cumsum(dim=-1) - 1).clamp_(min=0)
    noise = torch.from_numpy(uniforms).to(device)
    end = torch.tensor(sorted(ends), dtype=torch.int64, device=device)
    ended = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    broken = torch.zeros((), dtype=torch.bool, device=device)
    lengths = torch.zeros(len(prompts), dtype=torch.int64, device=device)
    takes = _arguments(model)
    cache = "cache" if "cache" in takes else "past_key_values"  # its name until lately
    lacking, cached, columns = None, None, []
    for step in range(noise.shape[1]):
        given = {"position_ids": positions, "logits_to_keep": 1, cache: cached}
        output: Any = model(
            input_ids=tokens,
            attention_mask=mask,
            use_cache=True,
            **{name: value for name, value in given.items() if name in takes},
        )
        cached, logits = output[cache], output.logits[:, -1].float()
        if lacking is None:
            lacking = _lacking(known, logits.shape[-1], device)
        broken |= ~logits.amax(dim=-1).isfinite().all()
        drawn = draw((logits / temperature).masked_fill(lacking, -torch.inf), noise[:, step])
        columns.append(drawn)
        lengths += ~ended
        ended |= torch.isin(drawn, end)
        if ended.all():
            break
        tokens, positions = drawn.clamp(max=logits.shape[-1] - 1)[:, None], positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
    if broken:
        raise Diverged("the logits of the model are not finite")
    host = torch.stack(columns, dim=1).tolist()
    return [row[:length] for row, length in zip(host, lengths.tolist(), strict=True)]


def _lacking(known: Collection[int], vocabulary: int, device: torch.device) -> Tensor:
    """Return which of a model's tokens are not ``known``, ``[vocabulary]``."""
    lacking = torch.ones(vocabulary, dtype=torch.bool)
    lacking[[token for token in known if token < vocabulary]] = False
    return lacking.to(device)


def _arguments(model: nn.Module) -> Collection[str]:
    """Return the names of the arguments that the model's forward pass takes."""
    within = getattr(model, "get_base_model", None)  # what PEFT wraps
    inner = model if within is None else within()
    return inspect.signature(type(inner).forward).parameters


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put ``model`` into evaluation mode, and leave all as it was afterwards.

    That is the mode of each of its modules, and the random states of Python, NumPy and Torch on the
    CPU and on all GPUs in use. So training goes on as if nothing had been evaluated.
    """
    modes = [(module, module.training) for module in model.modules()]
    python, numpys = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    model.eval()
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        random.setstate(python)
        np.random.set_state(numpys)


# ---- scores of held-out prompts ------------------------------------------------------------------


def sampled_scores(
    run: TrainingRun,
    tokenizer: Tokenizer,
    rows: Sequence[Mapping[str, Any]],
    reward: Callable[..., Any],
    *,
    max_tokens: int,
    samples: int = 4,
    temperature: float = 1.0,
    ends: Collection[int] = (),
    batch_size: int = 64,
    chat_template: Mapping[str, Any] | None = None,
) -> Callable[[nn.Module], Scores]:
    """Return a function that scores a model by its completions of held-out prompts.

    It returns the scores ``[rows, samples]``. Completions are drawn by inverse CDF from uniforms
    that depend on the run's seed, the prompt, the sample and the position, and not on the step. So
    a model that has not changed has exactly the same scores.

    Parameters
    ----------
    run
        The run, for its ``seed``.
    tokenizer
        The model's tokeniser.
    rows
        The held-out data, such as a `datasets.Dataset`: each row is a mapping with a ``prompt``,
        text or the messages of a chat.
    reward
        A reward function as TRL has them, async or not: it is called with ``prompts``,
        ``completions``, ``completion_ids`` and the other columns, all of one length, and returns a
        number for each completion.
    max_tokens
        The most tokens of a completion.
    samples
        How many completions of each prompt.
    temperature
        What the logits are divided by; above 0.
    ends
        The tokens that end a completion. By default those of the tokeniser and of the model's
        generation settings.
    batch_size
        How many completions are drawn at once.
    chat_template
        Further arguments of the tokeniser's ``apply_chat_template``.

    Raises
    ------
    UsageError
        Where an argument cannot be used. When called, where the model has too few positions, or the
        reward function does not return a finite number for each completion.
    """
    rows = list(rows)
    if not rows or "prompt" not in rows[0]:
        has = f"columns {', '.join(rows[0])}" if rows else "no rows"
        raise UsageError(f"held-out data with {has}; expected rows with a column 'prompt'")
    counts = {"max_tokens": max_tokens, "samples": samples, "batch_size": batch_size}
    for name, number in {**counts, "temperature": temperature}.items():
        if not number > 0:
            raise UsageError(f"{name} {number!r}; expected a number above 0")
    tokens = [prompt_tokens(tokenizer, row["prompt"], chat_template or {}) for row in rows]
    every = [row for row in rows for _ in range(samples)]
    columns = {name: [row[name] for row in every] for name in rows[0]}
    noise = eval_uniforms(run.seed, len(rows), samples, max_tokens)
    is_chat = not isinstance(rows[0]["prompt"], str)

    def evaluate(model: nn.Module) -> Scores:
        _require_positions(model, max(map(len, tokens)), max_tokens)
        with undisturbed(model):
            drawn = sample_text(
                model,
                [row for row in tokens for _ in range(samples)],
                noise.reshape(-1, max_tokens),
                known=set(tokenizer.get_vocab().values()),
                ends=set(ends) or ends_of(tokenizer, model),
                temperature=temperature,
                rows=batch_size,
            )
            texts = tokenizer.batch_decode(drawn, skip_special_tokens=True)
            said = [[{"role": "assistant", "content": text}] for text in texts]
            return _rewards(reward, said if is_chat else texts, drawn, columns).reshape(-1, samples)

    return evaluate


def _require_positions(model: Model, prompt: int, completion: int) -> None:
    """Check that the longest prompt with its completion fits into the model."""
    most = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if most is not None and prompt + completion - 1 > most:
        raise UsageError(
            f"a held-out prompt of {prompt} tokens with max_tokens {completion} is longer than the "
            f"{most} positions of the model: shorten one of them"
        )


def _rewards(
    reward: Callable[..., Any],
    completions: Sequence[Any],
    tokens: Sequence[Sequence[int]],
    columns: Mapping[str, Sequence[Any]],
) -> Scores:
    """Return what a reward function says of completions, called as TRL's GRPOTrainer does."""
    others = {name: column for name, column in columns.items() if name != "prompt"}
    found = reward(
        prompts=columns["prompt"],
        completions=completions,
        completion_ids=tokens,
        trainer_state=None,
        log_extra=_ignore,
        log_metric=_ignore,
        **others,
    )
    if inspect.isawaitable(found):
        # In a thread of its own, since this one may be running a loop: a notebook's does.
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(asyncio.run, _result(found)).result()
    found = list(found)
    name = getattr(reward, "__name__", type(reward).__name__)
    if len(found) != len(completions):
        raise UsageError(
            f"the reward function {name} returned {plural(len(found), 'score')} for "
            f"{plural(len(completions), 'held-out completion')}; expected one for each"
        )
    if None in found:
        raise UsageError(
            f"the reward function {name} returned None for a held-out completion of the prompt "
            f"{columns['prompt'][found.index(None)]!r:.80}; a held-out score is a number"
        )
    return np.array(found, dtype=np.float64)


async def _result(found: Awaitable[Iterable[float | None]]) -> Iterable[float | None]:
    return await found


def _ignore(*_: object, **__: object) -> None:
    """Take what a reward function would log in training."""
