"""JSON files as tables: an object a line, or one list of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.tables.table import Table, check_size

_DEEPEST = 20


def read_json(path: Path, format_: str) -> Table:
    """Return the table in a file of objects; what an object does not have is blank.

    Raises
    ------
    UsageError
        Where a line is not JSON, or no object.
    """
    text = path.read_text(encoding="utf-8-sig")
    if text.lstrip()[:1] == "[":
        found = list(_listed(path, text))
        format_, unit = "JSON", "item"
    else:
        found = list(_lines(path, text))
        unit = "line"
    if not found:
        raise UsageError(f"{path.name} holds no objects: expected one for each run")
    if len(found) == 1 and _is_by_column(found[0][1]):
        raise UsageError(
            f"{path.name} is one object of objects: expected one for each run, as pandas writes "
            "with to_json(orient='records', lines=True)"
        )
    places = [place for place, _ in found]
    rows = [_flat(path, unit, place, row) for place, row in found]
    names = list(dict.fromkeys(name for row in rows for name in row))
    check_size(path, len(rows), len(names))
    columns = {name: [row.get(name) for row in rows] for name in names if name.strip()}
    return Table(path, format_, columns, places, unit)


def _is_by_column(row: dict[str, Any]) -> bool:
    """Whether an object is a whole table by column, each of them index → cell."""
    columns = [column for column in row.values() if isinstance(column, dict)]
    return 0 < len(columns) == len(row) and all(
        column and all(key.isdigit() for key in column) for column in columns
    )


def _listed(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"{path.name}, line {error.lineno}: not JSON ({error.msg})"
        raise UsageError(message) from error
    except (RecursionError, ValueError) as error:
        raise UsageError(f"{path.name} is not JSON that can be read ({error})") from error
    for place, item in enumerate(items, 1):
        yield place, _object(path, "item", place, item)


def _lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for place, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (RecursionError, ValueError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else error
            raise UsageError(
                f"{path.name}, line {place}: not JSON ({reason}); expected one object a line, or "
                "one list of objects"
            ) from error
        yield place, _object(path, "line", place, item)


def _object(path: Path, unit: str, place: int, item: object) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise UsageError(
            f"{path.name}, {unit} {place}: {_short(item)} is not an object of column → value"
        )
    return item


def _flat(path: Path, unit: str, place: int, row: dict[str, Any]) -> dict[str, object]:
    """Return a row whose nested objects are columns of their own, named with dots."""
    flat: dict[str, object] = {}
    for name, item in flattened(row):
        if name in flat:
            raise UsageError(f"{path.name}, {unit} {place}: column {name!r} is there twice")
        flat[name] = item
    return flat


def flattened(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the cells of nested objects by their dotted names; a list is text."""
    for key, item in row.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict) and name.count(".") < _DEEPEST:
            yield from flattened(item, f"{name}.")
        elif isinstance(item, dict | list):
            yield name, json.dumps(item, default=str)
        else:
            yield name, item


def _short(item: object) -> str:
    text = json.dumps(item, default=str)
    return text if len(text) <= 40 else f"{text[:37]}…"
