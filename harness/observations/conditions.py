"""Compare how two samples of runs were trained and evaluated."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from harness.observations.sample import ById, Observations
from harness.records import Conditions, Result

_CONDITIONS = (
    "task",
    "task_version",
    "model",
    "backend",
    "precision",
    "lr_transfer",
    "trainer_version",
)

NOT_STATED = "not stated"

SE_RATIO = 1.25
"""Median standard errors further apart than this are taken for different evaluations."""


def mismatched(
    runs: Sequence[Result], others: Sequence[Result], *, steps: bool = True
) -> tuple[str, ...]:
    """Say in which of steps, task, model, backend and precision two samples differ.

    Each entry reads like "100 steps against 50". Without ``steps`` their number is not compared.
    A condition that one of the two does not state is not compared: see `unstated`.
    """
    found: list[str] = []
    for name in ("steps", *_CONDITIONS) if steps else _CONDITIONS:
        ours, theirs = _stated(runs, name), _stated(others, name)
        if difference := _difference(ours, theirs):
            words = f"{_listed(ours)} steps against {_listed(theirs)}"
            found.append(words if name == "steps" else f"{name.replace('_', ' ')} {difference}")
    if difference := _difference(_recorded(runs, "weights"), _recorded(others, "weights")):
        found.append(f"starting weights {difference}")
    return tuple(found)


def unstated(runs: Sequence[Result], others: Sequence[Result]) -> tuple[str, ...]:
    """Return the conditions that ``others`` state and ``runs``, those of a table, do not."""
    return tuple(
        name
        for name in ("task", "model", "backend", "precision")
        if runs and _stated(others, name) and not _stated(runs, name)
    )


def mixed(runs: Sequence[Result]) -> tuple[str, ...]:
    """Say in which conditions the runs of one sample differ: "backend (jax, torch)"."""
    found = [
        f"{name.replace('_', ' ')} ({_listed(_stated(runs, name))})"
        for name in ("steps", *_CONDITIONS)
        if len(_stated(runs, name)) > 1
    ]
    for name in ("prompts", "samples", "weights"):
        known = _recorded(runs, name)
        if len(known) > 1:
            words = "starting weights" if name == "weights" else name
            found.append(f"{words} ({_listed(known)})")
    return tuple(found)


def evaluated_differently(ours: Observations, theirs: Observations) -> str | None:
    """Say how the evaluation of two samples differs; None where nothing shows that it does.

    It differs when the held-out prompts are another task's, when their number differs, or the
    number of samples of each. Where that is not recorded, it is taken to differ when the median
    standard errors are more than a quarter apart. What is missing for a run differs from what is
    known, and a missing standard error may be any.
    """
    if not (ours.completed and theirs.completed):
        return None
    for name in ("task", "task_version"):
        if difference := _difference(
            _stated(ours.completed, name), _stated(theirs.completed, name)
        ):
            return f"held-out prompts of {name.replace('_', ' ')} {difference}"
    for name in ("prompts", "samples"):
        one, two = _known(ours, name), _known(theirs, name)
        if _difference(one, two) or (one and two and NOT_STATED in one | two):
            return f"{_listed(one)} {name} against {_listed(two)}"
    if (errors := _unexplained_errors(ours, theirs)) is None:
        return None
    one_median, two_median = errors
    for low, high in ((one_median.low, two_median.high), (two_median.low, one_median.high)):
        if high > SE_RATIO * low:
            return f"median standard error {one_median} against {two_median}"
    return None


def at_equal_noise(
    ours: Observations, theirs: Observations
) -> tuple[Observations, Observations] | None:
    """Return both samples, the standard errors of the quieter raised to those of the noisier.

    Where the evaluation is not recorded, more runs may be shown to improve only because it was
    quieter, so the result must also hold at equal noise. None where the evaluation is recorded,
    where standard errors are not known, or where their medians are the same. Where some are
    missing, ours are raised by the most that it may take, and theirs by the least.
    """
    errors = _unexplained_errors(ours, theirs)
    if errors is None or ours.se is None or theirs.se is None:
        return None
    one, two = errors
    if one == two and one.low == one.high:
        return None
    if not min(one.low, two.low) > 0.0 or math.isinf(two.high):
        return None
    noisier = max(one.low, two.high)
    return (
        replace(ours, se=ours.se * noisier / one.low),
        replace(theirs, se=theirs.se * noisier / two.high),
    )


class _Median(NamedTuple):
    """The least and the largest that a median may be, where some values are missing."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.3g}" + ("" if self.low == self.high else f" to {self.high:.3g}")


def _unexplained_errors(ours: Observations, theirs: Observations) -> tuple[_Median, _Median] | None:
    """Return the median standard errors of two samples whose evaluation is not recorded.

    None where the prompts and samples of both are known, or a standard error is not.
    """
    recorded = all(_known(one, name) for one in (ours, theirs) for name in ("prompts", "samples"))
    if recorded or ours.se is None or theirs.se is None:
        return None
    if not (ours.se.size and theirs.se.size):
        return None
    return _median(ours), _median(theirs)


def _median(observed: Observations) -> _Median:
    assert observed.se is not None
    lacking = int((~observed.measured).sum()) + len(observed.missing)
    if not lacking:
        median = float(np.median(observed.se))
        return _Median(median, median)
    low, high = (
        float(np.median(np.append(observed.se, [least] * lacking))) for least in (0.0, math.inf)
    )
    return _Median(low, high)


def _known(observed: Observations, name: str) -> frozenset[int | str]:
    """Return the distinct values of a count; none where it is not recorded.

    What a table leaves blank for some of its runs is "not stated" for these.
    """
    values = {getattr(result.outcome, name) for result in observed.completed}
    if None not in values:
        return frozenset(values)
    blank = any(gap.column == name for result in observed.completed for gap in result.gaps)
    return frozenset(values - {None} | {NOT_STATED}) if blank else frozenset()


def _stated(results: Iterable[Result], name: str) -> set[Any]:
    """Return the distinct values of the steps or of a condition; none where a table has none.

    The factor between learning rates is the task's, and unknown where the task is.
    """
    if name == "steps":
        return {result.run.steps for result in results} - {0}
    known = "task" if name == "lr_transfer" else name
    stated = _distinct_conditions(ById(tuple(results)))
    return {getattr(one, name) for one in stated if getattr(one, known) not in ("", 0)}


@lru_cache(maxsize=8)
def _distinct_conditions(sample: ById) -> tuple[Conditions, ...]:
    """Return the distinct conditions of a sample, usually one object for a whole sweep."""
    return tuple({id(one.conditions): one.conditions for one in sample.results}.values())


def _recorded(results: Iterable[Result], name: str) -> set[Any]:
    """Return the distinct values of a field of the outcomes that have it."""
    return {getattr(result.outcome, name) for result in results} - {None}


def _difference(ours: Collection[Any], theirs: Collection[Any]) -> str:
    """Return ``a against b`` where both sides are known and differ, else nothing."""
    known = ours and theirs and ours != theirs
    return f"{_listed(ours)} against {_listed(theirs)}" if known else ""


def _listed(values: Iterable[Any]) -> str:
    numbers_first = sorted(values, key=lambda value: (isinstance(value, str), value))
    return ", ".join(str(value) for value in numbers_first) or "none"
