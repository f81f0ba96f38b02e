"""Distributions of a parameter, each a quantile function.

A distribution turns a number in [0, 1) into a value, so one sampler of such numbers serves every
distribution. Random, Sobol and Latin hypercube draws differ only in these numbers.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, Protocol, TypeGuard

from harness.errors import SweepError, unquoted
from harness.records import Value, is_number
from harness.sweeps.checks import (
    PLAIN,
    check_quotes,
    declared,
    number,
    plain,
    plain_each,
    shown,
    text,
)
from harness.text import listed

DISTRIBUTIONS = ("Choice", "Uniform", "LogUniform", "LogInt", "Given")
"""The names of the distributions that a space can have, apart from a user's own."""


MANY = 8
"""The most numbers at one step that are all written out."""

DIGITS = 12
"""The most digits after the point of numbers that are recognised as having one step."""


class Distribution(Protocol):
    """The distribution of a parameter's values.

    ``given`` are the values already drawn for the parameters that this one depends on.
    """

    def quantile(self, u: float, given: Mapping[str, Value]) -> Value:
        """Return the value at ``u`` in [0, 1)."""
        ...

    def values(self) -> tuple[Value, ...]:
        """Return every value, or the two ends of a range."""
        ...

    def describe(self) -> str:
        """Return the distribution in a few words."""
        ...


@declared
@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same value. A plain value in a space means this.

    Raises
    ------
    SweepError
        Where it is not a plain value.
    """

    value: Value

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", plain(self.value))

    def quantile(self, u: float, given: Mapping[str, Value]) -> Value:
        """Return the value."""
        return self.value

    def values(self) -> tuple[Value, ...]:
        """Return the value."""
        return (self.value,)

    def describe(self) -> str:
        """Return the value as text."""
        return str(self.value)


@declared
@dataclass(frozen=True, slots=True)
class Range:
    """A range of numbers, from ``low`` to ``high``.

    ``is_log`` says whether it is drawn from on a logarithmic scale.
    """

    low: float
    high: float
    is_log: ClassVar[bool] = False
    expected: ClassVar[str] = "finite number"

    def __post_init__(self) -> None:
        given = f"{type(self).__name__}({shown(self.low)}, {shown(self.high)})"
        for name, end in (("low", self.low), ("high", self.high)):
            try:
                taken = number(name, end, "", whole=self.expected == "whole number")
            except SweepError:
                raise SweepError(
                    f"{given}: {shown(end)} is not a {self.expected}{unquoted(end)}"
                ) from None
            object.__setattr__(self, name, taken)
        if self.low >= self.high:
            raise SweepError(
                f"{given}: the lower end must be below the upper; swap them, or use a plain value "
                "for a constant"
            )
        if self.is_log and self.low <= 0:
            raise SweepError(
                f"{given}: both ends must be above zero on a logarithmic scale; raise the lower end"
            )
        span = self.high / self.low if self.is_log else self.high - self.low
        if not math.isfinite(span):
            raise SweepError(f"{given}: too wide to draw from; bring the ends closer together")

    def quantile(self, u: float, given: Mapping[str, Value]) -> float:
        """Return the value at ``u`` in [0, 1)."""
        raise NotImplementedError

    def values(self) -> tuple[float, float]:
        """Return both ends."""
        return (self.low, self.high)

    def describe(self) -> str:
        """Return the range in words."""
        raise NotImplementedError


@declared
@dataclass(frozen=True, slots=True)
class Uniform(Range):
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


@declared
@dataclass(frozen=True, slots=True)
class LogUniform(Range):
    """Evenly on a logarithmic scale between ``low`` and ``high``, both above zero.

    Raises
    ------
    SweepError
        Where ``low`` is not above zero or not below ``high``, or either is not finite.
    """

    is_log: ClassVar[bool] = True

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


@declared
@dataclass(frozen=True, slots=True)
class LogInt(Range):
    """Whole numbers evenly on a logarithmic scale, from ``low`` to ``high``, both included.

    A number k is drawn as often as a log-uniform value is rounded to it: with probability
    log((k + ½) / (k − ½)) / log((high + ½) / (low − ½)), which is close to a share of 1/k.

    Raises
    ------
    SweepError
        Where an end is not a whole number, or ``low`` is not above zero or not below ``high``.
    """

    low: int
    high: int
    is_log: ClassVar[bool] = True
    expected: ClassVar[str] = "whole number"

    def quantile(self, u: float, given: Mapping[str, Value]) -> int:
        """Return (low − ½) ((high + ½) / (low − ½))^u, rounded to a whole number.

        It is rounded from 12 significant digits: in further ones mathematical libraries differ.
        """
        first, last = self.low - 0.5, self.high + 0.5
        value = float(f"{first * math.exp(u * math.log(last / first)):.12g}")
        return min(max(math.floor(value + 0.5), self.low), self.high)

    def describe(self) -> str:
        """Return the range and how many orders of magnitude it spans."""
        orders = math.log10(self.high / self.low)
        return (
            f"log-uniform whole numbers {self.low} to {self.high} "
            f"({orders:.1f} orders of magnitude)"
        )


@declared
@dataclass(frozen=True, init=False, slots=True)
class Choice:
    """One of ``options``, each as likely as its share of ``weights`` (equally, without them).

    An option is a number, text, True, False, None or a tuple of these.

    Raises
    ------
    SweepError
        Where there is no option, one is of another kind, options repeat, or weights do not match
        or do not add up.
    """

    options: tuple[Value, ...]
    weights: tuple[float, ...]
    _ends: tuple[float, ...] = field(repr=False, compare=False)

    def __init__(self, *options: Value, weights: Sequence[float] | None = None) -> None:
        written = f"Choice({', '.join(map(shown, options))})"
        if not options:
            raise SweepError("Choice(): at least one option is needed")
        try:
            taken = self._options(options)
            shares = (1.0,) * len(options) if weights is None else plain_each(weights, "weights")
        except SweepError as error:
            raise SweepError(f"{written}: {error}") from None
        if len(set(taken)) < len(taken):
            raise SweepError(f"{written}: options repeat; use weights to make one more likely")
        if len(shares) != len(taken):
            raise SweepError(
                f"{written}: {len(taken)} options but {len(shares)} weights "
                f"{shares}; give one weight an option"
            )
        numbers = tuple(share for share in shares if is_number(share) and share >= 0)
        if len(numbers) < len(shares) or not 0 < sum(numbers) < math.inf:
            quoted = next(filter(None, map(unquoted, shares)), "")
            raise SweepError(
                f"{written}: weights {shown(shares)} must be finite numbers, none negative, and "
                f"not all zero{quoted}"
            )
        object.__setattr__(self, "options", taken)
        object.__setattr__(self, "weights", numbers)
        object.__setattr__(self, "_ends", tuple(itertools.accumulate(self.weights)))

    @staticmethod
    def _options(given: tuple[object, ...]) -> tuple[Value, ...]:
        """Return the options as plain values.

        Values in one bracket, and text among numbers that is a number, are likely to be mistakes.
        """
        several = not isinstance(given[0], str | bytes) and hasattr(given[0], "__len__")
        if len(given) == 1 and (several or isinstance(given[0], range)):
            raise SweepError(
                f"its one option is {shown(given[0])}; put a * before it to choose one of these, "
                "or use a plain tuple, without Choice, for one value"
            )
        taken = tuple(map(plain, given))
        check_quotes(taken, among=taken)
        return taken

    @property
    def progression(self) -> tuple[range, int] | None:
        """A range k and a power of ten d if the options are k/d: many numbers at one step.

        Of whole numbers d is 0. None where options are few, of another kind, or have weights.
        """
        options = self.options
        if len(options) <= MANY or len(set(self.weights)) > 1:
            return None
        kinds = {type(option) for option in options}
        if kinds == {int}:
            return _range_of(options, 0)
        if kinds != {float}:
            return None
        places = (Decimal(repr(option)).as_tuple().exponent for option in options)
        digits = -min(place for place in places if isinstance(place, int))
        if not 1 <= digits <= DIGITS:
            return None
        scaled = [round(option * 10**digits) for option in options]
        return _range_of(scaled, 10**digits) if _are(options, scaled, 10**digits) else None

    def quantile(self, u: float, given: Mapping[str, Value]) -> Value:
        """Return the option in whose share of the unit interval ``u`` lies."""
        place = bisect.bisect_right(self._ends, u * self._ends[-1])
        last = bisect.bisect_left(self._ends, self._ends[-1])  # the last option with a weight
        return self.options[min(place, last)]

    def values(self) -> tuple[Value, ...]:
        """Return the options."""
        return self.options

    def describe(self) -> str:
        """Return the options, with their weights where they differ; of many at a step, the ends."""
        if self.progression is not None:
            first, second, *_, last = self.options
            return f"{first}, {second}, …, {last} ({len(self.options)} values)"
        if len(set(self.weights)) == 1:
            return ", ".join(str(option) for option in self.options)
        return ", ".join(f"{o} ({w:g})" for o, w in zip(self.options, self.weights, strict=True))


@declared
@dataclass(frozen=True, init=False, slots=True)
class Given:
    """A distribution that depends on another parameter's value.

    Give cases as keywords where the other parameter's values are names, else as a mapping:
    ``Given("lr_schedule", advanced=…, cosine=…)``, ``Given("batch_size", {4: …, 8: …})``.

    Raises
    ------
    SweepError
        Where there is no case, or one is neither a distribution nor a plain value.
    """

    parameter: str
    cases: Mapping[Value, Distribution]

    def __init__(
        self, parameter: str, cases: Mapping[Value, object] | None = None, /, **named: object
    ) -> None:
        object.__setattr__(self, "parameter", text("Given: the parameter", parameter, "lr"))
        written = f"Given({self.parameter!r})"
        if cases is not None and not isinstance(cases, Mapping):
            raise SweepError(f"{written}: the cases are {shown(cases)}; expected {{value: …}}")
        found: dict[Value, Distribution] = {}
        for value, case in [*(cases or {}).items(), *named.items()]:
            try:
                found[plain(value)] = as_distribution(case)
            except SweepError as error:
                raise SweepError(f"{written}, case {shown(value)}: {error}") from None
        if not found:
            raise SweepError(f"{written}: at least one case is needed")
        object.__setattr__(self, "cases", found)

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


def _range_of(numbers: Sequence[Any], unit: int) -> tuple[range, int] | None:
    """Return the range that whole ``numbers`` are, with ``unit``; None where their steps differ."""
    step = numbers[1] - numbers[0]
    found = range(numbers[0], numbers[-1] + (1 if step > 0 else -1), step)
    return (found, unit) if list(found) == list(numbers) else None


def _are(options: Sequence[object], scaled: Sequence[int], unit: int) -> bool:
    return all(k / unit == option for k, option in zip(scaled, options, strict=True))


def as_distribution(value: object) -> Distribution:
    """Return ``value`` as a distribution; a plain value is a constant.

    Raises
    ------
    SweepError
        Where it is neither a distribution nor a plain value.
    """
    if _is_distribution(value):
        return value
    try:
        return Constant(plain(value))
    except SweepError:
        if not isinstance(value, type | list | set | Mapping):
            raise
    raise SweepError(
        f"{shown(value)} is neither a distribution nor a plain value; use "
        f"{listed((*DISTRIBUTIONS, PLAIN), 'or')}"
    )


def is_ours(distribution: Distribution) -> bool:
    """Return whether a distribution is one of this module, down to the cases of a `Given`."""
    if isinstance(distribution, Given):
        return all(map(is_ours, distribution.cases.values()))
    return type(distribution) in (Constant, Uniform, LogUniform, LogInt, Choice)


def _is_distribution(value: object) -> TypeGuard[Distribution]:
    """Return whether ``value`` has the methods of a distribution, and is no class of them."""
    members = [getattr(value, name, None) for name in ("quantile", "values", "describe")]
    return not isinstance(value, type) and all(map(callable, members))
