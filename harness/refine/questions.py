"""Choose the questions of the next sweep, and write each as a call of its claim."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter

from harness import claims
from harness.metrics import Metric
from harness.observations.columns import RATE
from harness.observations.levels import RANGE_FROM, is_number
from harness.protocols import Claim
from harness.records import USELESS
from harness.refine.proposal import ProposedQuestion, Revision
from harness.refine.source import literal
from harness.sweeps.distributions import Choice, Constant, Range
from harness.sweeps.sweep import Pairs, Sweep
from harness.verdicts import Counts


def questions_of(
    revisions: Sequence[Revision],
    paired: Mapping[str, Pairs],
    *,
    sweep: Sweep | None,
    baseline: str | Counts | None,
    since: int | None,
    margin: float | None,
    metric: Metric,
    compared: Collection[str],
    arms: Collection[str],
) -> list[ProposedQuestion]:
    """Return the questions that a sweep with these parameters and arms can answer.

    The standard ones, and of each parameter that can be ``compared``, the others held equal,
    whether it matters and which value is best. Where ``arms`` train uselessly, whether the sweep
    gains more than they do.
    ``since`` is the step from which to look for a plateau; None asks no such question.
    """
    questions = []
    if metric.knows_success:
        questions.append(question("success_above_half", "success_rate.above", 0.5))
    if baseline is not None and metric.knows_success:
        questions.append(question("success_vs_baseline", "success_rate.above_baseline"))
    if isinstance(baseline, str):
        questions += [
            question("mean_vs_baseline", "mean_gain.above_baseline"),
            question("variance_vs_baseline", "spread.below_baseline"),
            question("lower_tail_vs_baseline", "lower_tail.above_baseline"),
        ]
    if since is not None:
        questions.append(question("plateau", "still_improves", since=since, margin=margin))
    for arm in USELESS:
        if arm in arms:
            questions.append(
                question(f"gain_over_{arm}", "mean_gain.above_arm", arm, margin=margin)
            )
    for revision in revisions:
        name = revision.parameter
        if _has_best(revision):
            id_ = "lr_sweet_spot" if name == RATE else f"{name}_sweet_spot"
            within = _blocked_by(name, revisions, sweep)
            questions.append(question(id_, "best_inside", name, within=within, margin=margin))
        if name in compared:
            questions.append(question(f"matters_{name}", "matters", name, margin=margin))
            if not _has_best(revision):
                questions.append(question(f"best_{name}", "best_value", name, margin=margin))
        pairs = paired.get(name)
        if pairs is not None and isinstance(revision.after, Constant):
            value = revision.after.value
            questions.append(
                question(name, "no_worse", name, value, than=pairs.values, margin=margin)
            )
    return questions


def question(id_: str, function: str, *values: object, **options: object) -> ProposedQuestion:
    """Return a question that calls a function of `harness.claims`, without options of None."""
    given = {name: value for name, value in options.items() if value is not None}
    code = [*map(literal, values), *(f"{name}={literal(value)}" for name, value in given.items())]
    claim: Claim = attrgetter(function)(claims)(*values, **given)
    return ProposedQuestion(id_, claim, function, tuple(code))


def since_of(steps: int, every: int) -> int | None:
    """Return the evaluated step at or after half of the steps; None where there is none."""
    since = math.ceil(steps / 2 / every) * every
    return since if since < steps else None


def _has_best(revision: Revision) -> bool:
    """Return whether to ask for the best value: for the learning rate and ranges that change."""
    after, is_rate = revision.after, revision.parameter == RATE
    if isinstance(after, Choice):
        enough = len(after.options) >= (3 if is_rate else RANGE_FROM)
        many = enough and all(is_number(option) for option in after.options)
    else:
        many = isinstance(after, Range)
    return many and (is_rate or revision.action != "keep")


def _blocked_by(name: str, revisions: Sequence[Revision], sweep: Sweep | None) -> str | None:
    """Return the parameter within which the previous sweep asked for the best value of this one."""
    varied = {r.parameter for r in revisions if not isinstance(r.after, Constant)}
    before = {} if sweep is None else sweep.questions
    found = (
        claim.within
        for claim in before.values()
        if claim.parameters[:1] == (name,) and claim.within in varied
    )
    return next(found, None)
