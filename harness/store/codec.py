"""Results as JSON documents and back, every number to the bit.

A point of a learning curve need not have a standard error: NaN, which JSON does not have, is null.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from harness.errors import StoreError
from harness.records import Conditions, Config, Evaluation, Outcome, Result, Run, StepTrace

_RUN = tuple(field.name for field in fields(Run))
_CONDITIONS = tuple(field.name for field in fields(Conditions))
_OUTCOME = tuple(f.name for f in fields(Outcome) if f.name not in ("curve", "trace"))


def encode_run(run: Run) -> str:
    """Return ``run`` as a document."""
    values = {name: getattr(run, name) for name in _RUN}
    return _text(values | {"config": dict(run.config)}, run.id)


def encode_outcome(result: Result) -> tuple[str, bytes | None]:
    """Return what came of a run, apart from the run itself: a document, and the packed trace.

    Raises
    ------
    StoreError
        Where a number is not finite, or a value is no plain one; the message names it.
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


def decode(key: str, run: str, finished_at: str | None, record: str, trace: bytes | None) -> Result:
    """Return the result of which these are the documents.

    Raises
    ------
    StoreError
        Where a document is not one of ours: the store is damaged.
    """
    try:
        made = json.loads(run)
        made["config"] = Config(made["config"])
        came = json.loads(record)
        steps: Iterable[StepTrace] = ()
        if trace is not None:
            columns = json.loads(zlib.decompress(trace))
            steps = (
                StepTrace(**dict(zip(columns, row, strict=True)))
                for row in zip(*columns.values(), strict=True)
            )
        return Result(
            key=key,
            run=Run(**made),
            conditions=Conditions(**came["conditions"]),
            outcome=Outcome(
                **came["outcome"],
                curve=tuple(
                    [
                        Evaluation(step, perf, math.nan if se is None else se, reward)
                        for step, perf, se, reward in came["curve"]
                    ]
                ),
                trace=tuple(steps),
            ),
            environment=came["environment"],
            finished_at=finished_at,
        )
    except (ValueError, TypeError, KeyError, zlib.error) as error:
        raise StoreError(
            f"the store is damaged: the run with key {key} cannot be read "
            f"({type(error).__name__}: {error})"
        ) from error


def _or_null(number: float) -> float | None:
    return None if isinstance(number, float) and math.isnan(number) else number


def _text(document: dict[str, Any], id_: str) -> str:
    try:
        return json.dumps(document, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError) as error:
        what = _odd(document, "") or str(error)
        raise StoreError(
            f"run {id_} cannot be stored: {what}; expected finite numbers, text, true, false, None"
        ) from error


def _odd(value: object, place: str) -> str | None:
    """Return what in ``value`` is not storable, with the place of it."""
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
