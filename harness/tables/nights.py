"""Read the metrics of one night, and those of the nights before, from files of JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness import words
from harness.errors import UsageError, first_sentence
from harness.files import replacing
from harness.tables.columns import MEASURED
from harness.tables.naming import parsed
from harness.text import printable
from harness.words import Direction

DATES = ("date", "datetime", "timestamp", "time", "night", "day", "created_at", "finished_at")
"""Fields at the top of a file that may say when its night was, the first of them that does."""

LARGEST = 1e150
"""Numbers of this size count as infinite: their squares are."""

LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Night:
    """The metrics of a night by dotted name, all finite.

    ``others`` are values that are no number of use, each with what it is: ``null``, ``text``.
    ``date`` is in seconds since 1970 by a field of the file, None where no field says it. ``text``
    is all that the file holds.
    """

    name: str
    file: Path
    text: str
    metrics: Mapping[str, float]
    others: Mapping[str, str] = field(default_factory=dict)
    date: float | None = None

    def says(self, metric: str) -> str:
        """Return what the night has in place of a number for ``metric``."""
        return self.others.get(metric, "missing")


@dataclass(frozen=True, slots=True)
class History:
    """Nights in their order, the latest last.

    They are in it by the ``date`` that all files have, or by ``name``. ``same`` is a night that was
    left out since it is the one to be judged.
    """

    nights: tuple[Night, ...]
    by: str
    same: str = ""


def read_night(file: Path) -> Night:
    """Read a night from an object of JSON, flat or nested, of which numbers are metrics.

    Raises
    ------
    UsageError
        Where there is no such file, or it is not such an object.
    """
    try:
        return night(file, file.read_text("utf-8-sig"))
    except IsADirectoryError:
        raise UsageError(f"{file} is a folder; give the JSON file of one night's metrics") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no text in UTF-8, so no JSON: mend or remove it") from None


def night(file: Path, text: str) -> Night:
    """Return the night that ``text`` holds, an object of JSON; ``file`` is what it is called.

    Raises
    ------
    UsageError
        Where it is not such an object.
    """
    try:
        data = json.loads(text, object_pairs_hook=_each_once)
        if not isinstance(data, dict):
            raise UsageError(
                f'it holds no object of names and numbers, such as {{"accuracy": 0.81}}, but '
                f"{_shortened(text)}"
            )
        leaves = _each_once([(printable(name), value) for name, value in _leaves(data)])
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None
    except RecursionError:
        raise UsageError(f"{file}: its JSON is nested too deeply to be read") from None
    except ValueError as error:
        raise UsageError(f"{file} is no JSON: {first_sentence(error)}; mend or remove it") from None
    metrics, others = dict[str, float](), dict[str, str]()
    for name, value in leaves.items():
        if name in DATES:
            continue
        number, what = _number(value)
        if what:
            others[name] = what
        else:
            metrics[name] = number
    return Night(printable(file.stem), file, text, metrics, others, _date(leaves))


def read_history(folder: Path, tonight: Night) -> History:
    """Read the nights of ``folder``: its files ``*.json``, in their order.

    The order is by a date at the top of the file where every one has it, and else by the names,
    numbers in them by their value. It is never by the files' own times, which copies and checkouts
    change. A file that is ``tonight``'s own, or the same to the last byte as it and the latest, is
    left out.

    Raises
    ------
    UsageError
        Where there is no such folder, a file cannot be read, or a night is later than tonight.
    """
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "is not there"
        raise UsageError(f"--history {folder} {what}; give a folder with a JSON file a night")
    files = sorted((f for f in folder.glob("*.json") if f.is_file()), key=_by_name)
    nights = [read_night(file) for file in files]
    by = "name"
    if nights and all(one.date is not None for one in nights):
        by = "date"
        nights.sort(key=lambda one: one.date or 0.0)
    here = tonight.file.resolve()
    same = next((one for one in nights if one.file.resolve() == here), None)
    if same is None and nights and nights[-1].text == tonight.text:
        same = nights[-1]
    later = nights[-1] if nights else None
    if by == "date" and later is not same and later is not None and tonight.date is not None:
        later = later if (later.date or 0.0) > tonight.date else None
    elif same is None:
        later = None
    if later is not same and later is not None:
        raise UsageError(
            f"{later.file} is later than {tonight.file}, by {by}; the night to be judged must be "
            f"the latest"
        )
    nights = [one for one in nights if one is not same]
    return History(tuple(nights), by, same.file.name if same else "")


def keep(tonight: Night, history: History, folder: Path, now: datetime) -> Path:
    """Write ``tonight`` into the folder of the history, as its latest night, and return the file.

    It is called by the date that it has, or else ``now``; with the time where there is such a file.
    A night that the history has already is not written again.

    Raises
    ------
    UsageError
        Where it would not be the latest by name, or cannot be written.
    """
    if history.same:
        return folder / history.same
    when = now if tonight.date is None else datetime.fromtimestamp(tonight.date, UTC)
    stems = when.strftime("%Y-%m-%d"), when.strftime("%Y-%m-%dT%H%M%S")
    files = [folder / f"{stem}.json" for stem in stems]
    file = next((one for one in files if not one.exists()), None)
    if file is None:
        raise UsageError(f"--keep: {files[-1]} is there already")
    dated = history.by == "date" and tonight.date is not None
    if history.nights and not dated and _by_name(file) < _by_name(history.nights[-1].file):
        raise UsageError(
            f"--keep: {file.name} would not be the latest, by name, after "
            f"{history.nights[-1].file.name}; name the nights by date, or give each a field "
            f'"date" such as "2026-01-31"'
        )
    try:
        with replacing(file) as (part,):
            part.write_text(tonight.text, "utf-8")
    except OSError as error:
        raise UsageError(f"--keep: {file} cannot be written: {error.strerror}") from None
    return file


def plain_direction(metric: str) -> Direction | None:
    """Return whether more or less of a metric is better, where its name says so plainly.

    The words are those of `words.direction`. Names of settings, spreads, folds and progress are
    those of no metric: ``loss_weight``, ``accuracy_std``, ``split0_accuracy``, ``epoch``.
    """
    name = parsed([metric])[metric]
    called = name.canonical
    if words.is_spread(called) or words.is_fold(called) or name.kind not in MEASURED:
        return None
    if words.sense(called, name.bare) in ("setting", "progress", "index"):
        return None
    return words.direction(called)


def _by_name(file: Path) -> tuple[tuple[int, int, str], ...]:
    """Order ``night-9`` before ``night-10``."""
    parts = re.findall(r"\d+|\D+", file.stem)
    return tuple((1, int(p), "") if p.isdecimal() else (0, 0, p.casefold()) for p in parts)


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise UsageError(f"{name!r} stands there twice; keep one")
        found[name] = value
    return found


def _leaves(data: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _number(value: object) -> tuple[float, str]:
    """Return a number, or what it is that is none."""
    if isinstance(value, bool):
        return math.nan, "true or false"
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if abs(number) < LARGEST:
            return number, ""
        return number, "NaN" if math.isnan(number) else "infinite"
    if value is None:
        return math.nan, "null"
    return math.nan, "a list" if isinstance(value, list) else "text"


def _date(leaves: Mapping[str, object]) -> float | None:
    """Return when a night was, by a date in ISO 8601 or, as ``timestamp``, seconds since 1970."""
    for name in DATES:
        value = leaves.get(name)
        if name == "timestamp" and not isinstance(value, bool) and isinstance(value, int | float):
            return float(value) if 0.0 <= value < LATEST else None
        if isinstance(value, str):
            try:
                when = datetime.fromisoformat(value.strip())
            except ValueError:
                continue
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return None


def _shortened(text: str) -> str:
    line = printable(" ".join(text[:60].split()))
    return line if len(text) <= 40 else f"{line[:40]}…"
