"""What the checks of the audit look at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness import observations
from harness.levels import is_range
from harness.observations import Observations
from harness.protocols import Claim
from harness.records import Evidence, Result, Value

ALARM = 0.04
"""Rate of false alarms that a code may have on a clean random design, split over its tests."""


@dataclass(frozen=True)
class View:
    """What the checks look at."""

    evidence: Evidence
    observed: Observations
    questions: Mapping[str, Claim]
    given: Mapping[str, str]
    planned_runs: int | None
    declared_runs: int | None
    declared_arms: Collection[str] | None
    post_hoc: Collection[str]

    @property
    def final(self) -> tuple[Result, ...]:
        """The main runs that are done for good, diverged ones last."""
        return (*self.observed.completed, *self.observed.diverged)

    def column(self, parameter: str, results: Iterable[Result]) -> list[Value]:
        """Return the values [n] of a parameter; None where a run does not set it."""
        return [result.run.config.get(parameter) for result in results]

    def numeric(self, results: Iterable[Result]) -> dict[str, NDArray[np.float64]]:
        """Return the parameters that hold many numbers, as arrays [n] over ``results``."""
        results = tuple(results)
        columns: dict[str, NDArray[np.float64]] = {}
        for name in observations.parameter_names(results):
            values = self.column(name, results)
            if None not in values and is_range(values):
                columns[name] = np.array(values, dtype=np.float64)
        return columns

    def how_to_have(self, arm: str, size: int | str) -> str:
        """Say how to have an arm trained, which is declared as ``arm=size``."""
        return how_to_have(self.declared_arms, arm, size)

    def generator(self) -> np.random.Generator:
        """Return a generator that is the same for the same seed."""
        return np.random.default_rng([abs(self.evidence.seed), 0xA0D17])


def how_to_have(declared: Collection[str] | None, arm: str, size: int | str) -> str:
    """Say how to have an arm trained: by an option where it is ``declared``, else by declaring it.

    That is nothing where no arms are declared at all, as of a table, whose runs are as they are.
    """
    if declared is None:
        return ""
    if arm in declared:
        return f" (--sweep-arms {arm})"
    return f" (declare them: arms=dict({arm}={size}))"
