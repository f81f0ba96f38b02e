"""Choose the columns that runs are judged by, and read each run's outcome from them."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import words
from harness.errors import UnclearTableError, UsageError
from harness.metrics import Metric
from harness.records import Outcome, Status, Value, finite
from harness.tables import rows
from harness.tables.columns import MEASURED, SETTINGS, Columns, ReadOptions, resolve
from harness.tables.inference import Guess, infer
from harness.tables.naming import Name
from harness.tables.table import Table
from harness.tables.trackers import State
from harness.text import first, plural
from harness.words import Direction

MOST_NAMED = 6
"""The most columns that a note names."""


@dataclass(frozen=True, slots=True)
class OutcomeColumns:
    """The columns that the outcome of a run is read from.

    The outcome is that of ``value`` by the ``metric``, or of ``value`` − ``before``; more is
    better. Unless less of it is better, ``perf_before`` and ``perf_after`` are
    columns of perf itself. Standard errors are ``se`` · ``se_scale``. ``inferred`` says that the
    columns' names told what to judge by, ``against`` which way is better by the metric's name where
    the user said otherwise. ``notes`` tell the user what was chosen.
    """

    metric: Metric
    value: str
    before: str | None = None
    se: str | None = None
    perf_before: str | None = None
    perf_after: str | None = None
    se_scale: float = 1.0
    inferred: bool = False
    against: Direction | None = None
    notes: tuple[str, ...] = ()

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
    """Choose the columns that runs are judged by: those the user named, or that names tell.

    Raises
    ------
    UsageError
        Where the table alone does not tell them.
    """
    roles = columns.roles
    if options.metric is not None and (options.before or options.after):
        raise UsageError("--metric judges by one column, --before and --after by two: give either")
    if options.before or options.after:
        if options.target is not None:
            raise UsageError(_TARGET)
        return _change(table, columns, options)
    delta = roles.get("delta_perf")
    if options.metric is not None:
        wanted = resolve(table, columns.names, options.metric, MEASURED[1:])
        return _one(columns, options, wanted, is_delta=wanted == delta)
    if delta is not None:
        if options.target is not None:
            raise UsageError(_TARGET)
        return _one(columns, options, delta, is_delta=True)
    if "perf_before" in roles and "perf_after" in roles:
        ends = replace(options, before=roles["perf_before"], after=roles["perf_after"])
        return replace(_change(table, columns, ends), inferred=True)
    named = [*options.params, *options.by]
    given = [resolve(table, columns.names, name, SETTINGS) for name in named]
    guess = infer(table, columns, given, options.direction)
    asked = replace(options, direction=guess.direction)
    if (before := _before(columns, guess.column)) is not None:
        chosen = _change(table, columns, replace(asked, before=before, after=guess.column))
    else:
        chosen = _one(columns, asked, guess.column, is_delta=False)
    return replace(
        chosen,
        inferred=True,
        against=_against(columns.names[guess.column], guess.direction),
        notes=(f"{chosen.notes[0]}; {_by_name(guess)}",),
    )


_TARGET = "--target is a value of the metric: name the metric's column by --metric"


def _before(columns: Columns, after: str) -> str | None:
    """Return the column of the same metric before training, None where ``after`` has none."""
    found = words.tokens(columns.names[after].canonical)
    for ends in (("before", "after"), ("pre", "post"), ("initial", "final"), ("start", "end")):
        wanted = tuple(ends[0] if word == ends[1] else word for word in found)
        for raw, name in columns.names.items():
            if wanted != found and words.tokens(name.canonical) == wanted:
                return raw
    return None


def _by_name(guess: Guess) -> str:
    """Return a note on what was taken by its name, and on how to take another."""
    others = f", here also {first(map(repr, guess.others), MOST_NAMED)}" if guess.others else ""
    return f"taken by its name (another: --metric COL --direction max|min{others})"


def _against(name: Name, way: Direction | None) -> Direction | None:
    """Return which way is better by a metric's name, where it is not ``way``."""
    by_name = words.direction(name.canonical)
    return by_name if way is not None and by_name not in (None, way) else None


def _change(table: Table, columns: Columns, options: ReadOptions) -> OutcomeColumns:
    """Judge by the change from the column before to the column after."""
    if not (options.before and options.after):
        given, missing = ("before", "after") if options.before else ("after", "before")
        raise UsageError(f"--{given} needs --{missing} COL beside it: a change has two ends")
    before, after = (
        resolve(table, columns.names, name, MEASURED[1:])
        for name in (options.before, options.after)
    )
    if before == after:
        raise UsageError(f"--before and --after both name {after!r}: a change has two ends")
    name = columns.names[after]
    if options.direction is None and words.direction(name.canonical) == "min":
        raise UnclearTableError(
            f"less of {name.bare} seems to be better: say which",
            [("--direction", "min"), ("--direction", "max")],
        )
    minimised = options.direction == "min"
    se = columns.roles.get("delta_perf_se")
    metric = Metric(f"Δ{name.bare}", "no change", minimised)
    return OutcomeColumns(
        metric,
        after,
        before,
        se=se,
        perf_before=None if minimised else before,
        perf_after=None if minimised else after,
        against=_against(name, options.direction),
        notes=(_note(f"{after} − {before}", minimised, se),),
    )


def _one(columns: Columns, options: ReadOptions, wanted: str, *, is_delta: bool) -> OutcomeColumns:
    """Judge by ΔPerf or another final metric, or by how far it is ahead of the target."""
    name, target, roles = columns.names[wanted], options.target, columns.roles
    way, scale = options.direction, 1.0
    if way is None and not is_delta:
        way = words.direction(name.canonical)
    minimised = way == "min"
    if is_delta:
        called, source, se = "ΔPerf", f"ΔPerf, from {wanted}", roles.get("delta_perf_se")
    elif way is None:
        raise UnclearTableError(
            f"--metric {options.metric}: its name does not say whether more or less of it is "
            "better: say which",
            [("--direction", "max"), ("--direction", "min")],
        )
    else:
        called, source = name.bare, wanted
        se = next((raw for raw, n in columns.names.items() if _is_error(n, name)), None)
        if se is None:
            se, scale = _over_folds(columns, wanted)
    if target is None and is_delta:
        metric = Metric(called, "no change", minimised)
    else:
        metric = Metric.final(called, "min" if minimised else "max", target)
    if target is not None:
        source += f" against the target {target:g}"
    has_perf = is_delta and not minimised
    return OutcomeColumns(
        metric,
        wanted,
        se=se,
        perf_before=roles.get("perf_before") if has_perf else None,
        perf_after=roles.get("perf_after") if has_perf else None,
        se_scale=scale,
        against=None if is_delta else _against(name, options.direction),
        notes=(_note(source, minimised, se, scale),),
    )


def _is_error(name: Name, of: Name) -> bool:
    """Return whether a column is the standard error of another: ``acc_se``, ``acc_stderr,none``."""
    found, metric = words.tokens(name.canonical), words.tokens(of.canonical)
    rest = tuple(word for word in found if word not in ("se", "stderr", "sem"))
    return rest == metric and rest != found


def _over_folds(columns: Columns, wanted: str) -> tuple[str | None, float]:
    """Return the column of the spread over the folds of a mean, and what makes it an error.

    scikit-learn writes `std_test_score` with divisor k beside `mean_test_score` and its k folds:
    the error of the mean is std / √(k − 1). None without the folds, whose number is then unknown.
    """
    match = re.fullmatch(r"mean_((?:test|train)_\w+)", wanted)
    if match is None or f"std_{match[1]}" not in columns.names:
        return None, 1.0
    folds = sum(re.fullmatch(rf"split\d+_{match[1]}", raw) is not None for raw in columns.names)
    return (f"std_{match[1]}", 1.0 / math.sqrt(folds - 1)) if folds > 1 else (None, 1.0)


def _note(source: str, minimised: bool, se: str | None, scale: float = 1.0) -> str:
    errors = f"; standard errors from {se}" if se else ""
    if scale != 1.0:
        errors += f" / √{1.0 / scale**2:.0f}, as if its folds were independent"
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
    stopped: Mapping[int, str] | None = None,
) -> tuple[dict[int, Outcome], list[str]]:
    """Return row → outcome for the rows ``kept``, without curves, and notes on missing numbers.

    A completed run has no ΔPerf if its cell is blank or the row is ``unclear``, and counts as
    diverged if its cell is nan or infinite. A pruned run counts as failed: its outcome is that of
    fewer steps than others had. ``stopped`` are row → why a run was.

    Raises
    ------
    UsageError
        Where a completed run's outcome or standard error is not a number.
    """
    done = [row for row in kept if states[row] == "completed"]
    values = rows.numbers(table, judged_by.value, done)
    befores = rows.numbers(table, judged_by.before, done) if judged_by.before else {}
    details = _details(table, columns, judged_by, done)
    status_column = columns.roles.get("status")
    said: Sequence[Value] = table.values(status_column) if status_column else ()
    found: dict[int, Outcome] = {}
    diverged = 0
    for row in kept:
        state, delta, why = states[row], None, None
        status = status_of(state)
        if state == "completed":
            before = befores[row] if judged_by.before else 0.0
            status, delta = _measured(values[row], before, judged_by.metric)
            if row in unclear:
                status, delta = "completed", None
            elif status == "diverged":
                diverged += 1
                why = "the outcome is nan or infinite"
        elif stopped and row in stopped:
            why = stopped[row]
        elif said:
            why = f"{status_column}: {said[row]}"
        if status == "completed":
            known: dict[str, Any] = {name: cells.get(row) for name, cells in details.items()}
            value = None if delta is None or judged_by.metric.is_change else values[row]
            found[row] = Outcome("completed", delta_perf=delta, value=value, **known)
        else:
            found[row] = Outcome(status, perf_before=details["perf_before"].get(row), error=why)
    return found, _turned(diverged, judged_by)


def status_of(state: State) -> Status:
    """Return the status that a run in this state is given."""
    if state == "pruned" or state == "unfinished":  # noqa: PLR1714 (a type checker's narrowing)
        return "failed"
    return state


def _measured(
    value: float | None, before: float | None, metric: Metric
) -> tuple[Status, float | None]:
    if value is None or before is None:
        return "completed", None
    delta = metric.outcome(value - before)
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
    errors = rows.errors(table, judged_by.se, done)
    found["delta_perf_se"] = {row: se * judged_by.se_scale for row, se in errors.items()}
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
