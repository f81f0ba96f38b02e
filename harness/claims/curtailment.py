"""Claims on counts, and the verdicts on them that the runs still to come cannot change."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from harness import observations, statistics
from harness.claims import nights
from harness.claims.base import BaseClaim, level_of, like_for_like
from harness.observations import Observations, SuccessCount
from harness.records import GapKind
from harness.statistics import Comparison
from harness.text import p_text
from harness.verdicts import Decision, Difference, Evidence, Need, Verdict, VerdictName

NO_SUCCESS = "a final metric alone does not say which run is a success"
TO_SUCCEED = Need("metric", "the metric before training, or a target to reach")
"""The lack, and the need, of a metric without a zero, where runs are to be successes."""

_VERDICTS: dict[statistics.Direction, VerdictName] = {
    "greater": "supported",
    "less": "refuted",
    "neither": "inconclusive",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """The result that no further run can change, with the widest ends that it may have.

    ``result`` None means that the counts do not compare, whatever they come to.
    """

    result: statistics.Direction | None
    successes: int = 0
    runs: int = 0
    low: float = 0.0
    high: float = 0.0
    p_value: float = 1.0


def compare_counts(one: SuccessCount, two: SuccessCount, level: float = 0.90) -> Comparison:
    """Compare two counts of successes by `statistics.boschloo`."""
    return statistics.boschloo(one.successes, one.runs, two.successes, two.runs, level)


@dataclass(frozen=True)
class CountedClaim(BaseClaim):
    """A claim that counts of successes decide. A subclass defines `bounds`."""

    @property
    def by_counts(self) -> bool:
        return True

    @property
    def on_gains(self) -> bool:
        return True

    @property
    def rests_on(self) -> Collection[GapKind]:
        """A missing result is counted, as what helps the claim least."""
        kinds: tuple[GapKind, ...] = ("repeat",)
        return kinds

    def bounds(self, evidence: Evidence, observed: Observations, planned: int) -> Bounds | None:
        """Return the bounds of the test; None where runs to come can change its result."""
        raise NotImplementedError

    def curtailed(self, id: str, evidence: Evidence, planned: int) -> Verdict | None:
        """Return the verdict that the runs still to come cannot change; None where they can.

        ``planned`` is the number of main runs, finished or not. The runs to come are assumed to be
        measured like those that are in; each may be a success, a failure or neither. The interval
        covers the interval of every such outcome, and the p value is the largest of theirs. A
        baseline must be complete.
        """
        observed = observations.observe(evidence.runs)
        bounds = None if observed.total >= planned else self.bounds(evidence, observed, planned)
        if bounds is None:
            return None
        verdict = self.judge(id, evidence)
        if verdict.verdict == "unanswerable":
            return None
        decided = Decision("curtailment", observed.total, planned)
        if bounds.result is None:
            return replace(verdict, decided=decided)
        name = _VERDICTS[bounds.result]
        answer = verdict.answer
        if verdict.verdict != name:  # the answer on the runs that are in is another one
            answer = f"{bounds.successes} of {bounds.runs} succeed"
            answer = {"supported": "yes: ", "refuted": "no: "}.get(name, "not shown: ") + answer
            answer = like_for_like(evidence, answer) if self.uses_baseline else answer
        beyond = Need("runs", f"more runs than the {planned} planned")
        return replace(
            verdict,
            verdict=name,
            answer=answer,
            low=bounds.low,
            high=bounds.high,
            level=level_of(evidence),
            p_value=bounds.p_value,
            reason=verdict.reason if name == "refuted" else f"at worst {p_text(bounds.p_value)}",
            needs=(beyond,) if bounds.result == "neither" else (),
            details=(str(decided), *verdict.details),
            decided=decided,
        )

    def worse(self, now: Evidence, then: Evidence, was: Verdict) -> tuple[Difference, ...]:
        """Test whether fewer runs succeed now, and whether their mean is lower."""
        ours, theirs = observations.observe(now.runs), observations.observe(then.runs)
        rule = observations.shared_rule(ours, theirs)
        one, two = (
            observations.count_successes(side, now.min_gain, rule) for side in (ours, theirs)
        )
        fewer = compare_counts(one, two).p_less
        return (Difference("successes", fewer), nights.mean_fell(now, then, was))

    def no_success(self, id: str, evidence: Evidence) -> Verdict:
        """Return that a metric without a zero does not say which run is a success."""
        return self.unanswerable(
            id,
            evidence,
            NO_SUCCESS,
            by_design=True,
            n=observations.observe(evidence.runs).total,
            needs=(TO_SUCCEED,),
        )
