"""What finished runs show, as arrays: one reading for verdicts, audit and reports alike.

A run that is not final is missing. A diverged run is final and has no ΔPerf: it counts as no
success, ranks worst, and is left out of means and variances.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness import statistics
from harness.records import Conditions, Result, Run
from harness.verdicts import DELTA_PERF, Metric

FloatArray = NDArray[np.float64]
Rule = Literal["shown", "above zero"]


def rule_text(rule: Rule, metric: Metric = DELTA_PERF) -> str:
    """Return a success rule in words.

    "shown" needs standard errors; half of useless runs pass "above zero".
    """
    if rule == "shown":
        return f"{metric.name} − t(.975)·SE > 0 and at least 6 prompts changed"
    return f"{metric.name} > 0"


_CONDITIONS = (
    "task",
    "task_version",
    "model",
    "backend",
    "precision",
    "lr_transfer",
    "trainer_version",
)

MOST_TRACED = 500
"""The traces of so many runs tell what their learning rates were like; each has to be unpacked."""

SE_RATIO = 1.25
"""Median standard errors further apart than this are taken for different evaluations."""


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """The final runs of a sample, as arrays over its completed runs.

    ``delta`` [n] are their ΔPerf, ``se`` [n] the standard errors or None where any of them lacks
    one, ``prompts`` and ``changed`` [n] hold NaN where unknown. ``diverged`` come on top: ``total``
    counts both.
    """

    completed: tuple[Result, ...]
    diverged: tuple[Result, ...]
    delta: FloatArray
    se: FloatArray | None
    prompts: FloatArray
    changed: FloatArray

    @property
    def total(self) -> int:
        """How many runs are final."""
        return len(self.completed) + len(self.diverged)

    @property
    def rule(self) -> Rule:
        """The success rule that these runs allow."""
        return "above zero" if self.se is None else "shown"

    @property
    def is_degenerate(self) -> bool:
        """Whether ΔPerf is the same in every run, of more than one."""
        return self.delta.size > 1 and statistics.is_constant(self.delta)


@dataclass(frozen=True, slots=True)
class SuccessCount:
    """How many of ``runs`` are successes and how many are shown to fail, by ``rule``."""

    successes: int
    failures: int
    runs: int
    rule: Rule
    improved: tuple[str, ...] = field(default=(), repr=False)
    """The ids of the successes."""


class _Same:
    """A sample, equal to itself alone: to compare two by their runs is to read them."""

    def __init__(self, results: tuple[Result, ...]) -> None:
        self.results = results

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.results is other.results

    def __hash__(self) -> int:
        return id(self.results)


def observe(results: Iterable[Result]) -> Observations:
    """Read the final runs among ``results``; a ΔPerf that is missing or not finite is no result.

    A tuple that was read a moment ago is not read again: claims, audit and report each ask.
    """
    return _observed(_Same(tuple(results)))


@lru_cache(maxsize=8)
def _observed(sample: _Same) -> Observations:
    results = sample.results
    completed = tuple(
        [
            result
            for result in results
            if result.outcome.status == "completed"
            and (delta_perf := result.outcome.delta_perf) is not None
            and math.isfinite(delta_perf)
        ]
    )
    measured = [
        (one.delta_perf, one.delta_perf_se, one.prompts, one.prompts_changed)
        for one in [result.outcome for result in completed]
    ]
    # None becomes NaN.
    delta, errors, prompts, changed = np.array(measured, dtype=np.float64).reshape(-1, 4).T.copy()
    # An SE of 0 beside a change, where nobody counted the changed prompts, is a blank, not an SE.
    blank = (errors == 0.0) & (delta != 0.0) & np.isnan(changed)
    known = np.isfinite(errors) & (errors >= 0.0) & ~blank
    for array in (delta, errors, prompts, changed):
        array.setflags(write=False)
    return Observations(
        completed=completed,
        diverged=tuple(result for result in results if result.outcome.status == "diverged"),
        delta=delta,
        se=errors if known.all() else None,
        prompts=prompts,
        changed=changed,
    )


def count_successes(
    observed: Observations, min_gain: float, rule: Rule | None = None
) -> SuccessCount:
    """Count the runs that are shown to improve and those that are shown to fail.

    A run is shown to fail when it is no success and its upper 95% end lies below ``min_gain``;
    a diverged run is. By the rule "above zero" every run that is no success fails. ``rule`` is the
    one that the runs allow, unless given.
    """
    rule = observed.rule if rule is None else rule
    diverged = len(observed.diverged)
    if rule == "shown" and observed.se is not None:
        known = (observed.delta, observed.se, observed.prompts, observed.changed)
        success = statistics.shown_to_improve(*known)
        failure = statistics.shown_to_fail(*known, min_gain=min_gain)
    else:
        rule = "above zero"
        success = observed.delta > 0.0
        failure = ~success
    return SuccessCount(
        successes=int(success.sum()),
        failures=int(failure.sum()) + diverged,
        runs=observed.total,
        rule=rule,
        improved=tuple(
            result.run.id for result, good in zip(observed.completed, success, strict=True) if good
        ),
    )


def rule_of_words(words: str) -> Rule | None:
    """Return the success rule that published ``words`` state; None where it is another."""
    plain = re.sub(r"[\s_*`]", "", words).casefold()
    return "above zero" if re.fullmatch(r"(δ|Δ|delta)perf>0(\.0*)?", plain) else None


def mismatched(
    runs: Sequence[Result], others: Sequence[Result], *, steps: bool = True
) -> tuple[str, ...]:
    """Say in which of steps, task, model, backend and precision two samples differ.

    Each entry reads like "100 steps against 50". Without ``steps`` their number is not compared.
    What one of the two does not state differs in nothing that is known: see `unstated`.
    """
    found: list[str] = []
    for name in ("steps", *_CONDITIONS) if steps else _CONDITIONS:
        ours, theirs = _stated(runs, name), _stated(others, name)
        if ours and theirs and ours != theirs:
            one, two, words = _listed(ours), _listed(theirs), name.replace("_", " ")
            what = f"{one} steps" if name == "steps" else f"{words} {one}"
            found.append(f"{what} against {two}")
    ours, theirs = (_recorded(sample, "weights") for sample in (runs, others))
    if ours and theirs and ours != theirs:
        found.append(f"starting weights {_listed(ours)} against {_listed(theirs)}")
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


def window_of(run: Run, since: int | None) -> tuple[float, float]:
    """Return the first and last step of the window from ``since``, in the run's own steps.

    ``since`` counts declared steps and is scaled with them; None is half of them.
    """
    declared = run.declared_steps or run.steps
    return (declared / 2 if since is None else since) * run.steps / max(1, declared), run.steps


def learning_rates(results: Sequence[Result]) -> list[tuple[FloatArray, FloatArray]]:
    """Return steps [t] and learning rates [t] of the runs whose trace has them.

    Of more than `MOST_TRACED` runs so many are looked at, evenly over the sample.
    """
    rates = []
    few = min(len(results), MOST_TRACED)
    for result in (results[number * len(results) // few] for number in range(few)):
        pairs = np.array(
            [(point.step, point.learning_rate) for point in result.outcome.trace],
            dtype=np.float64,
        ).reshape(-1, 2)
        pairs = pairs[np.isfinite(pairs).all(axis=1)]
        if pairs.size:
            rates.append((pairs[:, 0], pairs[:, 1]))
    return rates


def evaluated_differently(ours: Observations, theirs: Observations) -> str | None:
    """Say how the evaluation of two samples differs; None where nothing shows that it does.

    It differs when the held-out prompts are another task's, or their number or the samples of each
    are others. Where those are not recorded, it is taken to differ when the median standard errors
    are more than a quarter apart.
    """
    if not (ours.completed and theirs.completed):
        return None
    for name in ("task", "task_version"):
        one, two = _stated(ours.completed, name), _stated(theirs.completed, name)
        if one and two and one != two:
            words = name.replace("_", " ")
            return f"held-out prompts of {words} {_listed(one)} against {_listed(two)}"
    for name in ("prompts", "samples"):
        one_known, two_known = _known(ours, name), _known(theirs, name)
        if one_known and two_known and one_known != two_known:
            return f"{_listed(one_known)} {name} against {_listed(two_known)}"
    if (errors := _unexplained_errors(ours, theirs)) is None:
        return None
    low, high = sorted(errors)
    if high > SE_RATIO * low:
        return f"median standard error {errors[0]:.3g} against {errors[1]:.3g}"
    return None


def at_equal_noise(
    ours: Observations, theirs: Observations
) -> tuple[Observations, Observations] | None:
    """Return the two with the standard errors of the quieter raised to those of the noisier.

    Where the evaluation is not recorded, a quieter one may be why more runs are shown to improve:
    what it shows must be shown at equal noise as well. None where the evaluation is recorded, where
    standard errors are not known, or where their medians are the same.
    """
    errors = _unexplained_errors(ours, theirs)
    if errors is None or errors[0] == errors[1] or not min(errors) > 0.0:
        return None
    one, two = (
        replace(sample, se=sample.se * max(errors) / error)
        for sample, error in zip((ours, theirs), errors, strict=True)
        if sample.se is not None
    )
    return one, two


def _unexplained_errors(ours: Observations, theirs: Observations) -> tuple[float, float] | None:
    """Return the median standard errors of two samples of which it is not recorded how they came.

    None where the prompts and samples of both are known, or a standard error is not.
    """
    recorded = all(_known(one, name) for one in (ours, theirs) for name in ("prompts", "samples"))
    if recorded or ours.se is None or theirs.se is None:
        return None
    if not (ours.se.size and theirs.se.size):
        return None
    return float(np.median(ours.se)), float(np.median(theirs.se))


def parameter_names(results: Iterable[Result]) -> tuple[str, ...]:
    """Return the parameters of ``results`` in the order in which they are met."""
    return tuple(dict.fromkeys(name for result in results for name in result.run.config))


def worst_value(*samples: Observations) -> float:
    """Return the ΔPerf at which diverged runs rank: the worst seen, or all of perf lost."""
    seen = [float(sample.delta.min()) for sample in samples if sample.delta.size]
    lost = [
        -before
        for sample in samples
        for result in sample.diverged
        if (before := result.outcome.perf_before) is not None and math.isfinite(before)
    ]
    return min([*seen, *lost], default=0.0)


def identity(result: Result) -> tuple[str | None, str]:
    """Return what a main run is matched by: its id, and the backend that trained it."""
    return result.run.id, result.conditions.backend


def partner(result: Result) -> tuple[str | None, str]:
    """Return the `identity` of the main run that an arm's run is matched with.

    It was trained by the same backend: between backends, a difference is not the arm's alone.
    """
    return result.run.pair, result.conditions.backend


def paired_differences(main: Observations, arm: Observations) -> FloatArray:
    """Return ΔPerf of main runs minus that of the arm's runs matched with them [pairs]."""
    mains = {
        identity(result): float(delta)
        for result, delta in zip(main.completed, main.delta, strict=True)
    }
    differences = [
        mains[partner(result)] - float(delta)
        for result, delta in zip(arm.completed, arm.delta, strict=True)
        if partner(result) in mains
    ]
    return np.array(differences, dtype=np.float64)


def _known(observed: Observations, name: str) -> frozenset[int]:
    values = {getattr(result.outcome, name) for result in observed.completed}
    return frozenset() if None in values else frozenset(values)


def _stated(results: Iterable[Result], name: str) -> set[Any]:
    """Return the distinct values of the steps or of a condition; none for what a table leaves out.

    A factor between learning rates is the task's, and unknown where the task is.
    """
    if name == "steps":
        return {result.run.steps for result in results} - {0}
    known = "task" if name == "lr_transfer" else name
    stated = _distinct_conditions(_Same(tuple(results)))
    return {getattr(one, name) for one in stated if getattr(one, known) not in ("", 0)}


@lru_cache(maxsize=8)
def _distinct_conditions(sample: _Same) -> tuple[Conditions, ...]:
    """Return what the runs of a sample were trained under: of one sweep, as a rule one object."""
    return tuple({id(one.conditions): one.conditions for one in sample.results}.values())


def _recorded(results: Iterable[Result], name: str) -> set[Any]:
    """Return the distinct values of a field of the outcomes that have it."""
    return {getattr(result.outcome, name) for result in results} - {None}


def _listed(values: Iterable[Any]) -> str:
    numbers_first = sorted(values, key=lambda value: (isinstance(value, str), value))
    return ", ".join(str(value) for value in numbers_first) or "none"
