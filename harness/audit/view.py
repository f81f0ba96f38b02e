"""The view of a sweep that the checks of the audit share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness import observations
from harness.observations import Observations
from harness.observations.levels import is_range
from harness.protocols import Claim
from harness.records import Result, Value
from harness.verdicts import Evidence, Finding

ALARM = 0.04
"""The rate of false alarms that a code may have on a clean random design, over all its tests."""


@dataclass(frozen=True)
class View:
    """A sweep's evidence with its declaration; the arguments of `audit`.

    ``seeds`` are the planned and the declared number of seeds.
    """

    evidence: Evidence
    questions: Mapping[str, Claim]
    given: Mapping[str, str]
    planned_runs: int | None
    declared_runs: int | None
    declared_arms: Collection[str] | None
    post_hoc: Collection[str]
    best_asked: Collection[str]
    seeds: tuple[int, int] = (1, 1)

    @cached_property
    def observed(self) -> Observations:
        """The final main runs."""
        return observations.observe(self.evidence.runs)

    @property
    def metric(self) -> str:
        """The name of the metric."""
        return self.evidence.metric.name

    @cached_property
    def columns(self) -> dict[str, list[Value]]:
        """The values [n] of each parameter over the final runs; None where one is not set."""
        return columns_of(self.observed.final)

    def how_to_have(self, arm: str, size: int | str) -> str:
        """Say how to have an arm trained, which is declared as ``arm=size``."""
        return how_to_have(self.declared_arms, arm, size)

    def generator(self) -> np.random.Generator:
        """Return a generator that is the same for the same seed."""
        return np.random.default_rng([abs(self.evidence.seed), 0xA0D17])


def errors_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return ``findings`` with errors first, then warnings."""
    order = ("error", "warning", "info")
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def columns_of(results: Sequence[Result]) -> dict[str, list[Value]]:
    """Return the values [n] of each parameter over ``results``; None where one is not set."""
    configs = [result.run.config for result in results]
    return {
        name: [config.get(name) for config in configs]
        for name in observations.parameter_names(results)
    }


def numeric(columns: Mapping[str, list[Value]]) -> dict[str, NDArray[np.float64]]:
    """Return the ``columns`` of many numbers, as arrays [n]."""
    return {
        name: np.array(values, dtype=np.float64)
        for name, values in columns.items()
        if None not in values and is_range(values)
    }


def how_to_have(declared: Collection[str] | None, arm: str, size: int | str) -> str:
    """Say how to have an arm trained: by an option where it is ``declared``, else by declaring it.

    Empty where ``declared`` is None, as for a table, whose runs are as they are.
    """
    if declared is None:
        return ""
    if arm in declared:
        return f" (--sweep-arms {arm})"
    return f" (declare them: arms=dict({arm}={size}))"
