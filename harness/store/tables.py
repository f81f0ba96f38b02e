"""The tables of a store, of types that every SQL database has, and how they are joined."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

SCHEMA = 1
"""The version of the tables below; raised with every change, never reused."""

METADATA = sa.MetaData()
META = sa.Table(
    "sweep_meta",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
OUTCOMES = sa.Table(
    "sweep_outcomes",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("final", sa.Boolean, nullable=False),
    sa.Column("measured", sa.Boolean, nullable=False),
    sa.Column("delta_perf", sa.Double),
    sa.Column("finished_at", sa.String(40)),
    sa.Column("record", sa.Text, nullable=False),
    sa.Column("trace", sa.LargeBinary),
)
RUNS = sa.Table(
    "sweep_runs",
    METADATA,
    sa.Column("sweep", sa.String(200), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("arm", sa.String(64), nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.Index("sweep_runs_by_key", "key"),
)
QUESTIONS = sa.Table(
    "sweep_questions",
    METADATA,
    sa.Column("sweep", sa.String(200), primary_key=True),
    sa.Column("declaration", sa.String(64), primary_key=True),
    sa.Column("question", sa.String(200), primary_key=True),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("registered_at", sa.String(40), nullable=False),
)


def joined(*, traces: bool) -> sa.Select[Any]:
    """Return the query for every result, in the columns that `codec.decode` takes."""
    trace = OUTCOMES.c.trace if traces else sa.null()
    columns = (OUTCOMES.c.key, RUNS.c.run, OUTCOMES.c.finished_at, OUTCOMES.c.record, trace)
    return sa.select(*columns).join_from(RUNS, OUTCOMES, RUNS.c.key == OUTCOMES.c.key)
