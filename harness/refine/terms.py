"""What decisions on parameters are made by, and how their figures are written."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from harness.records import finite
from harness.refine.values import Figure
from harness.statistics import Comparison, Worse
from harness.text import plural
from harness.verdicts import Metric


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What is fixed before a parameter is looked at.

    ``level`` is what each test that could narrow something is held against: α over their number.
    ``margin`` is None where none is stated for the metric, and then nothing is narrowed.
    """

    level: float
    alpha: float
    margin: float | None
    metric: Metric
    rng: np.random.Generator

    def shared(self, number: int) -> Terms:
        """Return the terms of one of ``number`` cases that share what a parameter is allowed."""
        return replace(self, level=self.level / max(1, number))

    @property
    def needed(self) -> str:
        """The level in words: "needed: 0.0042"."""
        return f"needed: {self.level:.2g}"


def rounded(value: float, *, up: bool, digits: int = 2) -> float:
    """Return ``value`` to so many significant digits, the next above or below."""
    if value == 0.0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) + 1 - digits)
    steps = round(value / unit, 6)
    return float(f"{(math.ceil(steps) if up else math.floor(steps)) * unit:.12g}")


def of_runs(part: int, whole: int) -> str:
    """Return "12 of 48 runs"."""
    return f"{part} of {plural(whole, 'run')}"


def figure_of(compared: Comparison | Worse, p_value: float, needed: float) -> Figure:
    """Return the comparison that a revision rests on, its open ends as None."""
    return Figure(
        p_value=p_value,
        needed=needed,
        estimate=finite(compared.estimate),
        low=finite(compared.low),
        high=finite(compared.high),
        level=compared.level if math.isfinite(compared.low) else None,
    )
