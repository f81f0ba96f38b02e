"""Whether a sweep has lost what a stored report of it had shown, by more than both sides' noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness import observations
from harness.claims.nights import more_diverged
from harness.judging.reference import Reference
from harness.protocols import Claim
from harness.sweeps.sweep import Sweep
from harness.verdicts import Difference, Evidence, Regression, Verdict

FALSE_ALARMS = 0.005
"""The rate of false alarms over all questions together where nothing has changed."""


def compare(
    sweep: Sweep, reference: Reference, evidence: Evidence, verdicts: Iterable[Verdict]
) -> tuple[Regression, ...]:
    """Compare every question that the reference supports with its verdict now.

    One is regressed where it is no longer supported and the two sweeps differ, for the worse, in
    what its claim rests on: at `FALSE_ALARMS` over the number of these questions. So where nothing
    has changed a page comes less often than that, whatever the verdicts do.
    """
    now = {verdict.id: verdict for verdict in verdicts}
    level = FALSE_ALARMS / max(1, len(reference.supported))
    sides = (observations.observe(side.runs) for side in (evidence, reference.evidence))
    unlike = observations.evaluated_differently(*sides)
    found = []
    for id_, was in reference.supported.items():
        claim, verdict = sweep.questions.get(id_), now.get(id_)
        why = _not_tested(claim, verdict, was, unlike)
        if why is None:
            tests = _tests(claim, evidence, reference.evidence, was)
            found.append(_tested(tests, was, verdict, level, _conditions(evidence, reference)))
        else:
            found.append(Regression(id_, verdict.verdict if verdict else None, level, why))
    return tuple(found)


def _tests(
    claim: Claim | None, now: Evidence, then: Evidence, was: Verdict
) -> tuple[Difference, ...]:
    """Return the tests of whether ``now`` is worse: those of the claim, and of runs lost."""
    if claim is None:
        return ()
    return (*claim.worse(now, then, was), *more_diverged(now, then))


def _not_tested(
    claim: Claim | None, now: Verdict | None, was: Verdict, unlike: str | None
) -> str | None:
    """Say why a question is not compared; None where it is no longer supported and can be."""
    if claim is None or now is None:
        return "no longer asked of this sweep: not compared"
    if claim.describe() != was.claim:
        return "another claim than the reference's: not compared, save a new reference"
    if now.verdict == "supported":
        return "still supported"
    if now.verdict == "not judged":
        return "not judged, and so not compared"
    if unlike is not None:
        return f"{_had(was)}, but the two were evaluated differently ({unlike}): not compared"
    return None


def _tested(
    tests: Sequence[Difference], was: Verdict, now: Verdict | None, level: float, conditions: str
) -> Regression:
    name = now.verdict if now else None
    if not tests:
        return Regression(was.id, name, level, f"{_had(was)}, and there is nothing to compare")
    what, smallest = min(tests, key=lambda test: test.p_value)
    p_value = min(1.0, len(tests) * smallest)
    if p_value > level:
        text = f"{_had(was)}, and the two differ by no more than their noise (p = {p_value:.2g})"
        return Regression(was.id, name, level, text + conditions, p_value)
    noise = f"the two differ by more than their noise in {what}"
    text = f"{_had(was)}, and {noise} (p = {p_value:.2g}, at level {level:.2g})"
    return Regression(was.id, name, level, text + conditions, p_value, regressed=True)


def _had(was: Verdict) -> str:
    return f"the reference supports it ({was.answer})"


def _conditions(evidence: Evidence, reference: Reference) -> str:
    other = observations.mismatched(evidence.runs, reference.evidence.runs)
    return f"; not like for like: {'; '.join(other)}" if other else ""
