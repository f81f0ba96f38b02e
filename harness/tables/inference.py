"""Find what the runs of a table are judged by, where its columns say so by their names."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from harness.errors import UnclearTableError
from harness.tables import trackers, words
from harness.tables.columns import MEASURED, Columns
from harness.tables.naming import Name
from harness.tables.table import Table, is_numeric
from harness.tables.trackers import is_bookkeeping
from harness.tables.words import Direction
from harness.text import first

MOST_COMMANDS = 8
"""The most commands that are offered."""

VALUES = ("value", "objective", "objective_value", "target_value", "result", "y", "cost", "metric")
"""Names of what an optimiser was given, which do not say what it is."""

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
    UnclearTableError
        With the options to choose from.
    """
    found = _candidates(table, columns, given)
    if columns.tracker is trackers.OPTUNA:
        # The study knows what it was given and which way is better, its table does not.
        found = [one for one in found if _is_value(one.name)] or found
        if len(found) == 1 and way is not None:
            return Guess(found[0].raw, way, ())
    plain = [one for one in found if one.direction is not None]
    likeliest = [one for one in plain if one.rank == min(other.rank for other in plain)]
    whole = [one for one in likeliest if not _is_part(one, likeliest)]
    if len(whole) == 1 and not (whole[0].rank[0] and any(_is_value(one.name) for one in found)):
        one = whole[0]
        others = [other.raw for other in found if other is not one and other.rank[0] == one.rank[0]]
        return Guess(one.raw, way or one.direction or "max", tuple(others))
    raise UnclearTableError(*_asked(table, columns, [*whole, *found], way))


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
    return sorted(found, key=lambda one: (one.direction is None, one.rank))


def _rank(name: Name, benchmarks: Collection[Name], way: Direction | None) -> tuple[int, int, int]:
    called = name.canonical
    aside = 2 if words.is_use(called) else int(len(benchmarks) > 1 and name in benchmarks)
    if way is None and not _is_value(name):
        aside = 3
    return aside, words.held_out(called), words.moment(called)


def _is_part(one: _Candidate, among: Iterable[_Candidate]) -> bool:
    words_of = words.essence(one.name.canonical)
    return any(words.essence(other.name.canonical) < words_of for other in among)


def _asked(
    table: Table, columns: Columns, found: Iterable[_Candidate], way: Direction | None
) -> tuple[str, list[tuple[str, ...]]]:
    """Return the message for a table with no single plausible metric, and the options to give."""
    likeliest = list({one.raw: one for one in found}.values())
    choices: list[tuple[str, ...]] = []
    for one in likeliest:
        choices += [_choice(one.raw, each) for each in _ways(way or one.direction)]
    file = table.path.name
    if likeliest:
        names = first([repr(one.raw) for one in likeliest], MOST_COMMANDS)
        verb = "may be" if len(likeliest) == 1 else "may each be"
        said = f"{file}: {names} {verb} what its runs are judged by; choose"
        return said, choices[:MOST_COMMANDS]
    numbers = [
        raw
        for raw, name in columns.names.items()
        if raw not in (columns.run, columns.roles.get("seed"), columns.roles.get("steps"))
        and is_numeric(table.values(raw))
        and not is_bookkeeping(name, columns.tracker)
    ]
    if not numbers:
        return f"{file} has no column of numbers that its runs could be judged by", []
    # Those that are no known settings first; the last columns of a table are its results.
    numbers.sort(key=lambda raw: words.sense(columns.names[raw].canonical) == "setting")
    choices = [_choice(raw, each) for raw in numbers for each in _ways(way)]
    said = (
        f"{file}: no column has the name of a metric; say which of its columns of numbers its runs "
        f"are judged by: {first(map(repr, numbers), MOST_COMMANDS)}"
    )
    return said, choices[:MOST_COMMANDS]


def _ways(way: Direction | None) -> tuple[Direction, ...]:
    return ("max", "min") if way is None else (way,)


def _choice(raw: str, way: Direction) -> tuple[str, ...]:
    return "--metric", raw, "--direction", way
