"""A task of text for one model: its prompts as tokens, its completions as text.

To training a prompt is the number of its row in the task; the policy looks its tokens up here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.errors import UsageError, first_sentence
from harness.records import Conditions
from harness.training.tasks import Graded, Tokens
from harness.training.text.model_files import ModelFiles, locate
from harness.training.text.prompts import ends_of, prompt_tokens
from harness.training.text.tasks import Split, TextTask, load_task

Tokenizer: TypeAlias = Any  # transformers', which a type checker need not have installed


@dataclass(frozen=True)
class TokenisedTask:
    """What training asks of a task (see `harness.training.tasks.GradedTask`), for one tokeniser.

    ``tokens`` are those of each row's prompt, ``ends`` the tokens that end a completion, and
    ``known`` those that may be drawn: a model may have more, which its tokeniser lacks.
    """

    task: TextTask
    tokenizer: Tokenizer
    tokens: tuple[tuple[int, ...], ...]
    ends: tuple[int, ...]

    @property
    def max_tokens(self) -> int:
        """The most tokens of a completion in an evaluation."""
        return self.task.max_tokens

    @property
    def samples(self) -> int:
        """The completions of each held-out prompt in an evaluation."""
        return self.task.samples

    @property
    def temperature(self) -> float:
        """What logits are divided by in an evaluation."""
        return self.task.temperature

    @property
    def top_p(self) -> float:
        """The share of the most probable tokens that an evaluation draws from."""
        return self.task.top_p

    @cached_property
    def known(self) -> npt.NDArray[np.int64]:
        """The tokens that may be drawn, in order."""
        return np.array(sorted(self.tokenizer.get_vocab().values()), dtype=np.int64)

    def prompts(self, split: Literal["train", "held_out"]) -> Tokens:
        """Return the numbers of the rows of ``split``: ``[prompts, 1]``."""
        return self.task.numbers(split)[:, None]

    def names(self, prompts: Tokens) -> tuple[str, ...]:
        """Return the ids of rows ``[n, 1]``."""
        return tuple(self.task.rows[number].id for number in prompts[:, 0])

    def clusters(self, prompts: Tokens) -> tuple[str, ...]:
        """Return the clusters of rows ``[n, 1]``; empty where a row has none."""
        found = [self.task.rows[number].cluster for number in prompts[:, 0]]
        return tuple(one for one in found if one is not None) if None not in found else ()

    def grade(self, prompts: Tokens, completions: Tokens) -> Graded:
        """Grade ``completions`` ``[n, tokens]`` of the rows ``prompts`` ``[n, 1]`` as text."""
        ended = np.isin(completions, self.ends)
        lengths = np.where(ended.any(axis=1), ended.argmax(axis=1) + 1, completions.shape[1])
        drawn = [row[:n].tolist() for row, n in zip(completions, lengths, strict=True)]
        texts = self.tokenizer.batch_decode(drawn, skip_special_tokens=True)
        return self.task.grade(prompts[:, 0].tolist(), texts, drawn)


def tokenised(task: TextTask, files: ModelFiles, *, trained: int = 0) -> TokenisedTask:
    """Return ``task`` for the tokeniser of a model, with all of its prompts as tokens.

    ``trained`` are the most tokens of a completion in training; by default the task's.

    Raises
    ------
    UsageError
        Where the model has no tokeniser, no chat template for a task of chats, or no token that
        ends a completion; or where a prompt has no tokens or, with the longest completion, does not
        fit into the model.
    """
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    where = {"gguf_file": files.gguf} if files.gguf else {}
    try:
        config = AutoConfig.from_pretrained(files.folder, **where)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UsageError(f"model {files.name!r} cannot be read: {first_sentence(error)}") from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(files.folder, **where)
    except Exception as error:  # noqa: BLE001  of whichever library reads such a tokeniser
        raise UsageError(
            f"model {files.name!r} has no tokeniser that can be read ({first_sentence(error)}): "
            f"save one to {files.folder} with save_pretrained"
        ) from None
    try:
        generation = GenerationConfig.from_pretrained(files.folder)
    except OSError:  # not every model has one
        generation = GenerationConfig.from_model_config(config)
    ends = ends_of(tokenizer, _Settings(generation))
    if not ends:
        raise UsageError(
            f"model {files.name!r} has no end token: set eos_token in its tokenizer_config.json, "
            "or eos_token_id in its generation_config.json"
        )
    tokens = tuple(tuple(prompt_tokens(tokenizer, row.prompt, {})) for row in task.rows)
    context = getattr(config, "max_position_embeddings", None)
    if context is not None:
        _check_lengths(task, tokens, context, trained or task.max_tokens, files.name)
    return TokenisedTask(task, tokenizer, tokens, tuple(sorted(ends)))


def _check_lengths(
    task: TextTask, tokens: Sequence[Sequence[int]], context: int, trained: int, model: str
) -> None:
    """Check that each prompt, with the longest completion that follows it, fits into the model."""
    limits: tuple[tuple[Split, int], ...] = (("train", trained), ("held_out", task.max_tokens))
    for split, most in limits:
        rows = task.numbers(split)
        longest = max(rows, key=lambda number: len(tokens[number]), default=None)
        if longest is not None and len(tokens[longest]) + most > context:
            raise UsageError(
                f"task {task.name!r}: prompt {task.rows[longest].id!r} has {len(tokens[longest])} "
                f"tokens, with max_tokens {most} more than the {context} that model {model!r} can "
                "read; shorten one of them"
            )


@dataclass(frozen=True)
class _Settings:
    """The settings of generation, as a model has them."""

    generation_config: object


def of_conditions(conditions: Conditions) -> tuple[TokenisedTask, ModelFiles]:
    """Return the task and the model that a run is trained under, as they were when it was planned.

    Raises `UsageError` where either has changed since, or as `tokenised` does.
    """
    found = locate(conditions.model_source, Path())
    # A model of the hub lies in a folder of another name than its own.
    files = replace(found, name=conditions.model.rpartition("@")[0])
    task = load_task(conditions.task_source, Path())
    for what, now, then in (
        ("model", files.identity, conditions.model),
        ("task", task.version_with(conditions.files), conditions.task_version),
    ):
        if now != then:
            raise UsageError(
                f"{what} {getattr(conditions, what)!r} has changed since this session began: start "
                "it again"
            )
    return tokenised(task, files), files
