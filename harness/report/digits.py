"""Numbers as text, to the precision that their uncertainty leaves them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.records import Value

HUGE = 1e9
"""Numbers from here on are written with an exponent."""

NONE = "–"
"""Stands where there is no number."""


@dataclass(frozen=True, slots=True)
class Digits:
    """Writes scores with a fixed number of decimals, so that a column of them is aligned.

    Without ``plus`` a positive number has no sign: it is no change.
    """

    places: int = 3
    plus: bool = True

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Digits:
        """Return the decimals that show two digits of the spread of ``values``; three at least."""
        known = [value for value in values if value is not None and math.isfinite(value)]
        if not known:
            return cls()
        largest = max(map(abs, known))
        if largest >= HUGE:
            return cls(0)
        mean = sum(known) / len(known)
        spread = math.sqrt(sum((value - mean) ** 2 for value in known) / len(known))
        if spread <= largest * 1e-9:
            return cls(4)
        return cls(min(max(2 - math.ceil(math.log10(spread)), 0 if largest >= 100 else 3), 6))

    def plain(self, value: float | None) -> str:
        """Return ``0.081``."""
        if value is None:
            return NONE
        huge = abs(value) >= HUGE
        text = f"{value:.3g}" if huge else f"{round(value, self.places) + 0.0:.{self.places}f}"
        return text.replace("-", "−")

    def signed(self, value: float | None) -> str:
        """Return ``+0.072``, and plain ``0`` with its decimals where nothing is left to sign."""
        text = self.plain(value)
        if value is None or not self.plus or text.startswith("−") or not float(text):
            return text
        return f"+{text}"

    def with_error(self, value: float | None, error: float | None) -> str:
        """Return ``+0.072 ± 0.011``."""
        if value is None or error is None:
            return self.signed(value)
        return f"{self.signed(value)} ± {self.plain(error)}"

    def between(self, low: float | None, high: float | None, *, signed: bool = True) -> str:
        """Return ``+0.041 to +0.103``; an end that is open is left out in words."""
        write = self.signed if signed else self.plain
        return _range(low, high, write)


def verdict_numbers(
    estimate: float | None, low: float | None, high: float | None, *, signed: bool
) -> tuple[str, str]:
    """Return an estimate and its interval to two digits of the interval's half-width."""
    largest = max((abs(value) for value in (estimate, low, high) if value is not None), default=0)
    if 0 < largest < 1e-4:
        return (learning_rate(estimate, 3), _range(low, high, lambda x: learning_rate(x, 3)))
    ends = [value for value in (low, high) if value is not None]
    width = max(ends) - min(ends) if len(ends) == 2 else 0.0
    if not width and estimate is not None and ends:
        width = 2 * abs(ends[0] - estimate)
    places = 2 - math.ceil(math.log10(width / 2)) if 0 < width < HUGE else 3
    digits = Digits(min(max(places, 0 if largest >= 100 else 2), 4))
    written = digits.signed(estimate) if signed else digits.plain(estimate)
    return (written, digits.between(low, high, signed=signed))


def learning_rate(value: float | None, digits: int = 2) -> str:
    """Return ``2.1e-7``."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def percent(value: float | None) -> str:
    """Return ``71%``."""
    return NONE if value is None else f"{100 * value:.0f}%"


def percent_between(low: float | None, high: float | None) -> str:
    """Return ``51 to 85%``."""
    if low is None or high is None:
        return NONE
    return f"{100 * low:.0f} to {100 * high:.0f}%"


def p_value(value: float | None, name: str = "") -> str:
    """Return ``0.032``, and ``< 0.001`` below that; with a name, ``p = 0.032``."""
    if value is None:
        return NONE
    is_ = f"{name} = " if name else ""
    if value < 0.001:
        return f"{name} < 0.001".strip()
    return is_ + (f"{value:.3f}" if value < 0.1 else f"{value:.2f}")


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


def count(number: int, one: str, many: str | None = None) -> str:
    """Return ``1 run`` or ``24 runs``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def value(item: Value, *, rate: bool = False) -> str:
    """Return a config's value as a table shows it."""
    if item is None:
        return NONE
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, float):
        return learning_rate(item) if rate or 0 < abs(item) < 1e-3 else f"{item:.4g}"
    return str(item)


def _range(low: float | None, high: float | None, write: object) -> str:
    assert callable(write)
    if low is None and high is None:
        return NONE
    if high is None:
        return f"above {write(low)}"
    if low is None:
        return f"below {write(high)}"
    return f"{write(low)} to {write(high)}"
