"""Write results as JSON documents and read them back, every number to the bit.

A point of a learning curve may lack a standard error: its NaN, which JSON does not have, is null.
Traces and scores by item stay packed until somebody looks at them: few are looked at, and they are
most of a store.
"""

from __future__ import annotations

import ast
import json
import math
import zlib
from collections.abc import Iterable
from dataclasses import fields
from functools import lru_cache
from typing import Any

from harness.errors import StoreError
from harness.records import FINAL, Conditions, Config, Evaluation, Outcome, Result, Run, StepTrace
from harness.store.packed import (
    Labels,
    PackedTrace,
    damaged,
    pack_labels,
    pack_scores,
    packed_items,
)

_RUN = tuple(field.name for field in fields(Run))
_CONDITIONS = tuple(field.name for field in fields(Conditions))
_OUTCOME = tuple(f.name for f in fields(Outcome) if f.name not in ("curve", "trace", "items"))


def encode_run(run: Run) -> str:
    """Return ``run`` as a document."""
    values = {name: getattr(run, name) for name in _RUN}
    return _text(values | {"config": dict(run.config)}, run.id)


def encode_outcome(result: Result) -> tuple[str, bytes | None]:
    """Return a run's outcome as a document, and its packed trace.

    Raises `StoreError` if a number is not finite or a value is of another type. The message names
    it.
    """
    outcome = result.outcome
    record = {
        "conditions": {name: getattr(result.conditions, name) for name in _CONDITIONS},
        "outcome": {name: getattr(outcome, name) for name in _OUTCOME},
        "curve": [(p.step, p.perf, _or_null(p.se), p.reward) for p in outcome.curve],
        "environment": dict(result.environment),
    }
    text = _text(record, result.run.id)
    if not outcome.trace:
        return text, None
    columns = {
        field.name: [getattr(step, field.name) for step in outcome.trace]
        for field in fields(StepTrace)
    }
    return text, zlib.compress(_text(columns, result.run.id).encode(), 3)


def encode_items(result: Result) -> tuple[bytes | None, Labels | None]:
    """Return a run's scores by item packed, and what names the items; None where there is none.

    Raises `StoreError` where a score is not finite, or there is not one of each for every item.
    """
    items = result.outcome.items
    if items is None:
        return None, None
    parts = {name: getattr(items, name) for name in ("after", "before", "ids", "clusters")}
    wrong = _odd({name: list(parts[name]) for name in ("after", "before")}, ".items")
    for name, part in parts.items():
        if len(part) not in (0, len(items.after)):
            wrong = wrong or f"items.{name} has {len(part)} of {len(items.after)} items"
    if wrong is not None:
        raise _unfit(result.run.id, wrong)
    return pack_scores(items), pack_labels(items)


def outcome_row(result: Result) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return a run's outcome as a row of its table, and what names its items as one of theirs."""
    record, trace = encode_outcome(result)
    scores, labels = encode_items(result)
    status = result.outcome.status
    outcome = {
        "key": result.key,
        "status": status,
        "final": status in FINAL,
        "measured": status in FINAL or bool(result.outcome.curve),
        "delta_perf": result.outcome.delta_perf,
        "finished_at": result.finished_at,
        "record": record,
        "trace": trace,
        "item_scores": scores,
        "item_labels": None if labels is None else labels.digest,
    }
    return outcome, None if labels is None else labels._asdict()


def run_row(result: Result) -> dict[str, Any]:
    """Return a run as a row of its table."""
    run = result.run
    return {
        "sweep": run.sweep,
        "key": result.key,
        "arm": run.arm,
        "position": run.index,
        "run": encode_run(run),
    }


def decode(key: str, run: str | Run, *documents: Any) -> Result:  # noqa: ANN401 (columns of a row)
    """Return the result in these documents. ``run`` is a document too, or the run itself.

    The documents are when it finished, its record, and, packed, its trace, the scores of its items
    and the `PackedLabels` that name them; the last three may be None. Raises `StoreError` if a
    document is damaged. A damaged trace, and damaged scores by item, raise when they are looked at.
    """
    finished_at, record, trace, scores, labels = documents
    try:
        came = json.loads(record)
        return Result(
            key=key,
            run=_run(run) if isinstance(run, str) else run,
            conditions=_conditions(repr(came["conditions"])),
            outcome=Outcome(
                **came["outcome"],
                curve=tuple(
                    [
                        Evaluation(step, perf, math.nan if se is None else se, reward)
                        for step, perf, se, reward in came["curve"]
                    ]
                ),
                trace=() if trace is None else PackedTrace(key, trace),
                items=None if scores is None else packed_items(key, scores, labels),
            ),
            environment=came["environment"],
            finished_at=finished_at,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise damaged(key, error) from error


@lru_cache(maxsize=64)
def _conditions(text: str) -> Conditions:
    """Return the conditions, which most runs share, as one object.

    Their ``text`` tells 0.0 from -0.0, and 1 from 1.0, which as keys of the cache would be equal.
    """
    return Conditions(**ast.literal_eval(text))


def _run(document: str) -> Run:
    made = json.loads(document)
    return Run(**made | {"config": Config.from_json(made["config"])})


def _or_null(number: float) -> float | None:
    return None if isinstance(number, float) and math.isnan(number) else number


def _text(document: dict[str, Any], id_: str) -> str:
    try:
        return json.dumps(document, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError) as error:
        raise _unfit(id_, _odd(document, "") or str(error)) from error


def _unfit(id_: str, what: str) -> StoreError:
    return StoreError(
        f"run {id_} cannot be stored: {what}; expected finite numbers, text, true, false, None"
    )


def _odd(value: object, place: str) -> str | None:
    """Return the part of ``value`` that cannot be stored, with its place."""
    if isinstance(value, dict):
        items: Iterable[tuple[object, object]] = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        if isinstance(value, bool | int | str | None):
            return None
        if isinstance(value, float) and math.isfinite(value):
            return None
        return f"{place[1:]} is {value!r}"
    return next((odd for k, v in items if (odd := _odd(v, f"{place}.{k}")) is not None), None)
