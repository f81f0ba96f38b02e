"""Arithmetic to train a language model on: sums that it gets right now and then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from harness.errors import UsageError
from harness.records import is_whole
from harness.training.text.prompts import Prompt
from harness.training.text.rewarding import Reward
from harness.training.text.tasks import Row, Split, TextTask
from harness.training.uniforms import generator

TRAIN = 4096
"""The most prompts to train on."""

_SIGNS = "+-*"
_ENOUGH = 2**16
"""So many possible prompts are listed; of more, some are drawn."""

_DRAWN = 1024
_SHOWN = 2
"""The worked examples of a chat; they are no prompts."""

_SPLITS: tuple[Split, Split] = ("held_out", "train")
_SYSTEM = "You are a calculator."


def arithmetic(
    digits: int = 2,
    terms: int = 2,
    *,
    operations: str = "+",
    held_out: int = 512,
    samples: int = 4,
    chat: bool = True,
    max_tokens: int = 24,
    lr_transfer: float | None = None,
    name: str = "",
) -> TextTask:
    """Make a task of arithmetic: what ``17 + 25`` is, graded as a number.

    Parameters
    ----------
    digits
        Of each term, 1 to 9; terms of one digit begin at 0.
    terms
        Numbers to calculate with, 2 to 9.
    operations
        The signs between them, of ``+``, ``-`` and ``*``; each is as frequent as the others. A
        product counts before a sum, as in school.
    held_out
        Held-out prompts; at most half of all that there are.
    samples
        Completions of each in an evaluation.
    chat
        Whether a prompt is a chat with two worked examples of its own kind, which write out the
        whole sum: a small model that was tuned for chats then replies ``17 + 25 = 42``, and is
        right far more often than where it replies with a number alone. Otherwise it is text:
        ``17 + 25 =``.
    max_tokens
        Of a completion.
    lr_transfer
        Multiplies a sweep's learning rates; with None what `sweep calibrate` has found does.
    name
        By default it says what differs from the defaults.

    Returns
    -------
    TextTask
        It has at most 4,096 other prompts to train on. Equal arguments give equal tasks.

    Raises
    ------
    UsageError
        For an argument out of its range.
    """
    for what, value, low, high in (
        ("digits", digits, 1, 9),
        ("terms", terms, 2, 9),
        ("held_out", held_out, 1, 2**16),
    ):
        if not is_whole(value) or not low <= value <= high:
            raise UsageError(f"arithmetic: {what} {value!r}; expected {low} to {high}")
    if not isinstance(operations, str) or not operations or set(operations) - set(_SIGNS):
        raise UsageError(f"arithmetic: operations {operations!r}; expected some of + - *")
    signs = "".join(sign for sign in _SIGNS if sign in operations)
    every = _sums(digits, terms, signs, held_out + TRAIN + _SHOWN)
    shown = _examples(every, signs)
    sums = [text for text in every if text not in shown]
    most = len(sums) // 2
    if held_out > most:
        raise UsageError(
            f"arithmetic: held_out {held_out}; there are {len(sums)} such prompts, expected at "
            f"most {most}"
        )
    rows = [
        Row(_prompt(text, shown, chat), _value(text), text, None, split, {})
        for number, text in enumerate(sums)
        for split in (_SPLITS[number >= held_out],)
    ]
    return TextTask(
        name=name or f"arithmetic-{digits}x{terms}{signs}",
        rows=tuple(rows),
        rewards=(Reward("numeric"),),
        max_tokens=max_tokens,
        samples=samples,
        lr_transfer=lr_transfer,
    )


def _sums(digits: int, terms: int, signs: str, most: int) -> list[str]:
    """Return different sums in a random order that is always the same: at most ``most``."""
    low, high = (10 ** (digits - 1) if digits > 1 else 0), 10**digits
    every = (high - low) ** terms * len(signs) ** (terms - 1)
    draws = generator(0, f"arithmetic {digits} {terms} {signs}")
    numbers = draws.permutation(every)[:most] if every <= _ENOUGH else None
    found: dict[str, None] = {}
    while numbers is not None or len(found) < most:
        if numbers is None:
            chosen = draws.integers(low, high, size=(_DRAWN, terms)).tolist()
            between = draws.integers(len(signs), size=(_DRAWN, terms - 1)).tolist()
        else:
            chosen, between = _listed(numbers.tolist(), high - low, low, terms, len(signs))
        for values, kinds in zip(chosen, between, strict=True):
            found[_written(values, [signs[kind] for kind in kinds])] = None
        if numbers is not None:
            break
    return [*found][:most]


def _examples(sums: list[str], signs: str) -> list[str]:
    """Return the first of some sums with the first of the signs, and another with the last."""
    first = next(text for text in sums if signs[0] in text)
    return [first, next(text for text in sums if signs[-1] in text and text != first)]


def _listed(
    numbers: list[int], size: int, low: int, terms: int, signs: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Return the terms and the signs of sums by their numbers in the list of all of them."""
    values, kinds = [], []
    for number in numbers:
        rest, own, between = number, [], []
        for _ in range(terms):
            rest, digit = divmod(rest, size)
            own.append(low + digit)
        for _ in range(terms - 1):
            rest, kind = divmod(rest, signs)
            between.append(kind)
        values.append(own)
        kinds.append(between)
    return values, kinds


def _written(values: list[int], signs: list[str]) -> str:
    return "".join([str(values[0]), *(f" {s} {v}" for s, v in zip(signs, values[1:], strict=True))])


def _value(text: str) -> int:
    """Return the value of a sum; products count first."""
    total, product, sign = 0, 1, 1
    for word in text.split():
        if word.isdecimal():
            product *= int(word)
        elif word != "*":
            total, product, sign = total + sign * product, 1, 1 if word == "+" else -1
    return total + sign * product


def _prompt(text: str, shown: list[str], chat: bool) -> Prompt:
    if not chat:
        return f"{text} ="
    messages = [("system", _SYSTEM)]
    for asked in shown:
        messages += [("user", f"What is {asked}?"), ("assistant", f"{asked} = {_value(asked)}")]
    messages.append(("user", f"What is {text}?"))
    return tuple([{"role": role, "content": content} for role, content in messages])


TASKS: Mapping[str, Callable[[], TextTask]] = {
    "arithmetic-1": partial(arithmetic, 1, 2, held_out=32, name="arithmetic-1"),
    "arithmetic-2": partial(arithmetic, 2, 2, name="arithmetic-2"),
    "arithmetic-3": partial(arithmetic, 2, 3, operations="+-", name="arithmetic-3"),
    "arithmetic-4": partial(arithmetic, 3, 2, operations="+-", name="arithmetic-4"),
    "arithmetic-5": partial(arithmetic, 2, 2, operations="*", name="arithmetic-5"),
}
"""The tasks that ship, from easy to hard."""
