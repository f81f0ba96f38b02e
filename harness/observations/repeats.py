"""Merge repeated runs of one configuration into one result."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from harness.records import Config, Evaluation, Gap, Outcome, Result


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


def merge(results: Sequence[Result]) -> Repeats:
    """Merge the finished repeats of each configuration; other runs stay as they are.

    Repeats share the effect of their configuration, so they are no independent draws from a sweep.
    A configuration's ΔPerf is the mean of its completed repeats, its standard error √(Σ SE²)/k. It
    diverged if half of its repeats did. What is missing of a repeat is missing of the
    configuration. A run that lacks a setting, and is otherwise like others, may be a repeat of one.
    """
    places: dict[tuple[Config, int], list[Result]] = {}
    for result in results:
        if result.is_final:
            # Runs of unequal steps are no repeats: they were not trained alike.
            places.setdefault((result.run.config, result.run.steps), []).append(result)
    final = sum(map(len, places.values()))
    each = median(map(len, places.values())) if places else 0.0
    if len(places) in (1, final):
        return Repeats(_maybe_repeats(results), len(places), each, False)
    others = [result for result in results if not result.is_final]
    merged = _maybe_repeats([_merged(repeats) for repeats in places.values()])
    return Repeats((*merged, *others), len(places), each, True)


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
    first = replace(repeats[0], gaps=gaps)
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
