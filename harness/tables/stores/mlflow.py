"""Read what MLflow keeps of its runs: a folder of files, or a database of SQLite.

Both are plain and stable, and MLflow takes two seconds to import.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

from harness.tables.stores.common import Row, as_table, chosen_part, curves_of, opened_database
from harness.tables.table import History, Table
from harness.text import first, plural

_STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_PARENT = "tags.mlflow.parentRunId"


def meta_of(path: Path) -> dict[str, str]:
    """Return the lines ``key: value`` of a file that MLflow wrote."""
    if not path.is_file():
        return {}
    pairs = (line.partition(": ") for line in path.read_text(encoding="utf-8").splitlines())
    return {key: value.strip().strip("'\"") for key, colon, value in pairs if colon}


def read_folder(path: Path, part: str) -> Table:
    """Read MLflow's folder of files: all of ``mlruns``, or the folder of an experiment."""
    if "experiment_id" in meta_of(path / "meta.yaml"):
        folders = {meta_of(path / "meta.yaml").get("name") or path.name: path}
    else:
        metas = {meta.parent: meta_of(meta) for meta in sorted(path.glob("*/meta.yaml"))}
        active = {f: m for f, m in metas.items() if m.get("lifecycle_stage") != "deleted"}
        folders = {meta.get("name") or folder.name: folder for folder, meta in active.items()}
    runs = {name: list(_runs_in(folder)) for name, folder in folders.items()}
    chosen = chosen_part(
        str(path), "experiment", {name: len(some) for name, some in runs.items()}, part
    )
    found = sorted(runs[chosen], key=lambda run: (run[1].get("start_time", ""), run[0].name))
    rows = [_row(folder, meta) for folder, meta in found]

    def history(column: str) -> History:
        key = column.removeprefix("metrics.")
        files = {folder.name: folder / "metrics" / key for folder, _ in found}
        return curves_of({run: _points(file) for run, file in files.items()})

    notes = (f"MLflow's experiment {chosen!r}",)
    return as_table(path, "MLflow", rows, "run", notes=notes, history=history)


def _runs_in(experiment: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    for meta in experiment.glob("*/meta.yaml"):
        found = meta_of(meta)
        if "run_id" in found and found.get("lifecycle_stage") != "deleted":
            yield meta.parent, found


def _row(folder: Path, meta: Mapping[str, str]) -> Row:
    row: Row = {name: meta.get(name) for name in ("run_id", "experiment_id", "artifact_uri")}
    row["status"] = _STATUS.get(meta.get("status", ""), meta.get("status"))
    row["start_time"] = meta.get("start_time")
    for kind in ("params", "tags"):
        for name, file in _files(folder / kind):
            row[f"{kind}.{name}"] = file.read_text(encoding="utf-8").strip()
    for name, file in _files(folder / "metrics"):
        if points := _points(file):
            row[f"metrics.{name}"] = max(points, key=lambda point: point[0])[1]
    return row


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files in a folder by their names, which may have slashes."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield file.relative_to(folder).as_posix(), file


def _points(file: Path) -> list[tuple[int, float]]:
    """Return a metric's points, in the order that they were logged; a torn line is no point."""
    if not file.is_file():
        return []
    lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    longest = max(map(len, lines), default=0)
    whole = [words for words in lines if len(words) == longest > 1]
    found = [(int(words[2]) if longest > 2 else 0, float(words[1])) for words in whole]
    return sorted(found, key=lambda point: point[0])


def read_database(path: Path, part: str) -> Table:
    """Read MLflow's database in SQLite."""
    with closing(opened_database(path)) as database:
        counted = database.execute(
            "SELECT e.name, COUNT(r.run_uuid) FROM experiments e LEFT JOIN runs r "
            "ON r.experiment_id = e.experiment_id AND r.lifecycle_stage = 'active' "
            "WHERE e.lifecycle_stage = 'active' GROUP BY e.experiment_id ORDER BY e.experiment_id"
        )
        chosen = chosen_part(str(path), "experiment", dict(counted.fetchall()), part)
        runs = database.execute(
            "SELECT r.run_uuid, r.experiment_id, r.artifact_uri, r.status, r.start_time "
            "FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id WHERE e.name = ? "
            "AND r.lifecycle_stage = 'active' ORDER BY r.start_time, r.run_uuid",
            (chosen,),
        ).fetchall()
        names = ("run_id", "experiment_id", "artifact_uri", "status", "start_time")
        rows: dict[str, Row] = {run[0]: dict(zip(names, run, strict=True)) for run in runs}
        for table in ("params", "latest_metrics", "tags"):
            prefix = {"latest_metrics": "metrics"}.get(table, table)
            nan = "is_nan" if table == "latest_metrics" else "0"
            for run, key, item, is_nan in database.execute(
                f"SELECT run_uuid, key, value, {nan} FROM {table} ORDER BY key"
            ):
                if run in rows:
                    rows[run][f"{prefix}.{key}"] = math.nan if is_nan else item

    def history(column: str) -> History:
        key = column.removeprefix("metrics.")
        points: dict[str, list[tuple[int, float]]] = defaultdict(list)
        with closing(opened_database(path)) as again:
            for run, step, item, is_nan in again.execute(
                "SELECT run_uuid, step, value, is_nan FROM metrics WHERE key = ? "
                "ORDER BY step, timestamp",
                (key,),
            ):
                if run in rows:
                    points[run].append((step, math.nan if is_nan else item))
        return curves_of(points)

    notes = (f"MLflow's experiment {chosen!r}",)
    return as_table(path, "MLflow", list(rows.values()), "run", notes=notes, history=history)


def without_parents(table: Table) -> Table:
    """Leave out MLflow's runs that are the parents of others: these are the sweep's own.

    A parent often has parameters and the best child's metric, which would count twice.
    """
    if not {_PARENT, "run_id"} <= table.columns.keys():
        return table
    parents = {str(cell) for cell in table.columns[_PARENT] if cell}
    own = [str(cell) for cell in table.columns["run_id"]]
    kept = [row for row, run in enumerate(own) if run not in parents]
    if len(kept) == len(own) or not kept:
        return table
    left_out = [run for run in own if run in parents]
    note = f"parents of other runs, left out: {plural(len(left_out), 'run')} ({first(left_out, 3)})"
    return table.rows(kept, note)
