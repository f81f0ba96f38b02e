"""Read learning curves from a long table, which has a row for each run and step."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from harness.errors import UsageError
from harness.records import Evaluation
from harness.tables import rows
from harness.tables.naming import Name, parsed
from harness.tables.reading import Source, read_table
from harness.tables.table import History, Table, identity
from harness.text import first, plural

_RUN = ("run", "run_id", "id", "trial_id", "number", "name")
_STEP = ("step", "_step", "steps", "global_step", "iteration", "training_iteration", "epoch")
_SE = ("se", "stderr", "sem")


def read_curves(
    source: Source, ids: Sequence[str], measure: str, sign: int
) -> tuple[dict[str, tuple[Evaluation, ...]], str]:
    """Return run id → learning curve in the order of its steps, and a note on what was read.

    ``ids`` are those of the runs. The column of perf may also have the canonical name of the
    metric, ``measure``; its values are multiplied by ``sign``. A missing standard error is NaN, and
    so is perf where it is blank, nan or infinite.

    Raises
    ------
    UsageError
        Where a column is missing, a run is unknown, or a run has two points at a step.
    """
    table = read_table(source)
    names = parsed(table.columns)
    run = _column(table, names, "run", _RUN)
    step = _column(table, names, "step", _STEP)
    perf = _column(table, names, "perf", ("perf", measure))
    ends = {f"{names[perf].canonical}_{end}" for end in _SE}
    se = next((n.raw for n in names.values() if n.canonical in {*_SE, *ends}), None)
    every = range(len(table))
    perfs, errors = rows.numbers(table, perf, every), rows.errors(table, se, every)
    steps = rows.counts(table, step, "the step", every)
    known = set(ids)
    points: dict[str, dict[int, Evaluation]] = defaultdict(dict)
    for row, cell in enumerate(table.columns[run]):
        id_, value = identity(cell), perfs[row]
        if id_ not in known:
            raise UsageError(
                f"{table.where(row)}: there is no run {id_!r} in the table of runs, whose ids are "
                f"{first(map(repr, ids), 3)}"
            )
        if row not in steps:
            raise UsageError(f"{table.where(row)}: no step in column {step!r}")
        if steps[row] in points[id_]:
            raise UsageError(
                f"{table.where(row)}: run {id_!r} has a second point at step {steps[row]}; a curve "
                "has one for each step"
            )
        at = sign * value if value is not None and math.isfinite(value) else math.nan
        points[id_][steps[row]] = Evaluation(steps[row], at, errors.get(row, math.nan), at)
    curves = {id_: tuple(found[at] for at in sorted(found)) for id_, found in points.items()}
    without = sum(math.isnan(point.perf) for curve in curves.values() for point in curve)
    number = len(table) - without
    file = table.path.name
    note = f"curves: {number} points of {perf} over {step}, of {len(curves)} runs, from {file}"
    if without:
        note += f"; {without} without a number"
    return curves, note


def stored_curves(
    history: History, metric: str, sign: int
) -> tuple[dict[str, tuple[Evaluation, ...]], list[str]]:
    """Return what a tracker's store has of the metric along training, as learning curves.

    Beside run id → curve there is a note, if there are any. What is no finite number is NaN, as in
    `read_curves`.
    """
    curves = {
        run: tuple(
            Evaluation(step, at, math.nan, at)
            for step, number in points
            for at in (sign * number if math.isfinite(number) else math.nan,)
        )
        for run, points in history.items()
    }
    number, of = sum(map(len, curves.values())), plural(len(curves), "run")
    return curves, [f"curves: {plural(number, 'point')} of {metric}, of {of}"] if curves else []


def _column(table: Table, names: Mapping[str, Name], what: str, called: tuple[str, ...]) -> str:
    for name in called:
        found = [raw for raw, parts in names.items() if parts.canonical == name]
        if found:
            return found[0]
    raise UsageError(
        f"{table.path.name} has no column {what!r}: learning curves are a long table with the "
        f"columns run, step, perf and optionally se; it has {first(table.columns, 6)}"
    )
