"""Which column of a table is what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from harness.errors import UnclearTableError, UsageError, nearest
from harness.records import Value
from harness.tables import trackers
from harness.tables.asked import Asked
from harness.tables.cells import identity, is_number, is_numeric
from harness.tables.naming import Kind, Name, is_known, is_measured, parsed
from harness.tables.table import Table
from harness.tables.trackers import Tracker, is_bookkeeping

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
"""Role → the canonical names that have it, the likeliest first, and the kinds of column that may.

``prompts``, ``samples`` and ``prompts_changed`` are those of an evaluation beside its standard
error only: elsewhere they may be anything.
"""

IDS = ("run", "run_id", "id", "run_uuid", "trial_id")
"""Names of columns that identify a run. Those of `NAMES` do where every row has another."""

NAMES = ("name", "run_name", "trial_name", "trial")

MANY_ROWS = 10
"""From so many rows on a text that is another one in every row names the run."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What each column of a table is, by the names as they stand in it.

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

    Of several that are so called, the one of the kinds to ``prefer``.

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
    near = nearest(wanted, known) or f"; it has {_some(list(names))}"
    raise UsageError(f"{table.path.name} has no column {wanted!r}{near}")


def find_roles(table: Table, asked: Asked) -> Columns:
    """Return the columns that say which run a row is, and what was measured of it."""
    names = parsed(table.columns)
    tracker = trackers.recognised(names)
    params = {resolve(table, names, name, SETTINGS) for name in asked.params}
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
            # A name that is not the role's own is not enough: its cells must look like it.
            if name != role and not (tracker is not None and tracker.keeps.issuperset(found)):
                found = [raw for raw in found if _suits(role, table.values(raw))]
            if role == "delta_perf" and len(found) > 1 and not (asked.metric or asked.after):
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


def _suits(role: str, cells: Iterable[Value]) -> bool:
    """Whether cells are what a role needs.

    A `state` may be a state of the United States, and `max_steps` −1 for "as many as it takes".
    """
    known = {item for item in cells if item is not None}
    if role == "status":
        return all(isinstance(item, str) and trackers.state(item) for item in known)
    if role == "steps":
        return all(is_number(item) and item >= 1 and item % 1 == 0 for item in known)
    return True


def _id_column(
    table: Table, names: Mapping[str, Name], tracker: Tracker | None, params: Collection[str]
) -> str | None:
    """Return the column that tells runs apart, None where there is none."""
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
    table: Table, columns: Columns, asked: Asked, outcome: Collection[str]
) -> Columns:
    """Return the columns with their parameters, those to judge by, and what is ignored.

    ``outcome`` are the columns that the runs are judged by.

    Raises
    ------
    UsageError
        Where a column is named twice over, two columns would be one parameter, or parameters and
        measurements cannot be told apart.
    """
    names, file = columns.names, table.path.name
    by = {}
    for wanted in asked.by:
        raw = resolve(table, names, wanted, ("plain", "parameter"))
        if raw in outcome:
            raise UsageError(f"--by {wanted} is what {file} is judged by: name another column")
        by[names[raw].canonical] = raw
    taken = {*columns.roles.values(), *outcome, *by.values()} | {columns.run}
    if asked.params:
        chosen = [resolve(table, names, name, SETTINGS) for name in asked.params]
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
            reason = _why_not(table, name, columns.tracker, prefixed)
            (chosen if reason is None else others.setdefault(reason, [])).append(raw)
    if columns.tracker is not None and columns.tracker.mixes and not prefixed:
        _refuse_to_guess(table, names, columns.tracker, chosen)
    found = _by_name(table, names, chosen)
    same = [raw for raw in chosen if raw not in found.values()]
    if same:
        others["the same as another column"] = same
    ignored = {reason: tuple(raws) for reason, raws in others.items()}
    return replace(columns, parameters=found, by=by, ignored=ignored)


def _why_not(
    table: Table, name: Name, tracker: Tracker | None, prefixed: Collection[str]
) -> str | None:
    """Return why a column is no parameter; None where it is one."""
    if tracker is trackers.OURS:
        return None if name.kind == "parameter" else "bookkeeping"
    reason = _KINDS.get(name.kind)
    ours = name.canonical in ROLES and name.canonical not in ("prompts", "samples")
    if reason is None and (ours or is_bookkeeping(name, tracker if name.kind == "plain" else None)):
        reason = "bookkeeping"
    if reason is None and name.kind == "plain":
        if is_measured(name) and is_numeric(table.values(name.raw)):
            reason = "measurements"
        elif prefixed:
            reason = f"not marked as parameters, as {next(iter(prefixed))} is"
    return _why_not_by_cells(table, name, tracker) if reason is None else reason


def _why_not_by_cells(table: Table, name: Name, tracker: Tracker | None) -> str | None:
    """Return why what stands in a column is no parameter; None where it is one."""
    found = [item for item in table.values(name.raw) if item is not None]
    texts = [item for item in found if isinstance(item, str)]
    if not found:
        return "empty"
    if tracker is not None and tracker.mixes and len(set(found)) == 1 and _is_unknown(table, name):
        return "the same in every run, and maybe measurements"
    if len(texts) < len(found):
        return None
    if len(set(texts)) == len(table) >= MANY_ROWS:
        return "another text in every row"
    return trackers.place_or_time(texts)


def _refuse_to_guess(
    table: Table, names: Mapping[str, Name], tracker: Tracker, chosen: Collection[str]
) -> None:
    """Raise where columns may be parameters or measurements."""
    unknown = [raw for raw in chosen if _is_unknown(table, names[raw])]
    if unknown:
        sure = [names[raw].canonical for raw in chosen if raw not in unknown][:4] or ["COL"]
        which = "may be either" if len(unknown) > 1 else "may be one or the other"
        raise UnclearTableError(
            f"{table.path.name} is an export of {tracker.name}, where parameters and measurements "
            f"look alike: {_some(unknown)} {which}; name the parameters: "
            f"--params {','.join(dict.fromkeys(sure))},…"
        )


def _is_unknown(table: Table, name: Name) -> bool:
    """Whether a column may be a parameter or a measurement: of numbers, or logged by its name."""
    known = name.kind != "plain" or is_known(name)
    return not known and ("/" in name.bare or is_numeric(table.values(name.raw)))


def _by_name(table: Table, names: Mapping[str, Name], chosen: Iterable[str]) -> dict[str, str]:
    """Return canonical name → column; of columns that say the same under one name the first."""
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


def _some(columns: Collection[str], most: int = 6) -> str:
    """Return the names of columns in words, the first ``most`` of them."""
    listed = ", ".join(map(repr, list(columns)[:most]))
    more = len(columns) - most
    return listed if more <= 0 else f"{listed} and {more} more"
