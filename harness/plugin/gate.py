"""The fixture ``sweep_gate``: a test that fails when the last nights are worse."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import UsageError
from harness.judging.gate import Asked, Gate, TooFewNightsError, judge
from harness.report.documents.gate import summary
from harness.tables.nights import Night, night, read_history, read_night
from harness.tables.nights import keep as keep_night

if TYPE_CHECKING:
    from harness.words import Direction

GIVEN = "metrics"
"""The name, in messages, of metrics that are given as a mapping."""


class SweepGate:
    """Judges tonight's metrics against those of the nights before.

    What it finds is added to the ``properties`` of the test, which JUnit records.
    """

    def __init__(self, properties: list[tuple[str, object]]) -> None:
        self._properties = properties

    def __call__(
        self,
        metrics: str | Path | Mapping[str, Any],
        history: str | Path,
        *,
        metric: str | Collection[str] = (),
        ignore: str | Collection[str] = (),
        direction: Mapping[str, Direction] | None = None,
        nights: int | None = None,
        keep: bool = False,
    ) -> Gate:
        """Fail the test if the last nights page, and return the answer if they do not.

        ``metrics`` are tonight's: a file of JSON, or a mapping. The rest is as ``sweep gate`` has
        it. With too few nights for an answer the test is skipped, and says how many are needed.
        What cannot be judged fails the test.
        """
        __tracebackhide__ = True
        folder = Path(history)
        try:
            tonight = _tonight(metrics)
            before = read_history(folder, tonight)
            asked = Asked(_names(metric), _names(ignore), direction, nights)
            few = found = None
            try:
                found = judge(tonight, before, asked)
            except TooFewNightsError as error:
                few = error
            if keep and not (found and found.pages):
                keep_night(tonight, before, folder, datetime.now(UTC))
        except UsageError as error:
            pytest.fail(str(error), pytrace=False)
        if found is None:
            pytest.skip(f"no answer yet: {few}")
        self._properties += [
            ("sweep.gate.pages", found.pages),
            ("sweep.gate.metric", found.shift.metric),
            ("sweep.gate.p_value", found.p_value),
        ]
        if found.pages:
            pytest.fail("\n".join(map(str, summary(found))), pytrace=False)
        return found


def _names(given: str | Collection[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _tonight(metrics: str | Path | Mapping[str, Any]) -> Night:
    if not isinstance(metrics, Mapping):
        return read_night(Path(metrics))
    try:
        text = json.dumps(metrics)
    except (TypeError, ValueError) as error:
        raise UsageError(f"tonight's metrics are no JSON: {error}") from None
    return night(Path(GIVEN), text)
