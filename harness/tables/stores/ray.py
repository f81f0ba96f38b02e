"""Read the results folders of Ray Tune, whose files are JSON and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.records import is_number
from harness.tables.objects import flattened
from harness.tables.stores.common import Row, as_table, chosen_part, curves_of
from harness.tables.table import History, Table, value


def read_folder(path: Path, part: str) -> Table:
    """Read a results folder of Ray Tune: that of an experiment, or one with experiments in it."""
    trials = _trials_in(path)
    name = path.name
    if not trials:
        inside = {folder.name: _trials_in(folder) for folder in sorted(path.iterdir())}
        numbers = {one: len(some) for one, some in inside.items() if some}
        name = chosen_part(str(path), "experiment", numbers, part, "trial")
        trials, path = inside[name], path / name
    states = _states(path)
    rows, points = [], dict[str, list[dict[str, Any]]]()
    for folder in trials:
        results = list(_results(folder))
        last = dict(results[-1]) if results else {}
        known = [one for one in states if one in folder.name]
        trial = str(last.get("trial_id") or next(iter(known), folder.name))
        config = last.pop("config", None) or _json(folder / "params.json") or {}
        failed = (folder / "error.txt").exists() or (folder / "error.pkl").exists()
        status = states.get(trial, "ERROR" if failed else "TERMINATED")
        row: Row = {"trial_id": trial, "status": status}
        row |= {key.replace(".", "/"): item for key, item in flattened(last)}
        row |= {f"config/{key.replace('.', '/')}": item for key, item in flattened(config)}
        rows.append(row | {"trial_id": trial})
        points[trial] = results

    def history(column: str) -> History:
        found: dict[str, list[tuple[int, float]]] = {}
        for trial, results in points.items():
            flat: list[dict[str, Any]] = [
                {k.replace(".", "/"): v for k, v in flattened(one)} for one in results
            ]
            found[trial] = [
                (int(one["training_iteration"]), float(one[column]))
                for one in flat
                if is_number(one.get("training_iteration")) and is_number(one.get(column))
            ]
        return curves_of(found)

    return as_table(
        path, "Ray Tune", rows, "trial", notes=(f"Ray Tune's experiment {name!r}",), history=history
    )


def _trials_in(path: Path) -> list[Path]:
    return sorted(file.parent for file in path.glob("*/params.json")) if path.is_dir() else []


def _states(path: Path) -> dict[str, str]:
    """Return trial → state, as the newest file of the experiment's state has them."""
    files = sorted(path.glob("experiment_state-*.json"))
    found = _json(files[-1]) if files else None
    states: dict[str, str] = {}
    for entry in (found or {}).get("trial_data") or (found or {}).get("checkpoints") or ():
        text = entry[0] if isinstance(entry, list) else entry
        try:
            trial = json.loads(text) if isinstance(text, str) else text
            states[str(trial["trial_id"])] = str(trial["status"])
        except (ValueError, KeyError, TypeError):
            continue
    return states


def _json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _results(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what a trial reported, in its order; a line that was cut off is left out."""
    lines = folder / "result.json"
    if lines.is_file():
        for line in lines.read_text(encoding="utf-8").splitlines():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                yield found
    elif (folder / "progress.csv").is_file():
        with (folder / "progress.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield {key: value(item) for key, item in row.items() if key}
