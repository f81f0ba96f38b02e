"""Add the runs of a table or of another store to a store: all of them, or none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from harness.errors import StoreError
from harness.records import IMPORTED, Result
from harness.store import codec
from harness.store.results import Store
from harness.store.tables import OUTCOMES, QUESTIONS, RUNS, having, keeping

_FIGURES = (
    "status",
    "perf_before",
    "perf_after",
    "delta_perf",
    "delta_perf_se",
    "train_delta_perf",
    "value",
)


@dataclass(frozen=True, slots=True)
class Merged:
    """The runs that an import or a merge added to a store, and those it did not.

    ``added`` runs are new, ``present`` ones were there already, ``replaced`` ones replaced others.
    ``differing`` ones have other figures in the store, which were kept.
    """

    added: tuple[Result, ...] = ()
    present: tuple[Result, ...] = ()
    replaced: tuple[Result, ...] = ()
    differing: tuple[Result, ...] = ()


def add_imported(store: Store, results: Sequence[Result], *, replace: bool = False) -> Merged:
    """Add imported runs, whose keys are digests of their content.

    Raises
    ------
    StoreError
        Where one of their sweeps has runs that were trained, or, without ``replace``, a run of the
        same id and sweep is stored with other figures. Then nothing is added.
    """

    def added(connection: sa.Connection) -> Merged:
        there = _stored_ids(connection, {result.run.sweep for result in results})
        new: list[Result] = []
        present: list[Result] = []
        other: list[Result] = []
        for result in results:
            key = there.get((result.run.sweep, result.run.id))
            (new if key is None else present if key == result.key else other).append(result)
        if other and not replace:
            run, more = other[0].run, len(other) - 1
            raise StoreError(
                f"run {run.id!r} of sweep {run.sweep!r} is stored with other figures"
                + (f", and so are {more:,} more" if more else "")
                + ": nothing was imported; --replace takes the table's"
            )
        for result in other:
            _remove(connection, result.run.sweep, there[result.run.sweep, result.run.id])
        store._drop_labels(connection)
        _insert(store, connection, [*new, *other])
        return Merged(tuple(new), tuple(present), tuple(other))

    return store._database.write(added)


def merge(store: Store, other: Store, sweep: str | None = None) -> Merged:
    """Add the runs of another store, of one sweep or all, under their own keys.

    A final result replaces one that is not final, and nothing else. A question stays registered
    before the data if it is so in each of the two stores that has data of the sweep. Raises
    `StoreError` if either store cannot be read or written. Then nothing is added.
    """
    names = [summary.sweep for summary in other.sweeps() if sweep in (None, summary.sweep)]

    def merged(connection: sa.Connection) -> Merged:
        parts = [_merge_sweep(store, other, connection, name) for name in names]
        return Merged(
            *(
                tuple(result for part in parts for result in getattr(part, name))
                for name in Merged.__dataclass_fields__
            )
        )

    return store._database.write(merged)


def _merge_sweep(store: Store, other: Store, connection: sa.Connection, sweep: str) -> Merged:
    theirs = other.results(sweep)
    _merge_questions(store, other, connection, sweep)
    stored = sa.select(OUTCOMES.c.key, OUTCOMES.c.final, OUTCOMES.c.record)
    found = {row.key: row for row in having(connection, stored, [result.key for result in theirs])}
    ids = {id_: key for (_, id_), key in _ids(connection, {sweep}).items()}
    if len({key.startswith(IMPORTED) for key in [*ids.values(), *(r.key for r in theirs)]}) > 1:
        raise StoreError(
            f"sweep {sweep!r} was imported into one of the stores and trained in the other: "
            "nothing was imported; choose another sweep with --sweep"
        )
    kinds: dict[str, list[Result]] = {}
    for result in theirs:
        here = found.get(result.key)
        if here is None:
            is_other = result.key.startswith(IMPORTED) and result.run.id in ids
            kind = "differing" if is_other else "added"
        elif not here.final and result.is_final:
            kind = "replaced"
        else:
            kind = "differing" if _differs(here, result) else "present"
        kinds.setdefault(kind, []).append(result)
    for result in kinds.get("replaced", ()):
        row, labels = codec.outcome_row(result)
        store._keep_labels(connection, [labels])
        connection.execute(keeping(store._database.insert, fresh=False), row)
    _insert(store, connection, kinds.get("added", ()))
    _list(store, connection, [result for result in theirs if result.key in found])
    return Merged(**{kind: tuple(results) for kind, results in kinds.items()})


def _differs(here: sa.Row[Any], result: Result) -> bool:
    """Return whether two final results of a run have other figures or another curve."""
    if not (here.final and result.is_final):
        return False
    ours, theirs = json.loads(here.record), json.loads(codec.encode_outcome(result)[0])
    return ours["curve"] != theirs["curve"] or any(
        ours["outcome"].get(name) != theirs["outcome"].get(name) for name in _FIGURES
    )


def _merge_questions(store: Store, other: Store, connection: sa.Connection, sweep: str) -> None:
    """Keep the questions that were registered before there were data in both stores."""
    of_sweep = sa.select(QUESTIONS).where(QUESTIONS.c.sweep == sweep)
    theirs = other._database.read(lambda them: them.execute(of_sweep).all())
    if not other._database.read(lambda them: other._have_data(them, sweep)):
        return
    kept = [dict(row._mapping) for row in theirs]
    if store._have_data(connection, sweep):
        ours = {_identity(row) for row in connection.execute(of_sweep).mappings()}
        kept = [row for row in kept if _identity(row) in ours]
    connection.execute(sa.delete(QUESTIONS).where(QUESTIONS.c.sweep == sweep))
    if kept:
        connection.execute(sa.insert(QUESTIONS), kept)


def _identity(row: Any) -> tuple[str, str, str]:  # noqa: ANN401 (a row is a mapping of columns)
    return row["declaration"], row["question"], row["hash"]


def _stored_ids(connection: sa.Connection, sweeps: Iterable[str]) -> dict[tuple[str, str], str]:
    """Return the keys of stored runs by sweep and id; `StoreError` if any was not imported."""
    found = _ids(connection, sweeps)
    trained = [sweep for (sweep, _), key in found.items() if not key.startswith(IMPORTED)]
    if trained:
        raise StoreError(
            f"sweep {trained[0]!r} has runs in the store that were trained: give the table's sweep "
            "another name with --sweep"
        )
    return found


def _ids(connection: sa.Connection, sweeps: Iterable[str]) -> dict[tuple[str, str], str]:
    columns = (RUNS.c.sweep, RUNS.c.key, RUNS.c.run)
    rows = connection.execute(sa.select(*columns).where(RUNS.c.sweep.in_(sorted(sweeps))))
    return {(row.sweep, json.loads(row.run)["id"]): row.key for row in rows}


def _insert(store: Store, connection: sa.Connection, results: Sequence[Result]) -> None:
    if results:
        rows = [codec.outcome_row(result) for result in results]
        store._keep_labels(connection, [labels for _, labels in rows])
        insert = store._database.insert(OUTCOMES).on_conflict_do_nothing()
        connection.execute(insert, [row for row, _ in rows])
        _list(store, connection, results)


def _list(store: Store, connection: sa.Connection, results: Sequence[Result]) -> None:
    if results:
        rows = [codec.run_row(result) for result in results]
        connection.execute(store._database.insert(RUNS).on_conflict_do_nothing(), rows)


def _remove(connection: sa.Connection, sweep: str, key: str) -> None:
    """Delete a run from its sweep, and its outcome if no other sweep has the run."""
    connection.execute(sa.delete(RUNS).where(RUNS.c.sweep == sweep, RUNS.c.key == key))
    listed = sa.exists().where(RUNS.c.key == key)
    connection.execute(sa.delete(OUTCOMES).where(OUTCOMES.c.key == key, ~listed))
