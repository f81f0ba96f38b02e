"""Prompts of text: told apart, and training prompts kept apart from the held-out ones."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.errors import UsageError
from harness.text import plural

_QUIET = {"verbose": False}
"""A tokeniser then says nothing of a text that is longer than the model reads: we say it."""

Prompt = str | Sequence[Mapping[str, Any]]
"""A prompt: its text, or the messages of a chat, each with a role and content."""


def normalised(prompt: Prompt) -> str:
    """Return the text that two prompts share if they ask the same.

    Compatibility forms of Unicode, upper and lower case, and white space make no difference. A chat
    is the text of its messages, whoever said them.
    """
    if not isinstance(prompt, str):
        prompt = " ".join(str(message.get("content") or "") for message in prompt)
    return " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())


def overlaps(train: Iterable[Prompt], held_out: Iterable[Prompt]) -> list[tuple[int, int]]:
    """Return which held-out prompts are also among the training prompts, compared as `normalised`.

    Each is a pair of positions, among the training prompts, where it is the first such one, and
    among the held-out prompts.
    """
    known: dict[str, int] = {}
    for number, prompt in enumerate(train):
        known.setdefault(normalised(prompt), number)
    texts = enumerate(map(normalised, held_out))
    return [(known[text], number) for number, text in texts if text in known]


def require_disjoint(train: Iterable[Prompt], held_out: Iterable[Prompt]) -> None:
    """Check that no prompt is both trained on and held out.

    Raises `UsageError` with the number of held-out prompts that are, and the first of them. They
    are compared as `normalised`.
    """
    held_out = list(held_out)
    shared = [normalised(held_out[second]) for _, second in overlaps(train, held_out)]
    if shared:
        first = shared[0] if len(shared[0]) <= 100 else f"{shared[0][:99]}…"
        many = plural(len(shared), "held-out prompt is", "held-out prompts are")
        raise UsageError(
            f"{many} also among the training prompts, such as {first!r}: the score would count "
            "what was memorised; remove them from one of the two"
        )


# A tokeniser and a model are transformers', whose types a type checker need not have installed.
def prompt_tokens(tokenizer: Any, prompt: Prompt, template: Mapping[str, Any]) -> list[int]:  # noqa: ANN401
    """Return the tokens of a prompt: of its text, or of its messages by the chat template.

    ``template`` are further arguments of the tokeniser's ``apply_chat_template``. Raises
    `UsageError` where the tokeniser has no chat template, or there are no tokens.
    """
    if isinstance(prompt, str):
        found = tokenizer(text=prompt, **_QUIET)["input_ids"]
    elif not tokenizer.chat_template and "chat_template" not in template:
        raise UsageError(
            f"the prompt {prompt!r:.100} is a chat, and the tokeniser has no chat template: take a "
            "model that was trained on chats, or write prompts as text"
        )
    else:
        asked: dict[str, Any] = {
            "add_generation_prompt": True,
            "tokenize": True,
            "return_dict": True,
        }
        asked |= {"tokenizer_kwargs": _QUIET, **template}
        found = tokenizer.apply_chat_template(list(prompt), **asked)["input_ids"]
    if not len(found):
        raise UsageError(f"the held-out prompt {prompt!r} has no tokens")
    return [*map(int, found)]


def ends_of(tokenizer: Any, model: Any) -> set[int]:  # noqa: ANN401
    """Return the tokens that end a completion, of the tokeniser and of a model's settings.

    ``model`` is the model, or anything that has its ``generation_config``.
    """
    settings = getattr(model, "generation_config", None)
    theirs = getattr(settings, "eos_token_id", None)
    found = {tokenizer.eos_token_id, *(theirs if isinstance(theirs, list) else [theirs])}
    return found - {None}
