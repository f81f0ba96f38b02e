"""Read the parameters of runs as columns, and find which of them go together."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness import statistics
from harness.observations import FloatArray
from harness.observations.levels import is_number, levels_of
from harness.records import Config, Span, Value

DECADE = 10.0
"""A range that spans at least this factor is read on a logarithmic scale."""

RATE = "learning_rate"


@dataclass(frozen=True, slots=True, eq=False)
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

    def varies_within(self, blocks: NDArray[np.intp]) -> bool:
        """Whether any block, as numbered by ``blocks`` [n], has more than one of its levels."""
        return len(set(zip(blocks.tolist(), self.codes.tolist(), strict=True))) > len(set(blocks))


@dataclass(frozen=True, slots=True)
class Association:
    """A parameter that goes with another: by Cramér's V, or ``by_design`` of the space."""

    parameter: str
    strength: float
    by_design: bool


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


def find_associations(
    columns: Mapping[str, Column], given: Mapping[str, str], rng: np.random.Generator
) -> dict[str, tuple[Association, ...]]:
    """Find for each parameter those it goes with, whose effects are hard to tell from its own.

    ``given`` names the parameter that another's values depend on by declaration.
    """
    pairs = list(itertools.combinations(columns, 2))
    associations: dict[str, list[Association]] = {name: [] for name in columns}
    for one, two in pairs:
        by_design = given.get(one) == two or given.get(two) == one
        codes = columns[one].codes, columns[two].codes
        strength, found = statistics.go_together(*codes, rng, len(pairs))
        if not (by_design or found):
            continue
        associations[one].append(Association(two, strength, by_design))
        associations[two].append(Association(one, strength, by_design))
    return {name: tuple(found) for name, found in associations.items()}


def is_log(name: str, low: float, high: float) -> bool:
    """Whether the range of a parameter is read on a logarithmic scale."""
    return low > 0.0 and (name == RATE or high >= DECADE * low)
