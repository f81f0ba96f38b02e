"""GRPO's settings: read from a config, checked, and scaled to the run's steps. Light to import."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

from harness.errors import UsageError, nearest, unquoted
from harness.records import Job, Value, is_number, is_whole
from harness.training.backends import BACKENDS
from harness.training.schedules import SCHEDULES, scale_steps
from harness.training.tiles import training_tile


class Fits(Protocol):
    """What a config must fit: a task, with its number of training prompts."""

    @property
    def name(self) -> str: ...
    @property
    def training_prompts(self) -> int: ...
    @property
    def is_text(self) -> bool:
        """Whether a language model is trained on it."""
        ...


@dataclass(frozen=True, slots=True)
class GRPOSettings:
    """The parameters of GRPO, named as in a sweep's space.

    ``learning_rate`` is the config's times the task's ``lr_transfer``. ``batch_size`` counts the
    prompts of a step, ``generations`` the completions of a prompt. ``warmup_steps`` and
    ``kl_warmup_steps`` are scaled from the declared steps to the run's. ``microbatch`` is the most
    sequences of one forward and backward pass; None sets no limit.

    The rest is for language models alone. Logits are divided by ``temperature``, in the loss too;
    sampling keeps the fewest tokens whose probabilities reach ``top_p``. A completion has at most
    ``max_tokens`` in training, or what the task says; evaluations are always as the task says.
    ``lora_rank`` 0 trains all weights, more trains adapters of that rank on ``lora_modules`` (all
    linear layers but the head with None), scaled by ``lora_alpha`` / ``lora_rank`` (2 with None).
    ``microbatch_tokens`` are the most tokens of one forward and backward pass, padding included;
    None chooses for the model (see `harness.training.text.training.tokens_of_a_pass`).
    ``gradient_checkpointing`` computes layers again in the backward pass, to save memory.
    """

    learning_rate: float
    batch_size: int
    generations: int
    lr_schedule: str = "constant"
    warmup_steps: int = 0
    entropy_coef: float = 0.0
    kl_coef: float = 0.005
    kl_warmup_steps: int = 20
    advantage_clip: float = 2.0
    max_grad_norm: float = 1.0
    weight_decay: float = 0.0
    microbatch: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    lora_rank: int = 0
    lora_alpha: float | None = None
    lora_modules: str | tuple[str, ...] | None = None
    microbatch_tokens: int | None = None
    gradient_checkpointing: bool = False

    @classmethod
    def from_job(cls, job: Job, task: Fits | None = None) -> GRPOSettings:
        """Return the settings of ``job``; with its ``task``, check that they fit it.

        Raises `UsageError` as `check_config` does.
        """
        run = job.run
        check_config(run.config, task)
        given: dict[str, Any] = dict(run.config)
        settings = cls(**given)
        return replace(
            settings,
            learning_rate=settings.learning_rate * job.conditions.lr_transfer,
            warmup_steps=scale_steps(settings.warmup_steps, run.steps, run.declared_steps),
            kl_warmup_steps=scale_steps(settings.kl_warmup_steps, run.steps, run.declared_steps),
        )


def _number(value: Value) -> float:
    """Return ``value`` if it is a number, else NaN, which is in no range."""
    return float(value) if is_number(value) else math.nan


Expected = tuple[str, Callable[[Value], bool]]
"""A description of the values that are accepted, and a function that tells whether one is."""


def _whole(minimum: int) -> Expected:
    return (
        f"a whole number of at least {minimum}",
        lambda value: is_whole(value) and value >= minimum,
    )


_NOT_NEGATIVE: Expected = (
    "a finite number of at least 0",
    lambda value: 0 <= _number(value) < math.inf,
)
_POSITIVE: Expected = (
    "a finite number above 0",
    lambda value: 0 < _number(value) < math.inf,
)
_at_least_one, _accepts_count = _whole(1)

_EXPECTED: Mapping[str, Expected] = {
    # The placebo arm's learning rate is 0: its runs change nothing.
    "learning_rate": _NOT_NEGATIVE,
    "batch_size": _whole(1),
    "generations": _whole(2),
    "lr_schedule": (f"one of {', '.join(SCHEDULES)}", lambda value: value in SCHEDULES),
    "warmup_steps": _whole(0),
    "entropy_coef": _NOT_NEGATIVE,
    "kl_coef": _NOT_NEGATIVE,
    "kl_warmup_steps": _whole(0),
    "advantage_clip": _POSITIVE,
    "max_grad_norm": _POSITIVE,
    "weight_decay": _NOT_NEGATIVE,
    "microbatch": (
        f"{_at_least_one}, or None",
        lambda value: value is None or _accepts_count(value),
    ),
}
_EXPECTED_OF_TEXT: Mapping[str, Expected] = {
    "temperature": _POSITIVE,
    "top_p": ("a number above 0 and at most 1", lambda value: 0 < _number(value) <= 1),
    "max_tokens": _EXPECTED["microbatch"],
    "lora_rank": _whole(0),
    "lora_alpha": ("a number above 0, or None", lambda value: value is None or _number(value) > 0),
    "lora_modules": (
        "the names of modules, as ('q_proj', 'v_proj'), or None",
        lambda value: value is None or all(isinstance(one, str) and one for one in _each(value)),
    ),
    "microbatch_tokens": _EXPECTED["microbatch"],
    "gradient_checkpointing": ("True or False", lambda value: isinstance(value, bool)),
}
_ALL = {**_EXPECTED, **_EXPECTED_OF_TEXT}


def _each(value: Value) -> tuple[Value, ...]:
    return value if isinstance(value, tuple) and value else (value,)


_NEEDED = tuple(field.name for field in fields(GRPOSettings))[:3]


def check_config(config: Mapping[str, Value], task: Fits | None = None) -> None:
    """Check the names, types and ranges of the parameters in ``config``, and that ``task`` fits.

    Raises
    ------
    UsageError
        Where GRPO does not know a parameter, lacks one that it needs, or cannot use a value; where
        a parameter is for language models alone, and ``task`` is not for one; or where a step needs
        more prompts than the task has.
    """
    known = _ALL if task is None or task.is_text else _EXPECTED
    for name, value in config.items():
        if name in _EXPECTED_OF_TEXT and name not in known:
            raise UsageError(
                f"parameter {name!r} is for language models: name one by --sweep-model or "
                "Sweep(model=…), or leave the parameter out"
            )
        if name not in known:
            raise UsageError(
                f"parameter {name!r} is not one of GRPO's: {', '.join(known)}{nearest(name, known)}"
            )
        expected, accepts = known[name]
        if not accepts(value):
            raise UsageError(f"{name} is {value!r}; expected {expected}{unquoted(value)}")
    missing = [name for name in _NEEDED if name not in config]
    if missing:
        raise UsageError(f"a config of GRPO needs {', '.join(missing)}; got {', '.join(config)}")
    if task is None:
        return
    batch, available = config["batch_size"], task.training_prompts
    if is_whole(batch) and batch > available:
        raise UsageError(
            f"batch_size is {batch}; expected at most the {available} training prompts of task "
            f"{task.name!r}"
        )


def program(backend: str, config: Mapping[str, Value]) -> str:
    """Return the name of the program that the trainer of ``backend`` compiles for ``config``.

    Runs with the same name share what a worker has compiled, whatever their steps. The name is
    empty if nothing is compiled, as for a sweep's own training function.
    """
    if backend not in BACKENDS or not BACKENDS[backend].compiles:
        return ""
    sizes = ("batch_size", "generations", "microbatch")
    given: dict[str, Any] = {name: config[name] for name in sizes if name in config}
    return training_tile(**given).name
