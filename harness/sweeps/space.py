"""Distributions of a parameter, each a quantile function, and the space they span.

A distribution turns a number in [0, 1) into a value, so one sampler of such numbers serves every
distribution. Random, Sobol and Latin hypercube draws differ only in these numbers.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from harness.errors import SweepError
from harness.records import Config, Value, is_number


@runtime_checkable
class Distribution(Protocol):
    """The distribution of a parameter's values.

    ``given`` are the values already drawn for the parameters that this one depends on.
    """

    def quantile(self, u: float, given: Mapping[str, Value]) -> Value:
        """Return the value at ``u`` in [0, 1)."""
        ...

    def values(self) -> tuple[Value, ...]:
        """Return every value if there are finitely many, else the two ends of the range."""
        ...

    def describe(self) -> str:
        """Return the distribution in a few words."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same value. A plain value in a space means this."""

    value: Value

    def quantile(self, u: float, given: Mapping[str, Value]) -> Value:
        """Return the value."""
        return self.value

    def values(self) -> tuple[Value, ...]:
        """Return the value."""
        return (self.value,)

    def describe(self) -> str:
        """Return the value as text."""
        return str(self.value)


@dataclass(frozen=True, slots=True)
class _Range:
    """A range of numbers, from ``low`` to ``high``."""

    low: float
    high: float

    def __post_init__(self) -> None:
        given = f"{type(self).__name__}({self.low!r}, {self.high!r})"
        for end in (self.low, self.high):
            if not is_number(end) or not math.isfinite(end):
                raise SweepError(f"{given}: {end!r} is not a finite number")
        if self.low >= self.high:
            raise SweepError(
                f"{given}: the lower end must be below the upper; swap them, or use a plain value "
                "for a constant"
            )

    def values(self) -> tuple[float, float]:
        """Return both ends."""
        return (self.low, self.high)


@dataclass(frozen=True, slots=True)
class Uniform(_Range):
    """Evenly between ``low`` and ``high``.

    Raises
    ------
    SweepError
        Where ``low`` is not below ``high``, or either is not finite.
    """

    def quantile(self, u: float, given: Mapping[str, Value]) -> float:
        """Return ``low + u (high - low)``."""
        return min(self.low + u * (self.high - self.low), self.high)

    def describe(self) -> str:
        """Return the range."""
        return f"uniform {self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class LogUniform(_Range):
    """Evenly on a logarithmic scale between ``low`` and ``high``, both above zero.

    Raises
    ------
    SweepError
        Where ``low`` is not above zero or not below ``high``, or either is not finite.
    """

    def __post_init__(self) -> None:
        _Range.__post_init__(self)
        if self.low <= 0:
            raise SweepError(
                f"LogUniform({self.low:g}, {self.high:g}): both ends must be above zero on a "
                f"logarithmic scale; raise the lower end"
            )

    def quantile(self, u: float, given: Mapping[str, Value]) -> float:
        """Return ``low (high / low) ** u`` to 12 significant digits.

        In further digits mathematical libraries differ, and a run must be the same everywhere.
        """
        value = float(f"{self.low * math.exp(u * math.log(self.high / self.low)):.12g}")
        return min(max(value, self.low), self.high)

    def describe(self) -> str:
        """Return the range and how many orders of magnitude it spans."""
        orders = math.log10(self.high / self.low)
        return f"log-uniform {self.low:g} to {self.high:g} ({orders:.1f} orders of magnitude)"


@dataclass(frozen=True, init=False, slots=True)
class Choice:
    """One of ``options``, each as likely as its share of ``weights`` (equally, without them).

    Raises
    ------
    SweepError
        Where there is no option, options repeat, or weights do not match or do not add up.
    """

    options: tuple[Value, ...]
    weights: tuple[float, ...]
    _ends: tuple[float, ...] = field(repr=False, compare=False)

    def __init__(self, *options: Value, weights: Sequence[float] | None = None) -> None:
        object.__setattr__(self, "options", options)
        object.__setattr__(
            self, "weights", (1.0,) * len(options) if weights is None else tuple(weights)
        )
        shown = ", ".join(repr(option) for option in options)
        if not options:
            raise SweepError("Choice(): at least one option is needed")
        if len(set(options)) < len(options):
            raise SweepError(
                f"Choice({shown}): options repeat; use weights to make one more likely"
            )
        if len(self.weights) != len(options):
            raise SweepError(
                f"Choice({shown}): {len(options)} options but {len(self.weights)} weights "
                f"{self.weights}; give one weight an option"
            )
        if not all(math.isfinite(w) and w >= 0 for w in self.weights) or sum(self.weights) <= 0:
            raise SweepError(
                f"Choice({shown}): weights {self.weights} must be finite, none negative, "
                f"and not all zero"
            )
        object.__setattr__(self, "_ends", tuple(itertools.accumulate(self.weights)))

    def quantile(self, u: float, given: Mapping[str, Value]) -> Value:
        """Return the option in whose share of the unit interval ``u`` lies."""
        place = bisect.bisect_right(self._ends, u * self._ends[-1])
        last = bisect.bisect_left(self._ends, self._ends[-1])  # the last option with a weight
        return self.options[min(place, last)]

    def values(self) -> tuple[Value, ...]:
        """Return the options."""
        return self.options

    def describe(self) -> str:
        """Return the options, with their weights where they differ."""
        if len(set(self.weights)) == 1:
            return ", ".join(str(option) for option in self.options)
        return ", ".join(f"{o} ({w:g})" for o, w in zip(self.options, self.weights, strict=True))


@dataclass(frozen=True, init=False, slots=True)
class Given:
    """A distribution that depends on another parameter's value.

    Give cases as keywords where the other parameter's values are names, else as a mapping:
    ``Given("lr_schedule", advanced=…, cosine=…)``, ``Given("batch_size", {4: …, 8: …})``.
    """

    parameter: str
    cases: Mapping[Value, Distribution]

    def __init__(
        self, parameter: str, cases: Mapping[Value, object] | None = None, /, **named: object
    ) -> None:
        given: dict[Value, object] = dict(cases or {})
        given.update(named)
        if not given:
            raise SweepError(f"Given({parameter!r}): at least one case is needed")
        object.__setattr__(self, "parameter", parameter)
        object.__setattr__(self, "cases", {value: as_distribution(d) for value, d in given.items()})

    def __hash__(self) -> int:
        return hash((self.parameter, tuple(self.cases.items())))

    def quantile(self, u: float, given: Mapping[str, Value]) -> Value:
        """Return the value at ``u`` of the case that applies."""
        return self.cases[given[self.parameter]].quantile(u, given)

    def values(self) -> tuple[Value, ...]:
        """Return the values of all cases."""
        return tuple(dict.fromkeys(v for case in self.cases.values() for v in case.values()))

    def describe(self) -> str:
        """Return each case."""
        return "; ".join(f"{value}: {case.describe()}" for value, case in self.cases.items())


def as_distribution(value: object) -> Distribution:
    """Return ``value`` as a distribution; a plain value is a constant.

    Raises
    ------
    SweepError
        Where it is neither a distribution nor a plain value.
    """
    if isinstance(value, Distribution):
        return value
    if value is None or isinstance(value, bool | int | float | str):
        return Constant(value)
    raise SweepError(
        f"{value!r} is neither a distribution nor a plain value; "
        f"use Choice, Uniform, LogUniform, Given or a number, text or truth value"
    )


class Space:
    """Parameters and their distributions.

    Raises
    ------
    SweepError
        Where a parameter depends on one that is not there, on itself in a circle, or on a value
        without a case; or where a learning rate is not above zero.
    """

    def __init__(self, parameters: Mapping[str, object]) -> None:
        if not parameters:
            raise SweepError("the space is empty; give at least one parameter, as learning_rate=…")
        self.distributions: dict[str, Distribution] = {}
        for name, value in parameters.items():
            try:
                self.distributions[name] = as_distribution(value)
            except SweepError as error:
                raise SweepError(f"{name}: {error}") from None
        places = {name: place for place, name in enumerate(self.distributions)}
        self._order = [(name, places[name]) for name in self._resolution_order()]
        self._check_learning_rate()

    def __len__(self) -> int:
        return len(self.distributions)

    def __iter__(self) -> itertools.chain[str]:
        return itertools.chain(self.distributions)

    def __contains__(self, name: object) -> bool:
        return name in self.distributions

    @property
    def dependencies(self) -> dict[str, str]:
        """The parameters that depend on another → that other."""
        return {
            name: distribution.parameter
            for name, distribution in self.distributions.items()
            if isinstance(distribution, Given)
        }

    def config(self, point: Sequence[float]) -> Config:
        """Return the config at a point of the unit cube, a coordinate for each parameter."""
        if len(point) != len(self.distributions):
            raise ValueError(f"a point of {len(self.distributions)} coordinates, got {len(point)}")
        drawn: dict[str, Value] = {}
        for name, place in self._order:
            drawn[name] = self.distributions[name].quantile(float(point[place]), drawn)
        return Config({name: drawn[name] for name in self.distributions})

    def describe(self) -> dict[str, str]:
        """Return the distribution of each parameter in words."""
        described = {}
        for name, distribution in self.distributions.items():
            by = f"by {distribution.parameter}: " if isinstance(distribution, Given) else ""
            described[name] = by + distribution.describe()
        return described

    def _resolution_order(self) -> list[str]:
        order: list[str] = []
        waiting = dict(self.distributions)
        while waiting:
            ready = [
                name
                for name, distribution in waiting.items()
                if not isinstance(distribution, Given) or distribution.parameter in order
            ]
            if not ready:
                self._explain_dependency(waiting)
            for name in ready:
                distribution = waiting.pop(name)
                if isinstance(distribution, Given):
                    self._check_cases(name, distribution)
                order.append(name)
        return order

    def _explain_dependency(self, waiting: Mapping[str, Distribution]) -> None:
        for name, distribution in waiting.items():
            if isinstance(distribution, Given) and distribution.parameter not in self.distributions:
                raise SweepError(
                    f"{name}: given {distribution.parameter!r}, which is no parameter of this "
                    f"space ({', '.join(self.distributions)})"
                )
        raise SweepError(
            f"{', '.join(waiting)}: each is given another, in a circle; fix one of them"
        )

    def _check_cases(self, name: str, distribution: Given) -> None:
        parent = self.distributions[distribution.parameter]
        if isinstance(parent, _Range):
            raise SweepError(
                f"{name}: given {distribution.parameter!r}, which is continuous; "
                f"a case can only be given for each of finitely many values"
            )
        lacking = [value for value in parent.values() if value not in distribution.cases]
        if lacking:
            raise SweepError(
                f"{name}: no case for {distribution.parameter} = "
                f"{', '.join(repr(value) for value in lacking)}; "
                f"cases are {', '.join(repr(value) for value in distribution.cases)}"
            )

    def _check_learning_rate(self) -> None:
        distribution = self.distributions.get("learning_rate")
        if distribution is None:
            return
        for value in distribution.values():
            if not is_number(value) or not value > 0:
                raise SweepError(
                    f"learning_rate: {value!r} is not above zero; a learning rate of zero "
                    f"belongs in an arm, arms=dict(placebo=…)"
                )
