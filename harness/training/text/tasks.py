"""Tasks of text: prompts, right answers, which prompts are held out, and rewards. No tokens.

A task is read from JSON lines, declared in Python, or one of those that ship. Whatever it is, it is
known by its content and never by its path.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from harness.errors import HarnessError, UsageError, nearest, short
from harness.records import digest, is_number, is_whole
from harness.training.references import load
from harness.training.tasks import Graded
from harness.training.text.grading import Grader, Item
from harness.training.text.prompts import Prompt
from harness.training.text.rewarding import Reward

Split = Literal["train", "held_out"]


class Settings(TypedDict, total=False):
    """The settings of a task that is read, as `TextTask.read` describes them."""

    name: str
    rewards: object
    reward: object
    perf: str
    held_out: object
    prompt: str
    answer: str
    chat: bool
    system: str
    max_tokens: int
    samples: int
    temperature: float
    top_p: float
    lr_transfer: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a task: a prompt with its right answer.

    ``answer`` is None where the rewards need none. ``id`` names it in errors and in the scores by
    item; by default it is the line's number among the lines. Prompts of one ``cluster`` are not
    independent. ``columns`` are the other fields of the line, which reward functions get.
    """

    prompt: Prompt
    answer: Any
    id: str
    cluster: str | None
    split: Split
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class TextTask:
    """Prompts with right answers and the rewards of completions; the most tokens of one.

    Make one by `TextTask.read`, `TextTask.from_records` or `arithmetic`. ``perf`` names the reward
    that perf is the mean of; it lies between 0 and 1. An evaluation draws ``samples`` completions
    of each held-out prompt at ``temperature`` and ``top_p``, whatever a run is trained with. A
    sweep's learning rates are multiplied by ``lr_transfer``; with None by what `sweep calibrate`
    has found for the model, or else by 1. ``notes`` are sentences about how the task was read, to
    be printed.
    """

    name: str
    rows: tuple[Row, ...]
    rewards: tuple[Reward, ...]
    perf: str = ""
    max_tokens: int = 256
    samples: int = 4
    temperature: float = 1.0
    top_p: float = 1.0
    lr_transfer: float | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        what = f"task {self.name!r}"
        if not isinstance(self.name, str) or not self.name.strip() or not self.name.isprintable():
            raise UsageError(f"{what}: the name is no printable text")
        names = [reward.name for reward in self.rewards]
        if not self.perf and names:
            object.__setattr__(self, "perf", names[0])
        if self.perf not in names:
            raise UsageError(
                f"{what}: perf {self.perf!r} is not one of its rewards, {', '.join(names)}"
                f"{nearest(self.perf, names)}"
            )
        for name in ("max_tokens", "samples"):
            value = getattr(self, name)
            if not is_whole(value) or value < 1:
                raise UsageError(f"{what}: {name} {value!r}; expected a whole number from 1")
        for name, most in (("temperature", math.inf), ("top_p", 1), ("lr_transfer", math.inf)):
            value = getattr(self, name)
            if value is None and name == "lr_transfer":
                continue
            if not is_number(value) or not 0 < value <= most or value == math.inf:
                limit = " up to 1" if most == 1 else ""
                raise UsageError(f"{what}: {name} {value!r}; expected a number above 0{limit}")

    @classmethod
    def read(cls, path: str | Path, **settings: Unpack[Settings]) -> TextTask:
        """Read a task from a file of JSON lines, each with a ``prompt`` and an ``answer``.

        Parameters
        ----------
        path
            The file. Its first line may be ``{"task": {…}}`` with settings, named as here.
        **settings
            They count before those of the file. ``rewards`` is a `Reward`, a rule's name, a
            function, a list of these, or a mapping of names or functions to weights. ``perf``
            names one of them, by default the first. ``held_out`` is a second file, relative to the
            first. ``prompt`` and ``answer`` name the fields that are read. ``chat=True`` makes a
            prompt of text the message of a user, and ``system`` is a text before it. The others are
            those of `TextTask`.

        Returns
        -------
        TextTask
            Without rewards, numbers as answers are graded as ``numeric``, single letters as
            ``multiple_choice``, answers with ``####`` as ``final_answer``, others as ``exact``.
            Lines with the split ``held_out`` are held out, or those of the second file, or else a
            fifth by a hash of the prompt.

        Raises
        ------
        UsageError
            Where the file cannot be used: one line with the number of the line.
        """
        from harness.training.text.task_files import read

        return read(Path(path), settings)

    @classmethod
    def from_records(
        cls, records: Iterable[Mapping[str, Any]], **settings: Unpack[Settings]
    ) -> TextTask:
        """Make a task of mappings with the fields of a line; else as `TextTask.read`.

        The setting ``name`` is needed. ``held_out`` may be more such mappings.
        """
        from harness.training.text.task_files import from_records

        return from_records(records, settings)

    @cached_property
    def version(self) -> str:
        """A digest of what is asked, how it is graded, and how evaluations sample."""
        rows = [[r.prompt, r.answer, r.id, r.cluster, r.split, dict(r.columns)] for r in self.rows]
        sampling = [self.max_tokens, self.samples, self.temperature, self.top_p]
        try:
            return digest([rows, [one.identity for one in self.rewards], self.perf, sampling])
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"task {self.name!r} has values that JSON has not, and could not be known by its "
                f"content: {error}"
            ) from None

    def version_with(self, imported: Mapping[str, str]) -> str:
        """Return the version with the files that the rewards' own import: path → digest.

        Where these lie makes no difference.
        """
        if not imported:
            return self.version
        return digest(
            [self.version, sorted((Path(name).name, at) for name, at in imported.items())]
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """The source files of its reward functions."""
        return tuple(sorted({one.file for one in self.rewards if one.file is not None}))

    @property
    def training_prompts(self) -> int:
        """The number of prompts to train on."""
        return len(self.numbers("train"))

    @property
    def is_text(self) -> bool:
        """Whether a language model is trained on it: yes."""
        return True

    def numbers(self, split: Split) -> npt.NDArray[np.int64]:
        """Return the numbers of the rows of a split, in their order: ``[n]``."""
        found = [number for number, row in enumerate(self.rows) if row.split == split]
        return np.array(found, dtype=np.int64)

    @cached_property
    def _graders(self) -> tuple[Grader, ...]:
        return tuple(Grader(reward) for reward in self.rewards)

    def grade(
        self,
        rows: Sequence[int] | npt.NDArray[np.int64],
        completions: Sequence[str],
        tokens: Sequence[Sequence[int]] = (),
    ) -> Graded:
        """Grade completions.

        Parameters
        ----------
        rows
            The number of the row that each answers: ``[n]``.
        completions
            Their texts: ``[n]``.
        tokens
            Their tokens, which reward functions get as ``completion_ids``.

        Returns
        -------
        Graded
            Arrays ``[n]`` of float32: the weighted sum of the rewards, the score between 0 and 1
            that perf is the mean of, and each reward by its name.

        Raises
        ------
        HarnessError
            Where a reward function raises, takes too long, or returns no finite number for a
            completion: one line with its name and the prompt.
        """
        given = tokens or [()] * len(completions)
        items = [
            self._item(self.rows[row], text, ids)
            for row, text, ids in zip(rows, completions, given, strict=True)
        ]
        try:
            waiting = [grader.begin(items) for grader in self._graders]
            found = [np.array(wait(), dtype=np.float32) for wait in waiting]
        except BaseException:
            self.close()  # another function may still be at it, and its rewards are for nobody
            raise
        parts = {one.name: part for one, part in zip(self.rewards, found, strict=True)}
        total = np.zeros(len(items), dtype=np.float32)
        for reward in self.rewards:
            total += np.float32(reward.weight) * parts[reward.name]
        scores = parts[self.perf]
        for at in np.flatnonzero((scores < 0) | (scores > 1)):
            raise HarnessError(
                f"reward {self.perf!r} gave {scores[at]:g} for a completion to {items[at]}; it is "
                "the task's perf, which lies between 0 and 1: name another reward as perf"
            )
        return Graded(total, scores, parts)

    @staticmethod
    def _item(row: Row, completion: str, tokens: Sequence[int]) -> Item:
        return Item(row.id, row.prompt, row.answer, row.columns, completion, tokens)

    def check(self, places: Sequence[str]) -> None:
        """Check that each row has what the rewards need; ``places`` say where each stands."""
        items = [self._item(row, "", ()) for row in self.rows]
        for grader in self._graders:
            grader.check(items, places)

    def close(self) -> None:
        """End the processes of the reward functions; the next call starts them again."""
        for grader in self._graders:
            grader.close()


def is_of_text(task: str) -> bool:
    """Return whether a task is one of text by its name, which need not be there."""
    from harness.training.text.arithmetic import TASKS

    return task in TASKS or ":" in task or Path(task).suffix == ".jsonl"


def load_task(source: str, folder: Path) -> TextTask:
    """Return the task that ``source`` names.

    It is a file of JSON lines, ``file.py:name``, ``package.module:name``, or one of those that ship
    (`arithmetic.TASKS`). A name in Python is a `TextTask` or a function that returns one. Relative
    paths start from ``folder``. Raises `UsageError`, in one line, for whatever is wrong.
    """
    from harness.training.text.arithmetic import TASKS

    if source in TASKS:
        return TASKS[source]()
    path = folder / source
    if ":" in source and not path.is_file():
        found = load(source, "task", folder)
        if not isinstance(found, TextTask) and callable(found):
            found = found()
        if not isinstance(found, TextTask):
            raise UsageError(
                f"task '{source}': expected a TextTask or a function that returns one, but it is "
                f"of type {type(found).__name__}"
            )
        return found
    if path.is_file() and path.suffix == ".py":
        raise UsageError(f"task '{source}': name the task in that file, as in {source}:task")
    if path.suffix or "/" in source or path.exists():
        return TextTask.read(path)
    raise UsageError(
        f"task {source!r} is not one of {', '.join(TASKS)}, nor a file in {short(folder)}, nor "
        f"file.py:name or module:name{nearest(source, TASKS)}"
    )
