"""The tables of a store, of types that every SQL database has, and how they are joined."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

SCHEMA = 2
"""The version of the tables below; raised with every change, never reused (see `migrations`)."""

# Ordered by the bytes everywhere: PostgreSQL would order as the language of its host does.
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
TAKINGS = sa.Table(
    "sweep_takings",
    METADATA,
    sa.Column("key", _NAME, primary_key=True),
    sa.Column("session", _NAME, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
)


def joined(*, traces: bool) -> sa.Select[Any]:
    """Return the query for every result, in the columns that `codec.decode` takes."""
    trace = OUTCOMES.c.trace if traces else sa.null()
    columns = (OUTCOMES.c.key, RUNS.c.run, OUTCOMES.c.finished_at, OUTCOMES.c.record, trace)
    return sa.select(*columns).join_from(RUNS, OUTCOMES, RUNS.c.key == OUTCOMES.c.key)
