"""Read the files that W&B keeps of a run, ``run-ID.wandb``, in which nothing was uploaded yet.

Such a file is a log of records in the framing of LevelDB's logs, in blocks of 32 KiB; a record is a
protocol buffer of W&B's ``wandb_internal.proto``, of which only a few fields are needed here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.tables.objects import flattened
from harness.tables.stores.common import Row, as_table, chosen_part, curves_of
from harness.tables.table import History, Table

_MAGIC = b":W&B\xe1\xbe"
_BLOCK, _HEAD = 32768, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4

# Fields of a record, and of what is in it.
_HISTORY, _SUMMARY, _CONFIG, _RUN, _EXIT = 2, 3, 5, 17, 18
_ITEM, _STEP = 1, 2
_KEY, _NESTED_KEY, _JSON = 1, 2, 16
_RUN_ID, _PROJECT, _RUN_CONFIG, _NAME, _SWEEP, _STARTED = 1, 3, 4, 8, 12, 17

_EXPORT = "export the runs' table from the web page, or sync the run with `wandb sync`"

OURS = "pytest_sweep"
"""The key of a run's config under which the harness says what the run is."""

Fields = list[tuple[int, Any]]
"""The fields of a message in their order: number, and an int or bytes."""


def read_wandb(path: Path, part: str) -> Table:
    """Read the runs in a folder of W&B's, or in one ``.wandb`` file; ``part`` names a project.

    Raises
    ------
    UsageError
        Where a file is not of the format that is known, or there are several projects.
    """
    # `latest-run` is a link to a run that is there already.
    found_ = {file.resolve() for pattern in ("*.wandb", "*/*.wandb") for file in path.glob(pattern)}
    files = [path] if path.is_file() else sorted(found_)
    if not files:
        raise UsageError(f"{path} has no .wandb file in it: {_EXPORT}")
    found = [_run(file) for file in files]
    numbers = Counter(project for project, _, _ in found)
    chosen = chosen_part(str(path), "project", numbers, part)
    runs = [(row, points) for project, row, points in found if project == chosen]

    def history(column: str) -> History:
        key = column.removeprefix("summary.")
        return curves_of({str(row["ID"]): points.get(key, []) for row, points in runs})

    notes = (f"W&B's project {chosen!r}",) if chosen else ()
    rows = [row for row, _ in runs]
    return as_table(path, "W&B", rows, "run", notes=notes, history=history)


def _run(file: Path) -> tuple[str, Row, dict[str, list[tuple[int, float]]]]:
    """Return the project of a run, its row, and its metrics along training."""
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    points: dict[str, list[tuple[int, float]]] = {}
    about: Row = {"ID": file.stem.removeprefix("run-"), "Name": None, "State": "crashed"}
    about |= {"Created": None, "Sweep": None}
    project, at = "", 0
    for record in _records(file):
        for number, data in _fields(record):
            if number == _RUN:
                fields = dict(_fields(data))
                project = _text(fields.get(_PROJECT, b""))
                about |= {"ID": _text(fields[_RUN_ID])} if _RUN_ID in fields else {}
                about["Name"] = _text(fields.get(_NAME, b"")) or about["ID"]
                about["Sweep"] = _text(fields.get(_SWEEP, b"")) or None
                about["Created"] = dict(_fields(fields.get(_STARTED, b""))).get(1)
                _update(config, fields.get(_RUN_CONFIG, b""))
            elif number == _CONFIG:
                _update(config, data)
            elif number == _SUMMARY:
                _update(summary, data)
            elif number == _HISTORY:
                logged: dict[str, Any] = {}
                _update(logged, data)
                at = next((dict(_fields(d)).get(1, 0) for n, d in _fields(data) if n == _STEP), at)
                at = logged.get("_step", at)
                summary |= logged
                for name, item in flattened(logged):
                    if isinstance(item, int | float) and not isinstance(item, bool):
                        points.setdefault(name, []).append((int(at), float(item)))
            elif number == _EXIT:
                about["State"] = "failed" if dict(_fields(data)).get(1, 0) else "finished"
    row = about | {f"config.{name}": item for name, item in flattened(_public(config))}
    return project, row | {f"summary.{n}": i for n, i in flattened(_public(summary))}, points


def has_ended(file: Path) -> bool:
    """Return whether a run's file says how the run has ended, which is written last."""
    try:
        return any(number == _EXIT for record in _records(file) for number, _ in _fields(record))
    except (OSError, UsageError):  # it is not there yet, or not even begun
        return False


def _public(items: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in items.items() if name[:1] != "_"}


def _update(into: dict[str, Any], message: bytes) -> None:
    """Set the items of a message, ``key`` or nested keys, to their values in JSON."""
    for number, data in _fields(message):
        if number != _ITEM:
            continue
        fields = _fields(data)
        nested = [_text(item) for n, item in fields if n == _NESTED_KEY]
        keys = nested or [_text(dict(fields).get(_KEY, b""))]
        place = into
        for key in keys[:-1]:
            inner = place.setdefault(key, {})
            if not isinstance(inner, dict):
                inner = place[key] = {}
            place = inner
        try:
            place[keys[-1]] = json.loads(_text(dict(fields).get(_JSON, b"null")))
        except ValueError:
            continue


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


# ---- the format ----------------------------------------------------------------------------------


def _records(file: Path) -> Iterator[bytes]:
    """Yield the records of a log; one that was cut off at the end is none."""
    data = file.read_bytes()
    if not data.startswith(_MAGIC):
        raise UsageError(f"{file.name} is not a file of W&B that is known here: {_EXPORT}")
    at, parts = _HEAD, list[bytes]()
    while at + _HEAD <= len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEAD:
            at += left
            continue
        length = int.from_bytes(data[at + 4 : at + 6], "little")
        kind = data[at + 6]
        body = data[at + _HEAD : at + _HEAD + length]
        if kind == 0 and length == 0:
            at += left
            continue
        if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or len(body) < length:
            return
        parts = [body] if kind in (_FULL, _FIRST) else [*parts, body]
        if kind in (_FULL, _LAST):
            yield b"".join(parts)
        at += _HEAD + length


def _fields(message: bytes) -> Fields:
    """Return the fields of a protocol buffer: an int for a varint, else bytes."""
    found: Fields = []
    at = 0
    try:
        while at < len(message):
            tag, at = _varint(message, at)
            number, wire = tag >> 3, tag & 7
            if wire == 0:
                item, at = _varint(message, at)
                found.append((number, item))
                continue
            length = {1: 8, 5: 4}.get(wire)
            if wire == 2:
                length, at = _varint(message, at)
            if length is None:
                break
            found.append((number, message[at : at + length]))
            at += length
    except IndexError:
        pass
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not byte & 0x80:
            return number, at
