"""Write numbers, units and lists: the same everywhere, and as people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from harness.records import Span, Value, finite

HUGE = 1e9
"""Numbers of at least this size are written with an exponent."""

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)

NONE = "–"
"""Written in place of a missing number."""


class Interval(Protocol):
    """An estimate's interval: its ends, infinite where open, and its confidence level."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def level(self) -> float: ...


def printable(text: str) -> str:
    """Return ``text`` without escape sequences, and with U+FFFD for other control characters.

    Databases, HTML and terminals refuse or obey them.
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _ESCAPES.sub("", text))


# ---- single numbers ------------------------------------------------------------------------------


def number(value: float) -> str:
    """Return a number as it is read: three decimals on the scale of scores, else four digits."""
    if not math.isfinite(value):
        return "unknown"
    size = abs(value)
    if 0.0 < size < 1e-4:
        text = learning_rate(size)
    elif size >= 10.0 or 0.0 < size < 0.0005:
        text = _rounded(size, 4 if size >= 10.0 else 2)
    else:
        text = f"{size:.3f}"
    return f"−{text}" if value < 0 else text


def signed(value: float) -> str:
    """Return a change: ``+0.072``, ``−0.132``."""
    return number(value) if value < 0 else f"+{number(value)}"


def exact(value: float, *, plus: bool = True) -> str:
    """Return a number with all of its digits that matter, a change with its sign: ``+0.2025``."""
    return ("−" if value < 0 else "+" * plus) + _rounded(abs(value), 6)


def significant(value: float, digits: int = 3) -> str:
    """Return a number to so many digits: ``1.02e-7``, ``0.005``, ``−0.25``."""
    size = abs(value)
    small = 0.0 < size < 1e-3 or size >= 1e6
    text = learning_rate(size, digits) if small else _rounded(size, digits)
    return f"−{text}" if value < 0 else text


def learning_rate(value: float | None, digits: int = 2) -> str:
    """Return ``2.1e-7``."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def short_exponent(number: str) -> str:
    """Return a written number with its exponent as ``e-7`` where Python has ``e-07``."""
    mantissa, e, exponent = number.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def _rounded(value: float, digits: int) -> str:
    return short_exponent(f"{value:.{digits}g}")


def p_value(value: float | None, name: str = "") -> str:
    """Return ``0.032``, and ``< 0.001`` below that; with a name, ``p = 0.032``."""
    if value is None:
        return NONE
    is_ = f"{name} = " if name else ""
    if value < 0.001:
        return f"{name} < 0.001".strip()
    return is_ + (f"{value:.3f}" if value < 0.1 else f"{value:.2f}")


def p_text(value: float) -> str:
    """Return ``p = 0.032``, or ``p < 0.001``."""
    return p_value(value, "p")


def chance(p: float) -> str:
    """Return a probability to two digits, however small: ``0.46``, ``2.3e-8``."""
    return learning_rate(p, 2) if 0.0 < p < 0.001 else p_value(p)


def percent(value: float | None) -> str:
    """Return ``71%``."""
    return NONE if value is None else f"{100 * value:.0f}%"


def percent_between(low: float | None, high: float | None) -> str:
    """Return ``51 to 85%``."""
    if low is None or high is None:
        return NONE
    return f"{100 * low:.0f} to {100 * high:.0f}%"


def interval(of: Interval, *, percent: bool = False, write: Callable[[float], str] = signed) -> str:
    """Return ``90% interval +0.01 to +0.05``, with ``…`` for an open end.

    Where both are open, nothing is known of the spread: ``no interval``.
    """
    if not (math.isfinite(of.low) or math.isfinite(of.high)):
        return "no interval"
    ends = [
        "…" if not math.isfinite(end) else (f"{end:.0%}" if percent else write(end))
        for end in (of.low, of.high)
    ]
    return f"{of.level:.0%} interval {ends[0]} to {ends[1]}"


# ---- units ---------------------------------------------------------------------------------------


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return ``1 run`` or ``24 runs``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def in_words(number: int) -> str:
    """Return a small number as a word: ``nine``; from 13 on in digits."""
    return _WORDS[number] if number < len(_WORDS) else f"{number:,}"


def duration(seconds: float | None) -> str:
    """Return ``3.1 s``, ``4 min 10 s`` or ``2 h 3 min``."""
    if seconds is None:
        return NONE
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def clock(seconds: float | None) -> str:
    """Return a duration as ``m:ss`` or ``h:mm:ss``; ``…`` where it is not known yet."""
    if seconds is None:
        return "…"
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def byte_size(size: float) -> str:
    """Return a number of bytes, as ``--sweep-memory 1.5G`` counts them: ``1.5 GiB``."""
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return plural(round(size), "byte")


# ---- names, values, lists ------------------------------------------------------------------------


def listed(words: Iterable[str], last: str = "and") -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    words = list(words)
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def first(words: Iterable[str], most: int) -> str:
    """Return the first words of a long list: ``a, b and 6 more``."""
    words = list(words)
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")


def listed_values(values: Iterable[Value], last: str = "and") -> str:
    """Return values of a parameter as `listed`: ``4, 8 and 12``."""
    return listed(map(parameter_value, values), last)


def parameter_name(parameter: str) -> str:
    """Return a parameter's name in words: ``learning rate``."""
    return parameter.replace("_", " ")


def parameter_value(value: Value) -> str:
    """Return a parameter's value in a sentence: ``4e-7``, ``true``, ``not set``."""
    if value is None:
        return "not set"
    return significant(value) if isinstance(value, float) else cell(value)


def level_text(level: Value | Span) -> str:
    """Return a parameter's level, or a part of its range, in a sentence: ``1 to 3``."""
    if isinstance(level, Span):
        return f"{parameter_value(level.low)} to {parameter_value(level.high)}"
    return parameter_value(level)


def cell(value: Value, *, rate: bool = False) -> str:
    """Return a config's value as a table shows it; a ``rate`` always with its exponent."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return learning_rate(value) if rate or 0 < abs(value) < 1e-3 else _rounded(value, 4)
    return str(value)


# ---- columns of numbers --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Digits:
    """Writes scores with a fixed number of decimals, so that a column of them is aligned.

    Without ``plus`` a positive number has no sign: it is no change. With ``figures`` each number
    has so many significant digits instead: a few are so far off that no decimals suit all.
    """

    places: int = 3
    plus: bool = True
    figures: int | None = None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Digits:
        """Return the decimals that show two digits of the spread of ``values``; three at least."""
        known = [value for value in values if value is not None and math.isfinite(value)]
        if not known:
            return cls()
        largest = max(map(abs, known))
        mean = sum(known) / len(known)
        spread = math.sqrt(sum((value - mean) ** 2 for value in known) / len(known))
        if largest >= HUGE:
            digits = cls(0)
        elif spread <= largest * 1e-9:
            digits = cls(4)
        else:
            least = 0 if largest >= 100 else 3
            digits = cls(min(max(2 - math.ceil(math.log10(spread)), least), 6))
        return digits._or_figures(known)

    def _or_figures(self, values: list[float]) -> Digits:
        """Return significant digits where decimals do not show what the middle half differs by.

        That is where a few of ``values`` are far beyond the others.
        """
        ordered, n = sorted(values), len(values)
        usual = sorted(map(abs, values))[n // 2]
        middle = ordered[(3 * n) // 4] - ordered[n // 4]
        if not (usual > 0.0 and 0.0 < middle < 10.0**-self.places):
            return self
        return replace(self, figures=min(6, max(3, 2 + math.ceil(math.log10(usual / middle)))))

    def enough_for(self, value: float) -> Digits:
        """Return digits with decimals enough to show two digits of ``value`` too."""
        if self.figures is not None or not math.isfinite(value) or value == 0.0:
            return self
        enough = 1 - math.floor(math.log10(abs(value)))
        return replace(self, places=max(self.places, min(12, enough)))

    def plain(self, value: float | None) -> str:
        """Return ``0.081``, or ``–`` where there is no finite number."""
        if value is None or not math.isfinite(value):
            return NONE
        if self.figures is not None:
            return significant(value, self.figures)
        if abs(value) >= HUGE:
            return significant(value)
        return f"{round(value, self.places) + 0.0:.{self.places}f}".replace("-", "−")

    def signed(self, value: float | None) -> str:
        """Return ``+0.072``, and plain ``0`` with its decimals where nothing is left to sign."""
        text = self.plain(value)
        if not self.plus or text == NONE or text[0] == "−" or not float(text):
            return text
        return f"+{text}"

    def with_error(self, value: float | None, error: float | None) -> str:
        """Return ``+0.072 ± 0.011``."""
        if NONE in (self.plain(value), self.plain(error)):
            return self.signed(value)
        return f"{self.signed(value)} ± {self.plain(error)}"

    def between(self, low: float | None, high: float | None, *, signed: bool = True) -> str:
        """Return ``+0.041 to +0.103``; an end that is open is left out in words."""
        return _between(low, high, self.signed if signed else self.plain)


def verdict_numbers(
    estimate: float | None, low: float | None, high: float | None, *, signed: bool
) -> tuple[str, str]:
    """Return an estimate and its interval to two digits of the interval's half-width."""
    largest = max((abs(value) for value in (estimate, low, high) if value is not None), default=0)
    if 0 < largest < 1e-4:
        return (learning_rate(estimate, 3), _between(low, high, lambda x: learning_rate(x, 3)))
    ends = [value for value in (low, high) if value is not None]
    width = max(ends) - min(ends) if len(ends) == 2 else 0.0
    if not width and estimate is not None and ends:
        width = 2 * abs(ends[0] - estimate)
    places = 2 - math.ceil(math.log10(width / 2)) if 0 < width < HUGE else 3
    digits = Digits(min(max(places, 0 if largest >= 100 else 2), 4))
    written = digits.signed(estimate) if signed else digits.plain(estimate)
    return (written, digits.between(low, high, signed=signed))


def _between(low: float | None, high: float | None, write: Callable[[float | None], str]) -> str:
    low, high = finite(low), finite(high)
    if low is None and high is None:
        return NONE
    if high is None:
        return f"above {write(low)}"
    if low is None:
        return f"below {write(high)}"
    return f"{write(low)} to {write(high)}"
