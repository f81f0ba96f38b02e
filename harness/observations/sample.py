"""The finished runs of a sample, read once as arrays, and counts of them.

A run that is not final is missing. A diverged run is final and has no ΔPerf: it is never a success,
ranks worst, and is left out of means and variances.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harness import statistics
from harness.metrics import DELTA_PERF, Metric
from harness.records import Result, Run, finite
from harness.text import exact
from harness.training.schedules import scale_steps
from harness.verdicts import Rule

FloatArray = NDArray[np.float64]


def rule_text(rule: Rule, metric: Metric = DELTA_PERF) -> str:
    """Return a success rule in words.

    "shown" needs standard errors; half of useless runs pass "above zero".
    """
    least = f"{metric.improving.sign} {exact(metric.target, plus=False)}"
    if rule == "shown":
        changed = " and at least 6 prompts changed" if metric.is_change else ""
        return f"{metric.name} {'+' if metric.minimised else '−'} t(.975)·SE {least}{changed}"
    return f"{metric.name} {least}"


MOST_TRACED = 500
"""The most runs whose traces are read for learning rates; each has to be unpacked."""


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """The final runs of a sample, as arrays over its n completed runs.

    ``delta`` [n] is ΔPerf. ``measured`` [n] marks the runs with a standard error, and ``se`` [k]
    are those; None where no run has one. ``prompts`` [n] counts the prompts that a run was measured
    on. ``independent`` [n] counts the parts that its standard error takes for independent: prompts,
    or clusters of prompts; ``changed`` [n] are those that changed. NaN where unknown.
    ``total`` counts ``diverged`` runs too, but not the ``missing`` ones: runs that completed, and
    whose ΔPerf is not known.
    """

    completed: tuple[Result, ...]
    diverged: tuple[Result, ...]
    missing: tuple[Result, ...]
    delta: FloatArray
    se: FloatArray | None
    measured: NDArray[np.bool_]
    prompts: FloatArray
    independent: FloatArray
    changed: FloatArray

    @property
    def total(self) -> int:
        """The number of final runs whose result is known."""
        return len(self.completed) + len(self.diverged)

    @property
    def final(self) -> tuple[Result, ...]:
        """The final runs whose result is known, diverged ones last."""
        return (*self.completed, *self.diverged)

    @property
    def ranked(self) -> FloatArray:
        """The ΔPerf of the `final` runs [total]; −inf for a diverged one, which ranks worst."""
        return np.concatenate([self.delta, np.full(len(self.diverged), -np.inf)])

    @property
    def rule(self) -> Rule:
        """The success rule that these runs allow.

        One run without a standard error does not change it for all: that run counts as not shown.
        """
        return "above zero" if self.se is None else "shown"

    @property
    def is_degenerate(self) -> bool:
        """Return whether ΔPerf is the same in every run that has one, of more than one run."""
        several = self.delta.size > 0 and self.delta.size + len(self.missing) > 1
        return several and statistics.is_constant(self.delta)


@dataclass(frozen=True, slots=True)
class SuccessCount:
    """The successes among ``runs``, and those shown to fail, by ``rule``.

    ``unknown`` are the runs of which it is not known whether they are successes.
    """

    successes: int
    failures: int
    runs: int
    rule: Rule
    unknown: int = 0
    improved: tuple[str, ...] = field(default=(), repr=False)
    """The ids of the successes."""


class ById:
    """A sample that is equal only to itself: comparing two by their runs would read them all."""

    def __init__(self, results: tuple[Result, ...]) -> None:
        self.results = results

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ById) and self.results is other.results

    def __hash__(self) -> int:
        return id(self.results)


def observe(results: Iterable[Result]) -> Observations:
    """Read the final runs among ``results``, but for those with no finite ΔPerf.

    A tuple that was read a moment ago is not read again: claims, audit and report each ask.
    """
    return _observed(ById(tuple(results)))


@lru_cache(maxsize=8)
def _observed(sample: ById) -> Observations:
    results = sample.results
    done = [result for result in results if result.outcome.status == "completed"]
    completed, missing = (
        tuple([one for one in done if (finite(one.outcome.delta_perf) is not None) is known])
        for known in (True, False)
    )
    measured = [
        (
            one.delta_perf,
            one.delta_perf_se,
            one.prompts,
            one.independent,
            one.independent_changed,
        )
        for one in [result.outcome for result in completed]
    ]
    # None becomes NaN.
    arrays = np.array(measured, dtype=np.float64).reshape(-1, 5).T.copy()
    delta, errors, prompts, independent, changed = arrays
    # An SE of 0 beside a change, without a count of changed prompts, is a blank.
    blank = (errors == 0.0) & (delta != 0.0) & np.isnan(changed)
    gapped = [any(gap.kind == "error" for gap in result.gaps) for result in completed]
    known = np.isfinite(errors) & (errors >= 0.0) & ~blank & ~np.array(gapped, dtype=np.bool_)
    se = errors[known]
    for array in (delta, se, known, prompts, independent, changed):
        array.setflags(write=False)
    return Observations(
        completed=completed,
        diverged=tuple(result for result in results if result.outcome.status == "diverged"),
        missing=missing,
        delta=delta,
        # A blank among standard errors does not change the rule, even where it is the last of them.
        se=None if completed and not (known.any() or any(gapped)) else se,
        measured=known,
        prompts=prompts,
        independent=independent,
        changed=changed,
    )


def count_successes(
    observed: Observations,
    min_gain: float,
    rule: Rule | None = None,
    *,
    unknown_succeed: bool = False,
) -> SuccessCount:
    """Count the runs that are shown to improve and those that are shown to fail.

    A run is shown to fail when it diverged, or is no success and its upper 95% end lies below
    ``min_gain``; one without a standard error is shown to do neither. By the rule "above zero"
    every run that is no success fails. Unless given, the ``rule`` is the one that the runs allow.
    A run whose result or standard error is missing is counted, as a success only if
    ``unknown_succeed``.
    """
    rule = observed.rule if rule is None else rule
    diverged = len(observed.diverged)
    if rule == "shown" and observed.se is not None:
        which, se = observed.measured, observed.se
        known = (observed.delta[which], se, observed.independent[which], observed.changed[which])
        success, failure = np.zeros_like(which), np.zeros_like(which)
        success[which] = statistics.shown_to_improve(*known)
        failure[which] = statistics.shown_to_fail(*known, min_gain=min_gain)
        unknown = len(observed.missing) + int((~which).sum())
    else:
        rule = "above zero"
        success = observed.delta > 0.0
        failure = ~success
        unknown = len(observed.missing)
    return SuccessCount(
        successes=int(success.sum()) + (unknown if unknown_succeed else 0),
        failures=int(failure.sum()) + diverged,
        runs=observed.total + len(observed.missing),
        rule=rule,
        unknown=unknown,
        improved=tuple(
            result.run.id for result, good in zip(observed.completed, success, strict=True) if good
        ),
    )


def shared_rule(one: Observations, two: Observations) -> Rule:
    """Return the success rule that two samples both allow."""
    return "shown" if one.rule == two.rule == "shown" else "above zero"


def window_of(run: Run, since: int | None) -> tuple[float, float]:
    """Return the first and last step of the window from ``since``, in the run's own steps.

    ``since`` counts declared steps and is scaled with them, as all that is counted in steps; None
    is half of them.
    """
    if since is None:
        return run.steps / 2, run.steps
    return scale_steps(since, run.steps, run.declared_steps or run.steps), run.steps


def learning_rates(results: Sequence[Result]) -> list[tuple[FloatArray, FloatArray]]:
    """Return steps [t] and learning rates [t] of the runs whose trace has them.

    Of more than `MOST_TRACED` runs only that many are read, evenly over the sample.
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


def parameter_names(results: Iterable[Result]) -> tuple[str, ...]:
    """Return the parameters of ``results`` in order of appearance."""
    return tuple(dict.fromkeys(name for result in results for name in result.run.config))


def worst_value(*samples: Observations) -> float:
    """Return the ΔPerf at which diverged runs rank: the worst seen, or all of perf lost."""
    seen = [float(sample.delta.min()) for sample in samples if sample.delta.size]
    lost = [
        -before
        for sample in samples
        for result in sample.diverged
        if (before := finite(result.outcome.perf_before)) is not None
    ]
    return min([*seen, *lost], default=0.0)


def moved_by(results: Iterable[Result], metric: Metric = DELTA_PERF) -> Iterable[float]:
    """Yield how far each completed run ended from where it started, where that is known.

    A change from before training says so itself. By another metric it is the last value less the
    first point of the curve, which is where the run started only if it is that of step 0.
    """
    for result in results:
        outcome, curve = result.outcome, result.outcome.curve
        if outcome.status != "completed" or (delta := finite(outcome.delta_perf)) is None:
            continue
        if metric.is_change:
            yield delta
        elif curve and curve[0].step == 0 and outcome.value is not None:
            yield metric.change(outcome.value) - curve[0].perf


def identity(result: Result) -> tuple[str | None, str]:
    """Return the id and the backend of a main run, by which it is matched."""
    return result.run.id, result.conditions.backend


def partner(result: Result) -> tuple[str | None, str]:
    """Return the `identity` of the main run that an arm's run is matched with.

    Both are of one backend: between backends, a difference is not the arm's alone.
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
