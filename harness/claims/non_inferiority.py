"""The claim that one value of a parameter is no worse than others, from matched runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from harness import observations, statistics
from harness.claims import nights
from harness.claims.base import (
    MARGIN,
    NO_MARGIN,
    MarginClaim,
    gain,
    level_of,
    more,
    other_evaluation,
)
from harness.claims.design import Design, spread_of
from harness.errors import SweepError
from harness.metrics import DELTA_PERF, Metric
from harness.observations import Observations
from harness.observations.repeats import averaged
from harness.records import MAIN, Result, Value
from harness.statistics import Comparison
from harness.sweeps import checks
from harness.text import interval, number, p_text, parameter_name, plural
from harness.verdicts import Difference, Effect, Evidence, Need, Pricing, Verdict, VerdictName

FEWEST_PAIRS = 12
"""The fewest pairs with a value on which that value is judged."""

RUN_SD = 0.016
"""The SD of a run apart from what its pair shares, assumed where no pairs are stored."""


@dataclass(frozen=True)
class NoWorse(MarginClaim):
    """A ``reference`` value of a parameter is no worse than the values ``than``, by ``margin``.

    Each other value has an arm of runs matched with main runs in all but that parameter. The claim
    is supported where every one-sided lower bound of the paired difference lies above −``margin``,
    and refuted where some upper bound lies below it, at α over the number of values. ``margin``
    None is the sweep's.
    """

    parameter: str
    reference: Value
    than: tuple[Value, ...]
    margin: float | None = None

    def __post_init__(self) -> None:
        checks.text("no_worse: the parameter", self.parameter, "batch_size")
        where = f"no_worse({self.parameter!r})"
        try:
            object.__setattr__(self, "reference", checks.plain(self.reference))
            object.__setattr__(self, "than", checks.plain_each(self.than, "than"))
            checks.check_quotes((self.reference, *self.than), among=(self.reference, *self.than))
        except SweepError as error:
            raise SweepError(f"{where}: {error}") from None
        if not self.than or len({self.reference, *self.than}) <= len(self.than):
            raise SweepError(
                f"{where}: {self.reference!r} needs other values to compare with, each once, "
                f"got {checks.shown(self.than)}"
            )
        super().__post_init__()

    @property
    def parameters(self) -> tuple[str, ...]:
        return (self.parameter,)

    @property
    def arms(self) -> tuple[str, ...]:
        return (self.parameter,)

    @property
    def paired_at(self) -> dict[str, Value]:
        return {self.parameter: self.reference}

    def runs_of(self, evidence: Evidence) -> Sequence[Result]:
        """Return the runs of the arm, and the main runs that they are matched with.

        A main run without a setting, or without its match, may be any of these.
        """
        arm = evidence.arms.get(self.parameter, ())
        matched = {observations.partner(result) for result in arm}
        main = [
            result
            for result in evidence.runs
            if observations.identity(result) in matched
            or any(gap.kind in ("setting", "match") for gap in result.gaps)
        ]
        return (*main, *arm)

    def question(self, metric: Metric = DELTA_PERF) -> str:
        others = " and ".join(str(value) for value in self.than)
        return f"Is {parameter_name(self.parameter)} {self.reference} no worse than {others}?"

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        return (
            f"{self.parameter} {self.reference!r} no worse than {list(self.than)!r}: paired "
            f"non-inferiority over at least {FEWEST_PAIRS} pairs each; margin: "
            f"{self.margin_words}"
        )

    def decide(self, id: str, evidence: Evidence) -> Verdict:
        observed = observations.observe(evidence.runs)
        name, arm = parameter_name(self.parameter), evidence.arms.get(self.parameter, ())
        reference = _having(evidence.runs, self.parameter, self.reference)
        enough = self._enough(len(reference), observed.total, evidence.runs_having)
        arm_needed = Need("arm", f"{enough}, run with --sweep-arms {self.parameter}")
        if not reference:
            return self.unanswerable(
                id,
                evidence,
                f"no run of this sweep has {name} {self.reference}",
                by_design=True,
                n=observed.total,
                needs=(Need("parameter", f"a sweep with {self.parameter} {self.reference}"),),
            )
        main = observations.observe(reference)
        arms = [
            _Matched.of(value, main, _having(arm, self.parameter, value), level_of(evidence))
            for value in self.than
        ]
        if not any(matched.pairs for matched in arms):
            others = " or ".join(str(value) for value in self.than)
            return self.unanswerable(
                id,
                evidence,
                f"no finished run with {name} {others} is matched with one of this sweep",
                n=observed.total,
                needs=(arm_needed,),
            )
        if all(matched.is_constant for matched in arms if matched.pairs):
            return self.unanswerable(
                id,
                evidence,
                "the difference is the same in every pair: a constant is no measurement",
                n=sum(matched.pairs for matched in arms),
                needs=(other_evaluation(evidence.metric),),
            )
        return self._compare(id, evidence, arms, arm_needed)

    def _compare(
        self, id: str, evidence: Evidence, arms: list[_Matched], arm_needed: Need
    ) -> Verdict:
        alpha, margin = evidence.alpha, self.margin_of(evidence)
        name = f"{parameter_name(self.parameter)} {self.reference}"
        shown = min(arms, key=lambda matched: matched.compared.low if matched.pairs else math.inf)
        lacking = [matched.label for matched in arms if matched.pairs < FEWEST_PAIRS]
        lost = [matched.label for matched in arms if matched.lost]
        verdict: VerdictName = "inconclusive"
        p_value, reason, level = 1.0, NO_MARGIN, level_of(evidence)
        needs: tuple[Need, ...] = (MARGIN,)
        compared = shown.compared
        answer = f"not shown: {shown.found(name, evidence.metric)}"
        if margin is not None:
            strict = 1.0 - 2.0 * alpha / len(arms)
            worse = [
                matched
                for matched in arms
                if matched.pairs >= FEWEST_PAIRS
                and statistics.non_inferiority(matched.differences, margin, strict).p_less
                <= alpha / len(arms)
            ]
            tests = [statistics.non_inferiority(arm.differences, margin, level) for arm in arms]
            p_value = max(test.p_greater for test in tests)
            reason = f"margin {number(margin)}; largest {p_text(p_value)}"
            needs = (self._pairs_needed(arms, margin, evidence),)
            if worse:
                verdict, needs, level = "refuted", (), strict
                shown = min(worse, key=lambda matched: matched.compared.high)
                compared = statistics.non_inferiority(shown.differences, margin, strict)
                answer = f"no, worse: {shown.found(name, evidence.metric)}"
                reason = (
                    f"the opposite is shown ({p_text(compared.p_less)} of {alpha:g}/{len(arms)})"
                )
            elif lacking:
                p_value, needs = 1.0, (arm_needed,)
                answer = f"too few pairs to tell: {shown.found(name, evidence.metric)}"
                reason = f"fewer than {FEWEST_PAIRS} pairs with {' and '.join(lacking)}"
            elif lost:
                p_value = 1.0
                reason = f"runs with {name} diverged where their pairs did not ({', '.join(lost)})"
                answer = f"not shown: {reason}"
                needs = (Need("runs", f"runs with {name} that do not diverge"),)
            elif p_value <= alpha:
                verdict, needs = "supported", ()
                answer = f"yes, no worse: {shown.found(name, evidence.metric)}"
        return self.verdict(
            id,
            evidence,
            verdict,
            answer,
            estimate=compared.estimate,
            low=compared.low,
            high=compared.high,
            level=level,
            p_value=p_value if verdict != "refuted" else 1.0,
            n=sum(matched.pairs for matched in arms),
            method="paired t, non-inferiority of every value",
            reason=reason,
            needs=needs,
            details=[matched.line(evidence.metric) for matched in arms],
        )

    def _enough(
        self, usable: int, runs: int, having: Callable[[str, Value, int], int | None] | None
    ) -> str:
        """Return what gives enough pairs, where ``usable`` of the main runs have the reference."""
        arm = f"an arm {self.parameter}=Pairs({FEWEST_PAIRS}, values={self.than!r})"
        if usable >= FEWEST_PAIRS:
            return f"{arm} in the sweep"
        value = f"{parameter_name(self.parameter)} {self.reference}"
        size = None if having is None else having(self.parameter, self.reference, FEWEST_PAIRS)
        has = f"{usable} of {runs} have it"
        if size is None:
            return f"{arm} in the sweep, and {FEWEST_PAIRS} main runs with {value} ({has})"
        return f"{arm} in a sweep of runs={size}, of which {FEWEST_PAIRS} have {value} ({has} now)"

    def _pairs_needed(self, arms: list[_Matched], margin: float, evidence: Evidence) -> Need:
        """Return the pairs of each value that would show every value, or that some value is better.

        The reference is no worse than any if each test shows it, and worse if one does.
        """
        fewest, split = min(arm.pairs for arm in arms), evidence.alpha / len(arms)
        tests = [statistics.non_inferiority(arm.differences, margin) for arm in arms]
        shown = [
            statistics.size_to_decide(arm.pairs, test.p_greater, evidence.alpha)
            for arm, test in zip(arms, tests, strict=True)
        ]
        known = [size for size in shown if size is not None]
        sizes = [max(known) if len(known) == len(arms) else None]
        sizes += [
            statistics.size_to_decide(arm.pairs, test.p_less, split)
            for arm, test in zip(arms, tests, strict=True)
        ]
        return more(sizes, fewest, "pairs of each value" if len(arms) > 1 else "pairs")

    def power(self, design: Design) -> Pricing:
        name = parameter_name(self.parameter)
        mains = {run.id for run in design.main if run.config[self.parameter] == self.reference}
        enough = self._enough(len(mains), design.n, design.sweep.runs_having)
        if not mains:
            why = f"no run has {name} {self.reference}: it takes {enough}"
            return Pricing(0, why=why, unit="pairs")
        arm = [run for run in design.runs if run.arm == self.parameter and run.pair in mains]
        pairs = {
            value: sum(run.config[self.parameter] == value for run in arm) for value in self.than
        }
        fewest = min(pairs.values())
        if not arm:
            return Pricing(0, why=f"no {self.parameter} arm: unanswerable", unit="pairs")
        if fewest < FEWEST_PAIRS:
            few = [f"{pairs[value]} with {value}" for value in self.than]
            why = f"pairs: {' and '.join(few)}; {FEWEST_PAIRS} of each are needed: {enough}"
            return Pricing(fewest, why=why, unit="pairs")
        margin = design.sweep.margin if self.margin is None else self.margin
        if margin is None:
            return Pricing(fewest, why=NO_MARGIN, unit="pairs")
        found = _pair_spread(self, design)
        spread = RUN_SD if found is None else found[0]
        values = len(self.than)

        def power(n: int) -> float:
            return statistics.non_inferiority_power(
                margin / spread,
                n,
                values,
                design.rng("no worse"),
                alpha=design.sweep.alpha,
                simulations=8_000 if n == fewest else 2_000,
            )

        others = " and ".join(map(str, self.than))
        effect = Effect(
            f"{self.reference} is equal to {others}, in pairs",
            0.0,
            f"a {name} of {self.reference} that is equal to {others} is shown to be no worse by "
            f"{number(margin)}",
            power,
        )
        of = "assumed" if found is None else f"of {found[1]}"
        given = f"the SD of a run, apart from what its pair shares, is {number(spread)}, {of}"
        return Pricing(fewest, (effect,), given=given, unit="pairs", least=FEWEST_PAIRS)

    @property
    def fewest(self) -> int:
        """The pairs with a value below which nothing is decided on it."""
        return FEWEST_PAIRS

    def worse(self, now: Evidence, then: Evidence, was: Verdict) -> tuple[Difference, ...]:
        """Test for each other value whether the reference is less far ahead of it now."""
        rng, floor = nights.of_nights(now, was), nights.floor_of(now, then)
        found = []
        for value in self.than:
            ahead, had = (self._ahead(side, value, floor) for side in (now, then))
            found.append(Difference(f"difference to {value}", nights.fell(ahead, had, rng)))
        return tuple(found)

    def _ahead(self, evidence: Evidence, value: Value, floor: float) -> nights.Values:
        """Return how far the reference value is ahead of another one, by main run."""
        reference = _having(evidence.runs, self.parameter, self.reference)
        main = {observations.identity(result): result for result in reference}
        gains = nights.gains(evidence.runs, floor)
        ahead: dict[Hashable, float] = {}
        for result in _having(evidence.arms.get(self.parameter, ()), self.parameter, value):
            of = main.get(observations.partner(result))
            theirs = nights.gains([result], floor)
            ours = gains.get(nights.same_run(of)) if of is not None else None
            if of is not None and ours is not None and theirs:
                ahead[nights.same_run(of)] = ours - next(iter(theirs.values()))
        return ahead


@dataclass(frozen=True, eq=False)
class _Matched:
    """The pairs of the reference with one other value; differences are reference minus other."""

    label: str
    differences: observations.FloatArray
    compared: Comparison
    pairs: int
    lost: int
    """Pairs in which only the reference diverged."""
    won: int
    """Pairs in which only the other diverged."""

    @classmethod
    def of(cls, value: Value, main: Observations, arm: Sequence[Result], level: float) -> _Matched:
        other = observations.observe(arm)
        differences = observations.paired_differences(main, other)
        sides = (main.completed, main.diverged)
        ours, theirs = ({observations.identity(result) for result in side} for side in sides)
        lost = sum(observations.partner(result) in theirs for result in other.completed)
        won = sum(observations.partner(result) in ours for result in other.diverged)
        both = sum(observations.partner(result) in theirs for result in other.diverged)
        return cls(
            label=str(value),
            differences=differences,
            compared=statistics.matched(differences, level=level),
            pairs=int(differences.size) + lost + won + both,
            lost=lost,
            won=won,
        )

    @property
    def is_constant(self) -> bool:
        """Whether the difference is the same in every pair, of more than one."""
        return self.differences.size > 1 and statistics.is_constant(self.differences)

    def found(self, name: str, metric: Metric) -> str:
        """State the difference as seen from the reference."""
        if not self.differences.size:
            return f"no pair of {name} and {self.label} has a {metric.name} on both sides"
        return f"{name} against {self.label}: {gain(self.compared.estimate, metric)}"

    def line(self, metric: Metric) -> str:
        """Return the line printed beside the verdict."""
        if not self.pairs:
            return f"against {self.label}: no matched runs"
        estimate = (
            gain(self.compared.estimate, metric) if self.differences.size else "no difference"
        )
        line = f"against {self.label}: {estimate}, {interval(self.compared)}"
        line += f" ({plural(self.pairs, 'pair')})"
        if self.lost or self.won:
            line += f"; diverged: {self.lost} of the reference, {self.won} of the other"
        return line


def _having(results: tuple[Result, ...], parameter: str, value: Value) -> tuple[Result, ...]:
    """Return the runs with a value of a parameter; the same tuple where that is all of them."""
    having = tuple([r for r in results if r.run.config.get(parameter) == value])
    return results if len(having) == len(results) else having


def _pair_spread(claim: NoWorse, design: Design) -> tuple[float, str] | None:
    """Return a run's SD apart from its pair, from stored pairs of the arm, and their number."""
    main = observations.observe(r for r in design.ours if r.run.arm == MAIN)
    variances, pairs = [], 0
    for value in claim.than:
        arm = observations.observe(
            r
            for r in design.ours
            if r.run.arm == claim.parameter and r.run.config.get(claim.parameter) == value
        )
        differences = observations.paired_differences(main, arm)
        spread = spread_of(differences)
        if spread is not None:
            variances.append(spread**2)
            pairs += differences.size
    if not variances:
        return None
    fewer = design.of_fewer(averaged(main.final))
    return math.sqrt(float(np.mean(variances)) / 2.0), f"{pairs} stored pairs{fewer}"
