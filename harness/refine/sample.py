"""The finished runs as refining looks at them: a row a configuration that counts by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness import observations
from harness.analysis import HIGH
from harness.analysis.units import Units, units_of
from harness.observations import FloatArray
from harness.records import Config, Result, Value
from harness.verdicts import Metric


@dataclass(frozen=True, slots=True)
class Mark:
    """What makes a high performer: an outcome above the threshold, or at least that of a third."""

    threshold: float
    above: bool
    words: str

    def of(self, outcomes: FloatArray) -> NDArray[np.bool_]:
        """Return which of ``outcomes`` [n] are those of high performers [n]."""
        good = outcomes > self.threshold if self.above else outcomes >= self.threshold
        return np.asarray(good, dtype=np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Configurations [n], their outcomes [n], and which of them are high performers [n].

    Repeats of a configuration are merged. A diverged run has the ``worst`` outcome there is.
    """

    results: tuple[Result, ...]
    configs: tuple[Config, ...]
    outcomes: FloatArray
    high: NDArray[np.bool_]
    mark: Mark
    worst: float

    def __len__(self) -> int:
        return len(self.configs)

    def column(self, parameter: str) -> list[Value]:
        """Return the values [n] of a parameter; None where a run does not set it."""
        return [config.get(parameter) for config in self.configs]

    def having(self, parameter: str, value: Value) -> Sample:
        """Return the runs with that value of a parameter, their repeats merged anew.

        Runs that are repeats among all may be a whole grid among these, and then count by
        themselves.
        """
        some = tuple(r for r in self.results if r.run.config.get(parameter) == value)
        return _sample(some, units_of(some), self.mark, self.worst)


def sample_of(results: Sequence[Result], metric: Metric) -> Sample:
    """Return the final runs of ``results``.

    High performers gain more than 0.1 of a ΔPerf; by any other metric they are the best third.
    """
    units = units_of(results)
    worst = observations.worst_value(units.observed)
    mark = Mark(HIGH, True, f"{metric.name} > {HIGH:g}")
    if metric.zero != "no change":
        outcomes = np.sort(np.maximum(units.outcomes, worst))
        mark = Mark(float(outcomes[-max(1, outcomes.size // 3)]), False, "the best third")
    return _sample(tuple(results), units, mark, worst)


def _sample(results: tuple[Result, ...], units: Units, mark: Mark, worst: float) -> Sample:
    outcomes = np.where(np.isfinite(units.outcomes), units.outcomes, worst)
    return Sample(results, units.configs, outcomes, mark.of(outcomes), mark, worst)
