"""Write a report of a sweep as JSON, for programs; what is unbounded or missing is null."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

from harness.judging.reference import SCHEMA
from harness.records import Result, finite
from harness.report.model import Report
from harness.verdicts import Decision, Finding, Verdict


def render(report: Report) -> str:
    """Return the report as JSON text, a line a run; equal reports give equal text."""
    return "".join(pieces(report))


def pieces(report: Report) -> Iterator[str]:
    """Yield the text that `render` returns, a run at a time: of many it is more than 100 MB."""
    text = json.dumps(_around(report, []), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    before, after = text.split('"runs": []', 1)
    yield f'{before}"runs": ['
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    between = "\n  "
    for result in report.runs:
        yield between + encode(run_data(result))
        between = ",\n  "
    yield ("\n ]" if report.runs else "]") + after


def as_data(report: Report) -> dict[str, Any]:
    """Return the report as what JSON can hold, its keys in a fixed order."""
    return _around(report, [run_data(result) for result in report.runs])


def _around(report: Report, runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "sweep": report.sweep,
        "baseline": report.baseline,
        "baseline_read": list(report.baseline_read),
        "scaled_down": report.scaled_down,
        "complete": report.complete,
        "missing": list(report.missing),
        "answered_early": _answered_early(report),
        "environment": {name: _value(v) for name, v in report.environment.items()},
        "conditions": _conditions(report),
        "runs": runs,
        "questions": [_question(verdict) for verdict in report.verdicts],
        "audit": [finding_data(finding) for finding in report.findings],
        "reference": _compared(report),
    }


def run_data(result: Result) -> dict[str, Any]:
    """Return a run as the report writes it."""
    run, outcome = result.run, result.outcome
    return {
        "id": run.id,
        "arm": run.arm,
        "pair": run.pair,
        "seed": run.seed,
        "steps": run.steps,
        "status": outcome.status,
        "config": {name: _value(v) for name, v in run.config.items()},
        "perf_before": finite(outcome.perf_before),
        "perf_after": finite(outcome.perf_after),
        "delta_perf": finite(outcome.delta_perf),
        "delta_perf_se": finite(outcome.delta_perf_se),
        "prompts": outcome.prompts,
        "samples": outcome.samples,
        "prompts_changed": outcome.prompts_changed,
        "train_delta_perf": finite(outcome.train_delta_perf),
        "curve": [
            {
                "step": step,
                "perf": perf if isfinite(perf) else None,
                "se": se if isfinite(se) else None,
            }
            for step, perf, se, _ in outcome.curve
        ],
        "backend": result.conditions.backend,
        "device": outcome.device or result.conditions.device,
        "seconds": finite(outcome.seconds),
        "stopped_at": outcome.stopped_at,
        "error": outcome.error,
    }


def finding_data(finding: Finding) -> dict[str, Any]:
    """Return a finding of the audit as the report writes it."""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "parameters": list(finding.parameters),
    }


def _question(verdict: Verdict) -> dict[str, Any]:
    return {
        "id": verdict.id,
        "question": verdict.question,
        "claim": verdict.claim,
        "verdict": verdict.verdict,
        "answer": verdict.answer,
        "estimate": finite(verdict.estimate),
        "low": finite(verdict.low),
        "high": finite(verdict.high),
        "level": finite(verdict.level),
        "p_value": finite(verdict.p_value),
        "p_holm": finite(verdict.p_holm),
        "n": verdict.n,
        "method": verdict.method,
        "reason": verdict.reason,
        "needs": list(map(str, verdict.needs)),
        "beside": list(verdict.details),
        "decided": _decided(verdict.decided),
    }


def _answered_early(report: Report) -> dict[str, Any] | None:
    rest = report.not_needed
    if rest is None:
        return None
    return {
        "trained": rest.trained,
        "planned": rest.planned,
        "not_needed": rest.left,
        "seconds_saved": finite(rest.seconds),
    }


def _compared(report: Report) -> dict[str, Any] | None:
    compared = report.compared
    if compared is None:
        return None
    return {
        "path": compared.path,
        "questions": [
            {
                "id": regression.id,
                "was": "supported",
                "now": regression.now,
                "regressed": regression.regressed,
                "p_value": finite(regression.p_value),
                "level": regression.level,
                "answer": regression.answer,
            }
            for regression in compared.questions
        ],
    }


def _decided(decision: Decision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    return {
        "by": decision.by,
        "runs": decision.runs,
        "planned": decision.planned,
        "look": decision.look,
        "looks": decision.looks,
        "alpha": finite(decision.alpha),
    }


def _conditions(report: Report) -> dict[str, Any] | None:
    known = report.conditions
    if known is None:
        return None
    return {
        "task": known.task,
        "task_version": known.task_version,
        "model": known.model,
        "backend": known.backend,
        "precision": known.precision,
        "lr_transfer": finite(known.lr_transfer),
        "steps": report.steps,
    }


def _value(value: object) -> object:
    """Return a config's or an environment's value, None where JSON has no such number."""
    return finite(value) if isinstance(value, float) else value
