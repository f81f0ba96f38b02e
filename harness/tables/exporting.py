"""Write stored runs as a table, and restore what only such a table says.

A table is written whole or not at all, and its numbers to the last bit.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import UsageError, nearest
from harness.files import part_of, replacing
from harness.records import IMPORTED, MAIN, Result, Status, Value, digest
from harness.tables import rows
from harness.tables.files import FORMATS
from harness.tables.table import Table
from harness.text import listed

CONFIG = "config."
"""The prefix of a parameter's column."""

METRICS = "metrics."
"""The prefix of the column of a sweep's own metric, so that nobody takes it for a parameter."""

WRITTEN = {ending: format_ for ending, format_ in FORMATS.items() if format_ != "Excel"}
"""The ending of a file that is written → its format."""

OWN: dict[str, Status] = {"crashed": "crashed", "interrupted": "interrupted"}

_RESTORED = ("sweep", "status", "backend", "trainer_version", "device", "finished_at", "error")

_CLUSTERS = ("clusters", "clusters_changed")

_CHANGE = (
    *("delta_perf", "delta_perf_se", "prompts", "samples", "prompts_changed", *_CLUSTERS),
    *("perf_before", "perf_after", "train_delta_perf"),
)

Cells = dict[str, list[Value]]
"""Name → cells [rows]."""


def run_columns(results: Sequence[Result]) -> Cells:
    """Return the columns of a table with a row for each of ``results`` [n], in their order.

    A missing value is None. Every run gets an id of its own: if several share one, as in a sweep
    that two backends trained, digits from the run's key are added.

    Raises
    ------
    UsageError
        Where the runs have several metrics: a table is judged by one.
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
        **_measured(results),
        **{
            CONFIG + name: [as_cell(result.run.config.get(name)) for result in results]
            for name in parameters
        },
        "backend": [result.conditions.backend for result in results],
        "trainer_version": [result.conditions.trainer_version for result in results],
        "device": [r.outcome.device or r.conditions.device or None for r in results],
        "seconds": [outcome.seconds for outcome in outcomes],
        "finished_at": [result.finished_at for result in results],
        # A log that was cut off may end in half a character, which cannot be written to a file.
        "error": [
            None if o.error is None else o.error.encode(errors="backslashreplace").decode()
            for o in outcomes
        ],
    }


def _measured(results: Sequence[Result]) -> Cells:
    """Return the columns that runs are judged by: ΔPerf, or the metric of their sweep."""
    metrics = {result.conditions.metric: result.run.sweep for result in results}
    if len(metrics) > 1:
        each = listed(f"{name or 'ΔPerf'} ({sweep})" for name, sweep in metrics.items())
        raise UsageError(f"these runs have several metrics, {each}: export them sweep by sweep")
    if name := next(iter(metrics), ""):
        return {
            METRICS + name: [result.outcome.value for result in results],
            f"{METRICS}{name}_se": [result.outcome.delta_perf_se for result in results],
        }
    clusters = any(result.outcome.clusters for result in results)
    return {
        name: [getattr(result.outcome, name) for result in results]
        for name in _CHANGE
        if clusters or name not in _CLUSTERS
    }


def as_cell(value: Value) -> Value:
    """Return a parameter's value as a cell: a tuple as text, the same in every format."""
    return str(value) if isinstance(value, tuple) else value


def curve_columns(results: Sequence[Result]) -> Cells:
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
    """Return the results of the rows ``kept`` with all that an exported table says of each.

    That is its sweep, the backend, the version of the trainer and the device that trained it, the
    clusters of its standard error, its duration, when it finished, its error message, and whether
    it crashed or was interrupted.
    """
    blank = [None] * len(table)
    text = {
        name: ["" if cell is None else str(cell) for cell in table.columns.get(name, blank)]
        for name in _RESTORED
    }
    numbers = {
        name: rows.numbers(table, name, kept) if name in table.columns else {}
        for name in ("seconds", "clusters", "clusters_changed")
    }
    return tuple(
        replace(
            result,
            run=replace(result.run, sweep=text["sweep"][row] or result.run.sweep),
            conditions=replace(
                result.conditions,
                backend=text["backend"][row],
                trainer_version=text["trainer_version"][row],
            ),
            outcome=replace(
                result.outcome,
                # Trackers use two of our statuses for a failed run.
                status=OWN.get(text["status"][row], result.outcome.status),
                device=text["device"][row] or None,
                seconds=numbers["seconds"].get(row),
                clusters=numbers["clusters"].get(row),
                clusters_changed=_whole(numbers["clusters_changed"].get(row)),
                error=text["error"][row] or None,
            ),
            finished_at=text["finished_at"][row] or None,
        )
        for row, result in zip(kept, results, strict=True)
    )


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _named(results: Sequence[Result]) -> tuple[list[str], list[str | None]]:
    """Return unique ids [n] for ``results``, and those of the main runs they are paired with.

    The latter is None where the main run is not among the results.
    """
    times = Counter(result.run.id for result in results)
    ids = []
    for result in results:
        mark = digest([result.run.sweep, result.key])[:8]
        ids.append(result.run.id if times[result.run.id] == 1 else f"{result.run.id}@{mark}")
    mains: dict[object, list[tuple[str, Result]]] = defaultdict(list)
    for id_, result in zip(ids, results, strict=True):
        if result.run.arm == MAIN:
            mains[_kind(result, result.run.id)].append((id_, result))
    return ids, [_pair(result, mains[_kind(result, result.run.pair)]) for result in results]


def _kind(result: Result, main: str | None) -> tuple[object, ...]:
    """Return the values that an arm's run shares with its ``main`` run alone."""
    run, conditions = result.run, replace(result.conditions, device="", trainer="")
    declared = 0 if conditions.backend == IMPORTED else run.declared_steps
    return run.sweep, main, run.declaration, declared, conditions


def _pair(result: Result, mains: Iterable[tuple[str, Result]]) -> str | None:
    """Return the id of the main run that an arm's run is paired with.

    Of several, that is the one with as many steps, or else with twice as many, as for a half arm.
    """
    if result.run.arm == MAIN:
        return None
    steps, found = result.run.steps, [(id_, main.run.steps) for id_, main in mains]
    alike = [id_ for id_, its in found if its == steps or len(found) == 1]
    alike = alike or [id_ for id_, its in found if max(1, its // 2) == steps]
    return alike[0] if len(alike) == 1 else None


# ---- files ---------------------------------------------------------------------------------------


def check_target(path: Path, *, force: bool) -> None:
    """Check that a table may be written to ``path``.

    Raises
    ------
    UsageError
        Where its ending is not a table's, its folder does not exist, or the file exists and
        ``force`` does not replace it.
    """
    if path.suffix.lower() not in WRITTEN:
        raise UsageError(
            f"{path.name} cannot be written as a table: its name must end in "
            f"{', '.join(WRITTEN)}{nearest(path.suffix, WRITTEN)}"
        )
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to write {path.name} into: make it")
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already: name another file, or replace it by --force")


def write_tables(tables: Mapping[Path, Mapping[str, Sequence[Value]]]) -> None:
    """Write each table to its path, in the format that the path's ending says.

    All are first written to temporary files, which are renamed once they are complete.

    Raises
    ------
    UsageError
        Where one cannot be written; then none is.
    """
    try:
        with replacing(*tables) as parts:
            for (path, columns), part in zip(tables.items(), parts, strict=True):
                _write(part, columns, WRITTEN[path.suffix.lower()])
    except OSError as error:
        asked = {str(part_of(path)): path for path in tables}
        path = asked.get(str(error.filename), next(iter(tables)))
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def text_of(columns: Mapping[str, Sequence[Value]], format_: str) -> str:
    """Return a table as the text of a file; ``format_`` is any of `WRITTEN` but Parquet."""
    if format_ in ("CSV", "TSV"):
        text = io.StringIO()
        writer = csv.writer(text, delimiter="," if format_ == "CSV" else "\t", lineterminator="\n")
        writer.writerow(columns)
        # A number is written by its repr, the shortest text that reads back as the same number.
        writer.writerows(zip(*columns.values(), strict=True))
        # A reader would take a file with a zero byte for binary data.
        return text.getvalue().replace("\0", "␀")
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows]
    if format_ == "JSON":
        return "[\n" + ",\n".join(lines) + "\n]\n"
    return "".join(f"{line}\n" for line in lines)


def _write(path: Path, columns: Mapping[str, Sequence[Value]], format_: str) -> None:
    if format_ == "Parquet":
        from harness.tables.binary import write_parquet

        write_parquet(path, columns)
    else:
        text = text_of(columns, format_)
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
