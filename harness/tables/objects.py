"""Read JSON as a table, whatever shape it has, and open cells that hold dictionaries."""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError, nearest
from harness.tables import files
from harness.tables.columns import ROLES
from harness.tables.files import Content
from harness.tables.naming import is_known, is_measured, parsed
from harness.tables.table import Table, check_size
from harness.text import first
from harness.words import canonical

NESTS = ("config", "summary", "params", "hparams", "hyperparameters", "metrics", "user_attrs")
"""Columns that may hold a dictionary of a run's settings or results, as those of W&B's API do."""

SAID_AGAIN = "its keys are columns already"
"""Why a column of dictionaries is not opened."""

RUN = "run"
"""The column for the names of runs in an object of name → run."""

SHAPE = '[{"lr": 0.001, "acc": 0.9}, …], an object for each run, or one such object a line'
"""The shape that JSON should have, for messages."""

_WORD = re.compile(r"(?<=[:\[, ])\s*(-?inf|nan)\s*(?=[,}\]])")

_DEEPEST = 20

LARGEST_OBJECT = files.LARGEST // 2
"""The largest JSON that is read as one object, in bytes: it takes some twelve times its size."""

_NOT_BLANK = re.compile(r"[^ \t\r\n]")


def read_json(content: Content) -> Table:
    """Read JSON: a list of objects, one a line, or an object of the shapes that people write.

    These are an object with a list of objects in it, columns of cells, runs by their names, and
    what pandas writes. A column that a run does not have is blank.

    Raises
    ------
    UsageError
        Where the text is not JSON, naming the line, or has none of these shapes.
    """
    path, data = content.path, content.data
    format_, unit, notes = str(content.format), "item", tuple[str, ...]()
    begins = data.removeprefix(b"\xef\xbb\xbf").lstrip()[:100]
    whole = None
    data.decode("utf-8-sig")  # what is no text at all is said before what is no JSON
    if begins[:1] == b"{" and (content.format == "JSON" or _is_one(data)):
        whole = _parsed_object(content)
    items: Iterable[tuple[int, Any]]
    if whole is not None:
        rows, said = _rows_of(path, whole, content.part)
        items, notes = enumerate(rows, 1), (said,) if said else ()
        if rows == [whole]:
            unit = "line"
        else:
            format_ = "JSON"
    elif begins[:1] == b"[":
        items, format_ = enumerate(_listed(content), 1), "JSON"
    else:
        items, unit = _lines(content), "line"
    columns, places = _columns(path, unit, items)
    if not places:
        raise UsageError(f"{path.name} holds no objects: expected one for each run")
    if unit == "line" and format_ == "JSON" and len(places) > 1:
        format_ = "JSON lines"
    return Table(path, format_, columns, places, unit, notes=notes)


def _columns(
    path: Path, unit: str, items: Iterable[tuple[int, Any]]
) -> tuple[dict[str, list[object]], list[int]]:
    """Return the columns of objects, which are not kept, and the place of each."""
    columns: dict[str, list[object]] = {}
    places: list[int] = []
    for place, item in items:
        for name, cell in _flat(path, unit, place, _object(path, unit, place, item)).items():
            cells = columns.setdefault(name, [])
            cells.extend([None] * (len(places) - len(cells)))
            cells.append(cell)
        places.append(place)
        check_size(path, len(places), len(columns), more=True)
    for cells in columns.values():
        cells.extend([None] * (len(places) - len(cells)))
    return {name: cells for name, cells in columns.items() if name.strip()}, places


# ---- shapes --------------------------------------------------------------------------------------


def _rows_of(path: Path, whole: dict[str, Any], part: str) -> tuple[list[Any], str]:
    """Return the runs in an object, and a note on where they were found.

    Raises
    ------
    UsageError
        Where its shape is none that is read, or the runs may be in several places.
    """
    lists = {key: item for key, item in whole.items() if _is_list_of_objects(item)}
    if part and part not in lists:
        raise UsageError(
            f"{path.name} has no list of objects {part!r}{nearest(part, lists)}; it has "
            f"{first(map(repr, lists), 6) or 'none'}"
        )
    if part or len(lists) == 1:
        key = part or next(iter(lists))
        others = [other for other in whole if other != key]
        said = f"; beside it, not read: {first(map(repr, others), 4)}" if others else ""
        return whole[key], f"runs from {key!r}{said}"
    if len(lists) > 1:
        raise UsageError(
            f"{path.name} has several lists of objects, {first(map(repr, lists), 6)}: name the "
            f"runs', as {path.name}#{next(iter(lists))}"
        )
    if (rows := _shape(whole)) is not None:
        return rows, ""
    if any(isinstance(item, dict | list) for item in whole.values()) and not _is_run(whole):
        keys = first(map(repr, whole), 4)
        raise UsageError(f"{path.name} is one object with {keys}: expected {SHAPE}")
    return [whole], ""


def _shape(whole: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the runs of an object that is a whole table; None where it is none for certain."""
    if {"columns", "data"} <= whole.keys() <= {"columns", "index", "data"}:
        return _split(whole)
    items = list(whole.values())
    if items and all(isinstance(item, list) for item in items):
        even = len({len(item) for item in items}) == 1
        rows = zip(*items, strict=True) if even else ()
        return [dict(zip(whole, row, strict=True)) for row in rows] if even else None
    if _is_by_column(whole):
        index = dict.fromkeys(key for item in items for key in item)
        return [{name: column.get(key) for name, column in whole.items()} for key in index]
    objects = all(isinstance(item, dict) and item for item in items)
    if len(items) < 2 or not objects or _is_run(whole):
        return None
    return [row if {RUN, "id"} & row.keys() else {RUN: key, **row} for key, row in whole.items()]


def _split(whole: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rows of what pandas writes with ``orient="split"``."""
    names, data = whole["columns"], whole["data"]
    if not isinstance(names, list) or not isinstance(data, list):
        return None
    if not all(isinstance(row, list) and len(row) == len(names) for row in data):
        return None
    return [dict(zip(map(str, names), row, strict=True)) for row in data]


def _is_list_of_objects(item: object) -> bool:
    return isinstance(item, list) and bool(item) and all(isinstance(one, dict) for one in item)


def _is_run(whole: Mapping[str, Any]) -> bool:
    """Return whether an object of objects is one run: {"config": …, "summary": …}."""
    nests = {"results", "scores", "hyperparams", *NESTS}
    return any(key.lower() in nests and isinstance(item, dict) for key, item in whole.items())


def _is_by_column(whole: Mapping[str, Any]) -> bool:
    """Return whether an object has an object of index → cell for each column.

    The keys of the objects are digits, or the outer keys are names that columns have.
    """
    items = list(whole.values())
    if not items or not all(isinstance(item, dict) and item for item in items):
        return False
    if any(isinstance(cell, dict | list) for item in items for cell in item.values()):
        return False
    if all(key.isdigit() for item in items for key in item):
        return not all(map(str.isdigit, whole))
    inner = dict.fromkeys(key for item in items for key in item)
    return any(map(_is_column, whole)) and not any(map(_is_column, inner))


def _is_column(name: str) -> bool:
    found = parsed([name])[name]
    return canonical(name) in ROLES or is_known(found) or is_measured(found)


# ---- text ----------------------------------------------------------------------------------------


def _listed(content: Content) -> Iterator[Any]:
    """Yield the items of a list one after another: all at once they take much memory."""
    path, text = content.path, content.data.decode("utf-8-sig")
    decode = json.JSONDecoder().raw_decode
    at = _after_blanks(text, text.index("[") + 1)
    try:
        while text[at : at + 1] != "]":
            item, at = decode(text, at)
            yield item
            at = _after_blanks(text, at)
            if text[at : at + 1] == ",":
                at = _after_blanks(text, at + 1)
                if text[at : at + 1] == "]":
                    raise json.JSONDecodeError("a comma before the end", text, at)
            elif text[at : at + 1] != "]":
                raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        if text[at + 1 :].strip():
            raise json.JSONDecodeError("Extra data", text, at + 1)
    except json.JSONDecodeError as error:
        message = f"{path.name}, line {error.lineno}: not JSON ({error.msg})"
        raise UsageError(message) from error
    except (RecursionError, ValueError) as error:
        raise UsageError(f"{path.name} is not JSON that can be read ({error})") from error


def _after_blanks(text: str, at: int) -> int:
    found = _NOT_BLANK.search(text, at)
    return found.start() if found else len(text)


def _parsed_object(content: Content) -> dict[str, Any] | None:
    """Return the one object that a text is; None where it is several, or is broken.

    Raises
    ------
    UsageError
        Where the object is so large that it would not be held in memory.
    """
    try:
        whole = json.loads(content.data.decode("utf-8-sig")) if _is_small(content) else None
    except (RecursionError, ValueError):
        return None
    return whole if isinstance(whole, dict) else None


def _is_small(content: Content) -> bool:
    """Check that an object is not too large to be read at once; one of several is none."""
    first_line, _, rest = content.data.strip().partition(b"\n")
    several = rest and first_line.rstrip().endswith(b"}")
    if not several and len(content.data) > LARGEST_OBJECT:
        raise UsageError(
            f"{content.path.name} is one object of {len(content.data) / 2**20:,.0f} MiB: write "
            "one object for each run, one a line"
        )
    return len(content.data) <= LARGEST_OBJECT


def _is_one(data: bytes) -> bool:
    """Return whether text is one object: on one line, or spread over several."""
    first_line, _, rest = data.strip().partition(b"\n")
    return not rest or first_line.rstrip() in (b"{", b"\xef\xbb\xbf{")


def _lines(content: Content) -> Iterator[tuple[int, Any]]:
    path = content.path
    for place, data in enumerate(io.BytesIO(content.data), 1):
        line = data.decode("utf-8-sig").strip()
        if not line:
            continue
        try:
            item = json.loads(line)
        except (RecursionError, ValueError) as error:
            at, reason = place, str(getattr(error, "msg", error))
            if _is_one(content.data):
                at, reason = _broken(content.data.decode("utf-8-sig"), at, reason)
            raise UsageError(
                f"{path.name}, line {at}: not JSON ({reason}); expected {SHAPE}"
            ) from error
        yield place, item


def _broken(text: str, place: int, reason: str) -> tuple[int, str]:
    """Return the line at which a text is no longer one object, and why."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.lineno, error.msg
    except (RecursionError, ValueError):
        pass
    return place, reason


def _object(path: Path, unit: str, place: int, item: object) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise UsageError(
            f"{path.name}, {unit} {place}: {_short(item)} is not an object of column → value; "
            f"expected {SHAPE}"
        )
    return item


def _flat(path: Path, unit: str, place: int, row: dict[str, Any]) -> dict[str, object]:
    """Return a row with nested objects as columns of their own, named with dots."""
    flat: dict[str, object] = {}
    for name, item in flattened(row):
        if name in flat:
            raise UsageError(f"{path.name}, {unit} {place}: column {name!r} is there twice")
        flat[name] = item
    return flat


def flattened(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the cells of nested objects by their dotted names; a list becomes text."""
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


# ---- cells that hold dictionaries ----------------------------------------------------------------


def opened(table: Table) -> Table:
    """Open columns of dictionaries, such as ``config``, into columns like ``config.lr``.

    A column of anything else stays as it is. One whose keys are columns already, ``config.lr`` or
    as scikit-learn has them ``param_lr``, is left out: it says the same once more.
    """
    columns: dict[str, Sequence[object]] = {}
    aside: list[str] = []
    for name, cells in table.columns.items():
        inside = _inside(cells) if name in NESTS else None
        rows = [dict(flattened(row, f"{name}.")) for row in inside or ()]
        keys = dict.fromkeys(key for row in rows for key in row)
        outer = dict.fromkeys(key for row in inside or () for key in row)
        again = [f"{one}{key}" for key in outer for one in ("param_", "params_", f"{name}.")]
        if inside is None:
            columns[name] = cells
        elif any(column in table.columns for column in again):
            aside.append(name)
        else:
            columns |= {key: [row.get(key) for row in rows] for key in keys}
    return table.replaced(columns=columns, aside={SAID_AGAIN: tuple(aside)} if aside else {})


def _inside(cells: Iterable[object]) -> list[dict[str, Any]] | None:
    """Return the dictionaries [rows] that cells hold; None where any holds something else."""
    found: list[dict[str, Any]] = []
    for cell in cells:
        text = str(cell or "{}").strip() or "{}"
        if not text.startswith("{") or (row := _dictionary(text)) is None:
            return None
        found.append(row)
    return found if any(found) else None


def _dictionary(text: str) -> dict[str, Any] | None:
    """Return a dictionary that is written as JSON or as Python; None where it is neither."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        try:
            row = ast.literal_eval(_WORD.sub(r"'\1'", text))
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return None
    return {str(key): item for key, item in row.items()} if isinstance(row, dict) else None
