"""All questions of a sweep, judged together."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace

from harness import statistics
from harness.claims.base import BaseClaim, constant_metric, more, unjudgeable
from harness.claims.best import settled
from harness.claims.mean import MeanAboveBaseline
from harness.claims.non_inferiority import NoWorse
from harness.claims.plateau import StillImproves
from harness.claims.success import SuccessAbove
from harness.claims.success_baseline import SuccessAboveBaseline
from harness.claims.sweet_spot import BestInside
from harness.claims.tail import LowerTailAboveBaseline
from harness.claims.variance import SpreadBelowBaseline
from harness.observations.health import nothing_to_learn
from harness.protocols import Claim
from harness.records import Gap, Result, finite
from harness.text import first, listed, p_text
from harness.verdicts import Baseline, Evidence, Need, Verdict

MOST_NAMED = 4
"""The most runs that a reason names."""

NOT_ASKED = "this sweep does not ask this question"

_STANDARD: Mapping[str, BaseClaim] = {
    "success_above_half": SuccessAbove(0.5),
    "success_vs_baseline": SuccessAboveBaseline(),
    "mean_vs_baseline": MeanAboveBaseline(),
    "variance_vs_baseline": SpreadBelowBaseline(),
    "lower_tail_vs_baseline": LowerTailAboveBaseline(),
    "plateau": StillImproves(),
    "lr_sweet_spot": BestInside("learning_rate"),
    "batch_size": NoWorse("batch_size", 8, (4, 12)),
}

STANDARD_IDS: tuple[str, ...] = tuple(_STANDARD)
"""The questions that every report answers, asked or not."""


def judge_all(questions: Mapping[str, Claim], evidence: Evidence) -> tuple[Verdict, ...]:
    """Judge ``questions`` in their order, correct for their number, and add the standard ones.

    A standard question that the sweep does not ask is unanswerable and takes no part in the
    correction. Where the metric is the same in every run, nothing is answered, whoever made the
    claim.
    """
    evidence = replace(evidence, questions=len(questions))
    judged = [judge_one(id_, claim, evidence) for id_, claim in questions.items()]
    return (*with_holm(judged, evidence.alpha), *not_asked(questions, evidence))


def judge_one(id: str, claim: Claim, evidence: Evidence) -> Verdict:
    """Judge one claim; nothing is corrected. No claim is supported through a missing value.

    A claim on gains that is not supported says so in its details where there was nothing to learn
    from.
    """
    verdict = _judged(id, claim, evidence)
    if not claim.on_gains or not _lacks_gains(verdict, evidence):
        return verdict
    why = nothing_to_learn(evidence.runs)
    return replace(verdict, details=(why, *verdict.details)) if why else verdict


def _lacks_gains(verdict: Verdict, evidence: Evidence) -> bool:
    """Return whether the runs were judged, or are all alike, and do not support the claim."""
    if verdict.verdict == "unanswerable":
        return constant_metric(evidence) is not None
    return verdict.verdict in ("refuted", "inconclusive")


def _judged(id: str, claim: Claim, evidence: Evidence) -> Verdict:
    verdict = unjudgeable(claim, id, evidence) or claim.judge(id, evidence)
    missing = _missing(claim, evidence) if verdict.verdict == "supported" else []
    if not missing:
        return verdict
    runs = dict.fromkeys(run for run, _ in missing)
    columns = listed(dict.fromkeys(gap.column for _, gap in missing))
    reason = f"{first(runs, MOST_NAMED)} {'has' if len(runs) == 1 else 'have'} no {columns}"
    return replace(
        verdict,
        verdict="inconclusive",
        answer=f"not shown: {reason}; as if the rest were all: {verdict.answer}",
        p_value=1.0,
        reason=f"{reason}, which could change this",
        needs=(Need("runs", f"{columns} of {first(runs, MOST_NAMED)}"),),
    )


def _missing(claim: Claim, evidence: Evidence) -> list[tuple[str, Gap]]:
    """Return the missing values that the claim rests on, each with its run's id."""
    kinds, name = set(claim.rests_on), evidence.metric.name
    unmeasured = set(map(id, _without_error(evidence)))
    found = []
    for result in claim.runs_of(evidence):
        gaps = list(result.gaps)
        completed = result.outcome.status == "completed"
        # Stored runs do not keep their gaps, but these show.
        if not gaps and completed and finite(result.outcome.delta_perf) is None:
            gaps.append(Gap("result", name))
        if not gaps and id(result) in unmeasured:
            gaps.append(Gap("error", f"standard error of {name}"))
        found += [(result.run.id, gap) for gap in gaps if gap.kind in kinds]
    return found


def _without_error(evidence: Evidence) -> Iterator[Result]:
    """Yield the runs without a standard error, of a side that has them."""
    theirs = evidence.baseline
    sides = (evidence.runs, theirs.results if isinstance(theirs, Baseline) else ())
    for side in sides:
        without = [
            result
            for result in side
            if result.outcome.delta_perf is not None and result.outcome.delta_perf_se is None
        ]
        if len(without) < sum(result.outcome.delta_perf is not None for result in side):
            yield from without


def not_asked(asked: Container[str], evidence: Evidence) -> tuple[Verdict, ...]:
    """Return the standard questions that are not among those ``asked``, as unanswerable."""
    return tuple(
        Verdict(
            id=id_,
            question=claim.question(evidence.metric),
            claim="",
            verdict="unanswerable",
            answer=NOT_ASKED,
            reason=NOT_ASKED,
        )
        for id_, claim in _STANDARD.items()
        if id_ not in asked
    )


def with_holm(
    verdicts: Sequence[Verdict], alpha: float = 0.05, *, of_every_parameter: bool = False
) -> tuple[Verdict, ...]:
    """Return ``verdicts`` with ``p_holm``, corrected over all that have a p value.

    Give the verdicts of all groups at once, one group after the other, where a sweep is judged
    within groups. A question that the design rules out has no p value and stays out; one that the
    data do not answer has 1. A best value is named only where its parameter is shown to matter
    after the correction, at ``alpha``. Where the two claims on a parameter were asked
    ``of_every_parameter``, nothing chose them: they are supported after the correction alone.
    """
    p_values = [verdict.p_value for verdict in verdicts]
    corrected = iter(statistics.holm([p for p in p_values if p is not None]))
    tests = sum(p is not None for p in p_values)
    each = [None if p is None else next(corrected) for p in p_values]
    matters: dict[str, list[float | None]] = {}
    for verdict, p_holm in zip(verdicts, each, strict=True):
        if verdict.effect is not None and verdict.effect.asks == "matters":
            matters.setdefault(verdict.effect.parameter, []).append(p_holm)
    found = []
    for verdict, p_holm in zip(verdicts, each, strict=True):
        named, effect = verdict, verdict.effect
        if effect is not None and effect.asks == "best":
            asked = matters.get(effect.parameter)
            alone = None if effect.p_matters is None else min(1.0, tests * effect.p_matters)
            named = settled(verdict, asked.pop(0) if asked else alone, alpha)
        named = replace(named, p_holm=p_holm)
        if of_every_parameter and effect is not None:
            named = _after_correction(named, tests, alpha)
        found.append(named)
    return tuple(found)


def _after_correction(verdict: Verdict, tests: int, alpha: float) -> Verdict:
    """Return a verdict that is supported only where Holm's p is at most ``alpha``."""
    if verdict.verdict != "supported" or verdict.p_holm is None or verdict.p_holm <= alpha:
        return verdict
    enough = statistics.size_to_decide(verdict.n, verdict.p_value or alpha, alpha / tests)
    return replace(
        verdict,
        verdict="inconclusive",
        answer=f"not shown over all {tests} questions ({p_text(verdict.p_holm)}); "
        f"by itself: {verdict.answer}",
        needs=(more([enough], verdict.n),),
    )
