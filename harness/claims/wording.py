"""How numbers are written in answers: readable, and the same everywhere."""

from __future__ import annotations

import math

from harness.statistics import Comparison, Equivalence, Estimate
from harness.verdicts import Metric


def signed(value: float) -> str:
    """Return a change as it is read: "+0.072", "−0.132"."""
    return number(value) if value < 0 else f"+{number(value)}"


def number(value: float) -> str:
    """Return a number as it is read: three decimals on the scale of scores, else four digits."""
    if not math.isfinite(value):
        return "unknown"
    size = abs(value)
    if size >= 10.0 or 0.0 < size < 0.0005:
        text = f"{size:.4g}" if size >= 10.0 else f"{size:.2g}"
    else:
        text = f"{size:.3f}"
    return f"−{text}" if value < 0 else text


def outcome(value: float, metric: Metric) -> str:
    """Return a value of ``metric``: as a change where 0 means something, else as it is."""
    return number(value) if metric.zero == "arbitrary" else signed(value)


def exact(value: float) -> str:
    """Return a change with all of its digits that matter: "+0.2025"."""
    return f"{value:+.6g}".replace("-", "−")


def parameter_value(value: float) -> str:
    """Return the value of a parameter as it is read: "4e-07" is "4e-7"."""
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def interval(estimate: Estimate | Comparison | Equivalence, *, percent: bool = False) -> str:
    """Return "90% +0.01 to +0.05", with "…" for an unbounded end."""
    ends = [
        "…" if not math.isfinite(end) else (f"{end:.0%}" if percent else signed(end))
        for end in (estimate.low, estimate.high)
    ]
    return f"{estimate.level:.0%} interval {ends[0]} to {ends[1]}"


def p_text(p_value: float) -> str:
    """Return "p = 0.032", or "p < 0.001"."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def plural(count: int, noun: str) -> str:
    """Return "1 run", "2 runs"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def parameter_name(parameter: str) -> str:
    """Return a parameter's name in words: "learning rate"."""
    return parameter.replace("_", " ")
