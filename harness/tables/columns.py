"""Find the role of each column of a table: ids, outcomes, settings, bookkeeping."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from harness.errors import UnclearTableError, UsageError, nearest
from harness.records import Value, is_number
from harness.tables import trackers, words
from harness.tables.naming import Kind, Name, is_known, parsed
from harness.tables.table import Table, identity, is_numeric
from harness.tables.trackers import Tracker, is_bookkeeping
from harness.text import first, listed

MEASURED: tuple[Kind, ...] = ("plain", "measurement", "attribute")
SET: tuple[Kind, ...] = ("plain", "parameter", "attribute", "bookkeeping")
PLAIN: tuple[Kind, ...] = ("plain",)
SETTINGS: tuple[Kind, ...] = ("parameter",)

_KINDS: dict[Kind, str] = {
    "measurement": "measurements",
    "attribute": "attributes of the runs",
    "bookkeeping": "bookkeeping",
}

ROLES: dict[str, tuple[str, tuple[Kind, ...]]] = {
    "arm": ("arm", SET),
    "pair": ("pair", SET),
    "status": ("status state", PLAIN),
    "seed": ("seed random_seed rng_seed run_seed", SET),
    "steps": ("steps train_steps training_steps total_steps max_steps step", SET),
    "delta_perf": ("delta_perf", MEASURED),
    "delta_perf_se": ("delta_perf_se", MEASURED),
    "train_delta_perf": ("train_delta_perf train.delta_perf", MEASURED),
    "perf_before": ("perf_before", MEASURED),
    "perf_after": ("perf_after", MEASURED),
    "prompts": ("prompts", MEASURED),
    "samples": ("samples", MEASURED),
    "prompts_changed": ("prompts_changed", MEASURED),
}
"""Role → its canonical names, the likeliest first, and the kinds of column that may have it.

``prompts``, ``samples`` and ``prompts_changed`` are roles only in a table with standard errors;
elsewhere they may be anything.
"""

IDS = ("run", "run_id", "id", "run_uuid", "trial_id")
"""Names of columns that identify a run; those of `NAMES` only where every row has its own."""

NAMES = ("name", "run_name", "trial_name", "trial")

MOST_NAMED = 6
"""The most columns that a message names."""

BOOKKEEPING = "bookkeeping"
MEASURES = "looks measured"
COUNTING = "counts the rows"
"""Reasons why columns are no parameters."""

COUNTED = 8
"""The least rows for what the values of a column say: that it counts rows or copies the metric."""

DIFFERING, ALIKE, BEYOND_CHANCE = 0.8, 0.8, 3.0
"""Most values differ; a rank correlation of this size, and this many SDs from none, is a copy's."""

MANY_ROWS = 10
"""In a table of this many rows, a column with another text in every row is a name of the run."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The user's options of reading a table.

    ``params``, ``ignore``, ``before``, ``after``, ``metric`` and ``by`` are columns, with or
    without the prefix they have in the table. ``ignore`` are left out, and must be there unless
    ``may_lack`` says that the table may have fewer. A success passes ``target``, a value of the
    metric. ``curves`` is a long table of ``run``, ``step``, ``perf`` and optionally ``se``. With
    ``every_budget`` runs stay that were not trained as long as those that are compared.
    """

    params: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    may_lack: bool = False
    before: str | None = None
    after: str | None = None
    metric: str | None = None
    direction: Literal["max", "min"] | None = None
    target: float | None = None
    by: tuple[str, ...] = ()
    curves: Path | None = None
    every_budget: bool = False


NOTHING = ReadOptions()
"""Without options every column is recognised by its name."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The use of each column of a table, by its name in the table.

    ``roles`` are role → column, ``parameters`` and ``by`` canonical name → column, ``ignored``
    a reason → columns.
    """

    names: Mapping[str, Name]
    tracker: Tracker | None
    run: str | None
    roles: Mapping[str, str]
    parameters: Mapping[str, str] = field(default_factory=dict)
    by: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def resolve(table: Table, names: Mapping[str, Name], wanted: str, prefer: Collection[Kind]) -> str:
    """Return the column that the user calls ``wanted``, with its prefix or without.

    If several have that name, those of the kinds to ``prefer`` come first.

    Raises
    ------
    UsageError
        Where there is none, or more than one.
    """
    if wanted in names:
        return wanted
    called = parsed([wanted])[wanted].canonical
    found = [name for name in names.values() if name.canonical == called]
    if not found:
        found = [name for name in names.values() if name.canonical.endswith(f".{called}")]
    preferred = [name for name in found if name.kind in prefer] or found
    if len(preferred) == 1:
        return preferred[0].raw
    if preferred:
        listed = ", ".join(repr(name.raw) for name in preferred)
        raise UsageError(
            f"{table.path.name}: {wanted!r} may be any of {listed}: give the whole name"
        )
    known = [text for name in names.values() for text in (name.raw, name.bare, name.canonical)]
    near = nearest(wanted, known) or f"; it has {first(map(repr, names), MOST_NAMED)}"
    raise UsageError(f"{table.path.name} has no column {wanted!r}{near}")


def without_ignored(table: Table, options: ReadOptions) -> tuple[Table, tuple[str, ...]]:
    """Return a table without the columns that the user leaves out, and their names.

    Raises
    ------
    UsageError
        Where there is no such column, or the user gives it a use too.
    """
    names = parsed(table.columns)
    left_out = []
    for wanted in options.ignore:
        try:
            left_out.append(resolve(table, names, wanted, PLAIN))
        except UsageError:
            if not options.may_lack:
                raise
    kept_names = {name.canonical for raw, name in names.items() if raw not in left_out}
    gone = {names[raw].canonical for raw in left_out} - kept_names
    ends = (options.metric, options.before, options.after)
    for wanted in (*options.params, *options.by, *filter(None, ends)):
        if wanted in left_out or parsed([wanted])[wanted].canonical in gone:
            raise UsageError(f"--ignore leaves {wanted!r} out, which another option names")
    kept = {name: cells for name, cells in table.columns.items() if name not in left_out}
    return replace(table, columns=kept, _values={}), tuple(dict.fromkeys(left_out))


def find_roles(table: Table, options: ReadOptions) -> Columns:
    """Find the columns that identify the run of a row, and those that were measured."""
    names = parsed(table.columns)
    tracker = trackers.recognised(names)
    params = {resolve(table, names, name, SETTINGS) for name in options.params}
    roles: dict[str, str] = {}
    for role, (called, kinds) in ROLES.items():
        for name in called.split():
            found = [
                raw
                for kind in kinds
                for raw, parts in names.items()
                if parts.canonical == name and parts.kind == kind
                if raw not in params or kinds == MEASURED
            ]
            # Under another name than the role's own, the cells must look like it too.
            kept = tracker is not None and tracker.keeps.issuperset(found)
            if name != role or role == "status":
                every = name != role
                found = [raw for raw in found if kept or _suits(role, table.values(raw), every)]
            if role == "delta_perf" and len(found) > 1 and not (options.metric or options.after):
                listed = ", ".join(map(repr, found))
                raise UnclearTableError(
                    f"{table.path.name}: any of {listed} may be ΔPerf; name one with --metric"
                )
            if found:
                roles[role] = found[0]
                break
    if "delta_perf_se" not in roles:
        for role in ("prompts", "samples", "prompts_changed"):
            roles.pop(role, None)
    if "steps" not in roles and tracker is not None and tracker.iterations in names:
        roles["steps"] = str(tracker.iterations)
    return Columns(names, tracker, _id_column(table, names, tracker, params), roles)


def _suits(role: str, cells: Iterable[Value], every: bool) -> bool:
    """Return whether cells fit a role: a `state` may be "Ohio", and `max_steps` −1 for no limit.

    A status of which no word is known says nothing of how a run ended. ``every`` word must be known
    where the column has not the role's own name.
    """
    known = {item for item in cells if item is not None}
    if role == "status":
        are_states = [isinstance(item, str) and bool(trackers.state(item)) for item in known]
        return all(are_states) if every else any(are_states) or not known
    if role == "steps":
        return all(is_number(item) and item >= 1 and item % 1 == 0 for item in known)
    return True


def _id_column(
    table: Table, names: Mapping[str, Name], tracker: Tracker | None, params: Collection[str]
) -> str | None:
    """Return the column that identifies runs, None where there is none."""
    plain = {name.canonical: raw for raw, name in names.items() if name.kind == "plain"}
    own = [raw for raw in (tracker.ids if tracker else ()) if raw in names]
    for raw in (*own, *(plain[name] for name in (*IDS, *NAMES) if name in plain)):
        if raw in params:
            continue
        if names[raw].canonical not in NAMES:
            return raw
        called = [identity(cell) for cell in table.columns[raw]]
        if all(called) and len(set(called)) == len(called):
            return raw
    return None


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
            reason = _measured(table.values(name.raw))
        if reason is None and prefixed:
            reason = f"not marked as parameters, as {next(iter(prefixed))} is"
    return _why_not_by_cells(table, name, tracker) if reason is None else reason


def _measured(cells: Iterable[Value]) -> str | None:
    """Return why a column with a measurement's name is none of a parameter; None where it may be.

    Text is a setting's (`loss` = "hinge"), unless it begins with a number: "0.81 ± 0.02".
    """
    known = [item for item in cells if item is not None]
    if all(isinstance(item, str) for item in known):
        numbers = sum(re.match(r"[-+]?\d*\.\d", str(item)) is not None for item in known)
        return "looks measured, and is no number" if numbers and 2 * numbers > len(known) else None
    return MEASURES


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
                ("--ignore", ",".join(copies)),
                ("--params", ",".join([*rest, *copies])),
            ],
        )


def _is_copy(cells: Sequence[Value], metric: Sequence[Value]) -> bool:
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
    return trackers.place_or_time(texts)


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
            [("--ignore", ",".join(unknown)), ("--params", ",".join([*chosen]))],
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
