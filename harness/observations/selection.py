"""Estimate what a result is worth that was chosen for being high, by one rule for its noise.

The best of many results is partly the luckiest. How much of it is luck depends on the noise of a
result. The data may tell that in three ways; the first one that they have counts:

seeds
    Several runs of a configuration. It counts once, by their mean, whose standard error is the
    pooled SD of runs of one configuration over √runs. The noise of the evaluation is in it.
standard errors
    Those of the outcomes, from sampling the evaluation. What another seed would change is not in
    them: this is what the trained model is worth, not its configuration.
residual
    The SD that the additive model leaves, which `matters` tests a parameter in. Whatever the
    parameters do not explain by adding up is noise then, interactions too.

Seeds come first, since their noise has both parts. Where all runs are of one configuration, what is
chosen is a trained model, and standard errors come first. Where a configuration is to be trained
again, the noise of seeds must be in it, and standard errors come last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness import statistics
from harness.observations.adjusted import Modelled, modelled
from harness.observations.repeats import by_config, merge, tells_seeds
from harness.observations.sample import ById, FloatArray, Observations, observe
from harness.records import Result

Noise = Literal["seeds", "standard errors", "residual"]
"""Where the noise of a result is known from."""

NO_NOISE = 1e-9
"""The share of the range of outcomes up to which a residual is rounding."""

Lack = Literal["one result", "equal results", "no noise"]
"""Why nothing can be said: there was no choice; it makes no difference; no noise is known."""


@dataclass(frozen=True, slots=True)
class Worth:
    """The estimated worth of a result that was chosen for being high. More is better.

    ``shrunk`` is what is expected of its true value. ``low`` and ``high`` are the ends of the
    interval that covers after the choice; None for a result below the middle, which is not chosen
    for being high. ``best`` is the probability that it is truly the best of all.
    """

    shrunk: float
    low: float | None
    high: float | None
    best: float


@dataclass(frozen=True)
class Selection:
    """The estimated worth of a sweep's results after the best of them are chosen.

    ``top`` is the best result; None where no run completed. ``count`` results could have been
    chosen. ``noise`` says where their noise is known from, or ``lack`` why it is not. ``error`` is
    a typical standard error. ``lacking`` results have no standard error of their own: they have no
    worth, and count as if theirs were the largest. ``centre`` and ``spread`` are the mean and SD of
    the true values. ``of`` has the worth of results by their ids; all runs of a configuration have
    that of its mean.
    """

    top: Result | None
    count: int
    lack: Lack | None = None
    noise: Noise | None = None
    error: float | None = None
    lacking: int = 0
    centre: float | None = None
    spread: float | None = None
    level: float = 0.95
    results: tuple[Result, ...] = ()
    of: Mapping[str, Worth] = field(default_factory=dict)


def selection(
    results: Iterable[Result],
    given: Mapping[str, str] | None = None,
    level: float = 0.95,
    *,
    again: bool = False,
) -> Selection:
    """Return what the main runs of a sweep are worth after the best of them are chosen.

    ``given`` names the parameter that another's values depend on by declaration. A configuration
    counts once. Diverged runs and those without a result could not be chosen. With ``again`` they
    are worth what their configurations are when they are trained again, with other seeds.
    """
    links = None if given is None else tuple(sorted(given.items()))
    return _selection(ById(tuple(results)), links, level, again)


@lru_cache(maxsize=8)
def _selection(
    sample: ById, links: tuple[tuple[str, str], ...] | None, level: float, again: bool
) -> Selection:
    results = sample.results
    if not any(result.repeats for result in results):
        repeats = merge(results)
        # The same tuple where it can be: what was read of it is found again.
        results = repeats.results if repeats.merged else results
    observed = observe(results)
    delta, completed = observed.delta, observed.completed
    if not completed:
        return Selection(None, 0)
    found = Selection(
        completed[int(delta.argmax())], len(completed), level=level, results=completed
    )
    if len(completed) == 1:
        return replace(found, lack="one result")
    if statistics.is_constant(delta):
        return replace(found, lack="equal results")
    known = _noise(results, observed, None if links is None else dict(links), again=again)
    return replace(found, lack="no noise") if known is None else _weighed(found, delta, known)


def _weighed(found: Selection, delta: FloatArray, known: _Errors) -> Selection:
    """Return a selection with the worth of each result, whose outcomes are ``delta`` [n]."""
    shrunk = statistics.shrink(delta, known.errors, known.dof, found.level)
    above = delta >= shrunk.centre
    worth: dict[str, Worth] = {}
    for place in np.flatnonzero(known.own):
        result, high = found.results[place], bool(above[place])
        one = Worth(
            shrunk=float(shrunk.means[place]),
            low=float(shrunk.low[place]) if high else None,
            high=float(shrunk.high[place]) if high else None,
            best=float(shrunk.best[place]),
        )
        worth |= {run.run.id: one for run in (result, *result.repeats)}
    return replace(
        found,
        noise=known.noise,
        error=float(np.median(known.errors)),
        lacking=int((~known.own).sum()),
        centre=shrunk.centre,
        spread=shrunk.spread,
        of=worth,
    )


# ---- where the noise is known from ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Errors:
    """Standard errors of n outcomes with their degrees of freedom, and which are their ``own``."""

    noise: Noise
    errors: FloatArray
    dof: FloatArray
    own: NDArray[np.bool_]


def _noise(
    results: Sequence[Result],
    observed: Observations,
    given: Mapping[str, str] | None,
    *,
    again: bool,
) -> _Errors | None:
    """Return the noise of completed results from the first source that the data have."""
    seeds, errors = _of_seeds(observed), _of_standard_errors(observed)
    if len(by_config(observed.completed)) == 1 and not again:
        # Of one configuration a trained model is chosen: errors tell what that is worth.
        return errors or seeds
    if again:
        return seeds or _of_residual(observed, modelled(results, given)) or errors
    return seeds or errors or _of_residual(observed, modelled(results, given))


def _of_seeds(observed: Observations) -> _Errors | None:
    """Return the noise by the seeds of configurations; None where hardly any has several."""
    groups = by_config(observed.completed)
    if not tells_seeds(groups):
        return None
    n = observed.delta.size
    dof = sum(map(len, groups)) - len(groups)
    squares = sum(float(np.var(group)) * len(group) for group in groups)
    repeats = np.array([_completed(result) for result in observed.completed])
    return _Errors(
        "seeds", math.sqrt(squares / dof) / np.sqrt(repeats), np.full(n, dof), np.full(n, True)
    )


def _completed(result: Result) -> int:
    """Return the number of completed runs that a result is the mean of."""
    runs = result.repeats or (result,)
    return sum(run.outcome.status == "completed" for run in runs)


def _of_standard_errors(observed: Observations) -> _Errors | None:
    """Return the noise by standard errors; None where more than half of the results lack one."""
    own, se = observed.measured, observed.se
    if se is None or 2 * se.size < own.size or not se.any():
        return None
    errors, dof = np.full(own.size, se.max()), np.full(own.size, math.inf)
    errors[own] = se
    counted = own & (observed.independent > 1.0)
    dof[counted] = observed.independent[counted] - 1.0
    return _Errors("standard errors", errors, dof, own)


def _of_residual(observed: Observations, found: Modelled | None) -> _Errors | None:
    """Return the noise by the residual SD and its degrees of freedom, where it is above 0."""
    n = observed.delta.size
    if found is None or found.sd <= NO_NOISE * float(np.ptp(observed.delta)):
        return None
    return _Errors("residual", np.full(n, found.sd), np.full(n, float(found.dof)), np.full(n, True))
