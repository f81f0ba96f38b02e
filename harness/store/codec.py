"""Write results as JSON documents and read them back, every number to the bit.

A point of a learning curve may lack a standard error: its NaN, which JSON does not have, is null. A
trace stays packed until somebody looks at it: few are looked at, and most of a store is traces.
"""

from __future__ import annotations

import ast
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from functools import cached_property, lru_cache
from typing import Any, overload

from harness.errors import StoreError
from harness.records import Conditions, Config, Evaluation, Outcome, Result, Run, StepTrace

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


def decode(
    key: str, run: str | Run, finished_at: str | None, record: str, trace: bytes | None
) -> Result:
    """Return the result in these documents. ``run`` is a document too, or the run itself.

    Raises `StoreError` if a document is damaged. A damaged trace raises when it is looked at.
    """
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
            ),
            environment=came["environment"],
            finished_at=finished_at,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(key, error) from error


class PackedTrace(Sequence[StepTrace]):
    """A trace as it is stored, equal to the tuple it holds.

    It is unpacked when it is first looked at, and raises `StoreError` then if it is damaged.
    """

    def __init__(self, key: str, packed: bytes) -> None:
        self._key = key
        self._packed = packed

    def check(self) -> None:
        """Raise `StoreError` if the checksum does not agree; keep nothing unpacked."""
        try:
            zlib.decompress(self._packed)
        except zlib.error as error:
            raise _damaged(self._key, error) from error

    @cached_property
    def _steps(self) -> tuple[StepTrace, ...]:
        try:
            columns = json.loads(zlib.decompress(self._packed))
            rows = zip(*columns.values(), strict=True)
            return tuple([StepTrace(**dict(zip(columns, row, strict=True))) for row in rows])
        except (ValueError, TypeError, KeyError, AttributeError, zlib.error) as error:
            raise _damaged(self._key, error) from error

    def __len__(self) -> int:
        return len(self._steps)

    @overload
    def __getitem__(self, index: int) -> StepTrace: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[StepTrace, ...]: ...
    def __getitem__(self, index: int | slice) -> StepTrace | tuple[StepTrace, ...]:
        return self._steps[index]

    def __iter__(self) -> Iterator[StepTrace]:
        return iter(self._steps)

    def __eq__(self, other: object) -> bool:
        return self._steps == (other._steps if isinstance(other, PackedTrace) else other)

    def __hash__(self) -> int:
        return hash(self._steps)

    def __repr__(self) -> str:
        return repr(self._steps)


@lru_cache(maxsize=64)
def _conditions(text: str) -> Conditions:
    """Return the conditions, which most runs share, as one object.

    Their ``text`` tells 0.0 from -0.0, and 1 from 1.0, which as keys of the cache would be equal.
    """
    return Conditions(**ast.literal_eval(text))


def _run(document: str) -> Run:
    made = json.loads(document)
    return Run(**made | {"config": Config.from_json(made["config"])})


def _damaged(key: str, error: Exception) -> StoreError:
    return StoreError(
        f"the store is damaged: the run with key {key} cannot be read "
        f"({type(error).__name__}: {error}); restore it from a copy, or name another store"
    )


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
