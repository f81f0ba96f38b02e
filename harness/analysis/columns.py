"""Read the parameters of runs as columns, and find which of them go together."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness import statistics
from harness.observations.columns import Column


@dataclass(frozen=True, slots=True)
class Association:
    """A parameter that goes with another: by Cramér's V, or ``by_design`` of the space."""

    parameter: str
    strength: float
    by_design: bool


def find_associations(
    columns: Mapping[str, Column], given: Mapping[str, str], rng: np.random.Generator
) -> dict[str, tuple[Association, ...]]:
    """Find for each parameter those it goes with, whose effects are hard to tell from its own.

    ``given`` names the parameter that another's values depend on by declaration.
    """
    associations: dict[str, list[Association]] = {name: [] for name in columns}
    together = statistics.go_together([column.codes for column in columns.values()], rng)
    for (i, one), (j, two) in itertools.combinations(enumerate(columns), 2):
        by_design = given.get(one) == two or given.get(two) == one
        if by_design or together.shown[i, j]:
            strength = float(together.strength[i, j])
            associations[one].append(Association(two, strength, by_design))
            associations[two].append(Association(one, strength, by_design))
    return {name: tuple(found) for name, found in associations.items()}
