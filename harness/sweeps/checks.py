"""Check what a sweep file declares: plain values, numbers in their range, known keywords."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import functools
import inspect
import math
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from harness.errors import SweepError, nearest, unquoted
from harness.records import Value, is_number, is_whole
from harness.text import listed

P = ParamSpec("P")
T = TypeVar("T")

SHOWN = 60
"""The most characters of a value that a message repeats."""

PLAIN = "a number, text, True, False, None, or a tuple of these"
"""The values that a parameter can have: the store gives these back as they were."""


def plain(value: object) -> Value:
    """Return ``value`` as a plain Python value, which can be hashed and stored.

    NumPy's scalars, arrays without a dimension, and subclasses such as ``IntEnum`` become the
    numbers and the text they are; the values of a tuple are taken one by one.

    Raises
    ------
    SweepError
        Where it is anything else, or a number that is not finite.
    """
    if value is None or type(value) in (bool, str):
        return value  # type: ignore[return-value]
    value = _without_numpy(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return _finite(int(value))
    if isinstance(value, float):
        return _finite(float(value))
    if isinstance(value, tuple):
        return tuple(plain(one) for one in value)
    raise SweepError(f"{shown(value)} is {_kind(value)}; {_instead(value)}")


def plain_each(values: object, what: str) -> tuple[Value, ...]:
    """Return the values of a tuple, a list, a range or an array of one dimension, each `plain`.

    Raises
    ------
    SweepError
        Where ``values``, called ``what``, are none of these, or one of them is not plain.
    """
    if _is_array(values) or not isinstance(values, tuple | list | range):
        given = values.tolist() if _is_array(values) else None  # type: ignore[attr-defined]
        if not isinstance(given, list):
            raise SweepError(f"{what} is {shown(values)}; expected several, as (4, 8)")
        values = given
    return tuple(plain(value) for value in values)


def check_quotes(values: Iterable[Value], among: Iterable[Value]) -> None:
    """Check that none of ``values`` is text that is a number, if ``among`` which there are numbers.

    Raises
    ------
    SweepError
        Where one is: it is likely to be meant as that number.
    """
    if any(map(is_number, among)):
        for value in values:
            if quoted := unquoted(value):
                raise SweepError(f"{value!r} is text among numbers{quoted}")


def number(
    what: str,
    value: object,
    expected: str,
    accepts: Callable[[int | float], bool] = math.isfinite,
    *,
    whole: bool = False,
) -> Any:  # noqa: ANN401  an int where it was one, and a field may be declared as either
    """Return ``value`` as a Python number that ``accepts`` takes; True and False are none.

    Raises
    ------
    SweepError
        Where it is not; the message says that ``what`` is this value, and what was ``expected``.
    """
    found = _without_numpy(value)
    is_right = is_whole if whole else is_number
    try:
        if is_right(found) and accepts(plain(found)):  # type: ignore[arg-type]
            return plain(found)
    except SweepError:  # not finite, or too large
        pass
    raise SweepError(f"{what} is {shown(value)}; expected {expected}{unquoted(value)}")


def count(what: str, value: object, least: int = 1) -> int:
    """Return ``value`` as a whole number of at least ``least``, or raise as `number` does."""
    expected = f"a whole number of at least {least}"
    found: int = number(what, value, expected, lambda size: size >= least, whole=True)
    return found


def text(what: str, value: object, *examples: str) -> str:
    """Return ``value`` as text that can be printed and is not empty; `SweepError` for others."""
    if not isinstance(value, str) or not value or not value.isprintable():
        like = listed(map(repr, examples), "or")
        raise SweepError(f"{what} is {shown(value)}; expected text in one line, as {like}")
    return str.__str__(value)


def shown(value: object) -> str:
    """Return the repr of ``value`` in one line, cut where it is long."""
    try:
        words = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001  a repr of the user's own, or a number of too many digits
        words = f"<{type(value).__name__}>"
    return words if len(words) <= SHOWN else f"{words[: SHOWN - 1]}…"


# ---- keywords ------------------------------------------------------------------------------------


def declared(kind: type[T]) -> type[T]:
    """Check the arguments of a class that a sweep file calls, and of the classes that inherit them.

    An argument that it does not have is a `SweepError` in one line.
    """
    made: Callable[..., None] = kind.__init__

    @functools.wraps(made)
    def checked(self: T, *given: object, **named: object) -> None:
        check_arguments(type(self).__name__, made, (self, *given), named)
        made(self, *given, **named)

    kind.__init__ = checked  # type: ignore[method-assign,assignment]
    return kind


def declares(name: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Check the arguments of a function that a sweep file calls ``name``, as `declared` does."""

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def checked(*given: P.args, **named: P.kwargs) -> T:
            check_arguments(name, function, given, named)
            return function(*given, **named)

        return checked

    return decorated


def check_arguments(
    name: str, function: Callable[..., object], given: tuple[object, ...], named: dict[str, object]
) -> None:
    """Check that ``function``, called ``name``, takes these arguments.

    Raises
    ------
    SweepError
        Where it does not. The message names the keyword and the known ones, or what is missing.
    """
    signature = inspect.signature(function)
    kinds = signature.parameters.values()
    known = [one.name for one in kinds if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    known = known[1:] if known[:1] == ["self"] else known
    if not any(one.kind is one.VAR_KEYWORD for one in kinds):
        for keyword in named:
            if keyword not in known:
                has = listed(known) or "none"
                raise SweepError(
                    f"{name} has no argument {keyword!r}{nearest(keyword, known)} (it has: {has})"
                )
    try:
        signature.bind(*given, **named)
    except TypeError as error:
        raise SweepError(f"{name}: {error}; its arguments are {listed(known)}") from None


# ---- what is not plain ---------------------------------------------------------------------------


def _finite(value: int | float) -> int | float:
    try:
        if math.isfinite(float(value)):
            return value
    except OverflowError:
        raise SweepError(f"{shown(value)} is too large for a number; use text") from None
    raise SweepError(f"{value!r} is not a finite number; use a finite one, or None for not set")


def _is_array(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _without_numpy(value: object) -> object:
    """Return the number, text or truth value of a NumPy scalar; anything else as it is."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return value
    if isinstance(value, numpy.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, numpy.generic):
        taken = {"b": bool, "i": int, "u": int, "f": float, "U": str}.get(value.dtype.kind)
        return value if taken is None else taken(value)
    return value


def _kind(value: object) -> str:
    """Return what a value is, as "a list"."""
    if inspect.isroutine(value):
        return "a function"
    if isinstance(value, type):
        return "a class"
    if _is_array(value):
        return "an array"
    name = type(value).__name__
    return name if name == "bytes" else f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def _instead(value: object) -> str:
    """Return what to write in the place of a value that is not plain."""
    if isinstance(value, list) or _is_array(value):
        listed_ = tuple(value) if isinstance(value, list) else tuple(value.tolist())  # type: ignore[attr-defined]
        return f"write a tuple, {shown(listed_)}"
    if isinstance(value, enum.Enum):
        return f"write its value or its name, {value.name!r}"
    if isinstance(value, decimal.Decimal | fractions.Fraction):
        return "write it as a float"
    if isinstance(value, bytes | os.PathLike | datetime.date | datetime.time | datetime.timedelta):
        return "write it as text"
    if inspect.isroutine(value) or isinstance(value, type):
        return "write its name as text, and look it up in the training function"
    return f"use {PLAIN}"
