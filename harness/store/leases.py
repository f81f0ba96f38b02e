"""Leases on runs: a session acquires one before it trains a run, so that no other trains it.

A session is a row with its process and its last heartbeat. Each of its leases is a row too, which
stays when the session dies. Another session that wants the run then sees that its holder is dead.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import sqlalchemy as sa

from harness.errors import StoreError
from harness.store.database import Database
from harness.store.tables import LEASES, OUTCOMES, SESSIONS

LEASE_SECONDS = 60.0
"""Seconds after its last heartbeat until a session elsewhere counts as dead."""
BEAT_SECONDS = 5.0
"""Seconds between heartbeats."""
_KEPT_SECONDS = 86400.0
"""Seconds after its last heartbeat until a dead session is deleted with its leases."""

_SAME_START = 1.0
"""Start times within so many seconds are the same: no process id is used again so soon."""

SCHEMA_WITH_LEASES = 2
"""The first schema with these tables. An older store that is only read has no leases."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The session that has the lease on a run: its machine and process, and since when."""

    host: str
    pid: int
    since: str


class Leases:
    """The leases of this session and of others. The first `acquire` is the first write."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._session = uuid.uuid4().hex
        self._process: Process | None = None
        self._held: set[str] = set()
        self._heartbeat: _Heartbeat | None = None
        # Statements are made once, since making one takes longer than executing it.
        now = database.clock
        self._enter = (
            database.insert(SESSIONS)
            .values(heartbeat=now)
            .on_conflict_do_update(index_elements=["session"], set_={"heartbeat": now})
        )
        self._insert = database.insert(LEASES).values(since=now).on_conflict_do_nothing()
        its_key: sa.BindParameter[str] = sa.bindparam("its_key")
        self._is_final = sa.select(OUTCOMES.c.final).where(OUTCOMES.c.key == its_key)
        self._delete = sa.delete(LEASES).where(
            LEASES.c.key == its_key, LEASES.c.session == self._session
        )

    def acquire(self, key: str, *, again: bool, take_over: bool) -> bool:
        """Acquire the lease on a run; see `Store.acquire`."""
        process = self._process = self._process or this_process()
        is_first = self._heartbeat is None

        def acquired(connection: sa.Connection) -> bool:
            if is_first:
                self._delete_old_sessions(connection)
            connection.execute(self._enter, {"session": self._session, **process._asdict()})
            row = {"key": key, "session": self._session}
            is_free = connection.execute(self._insert, row).rowcount > 0
            if not (is_free or self._is_ours(connection, key, take_over)):
                return False
            if again or not connection.scalar(self._is_final, {"its_key": key}):
                return True
            self.end(connection, key)
            return False

        is_ours = self._database.write(acquired)
        if is_ours:
            self._held.add(key)
        if is_first:
            self._heartbeat = _Heartbeat(self._beat)
            self._heartbeat.start()
        return is_ours

    def release(self, keys: Iterable[str]) -> None:
        """Release leases of this session; see `Store.release`."""
        ours = sorted(self._held.intersection(keys))
        if not ours:
            return

        def released(connection: sa.Connection) -> None:
            for key in ours:
                self.end(connection, key)

        self._database.write(released)
        self._held.difference_update(ours)

    def held_by_others(self, keys: Iterable[str], *, living: bool) -> dict[str, Holder]:
        """Return the other sessions that have leases on these runs: those living, or the dead."""
        if self._database.schema < SCHEMA_WITH_LEASES:
            return {}
        others = _holders(self._database.clock).where(LEASES.c.session != self._session)
        rows = self._database.read(lambda connection: connection.execute(others).all())
        held = {row.key: row for row in rows}
        return {
            key: Holder(held[key].host, held[key].pid, _text(held[key].since))
            for key in dict.fromkeys(keys)
            if key in held and lives(held[key]) == living
        }

    def end(self, connection: sa.Connection, key: str) -> None:
        """Delete a lease in the connection's transaction. After it, call `ended`."""
        if self._process is not None:
            connection.execute(self._delete, {"its_key": key})

    def ended(self, key: str) -> None:
        """Note that a lease is released."""
        self._held.discard(key)

    def close(self) -> None:
        """Release all leases. If that cannot be written, the end of this process does it."""
        heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is None:
            return
        heartbeat.stop()

        def left(connection: sa.Connection) -> None:
            connection.execute(sa.delete(LEASES).where(LEASES.c.session == self._session))
            connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.session == self._session))

        with suppress(StoreError):
            self._database.write(left, patience=0)

    def _is_ours(self, connection: sa.Connection, key: str, take_over: bool) -> bool:
        """Return whether the lease on a run is ours; with ``take_over`` a dead holder's becomes."""
        clock = self._database.clock
        row = connection.execute(_holders(clock).where(LEASES.c.key == key)).one()
        if row.session == self._session:
            return True
        if not take_over or lives(row):
            return False
        values = {"session": self._session, "since": clock}
        connection.execute(sa.update(LEASES).where(LEASES.c.key == key).values(values))
        return True

    def _beat(self) -> None:
        """Write a heartbeat. A deleted session stays deleted until it acquires a lease again."""
        if self._held:
            ours = sa.update(SESSIONS).where(SESSIONS.c.session == self._session)
            self._database.write(
                lambda connection: connection.execute(ours.values(heartbeat=self._database.clock)),
                patience=0,
            )

    def _delete_old_sessions(self, connection: sa.Connection) -> None:
        """Delete sessions that died long ago, with their leases."""
        clock = self._database.clock
        old = sa.select(SESSIONS, clock.label("now")).where(
            SESSIONS.c.heartbeat < clock - _KEPT_SECONDS
        )
        for row in connection.execute(old).all():
            if not lives(row):
                for table in (LEASES, SESSIONS):
                    connection.execute(sa.delete(table).where(table.c.session == row.session))


class _Heartbeat(threading.Thread):
    """Writes heartbeats until it is stopped or the process ends."""

    def __init__(self, beat: Callable[[], None]) -> None:
        super().__init__(name="sweep-heartbeat", daemon=True)
        self._beat_once = beat
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            with suppress(StoreError):  # the next one may succeed, and the lease is long
                self._beat_once()

    def stop(self) -> None:
        self._stopped.set()
        self.join(BEAT_SECONDS)


def _holders(clock: sa.ColumnElement[float]) -> sa.Select[Any]:
    """Return the query for all leases, each with its session and the time."""
    columns = (LEASES.c.key, LEASES.c.since, LEASES.c.session, clock.label("now"))
    about = [column for column in SESSIONS.c if column.name != "session"]
    mine = LEASES.c.session == SESSIONS.c.session
    return sa.select(*columns, *about).join_from(LEASES, SESSIONS, mine, isouter=True)


def lives(row: sa.Row[Any]) -> bool:
    """Return whether a session lives, by its process if we can see it, else by its heartbeat.

    A process that we can see may live with a late heartbeat: its machine may have slept.
    """
    if row.heartbeat is None:  # its session was deleted
        return False
    gone = is_gone(Process(row.host, row.place, row.pid, row.began))
    return row.now - row.heartbeat < LEASE_SECONDS if gone is None else not gone


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Process(NamedTuple):
    """A process: ``began`` is its start, ``place`` the boot and namespace that its id belongs to.

    ``host`` is the machine's name, for people. Machines and containers may share it.
    """

    host: str
    place: str
    pid: int
    began: float


def this_process() -> Process:
    """Return the identity of this process, which holds on any machine."""
    return Process(socket.gethostname(), _place(), os.getpid(), _started_at(psutil.Process()))


def is_gone(process: Process) -> bool | None:
    """Return whether ``process`` has ended; None if we cannot see that from here."""
    if process.place != _place():
        return None
    try:
        found = psutil.Process(process.pid)
        if found.status() == psutil.STATUS_ZOMBIE:
            return True
        return abs(_started_at(found) - process.began) > _SAME_START
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return None


def _started_at(process: psutil.Process) -> float:
    """Return its start time, on Linux since the boot, so that the clock may be set."""
    return process.create_time() - (psutil.boot_time() if psutil.LINUX else 0.0)


@cache
def _place() -> str:
    """Return the identity of this boot and of the namespace of our process ids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode():x}"
