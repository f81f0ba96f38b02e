"""The patterns in a sweep as JSON: what is missing or unbounded is null."""

from __future__ import annotations

from typing import Any

from harness.analysis import Analysis, Conclusion, Effect, Interaction, Pattern, Ranges
from harness.records import finite
from harness.report.analysis_words import conclusion_text
from harness.statistics import Estimate

SCHEMA = 1


def as_data(found: Analysis) -> dict[str, Any]:
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
        "left_out": dict(found.left_out),
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
            {"parameter": bond.parameter, "v": bond.strength, "by_design": bond.by_design}
            for bond in effect.goes_with
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
        "apart_from": list(one.apart_from),
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
