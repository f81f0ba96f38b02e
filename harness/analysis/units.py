"""What counts once: a run, or a configuration whose runs are repeats of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness import observations
from harness.observations import FloatArray, Observations, repeats
from harness.records import Config, Result


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
        """Which of them have an outcome [n]."""
        return np.isfinite(self.outcomes)


def units_of(results: Sequence[Result]) -> Units:
    """Return what counts once in ``results``.

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
