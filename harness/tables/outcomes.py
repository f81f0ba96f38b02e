"""What came of each run of a table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.records import Evaluation, Outcome, Status, Value
from harness.tables import rows
from harness.tables.columns import Columns
from harness.tables.judged import Judged
from harness.tables.table import Table
from harness.tables.trackers import State
from harness.text import plural

Curves = Mapping[str, tuple[Evaluation, ...]]


def outcomes(
    table: Table, columns: Columns, judged: Judged, states: Sequence[State], kept: Sequence[int]
) -> tuple[dict[int, Outcome], list[str]]:
    """Return row → outcome for the rows ``kept``, without curves, and lines on what is no number.

    A completed run whose outcome is blank has failed; one whose outcome is nan or infinite has
    diverged. A pruned run has failed: what it reached, it reached in fewer steps than the others.

    Raises
    ------
    UsageError
        Where a completed run's outcome or standard error is no number.
    """
    done = [row for row in kept if states[row] == "completed"]
    values = rows.numbers(table, judged.value, done)
    befores = dict.fromkeys(done, judged.target) | (
        rows.numbers(table, judged.before, done) if judged.before else {}
    )
    details = _details(table, columns, judged, done)
    perf_before, perf_after = (
        rows.finite_numbers(table.values(column)) if column else [None] * len(table)
        for column in (judged.perf_before, judged.perf_after)
    )
    status_column = columns.roles.get("status")
    words: Sequence[Value] = table.values(status_column) if status_column else ()
    found: dict[int, Outcome] = {}
    turned: Counter[str] = Counter()
    for row in kept:
        state, delta, why = states[row], None, None
        status = status_of(state)
        if state == "completed":
            status, delta = _measured(values[row], befores[row], judged.sign)
            if status != "completed":
                turned[status] += 1
                what = "a blank" if status == "failed" else "nan or infinite"
                why = f"the outcome is {what}"
        elif words:
            why = f"{status_column}: {words[row]}"
        if status == "completed":
            found[row] = Outcome(
                "completed",
                perf_before=perf_before[row],
                perf_after=perf_after[row],
                delta_perf=delta,
                **details(row),
            )
        else:
            found[row] = Outcome(status, perf_before=perf_before[row], error=why)
    return found, _turned(turned, judged)


def status_of(state: State) -> Status:
    if state == "pruned" or state == "unfinished":  # noqa: PLR1714 (a type checker's narrowing)
        return "failed"
    return state


def _measured(value: float | None, before: float | None, sign: int) -> tuple[Status, float | None]:
    if value is None or before is None:
        return "failed", None
    delta = sign * (value - before)
    return ("completed", delta) if math.isfinite(delta) else ("diverged", None)


def _details(
    table: Table, columns: Columns, judged: Judged, done: Sequence[int]
) -> Callable[[int], dict[str, Any]]:
    """Return what to know of an outcome beside its delta, by row."""
    roles = columns.roles
    errors = rows.errors(table, judged.se, done)
    ours = judged.se is not None and judged.se == roles.get("delta_perf_se")
    numbers = {
        role: rows.counts(table, roles.get(role) if ours else None, role, done, least)
        for role, least in (("prompts", 1), ("samples", 1), ("prompts_changed", 0))
    }
    train: Mapping[int, float | None] = {}
    if "train_delta_perf" in roles and judged.metric.zero == "no change":
        train = rows.numbers(table, roles["train_delta_perf"], done)

    def details(row: int) -> dict[str, Any]:
        trained = train.get(row)
        known = trained is not None and math.isfinite(trained)
        return {
            "delta_perf_se": errors.get(row),
            "train_delta_perf": judged.sign * trained if known and trained is not None else None,
        } | {role: found.get(row) for role, found in numbers.items()}

    return details


def _turned(turned: Mapping[str, int], judged: Judged) -> list[str]:
    said = []
    where = " or ".join(filter(None, (judged.value, judged.before)))
    if number := turned.get("failed"):
        said.append(
            f"{plural(number, 'run')} completed without a number in {where}: held as failed (if "
            "they diverged, a status column should say so)"
        )
    if number := turned.get("diverged"):
        said.append(
            f"{plural(number, 'run')} with nan or an infinite number in {where}: held as diverged"
        )
    return said
