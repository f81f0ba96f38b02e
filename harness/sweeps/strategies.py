"""A hypothesis strategy of a space's configurations, for users' property tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.records import Config
from harness.sweeps.space import Space
from harness.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def configs(of: Sweep | Space) -> SearchStrategy[Config]:
    """Return a strategy of configs that the sampler could draw from a sweep's space.

    Hypothesis chooses a point of the unit cube, and the space's quantile functions do the rest. So
    dependent parameters stay consistent, and shrinking moves towards first options and lower ends.
    """
    from hypothesis import strategies as st

    space = of.parameters if isinstance(of, Sweep) else of
    coordinate = st.floats(min_value=0.0, max_value=1.0, exclude_max=True, allow_nan=False)
    return st.lists(coordinate, min_size=len(space), max_size=len(space)).map(space.config)
