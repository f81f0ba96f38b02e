"""Read the numbers of a column under one convention: decimal marks, thousands, signs of units.

A column that leaves two readings open is not read: its cells stay text, and whoever uses it is told
the first such cell and what to write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Mark = Literal["point", "comma"]

_NUMBERISH = re.compile(
    r"(?P<sign>[+\-−]?)(?P<digits>[0-9][0-9.,_'’ \u00a0\u2009\u202f]*(?<! )|[.,][0-9]+)"
    r"(?P<power>[eE][+\-−]?[0-9]+)?[ \u00a0]?(?P<unit>[^\W\d_](?:[^\W\d_]|[/²³])*|%|°C?)?"
)
_SPACES = re.compile(r"(?P<mark>[ \u00a0\u2009\u202f'’_])")

_THOUSAND = {"k": 3, "K": 3, "M": 6, "G": 9, "B": 9, "T": 12}
_FAMILIES: tuple[dict[str, float], ...] = (
    {"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
    | {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40},
    {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "sec": 1, "min": 60}
    | {"h": 3600, "hr": 3600, "hours": 3600, "d": 86400, "days": 86400},
)
"""Units that are converted into each other: unit → its size."""

KNOWN_UNITS = frozenset(unit for family in _FAMILIES for unit in family) | set(_THOUSAND) | {"%"}


@dataclass(frozen=True, slots=True)
class Written:
    """A cell that may be a number, in its parts.

    ``digits`` are without sign, power of ten and unit, and without the spaces, apostrophes or
    underscores between thousands, of which ``spaced`` tells.
    """

    cell: str
    sign: str
    digits: str
    power: str = ""
    unit: str = ""
    spaced: bool = False


@dataclass(frozen=True, slots=True)
class Convention:
    """How the numbers of a column are written.

    ``read`` has cell → the number as Python writes it, for the cells that a plain reading takes for
    text. ``note`` tells the user, and is empty where nothing is unusual. ``doubt`` is a cell that
    leaves two readings open, with what to write: then nothing is read.
    """

    read: Mapping[str, str]
    note: str = ""
    doubt: tuple[str, str] | None = None


PLAIN = Convention({})


def written(cell: str) -> Written | None:
    """Return the parts of a cell that may be a number; None for any other text.

    >>> written("-1 000,5 GB")
    Written(cell='-1 000,5 GB', sign='-', digits='1000,5', power='', unit='GB', spaced=True)
    """
    match = _NUMBERISH.fullmatch(cell)
    if match is None:
        return None
    digits, unit = match["digits"], match["unit"] or ""
    if spaced := _SPACES.search(digits):
        mark = spaced
        whole, *rest = re.split("[.,]", digits)
        if not re.fullmatch(rf"\d{{1,3}}({re.escape(mark['mark'])}\d{{3}})+", whole):
            return None
        if len(rest) > 1 or any(_SPACES.search(part) for part in rest):
            return None
        digits = digits.replace(mark["mark"], "")
    if not re.fullmatch(r"[.,]?[0-9]+([.,][0-9]+)*\.?", digits):
        return None
    sign = match["sign"].replace("−", "-")
    power = (match["power"] or "").replace("−", "-").lower()
    return Written(cell, sign, digits, power, unit, spaced is not None)


# ---- decimal and thousands -----------------------------------------------------------------------


def is_grouped(digits: str, mark: str) -> bool:
    """Return whether digits may be grouped in thousands by ``mark``: "1,234" and "12,345,678"."""
    return re.fullmatch(rf"[1-9]\d{{0,2}}({re.escape(mark)}\d{{3}})+", digits) is not None


def decimal_mark(one: Written) -> Mark | None:
    """Return the decimal mark that a cell shows beyond doubt; None where it shows none.

    >>> [decimal_mark(written(t)) for t in ("0,5", "0.5", "1,234", "1.234,5", "1,234.5")]
    ['comma', 'point', None, 'comma', 'point']
    """
    points, commas = one.digits.count("."), one.digits.count(",")
    last: Mark = "comma" if one.digits.rfind(",") > one.digits.rfind(".") else "point"
    if points and commas:
        mark, group = (",", ".") if last == "comma" else (".", ",")
        whole, _, part = one.digits.rpartition(mark)
        return last if is_grouped(whole, group) and part.isdigit() else None
    if points + commas != 1:
        return None
    grouped = is_grouped(one.digits, "," if commas else ".")
    return last if not grouped or one.power else None


def shows_comma(one: Written) -> bool:
    """Return whether a cell has a decimal comma that is no pair of numbers: "0,05", not "3,3"."""
    if decimal_mark(one) != "comma":
        return False
    whole, _, part = one.digits.rpartition(",")
    long = len(part) > 3 or (part[0] == "0" and len(part) > 1)
    return bool(one.power) or one.spaced or long or "." in whole


def has_commas(cells: Iterable[str]) -> bool:
    """Return whether any cell shows a decimal comma."""
    found = (written(cell) for cell in cells if "," in cell)
    return any(one and (shows_comma(one) or re.match("0?,", one.digits)) for one in found)


def has_points(cells: Iterable[str]) -> bool:
    """Return whether any cell shows a decimal point beyond doubt."""
    found = (written(cell) for cell in cells if "." in cell)
    return any(one and decimal_mark(one) == "point" for one in found)


def decide(
    cells: Iterable[str], elsewhere: Callable[[], tuple[bool, bool]], separator: str
) -> Convention:
    """Return how the cells of a column that are text are written.

    ``elsewhere`` tells whether the other columns have decimal commas, and decimal points, beyond
    doubt. ``separator`` is that of the file's cells, empty where it has none.
    """
    distinct = dict.fromkeys(cells)
    found = [one for cell in distinct if (one := written(cell)) is not None]
    if not found or 2 * len(found) < len(distinct):
        return PLAIN
    unusual = [one for one in found if _is_unusual(one)]
    if not unusual:
        return PLAIN
    if len(found) < len(distinct):  # words among them: a unit then is a part of a name
        found = [one for one in found if not one.unit]
    marked = [one for one in found if "," in one.digits or one.digits.count(".") > 1]
    mark: Mark | None = "point"
    note = ""
    if marked or _doubtful_points(found, elsewhere):
        mark, note, doubt = _marks(found, elsewhere, separator)
        if doubt is not None:
            return Convention({}, doubt=doubt)
    if mark is None:
        return PLAIN
    numbers = {one.cell: _number(one, mark) for one in found}
    if not note and any(one.spaced for one in found):
        note = "thousands apart"
    return _with_units(found, numbers, note)


def _is_unusual(one: Written) -> bool:
    plain = re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", one.digits) and not (one.unit or one.spaced)
    return not plain or "−" in one.cell or is_grouped(one.digits, ".")


def _doubtful_points(found: list[Written], elsewhere: Callable[[], tuple[bool, bool]]) -> bool:
    """Return whether points may group thousands, as where the file has decimal commas elsewhere."""
    pointed = [one for one in found if "." in one.digits]
    grouped = [one for one in pointed if is_grouped(one.digits, ".") and not one.power]
    return bool(grouped) and len(grouped) == len(pointed) and elsewhere() == (True, False)


@dataclass(frozen=True, slots=True)
class _Marks:
    """The cells of a column by the marks in them.

    ``commas`` and ``points`` show a decimal mark beyond doubt, ``by_comma`` and ``by_point`` may be
    thousands, ``whole`` have no mark. ``elsewhere`` tells of decimal commas and points in the other
    columns.
    """

    commas: list[Written]
    points: list[Written]
    by_comma: list[Written]
    by_point: list[Written]
    whole: list[Written]
    elsewhere: tuple[bool, bool]
    separator: str


_Decision = tuple[Mark | None, str, tuple[str, str] | None]
"""The decimal mark of a column, None where it has no numbers; a note; the cell in doubt."""


def _marks(
    found: list[Written], elsewhere: Callable[[], tuple[bool, bool]], separator: str
) -> _Decision:
    by_mark: dict[Mark | None, list[Written]] = {"comma": [], "point": [], None: []}
    for one in found:
        if "," in one.digits or "." in one.digits:
            by_mark[decimal_mark(one)].append(one)
    commas, points, unclear = by_mark["comma"], by_mark["point"], by_mark[None]
    if commas and points:
        said = f"another cell is {points[0].cell!r}: write every number with a decimal point"
        return None, "", (commas[0].cell, said)
    by_comma = [one for one in unclear if is_grouped(one.digits, ",")]
    by_point = [one for one in unclear if is_grouped(one.digits, ".")]
    if len(by_comma) + len(by_point) < len(unclear):
        return None, "", None  # versions and lists, such as "1.2.3" and "1,2,3"
    if points and not by_point:
        return "point", "commas between thousands" if by_comma else "", None
    whole = [one for one in found if one.digits.isdigit()]
    marks = _Marks(commas, points, by_comma, by_point, whole, elsewhere(), separator)
    if commas:
        return _decimal_commas(marks)
    if by_comma:
        return _commas_apart(marks)
    return _points_apart(marks)


def _decimal_commas(marks: _Marks) -> _Decision:
    """Decide on cells such as "0,5", which may also be pairs of numbers."""
    commas, (comma_elsewhere, point_elsewhere) = marks.commas, marks.elsewhere
    below = any(one.digits[0] in ",0" for one in commas) or marks.separator == ";"
    likely = (comma_elsewhere or below) and not point_elsewhere
    if not (likely or any(map(shows_comma, commas))):
        return None, "", _pair_or_number(commas[0])
    if marks.by_point and not any("." in one.digits for one in commas):
        return None, "", _two_ways(marks.by_point[0])
    return "comma", "decimal commas", None


def _commas_apart(marks: _Marks) -> _Decision:
    """Decide on cells that are all like "1,234": thousands, or decimals, or lists of numbers.

    Numbers without a comma among them, or a group of three zeros, are those of thousands.
    """
    by_comma, (comma_elsewhere, point_elsewhere) = marks.by_comma, marks.elsewhere
    zeros = any(re.search(",000(,|$)", one.digits) for one in by_comma)
    thousands = bool(marks.whole) or zeros
    single = all(one.digits.count(",") == 1 for one in by_comma)
    if marks.by_point:
        return None, "", _two_ways(by_comma[0])
    if comma_elsewhere:
        if single and not thousands and not point_elsewhere:
            return "comma", "decimal commas, as other columns have", None
        return None, "", _two_ways(by_comma[0])
    if thousands and (point_elsewhere or not single or marks.separator != ";"):
        return "point", "commas between thousands", None
    return None, "", _two_ways(by_comma[0])


def _points_apart(marks: _Marks) -> _Decision:
    """Decide on cells that are all like "1.234.567", or like "1.234" in a file of commas."""
    by_point = marks.by_point
    zeros = any(re.search(r"\.000(\.|$)", one.digits) for one in by_point)
    if any(one.digits.count(".") > 1 for one in by_point):
        if marks.whole or zeros:
            return "comma", "points between thousands", None
        return None, "", None
    return None, "", _two_ways(by_point[0]) if marks.elsewhere[0] and by_point else None


def _two_ways(one: Written) -> tuple[str, str]:
    digits = one.digits.replace(",", ".", 1).replace(",", "")
    whole = re.sub("[.,]", "", one.digits)
    return one.cell, f"it may be {one.sign}{digits} or {one.sign}{whole}: write every number so"


def _pair_or_number(one: Written) -> tuple[str, str]:
    digits = one.digits.replace(",", ".")
    pair = one.digits.replace(",", ", ")
    return one.cell, f"it may be {one.sign}{digits} or a pair: write {digits} or ({pair})"


def _number(one: Written, mark: Mark) -> str:
    """Return a number as Python writes it, without its unit."""
    digits = one.digits
    digits = digits.replace(".", "").replace(",", ".") if mark == "comma" else digits
    return f"{one.sign}{digits.replace(',', '')}{one.power}"


# ---- units ---------------------------------------------------------------------------------------


def _with_units(found: list[Written], numbers: Mapping[str, str], note: str) -> Convention:
    """Return the numbers of a column in one unit."""
    known = [unit for unit in dict.fromkeys(one.unit for one in found) if unit]
    if not known:
        return Convention(numbers, note)
    bare = [one for one in found if not one.unit and float(numbers[one.cell])]
    powers = set(known) <= _THOUSAND.keys() and (len(known) > 1 or bare or known[0] in "kKM")
    family = next((sizes for sizes in _FAMILIES if set(known) <= sizes.keys()), None)
    if powers:
        read = {o.cell: _times_ten(numbers[o.cell], _THOUSAND.get(o.unit, 0)) for o in found}
        return Convention(read, _and(note, f"{known[0]} is {10 ** _THOUSAND[known[0]]:,}"))
    glued = any(one.unit and one.cell[-len(one.unit) - 1] not in " \u00a0" for one in found)
    if not KNOWN_UNITS & set(known) and (glued or len(known) > 1):
        return PLAIN  # names that begin with a digit, such as "4bit"
    if bare or (family is None and len(known) > 1):
        doubt = _mixed(found, bare, known[0])
        return Convention({}, doubt=doubt) if KNOWN_UNITS & set(known) else PLAIN
    if known == ["%"]:
        read = {cell: _times_ten(text, -2) for cell, text in numbers.items()}
        return Convention(read, _and(note, "percentages, as shares: 10% is 0.1"))
    return Convention(_in_one_unit(found, numbers, family or {}), _and(note, f"in {known[0]}"))


def _mixed(found: list[Written], bare: list[Written], unit: str) -> tuple[str, str]:
    """Return the cell whose unit is not that of most others, and what to write."""
    marked = [one for one in found if one.unit]
    if len(bare) >= len(marked):
        how = "as a share, without a sign" if unit == "%" else "without it"
        return marked[0].cell, f"the others have no unit: write it {how}"
    others = (one for one in found if one.unit not in ("", unit))
    odd = bare[0] if bare else next(others)
    return odd.cell, f"others are in {unit}: write all in one unit, or in none"


def _in_one_unit(
    found: list[Written], numbers: Mapping[str, str], sizes: Mapping[str, float]
) -> dict[str, str]:
    """Return the numbers in the unit of the first, whose cells have one of ``sizes`` or are 0."""
    base = next(one.unit for one in found if one.unit)
    return {
        one.cell: numbers[one.cell]
        if one.unit in ("", base)
        else repr(float(numbers[one.cell]) * (sizes[one.unit] / sizes[base]))
        for one in found
    }


def _times_ten(text: str, power: int) -> str:
    """Return a number times a power of ten, exactly; a whole number stays one."""
    if power >= 0 and text.lstrip("+-").isdigit():
        return text + "0" * power
    mantissa, _, exponent = text.partition("e")
    number = f"{mantissa}e{int(exponent or 0) + power}"
    whole = float(number)
    return str(int(whole)) if power > 0 and whole.is_integer() and whole < 2**53 else number


def _and(note: str, more: str) -> str:
    return f"{note}, {more}" if note else more
