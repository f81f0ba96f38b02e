"""The claim on where the best value of a parameter lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness import observations, statistics
from harness.claims.base import BaseClaim, generator, level_of, margin_of, no_margin
from harness.errors import SweepError
from harness.observations import Observations
from harness.observations.levels import is_number
from harness.statistics import FEWEST_BRACKETED, Bracket
from harness.text import number, p_text, parameter_name, parameter_value, plural
from harness.verdicts import Evidence, Verdict, VerdictName


@dataclass(frozen=True)
class BestInside(BaseClaim):
    """The best value of a numeric ``parameter`` lies inside its range, not at an edge.

    The bracket test must show both that ΔPerf rises from the lower end and that it falls to the
    upper end. Refuted where all thirds of the range are shown to be within ±``margin`` of each
    other (None is the sweep's margin). With ``within``, only runs that agree on that parameter are
    compared.
    """

    parameter: str
    within: str | None = None
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.within == self.parameter:
            raise SweepError(f"{self.parameter!r} cannot be compared within itself")
        if self.margin is not None and not self.margin > 0.0:
            raise SweepError(f"margin must be positive, got {self.margin}")

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that the claim names."""
        return (self.parameter,) if self.within is None else (self.parameter, self.within)

    @property
    def text(self) -> str:
        """The question in plain words."""
        return f"Does the best {parameter_name(self.parameter)} lie inside the range?"

    def describe(self) -> str:
        """Return the claim and its thresholds in one line."""
        margin = "the sweep's margin" if self.margin is None else repr(self.margin)
        within = "" if self.within is None else f" within levels of {self.within}"
        return (
            f"best {self.parameter} inside its range: bracket test, rising from the lower end and "
            f"falling to the upper{within}; refuted where thirds agree within margin: {margin}"
        )

    def _decide(self, id: str, evidence: Evidence, observed: Observations) -> Verdict:
        name = parameter_name(self.parameter)
        runs = (*observed.completed, *observed.diverged)
        outcomes = [*observed.delta.tolist(), *[-math.inf] * len(observed.diverged)]
        kept = [
            (float(value), outcome, run.run.config.get(self.within or ""))
            for run, outcome in zip(runs, outcomes, strict=True)
            if is_number(value := run.run.config.get(self.parameter))
        ]
        distinct = len({value for value, _, _ in kept})
        if distinct < 3:
            reason = f"{name} has {plural(distinct, 'value')} in this sweep"
            if not kept:
                reason = f"no run of this sweep has a number for {name}"
            return self._unanswerable(
                id,
                f"{reason}: a best one inside the range needs at least three",
                by_design=True,
                n=len(kept),
                needs=(f"a sweep that varies {self.parameter}",),
            )
        values, results = np.array([row[0] for row in kept]), np.array([row[1] for row in kept])
        blocks = None if self.within is None else [row[2] for row in kept]
        tested = statistics.bracket(values, results, generator(evidence, id), blocks)
        margin = margin_of(self.margin, evidence)
        same = margin is not None and statistics.flat(values, results, margin, level_of(evidence))
        verdict, answer = _bracketed(tested, values, evidence.alpha, margin if same else None)
        found = f"rising {p_text(tested.p_rising)}, falling {p_text(tested.p_falling)}"
        beside = []
        if math.isfinite(tested.peak) and tested.p_value < 1.0:
            beside = [
                f"strongest rise up to {parameter_value(tested.rising_to)}: "
                f"{p_text(tested.p_rising)}",
                f"strongest fall from {parameter_value(tested.falling_from)} on: "
                f"{p_text(tested.p_falling)}",
            ]
        if observed.diverged:
            beside.append(f"{plural(len(observed.diverged), 'diverged run')} ranked worst")
        if len(kept) < observed.total:
            beside.append(f"{observed.total - len(kept)} runs without a number for {name} left out")
        needs: tuple[str, ...] = ()
        if verdict == "inconclusive":
            needs = (_what_helps(tested, evidence.alpha, self.parameter),)
        return self._verdict(
            id,
            verdict,
            answer,
            estimate=tested.peak,
            p_value=tested.p_value if tested.n >= FEWEST_BRACKETED else 1.0,
            n=tested.n,
            method="bracket test (Kendall's S, 1,999 permutations)"
            + ("" if self.within is None else f" within {self.within}"),
            reason=found if margin is not None else f"{found}; {no_margin()}",
            needs=needs,
            beside=beside,
        )


def _bracketed(
    tested: Bracket, values: observations.FloatArray, alpha: float, margin: float | None
) -> tuple[VerdictName, str]:
    """Return the verdict and answer of a bracket test; ``margin`` where the range is flat in it."""
    peak = parameter_value(tested.peak)
    if tested.n < FEWEST_BRACKETED:
        return "inconclusive", f"too few runs to tell: {plural(tested.n, 'run')}, best near {peak}"
    if tested.p_value <= alpha:
        return "supported", f"yes: rises to about {peak} and falls beyond it"
    if margin is not None:
        return "refuted", f"no best value: the same within ±{number(margin)} along the range"
    if min(tested.p_rising, tested.p_falling) <= alpha:
        return "inconclusive", _at_edge(tested, np.sort(values))
    return "inconclusive", (
        "undecided: neither a rise from the lower end nor a fall to the upper end is shown; best "
        f"near {peak}"
    )


def _at_edge(tested: Bracket, ordered: observations.FloatArray) -> str:
    """Return the answer where only a rise, or only a fall, is shown along ``ordered`` values."""
    peak, window = parameter_value(tested.peak), statistics.smallest_window(tested.n)
    rises = tested.p_rising < tested.p_falling
    edge, name = (ordered[-1], "upper") if rises else (ordered[0], "lower")
    where = f"{parameter_value(float(edge))}, the {name} edge of the range: widen it"
    if tested.peak >= ordered[-window] if rises else tested.peak <= ordered[window - 1]:
        return f"best near {where}"
    if rises:
        return f"rises from the lower end to about {peak}, with no fall shown up to {where}"
    return f"falls from about {peak} to the upper end, with no rise shown from {where}"


def _what_helps(tested: Bracket, alpha: float, parameter: str) -> str:
    rising, falling = tested.p_rising <= alpha, tested.p_falling <= alpha
    if tested.n < FEWEST_BRACKETED or rising == falling:
        return "more runs"
    return f"a range of {parameter} that goes {'higher' if rising else 'lower'}"
