"""Verdicts on counts that the runs still to come cannot change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from harness import observations, statistics
from harness.claims.base import BaseClaim, level_of, like_for_like
from harness.observations import Observations
from harness.text import p_text
from harness.verdicts import Decision, Evidence, Need, Verdict, VerdictName

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


def settled(
    claim: BaseClaim,
    id: str,
    evidence: Evidence,
    planned: int,
    bounds_of: Callable[[Evidence, Observations, int], Bounds | None],
) -> Verdict | None:
    """Return the verdict on a count whose test can no longer change.

    ``planned`` are the main runs of the sweep, finished or not. The runs to come are taken to be
    measured as those that are in; each may be a success, a failure or neither. The interval holds
    that of every way in which they may end, the p value is the largest of these. None where they
    can change the verdict, so that ``bounds_of`` gives none, or where it is no answer.
    """
    observed = observations.observe(evidence.runs)
    bounds = None if observed.total >= planned else bounds_of(evidence, observed, planned)
    if bounds is None:
        return None
    verdict = claim.judge(id, evidence)
    if verdict.verdict == "unanswerable":
        return None
    decided = Decision("curtailment", observed.total, planned)
    if bounds.result is None:
        return replace(verdict, decided=decided)
    name = _VERDICTS[bounds.result]
    return replace(
        verdict,
        verdict=name,
        answer=verdict.answer
        if verdict.verdict == name
        else _answer(claim, evidence, bounds, name),
        low=bounds.low,
        high=bounds.high,
        level=level_of(evidence),
        p_value=bounds.p_value,
        reason=verdict.reason if name == "refuted" else f"at worst {p_text(bounds.p_value)}",
        needs=(Need("runs", "more runs than planned"),) if bounds.result == "neither" else (),
        details=(str(decided), *verdict.details),
        decided=decided,
    )


def _answer(claim: BaseClaim, evidence: Evidence, bounds: Bounds, name: VerdictName) -> str:
    """Return the answer where that of the runs that are in would be another one."""
    count = f"{bounds.successes} of {bounds.runs} succeed"
    words = {"supported": f"yes: {count}", "refuted": f"no: {count}"}
    answer = words.get(name, f"not shown: {count}")
    return like_for_like(evidence, answer) if claim.uses_baseline else answer
