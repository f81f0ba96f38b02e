"""Choose the columns that runs are judged by, and read each run's outcome from them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import UnclearTableError, UsageError
from harness.records import Outcome, Status, Value, finite
from harness.tables import rows
from harness.tables.columns import MEASURED, Columns, ReadOptions, resolve
from harness.tables.naming import is_known, is_measured, is_minimised
from harness.tables.table import Table, is_numeric
from harness.tables.trackers import State, is_bookkeeping
from harness.text import first, plural
from harness.verdicts import Metric


@dataclass(frozen=True, slots=True)
class OutcomeColumns:
    """The columns that the outcome of a run is read from.

    The outcome is ``sign`` · (``value`` − ``before``), with ``target`` in place of a missing
    ``before``; more is better. Unless less of it is better, ``perf_before`` and ``perf_after`` are
    columns of perf itself. ``note`` tells the user what was chosen.
    """

    metric: Metric
    value: str
    before: str | None = None
    target: float = 0.0
    se: str | None = None
    perf_before: str | None = None
    perf_after: str | None = None
    note: str = ""

    @property
    def sign(self) -> int:
        """Return −1 where less of the metric is better, else 1."""
        return -1 if self.metric.minimised else 1

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all columns that runs are judged by."""
        known = (self.value, self.before, self.se, self.perf_before, self.perf_after)
        return tuple(dict.fromkeys(column for column in known if column is not None))


def choose(table: Table, columns: Columns, options: ReadOptions) -> OutcomeColumns:
    """Choose the columns that runs are judged by: those the user named, or ``delta_perf``.

    Raises
    ------
    UsageError
        Where the table alone does not tell them.
    """
    if options.metric is not None and (options.before or options.after):
        raise UsageError("--metric judges by one column, --before and --after by two: give either")
    if options.target is not None and options.metric is None:
        raise UsageError("--target is a value of the metric: name the metric's column by --metric")
    if options.before or options.after:
        return _change(table, columns, options)
    delta = columns.roles.get("delta_perf")
    wanted = delta if options.metric is None else _resolve(table, columns, options.metric)
    if wanted is None:
        raise UnclearTableError(_nothing_to_judge(table, columns))
    return _one(columns, options, wanted, is_delta=wanted == delta)


def _change(table: Table, columns: Columns, options: ReadOptions) -> OutcomeColumns:
    """Judge by the change from the column before to the column after."""
    if not (options.before and options.after):
        given, missing = ("before", "after") if options.before else ("after", "before")
        raise UsageError(f"--{given} needs --{missing} COL beside it: a change has two ends")
    before, after = (_resolve(table, columns, name) for name in (options.before, options.after))
    if before == after:
        raise UsageError(f"--before and --after both name {after!r}: a change has two ends")
    name = columns.names[after]
    if options.direction is None and is_minimised(name):
        raise UsageError(
            f"less of {name.bare} seems to be better: say --direction min, or --direction max if "
            "not"
        )
    minimised = options.direction == "min"
    se = columns.roles.get("delta_perf_se")
    metric = Metric(f"{'−' if minimised else ''}Δ{name.bare}", "no change", minimised)
    return OutcomeColumns(
        metric,
        after,
        before,
        se=se,
        perf_before=None if minimised else before,
        perf_after=None if minimised else after,
        note=_note(f"{after} − {before}", minimised, se),
    )


def _one(columns: Columns, options: ReadOptions, wanted: str, *, is_delta: bool) -> OutcomeColumns:
    """Judge by ΔPerf or another final metric, or by how far it is ahead of the target."""
    minimised, target, roles = options.direction == "min", options.target, columns.roles
    name = columns.names[wanted]
    if is_delta:
        called, source, se = "ΔPerf", f"ΔPerf, from {wanted}", roles.get("delta_perf_se")
    elif options.direction is None:
        raise UsageError(
            f"--metric {options.metric}: give --direction max or --direction min, as more or less "
            "of it is better"
        )
    else:
        called, source = name.bare, wanted
        beside = {f"{name.canonical}{end}" for end in ("_se", "_stderr", "_sem", ".se")}
        se = next((raw for raw, n in columns.names.items() if n.canonical in beside), None)
    if target is None:
        said = f"−{called}" if minimised else called
        metric = Metric(said, "no change" if is_delta else "arbitrary", minimised)
    else:
        said = f"{called} {'+' if target < 0 else '−'} {abs(target):g}"
        metric = Metric(f"−({said})" if minimised else said, "target", minimised)
        source += f" against the target {target:g}"
    has_perf = is_delta and not minimised
    return OutcomeColumns(
        metric,
        wanted,
        target=target or 0.0,
        se=se,
        perf_before=roles.get("perf_before") if has_perf else None,
        perf_after=roles.get("perf_after") if has_perf else None,
        note=_note(source, minimised, se),
    )


def _resolve(table: Table, columns: Columns, wanted: str) -> str:
    return resolve(table, columns.names, wanted, MEASURED[1:])


def _nothing_to_judge(table: Table, columns: Columns) -> str:
    """Return the message for a table with nothing to judge by; it has the options to give."""
    roles, asks = columns.roles, "--metric COL --direction max|min, or --before COL --after COL"
    if "perf_before" in roles and "perf_after" in roles:
        asks = f"--before {roles['perf_before']} --after {roles['perf_after']}"
    found = _candidates(table, columns)
    return (
        f"{table.path.name} has no column delta_perf: say what its runs are judged by: {asks}; "
        + (f"columns of numbers: {first(found, 8)}" if found else "it has no column of numbers")
    )


def _candidates(table: Table, columns: Columns) -> list[str]:
    """Return the columns of numbers that may be an outcome, the likeliest first."""
    ranked: Mapping[str, int] = {
        raw: 0
        if name.kind == "measurement" or is_measured(name) or raw.lower().startswith("value")
        else 2
        if is_known(name)
        else 1
        for raw, name in columns.names.items()
        if name.kind in MEASURED
        and (raw.lower() == "value" or not is_bookkeeping(name, columns.tracker))
        and raw not in (columns.run, columns.roles.get("seed"), columns.roles.get("steps"))
        and is_numeric(table.values(raw))
    }
    return sorted(ranked, key=lambda raw: ranked[raw])


def _note(source: str, minimised: bool, se: str | None) -> str:
    errors = f"; standard errors from {se}" if se else ""
    return f"outcome: {source}, {'less' if minimised else 'more'} is better{errors}"


# ---- the outcome of each run ---------------------------------------------------------------------


def outcomes(
    table: Table,
    columns: Columns,
    judged_by: OutcomeColumns,
    states: Sequence[State],
    kept: Sequence[int],
    *,
    unclear: Collection[int] = (),
) -> tuple[dict[int, Outcome], list[str]]:
    """Return row → outcome for the rows ``kept``, without curves, and notes on missing numbers.

    A completed run has no ΔPerf if its cell is blank or the row is ``unclear``, and counts as
    diverged if its cell is nan or infinite. A pruned run counts as failed: its outcome is that of
    fewer steps than others had.

    Raises
    ------
    UsageError
        Where a completed run's outcome or standard error is not a number.
    """
    done = [row for row in kept if states[row] == "completed"]
    values = rows.numbers(table, judged_by.value, done)
    befores = dict.fromkeys(done, judged_by.target) | (
        rows.numbers(table, judged_by.before, done) if judged_by.before else {}
    )
    details = _details(table, columns, judged_by, done)
    status_column = columns.roles.get("status")
    words: Sequence[Value] = table.values(status_column) if status_column else ()
    found: dict[int, Outcome] = {}
    diverged = 0
    for row in kept:
        state, delta, why = states[row], None, None
        status = status_of(state)
        if state == "completed":
            status, delta = _measured(values[row], befores[row], judged_by.sign)
            if row in unclear:
                status, delta = "completed", None
            elif status == "diverged":
                diverged += 1
                why = "the outcome is nan or infinite"
        elif words:
            why = f"{status_column}: {words[row]}"
        if status == "completed":
            known: dict[str, Any] = {name: cells.get(row) for name, cells in details.items()}
            found[row] = Outcome("completed", delta_perf=delta, **known)
        else:
            found[row] = Outcome(status, perf_before=details["perf_before"].get(row), error=why)
    return found, _turned(diverged, judged_by)


def status_of(state: State) -> Status:
    """Return the status that a run in this state is given."""
    if state == "pruned" or state == "unfinished":  # noqa: PLR1714 (a type checker's narrowing)
        return "failed"
    return state


def _measured(value: float | None, before: float | None, sign: int) -> tuple[Status, float | None]:
    if value is None or before is None:
        return "completed", None
    delta = sign * (value - before)
    return ("completed", delta) if math.isfinite(delta) else ("diverged", None)


def _details(
    table: Table, columns: Columns, judged_by: OutcomeColumns, done: Sequence[int]
) -> dict[str, Mapping[int, Any]]:
    """Return the fields of an outcome other than the delta: name → row → value."""
    roles, sign = columns.roles, judged_by.sign
    ours = judged_by.se is not None and judged_by.se == roles.get("delta_perf_se")
    found: dict[str, Mapping[int, Any]] = {
        role: rows.counts(table, roles.get(role) if ours else None, role, done, least)
        for role, least in (("prompts", 1), ("samples", 1), ("prompts_changed", 0))
    }
    found["delta_perf_se"] = rows.errors(table, judged_by.se, done)
    for name in ("perf_before", "perf_after"):
        column = getattr(judged_by, name)
        cells = table.values(column) if column else ()
        found[name] = dict(enumerate(rows.finite_numbers(cells)))
    if "train_delta_perf" in roles and judged_by.metric.zero == "no change":
        train = rows.numbers(table, roles["train_delta_perf"], done)
        found["train_delta_perf"] = {
            row: sign * item for row, cell in train.items() if (item := finite(cell)) is not None
        }
    return found


def _turned(diverged: int, judged_by: OutcomeColumns) -> list[str]:
    where = " or ".join(filter(None, (judged_by.value, judged_by.before)))
    runs = plural(diverged, "run")
    said = f"{runs} with nan or an infinite number in {where}: counted as diverged"
    return [said] if diverged else []
