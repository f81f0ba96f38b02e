"""Who has which run: taken in the database before it is trained, so that no two train it.

A session is a row with its process and its last heartbeat. Each that it has taken is a row of its
own, and stays when the session dies: whoever wants it next sees that nobody lives who has it.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from harness.errors import StoreError
from harness.store.database import Database
from harness.store.processes import Process, is_gone, this_process
from harness.store.tables import OUTCOMES, SESSIONS, TAKINGS, Insert

LEASE = 60.0
"""Seconds after its last heartbeat at which a session elsewhere is taken for dead."""
BEAT = 5.0
"""Seconds between heartbeats."""
_FORGOTTEN = 86400.0
"""Seconds after its last heartbeat at which a dead session, and what it had, is deleted."""

HAS_TAKINGS = 2
"""The first schema with these tables: an older store, open to be read, has nothing taken."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The session that has a run now: its machine and process, and since when it has the run."""

    host: str
    pid: int
    since: str


class Takings:
    """What this session and the others have taken. Nothing is written before the first `take`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._session = uuid.uuid4().hex
        self._process: Process | None = None
        self._held: set[str] = set()
        self._heart: _Heart | None = None
        self._be_there, self._insert, self._is_final, self._end = _statements(database)

    def take(self, key: str, *, again: bool) -> bool:
        """Take a run; see `Store.take`."""
        process = self._process = self._process or this_process()
        is_first = self._heart is None

        def taken(connection: sa.Connection) -> bool:
            if is_first:
                self._forget(connection)
            connection.execute(self._be_there, {"session": self._session, **process._asdict()})
            row = {"key": key, "session": self._session}
            is_free = connection.execute(self._insert, row).rowcount > 0
            if not (is_free or self._inherit(connection, key)):
                return False
            if again or not connection.scalar(self._is_final, {"its_key": key}):
                return True
            self.end(connection, key)
            return False

        is_ours = self._database.write(taken)
        if is_ours:
            self._held.add(key)
        if is_first:
            self._heart = _Heart(self._beat)
            self._heart.start()
        return is_ours

    def give_back(self, keys: Iterable[str]) -> None:
        """Free runs that this session has; see `Store.give_back`."""
        ours = sorted(self._held.intersection(keys))
        if not ours:
            return

        def freed(connection: sa.Connection) -> None:
            for key in ours:
                self.end(connection, key)

        self._database.write(freed)
        self._held.difference_update(ours)

    def taken(self, keys: Iterable[str]) -> dict[str, Holder]:
        """Return who else has which of the runs; see `Store.taken`."""
        return self._others(keys, living=True)

    def lost(self, keys: Iterable[str]) -> dict[str, Holder]:
        """Return which of the runs dead sessions had; see `Store.lost`."""
        return self._others(keys, living=False)

    def _others(self, keys: Iterable[str], *, living: bool) -> dict[str, Holder]:
        if self._database.schema < HAS_TAKINGS:
            return {}
        others = _holders(self._database.clock).where(TAKINGS.c.session != self._session)
        rows = self._database.read(lambda connection: connection.execute(others).all())
        held = {row.key: row for row in rows}
        return {
            key: Holder(held[key].host, held[key].pid, _text(held[key].since))
            for key in dict.fromkeys(keys)
            if key in held and lives(held[key]) == living
        }

    def end(self, connection: sa.Connection, key: str) -> None:
        """Free a run in the transaction of ``connection``; once that is over, call `ended`."""
        if self._process is not None:
            connection.execute(self._end, {"its_key": key, "ours": self._session})

    def ended(self, key: str) -> None:
        """Note that a run is freed."""
        self._held.discard(key)

    def close(self) -> None:
        """Give back everything, and leave. Where that cannot be written, death will do it."""
        heart, self._heart = self._heart, None
        if heart is None:
            return
        heart.stop()

        def left(connection: sa.Connection) -> None:
            connection.execute(sa.delete(TAKINGS).where(TAKINGS.c.session == self._session))
            connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.session == self._session))

        with suppress(StoreError):
            self._database.write(left, patience=0)

    def _inherit(self, connection: sa.Connection, key: str) -> bool:
        """Return whether a run that somebody has is ours, and make it that where he is dead."""
        clock = self._database.clock
        row = connection.execute(_holders(clock).where(TAKINGS.c.key == key)).one()
        if row.session == self._session:
            return True
        if lives(row):
            return False
        values = {"session": self._session, "since": clock}
        connection.execute(sa.update(TAKINGS).where(TAKINGS.c.key == key).values(values))
        return True

    def _beat(self) -> None:
        """Write a heartbeat. A session that was forgotten stays so until it takes again."""
        if self._held:
            ours = sa.update(SESSIONS).where(SESSIONS.c.session == self._session)
            self._database.write(
                lambda connection: connection.execute(ours.values(heartbeat=self._database.clock)),
                patience=0,
            )

    def _forget(self, connection: sa.Connection) -> None:
        """Delete the dead of long ago, and what they had."""
        clock = self._database.clock
        old = sa.select(SESSIONS, clock.label("now")).where(
            SESSIONS.c.heartbeat < clock - _FORGOTTEN
        )
        for row in connection.execute(old).all():
            if not lives(row):
                for table in (TAKINGS, SESSIONS):
                    connection.execute(sa.delete(table).where(table.c.session == row.session))


class _Heart(threading.Thread):
    """Beats until it is stopped, or the process ends."""

    def __init__(self, beat: Callable[[], None]) -> None:
        super().__init__(name="sweep-heartbeat", daemon=True)
        self._beat_once = beat
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(BEAT):
            with suppress(StoreError):  # the next one may come through, and the lease is long
                self._beat_once()

    def stop(self) -> None:
        self._stopped.set()
        self.join(BEAT)


def _statements(database: Database) -> tuple[Insert, Insert, sa.Select[tuple[bool]], sa.Delete]:
    """Return what each taking executes: be there, insert, ask whether it is final; and its end.

    They are made once: to make a statement takes longer than to execute it.
    """
    there = database.insert(SESSIONS).values(heartbeat=database.clock)
    new = database.insert(TAKINGS).values(since=database.clock)
    its_key: sa.BindParameter[str] = sa.bindparam("its_key")
    ours: sa.BindParameter[str] = sa.bindparam("ours")
    return (
        there.on_conflict_do_update(index_elements=["session"], set_={"heartbeat": database.clock}),
        new.on_conflict_do_nothing(),
        sa.select(OUTCOMES.c.final).where(OUTCOMES.c.key == its_key),
        sa.delete(TAKINGS).where(TAKINGS.c.key == its_key, TAKINGS.c.session == ours),
    )


def _holders(clock: sa.ColumnElement[float]) -> sa.Select[Any]:
    """Return the query for what is taken, with the session that has it and the time."""
    columns = (TAKINGS.c.key, TAKINGS.c.since, TAKINGS.c.session, clock.label("now"))
    about = [column for column in SESSIONS.c if column.name != "session"]
    mine = TAKINGS.c.session == SESSIONS.c.session
    return sa.select(*columns, *about).join_from(TAKINGS, SESSIONS, mine, isouter=True)


def lives(row: sa.Row[Any]) -> bool:
    """Return whether a session lives: its process where that can be seen, else by its heartbeat.

    A process that is seen lives however late its heartbeat is: its machine may have been asleep.
    """
    if row.heartbeat is None:  # it was forgotten
        return False
    gone = is_gone(Process(row.host, row.place, row.pid, row.began))
    return row.now - row.heartbeat < LEASE if gone is None else not gone


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
