"""A space from elsewhere as it was read: distributions of ours, and notes on what has none."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

from harness.errors import SweepError, UsageError, unquoted
from harness.records import is_number, is_whole
from harness.sweeps.checks import shown
from harness.sweeps.distributions import (
    Choice,
    Constant,
    Distribution,
    LogInt,
    LogUniform,
    Uniform,
)

MANY = 10_000
"""The most values of a range with steps that become the options of a choice."""

WEIGHTED = 8
"""The most values of a logarithmic range with steps that become options with weights."""

NORMAL = 2.0
"""The standard deviations on each side of a normal distribution that a range takes in."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that has no counterpart here. ``parameter`` is empty where it is of the sweep."""

    text: str
    parameter: str = ""

    def __str__(self) -> str:
        return f"{self.parameter}: {self.text}" if self.parameter else self.text


@dataclass(frozen=True, slots=True)
class Drawn:
    """A distribution, None where there is none of ours; ``note`` says what it leaves out."""

    by: Distribution | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class FoundSpace:
    """A space from elsewhere, with what its source says of the sweep.

    ``kind`` is whose format it has, as "a W&B sweep". What the source does not say is None.
    ``direction`` is ``min`` or ``max``.
    """

    kind: str
    space: Mapping[str, Distribution]
    notes: tuple[Note, ...] = ()
    name: str | None = None
    runs: int | None = None
    seed: int | None = None
    metric: str | None = None
    direction: str | None = None


@dataclass(slots=True)
class Gathered:
    """The parameters and the notes of a space while it is read."""

    space: dict[str, Distribution] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def add(self, name: str, drawn: Drawn) -> None:
        """Add a parameter, and a note on what it leaves out; one without a distribution is noted.

        Raises
        ------
        UsageError
            Where there is one of that name.
        """
        if name in self.space:
            raise UsageError(f"there are two parameters {name!r}")
        if drawn.by is not None:
            self.space[name] = drawn.by
        if drawn.note:
            self.notes.append(Note(drawn.note, name))

    def add_note(self, name: str, text: str) -> None:
        """Add a note on a parameter."""
        self.notes.append(Note(text, name))

    def say(self, text: str) -> None:
        """Add a note on the sweep."""
        self.notes.append(Note(text))


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a source writes: the name of the function, its arguments, those with a name."""

    name: str
    given: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self, *names: str, **defaults: object) -> list[Any]:
        """Return the arguments called ``names``, by place or by name, or their default.

        Raises
        ------
        UsageError
            Where there is another argument, or one is missing.
        """
        found = dict(zip(names, self.given, strict=False)) | dict(self.named)
        lacking = [name for name in names if name not in found and name not in defaults]
        if len(self.given) > len(names) or lacking or set(found) - set(names):
            wanted = ", ".join(names)
            raise UsageError(f"{self.name}(…) is called otherwise than {self.name}({wanted})")
        return [found.get(name, defaults.get(name)) for name in names]


@contextmanager
def at(place: str) -> Iterator[None]:
    """Put ``place`` before what is raised within: a `UsageError` that says where it is.

    Raises
    ------
    UsageError
        Where one is raised within, or a `SweepError`.
    """
    try:
        yield
    except (SweepError, UsageError) as error:
        raise UsageError(f"{place}: {error}") from None


# ---- what a source gives -------------------------------------------------------------------------


def mapping(what: str, given: object) -> Mapping[str, Any]:
    """Return ``given`` if it is a mapping with text as keys.

    Raises
    ------
    UsageError
        Where it is anything else; the message says that ``what`` is this.
    """
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise UsageError(f"{what} is {shown(given)}; expected a mapping of names")
    return given


def sequence(what: str, given: object) -> Sequence[Any]:
    """Return ``given`` if it is a list or a tuple with something in it, or raise as `mapping`."""
    if not isinstance(given, list | tuple) or not given:
        raise UsageError(f"{what} is {shown(given)}; expected a list of values")
    return given


def finite(what: str, given: object) -> int | float:
    """Return ``given`` if it is a finite number, or raise as `mapping`."""
    if not is_number(given) or not math.isfinite(given):
        raise UsageError(f"{what} is {shown(given)}; expected a finite number{unquoted(given)}")
    return given


def counted(what: str, given: object) -> int | None:
    """Return ``given`` if it is a whole number from 1 on or None, or raise as `mapping`."""
    if given is None or (is_whole(given) and given > 0):
        return given
    raise UsageError(f"{what} is {shown(given)}; expected a whole number of at least 1")


def direction(what: str, given: object) -> str | None:
    """Return ``min`` or ``max`` for a goal as the trackers name it, or raise as `mapping`."""
    if given is None:
        return None
    if isinstance(given, str) and given.lower() in ("minimize", "min", "maximize", "max"):
        return given.lower()[:3]
    raise UsageError(f"{what} is {shown(given)}; expected minimize or maximize")


def weights(what: str, given: object, options: Sequence[object]) -> list[float]:
    """Return the weights of options, or raise as `mapping` where they are not one an option."""
    found = [finite(f"{what}: a weight", one) for one in sequence(f"{what}: its weights", given)]
    if len(found) != len(options):
        raise UsageError(f"{what} has {len(options)} values and {len(found)} weights")
    return found


def integral(what: str, given: float) -> int:
    """Return ``given`` as a whole number, or raise as `mapping`."""
    if not float(given).is_integer():
        raise UsageError(f"{what} is {shown(given)}; expected a whole number")
    return int(given)


# ---- distributions -------------------------------------------------------------------------------


def constant(given: object) -> Drawn:
    """Return a fixed value; lists become tuples, and mappings text."""
    value, note = _plain(given)
    return Drawn(Constant(value), note)


def choice(options: Sequence[object], shares: Sequence[float] | None = None) -> Drawn:
    """Return a choice; options that repeat count together, and one alone is a fixed value."""
    sizes: dict[tuple[type, Any], float] = {}
    note = ""
    for place, option in enumerate(options):
        value, said = _plain(option)
        note = note or said
        share = 1 if shares is None else shares[place]
        sizes[type(value), value] = sizes.get((type(value), value), 0) + share
    values = [value for _, value in sizes]
    if len(values) == 1:
        return Drawn(Constant(values[0]), note)
    equal = len(set(sizes.values())) == 1
    return Drawn(Choice(*values, weights=None if equal else tuple(sizes.values())), note)


def real(low: float, high: float, *, log: bool = False, step: float | None = None) -> Drawn:
    """Return numbers from ``low`` to ``high``, both included, evenly or on a logarithmic scale.

    With a step they are the values of a `Choice`, each as likely as the numbers that are rounded
    to it. Where these are too many, the range has no step, and the note says so.
    """
    if low == high:
        return constant(low)
    whole_range: Distribution = LogUniform(low, high) if log else Uniform(low, high)
    if step is None:
        return Drawn(whole_range)
    if step <= 0:
        raise UsageError(f"the step is {shown(step)}; expected a number above 0")
    most = WEIGHTED if log else MANY
    if (high - low) / step > most:
        return Drawn(
            whole_range,
            f"its step of {step:g} is left out, since it makes more than {most} values",
        )
    values = _grid(low, high, step)
    if not log or len(values) < 2:
        return choice(values)
    middles = ((a + b) / 2 for a, b in pairwise(values))
    ends = [max(low, values[0] - step / 2), *middles, max(high, values[-1])]
    return choice(values, [float(f"{math.log(b / a):.3g}") for a, b in pairwise(ends)])


def whole(low: int, high: int, *, log: bool = False, step: int = 1) -> Drawn:
    """Return whole numbers from ``low`` to ``high``, both included: a `LogInt` or a `Choice`."""
    if low == high:
        return constant(low)
    if log and step == 1:
        return Drawn(LogInt(low, high))
    if log:
        drawn = real(low, high, log=True, step=step)
        return drawn if isinstance(drawn.by, Choice) else Drawn(LogInt(low, high), drawn.note)
    if step < 1 or low > high:
        raise UsageError(f"{low} to {high} in steps of {step} has no whole number")
    if (every := step * math.ceil(((high - low) // step + 1) / MANY)) != step:
        return Drawn(
            Choice(*range(low, high + 1, every)),
            f"more than {MANY:,} values: they are taken in steps of {every}",
        )
    return choice(range(low, high + 1, step))


def normal(
    mean: float,
    sd: float,
    *,
    log: bool = False,
    step: float | None = None,
    are_whole: bool = False,
    within: tuple[float, float] | None = None,
) -> Drawn:
    """Return a range in the place of a normal distribution, which has no counterpart.

    It has the mean and `NORMAL` standard deviations on each side; with ``log`` these are of the
    natural logarithm. ``within`` are ends that it keeps to.
    """
    low, high = mean - NORMAL * sd, mean + NORMAL * sd
    if log:
        low, high = math.exp(low), math.exp(high)
    if within is not None:
        low, high = max(low, within[0]), min(high, within[1])
    drawn = (
        whole(math.ceil(low), math.floor(high))
        if are_whole
        else real(_short(low), _short(high), log=log, step=step)
    )
    words = f"drawn from a {'log-' if log else ''}normal distribution (mean {mean:g}, "
    words += f"standard deviation {sd:g}), which has no counterpart: a range of "
    words += f"{NORMAL:g} standard deviations on each side stands in its place"
    return Drawn(drawn.by, f"{words}; {drawn.note}" if drawn.note else words)


def beta(a: float, b: float, low: float, high: float, *, are_whole: bool = False) -> Drawn:
    """Return the range of a beta distribution, which has no counterpart."""
    drawn = whole(math.ceil(low), math.floor(high)) if are_whole else real(low, high)
    words = f"drawn from a beta distribution ({a:g}, {b:g}), which has no counterpart: "
    return Drawn(drawn.by, f"{words}its whole range stands in its place, drawn from evenly")


def nothing(why: str) -> Drawn:
    """Return no distribution, with the reason."""
    return Drawn(None, f"not in the space: {why}")


def size_of(space: Mapping[str, Distribution]) -> int | None:
    """Return the number of combinations of a space; None where it has a range."""
    sizes = [
        len(drawn.values()) if isinstance(drawn, Choice | Constant) else 0
        for drawn in space.values()
    ]
    return math.prod(sizes) or None


def _plain(given: object) -> tuple[Any, str]:
    """Return a value that a parameter can have, and a note where it is another than the given."""
    if isinstance(given, list | tuple):
        parts = [_plain(one) for one in given]
        return tuple(value for value, _ in parts), next((note for _, note in parts if note), "")
    if isinstance(given, Mapping):
        try:
            return json.dumps(given), "a mapping is written as JSON text; json.loads reads it back"
        except (TypeError, ValueError):
            pass
    return given, ""


def _grid(low: float, high: float, step: float) -> list[float]:
    """Return the multiples of ``step`` after ``low``, up to ``high``, as decimals have them."""
    first, by, last = (Decimal(repr(end)) for end in (low, step, high))
    values = [first + by * k for k in range(int((last - first) / by) + 1)]
    is_integral = all(isinstance(end, int) for end in (low, step))
    return [int(value) if is_integral else float(value) for value in values]


def _short(value: float) -> float:
    return float(f"{value:.6g}")
