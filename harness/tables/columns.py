"""Find the role of each column of a table: ids, outcomes, settings, bookkeeping."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from harness.errors import UnclearTableError, UsageError, nearest
from harness.records import Value, is_number
from harness.tables import trackers
from harness.tables.naming import Kind, Name, parsed
from harness.tables.table import Table, identity
from harness.tables.trackers import Tracker
from harness.text import first

MEASURED: tuple[Kind, ...] = ("plain", "measurement", "attribute")
SET: tuple[Kind, ...] = ("plain", "parameter", "attribute", "bookkeeping")
PLAIN: tuple[Kind, ...] = ("plain",)
SETTINGS: tuple[Kind, ...] = ("parameter",)

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

NAMES = ("name", "run_name", "trial_name", "trial", "exp", "experiment", "commit")

MOST_NAMED = 6
"""The most columns that a message names."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The user's options of reading a table.

    ``params``, ``ignore``, ``before``, ``after``, ``metric`` and ``by`` are columns, with or
    without the prefix they have in the table. ``ignore`` are left out, and must be there unless
    ``may_lack`` says that the table may have fewer. A success passes ``target``, a value of the
    metric. ``curves`` is the source of a long table of ``run``, ``step``, ``perf`` and optionally
    ``se``; ``at`` is a step of the curves to judge runs at. In logs of evaluations ``clusters`` is
    the field of an item that names its cluster, and ``before_log`` the model or the id of those
    that were made before training. With ``every_budget`` runs stay that
    were not trained as long as those that are compared.
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
    curves: Any = None
    at: int | None = None
    clusters: str | None = None
    before_log: str | None = None
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


def as_stored(table: Table, options: ReadOptions) -> ReadOptions:
    """Return the options with the metric and the direction that a tracker's store has."""
    if not table.directions or options.before or options.after:
        return options
    if options.metric is None and len(table.directions) == 1:
        options = replace(options, metric=next(iter(table.directions)))
    if options.direction is None and options.metric in table.directions:
        return replace(options, direction=table.directions[str(options.metric)])
    return options


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
    return table.replaced(columns=kept), tuple(dict.fromkeys(left_out))


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
