"""The finished runs as refine compares them, and the criteria of its tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness import observations
from harness.analysis import Effect
from harness.analysis.units import HighRule, Units, high_rule, units_of
from harness.claims.base import outcome
from harness.metrics import Metric
from harness.observations import FloatArray
from harness.observations.repeats import each_run
from harness.observations.selection import Worth, selection
from harness.records import Config, Result, Span, Value, finite
from harness.refine.proposal import Figure
from harness.statistics import Comparison, Worse
from harness.text import p_text, parameter_name, plural
from harness.verdicts import LevelEffect, Shape


@dataclass(frozen=True, slots=True)
class Shown:
    """The findings on a parameter with the others held equal, over all questions.

    It ``matters`` or not; ``words`` say so. ``best`` is the one value that is named as the best,
    None where none is. ``shape`` is that along numbers.
    """

    matters: bool
    best: Value | None = None
    shape: Shape | None = None
    words: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Criteria:
    """The criteria of every decision, fixed before any parameter is looked at.

    Each test that could narrow something is held against ``level``: α over the number of tests.
    ``margin`` is None where none is stated for the metric, and then nothing is narrowed. ``shown``
    has what the questions on each parameter show.
    """

    level: float
    alpha: float
    margin: float | None
    metric: Metric
    rng: np.random.Generator
    shown: Mapping[str, Shown]

    def shown_of(self, parameter: str) -> Shown:
        """Return what is shown of a parameter: nothing of one that is not compared."""
        unknown = Shown(False, words=f"{parameter_name(parameter)} is not compared")
        return self.shown.get(parameter, unknown)

    def shared(self, number: int) -> Criteria:
        """Return the criteria of one of ``number`` cases that share a parameter's level."""
        return replace(self, level=self.level / max(1, number))

    @property
    def needed(self) -> str:
        """Write the level: "needed: 0.0042"."""
        return f"needed: {self.level:.2g}"


def shown_by(effect: Effect, alpha: float) -> Shown:
    """Return what the verdicts on a parameter show: they are those of `matters` and `best_value`.

    No decision has an answer of its own to these two questions.
    """
    name = parameter_name(effect.parameter)
    if not effect.is_shown(alpha):
        p_holm = effect.matters.p_holm
        figure = "" if p_holm is None else f" ({p_text(p_holm)} over all questions)"
        return Shown(False, words=f"{name} is not shown to matter, the others held equal{figure}")
    found = effect.best.effect
    levels = () if found is None else found.levels
    shape = None if found is None else found.shape
    may = [level for level in levels if level.may_be_best]
    best: LevelEffect | None = may[0] if len(may) == 1 else None
    if best is None and effect.best.verdict == "supported":
        best = max(levels, key=lambda level: level.mean)
    value = None if best is None or isinstance(best.level, Span) else best.level
    return Shown(True, value, shape, f"{name} is shown to matter, the others held equal")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Configurations [n], their outcomes [n], and which of them are high performers [n].

    Repeats of a configuration are merged. A diverged run has the ``worst`` outcome of all, and is
    no high performer. ``high_means`` says in words what a high performer is. ``worth`` has what the
    runs are worth after the best of them are chosen, by their ids, and ``left`` [n] what is left of
    each outcome then, NaN where that is not known.
    """

    results: tuple[Result, ...]
    configs: tuple[Config, ...]
    outcomes: FloatArray
    high: NDArray[np.bool_]
    rule: HighRule
    high_means: str
    worst: float
    worth: Mapping[str, Worth]
    left: FloatArray

    def __len__(self) -> int:
        return len(self.configs)

    @property
    def merged(self) -> bool:
        """Return whether repeats count once."""
        return len(self.configs) < len(self.results)

    def column(self, parameter: str) -> list[Value]:
        """Return the values [n] of a parameter; None where a run does not set it."""
        return [config.get(parameter) for config in self.configs]

    def having(self, parameter: str, value: Value) -> Sample:
        """Return the runs with this value of a parameter, their repeats merged anew.

        Repeats among all runs may be a full grid among these, and then are not merged.
        """
        some = tuple(r for r in self.results if r.run.config.get(parameter) == value)
        return _sample(
            some,
            units_of(some),
            self.rule,
            self.high_means,
            worst=self.worst,
            worth=self.worth,
        )


def sample_of(
    results: Sequence[Result], metric: Metric, given: Mapping[str, str] | None = None
) -> Sample:
    """Return the final runs of ``results``, their high performers marked by `high_rule`.

    ``given`` names the parameter that another's values depend on by declaration.
    """
    worth = selection(results, given).of
    results = each_run(results)
    units = units_of(results)
    rule = high_rule(units.outcomes, metric)
    level, sign = metric.level(rule.threshold), metric.improving.sign
    means = "the best third" if rule.kind == "best third" else f"{metric.name} {sign} {level:g}"
    worst = observations.worst_value(units.observed)
    return _sample(results, units, rule, means, worst=worst, worth=worth)


def rounded(value: float, *, up: bool, digits: int = 2) -> float:
    """Return ``value`` rounded up or down to this many significant digits."""
    if value == 0.0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) + 1 - digits)
    steps = round(value / unit, 6)
    return float(f"{(math.ceil(steps) if up else math.floor(steps)) * unit:.12g}")


def of_runs(part: int, whole: int) -> str:
    """Return "12 of 48 runs"."""
    return f"{part} of {plural(whole, 'run')}"


def figure_of(compared: Comparison | Worse, p_value: float, needed: float) -> Figure:
    """Return a comparison as the figure of a revision, its open ends as None."""
    return Figure(
        p_value=p_value,
        needed=needed,
        estimate=finite(compared.estimate),
        low=finite(compared.low),
        high=finite(compared.high),
        level=compared.level if math.isfinite(compared.low) else None,
    )


def best_of(outcomes: FloatArray, left: FloatArray, metric: Metric) -> str:
    """Return the best of some outcomes [n] in words, with what is ``left`` [n] of it."""
    best = int(outcomes.argmax())
    said = outcome(float(outcomes[best]), metric)
    if math.isnan(left[best]):
        return said
    return f"{said} ({outcome(float(left[best]), metric)} after selection)"


def _sample(
    results: tuple[Result, ...],
    units: Units,
    rule: HighRule,
    means: str,
    *,
    worst: float,
    worth: Mapping[str, Worth],
) -> Sample:
    known = (worth.get(result.run.id) for result in units.observed.final)
    return Sample(
        results=results,
        configs=units.configs,
        outcomes=np.where(units.finished, units.outcomes, worst),
        high=rule.of(units.outcomes),
        rule=rule,
        high_means=means,
        worst=worst,
        worth=worth,
        left=np.array([math.nan if one is None else one.shrunk for one in known]),
    )
