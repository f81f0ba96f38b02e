"""The database under a store: how it is opened and checked, its transactions and its errors."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

import sqlalchemy as sa

from harness.errors import StoreError
from harness.store import sqlite
from harness.store.tables import META, METADATA, SCHEMA, Insert, migrate

T = TypeVar("T")

LONGEST_PAUSE = 2.0
"""The longest pause in seconds between two tries after a lost connection."""


class Kind(Protocol):
    """A kind of database: see `sqlite` and `postgres`.

    ``name`` is the store's in messages, without a password, and ``instead`` says what to do if it
    cannot be used. ``shared`` says whether other tables may lie beside ours. A lost connection is
    made again for ``patience`` seconds. ``clock`` gives the seconds since 1970 by a clock that all
    sessions share.
    """

    name: str
    instead: str
    shared: bool
    patience: float
    clock: sa.ColumnElement[float]

    def engine(self) -> sa.Engine: ...
    def begin(self, connection: sa.Connection, *, write: bool) -> None: ...
    def ready_to_write(self, engine: sa.Engine) -> None: ...
    def insert(self, table: sa.Table) -> Insert: ...
    def may_pass(self, error: BaseException | None) -> bool: ...
    def explain(self, error: BaseException | None) -> str: ...


class Database:
    """A database with a store's tables, of a version that this code knows.

    `read` and `write` raise every error as a `StoreError` of one line.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._engine = kind.engine()
        self.clock = kind.clock
        self.insert = kind.insert
        self.schema = SCHEMA
        sa.event.listen(self._engine, "begin", self._begin)

    @classmethod
    def open(cls, url: str, *, create: bool, read_only: bool, busy_timeout: float) -> Database:
        """Open the database at ``url`` and check that it can be used (see `Store.open`)."""
        kind = _kind(url, create=create and not read_only, read_only=read_only, wait=busy_timeout)
        database = cls(kind)
        try:
            database._prepare(create=create, read_only=read_only)
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Run ``work``, which reads, in a transaction."""
        return self._run(work, write=False, patience=self._kind.patience)

    def write(self, work: Callable[[sa.Connection], T], *, patience: float | None = None) -> T:
        """Run ``work``, which writes, in a transaction; its result is durable when this returns.

        If the connection is lost, ``work`` is tried again with a new one for ``patience`` seconds.
        So doing it twice must have the same result as doing it once.
        """
        return self._run(
            work, write=True, patience=self._kind.patience if patience is None else patience
        )

    def _run(self, work: Callable[[sa.Connection], T], *, write: bool, patience: float) -> T:
        until = time.monotonic() + patience
        pause = 0.05
        while True:
            try:
                with self._engine.connect() as connection:
                    connection.execution_options(write=write, preserve_rowcount=True)
                    with connection.begin():
                        return work(connection)
            except (sa.exc.DBAPIError, sqlite3.Error) as error:
                cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
                if time.monotonic() + pause > until or not self._kind.may_pass(cause):
                    raise StoreError(self._kind.explain(cause)) from error
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _begin(self, connection: sa.Connection) -> None:
        write = connection.get_execution_options().get("write", False)
        self._kind.begin(connection, write=write)

    def _prepare(self, *, create: bool, read_only: bool) -> None:
        """Check that this is a store of a version we know; make an empty database one."""
        # Without trying again: an error of opening is reported at once.
        look = partial(self._run, write=False, patience=0)
        tables = look(lambda connection: sa.inspect(connection).get_table_names())
        if META.name in tables:
            self.schema = look(self._version)
        elif tables and not self._kind.shared:
            raise StoreError(
                f"{self._kind.name} is an SQLite database but not a sweep store (it has a table "
                f"'{tables[0]}'): name another file"
            )
        elif read_only or not create:
            raise StoreError(f"{self._kind.name} is empty: run a sweep first, or name another")
        if read_only:
            return
        try:
            self._kind.ready_to_write(self._engine)
        except sqlite3.Error as error:
            raise StoreError(self._kind.explain(error)) from error
        self.write(self._make_ours, patience=0)
        self.schema = SCHEMA

    def _make_ours(self, connection: sa.Connection) -> None:
        if not sa.inspect(connection).has_table(META.name):
            METADATA.create_all(connection)
            connection.execute(sa.insert(META).values(name="schema", value=str(SCHEMA)))
        # This always writes, so a store that cannot be written is found out here.
        migrate(connection, self._version(connection))

    def _version(self, connection: sa.Connection) -> int:
        value = connection.scalar(sa.select(META.c.value).where(META.c.name == "schema"))
        if value is None or not value.isdecimal() or int(value) < 1:
            raise StoreError(
                f"{self._kind.name} is damaged (schema {value!r}): {self._kind.instead}"
            )
        if int(value) > SCHEMA:
            raise StoreError(
                f"{self._kind.name} was written by a newer version (schema {value}, this one "
                f"knows {SCHEMA}): upgrade pytest-sweep, or name another store"
            )
        return int(value)


def _kind(url: str, *, create: bool, read_only: bool, wait: float) -> Kind:
    scheme = url.partition("://")[0].partition("+")[0] if "://" in url else ""
    if scheme == "postgresql":
        from harness.store import postgres

        return postgres.PostgreSQL(url, read_only=read_only, wait=wait)
    path = sqlite.locate(url)
    sqlite.check_there(path, create=create)
    return sqlite.SQLite(path, read_only=read_only, wait=wait)
