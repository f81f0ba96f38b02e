"""Compare a sweep with a stored report: what that had shown, and is lost by more than noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness import observations
from harness.claims.nights import more_diverged
from harness.judging.reference import Reference
from harness.sweeps.sweep import Sweep
from harness.verdicts import Difference, Evidence, Regression, Verdict, VerdictName

FALSE_ALARMS = 0.005
"""The rate of false alarms over all questions together where nothing has changed."""


def compare(
    sweep: Sweep, reference: Reference, evidence: Evidence, verdicts: Iterable[Verdict]
) -> tuple[Regression, ...]:
    """Compare every question that the reference supports with its verdict now.

    A question has regressed where it is no longer supported and the sweep is worse than the
    reference in what the claim rests on, tested at `FALSE_ALARMS` over the number of these
    questions. So where nothing has changed, false alarms stay below that rate, whatever the
    verdicts do.
    """
    now = {verdict.id: verdict for verdict in verdicts}
    level = FALSE_ALARMS / max(1, len(reference.supported))
    sides = (observations.observe(side.runs) for side in (evidence, reference.evidence))
    unlike = observations.evaluated_differently(*sides)
    other = observations.mismatched(evidence.runs, reference.evidence.runs)
    conditions = f"; not like for like: {'; '.join(other)}" if other else ""
    found = []
    for id_, was in reference.supported.items():
        claim, verdict = sweep.questions.get(id_), now.get(id_)
        if claim is None or verdict is None:
            why = "no longer asked of this sweep: not compared"
            found.append(Regression(id_, verdict.verdict if verdict else None, level, why))
        elif (why_not := _not_tested(verdict, was, unlike)) is not None:
            found.append(Regression(id_, verdict.verdict, level, why_not))
        else:
            then = reference.evidence
            tests = (*claim.worse(evidence, then, was), *more_diverged(evidence, then))
            found.append(_tested(tests, was, verdict.verdict, level, conditions))
    return tuple(found)


def _not_tested(now: Verdict, was: Verdict, unlike: str | None) -> str | None:
    """Say why a question is not tested; None where it is no longer supported and can be."""
    if now.claim != was.claim:
        return "another claim than the reference's: not compared, save a new reference"
    if now.verdict == "supported":
        return "still supported"
    if now.verdict == "not judged":
        return "not judged, and so not compared"
    if unlike is not None:
        return f"{_had(was)}, but the two were evaluated differently ({unlike}): not compared"
    return None


def _tested(
    tests: Sequence[Difference], was: Verdict, now: VerdictName, level: float, conditions: str
) -> Regression:
    if not tests:
        return Regression(was.id, now, level, f"{_had(was)}, and there is nothing to compare")
    what, smallest = min(tests, key=lambda test: test.p_value)
    p_value = min(1.0, len(tests) * smallest)
    tested = f"p = {p_value:.2g}, level {level:.2g}"
    if p_value > level:
        far = f"the difference in {what} is not beyond the gate's level"
        text = f"{_had(was)}, and {far} ({tested})"
        return Regression(was.id, now, level, text + conditions, p_value)
    far = f"the difference in {what} is beyond the gate's level"
    text = f"{_had(was)}, and {far} ({tested})"
    return Regression(was.id, now, level, text + conditions, p_value, regressed=True)


def _had(was: Verdict) -> str:
    return f"the reference supports it ({was.answer})"
