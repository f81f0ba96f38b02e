"""Infer the space that finished runs were drawn from, as far as the runs show it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from harness.analysis.columns import Association
from harness.errors import UsageError
from harness.observations.columns import is_log
from harness.observations.levels import RANGE_FROM, in_order, is_number
from harness.records import Config, Value
from harness.refine.sample import rounded
from harness.sweeps.distributions import (
    Choice,
    Constant,
    Distribution,
    Given,
    LogInt,
    LogUniform,
    Uniform,
)

KNOWN = (Constant, Uniform, LogUniform, LogInt, Choice, Given)
"""The distributions that refine can decide on and write as Python."""

MOST_OPTIONS = 12
"""The most whole numbers that become options of a parameter, at even ranks among all."""

MOST_LEVELS = 100
"""The most values, not all numbers, that a parameter can have."""

DIGITS = 3
"""Significant digits that the ends of a range are rounded outwards to."""

FEWEST_DRAWN = 4
"""With this many numbers, fractions among them, a parameter is taken to be a range."""


def infer(
    configs: Sequence[Config], associations: Mapping[str, Sequence[Association]]
) -> dict[str, Distribution]:
    """Return the distribution that each parameter of ``configs`` may have been drawn from.

    Few values are levels. Many numbers are a range, on a logarithmic scale if they are positive and
    span an order of magnitude; whole numbers are a range only on that scale, and else options. A
    parameter is given by another if its values depend on the other's level in the runs, by more
    than chance (``associations``).

    Raises
    ------
    UsageError
        Where a parameter has too many values that are not numbers.
    """
    names = list(dict.fromkeys(name for config in configs for name in config))
    columns = {name: [config.get(name) for config in configs] for name in names}
    plain = {name: distribution_of(name, values) for name, values in columns.items()}
    given: dict[str, str] = {}
    for effect in names:
        for one in sorted(associations.get(effect, ()), key=lambda one: -one.strength):
            cause = one.parameter
            if effect in given or not _may_cause(cause, effect, plain, names):
                continue
            if _root(cause, given) != effect and _implies(columns[cause], columns[effect]):
                given[effect] = cause
    return plain | {
        effect: Given(
            cause,
            {
                level: distribution_of(effect, _at(level, columns[cause], columns[effect]))
                for level in plain[cause].values()
            },
        )
        for effect, cause in given.items()
    }


def distribution_of(name: str, values: Iterable[Value]) -> Distribution:
    """Return the distribution that the ``values`` of a parameter may have been drawn from."""
    listed = list(values)
    distinct = list(dict.fromkeys(listed))
    if len(distinct) == 1:
        return Constant(distinct[0])
    numbers = [value for value in distinct if is_number(value)]
    others = [value for value in distinct if not is_number(value)]
    drawn = len(numbers) == len(listed) >= FEWEST_DRAWN and any(
        isinstance(number, float) for number in numbers
    )
    if not set(others) <= {None} or (len(numbers) < RANGE_FROM and not drawn):
        if len(distinct) > MOST_LEVELS:
            raise UsageError(
                f"parameter {name!r} has {len(distinct)} values in {len(listed)} runs, such as "
                f"{others[0]!r}: nothing to draw from; name the parameters by --params"
            )
        return Choice(*sorted(distinct, key=in_order))
    ordered = sorted(numbers)
    low = rounded(float(ordered[0]), up=False, digits=DIGITS)
    high = rounded(float(ordered[-1]), up=True, digits=DIGITS)
    on_log = is_log(name, low, high)
    if all(isinstance(number, int) for number in ordered):
        if on_log and len(ordered) > MOST_OPTIONS:
            return LogInt(math.floor(low), math.ceil(high))
        ranks = np.linspace(0, len(ordered) - 1, min(MOST_OPTIONS, len(ordered))).round()
        return Choice(*(ordered[int(rank)] for rank in ranks))
    return LogUniform(low, high) if on_log else Uniform(low, high)


def is_levels(distribution: Distribution) -> bool:
    """Return whether a distribution has few enough values to compare each with the others."""
    if not isinstance(distribution, Choice):
        return False
    numeric = all(is_number(option) for option in distribution.options)
    return not numeric or len(distribution.options) < RANGE_FROM


def _may_cause(
    cause: str, effect: str, plain: Mapping[str, Distribution], names: Sequence[str]
) -> bool:
    """Return whether ``cause`` could give ``effect``: it has fewer levels, or is named first."""
    if not is_levels(plain[cause]):
        return False
    if not is_levels(plain[effect]):
        return True
    sizes = [(len(plain[name].values()), names.index(name)) for name in (cause, effect)]
    return sizes[0] < sizes[1]


def _implies(causes: Sequence[Value], effects: Sequence[Value]) -> bool:
    """Return whether the levels of the cause go with different values of the effect, both [n]."""
    parts = [_at(level, causes, effects) for level in dict.fromkeys(causes)]
    if len({value for part in parts for value in part if is_number(value)}) < RANGE_FROM:
        return len({frozenset(part) for part in parts}) > 1
    ends = []
    for part in parts:
        numbers = [float(value) for value in part if is_number(value)]
        if len(numbers) < len(part):
            return True
        ends.append((min(numbers), max(numbers)))
    return max(low for low, _ in ends) > min(high for _, high in ends)


def _at(level: Value, causes: Sequence[Value], effects: Sequence[Value]) -> list[Value]:
    return [effect for cause, effect in zip(causes, effects, strict=True) if cause == level]


def _root(name: str, given: Mapping[str, str]) -> str:
    while name in given:
        name = given[name]
    return name
