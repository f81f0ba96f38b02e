"""The parameters of a sweep as columns, and which of them go together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from harness import statistics
from harness.observations import FloatArray
from harness.records import Config, Value

RANGE_FROM = 8
"""From so many values on a numeric parameter counts as a range, not as a set of levels."""

MOST_LEVELS = 50
"""A parameter with more values than this that are no numbers is an identifier."""

DECADE = 10.0
"""A range whose ends are this factor apart, or more, is read on a logarithmic scale."""

RATE = "learning_rate"

SUSPICION = 0.01
"""The rate at which parameters that are drawn independently may be taken to go together."""

STRONG = 0.3
"""Cramér's V below which parameters are told apart well enough."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A parameter that varies, over n runs.

    ``levels`` are its values in order; of a range they are the thirds of the runs, each by its two
    ends, and None stands for runs that do not set it. ``codes`` [n] number the levels. ``numbers``
    [n] are the values of a range, NaN where not set, and None for a parameter of few levels.
    """

    name: str
    levels: tuple[Value | tuple[float, float], ...]
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
        """Whether any of the blocks numbered by ``blocks`` [n] has two of its levels."""
        return len(set(zip(blocks.tolist(), self.codes.tolist(), strict=True))) > len(set(blocks))


@dataclass(frozen=True, slots=True)
class Bond:
    """A parameter that another goes with: by Cramér's V, or because the space says so."""

    parameter: str
    strength: float
    by_design: bool


def read_columns(configs: Sequence[Config]) -> tuple[dict[str, Column], dict[str, str]]:
    """Return the parameters of ``configs`` that vary, and why each other one is left out."""
    columns: dict[str, Column] = {}
    left_out: dict[str, str] = {}
    for name in dict.fromkeys(name for config in configs for name in config):
        values = [config.get(name) for config in configs]
        distinct = sorted(set(values), key=_order)
        others = [value for value in distinct if not is_number(value)]
        if len(distinct) < 2:
            left_out[name] = "the same in every run"
        elif others in ([], [None]) and len(distinct) - len(others) >= RANGE_FROM:
            columns[name] = _range(name, values)
        elif len(distinct) > max(RANGE_FROM, min(MOST_LEVELS, len(values) // 2)):
            left_out[name] = f"{len(distinct)} values in {len(values)} runs, too many to compare"
        else:
            number = {value: code for code, value in enumerate(distinct)}
            codes = np.array([number[value] for value in values], dtype=np.intp)
            columns[name] = Column(name, tuple(distinct), codes, None, False)
    return columns, left_out


def find_bonds(
    columns: Mapping[str, Column], given: Mapping[str, str], rng: np.random.Generator
) -> dict[str, tuple[Bond, ...]]:
    """Return, for each parameter, those it goes with, so that their effects are hard to tell apart.

    ``given`` names, for a parameter whose values depend on another's by declaration, that other.
    """
    pairs = list(itertools.combinations(columns, 2))
    threshold = SUSPICION / max(1, len(pairs))
    resamples = min(19_999, max(1_999, math.ceil(4 / threshold)))
    bonds: dict[str, list[Bond]] = {name: [] for name in columns}
    for one, two in pairs:
        by_design = given.get(one) == two or given.get(two) == one
        codes = columns[one].codes, columns[two].codes
        strength, p_value = statistics.association(*codes, rng, 199)
        if not by_design:
            if strength < STRONG or p_value > 0.05:
                continue
            if statistics.association(*codes, rng, resamples)[1] > threshold:
                continue
        bonds[one].append(Bond(two, strength, by_design))
        bonds[two].append(Bond(one, strength, by_design))
    return {name: tuple(found) for name, found in bonds.items()}


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether ``value`` is a finite number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _range(name: str, values: Sequence[Value]) -> Column:
    numbers = np.array([value if is_number(value) else math.nan for value in values])
    known = numbers[np.isfinite(numbers)]
    cuts = np.quantile(known, [1 / 3, 2 / 3])
    codes = np.searchsorted(cuts, numbers).astype(np.intp)
    codes[np.isnan(numbers)] = 3
    _, codes = np.unique(codes, return_inverse=True)
    thirds: list[Value | tuple[float, float]] = []
    for code in range(int(codes.max()) + 1):
        part = numbers[codes == code]
        whole = bool(np.isfinite(part).all())
        thirds.append((float(part.min()), float(part.max())) if whole else None)
    low, high = float(known.min()), float(known.max())
    is_log = low > 0.0 and (name == RATE or high >= DECADE * low)
    return Column(name, tuple(thirds), codes.astype(np.intp), numbers, is_log)


def _order(value: Value) -> tuple[int, float, str]:
    """Sort numbers by size, then truth values and words, then what is not set."""
    if is_number(value):
        return (0, float(value), "")
    return (2, 0.0, "") if value is None else (1, 0.0, str(value))
