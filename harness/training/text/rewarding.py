"""Declare the rewards of a task of text, and check them."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import UsageError, nearest
from harness.records import file_digest, is_number
from harness.training.references import load
from harness.training.text.scoring import (
    GRADING_VERSION,
    PATTERN,
    RULES,
)

TIME_LIMIT = 120.0
"""Seconds that a reward function may take for a call, unless a reward says otherwise."""


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
