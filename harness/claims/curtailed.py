"""Verdicts on counts that the runs still to come cannot change, and when others can be judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness import observations, statistics
from harness.claims.base import level_of, like_for_like
from harness.claims.best_value import BestInside
from harness.claims.curve import StillImproves
from harness.claims.reference_value import FEWEST_PAIRS, NoWorse
from harness.claims.success import NULL_RATE, SuccessAbove, SuccessAboveBaseline
from harness.claims.versus import LowerTailAboveBaseline, SpreadBelowBaseline
from harness.observations import Observations, Rule
from harness.protocols import Claim
from harness.text import p_text
from harness.verdicts import Counts, Decision, Evidence, Verdict, VerdictName

FEWEST_GAINS = 28
"""Gains below which a collapse of some runs may be in none: one of 15% of them, in .85²⁸ = .01. It
would be called an improvement, and each further look at fewer would be another chance to do so."""

_VERDICTS: dict[statistics.Direction, VerdictName] = {
    "greater": "supported",
    "less": "refuted",
    "neither": "inconclusive",
}


def counts(claim: Claim) -> bool:
    """Whether the verdict on ``claim`` is one on counts, so that `curtailed` can decide it."""
    return isinstance(claim, SuccessAbove | SuccessAboveBaseline)


def fewest(claim: Claim) -> int:
    """Return the runs, or pairs, below which ``claim`` is not judged before all are in.

    It would come to no verdict, or to one that too few runs can be mistaken in.
    """
    if isinstance(claim, NoWorse):
        return FEWEST_PAIRS
    if isinstance(claim, BestInside):
        return statistics.FEWEST_BRACKETED
    if isinstance(claim, LowerTailAboveBaseline):
        return claim.fewest
    if isinstance(claim, StillImproves):
        return FEWEST_GAINS
    return 3 if isinstance(claim, SpreadBelowBaseline) else 2


def curtailed(claim: Claim, id: str, evidence: Evidence, planned: int) -> Verdict | None:
    """Return the verdict on a count that the runs still to come cannot change.

    ``planned`` are the main runs of the sweep, finished or not. The runs to come are taken to be
    measured as those that are in; each may be a success, a failure or neither. The interval holds
    that of every way in which they may end, the p value is the largest of these. None where they
    can change the verdict, or where it is not one on counts. A baseline must be complete.
    """
    observed = observations.observe(evidence.runs)
    if not counts(claim) or observed.total >= planned:
        return None
    if isinstance(claim, SuccessAbove):
        found = _above(claim.rate, evidence, observed, planned)
    else:
        found = _above_baseline(evidence, observed, planned)
    verdict = None if found is None else claim.judge(id, evidence)
    if found is None or verdict is None or verdict.verdict == "unanswerable":
        return None
    decided = Decision("curtailment", observed.total, planned)
    if found.said is None:
        return replace(verdict, decided=decided)
    name = _VERDICTS[found.said]
    return replace(
        verdict,
        verdict=name,
        answer=verdict.answer if verdict.verdict == name else _answer(claim, evidence, found, name),
        low=found.low,
        high=found.high,
        level=level_of(evidence),
        p_value=found.p_value,
        reason=verdict.reason if name == "refuted" else f"at worst {p_text(found.p_value)}",
        needs=("more runs than planned",) if found.said == "neither" else (),
        beside=(str(decided), *verdict.beside),
        decided=decided,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a test will say whatever the runs to come are, and the ends of all that it may find.

    ``said`` None is that the counts do not compare, whatever they come to.
    """

    said: statistics.Direction | None
    successes: int = 0
    runs: int = 0
    low: float = 0.0
    high: float = 0.0
    p_value: float = 1.0


def _above(rate: float, evidence: Evidence, observed: Observations, planned: int) -> _Found | None:
    count = observations.count_successes(observed, evidence.min_gain)
    said = statistics.curtailed_binomial(
        count.successes, count.failures, count.runs, planned, rate=rate, alpha=evidence.alpha
    )
    if said is None:
        return None
    worst, best = (
        statistics.binomial(successes, planned, rate, level_of(evidence))
        for successes in (count.successes, count.successes + planned - count.runs)
    )
    return _Found(said, count.successes, count.runs, worst.low, best.high, worst.p_greater)


def _above_baseline(evidence: Evidence, observed: Observations, planned: int) -> _Found | None:
    baseline = evidence.baseline
    rule: Rule | None
    if isinstance(baseline, Counts):
        rule = observations.rule_of_words(baseline.rule)
        if rule is None:
            return _Found(None)
        others = (baseline.successes, baseline.runs)
    else:
        other = observations.observe(baseline.results if baseline else ())
        unlike = evidence.apart or observations.evaluated_differently(observed, other)
        if other.total == 0 or unlike or observations.at_equal_noise(observed, other):
            return None
        rule = "shown" if observed.rule == other.rule == "shown" else "above zero"
        theirs = observations.count_successes(other, evidence.min_gain, rule)
        others = (theirs.successes, theirs.runs)
    count = observations.count_successes(observed, evidence.min_gain, rule)
    level, above = level_of(evidence), NULL_RATE if count.rule == "above zero" else None
    said = statistics.curtailed_boschloo(
        count.successes, count.runs, planned, others, alpha=evidence.alpha, above=above
    )
    if said is None:
        return None
    worst, best = (
        statistics.boschloo(successes, planned, *others, level)
        for successes in (count.successes, count.successes + planned - count.runs)
    )
    p_value = worst.p_greater
    if above is not None:
        p_value = max(p_value, statistics.binomial(count.successes, planned, above).p_greater)
    return _Found(said, count.successes, count.runs, worst.low, best.high, p_value)


def _answer(claim: Claim, evidence: Evidence, found: _Found, name: VerdictName) -> str:
    """Return the answer where that of the runs that are in would be another one."""
    count = f"{found.successes} of {found.runs} succeed"
    words = {"supported": f"yes: {count}", "refuted": f"no: {count}"}
    answer = words.get(name, f"not shown: {count}")
    return like_for_like(evidence, answer) if claim.uses_baseline else answer
