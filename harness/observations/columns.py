"""Read the parameters of runs as columns: which vary, over which levels, on which scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.observations.levels import is_number, levels_of
from harness.observations.sample import FloatArray
from harness.records import Config, Span, Value

DECADE = 10.0
"""A range that spans at least this factor is read on a logarithmic scale."""

RATE = "learning_rate"


@dataclass(frozen=True, eq=False)
class Column:
    """A parameter that varies, over n runs.

    ``levels``, ``codes`` [n] and ``numbers`` [n] are the fields of its `Levels`.
    """

    name: str
    levels: tuple[Value | Span, ...]
    codes: NDArray[np.intp]
    numbers: FloatArray | None
    is_log: bool

    @property
    def is_numeric(self) -> bool:
        """Whether every value that is set is a number."""
        return self.numbers is not None or all(
            is_number(level) for level in self.levels if level is not None
        )

    @cached_property
    def is_set(self) -> NDArray[np.bool_]:
        """Whether each run [n] has a value."""
        if None not in self.levels:
            return np.ones(self.codes.size, dtype=np.bool_)
        return np.asarray(self.codes != self.levels.index(None))

    @cached_property
    def as_numbers(self) -> FloatArray | None:
        """The numbers [n], of few levels too; NaN where not set, None where not all are numbers."""
        if self.numbers is not None or not self.is_numeric:
            return self.numbers
        levels = [float(level) if is_number(level) else np.nan for level in self.levels]
        return np.array(levels)[self.codes]

    @cached_property
    def scaled(self) -> FloatArray | None:
        """The numbers [n] in the scale they act on: logarithms over more than a factor of ten."""
        numbers = self.as_numbers
        if numbers is None:
            return None
        known = numbers[np.isfinite(numbers)]
        log = is_log(self.name, float(known.min()), float(known.max()))
        return np.asarray(np.log10(numbers)) if log else numbers

    def varies_within(self, blocks: NDArray[np.intp]) -> bool:
        """Whether any block, as numbered by ``blocks`` [n], has more than one of its levels."""
        return len(set(zip(blocks.tolist(), self.codes.tolist(), strict=True))) > len(set(blocks))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A parameter that is not analysed: it has one value or too many ``values`` in the ``runs``."""

    values: int
    runs: int

    @property
    def is_constant(self) -> bool:
        """Whether the parameter is the same in every run."""
        return self.values < 2

    def __str__(self) -> str:
        if self.is_constant:
            return "the same in every run"
        return f"{self.values} values in {self.runs} runs, too many to compare"


def read_columns(configs: Sequence[Config]) -> tuple[dict[str, Column], dict[str, LeftOut]]:
    """Return the parameters of ``configs`` that vary, and why each other one is left out."""
    columns: dict[str, Column] = {}
    left_out: dict[str, LeftOut] = {}
    for name in dict.fromkeys(name for config in configs for name in config):
        values = [config.get(name) for config in configs]
        found = levels_of(values)
        if found is None:
            left_out[name] = LeftOut(len(set(values)), len(values))
            continue
        numbers, log = found.numbers, False
        if numbers is not None:
            log = is_log(name, float(np.nanmin(numbers)), float(np.nanmax(numbers)))
        columns[name] = Column(name, found.values, found.codes, numbers, log)
    return columns, left_out


def is_log(name: str, low: float, high: float) -> bool:
    """Whether the range of a parameter is read on a logarithmic scale."""
    return low > 0.0 and (name == RATE or high >= DECADE * low)
