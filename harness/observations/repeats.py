"""Merge repeated runs of one configuration into one result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean, median
from typing import TYPE_CHECKING

import numpy as np

from harness import statistics
from harness.observations.sample import ById
from harness.records import CONFIRM, Config, Evaluation, Gap, Outcome, Result, finite

if TYPE_CHECKING:
    from harness.statistics import Components

FEWEST_AGAIN = 6
"""The runs that repeat a configuration which always tell the spread between seeds."""

NORMAL_95 = 1.96
"""A normal value lies within so many SDs of its mean in 95%."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """A sample of runs with the repeats of each configuration merged into one result.

    ``merged`` is False where there was nothing to merge: each configuration occurs once, or all
    runs are of one configuration and are the sample themselves. ``each`` is the median number of
    repeats.
    """

    results: tuple[Result, ...]
    configurations: int
    each: float
    merged: bool

    def note(self, whose: str) -> str:
        """Return a note on what counts once; empty where every run does."""
        if self.merged:
            return (
                f"{whose}: {self.configurations} configurations with {self.each:g} repeats each "
                "(median); a configuration counts once, by the mean of its repeats"
            )
        if self.configurations == 1 and len(self.results) > 1:
            return (
                f"{whose}: {len(self.results)} runs of one configuration; each counts, and what "
                "is found holds for that configuration"
            )
        return ""


def merge(results: Sequence[Result], *, several: bool = False) -> Repeats:
    """Merge the finished repeats of each configuration; other runs stay as they are.

    Repeats share the effect of their configuration, so they are no independent draws from a sweep.
    A configuration's ΔPerf is the mean of its completed repeats, its standard error √(Σ SE²)/k. It
    diverged if half of its repeats did. What is missing of a repeat is missing of the
    configuration. A run that lacks a setting, and is otherwise like others, may be a repeat of one.

    With ``several``, more configurations belong to the sample than have finished: then the runs of
    the only one so far are merged too.
    """
    places: dict[tuple[Config, int], list[Result]] = {}
    for result in each_run(results):
        if result.is_final:
            # Runs of unequal steps are no repeats: they were not trained alike.
            places.setdefault((result.run.config, result.run.steps), []).append(result)
    final = sum(map(len, places.values()))
    each = median(map(len, places.values())) if places else 0.0
    if len(places) == final or (len(places) == 1 and not several):
        return Repeats(_maybe_repeats(each_run(results)), len(places), each, False)
    others = [result for result in results if not result.is_final]
    merged = _maybe_repeats([_merged(repeats) for repeats in places.values()])
    return Repeats((*merged, *others), len(places), each, True)


def merge_arms(
    arms: Mapping[str, Sequence[Result]],
    main: Repeats,
    configs: Mapping[str, Config],
) -> dict[str, tuple[Result, ...]]:
    """Merge the runs of arms as the ``main`` runs were, each matched with a merged main run.

    ``configs`` are those of the main runs, merged or not, by their ids. Each of the seeds that
    confirm leaders stays by itself.
    """
    if not main.merged:
        return {arm: tuple(results) for arm, results in arms.items()}
    whole = {result.run.config: result.run.id for result in main.results}
    kept = {}
    for arm, results in arms.items():
        # An arm of one configuration has repeats of it, and is no sample of its own.
        found = results if arm == CONFIRM else merge(results, several=True).results
        paired = ((r, configs.get(r.run.pair) if r.run.pair else None) for r in found)
        kept[arm] = tuple(
            replace(r, run=replace(r.run, pair=whole.get(config) if config else None))
            for r, config in paired
        )
    return kept


def each_run(results: Iterable[Result]) -> tuple[Result, ...]:
    """Return runs one by one: in the place of a merged result, the runs that it is the mean of.

    The same tuple gives the same tuple, so that what is remembered of it is found.
    """
    return _each_run(ById(tuple(results)))


@lru_cache(maxsize=8)
def _each_run(sample: ById) -> tuple[Result, ...]:
    if not any(result.repeats for result in sample.results):
        return sample.results
    return tuple(run for result in sample.results for run in result.repeats or (result,))


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """The spread of the metric between configurations, and between the runs of one: its seeds.

    ``runs`` are all final runs, of which ``diverged`` have no part in the ``components``.
    """

    runs: int
    diverged: int
    components: Components

    @property
    def equal_within(self) -> float:
        """How far the means of two equally good configurations lie apart in 95%, by their seeds."""
        return NORMAL_95 * math.sqrt(2) * self.components.of_mean


def seed_spread(results: Iterable[Result]) -> SeedSpread | None:
    """Return how far configurations, and the runs of one configuration, lie apart.

    None where no configuration has two completed runs, or there is only one configuration.
    """
    final = [run for run in each_run(results) if run.is_final]
    found = statistics.variance_components(by_config(final))
    if found is None:
        return None
    diverged = sum(run.outcome.status == "diverged" for run in final)
    return SeedSpread(len(final), diverged, found)


def by_config(results: Iterable[Result]) -> list[list[float]]:
    """Return the outcomes of completed runs, a list for each configuration."""
    groups: dict[tuple[Config, int], list[float]] = {}
    for run in each_run(results):
        if run.is_final and (delta := finite(run.outcome.delta_perf)) is not None:
            groups.setdefault((run.run.config, run.run.steps), []).append(delta)
    return list(groups.values())


def tells_seeds(groups: Sequence[Sequence[float]]) -> bool:
    """Return whether the outcomes of configurations tell how far the runs of one lie apart.

    Half as many runs must repeat a configuration as there are configurations, or six: a pair that
    is there by chance does not tell the noise of all others. Copies of one run tell nothing.
    """
    again = sum(map(len, groups)) - len(groups)
    if again < max(1.0, min(FEWEST_AGAIN, len(groups) / 2)):
        return False
    return not statistics.is_constant(np.array([v - group[0] for group in groups for v in group]))


def averaged(results: Iterable[Result]) -> float:
    """Return the number of runs that a result is the mean of: the median over final results."""
    sizes = [len(result.repeats) or 1 for result in results if result.is_final]
    return median(sizes) if sizes else 1.0


def unlike(ours: Iterable[Result], theirs: Iterable[Result]) -> str | None:
    """Say how results that are means of unequal numbers of runs differ; None where they do not.

    A mean varies less than a single run, so that counts, spreads and tails do not compare.
    """
    one, other = averaged(ours), averaged(theirs)
    return f"{_each(one)} a configuration against {_each(other)}" if one != other else None


def _each(size: float) -> str:
    return f"{size:g} {'repeats' if size != 1 else 'run'}"


def _maybe_repeats(results: Sequence[Result]) -> tuple[Result, ...]:
    """Mark the results that lack a setting and may be repeats of another one."""
    found = list(results)
    for place, result in enumerate(results):
        blank = [gap.column for gap in result.gaps if gap.kind == "setting"]
        rest = result.run.config.without(*blank)
        if blank and sum(other.run.config.without(*blank) == rest for other in results) > 1:
            repeats = (Gap("repeat", column) for column in blank)
            found[place] = replace(result, gaps=(*result.gaps, *repeats))
    return tuple(found)


def _merged(repeats: Sequence[Result]) -> Result:
    if len(repeats) == 1:
        return repeats[0]
    gaps = tuple(dict.fromkeys(gap for result in repeats for gap in result.gaps))
    first = replace(repeats[0], gaps=gaps, repeats=tuple(repeats))
    completed = [r.outcome for r in repeats if r.outcome.status == "completed"]
    if 2 * len(completed) <= len(repeats):
        lost = next(r.outcome for r in repeats if r.outcome.status == "diverged")
        return replace(first, outcome=lost)
    errors = [outcome.delta_perf_se for outcome in completed]
    error = None
    if all(known is not None for known in errors):
        error = math.sqrt(sum(e * e for e in errors if e is not None)) / len(errors)
    return replace(
        first,
        outcome=Outcome(
            status="completed",
            perf_before=_mean(outcome.perf_before for outcome in completed),
            perf_after=_mean(outcome.perf_after for outcome in completed),
            delta_perf=_mean(outcome.delta_perf for outcome in completed),
            delta_perf_se=error,
            prompts=_same(outcome.prompts for outcome in completed),
            samples=_same(outcome.samples for outcome in completed),
            prompts_changed=_most(outcome.prompts_changed for outcome in completed),
            clusters=min((o.clusters for o in completed if o.clusters is not None), default=None),
            clusters_changed=_most(outcome.clusters_changed for outcome in completed),
            train_delta_perf=_mean(outcome.train_delta_perf for outcome in completed),
            curve=_mean_curve([outcome.curve for outcome in completed]),
            value=_mean(outcome.value for outcome in completed),
            weights_moved=_mean(outcome.weights_moved for outcome in completed),
        ),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    listed = list(values)
    known = [value for value in listed if value is not None]
    return fmean(known) if known and len(known) == len(listed) else None


def _same(values: Iterable[int | None]) -> int | None:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _most(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def _mean_curve(curves: Sequence[tuple[Evaluation, ...]]) -> tuple[Evaluation, ...]:
    """Return the mean of the curves over the steps at which all of them have a point."""
    points = [{point.step: point for point in curve} for curve in curves]
    shared = sorted(set.intersection(*(set(steps) for steps in points)))
    return tuple(
        Evaluation(
            step,
            fmean(at[step].perf for at in points),
            math.sqrt(sum(at[step].se ** 2 for at in points)) / len(points),
            fmean(at[step].reward for at in points),
        )
        for step in shared
    )
