"""Populations of ΔPerf whose mean, spread and lower tail are known exactly: mixtures of normals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

FloatArray = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], FloatArray]
"""From a generator and a number n to a sample [n]."""

TAIL = 0.25
LATTICE = 0.02
"""What one of 50 held-out items is worth."""


@dataclass(frozen=True)
class Mixture:
    """A mixture of normals, given by (weight, mean, standard deviation) of each part."""

    parts: tuple[tuple[float, float, float], ...]

    def __call__(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Return a sample [n]."""
        weights, means, deviations = (np.array(column) for column in zip(*self.parts, strict=True))
        part = rng.choice(weights.size, n, p=weights)
        return np.asarray(means[part] + deviations[part] * rng.standard_normal(n))

    @cached_property
    def mean(self) -> float:
        return sum(w * m for w, m, _ in self.parts)

    @cached_property
    def sd(self) -> float:
        square = sum(w * (s**2 + m**2) for w, m, s in self.parts)
        return math.sqrt(square - self.mean**2)

    @cached_property
    def deviation(self) -> float:
        """The mean absolute deviation from the median."""
        median = self.quantile(0.5)
        return 2.0 * self._shortfall(median) + self.mean - median

    @cached_property
    def tail(self) -> float:
        """The mean of the worst quarter."""
        worst = self.quantile(TAIL)
        return worst - self._shortfall(worst) / TAIL

    def quantile(self, share: float) -> float:
        def excess(x: float) -> float:
            return float(sum(w * stats.norm.cdf(x, m, s) for w, m, s in self.parts)) - share

        low = min(m - 10 * s for _, m, s in self.parts)
        high = max(m + 10 * s for _, m, s in self.parts)
        return float(optimize.brentq(excess, low, high, xtol=1e-12))

    def moved(self, by: float) -> Mixture:
        return Mixture(tuple((w, m + by, s) for w, m, s in self.parts))

    def times(self, factor: float) -> Mixture:
        return Mixture(tuple((w, m * factor, s * abs(factor)) for w, m, s in self.parts))

    @property
    def centred(self) -> Mixture:
        """The mixture moved to a mean of 0."""
        return self.moved(-self.mean)

    @property
    def unit_spread(self) -> Mixture:
        """The mixture scaled to a mean absolute deviation of .04 from its median."""
        return self.times(0.04 / self.deviation)

    @property
    def tail_at_zero(self) -> Mixture:
        """The mixture moved so that the mean of its worst quarter is 0."""
        return self.moved(-self.tail)

    def _shortfall(self, x: float) -> float:
        """Return the mean of (x − X)⁺."""
        return float(
            sum(
                w * ((x - m) * stats.norm.cdf(x, m, s) + s * stats.norm.pdf((x - m) / s))
                for w, m, s in self.parts
            )
        )


NORMAL = Mixture(((1.0, 0.0, 0.05),))
WIDE = Mixture(((1.0, 0.0, 0.10),))
COLLAPSE = Mixture(((0.85, 0.05, 0.05), (0.15, -0.20, 0.05))).centred
"""15% of the runs collapse, by five standard deviations of the others."""
DEEP = Mixture(((0.85, 0.05, 0.03), (0.15, -0.40, 0.03))).centred
"""15% of the runs collapse, by fifteen standard deviations of the others."""
UNEVEN = Mixture(((0.5, 0.0, 0.02), (0.5, 0.0, 0.08)))
"""Half of the runs spread four times as far as the others."""


def tied(draw: Draw) -> Draw:
    """Return ``draw`` on the lattice of an evaluation with few items."""
    return lambda rng, n: np.asarray(np.round(draw(rng, n) / LATTICE) * LATTICE)
