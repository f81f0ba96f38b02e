"""Give rewards to completions, by the rules of `scoring` or by functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.errors import HarnessError, UsageError, nearest
from harness.text import listed, plural
from harness.training.text.reward_functions import Answer, Function
from harness.training.text.rewarding import Reward, compiled
from harness.training.text.scoring import PATTERN, RULES, has_answer, matches, right_answers

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
