"""Points of the unit cube: random, Sobol and Latin hypercube, each a pure function of its seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.errors import SweepError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Points = NDArray[np.float64]


def random_points(count: int, dimensions: int, seed: int) -> Points:
    """Return independent uniform points; a larger sample begins with the same points."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(seed)).random((count, dimensions))


def sobol_points(count: int, dimensions: int, seed: int) -> Points:
    """Return the first ``count`` points of a scrambled Sobol sequence (Sobol 1967; Owen 1998).

    It is drawn to a power of two, where it is balanced, and cut: a larger sample begins with the
    same points.
    """
    import numpy as np
    from scipy.stats import qmc

    sampler = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    points: Points = sampler.random_base2(max(count - 1, 0).bit_length())
    return points[:count]


def latin_hypercube_points(count: int, dimensions: int, seed: int) -> Points:
    """Return a Latin hypercube sample (McKay, Beckman and Conover 1979): a point in each row.

    A larger sample has other points.
    """
    import numpy as np
    from scipy.stats import qmc

    points: Points = qmc.LatinHypercube(dimensions, rng=np.random.default_rng(seed)).random(count)
    return points


SAMPLERS: dict[str, Callable[[int, int, int], Points]] = {
    "random": random_points,
    "sobol": sobol_points,
    "latin_hypercube": latin_hypercube_points,
}
FIXED_SIZE = frozenset({"latin_hypercube"})
"""Samplers whose sample cannot be enlarged."""


def unit_points(sampler: str, count: int, declared: int, dimensions: int, seed: int) -> Points:
    """Return the first ``count`` points of a sample declared with ``declared`` points.

    They are rows of an array [count, dimensions], in [0, 1).

    Raises
    ------
    SweepError
        Where more points are asked for than a sample of fixed size has.
    """
    if sampler in FIXED_SIZE:
        if count > declared:
            raise SweepError(
                f"a {sampler.replace('_', ' ')} sample of {declared} runs cannot be enlarged to "
                f"{count}; declare runs={count}, or use sampler='random' or 'sobol'"
            )
        return SAMPLERS[sampler](declared, dimensions, seed)[:count]
    return SAMPLERS[sampler](count, dimensions, seed)
