"""Count every run once, or every configuration of repeated runs, and tell the best of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness import observations
from harness.observations import FloatArray, Observations, repeats
from harness.records import Config, Result
from harness.verdicts import DELTA_PERF, Metric

HIGH = 0.1
"""The ΔPerf that a high performer exceeds, unless told otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """The n units that count: the final runs, or the configurations whose repeats were ``merged``.

    ``outcomes`` [n] are −inf where training diverged.
    """

    observed: Observations
    configs: tuple[Config, ...]
    outcomes: FloatArray
    merged: bool

    @property
    def finished(self) -> NDArray[np.bool_]:
        """Mark those that have an outcome [n]."""
        return np.isfinite(self.outcomes)


@dataclass(frozen=True, slots=True)
class HighRule:
    """Tell high performers from other units by their outcome.

    By ``kind`` a high performer lies "above" the ``threshold``, or is of the "best third", of which
    the threshold is the lowest outcome.
    """

    threshold: float
    kind: Literal["above", "best third"]

    def of(self, outcomes: FloatArray) -> NDArray[np.bool_]:
        """Mark the high performers among ``outcomes`` [n]."""
        best = self.kind == "best third"
        good = outcomes >= self.threshold if best else outcomes > self.threshold
        return np.asarray(good, dtype=np.bool_)


def high_rule(outcomes: FloatArray, metric: Metric, threshold: float | None = None) -> HighRule:
    """Return the rule that tells the high performers among the units of these ``outcomes`` [n].

    They lie above the ``threshold``, if one is given. Otherwise they have a ΔPerf above 0.1, or, by
    any other metric, are the best third. That includes changes of other columns, and a ΔPerf with a
    target or of which less is better: 0.1 says nothing about their scale. A diverged run, whose
    outcome is −inf, is never a high performer, but counts when the third is worked out.
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
    was run: there a value has as many runs beside each value of the others, so that what those do
    is the same for all, and runs of one configuration differ from each other as any two do.
    """
    observed = observations.observe(results)
    runs = (*observed.completed, *observed.diverged)
    found = None if _is_complete({r.run.config for r in runs}) else repeats.merge(runs)
    if found is not None and found.merged:
        observed = observations.observe(found.results)
    units = (*observed.completed, *observed.diverged)
    return Units(
        observed=observed,
        configs=tuple(result.run.config for result in units),
        outcomes=np.concatenate([observed.delta, np.full(len(observed.diverged), -np.inf)]),
        merged=found is not None and found.merged,
    )


def _is_complete(configs: Iterable[Config]) -> bool:
    """Whether ``configs``, all different, are all combinations of their values."""
    configs = tuple(configs)
    names = dict.fromkeys(name for config in configs for name in config)
    sizes = [len({config.get(name) for config in configs}) for name in names]
    return math.prod(sizes) == len(configs)
