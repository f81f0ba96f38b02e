"""The claim that a parameter makes a difference with the other parameters held equal."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from harness import observations, statistics
from harness.claims import nights
from harness.claims.base import NO_MARGIN, MarginClaim, more
from harness.claims.design import MOST_SIMULATED, Design, effects
from harness.metrics import DELTA_PERF, Metric
from harness.observations.adjusted import FEWEST_DOF, Adjusted, Obstacle, beside_others
from harness.observations.repeats import each_run
from harness.sweeps import checks
from harness.text import first, level_text, number, p_text, parameter_name, plural
from harness.verdicts import (
    Difference,
    Evidence,
    LevelEffect,
    Need,
    ParameterEffect,
    Pricing,
    Verdict,
)

if TYPE_CHECKING:
    from harness.statistics import PartialTest

LEVEL = 0.95
"""The confidence at which the intervals of all levels hold together."""

FEWEST_DRAWS = 19_999
"""Permutations of a plain effect, so that of a few questions p is below .001 after correction."""

MOST_NAMED = 4
"""The most parameters that a line names."""

RANK_EFFICIENCY = 0.95
"""The efficiency of ranks beside values where noise is normal: 3/π (Hodges & Lehmann 1956)."""


@dataclass(frozen=True)
class ParameterClaim(MarginClaim):
    """A claim on one ``parameter`` beside the others. A subclass decides in `found`."""

    parameter: str
    margin: float | None = None

    def __post_init__(self) -> None:
        checks.text(f"{self.called}: the parameter", self.parameter, "learning_rate")
        super().__post_init__()

    @property
    def called(self) -> str:
        """The name that the claim is declared by."""
        raise NotImplementedError

    @property
    def parameters(self) -> tuple[str, ...]:
        return (self.parameter,)

    @property
    def fewest(self) -> int:
        """The runs that leave degrees of freedom beside a constant and two columns."""
        return FEWEST_DOF + 3

    @property
    def empty(self) -> ParameterEffect:
        """The effect of a parameter of which nothing is known: the question is unanswerable."""
        raise NotImplementedError

    def decide(self, id: str, evidence: Evidence) -> Verdict:
        beside = beside_others(
            each_run(evidence.runs),
            self.parameter,
            evidence.given,
            in_order=evidence.adaptive is not None,
        )
        if isinstance(beside, Obstacle):
            return self._blocked(id, evidence, beside)
        test = tested(beside, evidence)
        if not beside.observed.completed:
            need = Need("runs", "runs that do not diverge")
            return self._blocked(
                id, evidence, Obstacle(f"{self.parameter}: every run diverged"), need
            )
        if test is None:
            why = f"{self.parameter}: the others explain all of it"
            return self._blocked(id, evidence, Obstacle(why))
        return self.found(id, evidence, beside, test)

    def found(self, id: str, evidence: Evidence, beside: Adjusted, test: PartialTest) -> Verdict:
        """Return the verdict of a parameter that can be tested."""
        raise NotImplementedError

    def worse(self, now: Evidence, then: Evidence, was: Verdict) -> tuple[Difference, ...]:
        """Test whether the parameter's effect has changed, over the runs that both nights have.

        Of a claim that has lost its support, that is for the worse. The change of each run takes
        the place of the metric: where nothing has changed, it is as likely at each value. Without
        such runs the means are compared.
        """
        changes = nights.changes(now, then)
        if len(changes) < max(self.fewest, min(len(now.runs), len(then.runs)) // 2):
            return super().worse(now, then, was)
        beside = beside_others(changes, self.parameter, now.given)
        same = observations.observe(changes).is_degenerate
        test = None
        if not (same or isinstance(beside, Obstacle)):
            test = beside.test(nights.of_nights(now, was), FEWEST_DRAWS)
        what = f"effect of {parameter_name(self.parameter)} on {now.metric.name}"
        return (Difference(what, 1.0 if test is None else test.p_value),)

    def _blocked(
        self, id: str, evidence: Evidence, obstacle: Obstacle, need: Need | None = None
    ) -> Verdict:
        need = need or Need("parameter", f"runs in which {self.parameter} varies by itself")
        if obstacle.runs is not None:
            fewer = f", or fewer parameters that go with {self.parameter}"
            units = "configurations" if obstacle.merged else "runs"
            need = Need("runs", f"at least {obstacle.runs} {units}" + fewer * obstacle.beside)
        verdict = self.unanswerable(
            id,
            evidence,
            obstacle.reason,
            by_design=obstacle.by_design,
            n=observations.observe(evidence.runs).total,
            needs=(need,),
        )
        return replace(verdict, effect=self.empty)

    def details_of(self, beside: Adjusted) -> list[str]:
        """Return lines on how the runs were compared."""
        lines = []
        if beside.merged:
            lines.append("a configuration counts once, by the mean of its repeats")
        elif beside.has_repeats:
            lines.append("repeats are runs like others: every level has them beside like runs")
        if beside.linked:
            names = first(beside.linked, MOST_NAMED)
            lines.append(f"beside {names}, for which it might be taken")
        if beside.entered:
            what = plural(beside.entered, "other term")
            lines.append(f"{what} of the other parameters entered the model by the metric")
        if lost := len(beside.observed.diverged):
            lines.append(f"{plural(lost, 'diverged run')} ranked worst, and left out of the means")
        return lines


@dataclass(frozen=True)
class Matters(ParameterClaim):
    """A ``parameter`` makes a difference, with the other parameters held equal.

    Its partial F in an additive model of the ranked metric must be shown by permutation (see
    `statistics.partial_test`). Refuted where every adjusted difference between its levels, or the
    thirds of its range, is shown to lie within ±``margin`` (None is the sweep's margin).
    """

    @property
    def called(self) -> str:
        return "matters"

    @property
    def empty(self) -> ParameterEffect:
        return ParameterEffect("matters", self.parameter)

    def question(self, metric: Metric = DELTA_PERF) -> str:
        return f"Does {parameter_name(self.parameter)} matter, the other parameters held equal?"

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        return (
            f"{self.parameter} changes {metric.name}, the other parameters held equal: partial F "
            f"of ranks by permutation; refuted where its levels agree within margin: "
            f"{self.margin_words}"
        )

    def found(self, id: str, evidence: Evidence, beside: Adjusted, test: PartialTest) -> Verdict:
        levels, margin = beside.levels, self.margin_of(evidence)
        best, worst = int(levels.means.argmax()), int(levels.means.argmin())
        apart = float(levels.means[best] - levels.means[worst])
        low, high = levels.difference(best, worst, LEVEL)
        labels = [level_text(level) for level in beside.named]
        ahead = f"{labels[best]} is ahead of {labels[worst]} by {number(apart)}"
        size = f"{ahead} ({ends(low, high)})"
        if best == worst:
            size = f"every run with another value than {labels[best]} diverged"
        elif beside.by_ranks is not None:
            first_one, last = map(level_text, beside.by_ranks)
            size = f"by ranks {first_one} is ahead of {last}, but by means {size}"
        supported = test.p_value <= evidence.alpha
        same = margin is not None and not beside.observed.diverged
        same = same and margin is not None and levels.all_within(margin, evidence.alpha)
        if supported:
            spreads = beside.spreads_differ <= statistics.ENTERS
            answer = f"yes, it changes the level{' or the spread' if spreads else ''}: {size}"
        elif same and margin is not None:
            answer = f"no: its levels agree within ±{number(margin)}, on average over the others"
        else:
            answer = f"not shown: {size}"
        decided = not supported and not same
        enough = statistics.size_to_decide(beside.n, test.p_value, evidence.alpha)
        return replace(
            self.verdict(
                id,
                evidence,
                "supported" if supported else "refuted" if same else "inconclusive",
                answer,
                estimate=apart if best != worst else None,
                low=low,
                high=high,
                level=LEVEL,
                p_value=test.p_value,
                n=beside.n,
                method=method_of(beside),
                reason=p_text(test.p_value) + (f"; {NO_MARGIN}" if margin is None else ""),
                needs=(more([enough], beside.n),) if decided else (),
                details=self.details_of(beside),
            ),
            effect=replace(
                self.empty,
                levels=levels_of(beside),
                share=test.share,
                p_matters=test.p_value,
                by_ranks=beside.by_ranks,
            ),
        )

    def power(self, design: Design) -> Pricing:
        problem = lacking(self.parameter, design)
        if problem:
            return Pricing(design.n, why=problem)

        name = parameter_name(self.parameter)
        priced = effects(
            lambda gain, n: partial_power(self.parameter, design, gain, n),
            design.gains_beside,
            lambda gain: f"best and worst {gain} apart",
            lambda gain: f"{name} is shown to matter where its best and worst are {gain} apart",
        )
        given = (
            "the others held equal; to refute it takes a margin of about "
            f"{refuting_margin(design.n):.1f} SD where levels, or thirds of a range, have "
            f"{plural(design.n // 3, 'run')} each"
        )
        if design.beside is not None:
            sd, whose = design.beside
            given += f"; the SD that they leave is {number(sd)}, of {whose}"
        return Pricing(design.n, priced, given=given, least=self.fewest, noise="beside")


@lru_cache(maxsize=256)
def _tested(beside: Adjusted, seed: int, draws: int) -> PartialTest | None:
    return beside.test(nights.generator(seed, f"matters {beside.parameter}"), draws)


def tested(beside: Adjusted, evidence: Evidence) -> PartialTest | None:
    """Return the test of a parameter, drawn once for all questions about it.

    There are permutations enough that a p value may pass the correction over all questions.
    """
    draws = max(FEWEST_DRAWS, math.ceil(20 * evidence.questions / evidence.alpha) - 1)
    return _tested(beside, evidence.seed, draws)


def levels_of(beside: Adjusted) -> tuple[LevelEffect, ...]:
    """Return the adjusted means of the levels with intervals that hold for all together."""
    levels = beside.levels
    lows, highs = levels.intervals(LEVEL)
    return tuple(
        LevelEffect(
            level,
            int(runs),
            float(mean),
            float(low) if math.isfinite(low) else None,
            float(high) if math.isfinite(high) else None,
        )
        for level, runs, mean, low, high in zip(
            beside.named, levels.counts, levels.means, lows, highs, strict=True
        )
    )


def ends(low: float, high: float) -> str:
    """Return an interval that holds for all pairs of levels in words."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "too few runs for an interval"
    return f"{LEVEL:.0%} interval {number(low)} to {number(high)}"


def method_of(beside: Adjusted) -> str:
    """Return how a parameter was tested, in words."""
    if beside.n > statistics.ASYMPTOTIC_FROM:
        return "partial F of ranks, F distribution"
    if not beside.drawn:
        return "partial F of ranks, residuals permuted (Freedman & Lane)"
    if beside.strata is None:
        return "partial F of ranks, permuted"
    return "partial F of ranks, permuted among runs that are otherwise alike"


def relatives(parameter: str, design: Design) -> list[str]:
    """Return the parameter that gives a parameter, and those that it gives."""
    given = design.sweep.parameters.dependencies
    giver = [given[parameter]] if parameter in given else []
    return [*giver, *(name for name, by in given.items() if by == parameter)]


def lacking(parameter: str, design: Design) -> str:
    """Say what a design lacks to test a parameter; empty where nothing."""
    columns = design.columns(design.n)
    if parameter not in columns:
        return f"{parameter} does not vary in this sweep"
    for other in relatives(parameter, design):
        if other in columns and not columns[parameter].varies_within(columns[other].codes):
            return f"{parameter} does not vary among runs of equal {other}"
    if dof_of(parameter, design, design.n)[1] < FEWEST_DOF:
        return f"{plural(design.n, 'run')} leave fewer than {FEWEST_DOF} degrees of freedom"
    return ""


def dof_of(parameter: str, design: Design, n: int) -> tuple[int, int]:
    """Return the columns of a parameter, and the degrees of freedom left beside its relatives."""
    beside, tested = model_of(parameter, design, n)
    return statistics.rank_beside(tested), n - beside.shape[1] - statistics.rank_beside(tested)


def beside_entered(design: Design, n: int, dof: int) -> tuple[float, int]:
    """Return the share of a parameter's variation and the degrees of freedom that others leave.

    As many columns enter the model by the metric as in the stored runs, and each takes its share;
    at least `FEWEST_DOF` of the ``dof`` degrees of freedom are spared.
    """
    entered = min(design.noise.entered, n // 4)
    return 1.0 - entered / max(1, n - 1), max(min(dof, FEWEST_DOF), dof - entered)


def model_of(
    parameter: str, design: Design, n: int
) -> tuple[observations.FloatArray, observations.FloatArray]:
    """Return a basis [n, q] of a parameter's relatives, and its own columns [n, d] beside them.

    Of a sweep larger than is simulated, those of its first runs.
    """
    n = min(n, MOST_SIMULATED)
    columns = design.columns(n)
    around = [columns[name] for name in relatives(parameter, design) if name in columns]
    always = [statistics.factor(None, one.codes) for one in around]
    beside, _ = statistics.nuisance(np.zeros(n), always, [])
    own = statistics.factor(columns[parameter].scaled, columns[parameter].codes).columns
    return beside, own - beside @ (beside.T @ own)


def share_left(parameter: str, design: Design, n: int) -> float:
    """Return the share of a parameter's variation that its relatives leave."""
    n = min(n, MOST_SIMULATED)
    column = design.columns(n)[parameter]
    own = statistics.factor(column.scaled, column.codes).columns
    return float((model_of(parameter, design, n)[1] ** 2).sum() / (own**2).sum())


def partial_power(parameter: str, design: Design, gain: float, n: int) -> float:
    """Return the power of the partial F test where best and worst are ``gain`` SDs apart.

    Numbers rise along a line; of other levels the last is ahead of all others. The noncentral F
    distribution, at the efficiency of ranks. A larger sweep than is simulated is laid out alike.
    """
    drawn = min(n, MOST_SIMULATED)
    column = design.columns(drawn).get(parameter)
    if column is None:
        return 0.0
    width, dof = dof_of(parameter, design, n)
    if dof < FEWEST_DOF:
        return 0.0
    if column.scaled is None:
        line = (column.codes == column.codes.max()).astype(np.float64)
    else:
        line = np.where(np.isfinite(column.scaled), column.scaled, np.nanmean(column.scaled))
    means = [float(line[column.codes == code].mean()) for code in np.unique(column.codes)]
    beside, _ = model_of(parameter, design, drawn)
    line = (line - beside @ (beside.T @ line)) / (max(means) - min(means) or 1.0)
    alone, dof = beside_entered(design, n, dof)
    squares = float(line @ line) * n / drawn * gain * gain * RANK_EFFICIENCY * alone
    return statistics.partial_power(squares, width, dof, design.sweep.alpha)


def refuting_margin(n: int) -> float:
    """Return the margin, in SDs of a run, at which three equal levels likely are shown to agree.

    Each has a third of ``n`` runs.
    """
    return statistics.equivalence_margin(math.sqrt(6.0 / n), n - 3)
