"""Runs and their results: frozen, picklable values, and the key that identifies a run."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import ItemsView, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, TypeGuard, TypeVar, overload

T = TypeVar("T")
Value = bool | int | float | str | None | tuple["Value", ...]
Status = Literal["completed", "diverged", "failed", "timeout", "oom", "crashed", "interrupted"]

FINAL: frozenset[str] = frozenset({"completed", "diverged"})
"""Statuses that are kept: a run that has one is never trained again."""

MAIN = "main"
"""The arm of the sweep's own runs."""

USELESS: Mapping[str, str] = {
    "null": "rewards permuted",
    "random": "rewards drawn at random",
}
"""The arms of useless training, in which rewards say nothing about the completions, and how."""

CONTROLS = ("placebo", *USELESS, "half")
"""The arms that any sweep may have; the others have the name of the parameter they change."""

CONFIRM = "confirm"
"""The arm of a sweep's leaders and a reference, trained again with fresh seeds."""

IMPORTED = "imported"
"""The backend of stored runs that were trained elsewhere; their keys begin with it."""


class Config(Mapping[str, Value]):
    """One point of a space: an immutable, hashable, picklable mapping of parameter to value."""

    __slots__ = ("_hash", "_items")

    def __init__(self, items: Mapping[str, Value]) -> None:
        self._items = dict(items)
        self._hash: int | None = None

    @classmethod
    def from_json(cls, items: Mapping[str, Any]) -> Config:
        """Return the config in a JSON object, whose lists were tuples."""
        return cls({name: _as_it_was(value) for name, value in items.items()})

    def __getitem__(self, name: str) -> Value:
        try:
            return self._items[name]
        except KeyError:
            there = ", ".join(map(str, self._items)) or "none"
            raise KeyError(f"no parameter {name!r}; there are: {there}") from None

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a config has no attribute {name!r}; write config[{name!r}]")

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._items.items()))
        return self._hash

    def __reduce__(self) -> tuple[type[Config], tuple[dict[str, Value]]]:
        return Config, (self._items,)  # the hash of a text differs from process to process

    def __repr__(self) -> str:
        return f"Config({self._items!r})"

    # Mapping's own versions look up every value by itself, and are many times slower.
    def items(self) -> ItemsView[str, Value]:
        return self._items.items()

    @overload
    def get(self, name: str, /) -> Value: ...
    @overload
    def get(self, name: str, default: Value | T, /) -> Value | T: ...
    def get(self, name: str, default: object = None, /) -> object:
        return self._items.get(name, default)

    def replace(self, **changes: Value) -> Config:
        """Return this config with some parameters changed."""
        return Config({**self._items, **changes})

    def without(self, *names: str) -> Config:
        """Return this config without some parameters."""
        return Config({name: value for name, value in self._items.items() if name not in names})


def _as_it_was(value: Any) -> Value:  # noqa: ANN401  whatever JSON has
    return tuple(map(_as_it_was, value)) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class Run:
    """A config with its seed, arm and steps: what is trained.

    ``declared_steps`` are the steps that the sweep declares. If ``steps`` differ from them, all
    that is counted in steps (warmup, KL warmup, evaluation interval) is scaled in proportion.
    ``pair`` is the id of the main run that an arm's run is matched with. ``declaration`` is a
    digest of what the sweep draws: runs of unequal declarations are runs of different sweeps.
    ``repeat`` numbers the seeds that a config is trained with, from 0.
    """

    id: str
    sweep: str
    index: int
    arm: str
    pair: str | None
    config: Config
    seed: int
    steps: int
    declared_steps: int
    evaluate_every: int
    declaration: str = ""
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions that a run is trained under, apart from its config.

    ``trainer`` is the reference that a worker loads (``module:function`` or ``file.py:function``).
    ``lr_transfer`` is the task's factor between the sweep's learning rates and its own. ``files``
    are what ``trainer_version`` is made from, or ``task_version`` of a language model's task, each
    with a digest, and ``noted`` what the trainer
    uses besides: packages with their versions, and files that its code names. ``metric`` names the
    sweep's own metric, empty where it measures ΔPerf, and ``direction`` which way is better of it.
    ``model_source`` and ``task_source`` say where a language model and its task are found; they are
    known by their content. ``lr_origin`` says where the factor of a language model comes from:
    ``task``, ``calibrated``, or nowhere. Files, notes, sources, the origin and the direction take
    no part in comparisons.
    """

    trainer: str
    trainer_version: str
    backend: str
    precision: str
    device: str
    task: str
    task_version: str
    model: str
    lr_transfer: float = 1.0
    files: Mapping[str, str] = field(default_factory=dict, compare=False)
    noted: Mapping[str, str] = field(default_factory=dict, compare=False)
    metric: str = ""
    direction: str = field(default="", compare=False)
    model_source: str = field(default="", compare=False)
    task_source: str = field(default="", compare=False)
    lr_origin: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Job:
    """A run on its way to a worker.

    ``program`` names the program that its trainer compiles for it: a worker that has trained one
    job of a program has it ready for the next. It is empty where nothing is compiled. ``memory``
    are the bytes that its process, with all it starts, may use. ``alone`` gives it a device to
    itself; executors without devices ignore it. ``checkpoint`` is the file or folder where its
    trainer saves its state: every ``checkpoint_every`` steps, or whenever so much time has passed,
    or never if that is None. Neither is part of the run's identity, for the result is the same.
    ``folder`` is where its trainer keeps files of its own; it is made at its first use. ``metric``
    names the sweep's own metric; it is empty where the sweep measures ΔPerf.
    """

    key: str
    run: Run
    conditions: Conditions
    cache: str
    log: str
    timeout: float | None = None
    program: str = ""
    memory: int | None = None
    alone: bool = False
    checkpoint: str | None = None
    checkpoint_every: int | timedelta | None = None
    folder: str = ""
    metric: str = ""


class Evaluation(NamedTuple):
    """A point of the learning curve: held-out perf after ``step`` steps, with its standard error.

    ``perf`` is the mean score (0 to 1) over prompts and samples, ``se`` its standard error over
    prompts (NaN where it is not known), ``reward`` the mean reward of the same completions.
    """

    # A tuple, since there may be millions.

    step: int
    perf: float
    se: float
    reward: float


@dataclass(frozen=True, slots=True)
class StepTrace:
    """The measurements of one training step.

    ``kl`` is None where the KL penalty is off, and so not computed. ``completions`` is a CRC-32 of
    the sampled completions: if it is equal, two runs drew the same tokens. ``no_signal`` is the
    share of groups whose rewards are all equal, so that nothing is learned from them; ``truncated``
    the share of completions that were cut off at the most tokens allowed; ``length`` the mean
    number of tokens of a completion. ``parts`` are the means of the named rewards of a task of
    text.
    """

    step: int
    learning_rate: float
    reward: float
    kl: float | None
    entropy: float
    grad_norm: float
    loss: float
    completions: int | None = None
    no_signal: float | None = None
    truncated: float | None = None
    length: float | None = None
    parts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run, with the evaluation at this step, if there was one."""

    stage: str
    step: int
    steps: int
    reward: float | None = None
    evaluation: Evaluation | None = None


@dataclass(frozen=True, slots=True)
class ItemScores:
    """The held-out scores of a run by item, each the mean over the item's samples.

    ``after`` are those after training, ``before`` those before it; empty where none were measured.
    ``ids`` name the items, and ``clusters`` the groups of items that are alike, such as questions
    on one text; both are empty where they are not given.
    """

    after: Sequence[float]
    before: Sequence[float] = ()
    ids: Sequence[str] = ()
    clusters: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of training a run.

    ``delta_perf`` is perf after minus perf before on the same prompts with the same sampling noise,
    ``delta_perf_se`` the standard error of its per-prompt differences over ``prompts`` prompts of
    ``samples`` samples each, ``prompts_changed`` how many of those prompts changed their score.
    Where the error is by cluster, ``clusters`` is the effective number of clusters, and
    ``clusters_changed`` how many of them changed; both are None where each prompt is by itself.
    A run that is not ``completed`` has no ``delta_perf``, but keeps the curve it has. Only a run of
    a table may be ``completed`` without one: its cell is blank.
    ``seconds`` is wall time without the imports of the trainer's file (with them if the run failed
    or was stopped), ``evaluation_seconds`` the part spent evaluating,
    ``tokens`` the completion tokens generated in training, ``peak_memory`` bytes.
    ``stopped_at`` is the step at which a diverged run stopped. ``weights`` is a digest of the
    weights it started from: runs that started from different ones are not of one experiment.
    ``value`` is the final value of the sweep's own metric, as the trainer gave it; None where the
    sweep measures ΔPerf. ``items`` are the scores that ΔPerf or the value comes from.
    ``weights_moved`` is the share of the trained weights that differ from where the run began, as
    the forward pass computes with them. Where it is given, the trace has the measures of the
    training's health: ``no_signal``, ``truncated`` and ``length``.
    """

    status: Status
    perf_before: float | None = None
    perf_after: float | None = None
    delta_perf: float | None = None
    delta_perf_se: float | None = None
    prompts: int | None = None
    samples: int | None = None
    prompts_changed: int | None = None
    clusters: float | None = None
    clusters_changed: int | None = None
    train_delta_perf: float | None = None
    curve: tuple[Evaluation, ...] = ()
    trace: Sequence[StepTrace] = ()
    seconds: float | None = None
    evaluation_seconds: float | None = None
    tokens: int | None = None
    peak_memory: int | None = None
    device: str | None = None
    error: str | None = None
    stopped_at: int | None = None
    weights: str | None = None
    value: float | None = None
    items: ItemScores | None = None
    weights_moved: float | None = None

    @property
    def independent(self) -> float | None:
        """The number of independent parts that the standard error counts: clusters, or prompts."""
        return self.prompts if self.clusters is None else self.clusters

    @property
    def independent_changed(self) -> int | None:
        """How many of those parts changed."""
        return self.prompts_changed if self.clusters is None else self.clusters_changed


GapKind = Literal["result", "error", "evaluation", "curve", "start", "setting", "match", "repeat"]
"""The kinds of missing values of a run, by what is then unknown: its result; its standard error;
how it was evaluated; a point of its curve; perf before a divergence; a setting; the run that it is
matched with; or whether it repeats another run."""


class Gap(NamedTuple):
    """A value of a run that is missing where others have it; ``column`` names it."""

    kind: GapKind
    column: str


@dataclass(frozen=True, slots=True)
class Result:
    """A run with its conditions and its outcome: what is stored and judged.

    ``gaps`` are the values that the table it was read from leaves blank. A run that is completed
    and has no ``delta_perf`` stays in the sample: its result is missing. ``repeats`` are the runs
    of one configuration that this result is the mean of; empty for a run itself.
    """

    key: str
    run: Run
    conditions: Conditions
    outcome: Outcome
    environment: Mapping[str, Value] = field(default_factory=dict)
    finished_at: str | None = None
    gaps: tuple[Gap, ...] = ()
    repeats: tuple[Result, ...] = ()

    @property
    def is_final(self) -> bool:
        """Return whether this run is done for good."""
        return self.outcome.status in FINAL


class Span(NamedTuple):
    """A part of a range, by its two ends; a level that is another tuple is a parameter's value."""

    low: float
    high: float


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether ``value`` is a number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether ``value`` is a whole number; True, False and 1.0 are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def finite(value: float | None) -> float | None:
    """Return ``value``, or None where it is missing, infinite or not a number."""
    return None if value is None or not math.isfinite(value) else float(value)


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def digest(content: object) -> str:
    """Return 16 hexadecimal digits that identify JSON-like ``content``, the same everywhere."""
    return hashlib.sha256(_canonical(content).encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return 16 hexadecimal digits that identify the content of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def run_key(run: Run, conditions: Conditions) -> str:
    """Return the identity of a run: equal keys mean the same training.

    The device is left out: a run moved to another machine is the same run.
    """
    own = {"metric": conditions.metric} if conditions.metric else {}
    return digest(
        {
            **own,
            "config": dict(run.config.items()),
            "seed": run.seed,
            "steps": run.steps,
            "declared_steps": run.declared_steps,
            "evaluate_every": run.evaluate_every,
            "arm": run.arm,
            "trainer": conditions.trainer_version,
            "backend": conditions.backend,
            "precision": conditions.precision,
            "task": [conditions.task, conditions.task_version, conditions.lr_transfer],
            "model": conditions.model,
        }
    )
