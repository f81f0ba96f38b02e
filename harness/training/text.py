"""Prompts of text: told apart, and training prompts kept apart from the held-out ones."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.errors import UsageError
from harness.text import plural

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


def require_disjoint(train: Iterable[Prompt], held_out: Iterable[Prompt]) -> None:
    """Check that no prompt is both trained on and held out.

    Raises `UsageError` with the number of held-out prompts that are, and the first of them. They
    are compared as `normalised`.
    """
    known = {normalised(prompt) for prompt in train}
    shared = [text for text in map(normalised, held_out) if text in known]
    if shared:
        first = shared[0] if len(shared[0]) <= 100 else f"{shared[0][:99]}…"
        many = plural(len(shared), "held-out prompt is", "held-out prompts are")
        raise UsageError(
            f"{many} also among the training prompts, such as {first!r}: the score would count "
            "what was memorised; remove them from one of the two"
        )
