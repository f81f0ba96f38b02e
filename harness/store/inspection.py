"""The state of a store, for the people who maintain it. Only reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from harness.store.leases import SCHEMA_WITH_LEASES, lives
from harness.store.results import Store
from harness.store.tables import LEASES, OUTCOMES, RUNS, SESSIONS


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has used the store, with its number of leases."""

    host: str
    pid: int
    leases: int
    lives: bool


@dataclass(frozen=True, slots=True)
class Inspection:
    """The state of a store.

    ``damage`` is what the database itself finds wrong, if anything. A file is ``checked`` for it,
    a server's database is not. ``newest`` is when the last run finished.
    """

    name: str
    schema: int
    runs: int
    statuses: Mapping[str, int] = field(default_factory=dict)
    newest: str | None = None
    checked: bool = False
    damage: str = ""
    sessions: tuple[Session, ...] = ()


def inspect(store: Store) -> Inspection:
    """Return the state of an open store; `StoreError` if it cannot be read."""
    database = store._database

    def inspected(connection: sa.Connection) -> Inspection:
        is_file = connection.dialect.name == "sqlite"
        damage = ""
        if is_file:
            found = connection.exec_driver_sql("PRAGMA integrity_check(3)").scalars().all()
            damage = "" if list(found) == ["ok"] else "; ".join(" ".join(f.split()) for f in found)
        count = sa.func.count()
        status = OUTCOMES.c.status
        by_status = sa.select(status, count.label("number")).group_by(status).order_by(status)
        return Inspection(
            name=database._kind.name,
            schema=database.schema,
            runs=connection.scalar(sa.select(count).select_from(RUNS)) or 0,
            statuses={row.status: row.number for row in connection.execute(by_status)},
            newest=connection.scalar(sa.select(sa.func.max(OUTCOMES.c.finished_at))),
            checked=is_file,
            damage=damage,
            sessions=_sessions(store, connection),
        )

    return database.read(inspected)


def _sessions(store: Store, connection: sa.Connection) -> tuple[Session, ...]:
    if store._database.schema < SCHEMA_WITH_LEASES:
        return ()
    held = (
        sa.select(LEASES.c.session, sa.func.count().label("leases"))
        .group_by(LEASES.c.session)
        .subquery()
    )
    mine = held.c.session == SESSIONS.c.session
    query = sa.select(SESSIONS, store._database.clock.label("now"), held.c.leases).join_from(
        SESSIONS, held, mine, isouter=True
    )
    rows = connection.execute(query.order_by(SESSIONS.c.host, SESSIONS.c.pid)).all()
    return tuple(Session(row.host, row.pid, row.leases or 0, lives(row)) for row in rows)
