"""Write plans, analyses, next sweeps and comparisons as JSON; what is missing is null."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.audit.coverage import Coverage, duplicates
from harness.records import Outcome, finite
from harness.report.documents.high_performers import conclusion_text
from harness.report.documents.plan import Cost, PlanPage
from harness.report.documents.refine import ProposalPage, drawn_from, size_of
from harness.report.renderers.as_json import finding_data
from harness.verdicts import Power

if TYPE_CHECKING:  # only one of these kinds is written at a time
    from harness.analysis import Analysis, Conclusion, Effect, Interaction, Pattern, Ranges
    from harness.judging.parity import Parity
    from harness.refine import Revision
    from harness.statistics import Estimate

SCHEMA = 1


# ---- the plan of a sweep ------------------------------------------------------------------------


def plan_data(page: PlanPage) -> dict[str, Any]:
    """Return a plan as what JSON can hold; what is not known is null."""
    return {
        "sweep": page.sweep.name,
        "runs": [
            {
                "id": run.id,
                "arm": run.arm,
                "pair": run.pair,
                "seed": run.seed,
                "steps": run.steps,
                "config": dict(run.config),
            }
            for run in page.runs
        ],
        "coverage": [_coverage(of) for of in page.coverage],
        "duplicates": [[run.id for run in group] for group in duplicates(page.main)],
        "cost": _cost(page.cost),
        "power": [_power(power) for power in page.power],
        "audit": [finding_data(finding) for finding in page.findings],
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        "runs": cost.runs,
        "steps": cost.steps,
        "completions": cost.completions,
        "seconds": cost.seconds,
        "stored_runs": cost.stored,
    }


def _power(power: Power) -> dict[str, Any]:
    return {
        "question": power.question,
        "effect": power.effect,
        "size": finite(power.size),
        "n": power.n,
        "unit": power.unit,
        "power": finite(power.power),
        "needed": power.needed,
        "most": power.most,
        "says": power.says,
        "given": power.given,
        "why": power.why,
    }


def _coverage(of: Coverage) -> dict[str, Any]:
    return {
        "parameter": of.parameter,
        "levels": [{"value": level, "runs": runs} for level, runs in of.levels],
        "low": of.low,
        "high": of.high,
        "share": of.share,
        "orders": of.orders,
        "orders_declared": of.declared,
        "gap": None if of.gap is None else list(of.gap),
        "gap_share": of.gap_share,
    }


# ---- the analysis of a sweep --------------------------------------------------------------------


def analysis_data(found: Analysis) -> dict[str, Any]:
    """Return an analysis as what JSON can hold, its keys in a fixed order."""
    high, metric = found.high, found.metric
    return {
        "schema": SCHEMA,
        "sweep": found.sweep,
        "metric": {"name": metric.name, "zero": metric.zero, "minimised": metric.minimised},
        "runs": found.runs,
        "units": found.units,
        "merged": found.merged,
        "diverged": found.diverged,
        "alpha": found.alpha,
        "high_performers": {
            "threshold": high.threshold,
            "rule": high.rule,
            "count": high.count,
            "null": None if high.null is None else {"count": high.null[0], "runs": high.null[1]},
            "patterns": [_pattern(pattern) for pattern in high.patterns],
        },
        "ranges": None if found.ranges is None else _ranges(found.ranges),
        "effects": [_effect(effect) for effect in found.effects],
        "predicted": found.predicted,
        "interactions": {
            "pairs": found.interactions.pairs,
            "smallest_p": found.interactions.smallest,
            "shown": [_interaction(one) for one in found.interactions.shown],
        },
        "conclusions": [_conclusion(one, found) for one in high.conclusions],
        "left_out": {name: str(why) for name, why in found.left_out.items()},
    }


def _pattern(pattern: Pattern) -> dict[str, Any]:
    return {
        "parameter": pattern.parameter,
        "kind": pattern.kind,
        "values": list(pattern.values),
        "high": pattern.high,
        "runs": pattern.runs,
        "levels": pattern.levels,
        "p_margins": pattern.p_margins,
        "p_equal": pattern.p_equal,
        "p_within": dict(pattern.p_within),
        "p_holm": pattern.p_holm,
    }


def _ranges(ranges: Ranges) -> dict[str, Any]:
    return {
        "parameter": ranges.parameter,
        "rule": ranges.rule,
        "outside": ranges.outside,
        "rows": [
            {
                "low": row.low,
                "high": row.high,
                "runs": row.runs,
                "diverged": row.diverged,
                "mean": _estimate(row.mean),
                "spread": finite(row.spread),
                "successes": row.successes,
                "success": _estimate(row.success),
                "positive": row.positive,
                "positive_share": _estimate(row.positive_share),
            }
            for row in ranges.rows
        ],
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "parameter": effect.parameter,
        "is_log": effect.is_log,
        "rho": effect.rho,
        "slope": None if effect.slope is None else _estimate(effect.slope),
        "levels": [
            {
                "value": level.value,
                "runs": level.runs,
                "mean": _estimate(level.mean),
                "difference": {
                    "estimate": finite(level.difference.estimate),
                    "low": finite(level.difference.low),
                    "high": finite(level.difference.high),
                    "level": level.difference.level,
                },
            }
            for level in effect.levels
        ],
        "p_value": effect.p_value,
        "p_within": dict(effect.p_within),
        "p_holm": effect.p_holm,
        "importance": effect.importance,
        "share": effect.share,
        "goes_with": [
            {"parameter": other.parameter, "v": other.strength, "by_design": other.by_design}
            for other in effect.goes_with
        ],
    }


def _interaction(one: Interaction) -> dict[str, Any]:
    return {
        "parameters": list(one.parameters),
        "share": one.share,
        "p_value": one.p_value,
        "p_holm": one.p_holm,
        "values": [list(value) if isinstance(value, tuple) else value for value in one.values],
        "runs": one.runs,
        "beyond": one.beyond,
    }


def _conclusion(one: Conclusion, found: Analysis) -> dict[str, Any]:
    implied = one.implied_by
    return {
        "parameter": one.parameter,
        "standing": one.standing,
        "pattern": _pattern(one.pattern),
        "counts": [
            {"value": value, "high": high, "runs": runs} for value, high, runs in one.counts
        ],
        "apart_from": list(one.confounded_with),
        "implied_by": None
        if implied is None
        else {"parameter": implied.parameter, "values": list(implied.values)},
        "text": conclusion_text(one, found),
    }


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {
        "estimate": finite(estimate.value),
        "low": finite(estimate.low),
        "high": finite(estimate.high),
        "level": estimate.level,
    }


# ---- the next sweep -----------------------------------------------------------------------------


def refine_data(page: ProposalPage) -> dict[str, Any]:
    """Return a proposal as what JSON can hold; what is not known is null."""
    proposal = page.proposal
    sweep = proposal.sweep
    return {
        "schema": SCHEMA,
        "source": proposal.source,
        "runs": proposal.runs,
        "tests": proposal.tests,
        "alpha": proposal.alpha,
        "sweep": {
            "name": sweep.name,
            "runs": sweep.runs,
            "steps": sweep.steps,
            "sizes": list(proposal.sizes),
        },
        "parameters": [_revision(revision) for revision in proposal.revisions],
        "arms": [
            {"arm": arm, "size": size_of(sweep.arms[arm]), "purpose": purpose}
            for arm, purpose in proposal.arms
        ],
        "questions": [asked.id for asked in proposal.questions],
        "beside": list(proposal.notes),
        "cost": _cost(page.cost),
        "power": [_power(power) for power in page.power],
        "said": list(page.preface),
        "python": page.python,
    }


def _revision(revision: Revision) -> dict[str, Any]:
    figure = revision.figure
    return {
        "parameter": revision.parameter,
        "action": revision.action,
        "before": drawn_from(revision.before),
        "after": drawn_from(revision.after),
        "why": revision.why,
        "gives_up": revision.gives_up,
        "figure": None if figure is None else asdict(figure),
        "pairs": None if revision.pairs is None else list(revision.pairs.values),
    }


# ---- two backends -------------------------------------------------------------------------------


def parity_data(found: Parity) -> dict[str, Any]:
    """Return a comparison as what JSON can hold; what is missing or unbounded is null."""
    first, second = found.backends
    verdict, step_one = found.verdict, found.step_one
    return {
        "schema": SCHEMA,
        "sweep": found.sweep,
        "backends": [first, second],
        "precision": found.precision,
        "steps": found.steps,
        "runs": [
            {
                "id": pair.run.id,
                first: _outcome(pair.first),
                second: _outcome(pair.second),
                "difference": pair.difference,
                "difference_se": pair.difference_se,
                "parted_at": pair.parted_at,
                "steps": pair.steps,
            }
            for pair in found.pairs
        ],
        "step_1": {
            "runs": step_one.runs,
            "loss": step_one.loss,
            "entropy": step_one.entropy,
            "grad_norm": step_one.grad_norm,
            "largest": step_one.largest,
        },
        "equivalence": {
            "estimate": verdict.estimate,
            "low": verdict.low,
            "high": verdict.high,
            "level": verdict.level,
            "margin": found.margin,
            "verdict": verdict.verdict,
            "n": verdict.n,
            "reason": verdict.reason,
            "needs": list(map(str, verdict.needs)),
        },
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.status,
        "perf_before": finite(outcome.perf_before),
        "delta_perf": finite(outcome.delta_perf),
        "se": finite(outcome.delta_perf_se),
        "error": outcome.error,
    }
