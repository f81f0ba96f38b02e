"""Write a report of a sweep as JSON, for programs; what is unbounded or missing is null."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from math import inf, isfinite
from numbers import Real
from typing import TYPE_CHECKING, Any

from harness.judging.reference import SCHEMA
from harness.metrics import DELTA_PERF, Metric
from harness.observations.budget import NoiseBudget
from harness.observations.health import Health
from harness.observations.repeats import SeedSpread
from harness.observations.selection import Selection, Worth
from harness.records import CONFIRM, Outcome, Result, Span, finite
from harness.report.documents.summary import summary
from harness.report.model import Report
from harness.verdicts import (
    Confirmed,
    NotNeeded,
    Outlook,
    ParameterEffect,
    Regressions,
    Verdict,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CONDITIONS = "task task_version model backend precision lr_transfer"
"""The attributes of conditions that are written."""


FINDING = "code severity message parameters"
"""The attributes of a finding that are written."""


def render(report: Report) -> str:
    """Return the report as JSON text, a line a run; equal reports give equal text."""
    return "".join(pieces(report))


def pieces(report: Report) -> Iterator[str]:
    """Yield the text that `render` returns a run at a time; all of it may exceed 100 MB."""
    text = json.dumps(_around(report, []), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    before, after = text.split('"runs": []', 1)
    yield f'{before}"runs": ['
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    between = "\n  "
    for result in report.runs:
        yield between + encode(run_data(result, report.metric, report.worth(result)))
        between = ",\n  "
    yield ("\n ]" if report.runs else "]") + after


def as_data(report: Report) -> dict[str, Any]:
    """Return the report as values that JSON can hold, its keys in a fixed order."""
    runs = (run_data(result, report.metric, report.worth(result)) for result in report.runs)
    return _around(report, list(runs))


def _around(report: Report, runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        **picked(report, "sweep baseline"),
        "metric": metric_data(report.metric),
        "summary": list(map(str, summary([report]))),
        **picked(report, "baseline_read scaled_down complete missing"),
        "answered_early": report.not_needed and _answered_early(report.not_needed),
        "environment": plain(report.environment),
        "seeds": report.seeds and seeds_data(report.seeds),
        "selection": selection_data(report.selection, report.metric),
        "noise_budget": budget_data(report.budget, report.outlook),
        "conditions": report.conditions
        and picked(report.conditions, CONDITIONS) | {"steps": report.steps},
        "runs": runs,
        "failures": [
            {**picked(one, "status reason"), "runs": list(one.ids)} for one in report.failures
        ],
        "questions": [question_data(verdict, report.metric) for verdict in report.verdicts],
        "health": report.health and health_data(report.health),
        "audit": [picked(finding, FINDING) for finding in report.findings],
        "reference": report.compared and _compared(report.compared),
    }


def metric_data(metric: Metric) -> dict[str, Any]:
    """Return a metric as the report writes it."""
    target = metric.target if metric.zero == "target" else None
    return {**picked(metric, "name direction zero"), "target": target}


def run_data(result: Result, metric: Metric, worth: Worth | None = None) -> dict[str, Any]:
    """Return a run, judged by ``metric``, as the report writes it.

    ``worth`` is what it is worth after selection, where that is known. ``value`` and the curve are
    in the metric's own direction, as everything that is written.
    """
    run, outcome = result.run, result.outcome
    return {
        **picked(run, "id arm pair seed steps"),
        **({"place": run.index, "repeat": run.repeat} if run.arm == CONFIRM else {}),
        "status": outcome.status,
        "config": plain(run.config),
        **_measured(outcome, metric),
        **worth_data(worth, metric),
        **picked(outcome, "prompts samples prompts_changed train_delta_perf"),
        **({} if outcome.clusters is None else picked(outcome, "clusters clusters_changed")),
        "curve": [
            {"step": step, "perf": finite(metric.change(perf)), "se": finite(se)}
            for step, perf, se, _ in outcome.curve
        ],
        "backend": result.conditions.backend,
        "device": outcome.device or result.conditions.device,
        **({} if outcome.weights_moved is None else picked(outcome, "weights_moved")),
        **picked(outcome, "seconds stopped_at error"),
        **({"seeds": [_seed(run, metric) for run in result.repeats]} if result.repeats else {}),
    }


def _measured(outcome: Outcome, metric: Metric) -> dict[str, Any]:
    """Return what a run ended with: the value of another metric, or ΔPerf."""
    value, delta = outcome.value, outcome.delta_perf
    if metric != DELTA_PERF:
        value = metric.level(delta) if value is None and delta is not None else value
        delta = delta if metric.is_change and not metric.minimised else None
    return {
        "value": finite(value),
        **picked(outcome, "perf_before perf_after"),
        "delta_perf": finite(delta),
        **picked(outcome, "delta_perf_se"),
    }


def worth_data(worth: Worth | None, metric: Metric) -> dict[str, Any]:
    """Return what a run is worth after selection, as values of the metric."""
    ends: tuple[float | None, float | None] = None, None
    if worth is not None and worth.low is not None and worth.high is not None:
        ends = metric.ends(worth.low, worth.high)
    return {
        "after_selection": worth and metric.level(worth.shrunk),
        "after_selection_low": ends[0],
        "after_selection_high": ends[1],
        "probability_best": worth and worth.best,
    }


def selection_data(found: Selection, metric: Metric) -> dict[str, Any]:
    """Return what was found of the best runs after selection; each run has its own numbers."""
    return {
        "best": found.top and found.top.run.id,
        "of": found.count,
        **picked(found, "noise lack error lacking"),
        "mean": None if found.centre is None else metric.level(found.centre),
        **picked(found, "spread level"),
    }


def _seed(result: Result, metric: Metric) -> dict[str, Any]:
    """Return one of the runs that a config is the mean of."""
    outcome = result.outcome
    return {
        **picked(result.run, "id seed"),
        "status": outcome.status,
        **_measured(outcome, metric),
        **picked(outcome, "seconds stopped_at error"),
    }


def seeds_data(found: SeedSpread) -> dict[str, Any]:
    """Return the spread between configs and between seeds, as standard deviations."""
    of = found.components
    return {
        "configs": of.groups,
        **picked(found, "runs diverged"),
        "each": of.each,
        "between_configs": {"sd": of.between.value, **picked(of.between, "low high")},
        "between_seeds": {"sd": of.within.value, **picked(of.within, "low high")},
        "level": of.within.level,
        "equal_within": found.equal_within,
    }


def budget_data(found: NoiseBudget, outlook: Outlook | None) -> dict[str, Any]:
    """Return where the spread of results comes from, as SDs, and what the next runs buy."""
    shares, beside = found.shares, found.spread(beside=True)
    return {
        **picked(found, "runs configurations diverged"),
        "seeds_each": found.each,
        "sources": {
            source: {"sd": one.value, **picked(one, "low high method"), "share": shares.get(source)}
            for source, one in found.parts.items()
        },
        "not_known": dict(found.lacks),
        "machines": found.kind,
        "sd": found.total if found.parts else None,
        "sd_beside_parameters": None if beside is None else beside[1],
        "level": found.level,
        "next_runs": outlook and _outlook(outlook),
    }


def _outlook(found: Outlook) -> dict[str, Any]:
    """Return what further runs buy, with the power of the questions that gain most."""
    told = [one for one in (found.most, found.most_of_pairs) if one is not None]
    return {
        **picked(found, "runs configs seeds sd"),
        "purchases": [
            {
                **picked(one, "kind runs configs seeds items"),
                "sd_low": one.sd[0],
                "sd_high": one.sd[1],
            }
            for one in found.purchases
        ],
        "questions": [
            {
                **picked(one, "question effect now"),
                "after": [known and {"low": known[0], "high": known[1]} for known in one.after],
            }
            for one in told
        ],
    }


def health_data(found: Health) -> dict[str, Any]:
    """Return the health of training as the report writes it."""
    return {
        "runs": found.runs,
        "measures": [
            {
                "measure": one.name,
                **picked(one, "start end mean worst"),
                "worst_run": one.run.run.id,
            }
            for one in found.measures
        ],
    }


def question_data(verdict: Verdict, metric: Metric) -> dict[str, Any]:
    """Return a verdict by ``metric`` as the report writes it, with what it found of a parameter.

    A level is a value of the metric. A difference is a gain: positive where it is better.
    """
    return {
        **picked(verdict, "id question claim"),
        "asked": bool(verdict.claim),
        **picked(verdict, "verdict answer estimate low high level"),
        **picked(verdict, "p_value p_holm n method reason"),
        "needs": list(map(str, verdict.needs)),
        "beside": list(verdict.details),
        "decided": verdict.decided and picked(verdict.decided),
        "effect": verdict.effect and _effect(verdict.effect, metric),
        **(
            {"confirmed": [_confirmed(one, metric) for one in verdict.confirmed]}
            if verdict.confirmed
            else {}
        ),
    }


def _confirmed(one: Confirmed, metric: Metric) -> dict[str, Any]:
    """Return a config with fresh seeds: values of the metric, and differences that are gains."""

    def level(value: float | None) -> float | None:
        return None if value is None else metric.level(value)

    mean = (
        {"mean": None, "low": None, "high": None}
        if one.mean is None
        else _levels(one.mean, one.low, one.high, metric)
    )
    return {
        **picked(one, "place run config seeds diverged"),
        **mean,
        **picked(one, "se pairs difference difference_low difference_high p_value may_be_best"),
        "measured": level(one.measured),
        "after_selection": level(one.after_selection),
    }


def _effect(effect: ParameterEffect, metric: Metric) -> dict[str, Any]:
    return {
        **picked(effect, "asks parameter"),
        "levels": [
            {
                "level": one.level._asdict() if isinstance(one.level, Span) else plain(one.level),
                "runs": one.runs,
                **_levels(one.mean, one.low, one.high, metric),
                "may_be_best": one.may_be_best,
            }
            for one in effect.levels
        ],
        **picked(effect, "share shape"),
    }


def _levels(
    mean: float, low: float | None, high: float | None, metric: Metric
) -> dict[str, object]:
    ends = metric.ends(-inf if low is None else low, inf if high is None else high)
    return {"mean": plain(metric.level(mean)), "low": plain(ends[0]), "high": plain(ends[1])}


def _answered_early(rest: NotNeeded) -> dict[str, Any]:
    return {
        **picked(rest, "trained planned"),
        "not_needed": rest.left,
        "seconds_saved": finite(rest.seconds),
    }


def _compared(found: Regressions) -> dict[str, Any]:
    return {
        "path": found.path,
        "questions": [
            {"id": one.id, "was": "supported", **picked(one, "now regressed p_value level answer")}
            for one in found.questions
        ],
    }


def picked(of: DataclassInstance, names: str = "") -> dict[str, Any]:
    """Return these attributes of a value, or all of its fields, by name in this order."""
    chosen = names.split() or [field.name for field in fields(of)]
    return {name: plain(getattr(of, name)) for name in chosen}


def plain(value: object) -> object:
    """Return a value that JSON can hold; a number that is not finite becomes None."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return finite(float(value)) if isinstance(value, Real) else value  # NumPy's numbers
