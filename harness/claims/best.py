"""The claim that one value of a parameter is best, with the other parameters held equal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness import observations, statistics
from harness.claims import nights
from harness.claims.base import NO_MARGIN, more
from harness.claims.design import MOST_SIMULATED, Design, effects
from harness.claims.effect import (
    ParameterClaim,
    beside_entered,
    dof_of,
    lacking,
    levels_of,
    share_left,
)
from harness.claims.sweet_spot import DROPS, BestInside
from harness.metrics import DELTA_PERF, Metric
from harness.observations.adjusted import Adjusted
from harness.observations.levels import is_domain_end, is_number
from harness.records import Span
from harness.statistics import FEWEST_BRACKETED, Bracket
from harness.text import first, level_text, listed, number, p_text, parameter_name, parameter_value
from harness.verdicts import (
    Evidence,
    LevelEffect,
    Need,
    ParameterEffect,
    Pricing,
    Shape,
    Verdict,
    VerdictName,
)

if TYPE_CHECKING:
    from harness.statistics import PartialTest

FEWEST_ORDERED = 3
"""Numbers of fewer distinct values have no inside: they are compared as levels."""

LONGEST = 10_000_000
"""Whole numbers from here on are rounded like others."""

FEW_DROPS = (1.0, 2.0)
"""Standard drops from a best value of few to the least and the greatest, in SDs of a run."""

MOST_LISTED = 4
"""The most levels that an answer names."""


@dataclass(frozen=True)
class BestValue(ParameterClaim):
    """One value of a ``parameter`` is the best, with the other parameters held equal.

    Numbers are ordered: the bracket test on what the other parameters leave of the ranks must show
    a rise to a best value inside the range and a fall from it, as in `BestInside`. Other levels are
    compared with the best (Hsu 1981): one must be shown to be better than each other one, and that
    the parameter matters. Refuted where all levels, or thirds of the range, are shown to agree
    within ±``margin`` (None is the sweep's margin).
    """

    @property
    def called(self) -> str:
        return "best_value"

    @property
    def empty(self) -> ParameterEffect:
        return ParameterEffect("best", self.parameter)

    def question(self, metric: Metric = DELTA_PERF) -> str:
        return f"Which {parameter_name(self.parameter)} is best, the other parameters held equal?"

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        return (
            f"one {self.parameter} is best for {metric.name}, the other parameters held equal: of "
            "numbers the bracket test on adjusted ranks, else adjusted means compared with the "
            f"best; refuted where its levels agree within margin: {self.margin_words}"
        )

    def found(self, id: str, evidence: Evidence, beside: Adjusted, test: PartialTest) -> Verdict:
        effect = replace(
            self.empty,
            levels=levels_of(beside),
            share=test.share,
            p_matters=test.p_value,
            by_ranks=beside.by_ranks,
        )
        margin = self.margin_of(evidence)
        same = margin is not None and not beside.observed.diverged
        same = same and margin is not None and beside.levels.all_within(margin, evidence.alpha)
        if is_ordered(beside):
            return self._along(id, evidence, beside, effect, same=same)
        return self._among(id, evidence, beside, effect, same=same)

    def _along(
        self, id: str, evidence: Evidence, beside: Adjusted, effect: ParameterEffect, *, same: bool
    ) -> Verdict:
        """Judge values that have an order, by the bracket test."""
        numbers = beside.column.as_numbers
        assert numbers is not None
        is_set = np.isfinite(numbers)
        values, residuals = numbers[is_set], beside.residuals[is_set]
        bracketed = statistics.bracket(
            values, residuals, nights.generator(evidence.seed, id), shares_null=True
        )
        left = may_be_best(beside, evidence.alpha)
        levels = marked(effect.levels, left)
        verdict, shape, answer = _shape_of(
            bracketed, np.sort(values), _ends_of_best(levels), evidence, same=same
        )
        up, down = evidence.metric.improving, evidence.metric.worsening
        if shape in ("rises", "falls"):
            effect = replace(effect, levels=levels)
        margin = self.margin_of(evidence)
        if shape == "flat" and margin is not None:
            answer = f"no best value: the same within ±{number(margin)} along the range"
        elif shape is not None and effect.p_matters is not None:
            answer = f"{answer} ({p_text(effect.p_matters)} that it matters)"
        elif verdict == "inconclusive" and beside.column.numbers is None and left.sum() == 1:
            # Few values leave the bracket test short windows. One may still be ahead of each other.
            answer = _best_of_few(beside, int(left.argmax()))
            effect = replace(effect, levels=levels)
        ways = f"{up.rising} {p_text(bracketed.p_rising)}, "
        ways += f"{down.rising} {p_text(bracketed.p_falling)}"
        need = self._need(bracketed, np.sort(values), evidence.alpha, shape)
        return replace(
            self.verdict(
                id,
                evidence,
                verdict,
                answer,
                estimate=bracketed.peak,
                p_value=bracketed.p_value if bracketed.n >= FEWEST_BRACKETED else 1.0,
                n=bracketed.n,
                unit="parameter",
                method="bracket test on adjusted ranks (Kendall's S, 1,999 permutations)",
                reason=ways if margin is not None else f"{ways}; {NO_MARGIN}",
                needs=(need,) if verdict == "inconclusive" else (),
                details=self.details_of(beside),
            ),
            effect=replace(effect, shape=shape),
        )

    def _among(
        self, id: str, evidence: Evidence, beside: Adjusted, effect: ParameterEffect, *, same: bool
    ) -> Verdict:
        """Judge levels that have no order, each compared with the best of the others."""
        labels, left = labels_of(beside), may_be_best(beside, evidence.alpha)
        best = int(beside.levels.means.argmax())
        others = np.delete(beside.levels.not_best(), best)
        p_matters = 1.0 if effect.p_matters is None else effect.p_matters
        alone = max(p_matters, float(others.max(initial=0.0)))
        margin, name = self.margin_of(evidence), parameter_name(self.parameter)
        verdict: VerdictName = "inconclusive"
        if alone <= evidence.alpha:
            verdict, answer = "supported", f"{labels[best]} is best"
        elif same and margin is not None:
            verdict, answer = "refuted", f"none is best: all agree within ±{number(margin)}"
            left[:] = True
        elif left.all():
            answer = f"any {name} of {first(labels, MOST_LISTED)} may be the best"
        else:
            may = [text for text, stays in zip(labels, left, strict=True) if stays]
            out = [text for text, stays in zip(labels, left, strict=True) if not stays]
            answer = f"{listed(may, 'or')} may be the best; {listed(out)} "
            answer += "is not" if len(out) == 1 else "are not"
        size = statistics.size_to_decide(beside.n, alone, evidence.alpha)
        return replace(
            self.verdict(
                id,
                evidence,
                verdict,
                answer,
                estimate=evidence.metric.level(float(beside.levels.means[best])),
                p_value=alone,
                n=beside.n,
                unit="level",
                method="adjusted means compared with the best (Hsu), HC2",
                reason=p_text(alone) + (f"; {NO_MARGIN}" if margin is None else ""),
                needs=(more([size], beside.n),) if verdict == "inconclusive" else (),
                details=(
                    *self.details_of(beside),
                    "whichever value is truly best is left out with a probability of at most "
                    f"{evidence.alpha:.0%}",
                ),
            ),
            effect=replace(effect, levels=marked(effect.levels, left)),
        )

    def _need(
        self,
        bracketed: Bracket,
        ordered: observations.FloatArray,
        alpha: float,
        shape: Shape | None,
    ) -> Need:
        if bracketed.n < FEWEST_BRACKETED:
            return Need("runs", f"at least {FEWEST_BRACKETED} runs ({bracketed.n} now)")
        if shape in ("rises", "falls"):
            end = float(ordered[-1] if shape == "rises" else ordered[0])
            if is_domain_end(ordered.tolist(), end):
                return Need(
                    "runs", f"more runs near {written(end)}, to tell it from its neighbours"
                )
            where = "higher" if shape == "rises" else "lower"
            return Need("parameter", f"a range of {self.parameter} that goes {where}")
        return more([statistics.size_to_decide(bracketed.n, bracketed.p_value, alpha)], bracketed.n)

    def power(self, design: Design) -> Pricing | None:
        problem = lacking(self.parameter, design)
        if problem:
            return Pricing(design.n, why=problem)
        column = design.columns(design.n)[self.parameter]
        numbers = column.as_numbers
        if numbers is not None and np.unique(numbers).size >= FEWEST_ORDERED:
            drops = DROPS if column.numbers is not None else FEW_DROPS
            sd = "the others held equal, the SD that of runs of equal settings"
            return replace(BestInside(self.parameter).priced(design, drops, sd), noise="beside")
        name = parameter_name(self.parameter)

        def power(gain: float, n: int) -> float:
            n = min(n, MOST_SIMULATED)
            there = design.columns(n).get(self.parameter)
            if there is None:
                return 0.0
            counts = np.unique(there.codes, return_counts=True)[1]
            alone, left = beside_entered(design, n, dof_of(self.parameter, design, n)[1])
            worth = counts * share_left(self.parameter, design, n) * alone
            rng = design.rng("best value")
            return statistics.best_power(worth, gain, rng, left, alpha=design.sweep.alpha)

        priced = effects(
            power,
            design.gains_beside,
            lambda gain: f"best {gain} above the rest",
            lambda gain: f"the best {name} is named where it is ahead of all others by {gain}",
        )
        return Pricing(design.n, priced, least=self.fewest, most=MOST_SIMULATED, noise="beside")


def labels_of(beside: Adjusted) -> list[str]:
    """Return the levels of the completed runs in words."""
    return [level_text(level) for level in beside.named]


def may_be_best(beside: Adjusted, alpha: float) -> NDArray[np.bool_]:
    """Return which levels [k] may be the best: those that no other is shown to be better than."""
    left = beside.levels.not_best() > alpha
    left[int(beside.levels.means.argmax())] = True
    return np.asarray(left)


def marked(levels: Sequence[LevelEffect], left: NDArray[np.bool_]) -> tuple[LevelEffect, ...]:
    """Return ``levels`` [k] with which of them may be the best."""
    pairs = zip(levels, left, strict=True)
    return tuple(replace(level, may_be_best=bool(stays)) for level, stays in pairs)


def _best_of_few(beside: Adjusted, best: int) -> str:
    """Say that one of few numbers is the best, and whether others beyond it were tried."""
    numbers = [float(level) for level in beside.named if is_number(level)]
    said = f"{labels_of(beside)[best]} is the best of those tried"
    edge = {0: "lower", len(numbers) - 1: "upper"}.get(best)
    if edge is None or is_domain_end(numbers, numbers[best]):
        return said
    return f"{said}, at the {edge} edge: the best may lie beyond"


def is_ordered(beside: Adjusted) -> bool:
    """Return whether the values are numbers, of enough runs and values for the bracket test."""
    numbers = beside.column.as_numbers
    if numbers is None:
        return False
    known = numbers[np.isfinite(numbers)]
    return np.unique(known).size >= FEWEST_ORDERED and known.size >= FEWEST_BRACKETED


def written(value: float) -> str:
    """Return a number of a parameter in words; a whole one with all of its digits."""
    whole = value == round(value) and abs(value) < LONGEST
    return parameter_value(round(value) if whole else value)


def settled(verdict: Verdict, p_matters: float | None, alpha: float) -> Verdict:
    """Return a verdict on the best value that names no value unless the parameter matters.

    ``p_matters`` is the p value that it matters, corrected over all questions. What the bracket
    test or the margin shows by itself stays.
    """
    effect = verdict.effect
    if effect is None or effect.asks != "best" or not effect.levels or verdict.verdict == "refuted":
        return verdict
    if p_matters is not None and p_matters <= alpha:
        return verdict
    levels = tuple(replace(level, may_be_best=True) for level in effect.levels)
    unnamed = replace(verdict, effect=replace(effect, levels=levels, shape=None))
    inside = verdict.verdict == "supported" and verdict.unit == "parameter"
    if inside or verdict.verdict not in ("supported", "inconclusive"):
        return unnamed
    corrected = "" if p_matters is None else f" ({p_text(p_matters)} over all questions)"
    name = parameter_name(effect.parameter)
    return replace(
        unnamed,
        verdict="inconclusive",
        answer=f"any value may be the best: {name} is not shown to matter{corrected}",
    )


def _ends_of_best(levels: Sequence[LevelEffect]) -> tuple[float, float]:
    """Return the lowest and highest number of the levels that may be the best."""
    ends = [
        end
        for level in levels
        if level.may_be_best
        for end in (level.level if isinstance(level.level, Span) else (level.level,))
        if is_number(end)
    ]
    return min(ends, default=-math.inf), max(ends, default=math.inf)


def _shape_of(
    tested: Bracket,
    ordered: observations.FloatArray,
    best: tuple[float, float],
    evidence: Evidence,
    *,
    same: bool,
) -> tuple[VerdictName, Shape | None, str]:
    """Return the verdict, the shape and the answer of a bracket test along ``ordered`` values.

    ``same`` says that the range is flat within the margin; ``best`` are the ends of the levels that
    may be the best. A rise goes over the whole range where these lie in its upper third: a rise
    without a fall is also found in two of five sweeps of 24 whose best value is at three quarters.
    """
    peak, alpha = written(tested.peak), evidence.alpha
    up, down = evidence.metric.improving, evidence.metric.worsening
    if tested.p_value <= alpha:
        inside = f"{up.rises} to about {peak} and {down.rises} beyond it"
        return "supported", "peak inside", inside
    if same:
        return "refuted", "flat", ""
    rises, falls = tested.p_rising <= alpha, tested.p_falling <= alpha
    if not (rises or falls):
        return "inconclusive", None, f"which value is best is not shown; best near {peak}"
    lower, upper = np.quantile(ordered, [1 / 3, 2 / 3])
    edge, name = (float(ordered[-1]), "upper") if rises else (float(ordered[0]), "lower")
    end = written(edge)
    if not (best[0] >= upper if rises else best[1] <= lower):
        way = f"{up.rises} to about {peak}" if rises else f"{down.rises} from about {peak} on"
        there = f"no {down.rise if rises else up.rise}"
        return "inconclusive", None, f"{way}; {there} is shown at the {name} end, {end}"
    edged = not is_domain_end(ordered.tolist(), edge)
    if best[0] < best[1]:
        where = f"from {written(best[0])} to {written(best[1])}, at the {name} end"
        where += " or beyond" if edged else ""
    else:
        where = f"at {end}, the {name} edge of the range, or beyond" if edged else end
        where += "" if edged else f", the {name} end"
    return (
        "inconclusive",
        "rises" if rises else "falls",
        f"{up.rises if rises else down.rises} over the whole range: the best is {where}",
    )
