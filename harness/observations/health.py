"""Read from the trace of a run how healthy its training was, and what it had to learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean

import numpy as np

from harness.observations.repeats import each_run
from harness.observations.sample import MOST_TRACED, ById
from harness.records import Result, Value, finite
from harness.text import percent, significant

SILENT = 0.75
"""The share of groups without signal from which there is hardly anything to learn.

The noise of a gradient falls with the root of the groups that it comes from. With signal in a
quarter of them it is twice as large as with signal in all.
"""

CUT_OFF = 0.1
"""The share of completions cut off from which lengths, not answers, are often rewarded.

Of groups of eight, 1 − 0.9⁸ = 57% then have a completion in them that was graded without its end.
"""

FROZEN = 0.01
"""The share of weights below which a policy is hardly another one than at the start.

In pure bfloat16 100 steps at a learning rate of 4e-7 move half of that.
"""

NARROW = 0.1
"""The share of its first entropy below which a policy hardly draws anything but one completion."""

FAR = 1.0
"""The KL in nats a token from which a policy has left its reference.

What it draws is then e times as likely, in the geometric mean over tokens, as it was there.
"""

LOST = 0.25
"""The share of its first perf below which a policy has lost its answers."""

ALIKE = 0.95
"""The share of groups with equal rewards from which a policy gives one answer to everything."""

ENDS = 0.1
"""The share of the steps that are the start, and the end, of a run."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A measure through a run: its mean over the first steps, over the last, and over all."""

    start: float
    end: float
    mean: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Trend:
        """Return the trend of the values [steps] of a measure, at least one."""
        few = max(1, round(ENDS * len(values)))
        return cls(fmean(values[:few]), fmean(values[-few:]), fmean(values))


@dataclass(frozen=True, slots=True)
class RunHealth:
    """The health of the training of one run.

    ``no_signal`` is the share of groups whose rewards are all equal, ``truncated`` that of
    completions cut off at the most tokens, ``length`` the tokens of a completion; ``entropy`` and
    ``kl`` are in nats a token, ``kl`` None where no step has a penalty. ``moved`` is the share of
    weights that differ from the start. ``learns`` says that there was a step with a gradient
    and a learning rate above 0, which moves them.
    """

    result: Result
    no_signal: Trend
    truncated: Trend
    length: Trend
    entropy: Trend
    kl: Trend | None
    moved: float
    learns: bool

    @property
    def trends(self) -> dict[str, Trend]:
        """The measures that were taken at each step, by name."""
        found = {
            "no_signal": self.no_signal,
            "truncated": self.truncated,
            "length": self.length,
            "entropy": self.entropy,
        }
        return found if self.kl is None else {**found, "kl": self.kl}

    @property
    def collapsed(self) -> bool:
        """Return whether the policy collapsed: it left where it began, and lost its answers.

        It has left if its entropy has fallen below a tenth, or its KL is a nat a token or more. Its
        answers are lost if held-out perf is no better than before, and either less than a quarter
        of it is left, or completions are less than half as long as at the start, or nearly all
        groups have equal rewards. A policy that has become sure of right answers has not collapsed.
        """
        outcome = self.result.outcome
        before, after = finite(outcome.perf_before), finite(outcome.perf_after)
        if before is None or after is None or after > before:
            return False
        left = self.entropy.end < NARROW * self.entropy.start
        left |= self.kl is not None and self.kl.end >= FAR
        lost = after < LOST * before or self.length.end < self.length.start / 2
        return left and (lost or self.no_signal.end >= ALIKE)


def run_health(result: Result) -> RunHealth | None:
    """Return the health of a run's training; None where it was not measured.

    Only runs that say how many weights moved have the measures, so the traces of others, such as
    those of a training function of the user's own, are not unpacked.
    """
    moved = finite(result.outcome.weights_moved)
    trace = () if moved is None else result.outcome.trace
    known = [
        (step.no_signal, step.truncated, step.length, step.entropy)
        for step in trace
        if step.no_signal is not None and step.truncated is not None and step.length is not None
    ]
    if moved is None or not known:
        return None
    kl = [step.kl for step in trace if step.kl is not None]
    no_signal, truncated, length, entropy = map(Trend.of, zip(*known, strict=True))
    return RunHealth(
        result,
        no_signal=no_signal,
        truncated=truncated,
        length=length,
        entropy=entropy,
        kl=Trend.of(kl) if kl else None,
        moved=moved,
        learns=any(step.learning_rate > 0.0 and step.grad_norm > 0.0 for step in trace),
    )


def health_columns(results: Sequence[Result]) -> dict[str, list[Value]]:
    """Return columns on the health of runs for a table of ``results``; none if not measured."""
    found = [run_health(result) for result in results]
    if not any(found):
        return {}
    columns: dict[str, Callable[[RunHealth], float | None]] = {
        "no_signal": lambda run: run.no_signal.mean,
        "truncated": lambda run: run.truncated.mean,
        "length": lambda run: run.length.mean,
        "entropy_start": lambda run: run.entropy.start,
        "entropy_end": lambda run: run.entropy.end,
        "kl_end": lambda run: None if run.kl is None else run.kl.end,
        "weights_moved": lambda run: run.moved,
    }
    return {
        f"health.{name}": [None if run is None else of(run) for run in found]
        for name, of in columns.items()
    }


def observe_health(results: Iterable[Result]) -> tuple[RunHealth, ...]:
    """Return the health of those runs in which it was measured, seed by seed.

    Of more than `MOST_TRACED` runs only that many are read, evenly over the sample. A tuple that
    was read a moment ago is not read again.
    """
    return _observed(ById(each_run(results)))


@lru_cache(maxsize=8)
def _observed(sample: ById) -> tuple[RunHealth, ...]:
    results = sample.results
    few = min(len(results), MOST_TRACED)
    chosen = (results[number * len(results) // few] for number in range(few))
    return tuple(found for result in chosen if (found := run_health(result)) is not None)


def share(value: float) -> str:
    """Return a share that may be small in words: ``0.52%``, ``97%``."""
    return percent(value) if value >= FROZEN else f"{significant(100 * value, 2)}%"


def nothing_to_learn(results: Iterable[Result]) -> str | None:
    """Say that there was hardly anything to learn from, and what to do; None where there was."""
    runs = observe_health(results)
    perfs = [point.perf for run in runs for point in run.result.outcome.curve]
    return equal_rewards(fmean(run.no_signal.mean for run in runs), perfs) if runs else None


def equal_rewards(no_signal: float, perfs: Sequence[float]) -> str | None:
    """Say that rewards were equal in most groups, and what to do; None where they were not.

    ``no_signal`` is the share of groups whose rewards are all equal, ``perfs`` are held-out scores.
    """
    if no_signal < SILENT:
        return None
    prompts = "harder" if perfs and fmean(perfs) > 0.5 else "easier"
    return (
        f"in {percent(no_signal)} of groups all rewards were equal: nothing to learn from; more "
        f"generations or {prompts} prompts"
    )


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure of health over the runs of a sweep: means over runs, and the worst of them.

    ``start`` and ``end`` are None where a measure has one value a run. ``worst`` is the value of
    ``run``, by its mean, or by its end where that is what counts.
    """

    name: str
    start: float | None
    end: float | None
    mean: float
    worst: float
    run: Result


@dataclass(frozen=True, slots=True)
class Health:
    """The health of training over the ``runs`` in which it was measured."""

    runs: int
    measures: tuple[Measure, ...]

    def __getitem__(self, name: str) -> Measure:
        return next(measure for measure in self.measures if measure.name == name)


def health(results: Iterable[Result]) -> Health | None:
    """Return the health of training over ``results``; None where no run of them has measures."""
    runs = observe_health(results)
    if not runs:
        return None

    def over(
        name: str,
        of: Callable[[RunHealth], Trend | None],
        worst: Callable[[Sequence[float]], np.intp],
        by: Callable[[Trend], float],
    ) -> list[Measure]:
        known = [(run, found) for run in runs if (found := of(run)) is not None]
        if not known:
            return []
        values = [by(found) for _, found in known]
        place = int(worst(values))
        start, end, mean = (
            fmean(getattr(found, at) for _, found in known) for at in ("start", "end", "mean")
        )
        return [Measure(name, start, end, mean, values[place], known[place][0].result)]

    def mean_of(found: Trend) -> float:
        return found.mean

    def end_of(found: Trend) -> float:
        return found.end

    moved = [run.moved for run in runs]
    least = int(np.argmin(moved))
    return Health(
        len(runs),
        (
            *over("no_signal", lambda run: run.no_signal, np.argmax, mean_of),
            *over("truncated", lambda run: run.truncated, np.argmax, mean_of),
            *over("length", lambda run: run.length, np.argmin, end_of),
            *over("entropy", lambda run: run.entropy, np.argmin, end_of),
            *over("kl", lambda run: run.kl, np.argmax, end_of),
            Measure("weights_moved", None, None, fmean(moved), moved[least], runs[least].result),
        ),
    )
