"""Schedules of the learning rate and the KL coefficient over a run's steps, in plain Python.

Steps count from 0 to ``steps − 1``. With peak η, warmup W and R = steps − W remaining steps, every
schedule warms up linearly and reaches the peak at the last warmup step,

    η · (step + 1) / W                      for step < W,

and then follows, with x = (step − W) / R in [0, 1),

    constant    η
    linear      η · (1 − x)
    cosine      η · (1 + cos πx) / 2
    advanced    η · (0.05 + 0.95 · (1 + cos πy) / 2), y = x / 0.7     for x < 0.7
                η · 0.05 · (1 − x) / 0.3                              for x ≥ 0.7

The last step still learns: the schedules reach 0 at ``step = steps``. A warmup longer than the run
ends with the run, below the peak.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

ADVANCED_FLOOR = 0.05
"""Where the cosine of ``advanced`` ends, as a share of the peak."""

ADVANCED_COSINE = 0.7
"""The share of the steps after warmup that ``advanced`` spends on its cosine."""


def _constant(x: float) -> float:
    return 1.0


def _linear(x: float) -> float:
    return 1.0 - x


def _cosine(x: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * x))


def _advanced(x: float) -> float:
    if x < ADVANCED_COSINE:
        return ADVANCED_FLOOR + (1.0 - ADVANCED_FLOOR) * _cosine(x / ADVANCED_COSINE)
    return ADVANCED_FLOOR * (1.0 - x) / (1.0 - ADVANCED_COSINE)


SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "advanced": _advanced,
    "cosine": _cosine,
    "constant": _constant,
    "linear": _linear,
}
"""The schedules after the warmup, by name: each a share of the peak for x in [0, 1)."""


def learning_rate(schedule: str, step: int, steps: int, peak: float, warmup: int) -> float:
    """Return the learning rate of ``step`` (from 0) in a run of ``steps`` steps.

    ``schedule`` is a name in `SCHEDULES`. The learning rate reaches its ``peak`` after ``warmup``
    steps.
    """
    if step < warmup:
        return peak * ((step + 1) / warmup)
    return peak * SCHEDULES[schedule]((step - warmup) / (steps - warmup))


def kl_coefficient(step: int, coefficient: float, warmup: int) -> float:
    """Return the weight of the KL penalty at ``step`` (from 0): 0 in the first ``warmup`` steps."""
    return 0.0 if step < warmup else coefficient


def scale_steps(value: int, steps: int, declared_steps: int) -> int:
    """Scale ``value``, a number of steps, from a run of ``declared_steps`` to one of ``steps``.

    The result is rounded to the nearest, and at least 1 if ``value`` was.
    """
    if value < 1 or steps == declared_steps:
        return value
    return max(1, round(value * steps / declared_steps))
