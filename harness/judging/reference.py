"""A stored report to compare with: read from its ``report.json``, or refused in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from harness.errors import UsageError
from harness.judging.baselines import told
from harness.judging.evidence import evidence_of
from harness.metrics import DELTA_PERF, Metric
from harness.records import (
    Conditions,
    Config,
    Evaluation,
    Outcome,
    Result,
    Run,
    Status,
    is_number,
)
from harness.sweeps.plan import Plan
from harness.text import plural
from harness.verdicts import Evidence, Verdict, VerdictName

SCHEMA = 1
"""The schema of ``report.json``, raised when a field changes its meaning."""

REFERENCE = "reference.json"
"""The name of a report that later ones are compared with."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A report of a finished sweep: its runs as evidence, and the verdicts it supports, by id."""

    path: Path
    evidence: Evidence
    supported: Mapping[str, Verdict]


def references(
    plans: Mapping[str, Plan],
    folders: Mapping[str, Path],
    given: Iterable[Path] = (),
    *,
    required: bool = False,
) -> dict[str, Reference]:
    """Return the references of planned sweeps, by the sweep's name.

    They are those ``given``. If none is given and references are ``required``, every sweep that
    asks a question must have a `REFERENCE` in its folder.

    Raises
    ------
    UsageError
        Where one is missing, cannot be read, is no report, or is of other runs than are planned.
    """
    given = list(given)
    found: dict[str, Reference] = {}
    if required and not given:
        for name, planned in plans.items():
            path = folders[name] / REFERENCE
            if path.exists():
                found[name] = load(path, {name: planned})
            elif planned.sweep.questions:
                raise UsageError(
                    f"no reference of sweep {name!r} at {path}: keep a report of it as one by "
                    f"`sweep report {name} --save-reference`, or name one by --sweep-reference PATH"
                )
    for path in given:
        reference = load(path, plans)
        name = reference.evidence.sweep
        if name in found:
            raise UsageError(f"references {found[name].path} and {path} are both of sweep {name!r}")
        found[name] = reference
    return found


def load(path: Path, plans: Mapping[str, Plan]) -> Reference:
    """Return the reference report at ``path``, which must be of one of the planned sweeps."""
    where = f"reference {path}"
    data = _read(path, where)
    if data.get("schema") != SCHEMA:
        raise UsageError(
            f"{where} is a report of schema {data.get('schema')!r}, and this version reads "
            f"{SCHEMA}: save a new one by `sweep report NAME --save-reference`"
        )
    name = data.get("sweep")
    if not isinstance(name, str) or name not in plans:
        raise UsageError(
            f"{where} is of sweep {name!r}; expected one of {', '.join(plans) or 'none'}"
        )
    planned = plans[name]
    if data.get("complete") is not True:
        raise UsageError(f"{where} is of an unfinished sweep; save one of a finished sweep")
    try:
        conditions = data["conditions"] or {}
        steps = planned.selection.steps or planned.sweep.steps
        if conditions.get("steps") != steps:
            raise UsageError(
                f"{where} is of {conditions.get('steps')} steps, and this sweep trains {steps}: "
                f"give one of as many"
            )
        for field in ("task", "task_version"):
            theirs, ours = conditions.get(field), getattr(planned.conditions, field)
            if theirs is not None and theirs != ours:
                raise UsageError(
                    f"{where} is of {field.replace('_', ' ')} {theirs}, and this sweep's is "
                    f"{ours}: save a new one by `sweep report {name} --save-reference`"
                )
        theirs, ours = _metric(data.get("metric")), planned.sweep.judged_by
        if theirs != ours:
            raise UsageError(
                f"{where} is judged by {told(theirs)}, and this sweep by {told(ours)}: save a new "
                f"one by `sweep report {name} --save-reference`"
            )
        seeds = max((len(run.get("seeds") or [1]) for run in data["runs"]), default=1)
        averaged = planned.seeds if planned.size < len(planned.of_arms()) else 1
        if seeds != averaged:
            raise UsageError(
                f"{where} has {plural(seeds, 'seed')} a config, and this sweep {averaged}: save a "
                f"new one by `sweep report {name} --save-reference`"
            )
        results = [_result(run, planned, conditions) for run in data["runs"]]
        supported = {
            asked["id"]: _verdict(asked)
            for asked in data["questions"]
            if asked["verdict"] == "supported"
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        detail = f"lacks {error}" if isinstance(error, KeyError) else f"is damaged ({error})"
        raise UsageError(
            f"{where} is no report that can be compared with: it {detail}; save a new one by "
            f"`sweep report {name} --save-reference`"
        ) from None
    return Reference(path, evidence_of(planned.sweep, results), supported)


def _read(path: Path, where: str) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(
            f"there is no {where}: make one by `sweep report NAME --save-reference`"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"{where} cannot be read: {reason}; give a report.json") from None
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{where} is no JSON ({error}); give a report.json") from None
    if not isinstance(data, dict) or not {"schema", "sweep", "runs", "questions"} <= data.keys():
        raise UsageError(f"{where} is JSON, but no report of a sweep; give a report.json")
    return data


def _result(data: Mapping[str, Any], planned: Plan, conditions: Mapping[str, Any]) -> Result:
    if data["status"] not in get_args(Status):
        raise ValueError(f"status {data['status']!r}")
    steps = int(data["steps"])
    run = Run(
        id=str(data["id"]),
        sweep=planned.sweep.name,
        index=int(data.get("place", 0)),
        arm=str(data["arm"]),
        pair=data["pair"],
        config=Config.from_json(data["config"]),
        seed=int(data["seed"]),
        steps=steps,
        declared_steps=planned.sweep.steps,
        evaluate_every=planned.sweep.evaluate_every,
        repeat=int(data.get("repeat", 0)),
    )
    outcome = Outcome(
        status=data["status"],
        perf_before=_number(data["perf_before"]),
        perf_after=_number(data["perf_after"]),
        delta_perf=_number(data["delta_perf"]),
        delta_perf_se=_number(data["delta_perf_se"]),
        prompts=data.get("prompts"),
        samples=data.get("samples"),
        prompts_changed=data.get("prompts_changed"),
        clusters=data.get("clusters"),
        clusters_changed=data.get("clusters_changed"),
        value=_number(data.get("value")),
        curve=tuple(
            Evaluation(int(p["step"]), _known(p["perf"]), _known(p["se"]), _known(p["perf"]))
            for p in data["curve"]
        ),
    )
    under = _conditions(planned.conditions, conditions, data)
    return Result(key=run.id, run=run, conditions=under, outcome=outcome)


def _metric(data: Mapping[str, Any] | None) -> Metric:
    """Return the metric of a report; one that names none is judged by ΔPerf."""
    if data is None or data["zero"] == DELTA_PERF.zero:
        return DELTA_PERF
    return Metric.final(str(data["name"]), data["direction"], _number(data["target"]))


def _conditions(ours: Conditions, stored: Mapping[str, Any], run: Mapping[str, Any]) -> Conditions:
    """Return a run's conditions; a report that leaves one out is taken to have ours."""
    names = ("task", "task_version", "model", "precision", "lr_transfer")
    said = {name: stored[name] for name in names if stored.get(name) is not None}
    return replace(ours, backend=run.get("backend") or ours.backend, **said)


def _verdict(data: Mapping[str, Any]) -> Verdict:
    if data["verdict"] not in get_args(VerdictName):
        raise ValueError(f"verdict {data['verdict']!r}")
    return Verdict(
        id=str(data["id"]),
        question=str(data["question"]),
        claim=str(data["claim"]),
        verdict=data["verdict"],
        answer=str(data["answer"]),
        estimate=_number(data["estimate"]),
        n=int(data["n"]),
    )


def _number(value: object) -> float | None:
    if value is None:
        return None
    if not is_number(value) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _known(value: object) -> float:
    number = _number(value)
    return math.nan if number is None else number
