"""Rewards of a task of text: declared, checked, and given to completions."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UsageError, nearest
from harness.records import file_digest, is_number
from harness.text import listed, plural
from harness.training.references import load
from harness.training.text.reward_functions import Answer, Function
from harness.training.text.scoring import (
    GRADING_VERSION,
    PATTERN,
    RULES,
    has_answer,
    matches,
    right_answers,
)

TIME_LIMIT = 120.0
"""Seconds that a reward function may take for a call, unless a reward says otherwise."""

LARGEST = 3e38
"""Rewards are kept as numbers of 32 bits."""

_GIVEN = ("prompts", "completions", "answers", "answer", "completion_ids")
"""Arguments that a reward function may have, besides columns."""


@dataclass(frozen=True, slots=True)
class Item:
    """What a completion is graded by: its text and tokens, and the line that asked for it."""

    id: str
    prompt: Any
    answer: Any
    columns: Mapping[str, Any]
    completion: str
    tokens: Sequence[int]

    def __str__(self) -> str:
        return f"prompt {self.id} {shown(self.prompt)!r}"


def shown(prompt: Any) -> str:  # noqa: ANN401
    """Return the first 80 characters of a prompt, of a chat those of its last message."""
    text = prompt if isinstance(prompt, str) else str(prompt[-1].get("content", ""))
    return text[:80]


@dataclass(frozen=True)
class Reward:
    """A named reward of a task, and its weight in the sum that a policy is trained with.

    Parameters
    ----------
    rule
        ``exact``, ``numeric``, ``multiple_choice``, ``final_answer``, ``marked_answer``, ``regex``,
        a reference such as ``rewards.py:short`` or ``package.module:short``, or a function. A
        function is called once for a batch, with those of the arguments ``prompts``,
        ``completions``, ``answers`` and the columns of the lines that it has; each is a list with
        an entry for each completion. It returns as many numbers, and may be async.
    weight
        A finite number. With 0 the reward is measured and not trained with.
    name
        Names it in reports; by default the rule or the function.
    pattern
        A regular expression, for ``regex`` alone.
    arguments
        More arguments of a function, the same in each call.
    messages
        Whether a function gets completions as TRL gives them for chats: a list with a message.
    time_limit
        Seconds that a call of a function may take.
    """

    rule: str | Callable[..., object]
    weight: float = 1.0
    name: str = ""
    pattern: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    messages: bool = False
    time_limit: float = TIME_LIMIT

    def __post_init__(self) -> None:
        if isinstance(self.rule, functools.partial):
            if self.rule.args:
                raise UsageError(
                    f"reward {self.rule!r} has arguments without names; use arguments=…"
                )
            object.__setattr__(self, "arguments", {**self.rule.keywords, **self.arguments})
            object.__setattr__(self, "rule", self.rule.func)
        if not self.name:
            rule = self.rule
            name = rule.rpartition(":")[2] if isinstance(rule, str) else _name(rule)
            object.__setattr__(self, "name", name)
        self._check()

    def _check(self) -> None:
        what = f"reward {self.name!r}"
        rule = self.rule
        if isinstance(rule, type) or not (isinstance(rule, str) or callable(rule)):
            raise UsageError(f"{what}: got {rule!r}; expected a rule's name or a function")
        if isinstance(rule, str) and ":" not in rule and rule not in (*RULES, PATTERN):
            known = (*RULES, PATTERN)
            raise UsageError(
                f"reward {rule!r} is not one of {', '.join(known)}, nor file.py:function or "
                f"module:function{nearest(rule, known)}"
            )
        if not isinstance(self.name, str) or not self.name.isprintable():
            raise UsageError(f"{what}: the name is no printable text")
        if not is_number(self.weight) or not math.isfinite(self.weight):
            raise UsageError(f"{what}: weight {self.weight!r}; expected a number")
        if not is_number(self.time_limit) or not 0 < self.time_limit < math.inf:
            raise UsageError(f"{what}: time_limit {self.time_limit!r}; expected seconds above 0")
        if not isinstance(self.messages, bool):
            raise UsageError(f"{what}: messages {self.messages!r}; expected true or false")
        if not isinstance(self.arguments, Mapping):
            raise UsageError(f"{what}: arguments {self.arguments!r}; expected names with values")
        if self.pattern is not None:
            if rule != PATTERN:
                raise UsageError(f"{what} has a pattern; only the rule {PATTERN!r} takes one")
            compiled(self.pattern, what)
        if self.arguments and (rule in RULES or rule == PATTERN):
            raise UsageError(f"{what} has arguments; only a function takes them")

    def found(self, folder: Path) -> Reward:
        """Return the reward with its function loaded, if it is a reference, from ``folder``."""
        rule = self.rule
        if not isinstance(rule, str) or ":" not in rule:
            return self
        function = load(rule, "reward", folder)
        if not callable(function) or isinstance(function, type):
            raise UsageError(
                f"reward '{rule}': expected a function, but it is of type {type(function).__name__}"
            )
        return replace(self, rule=function)

    @property
    def function(self) -> Callable[..., object] | None:
        """The function that gives it; None for one of the rules."""
        return None if isinstance(self.rule, str) else self.rule

    @property
    def identity(self) -> list[object]:
        """What tells it from other rewards: rule, weight, and the content of its source file."""
        function = self.function
        settings = [self.name, self.weight, self.pattern, dict(self.arguments), self.messages]
        if function is None:
            return [self.rule, GRADING_VERSION, *settings]
        return [_name(function), _source(function, self.name), *settings]

    @property
    def file(self) -> Path | None:
        """The source file of its function, if it has one."""
        return None if self.function is None else _file(self.function)


def compiled(pattern: object, what: str) -> None:
    """Check that ``pattern`` is a regular expression; ``what`` begins the message."""
    try:
        if not isinstance(pattern, str):
            raise UsageError(f"{what}: pattern {pattern!r}; expected text")
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"{what}: {pattern!r} is not a regular expression: {error}") from None


def _name(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _file(function: Callable[..., object]) -> Path | None:
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        return None
    return Path(file) if file is not None and Path(file).is_file() else None


def _source(function: Callable[..., object], name: str) -> str:
    file = _file(function)
    if file is not None:
        return file_digest(file)
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        raise UsageError(
            f"reward {name!r} has no source that it could be known by; give a function that is "
            "defined in a file"
        ) from None


def declared(given: object, what: str, folder: Path) -> tuple[Reward, ...]:
    """Return the rewards that ``given`` declares, as `TextTask.read` describes them.

    References start from ``folder``, and ``what`` begins the message of each error.
    """
    try:
        if isinstance(given, Mapping) and "rule" not in given:
            found = [_one(name, weight=weight) for name, weight in given.items()]
        elif isinstance(given, list | tuple):
            found = [_one(one) for one in given]
        else:
            found = [_one(given)]
        found = [one.found(folder) for one in found]
    except UsageError as error:
        raise UsageError(f"{what}: {error}") from error
    if not found:
        raise UsageError(f"{what}: no rewards; name one, such as 'exact'")
    names = [reward.name for reward in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{what}: two rewards are called {name!r}; give one another name")
    return tuple(found)


def _one(given: object, **weighted: Any) -> Reward:  # noqa: ANN401
    if isinstance(given, Reward):
        return replace(given, **weighted)
    if isinstance(given, Mapping):
        known = list(Reward.__dataclass_fields__)
        for name in given:
            if name not in known:
                raise UsageError(
                    f"a reward has no setting {name!r}; it has {', '.join(known)}"
                    f"{nearest(name, known)}"
                )
        if "rule" not in given:
            raise UsageError(f"the reward {dict(given)} has no 'rule'; expected one, such as exact")
        return Reward(**given)
    if isinstance(given, str) or callable(given):
        return Reward(given, **weighted)
    raise UsageError(f"the reward {given!r}; expected a rule's name, a function, or settings")


# ---- giving --------------------------------------------------------------------------------------


class Grader:
    """Gives one reward to completions; the next call of a function is in the same process."""

    def __init__(self, reward: Reward) -> None:
        self.reward = reward
        self._rule = RULES.get(reward.rule) if isinstance(reward.rule, str) else None

    @cached_property
    def _function(self) -> Function:
        return Function(self.reward.function or matches, self.reward.time_limit)

    def check(self, items: Sequence[Item], places: Sequence[str]) -> None:
        """Check that the lines have what the reward needs; ``places`` say where they stand."""
        name = self.reward.name
        needs = self._rule is not None or self._needs_answers
        for item, place in zip(items, places, strict=True):
            if needs and item.answer is None:
                raise UsageError(f"{place}: no 'answer', which the reward {name!r} needs")
            if self._rule is None and self.reward.rule != PATTERN:
                continue
            rights = right_answers(item.answer)
            if rights is None and item.answer is not None:
                raise UsageError(
                    f"{place}: the answer {item.answer!r} is none that the reward {name!r} can "
                    "read; expected text, a number, or a list of right answers"
                )
            for right in rights or ():
                if self._rule is not None and not self._rule.reads(right):
                    raise UsageError(
                        f"{place}: the answer {right!r} is not {self._rule.expected}, which the "
                        f"reward {name!r} needs"
                    )
                if self.reward.rule == PATTERN and self.reward.pattern is None:
                    compiled(right, f"{place}: the answer")
        if self.reward.function is not None:
            self._check_arguments(items, places)

    @property
    def _needs_answers(self) -> bool:
        reward = self.reward
        if reward.rule == PATTERN:
            return reward.pattern is None or has_answer(reward.pattern)
        parameters = self._parameters
        return any(
            name in parameters and parameters[name].default is inspect.Parameter.empty
            for name in ("answers", "answer")
        )

    @cached_property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        assert self.reward.function is not None
        return inspect.signature(self.reward.function).parameters

    def _check_arguments(self, items: Sequence[Item], places: Sequence[str]) -> None:
        reward, given = self.reward, {*_GIVEN, *self.reward.arguments}
        columns = {name for item in items for name in item.columns}
        for name, parameter in self._parameters.items():
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            if parameter.kind is parameter.POSITIONAL_ONLY:
                raise UsageError(f"reward {reward.name!r} takes {name!r} without its name")
            if name in given or parameter.default is not parameter.empty:
                continue
            known = sorted({*given, *columns} - {"answer", "completion_ids"})
            for item, place in zip(items, places, strict=True):
                if name not in item.columns:
                    raise UsageError(
                        f"{place}: the reward {reward.name!r} takes {name!r}, and the line has no "
                        f"such field; it may take {listed(known)}{nearest(name, known)}"
                    )
        if "completions" not in self._parameters and not self._takes_all:
            raise UsageError(f"reward {reward.name!r} takes no 'completions': it could grade none")
        for name in reward.arguments:
            if name not in self._parameters and not self._takes_all:
                raise UsageError(f"reward {reward.name!r} takes no {name!r}, which it is given")

    @property
    def _takes_all(self) -> bool:
        return any(p.kind is p.VAR_KEYWORD for p in self._parameters.values())

    def begin(self, items: Sequence[Item]) -> Callable[[], list[float]]:
        """Begin to grade; the function that is returned waits for the rewards, one an item.

        That raises `HarnessError` with the reward's name and a prompt where the function raises,
        takes too long, or returns what is not a finite number for each completion.
        """
        if self._rule is not None:
            graded = [self._grade(item) for item in items]
            return lambda: graded
        if not items:
            return list
        arguments = self._arguments(items)
        constant = self._constant
        wait = self._function.begin(arguments | constant)
        return lambda: self._checked(wait(), items, arguments)

    def close(self) -> None:
        """End the process of its function, if it has one."""
        if self._rule is None:
            self._function.close()

    def _grade(self, item: Item) -> float:
        assert self._rule is not None
        rights = right_answers(item.answer) or ()
        return float(any(self._rule.is_right(item.completion, right) for right in rights))

    @property
    def _constant(self) -> dict[str, Any]:
        if self.reward.function is None:
            return {"pattern": self.reward.pattern}
        return dict(self.reward.arguments)

    def _arguments(self, items: Sequence[Item]) -> dict[str, list[Any]]:
        answers = [item.answer for item in items]
        completions: list[Any] = [item.completion for item in items]
        if self.reward.function is None:
            return {"completions": completions, "answers": answers}
        if self.reward.messages:
            completions = [[{"role": "assistant", "content": text}] for text in completions]
        prompts = [_sent(item.prompt) for item in items]
        columns = sorted({name for item in items for name in item.columns})
        given = {name: [item.columns.get(name) for item in items] for name in columns}
        given |= {"prompts": prompts, "completions": completions, "answers": answers}
        given |= {"answer": answers, "completion_ids": [list(item.tokens) for item in items]}
        if self._takes_all:
            return given
        return {name: given[name] for name in self._parameters if name in given}

    def _checked(
        self, answer: Answer, items: Sequence[Item], arguments: Mapping[str, Sequence[Any]]
    ) -> list[float]:
        reward = self.reward
        what, of = f"reward {reward.name!r}", f"the first of them to {items[0]}"
        many = plural(len(items), "completion")
        match answer.kind:
            case "raised":
                at = self._culprit(items, arguments)
                place = f"{many}, {of}" if at is None else f"a completion to {items[at]}"
                raise HarnessError(f"{what} raised {answer.text} for {place}")
            case "hung":
                raise HarnessError(
                    f"{what} took longer than its time limit of {reward.time_limit:g} s for {many},"
                    f" {of}; give it a longer time_limit, or end what it waits for"
                )
            case "ended":
                raise HarnessError(f"{what} ended its process with {answer.text} for {many}, {of}")
            case "not imported":
                raise HarnessError(f"{what} cannot be imported in a process: {answer.text}")
            case "returned":
                raise HarnessError(
                    f"{what} returned {answer.text} for {many}, {of}; expected a list with a "
                    "number for each"
                )
        if len(answer.rewards) != len(items):
            raise HarnessError(
                f"{what} returned {plural(len(answer.rewards), 'reward')} for {many}, {of}; "
                "expected one for each"
            )
        found = []
        for one, item in zip(answer.rewards, items, strict=True):
            if isinstance(one, str) or not abs(one) < LARGEST:
                raise HarnessError(
                    f"{what} gave {one} for a completion to {item}; expected a finite number"
                )
            found.append(float(one))
        return found

    def _culprit(self, items: Sequence[Item], arguments: Mapping[str, Sequence[Any]]) -> int | None:
        function = self._function
        constant = self._constant
        return function.culprit(arguments, len(items), constant) if len(items) > 1 else 0


def _sent(prompt: Any) -> Any:  # noqa: ANN401
    return prompt if isinstance(prompt, str) else [dict(message) for message in prompt]
