"""Reward functions of a user's own, whose rewards say nothing in the arms of useless training."""

from __future__ import annotations

import functools
import inspect
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np

from harness.errors import blamed
from harness.training import useless
from harness.training.uniforms import Integers

Labels = Sequence[Any] | None
Rewarding = TypeVar("Rewarding", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class ArmRewards:
    """Replaces the rewards of a run in the arms of useless training, by a draw for each call.

    ``step`` returns the step at hand. A draw is keyed by the run's ``seed``, the step, and the
    number of the call within the step: it is the same for all functions of a call, and after an
    interruption.
    """

    arm: str
    seed: int
    step: Callable[[], int]

    def of(self, rewards: Any, groups: Integers, call: tuple[int, int]) -> Any:  # noqa: ANN401
        """Return what is learned from in place of ``rewards`` of these ``groups`` [rewards]."""
        if self.arm == "null":
            _check_groups(groups)
            return _taken(rewards, useless.permutation(groups, self.seed, *call))
        if self.arm == "random":
            return _filled(rewards, useless.coins(len(groups), self.seed, *call))
        return rewards


def wrapped(
    function: Rewarding,
    rewarded: ArmRewards,
    group: int | str | None = None,
    training: Callable[[], bool] | None = None,
) -> Rewarding:
    """Return ``function`` with the rewards of the arm; `TrainingRun.rewards` has it.

    Raises `UsageError`, with the user's own line, for what is no function.
    """
    _check(function, group)
    calls = _Calls(rewarded.step)

    def result(rewards: object, call: tuple[int, int] | None, labels: Labels) -> Any:  # noqa: ANN401
        if call is None:
            return rewards
        groups = _groups(function, group, labels, _shape(function, rewards))
        return rewarded.of(rewards, groups, call)

    def begin(args: Any, kwargs: Any) -> tuple[tuple[int, int] | None, Labels]:  # noqa: ANN401
        is_training = training is None or training()
        labels = _argument(function, group, args, kwargs) if isinstance(group, str) else None
        return calls.next() if is_training else None, labels

    async def later(rewards: Awaitable[object], *begun: Any) -> object:  # noqa: ANN401
        return result(await rewards, *begun)

    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  of an object that can be called
    ):

        async def wrapper(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401
            begun = begin(args, kwargs)
            return result(await function(*args, **kwargs), *begun)

    else:

        def wrapper(*args: Any, **kwargs: Any) -> object:  # type: ignore[misc]  # noqa: ANN401
            begun = begin(args, kwargs)
            rewards = function(*args, **kwargs)
            if inspect.isawaitable(rewards):
                return later(rewards, *begun)
            return result(rewards, *begun)

    named = functools.wraps(function)(wrapper)
    named.__name__ = _name(function)
    return cast("Rewarding", named)


class _Calls:
    """Numbers the calls of a function within each step."""

    def __init__(self, step: Callable[[], int]) -> None:
        self._step = step
        self._last = (-1, -1)

    def next(self) -> tuple[int, int]:
        """Return the step at hand and the number of this call in it, from 0."""
        step, (last, number) = self._step(), self._last
        self._last = (step, number + 1 if step == last else 0)
        return self._last


def _check(function: object, group: object) -> None:
    torch = sys.modules.get("torch")
    is_model = torch is not None and isinstance(function, torch.nn.Module)
    if not callable(function) or is_model or isinstance(function, type):
        kind = "a reward model" if is_model or isinstance(function, str) else repr(function)
        raise blamed(
            f"run.rewards: got {kind}; expected a function that returns a reward for each "
            "completion (write one that calls your reward model)"
        )
    if isinstance(group, bool) or not isinstance(group, int | str | None) or group in ("", 0):
        raise blamed(
            f"run.rewards: group={group!r}; expected how many rewards in order are a group, or the "
            "name of an argument that is equal within a group"
        )


def _name(function: Callable[..., object]) -> str:
    inner = function.func if isinstance(function, functools.partial) else function
    return getattr(inner, "__name__", type(inner).__name__)


def _shape(function: Callable[..., object], rewards: Any) -> tuple[int, ...]:  # noqa: ANN401
    """Return the shape of some rewards: ``[completions]``, or ``[groups, completions]``."""
    if isinstance(rewards, list | tuple):
        return (len(rewards),)
    shape = tuple(getattr(rewards, "shape", ()))
    if len(shape) in (1, 2) and hasattr(rewards, "reshape"):  # a series of pandas has none
        return shape
    raise blamed(
        f"run.rewards: {_name(function)} returned {type(rewards).__name__}; expected a list or an "
        "array with a reward for each completion of the batch"
    )


def _groups(
    function: Callable[..., object],
    group: int | str | None,
    labels: Labels,
    shape: tuple[int, ...],
) -> Integers:
    """Return the number of the group of each reward."""
    size = int(np.prod(shape))
    if len(shape) == 2:
        return np.repeat(np.arange(shape[0]), shape[1])
    if group is None:
        return np.zeros(size, dtype=np.int64)
    if isinstance(group, int):
        if size % group:
            raise blamed(
                f"run.rewards: {_name(function)} returned {size} rewards, and group={group} does "
                "not divide them"
            )
        return np.arange(size) // group
    if labels is None or isinstance(labels, str) or len(labels) != size:
        what = "has no such argument" if labels is None else f"got no {size} of them"
        raise blamed(
            f"run.rewards: group={group!r}, but {_name(function)} {what}; expected the name of an "
            "argument with an entry for each reward"
        )
    numbers: defaultdict[str, int] = defaultdict(lambda: len(numbers))
    # Prompts may be lists of messages, which have no hash.
    return np.array([numbers[repr(value)] for value in labels], dtype=np.int64)


def _argument(function: Callable[..., object], name: str, args: Any, kwargs: Any) -> Labels:  # noqa: ANN401
    """Return an argument of a call by its name; None where there is none."""
    found: Labels = kwargs.get(name)
    if found is None and args:
        found = inspect.signature(function).bind(*args, **kwargs).arguments.get(name)
    return found


def _check_groups(groups: Integers) -> None:
    """Check that a permutation within ``groups`` can move a reward at all."""
    if len(np.unique(groups)) == len(groups):
        raise blamed(
            "run.rewards: every group has one reward, so that the arm null would learn as the main "
            "runs do; give the rewards of a batch at once, and group= as they belong together"
        )


def _taken(rewards: Any, order: Integers) -> Any:  # noqa: ANN401
    """Return ``rewards`` in another order, of the type that they are of."""
    if isinstance(rewards, list | tuple):
        return type(rewards)([rewards[at] for at in order])
    return rewards.reshape(-1)[order].reshape(rewards.shape)


def _filled(rewards: Any, values: Integers) -> Any:  # noqa: ANN401
    """Return ``values`` in the place of ``rewards``, None too, of the type that they are of."""
    if isinstance(rewards, list | tuple):
        return type(rewards)(values.astype(np.float64).tolist())
    shaped = values.reshape(rewards.shape)
    if hasattr(rewards, "new_tensor"):  # Torch's, on their own device
        return rewards.new_tensor(shaped)
    if hasattr(rewards, "at"):  # JAX's, which cannot be written into
        return rewards.at[...].set(shaped.astype(rewards.dtype))
    return shaped.astype(rewards.dtype)
