"""How the tables of an earlier version become those of this one, in words of both databases."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from harness.store.tables import META, SCHEMA

# What has been released is never changed: a new version is a new step.
_STEPS: Mapping[int, tuple[str, ...]] = {
    1: (
        "CREATE TABLE sweep_sessions (session TEXT NOT NULL PRIMARY KEY, host TEXT NOT NULL, "
        "place TEXT NOT NULL, pid BIGINT NOT NULL, began DOUBLE PRECISION NOT NULL, "
        "heartbeat DOUBLE PRECISION NOT NULL)",
        "CREATE TABLE sweep_takings (key TEXT NOT NULL PRIMARY KEY, session TEXT NOT NULL, "
        "since DOUBLE PRECISION NOT NULL)",
    ),
}


def migrate(connection: sa.Connection, schema: int) -> None:
    """Bring tables of the version ``schema`` to this one, in the transaction of ``connection``."""
    for version in range(schema, SCHEMA):
        for statement in _STEPS[version]:
            connection.exec_driver_sql(statement)
    connection.execute(sa.update(META).where(META.c.name == "schema").values(value=str(SCHEMA)))
