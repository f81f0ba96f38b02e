"""The tables of a store, for every SQL database: their statements and their migrations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Insert = sqlite.Insert | postgresql.Insert
"""An insert that can say what to do if the row exists already."""
Inserts = Callable[[sa.Table], Insert]

SCHEMA = 4
"""The version of the tables below. Raise it with every change (see `migrate`)."""

# Ordered by bytes everywhere. By default PostgreSQL orders by the language of its host.
_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

METADATA = sa.MetaData()
META = sa.Table(
    "sweep_meta",
    METADATA,
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
OUTCOMES = sa.Table(
    "sweep_outcomes",
    METADATA,
    sa.Column("key", _NAME, primary_key=True),
    sa.Column("status", _NAME, nullable=False),
    sa.Column("final", sa.Boolean, nullable=False),
    sa.Column("measured", sa.Boolean, nullable=False),
    sa.Column("delta_perf", sa.Double),
    sa.Column("finished_at", _NAME),
    sa.Column("record", sa.Text, nullable=False),
    sa.Column("trace", sa.LargeBinary),
    sa.Column("item_scores", sa.LargeBinary),
    sa.Column("item_labels", _NAME),
    sa.Index("sweep_outcomes_by_item_labels", "item_labels"),
)
ITEM_LABELS = sa.Table(
    "sweep_item_labels",
    METADATA,
    sa.Column("digest", _NAME, primary_key=True),
    sa.Column("labels", sa.LargeBinary, nullable=False),
)
RUNS = sa.Table(
    "sweep_runs",
    METADATA,
    sa.Column("sweep", _NAME, primary_key=True),
    sa.Column("key", _NAME, primary_key=True),
    sa.Column("arm", _NAME, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Index("sweep_runs_by_key", "key"),
)
QUESTIONS = sa.Table(
    "sweep_questions",
    METADATA,
    sa.Column("sweep", _NAME, primary_key=True),
    sa.Column("declaration", _NAME, primary_key=True),
    sa.Column("question", _NAME, primary_key=True),
    sa.Column("hash", _NAME, nullable=False),
    sa.Column("registered_at", _NAME, nullable=False),
)
SESSIONS = sa.Table(
    "sweep_sessions",
    METADATA,
    sa.Column("session", _NAME, primary_key=True),
    sa.Column("host", _NAME, nullable=False),
    sa.Column("place", _NAME, nullable=False),
    sa.Column("pid", sa.BigInteger, nullable=False),
    sa.Column("began", sa.Double, nullable=False),
    sa.Column("heartbeat", sa.Double, nullable=False),
)
LEASES = sa.Table(
    "sweep_takings",
    METADATA,
    sa.Column("key", _NAME, primary_key=True),
    sa.Column("session", _NAME, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
)


def joined(*, traces: bool, items: bool) -> sa.Select[Any]:
    """Return the query for every result, with the columns that `codec.decode` takes.

    Instead of the labels of its items it has their digest.
    """
    columns = (OUTCOMES.c.key, RUNS.c.run, *_documents(traces=traces, items=items))
    return sa.select(*columns).join_from(RUNS, OUTCOMES, RUNS.c.key == OUTCOMES.c.key)


def outcomes(*, traces: bool, items: bool) -> sa.Select[Any]:
    """Return the query for every outcome, with the same columns except the run."""
    return sa.select(OUTCOMES.c.key, *_documents(traces=traces, items=items))


def _documents(*, traces: bool, items: bool) -> tuple[sa.ColumnElement[Any], ...]:
    columns = OUTCOMES.c
    return (
        columns.finished_at,
        columns.record,
        columns.trace if traces else sa.null(),
        columns.item_scores if items else sa.null(),
        columns.item_labels if items else sa.null(),
    )


def having(
    connection: sa.Connection, query: sa.Select[Any], keys: Sequence[str]
) -> Iterator[sa.Row[Any]]:
    """Yield the rows of ``query`` whose outcome has one of ``keys``, reading 500 keys at a time."""
    for start in range(0, len(keys), 500):
        yield from connection.execute(query.where(OUTCOMES.c.key.in_(keys[start : start + 500])))


def keeping(insert: Inserts, *, fresh: bool) -> Insert:
    """Return the insert of an outcome that replaces one that is not final.

    With ``fresh`` a final outcome replaces any. A run once measured stays marked as measured.
    """
    new = insert(OUTCOMES)
    not_final = OUTCOMES.c.final.is_(False)
    return new.on_conflict_do_update(
        index_elements=["key"],
        set_={column.name: new.excluded[column.name] for column in OUTCOMES.c}
        | {"measured": sa.or_(OUTCOMES.c.measured, new.excluded.measured)},
        where=sa.or_(not_final, new.excluded.final) if fresh else not_final,
    )


def listing(insert: Inserts) -> Insert:
    """Return the insert of a run into its sweep, replacing the run listed before."""
    new = insert(RUNS)
    return new.on_conflict_do_update(
        index_elements=["sweep", "key"],
        set_={name: new.excluded[name] for name in ("arm", "position", "run")},
    )


# A released step never changes: a new version is a new step.
_MIGRATIONS: Mapping[int, tuple[str, ...]] = {
    1: (
        "CREATE TABLE sweep_sessions (session TEXT NOT NULL PRIMARY KEY, host TEXT NOT NULL, "
        "place TEXT NOT NULL, pid BIGINT NOT NULL, began DOUBLE PRECISION NOT NULL, "
        "heartbeat DOUBLE PRECISION NOT NULL)",
        "CREATE TABLE sweep_takings (key TEXT NOT NULL PRIMARY KEY, session TEXT NOT NULL, "
        "since DOUBLE PRECISION NOT NULL)",
    ),
    2: (
        "ALTER TABLE sweep_outcomes ADD COLUMN item_scores {binary}",
        "ALTER TABLE sweep_outcomes ADD COLUMN item_labels {name}",
        "CREATE TABLE sweep_item_labels (digest {name} NOT NULL PRIMARY KEY, "
        "labels {binary} NOT NULL)",
        "CREATE INDEX sweep_outcomes_by_item_labels ON sweep_outcomes (item_labels)",
    ),
    # The tables stay. Documents and traces have fields that earlier code takes for damage.
    3: (),
}

_TYPES = {
    "sqlite": {"name": "TEXT", "binary": "BLOB"},
    "postgresql": {"name": 'TEXT COLLATE "C"', "binary": "BYTEA"},
}
"""What the steps above call types, by the kind of database."""


def migrate(connection: sa.Connection, schema: int) -> None:
    """Bring tables of the version ``schema`` to this one, in the connection's transaction."""
    types = _TYPES[connection.dialect.name]
    for version in range(schema, SCHEMA):
        for statement in _MIGRATIONS[version]:
            connection.exec_driver_sql(statement.format(**types))
    connection.execute(sa.update(META).where(META.c.name == "schema").values(value=str(SCHEMA)))
