"""Stored runs as the columns of a table, and back: what such a table says beyond any other's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.records import IMPORTED, MAIN, Result, Status, Value, digest
from harness.tables import rows
from harness.tables.table import Table

CONFIG = "config."
"""What stands before the name of a parameter."""

OWN: dict[str, Status] = {"crashed": "crashed", "interrupted": "interrupted"}

Columns = dict[str, list[Value]]


def run_columns(results: Sequence[Result]) -> Columns:
    """Return the columns of a table with a row for each of ``results`` [n], in their order.

    What a run does not have is None. Every run has an id of its own: where several have one, as
    those of a sweep that two backends trained, the end of its key stands after it.
    """
    ids, pairs = _named(results)
    outcomes = [result.outcome for result in results]
    parameters = dict.fromkeys(name for result in results for name in result.run.config)
    return {
        "sweep": [result.run.sweep for result in results],
        "run": [*ids],
        "arm": [result.run.arm for result in results],
        "pair": [*pairs],
        "seed": [result.run.seed for result in results],
        "steps": [result.run.steps for result in results],
        "status": [outcome.status for outcome in outcomes],
        "delta_perf": [outcome.delta_perf for outcome in outcomes],
        "delta_perf_se": [outcome.delta_perf_se for outcome in outcomes],
        "prompts": [outcome.prompts for outcome in outcomes],
        "samples": [outcome.samples for outcome in outcomes],
        "prompts_changed": [outcome.prompts_changed for outcome in outcomes],
        "perf_before": [outcome.perf_before for outcome in outcomes],
        "perf_after": [outcome.perf_after for outcome in outcomes],
        "train_delta_perf": [outcome.train_delta_perf for outcome in outcomes],
        **{
            CONFIG + name: [result.run.config.get(name) for result in results]
            for name in parameters
        },
        "backend": [result.conditions.backend for result in results],
        "device": [r.outcome.device or r.conditions.device or None for r in results],
        "seconds": [outcome.seconds for outcome in outcomes],
        "finished_at": [result.finished_at for result in results],
        # Half a character, as the end of a log may have, stands in no file.
        "error": [
            None if o.error is None else o.error.encode(errors="backslashreplace").decode()
            for o in outcomes
        ],
    }


def curve_columns(results: Sequence[Result]) -> Columns:
    """Return the columns of a long table with a row for each point of the learning curves."""
    ids, _ = _named(results)
    points = [
        (id_, point) for id_, r in zip(ids, results, strict=True) for point in r.outcome.curve
    ]
    return {
        "run": [id_ for id_, _ in points],
        "step": [point.step for _, point in points],
        "perf": [point.perf for _, point in points],
        # A point without a standard error has NaN: in a table, a blank.
        "se": [point.se if point.se == point.se else None for _, point in points],
    }


def restored(table: Table, kept: Sequence[int], results: Sequence[Result]) -> tuple[Result, ...]:
    """Return the results of the rows ``kept`` with what such a table says of each beside.

    Its sweep, the backend and the device that trained it, how long it took, when it finished, its
    error in its own words, and whether it crashed or was interrupted.
    """
    blank = [None] * len(table)
    text = {
        name: ["" if cell is None else str(cell) for cell in table.columns.get(name, blank)]
        for name in ("sweep", "status", "backend", "device", "finished_at", "error")
    }
    times = rows.numbers(table, "seconds", kept) if "seconds" in table.columns else {}
    return tuple(
        replace(
            result,
            run=replace(result.run, sweep=text["sweep"][row] or result.run.sweep),
            conditions=replace(result.conditions, backend=text["backend"][row]),
            outcome=replace(
                result.outcome,
                # The words of trackers for a run that failed, and two of our own statuses.
                status=OWN.get(text["status"][row], result.outcome.status),
                device=text["device"][row] or None,
                seconds=times.get(row),
                error=text["error"][row] or None,
            ),
            finished_at=text["finished_at"][row] or None,
        )
        for row, result in zip(kept, results, strict=True)
    )


def _named(results: Sequence[Result]) -> tuple[list[str], list[str | None]]:
    """Return ids [n] that tell ``results`` apart, and those of the main runs they are paired with.

    None where that is not among them.
    """
    times = Counter(result.run.id for result in results)
    ids = [r.run.id if times[r.run.id] == 1 else f"{r.run.id}@{_mark(r)}" for r in results]
    mains: dict[object, list[tuple[str, Result]]] = defaultdict(list)
    for id_, result in zip(ids, results, strict=True):
        if result.run.arm == MAIN:
            mains[_kind(result, result.run.id)].append((id_, result))
    return ids, [_pair(result, mains[_kind(result, result.run.pair)]) for result in results]


def _mark(result: Result) -> str:
    """Return 8 digits that tell a run from others of its id, whatever else is in the table."""
    return digest([result.run.sweep, result.key])[:8]


def _kind(result: Result, main: str | None) -> tuple[object, ...]:
    """Return what the run of an arm and the ``main`` run it is paired with have in common."""
    run, conditions = result.run, replace(result.conditions, device="", trainer="")
    declared = 0 if conditions.backend == IMPORTED else run.declared_steps
    return run.sweep, main, run.declaration, declared, conditions


def _pair(result: Result, mains: Iterable[tuple[str, Result]]) -> str | None:
    """Return the id of the main run of an arm's; of several that of its steps, or of twice as many.

    Twice as many is what the main run of a half arm has.
    """
    if result.run.arm == MAIN:
        return None
    steps, found = result.run.steps, [(id_, main.run.steps) for id_, main in mains]
    alike = [id_ for id_, its in found if its == steps or len(found) == 1]
    alike = alike or [id_ for id_, its in found if max(1, its // 2) == steps]
    return alike[0] if len(alike) == 1 else None
