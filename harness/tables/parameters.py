"""Tell which columns of a table are parameters, and say of the others why they are not."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness import words
from harness.errors import UnclearTableError, UsageError
from harness.records import Value, is_number
from harness.tables import trackers
from harness.tables.columns import MOST_NAMED, ROLES, SETTINGS, Columns, ReadOptions, resolve
from harness.tables.naming import Kind, Name, is_known
from harness.tables.table import Table, is_numeric
from harness.tables.trackers import Tracker, is_bookkeeping
from harness.text import first, listed

_KINDS: dict[Kind, str] = {
    "measurement": "measurements",
    "attribute": "attributes of the runs",
    "bookkeeping": "bookkeeping",
}

BOOKKEEPING = "bookkeeping"
MEASURES = "looks measured"
COUNTING = "counts the rows"
"""Reasons why columns are no parameters."""

COUNTED = 8
"""The least rows for what the values of a column say: that it counts rows or copies the metric."""

DIFFERING, ALIKE, BEYOND_CHANCE = 0.8, 0.8, 3.0
"""Most values differ; a rank correlation of this size, and this many SDs from none, is a copy's."""

MOST_RANKED = 5_000
"""The rows of a long table, evenly apart, that tell whether a column copies the metric."""

MANY_ROWS = 10
"""In a table of this many rows, a column with another text in every row is a name of the run."""


def find_parameters(
    table: Table, columns: Columns, options: ReadOptions, outcome: Sequence[str]
) -> Columns:
    """Add the parameters, the columns to group by, and the ignored ones.

    ``outcome`` are the columns that the runs are judged by, the metric's first.

    Raises
    ------
    UsageError
        Where a column has two uses, two columns are one parameter, or parameters and measurements
        cannot be told apart.
    """
    names, file = columns.names, table.path.name
    by = {}
    for wanted in options.by:
        raw = resolve(table, names, wanted, ("plain", "parameter"))
        if raw in outcome:
            raise UsageError(f"--by {wanted} is what {file} is judged by: name another column")
        by[names[raw].canonical] = raw
    taken = {*columns.roles.values(), *outcome, *by.values()} | {columns.run}
    if options.params:
        chosen = [resolve(table, names, name, SETTINGS) for name in options.params]
        for raw in chosen:
            if raw in outcome or raw in by.values():
                flag = "--by" if raw in by.values() else "what the runs are judged by"
                raise UsageError(f"--params {raw} is {flag} too: a column has one use")
        rest = tuple(raw for raw in names if raw not in taken and raw not in chosen)
        ignored = {"not named by --params": rest} if rest else {}
        return replace(columns, parameters=_by_name(table, names, chosen), by=by, ignored=ignored)
    chosen, others = [], dict[str, list[str]]()
    prefixed = [n.raw for n in names.values() if n.kind == "parameter" and n.raw not in taken]
    for raw, name in names.items():
        if raw not in taken:
            reason = _why_not(table, columns, name, prefixed)
            (chosen if reason is None else others.setdefault(reason, [])).append(raw)
    if columns.tracker is not None and columns.tracker.mixes and not prefixed:
        _refuse_to_guess(table, names, columns.tracker, chosen)
    found = _by_name(table, names, chosen)
    same = [raw for raw in chosen if raw not in found.values()]
    if same:
        others["the same as another column"] = same
    for raw in list(found.values()) if len(found) > 1 else ():
        if _counts_rows(table, names[raw]):
            others.setdefault(COUNTING, []).append(raw)
            del found[names[raw].canonical]
    _ask_of_copies(table, names, found, outcome[0])
    ignored = {reason: tuple(raws) for reason, raws in others.items()}
    return replace(columns, parameters=found, by=by, ignored=ignored)


def _why_not(table: Table, columns: Columns, name: Name, prefixed: Collection[str]) -> str | None:
    """Return why a column is no parameter; None where it is one."""
    tracker = columns.tracker
    if tracker is trackers.OURS:
        return None if name.kind == "parameter" else BOOKKEEPING
    if name.raw.startswith("params.") and f"param_{name.bare.split('.')[0]}" in columns.names:
        return "the same as columns param_…"
    reason = _KINDS.get(name.kind)
    ours = name.canonical in ROLES and name.canonical not in ("prompts", "samples", "steps")
    if reason is None and name.canonical == "status" and name.kind == "plain":
        return "a status in words that do not say how a run ended"
    if reason is None and (ours or is_bookkeeping(name, tracker if name.kind == "plain" else None)):
        reason = BOOKKEEPING
    if reason is None and name.kind == "plain":
        meant = words.sense(name.canonical, name.bare)
        if meant == "index":
            reason = COUNTING
        elif meant in ("measurement", "progress"):
            reason = _measured(name, table.values(name.raw))
        if reason is None and prefixed:
            reason = f"not marked as parameters, as {next(iter(prefixed))} is"
    return _why_not_by_cells(table, name, tracker) if reason is None else reason


def _measured(name: Name, cells: Iterable[Value]) -> str | None:
    """Return why a column with a measurement's name is none of a parameter; None where it may be.

    Text is a setting's (`loss` = "hinge"), unless it begins with a number: "0.81 ± 0.02". So are
    true and false (`return_sequences`), unless they say what became of a run (`oom`).
    """
    known = [item for item in cells if item is not None]
    if all(isinstance(item, str) for item in known):
        numbers = sum(re.match(r"[-+]?\d*\.\d", str(item)) is not None for item in known)
        return "looks measured, and is no number" if numbers and 2 * numbers > len(known) else None
    flags = all(isinstance(item, bool) for item in known)
    ends = words.FLAGS.intersection(words.tokens(name.canonical))
    return None if flags and not ends else MEASURES


def _counts_rows(table: Table, name: Name) -> bool:
    """Return whether a column of no known name counts the rows, from 0 or 1."""
    if name.kind != "plain" or words.sense(name.canonical, name.bare) == "setting":
        return False
    cells, n = table.values(name.raw), len(table)
    return n >= COUNTED and any(cells == list(range(start, start + n)) for start in (0, 1))


def _ask_of_copies(
    table: Table, names: Mapping[str, Name], found: Mapping[str, str], metric: str
) -> None:
    """Raise an error where a column of no known name ranks the runs almost as the metric does.

    It may be measured with the metric and say nothing of settings. A column with few values is a
    setting, and so is the only one there is.
    """
    if len(found) < 2:
        return
    level = table.values(metric)
    copies = [
        raw
        for raw in found.values()
        if names[raw].kind == "plain"
        and words.sense(names[raw].canonical, names[raw].bare) == "unknown"
        and is_numeric(table.values(raw))
        and _is_copy(table.values(raw), level)
    ]
    if copies:
        rest = [raw for raw in found.values() if raw not in copies]
        verb = "ranks" if len(copies) == 1 else "rank"
        raise UnclearTableError(
            f"{table.path.name}: {listed(map(repr, copies))} {verb} the runs almost as {metric} "
            "does, and the name does not say whether it was set or measured: leave it out, or name "
            "the parameters",
            [
                ("--ignore", _listed(names, copies)),
                ("--params", _listed(names, [*rest, *copies])),
            ],
        )


def _listed(names: Mapping[str, Name], columns: Iterable[str]) -> str:
    """Return columns as an option takes them: by their names here, which have no comma."""
    return ",".join(dict.fromkeys(names[raw].canonical for raw in columns))


def _is_copy(cells: Sequence[Value], metric: Sequence[Value]) -> bool:
    every = max(1, len(cells) // MOST_RANKED)
    cells, metric = cells[::every], metric[::every]
    pairs = [(x, y) for x, y in zip(cells, metric, strict=True) if is_number(x) and is_number(y)]
    both = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    both = both[np.isfinite(both).all(axis=1)]
    n = len(both)
    if n < COUNTED or any(len(np.unique(both[:, i])) < DIFFERING * n for i in (0, 1)):
        return False
    # Nearly all values differ, so that the few ties may be ranked in any order.
    ranks = both.argsort(axis=0).argsort(axis=0)
    rho = abs(np.corrcoef(ranks[:, 0], ranks[:, 1])[0, 1])
    return bool(rho >= ALIKE and rho * math.sqrt(n - 1) >= BEYOND_CHANCE)


def _why_not_by_cells(table: Table, name: Name, tracker: Tracker | None) -> str | None:
    """Return why the cells of a column are no parameter's; None where they may be."""
    table.check(name.raw)
    found = [item for item in table.values(name.raw) if item is not None]
    texts = [item for item in found if isinstance(item, str)]
    if not found:
        return "empty"
    if tracker is not None and tracker.mixes and len(set(found)) == 1 and _is_unknown(table, name):
        return "the same in every run, and maybe measurements"
    if len(texts) < len(found):
        return None
    # A blank among them does not make a name of the run its parameter.
    if len(set(texts)) == len(texts) and len(table) >= MANY_ROWS and 2 * len(texts) > len(table):
        return "another text in every row"
    what = trackers.place_or_time(texts)
    # What several runs share was chosen for them, as the model to start from is.
    shared = len(set(texts)) > 1 and 2 * len(set(texts)) <= len(texts)
    return None if what == "paths" and shared else what


def _refuse_to_guess(
    table: Table, names: Mapping[str, Name], tracker: Tracker, chosen: Collection[str]
) -> None:
    """Raise an error where columns may be either parameters or measurements."""
    unknown = [raw for raw in chosen if _is_unknown(table, names[raw])]
    if unknown:
        which = "may be either" if len(unknown) > 1 else "may be one or the other"
        raise UnclearTableError(
            f"{table.path.name} is an export of {tracker.name}, where parameters and measurements "
            f"look alike: {first(map(repr, unknown), MOST_NAMED)} {which}; leave out what was "
            "measured, or name the parameters",
            [("--ignore", _listed(names, unknown)), ("--params", _listed(names, chosen))],
        )


def _is_unknown(table: Table, name: Name) -> bool:
    """Return whether a column may be either: it has numbers, or a name like those of logs."""
    known = name.kind != "plain" or is_known(name)
    return not known and ("/" in name.bare or is_numeric(table.values(name.raw)))


def _by_name(table: Table, names: Mapping[str, Name], chosen: Iterable[str]) -> dict[str, str]:
    """Return canonical name → column, the first of columns that are equal."""
    found: dict[str, str] = {}
    for raw in chosen:
        name = names[raw].canonical
        other = found.setdefault(name, raw)
        if other != raw and table.values(other) != table.values(raw):
            raise UnclearTableError(
                f"{table.path.name}: the columns {other!r} and {raw!r} are both {name}, and they "
                "differ: name the parameters with --params, one of the two among them"
            )
    return found
