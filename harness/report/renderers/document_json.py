"""Write plans, analyses, next sweeps, comparisons and other answers as JSON; missing is null."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.audit.coverage import Coverage, duplicates
from harness.records import USELESS, Outcome, Result, finite
from harness.refine import ConfirmOption, Wider
from harness.report.documents.calibration import CalibrationPage
from harness.report.documents.high_performers import conclusion_text
from harness.report.documents.plan import Cost, PlanPage
from harness.report.documents.refine import ProposalPage, drawn_from, size_of
from harness.report.figures import own
from harness.report.renderers.as_json import (
    FINDING,
    budget_data,
    metric_data,
    picked,
    question_data,
    seeds_data,
    selection_data,
    worth_data,
)
from harness.statistics import ONE_IN
from harness.sweeps.transfer import adapters_of

if TYPE_CHECKING:  # only one of these kinds is written at a time
    from harness.analysis import Analysis, Conclusion, Effect, Ranges
    from harness.judging.gate import Gate, Sign
    from harness.judging.parity import Parity
    from harness.judging.range_test import Rung
    from harness.metrics import Metric
    from harness.refine import Option, Revision
    from harness.statistics import Estimate

SCHEMA = 1

PATTERN = "parameter kind values high runs levels p_margins p_equal p_within p_holm"
"""The attributes of a pattern that are written."""


# ---- the plan of a sweep ------------------------------------------------------------------------


def plan_data(page: PlanPage) -> dict[str, Any]:
    """Return a plan as values that JSON can hold; what is not known is null."""
    return {
        "sweep": page.sweep.name,
        "runs": [picked(run, "id arm pair seed repeat steps config") for run in page.runs],
        "coverage": [_coverage(of) for of in page.coverage],
        "duplicates": [[run.id for run in group] for group in duplicates(page.main)],
        "cost": _cost(page.cost),
        "power": [picked(power) for power in page.power],
        "noise_budget": budget_data(page.budget, page.outlook) if page.budget.parts else None,
        "audit": [picked(finding, FINDING) for finding in page.findings],
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {**picked(cost, "runs steps completions seconds"), "stored_runs": cost.stored}


def _coverage(of: Coverage) -> dict[str, Any]:
    return {
        "parameter": of.parameter,
        "levels": [{"value": level, "runs": runs} for level, runs in of.levels],
        **picked(of, "low high share orders"),
        "orders_declared": of.declared,
        **picked(of, "gap gap_share"),
    }


# ---- the analysis of a sweep --------------------------------------------------------------------


def analysis_data(found: Analysis) -> dict[str, Any]:
    """Return an analysis as values that JSON can hold, its keys in a fixed order."""
    high, interactions = found.high, found.interactions
    return {
        "schema": SCHEMA,
        "sweep": found.sweep,
        "metric": metric_data(found.metric),
        **picked(found, "runs units merged diverged alpha"),
        "seeds": found.seeds and seeds_data(found.seeds),
        "selection": selection_data(found.selection, found.metric)
        | {"high": [_leader(result, found) for result in found.leaders]},
        "noise_budget": budget_data(found.budget, found.outlook),
        "high_performers": {
            "threshold": finite(found.metric.level(high.threshold)),
            **picked(high, "rule count"),
            **{arm: _as_high(high.useless.get(arm)) for arm in USELESS},
            "patterns": [picked(pattern, PATTERN) for pattern in high.patterns],
        },
        "ranges": found.ranges and _ranges(found.ranges, found.metric),
        "effects": [_effect(effect, found.metric) for effect in found.effects],
        "interactions": {
            "pairs": interactions.pairs,
            "smallest_p": interactions.smallest,
            "shown": [
                picked(one, "parameters share p_value p_holm values runs")
                | {"beyond": finite(found.metric.change(one.beyond))}
                for one in interactions.shown
            ],
        },
        "conclusions": [_conclusion(one, found) for one in high.conclusions],
        "left_out": {name: str(why) for name, why in found.left_out.items()},
    }


def _as_high(found: tuple[int, int] | None) -> dict[str, int] | None:
    """Return how many runs of an arm are as high as high performers; None where it has none."""
    return found and {"count": found[0], "runs": found[1]}


def _leader(result: Result, found: Analysis) -> dict[str, Any]:
    """Return a high performer with what is left of it after selection, where that is known."""
    outcome, worth = result.outcome.delta_perf, found.selection.of.get(result.run.id)
    return {
        "run": result.run.id,
        "value": None if outcome is None else finite(found.metric.level(outcome)),
        **worth_data(worth, found.metric),
    }


def _ranges(ranges: Ranges, metric: Metric) -> dict[str, Any]:
    return {
        **picked(ranges, "parameter rule outside"),
        "rows": [
            {
                **picked(row, "low high runs diverged"),
                "mean": _estimate(own(metric, row.mean)),
                **picked(row, "spread successes"),
                "success": _estimate(row.success),
                "positive": row.positive,
                "positive_share": _estimate(row.positive_share),
            }
            for row in ranges.rows
        ],
    }


def _effect(effect: Effect, metric: Metric) -> dict[str, Any]:
    return {
        **picked(effect, "parameter share"),
        "matters": question_data(effect.matters, metric),
        "best": question_data(effect.best, metric),
    }


def _conclusion(one: Conclusion, found: Analysis) -> dict[str, Any]:
    return {
        **picked(one, "parameter standing"),
        "pattern": picked(one.pattern, PATTERN),
        "counts": [
            {"value": value, "high": high, "runs": runs} for value, high, runs in one.counts
        ],
        "apart_from": list(one.confounded_with),
        "implied_by": one.implied_by and picked(one.implied_by),
        "text": conclusion_text(one, found),
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {"estimate": finite(estimate.value), **picked(estimate, "low high level")}


# ---- the next sweep -----------------------------------------------------------------------------


def refine_data(page: ProposalPage) -> dict[str, Any]:
    """Return a proposal as values that JSON can hold; what is not known is null."""
    proposal = page.proposal
    sweep = proposal.sweep
    return {
        "schema": SCHEMA,
        **picked(proposal, "source runs tests alpha"),
        "sweep": {**picked(sweep, "name runs steps"), "sizes": list(proposal.sizes)},
        "parameters": [_revision(revision) for revision in proposal.revisions],
        "arms": [
            {"arm": arm, "size": size_of(sweep.arms[arm]), "purpose": purpose}
            for arm, purpose in proposal.arms
        ],
        "questions": [asked.id for asked in proposal.questions],
        "beside": list(proposal.notes),
        "cost": _cost(page.cost),
        "power": [picked(power) for power in page.power],
        "next": {
            "runs": page.advice.runs,
            "options": [_option(option, page) for option in page.advice.options],
        },
        "selection": selection_data(page.advice.chosen, page.metric) | _best(page),
        "said": list(page.preface),
        "python": page.python,
    }


def _option(option: Option, page: ProposalPage) -> dict[str, Any]:
    """Return a use of the next runs; each kind has fields of its own."""
    data = picked(option)
    if isinstance(option, Wider):
        data["beyond"] = [
            {**picked(one, "parameter end edge"), "after": one.after and drawn_from(one.after)}
            for one in option.beyond
        ]
    if isinstance(option, ConfirmOption):
        data["at_most"] = option.at_most
    return {
        "kind": option.kind,
        **picked(option, "runs chance"),
        "commands": list(page.commands.get(option.kind, ())),
        **data,
    }


def _best(page: ProposalPage) -> dict[str, Any]:
    """Return what is left of the best run after selection."""
    chosen = page.advice.chosen
    top = None if chosen.top is None else chosen.of.get(chosen.top.run.id)
    return worth_data(top, page.metric)


def _revision(revision: Revision) -> dict[str, Any]:
    return {
        **picked(revision, "parameter action"),
        "before": drawn_from(revision.before),
        "after": drawn_from(revision.after),
        **picked(revision, "why gives_up"),
        "figure": revision.figure and picked(revision.figure),
        "pairs": revision.pairs and list(revision.pairs.values),
    }


# ---- two backends -------------------------------------------------------------------------------


def parity_data(found: Parity) -> dict[str, Any]:
    """Return a comparison as values that JSON can hold; what is missing or unbounded is null."""
    first, second = found.backends
    verdict = found.verdict
    return {
        "schema": SCHEMA,
        **picked(found, "sweep backends precision steps"),
        "model": found.model or None,
        "task": found.task or None,
        "runs": [
            {
                "id": pair.run.id,
                first: _outcome(pair.first),
                second: _outcome(pair.second),
                **picked(pair, "difference difference_se parted_at steps"),
            }
            for pair in found.pairs
        ],
        "step_1": picked(found.step_one, "runs loss entropy grad_norm largest"),
        "equivalence": {
            **picked(verdict, "estimate low high level"),
            "margin": found.margin,
            **picked(verdict, "verdict n reason"),
            "needs": list(map(str, verdict.needs)),
        },
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        **picked(outcome, "status perf_before delta_perf"),
        "se": finite(outcome.delta_perf_se),
        "error": outcome.error,
    }


# ---- a range test -------------------------------------------------------------------------------


def calibration_data(page: CalibrationPage) -> dict[str, Any]:
    """Return a range test as values that JSON can hold; what is missing or unbounded is null."""
    test, known = page.test, page.conditions
    return {
        "schema": SCHEMA,
        "sweep": page.sweep.name,
        **picked(known, "model task task_version backend precision"),
        "adapters": adapters_of(page.config),
        "steps": page.steps,
        "standing": test.standing,
        "learning_rate": test.rate if test.standing == "found" else None,
        "lr_transfer": page.factor,
        **picked(test, "low high helps may_be_best alpha"),
        "declared": list(page.declared),
        "used": page.factor and [end * page.factor for end in page.declared],
        "task_declares": page.own,
        "file": page.kept or None,
        "rates": [_rung(rung) for rung in test.rungs],
        "fresh": [_rung(rung) for rung in test.fresh],
        "doubt": test.doubt if test.standing == "unconfirmed" else None,
        "again": test.again
        and {**picked(test.again, "value low high level"), "se": test.again_error},
        "seconds": page.seconds,
    }


def _rung(rung: Rung) -> dict[str, Any]:
    outcome = rung.outcome
    return {
        "learning_rate": rung.rate,
        **picked(outcome, "status perf_before delta_perf"),
        "se": finite(outcome.delta_perf_se),
        **picked(rung, "kl entropy no_signal"),
        "seconds": outcome.seconds,
    }


# ---- the last nights ----------------------------------------------------------------------------


def gate_data(found: Gate, kept: str | None) -> dict[str, Any]:
    """Return the answer on the last nights; ``kept`` is the file that now has tonight."""
    return {
        "schema": SCHEMA,
        "pages": found.pages,
        "metric": found.shift.metric,
        **picked(found, "last before by rank choices p_value"),
        "level": 1 / ONE_IN,
        "metrics": [picked(shift) for shift in found.shifts],
        "power": [{"sds": sds, "power": power} for sds, power in found.power],
        "calibrated": found.resembling is None,
        "resembling": _sign(found.resembling, "correlation"),
        "declining": _sign(found.declining, "sum"),
        "aside": [{"metric": name, "why": why} for name, why in found.aside],
        "incomplete": list(found.incomplete),
        "earlier": found.earlier,
        "same": found.same or None,
        "kept": kept,
    }


def no_gate_data(has: int, needs: int, kept: str) -> dict[str, Any]:
    """Return that there is no answer yet: the nights there are, and how many are needed."""
    return {"schema": SCHEMA, "pages": None, "has": has, "needs": needs, "kept": kept}


def _sign(sign: Sign | None, size: str) -> dict[str, Any] | None:
    if sign is None:
        return None
    return {"metric": sign.metric, size: sign.size, **picked(sign, "p_value since")}
