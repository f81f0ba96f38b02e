"""Find what the data of a sweep cannot say, and say what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from harness.audit import conditions, design, health, measurement, successes
from harness.audit.view import View, errors_first
from harness.observations.repeats import each_run
from harness.protocols import Claim
from harness.verdicts import Evidence, Finding, Verdict

__all__ = ["CODES", "audit", "best_asked"]

CODES = (
    "confounded",
    "redundant",
    "interaction",
    "constant_parameter",
    "degenerate_metric",
    "shared_before",
    "coarse_metric",
    "train_eval_divergence",
    "null_success_rule",
    "useless_succeeds",
    "edge_optimum",
    "survivorship",
    "outlier",
    "repeated_runs",
    "adaptive_design",
    "against_the_name",
    "mixed_conditions",
    "post_hoc",
    "annealed_window",
    "placebo_moved",
    *health.CODES,
    "scaled_down",
)
"""The codes of all findings."""


ABOUT_RUNS = (
    conditions.mixed_conditions,
    design.survivorship,
    measurement.outlier,
    measurement.repeated_runs,
)
"""Checks of runs one by one, of which the mean of a configuration's repeats tells nothing."""


def best_asked(verdicts: Iterable[Verdict]) -> frozenset[str]:
    """Return the parameters of which one of ``verdicts`` says where their best value lies."""
    effects = (verdict.effect for verdict in verdicts)
    return frozenset(e.parameter for e in effects if e and e.asks == "best" and e.levels)


def audit(
    evidence: Evidence,
    questions: Mapping[str, Claim] | None = None,
    *,
    given: Mapping[str, str] | None = None,
    planned_runs: int | None = None,
    declared_runs: int | None = None,
    planned_seeds: int = 1,
    declared_seeds: int = 1,
    declared_arms: Collection[str] | None = None,
    post_hoc: Collection[str] = (),
    best_asked: Collection[str] = (),
) -> tuple[Finding, ...]:
    """Find what to know about a sweep before believing its verdicts.

    ``questions`` are the sweep's claims by id. ``given`` names the parameter that another's values
    depend on by the declaration of the space. ``planned_runs`` are the main runs asked for,
    each trained with ``planned_seeds``; ``declared_runs``, ``declared_seeds`` and ``declared_arms``
    are what the sweep declares (arms None for a table, which
    declares nothing). ``post_hoc`` are the ids of questions that changed after data existed.
    ``best_asked`` are the parameters whose best value a question is about: its answer says where
    that lies, and no finding repeats it. An equal seed gives equal findings; errors come first.
    """
    asked, given = questions or {}, given or {}
    view = View(
        evidence,
        asked,
        given,
        planned_runs,
        declared_runs,
        declared_arms,
        post_hoc,
        best_asked,
        (planned_seeds, declared_seeds),
    )
    checks: tuple[Callable[[View], Iterator[Finding]], ...] = (
        measurement.degenerate_metric,
        measurement.placebo_moved,
        health.frozen_weights,
        health.policy_collapse,
        health.no_signal,
        health.truncation,
        conditions.scaled_down,
        conditions.mixed_conditions,
        design.confounded,
        design.constant_parameter,
        measurement.shared_before,
        measurement.coarse_metric,
        measurement.train_eval_divergence,
        successes.null_success_rule,
        successes.useless_succeeds,
        measurement.against_the_name,
        design.edge_optimum,
        design.survivorship,
        measurement.outlier,
        measurement.repeated_runs,
        conditions.adaptive_design,
        conditions.annealed_window,
        conditions.post_hoc,
    )
    runs = each_run(evidence.runs)
    of_runs = view
    if runs is not evidence.runs:
        of_runs = replace(view, evidence=replace(evidence, runs=runs))
    return errors_first(
        finding for check in checks for finding in check(of_runs if check in ABOUT_RUNS else view)
    )
