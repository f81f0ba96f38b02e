"""Work out what further runs of a finished sweep, or of a table, would show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from harness.claims.design import Design
from harness.claims.next_runs import next_runs
from harness.claims.power import design_of
from harness.judging.table_questions import Question
from harness.observations.budget import noise_budget
from harness.observations.repeats import averaged, each_run
from harness.observations.sample import parameter_names
from harness.protocols import Claim
from harness.records import Config, Result, Run
from harness.sweeps.sweep import Sweep
from harness.verdicts import Baseline, Evidence, Outlook, Verdict

OPEN = ("inconclusive", "not judged")
"""The verdicts on questions that more runs may answer."""


def outlook_of_sweep(
    sweep: Sweep, runs: Sequence[Run], evidence: Evidence, verdicts: Iterable[Verdict]
) -> Outlook | None:
    """Return what as many runs again would buy a sweep whose planned ``runs`` are of all arms.

    The questions that have a part are those that the ``verdicts`` leave open.
    """
    arms = (result for of in evidence.arms.values() for result in of)
    theirs = evidence.baseline
    design = design_of(
        sweep,
        (*each_run(evidence.runs), *each_run(arms)),
        runs=runs,
        baseline_runs=len(theirs.results) if isinstance(theirs, Baseline) else None,
        budget=noise_budget(evidence.runs, evidence.given),
    )
    return next_runs(_open(sweep.questions, verdicts), design)


def outlook_of_table(
    questions: Sequence[Question], evidence: Evidence, verdicts: Iterable[Verdict]
) -> Outlook | None:
    """Return what as many runs again would buy a table that the ``questions`` are asked of.

    Those that the ``verdicts`` leave open have a part. The runs would have the configs of its runs
    again: how these were drawn is not known. What is compared with a baseline has no part.
    """
    names = parameter_names(evidence.runs)
    if not names or not evidence.runs:
        return None
    sweep = Sweep(
        "table",
        runs=len(evidence.runs),
        steps=1,
        seed=abs(evidence.seed),
        space=dict.fromkeys(names, 1.0),
        alpha=evidence.alpha,
    )
    design = Design(
        sweep,
        tuple(_with_all(result, names) for result in evidence.runs),
        seeds=max(1, round(averaged(evidence.runs))),
        budget=noise_budget(evidence.runs, evidence.given),
        repeats=True,
    )
    asked = {one.id: one.claim for one in questions if one.claim.parameters}
    return next_runs(_open(asked, verdicts), design)


def _open(questions: Mapping[str, Claim], verdicts: Iterable[Verdict]) -> dict[str, Claim]:
    left = {verdict.id for verdict in verdicts if verdict.verdict in OPEN}
    return {id_: claim for id_, claim in questions.items() if id_ in left}


def _with_all(result: Result, names: Sequence[str]) -> Run:
    """Return the run of a result with a value of each parameter, None where it has none."""
    config = result.run.config
    return replace(result.run, config=Config({name: config.get(name) for name in names}))
