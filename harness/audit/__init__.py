"""Find what the data of a sweep cannot say, and say what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from harness import observations
from harness.audit import conditions, design, measurement
from harness.audit.view import View
from harness.protocols import Claim
from harness.verdicts import Evidence, Finding

__all__ = ["CODES", "audit"]

CODES = (
    "confounded",
    "constant_parameter",
    "degenerate_metric",
    "shared_before",
    "coarse_metric",
    "train_eval_divergence",
    "null_success_rule",
    "edge_optimum",
    "survivorship",
    "mixed_conditions",
    "post_hoc",
    "annealed_window",
    "placebo_moved",
    "scaled_down",
)
"""The codes of all findings."""


def audit(
    evidence: Evidence,
    questions: Mapping[str, Claim] | None = None,
    *,
    given: Mapping[str, str] | None = None,
    planned_runs: int | None = None,
    declared_runs: int | None = None,
    declared_arms: Collection[str] | None = None,
    post_hoc: Collection[str] = (),
) -> tuple[Finding, ...]:
    """Find what to know about a sweep before believing its verdicts.

    ``questions`` are the sweep's claims by id. ``given`` names, for a parameter whose values depend
    on another's by the declaration of the space, that other. ``planned_runs`` are the main runs
    asked for, ``declared_runs`` those that the sweep declares, ``declared_arms`` the arms that it
    declares (None of a table, which declares nothing). ``post_hoc`` are the ids of questions that
    changed after data existed. An equal seed gives equal findings; errors come first.
    """
    view = View(
        evidence,
        observations.observe(evidence.runs),
        questions or {},
        given or {},
        planned_runs,
        declared_runs,
        declared_arms,
        post_hoc,
    )
    checks: tuple[Callable[[View], Iterator[Finding]], ...] = (
        measurement.degenerate_metric,
        measurement.placebo_moved,
        conditions.scaled_down,
        conditions.mixed_conditions,
        design.confounded,
        design.constant_parameter,
        measurement.shared_before,
        measurement.coarse_metric,
        measurement.train_eval_divergence,
        measurement.null_success_rule,
        design.edge_optimum,
        design.survivorship,
        conditions.annealed_window,
        conditions.post_hoc,
    )
    findings = [finding for check in checks for finding in check(view)]
    order = ("error", "warning", "info")
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))
