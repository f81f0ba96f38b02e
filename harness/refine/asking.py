"""What the next sweep can be asked, with the Python of each question."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.analysis.columns import RATE
from harness.claims import (
    BestInside,
    best_inside,
    lower_tail,
    mean_gain,
    no_worse,
    spread,
    still_improves,
    success_rate,
)
from harness.observations.levels import RANGE_FROM, is_number
from harness.protocols import Claim
from harness.refine.code import literal
from harness.refine.values import Asked, Revision
from harness.sweeps.space import Choice, Constant, LogUniform, Uniform
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
) -> list[Asked]:
    """Return the standard questions that a sweep with these parameters and arms can answer.

    ``since`` is the step from which the plateau is looked for, None where it is not.
    """
    asked = [Asked("success_above_half", success_rate.above(0.5), "success_rate.above", ("0.5",))]
    if baseline is not None:
        asked += [_versus("success", success_rate.above_baseline(), "success_rate.above")]
    if isinstance(baseline, str):
        asked += [
            _versus("mean", mean_gain.above_baseline(), "mean_gain.above"),
            _versus("variance", spread.below_baseline(), "spread.below"),
            _versus("lower_tail", lower_tail.above_baseline(), "lower_tail.above"),
        ]
    matters = () if margin is None else (f"margin={literal(margin)}",)
    if since is not None:
        claim, parts = still_improves(since, margin), (f"since={since}", *matters)
        asked.append(Asked("plateau", claim, "still_improves", parts))
    for revision in revisions:
        if _has_best(revision):
            asked.append(_sweet_spot(revision, revisions, sweep, margin, matters))
        pairs = paired.get(revision.parameter)
        if pairs is not None and isinstance(revision.after, Constant):
            value, name = revision.after.value, revision.parameter
            asked.append(
                Asked(
                    name,
                    no_worse(name, value, than=pairs.values, margin=margin),
                    "no_worse",
                    (literal(name), literal(value), f"than={literal(pairs.values)}", *matters),
                )
            )
    return asked


def since_of(steps: int, every: int) -> int | None:
    """Return the evaluated step at or after half of the steps; None where there is none."""
    since = math.ceil(steps / 2 / every) * every
    return since if since < steps else None


def _versus(what: str, claim: Claim, code: str) -> Asked:
    return Asked(f"{what}_vs_baseline", claim, f"{code}_baseline")


def _has_best(revision: Revision) -> bool:
    """Whether to ask where the best value lies: of the learning rate, and of a changed range."""
    after, is_rate = revision.after, revision.parameter == RATE
    if isinstance(after, Choice):
        enough = len(after.options) >= (3 if is_rate else RANGE_FROM)
        many = enough and all(is_number(option) for option in after.options)
    else:
        many = isinstance(after, Uniform | LogUniform)
    return many and (is_rate or revision.action != "keep")


def _sweet_spot(
    revision: Revision,
    revisions: Sequence[Revision],
    sweep: Sweep | None,
    margin: float | None,
    matters: tuple[str, ...],
) -> Asked:
    """Return where the best value lies, within the parameter that it was asked within before."""
    name = revision.parameter
    varied = {r.parameter for r in revisions if not isinstance(r.after, Constant)}
    before = [
        claim.within
        for claim in ({} if sweep is None else sweep.questions).values()
        if isinstance(claim, BestInside) and claim.parameter == name and claim.within in varied
    ]
    within = before[0] if before else None
    blocked = () if within is None else (f"within={literal(within)}",)
    return Asked(
        "lr_sweet_spot" if name == RATE else f"{name}_sweet_spot",
        best_inside(name, within=within, margin=margin),
        "best_inside",
        (literal(name), *blocked, *matters),
    )
