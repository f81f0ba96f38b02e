"""Cells of a table as values: a number that is written as text is a number, a blank is None."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TypeGuard

from harness.records import Value

BLANK = frozenset({"", "na", "n/a", "none", "null", "<na>"})
"""Texts that say that there is no value, in any case of letters."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII)
_WORDS = {"true": True, "false": False, "nan": math.nan} | {
    sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in ("inf", "infinity")
}
_WHOLE = 2.0**53
_LONGEST = 40
_LARGEST = 10**300


def value(cell: object) -> Value:
    """Return what a cell says: a bool, an int, a float (nan and ±inf too), text, or None.

    >>> [value(cell) for cell in ("8", "1e-3", "True", "NA", "cosine")]
    [8, 0.001, True, None, 'cosine']
    """
    if cell is None or isinstance(cell, bool | int | float):
        return cell
    text = str(cell).strip()
    word = text.lower()
    if word in BLANK:
        return None
    if word in _WORDS:
        return _WORDS[word]
    # Numbers of more digits than any number needs are names that happen to be digits.
    if len(word) <= _LONGEST and (match := _NUMBER.fullmatch(word)):
        return int(word) if match[1].isdigit() and not match[2] else float(word)
    return text


def values(cells: Iterable[object]) -> list[Value]:
    """Return what each cell of a column [n] says."""
    known: dict[object, Value] = {}
    found: list[Value] = []
    for cell in cells:
        if not isinstance(cell, str):
            found.append(value(cell))
            continue
        if cell not in known:
            known[cell] = value(cell)
        found.append(known[cell])
    return found


def levels(found: Iterable[Value]) -> list[Value]:
    """Return the values of a column [n] as those of a parameter.

    A missing number is a blank. One that is infinite, or larger than any float, is text, since it
    has no place on a scale. Where every
    number is whole they are ints, whichever way they are written: 16 and 16.0 are the same level.
    """
    items = [_level(item) for item in found]
    if all(item.is_integer() and abs(item) < _WHOLE for item in items if isinstance(item, float)):
        return [int(item) if isinstance(item, float) else item for item in items]
    return [float(item) if _is_exact(item) else item for item in items]


def is_number(item: Value) -> TypeGuard[int | float]:
    """Whether a value is a number; True and False are not."""
    return isinstance(item, int | float) and not isinstance(item, bool)


def is_numeric(found: Sequence[Value]) -> bool:
    """Whether a column has numbers, and nothing but numbers and blanks."""
    known = [item for item in found if item is not None]
    return bool(known) and all(map(is_number, known))


def identity(cell: object) -> str:
    """Return a cell as an id, digit for digit as it is written: "007" and "1e5" stay what they are.

    Empty where there is none.
    """
    if cell is None:
        return ""
    if isinstance(cell, float) and not math.isinf(cell):
        return "" if math.isnan(cell) else str(int(cell) if cell.is_integer() else cell)
    return str(cell).strip()


def _level(item: Value) -> Value:
    if isinstance(item, float) and not math.isfinite(item):
        return None if math.isnan(item) else str(item)
    return str(item) if isinstance(item, int) and abs(item) > _LARGEST else item


def _is_exact(item: Value) -> TypeGuard[int]:
    return isinstance(item, int) and not isinstance(item, bool) and abs(item) < _WHOLE
