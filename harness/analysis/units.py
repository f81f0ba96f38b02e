"""Count every run once, or every configuration of repeated runs, and mark the best of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness import observations
from harness.metrics import DELTA_PERF, Metric
from harness.observations import FloatArray, Observations, repeats
from harness.records import Config, Result

HIGH = 0.1
"""The ΔPerf that a high performer exceeds, unless told otherwise."""


@dataclass(frozen=True, eq=False)
class Units:
    """The n units that count: final runs, or configurations whose repeats were ``merged``."""

    observed: Observations
    merged: bool

    @property
    def configs(self) -> tuple[Config, ...]:
        """The config of each unit."""
        return tuple(result.run.config for result in self.observed.final)

    @cached_property
    def outcomes(self) -> FloatArray:
        """The outcome of each unit [n]; −inf where training diverged."""
        return self.observed.ranked

    @property
    def finished(self) -> NDArray[np.bool_]:
        """The units that have an outcome, marked [n]."""
        return np.isfinite(self.outcomes)


@dataclass(frozen=True, slots=True)
class HighRule:
    """Tell high performers from other units by their outcome.

    By ``kind`` a high performer lies "above" the ``threshold``, or is in the "best third", and the
    threshold is the lowest outcome of that third.
    """

    threshold: float
    kind: Literal["above", "best third"]

    def of(self, outcomes: FloatArray) -> NDArray[np.bool_]:
        """Mark the high performers among ``outcomes`` [n]."""
        best = self.kind == "best third"
        good = outcomes >= self.threshold if best else outcomes > self.threshold
        return np.asarray(good, dtype=np.bool_)


def high_rule(outcomes: FloatArray, metric: Metric, threshold: float | None = None) -> HighRule:
    """Return the rule that tells the high performers among units with these ``outcomes`` [n].

    They lie above the ``threshold``, if one is given. Otherwise they have a ΔPerf above 0.1, or, by
    any other metric, are the best third: 0.1 says nothing about the scale of another column, of a
    ΔPerf with a target, or of one where less is better. A diverged run, whose outcome is −inf, is
    never a high performer, but counts when the third is worked out.
    """
    if threshold is not None:
        return HighRule(threshold, "above")
    if metric == DELTA_PERF:
        return HighRule(HIGH, "above")
    ordered = np.sort(outcomes[np.isfinite(outcomes)])
    third = ordered[-max(1, outcomes.size // 3) :]
    return HighRule(float(third[0]) if third.size else np.inf, "best third")


def units_of(results: Sequence[Result]) -> Units:
    """Return the units that count once in ``results``.

    Repeats of a configuration are merged, except where every combination of the parameters' values
    was run. There a value has as many runs beside each value of the others, so that the others add
    the same to all of them, and runs of one configuration differ from each other as any two do.
    """
    results = repeats.each_run(results)
    observed = observations.observe(results)
    if not _is_complete({result.run.config for result in observed.final}):
        found = repeats.merge(observed.final)
        if found.merged:
            return Units(observations.observe(found.results), merged=True)
    return Units(observed, merged=False)


def _is_complete(configs: Collection[Config]) -> bool:
    """Whether ``configs``, all different, are all combinations of their values."""
    combinations = 1
    for name in dict.fromkeys(name for config in configs for name in config):
        combinations *= len({config.get(name) for config in configs})
        if combinations > len(configs):
            return False
    return combinations == len(configs)
