"""The gain over a stretch of the learning curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from harness.statistics.agreement import skewed_paired
from harness.statistics.values import Comparison, Window, as_values


def gain(start: ArrayLike, end: ArrayLike, level: float = 0.90) -> Comparison:
    """Return the mean gain of the same runs from ``start`` to ``end`` (perf, each [n]).

    Their differences are tested by `skewed_paired`.

    Raises
    ------
    ValueError
        If the two differ in length.
    """
    first, last = as_values(start, "start"), as_values(end, "end")
    if first.size != last.size:
        raise ValueError(f"start and end must match, got {first.size} and {last.size} runs")
    differences = last - first
    differences[np.abs(differences) < 1e-12] = 0.0
    return skewed_paired(differences, level=level)


def nearest_point(steps: ArrayLike, target: float, tolerance: float) -> int | None:
    """Return the index of the point of ``steps`` [points] nearest to ``target``.

    The earlier of two as near; None where none lies within ``tolerance`` steps of it.
    """
    at = as_values(steps, "steps")
    if at.size == 0:
        return None
    index = int(np.argmin(np.abs(at - target)))
    return index if abs(float(at[index]) - target) <= tolerance + 1e-9 else None


def rate_in_window(
    rates: Sequence[tuple[ArrayLike, ArrayLike]], since: float, until: float
) -> Window | None:
    """Return the learning rate from step ``since`` to step ``until``.

    ``rates`` holds for each run its steps [t] and learning rates [t]. None where no run has both a
    positive peak and at least two steps in the window.
    """
    found: list[tuple[float, float, float]] = []
    for steps, values in rates:
        at, rate = as_values(steps, "steps"), as_values(values, "rates")
        inside = (at >= since) & (at <= until)
        if inside.sum() < 2 or not rate.max() > 0.0:
            continue
        window = rate[inside] / rate.max()
        found.append((float(window[0]), float(window[-1]), float(window.mean())))
    if not found:
        return None
    start, end, mean = np.median(np.array(found), axis=0)
    return Window(float(start), float(end), float(mean), len(found))
