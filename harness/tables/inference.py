"""Find what the runs of a table are judged by, where its columns say so by their names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from harness import words
from harness.errors import UnclearMetricError
from harness.tables import trackers
from harness.tables.columns import MEASURED, Columns
from harness.tables.naming import Name
from harness.tables.table import Table, is_numeric
from harness.tables.trackers import is_bookkeeping
from harness.text import first
from harness.words import Direction

MOST_COMMANDS = 8
"""The most commands that are offered."""

VALUES = (
    *("value", "objective", "objective_value", "result", "y", "cost", "metric", "output"),
    *("cv", "lb", "public_lb", "private_lb"),
)
"""Names of what an optimiser or a contest was given, which do not say what it is."""

NO_WAY = 3
"""Ranks columns that were measured and of which neither more nor less is better."""

TOTALS = ("average", "avg", "mean", "overall")
"""Names of the mean over benchmarks, where a table has several of these."""


@dataclass(frozen=True, slots=True)
class Guess:
    """The column that runs are judged by, as its name and those of the others say.

    ``others`` are columns that might be meant instead, the likeliest first.
    """

    column: str
    direction: Direction
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A column that runs may be judged by; ``rank`` is smaller the likelier it is meant."""

    name: Name
    direction: Direction | None
    rank: tuple[int, int, int]

    @property
    def raw(self) -> str:
        return self.name.raw


def infer(table: Table, columns: Columns, given: Collection[str], way: Direction | None) -> Guess:
    """Return what to judge by where exactly one metric is plausible and its direction plain.

    Of several measurements, those on held-out data come before others and these before those in
    training; the last of a run before the best and the early ones; a whole before its parts
    (`val_loss` before `val_recon_loss`); how well a run did before time, memory and speed.
    ``given`` are columns that the user gave another use, and ``way`` is the direction they gave.

    Raises
    ------
    UnclearMetricError
        With the options to choose from.
    """
    found = _candidates(table, columns, given)
    if columns.tracker is trackers.OPTUNA:
        # The study knows what it was given and which way is better, its table does not.
        found = [one for one in found if _is_value(one.name)] or found
        if len(found) == 1 and way is not None:
            return Guess(found[0].raw, way, ())
    else:
        found = [one for one in found if not _is_value(one.name)] or found
    plain = [one for one in found if one.direction is not None]
    likeliest = [one for one in plain if one.rank == min(other.rank for other in plain)]
    whole = [one for one in likeliest if not _is_part(one, likeliest)]
    if len(whole) == 1:
        one = whole[0]
        others = [other.raw for other in found if other is not one and other.rank[0] <= 1]
        return Guess(one.raw, way or one.direction or "max", tuple(others))
    raise UnclearMetricError(*_asked(table, columns, whole, found, way))


def _is_value(name: Name) -> bool:
    """Return whether a name is that of what an optimiser was given, whatever that was."""
    return name.canonical in VALUES or name.canonical.startswith("values_")


def _candidates(table: Table, columns: Columns, given: Collection[str]) -> list[_Candidate]:
    """Return the columns that may be an outcome, the likeliest first."""
    roles = columns.roles
    taken = {columns.run, *given, *(roles.get(role) for role in ("seed", "steps", "arm", "pair"))}
    benchmarks = [
        n for n in columns.names.values() if words.BENCHMARKS & set(words.tokens(n.canonical))
    ]
    found = []
    for raw, name in columns.names.items():
        if raw in taken or name.kind not in MEASURED or not is_numeric(table.values(raw)):
            continue
        called = name.canonical
        if not _is_value(name) and is_bookkeeping(name, columns.tracker):
            continue
        meant = words.sense(called, name.bare)
        if meant in ("progress", "index") or words.is_spread(called) or words.is_fold(called):
            continue
        is_total = len(benchmarks) > 1 and called in TOTALS
        if name.kind == "plain" and meant != "measurement" and not (_is_value(name) or is_total):
            continue
        way = "max" if is_total else words.direction(called)
        found.append(_Candidate(name, way, _rank(name, benchmarks, way)))
    named = [one for one in found if one.rank[0] < NO_WAY] or found
    return sorted(named, key=lambda one: (one.direction is None, one.rank))


def _rank(name: Name, benchmarks: Collection[Name], way: Direction | None) -> tuple[int, int, int]:
    called = name.canonical
    is_one_of_many = len(benchmarks) > 1 and name in benchmarks
    aside = 2 if words.is_use(called) else int(is_one_of_many or words.is_part(called))
    if way is None and not _is_value(name):
        aside = NO_WAY
    return aside, words.held_out(called), words.moment(called)


def _is_part(one: _Candidate, among: Iterable[_Candidate]) -> bool:
    words_of = words.essence(one.name.canonical)
    return any(words.essence(other.name.canonical) < words_of for other in among)


def _asked(
    table: Table,
    columns: Columns,
    likeliest: Sequence[_Candidate],
    found: Sequence[_Candidate],
    way: Direction | None,
) -> tuple[str, list[tuple[str, ...]]]:
    """Return the message for a table with no single plausible metric, and the options to give."""
    file = table.path.name
    if found:
        names = first([repr(one.raw) for one in likeliest or found], MOST_COMMANDS)
        verb = "may be" if len(likeliest or found) == 1 else "may each be"
        choices = [
            _choice(raw, each)
            for raw, by_name in {one.raw: one.direction for one in (*likeliest, *found)}.items()
            for each in _ways(way or table.directions.get(raw) or by_name)
        ]
        said = f"{file}: {names} {verb} what its runs are judged by; choose"
        return said, choices[:MOST_COMMANDS]
    unread = _unread(table, columns)
    numbers = [
        raw
        for raw, name in columns.names.items()
        if raw not in (columns.run, columns.roles.get("seed"), columns.roles.get("steps"))
        and is_numeric(table.values(raw))
        and not is_bookkeeping(name, columns.tracker)
    ]
    if not numbers:
        return f"{file} has no column of numbers that its runs could be judged by{unread}", []
    # A table's results mostly stand after its settings.
    numbers.reverse()
    numbers.sort(key=lambda raw: words.sense(columns.names[raw].canonical) == "setting")
    choices = [_choice(raw, each) for raw in numbers for each in _ways(way)]
    said = (
        f"{file}: no column of numbers has the name of a metric{unread}; say which its runs are "
        f"judged by: {first(map(repr, numbers), MOST_COMMANDS)}"
    )
    return said, choices[:MOST_COMMANDS]


def _unread(table: Table, columns: Columns) -> str:
    """Say which column has a metric's name and text such as "0.81 ± 0.02"; empty for none."""
    for raw, name in columns.names.items():
        cell = next((item for item in table.values(raw) if item is not None), None)
        is_text = isinstance(cell, str) and any(map(str.isdigit, cell))
        if is_text and words.direction(name.canonical):
            return (
                f" ({raw!r} has, but {cell!r} is no number: write the number alone, and its error "
                f"in a column {raw}_se)"
            )
    return ""


def _ways(way: Direction | None) -> tuple[Direction, ...]:
    return ("max", "min") if way is None else (way,)


def _choice(raw: str, way: Direction) -> tuple[str, ...]:
    return "--metric", raw, "--direction", way
