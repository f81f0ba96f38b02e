"""The database under a store: opened, checked, its transactions, its failures in plain words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from harness.errors import StoreError
from harness.store import sqlite
from harness.store.tables import META, METADATA, SCHEMA


class Database:
    """An SQLite file that holds a store's tables, of a version that this code knows.

    What goes wrong inside `reading` and `writing` leaves them as a `StoreError` of one line.
    """

    def __init__(self, path: Path, *, read_only: bool, busy_timeout: float) -> None:
        self._path = path
        self._busy_timeout = busy_timeout

        def connected() -> sqlite3.Connection:
            return sqlite.connect(path, read_only=read_only, busy_timeout=busy_timeout)

        self._engine = sa.create_engine("sqlite://", creator=connected, poolclass=sa.QueuePool)
        sa.event.listen(self._engine, "begin", _begin)

    @classmethod
    def open(cls, url: str, *, create: bool, read_only: bool, busy_timeout: float) -> Database:
        """Open the database at ``url`` and see that it can be used (see `Store.open`)."""
        path = sqlite.locate(url)
        sqlite.check_there(path, create=create and not read_only)
        database = cls(path, read_only=read_only, busy_timeout=busy_timeout)
        try:
            database._prepare(create=create, read_only=read_only)
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection in a transaction that reads one state of the database."""
        with self._explained(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give a connection in a transaction that writes, alone; it is durable at the end."""
        with self._explained(), self._engine.connect() as connection:
            connection.execution_options(write=True)
            with connection.begin():
                yield connection

    @staticmethod
    def insert(table: sa.Table) -> Insert:
        """Return an insert that knows what to do about a row that is there already."""
        return insert_sqlite(table)

    def _prepare(self, *, create: bool, read_only: bool) -> None:
        """Check that this is a store of our version; make it one where it is empty."""
        with self.reading() as connection:
            tables = sa.inspect(connection).get_table_names()
        if META.name in tables:
            self._check_version()
        elif tables:
            raise StoreError(
                f"store {self._path} is an SQLite database but no sweep store (it has a table "
                f"'{tables[0]}'): name another file"
            )
        elif read_only or not create:
            raise StoreError(f"store {self._path} is empty: run a sweep first, or name another")
        if read_only:
            return
        with self._explained(), self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            sqlite.use_log(driver, self._busy_timeout)
        with self.writing() as connection:
            if META.name not in tables:
                METADATA.create_all(connection)
                version = self.insert(META).values(name="schema", value=str(SCHEMA))
                connection.execute(version.on_conflict_do_nothing())
            else:  # changes nothing: what cannot be written is to be found out here
                connection.execute(sa.update(META).values(value=META.c.value))
        self._check_version()

    def _check_version(self) -> None:
        with self.reading() as connection:
            value = connection.scalar(sa.select(META.c.value).where(META.c.name == "schema"))
        if value is None or not value.isdecimal():
            raise StoreError(f"store {self._path} is damaged (schema {value!r}): {sqlite.REPLACE}")
        if int(value) > SCHEMA:
            raise StoreError(
                f"store {self._path} was written by a newer version (schema {value}, this one "
                f"knows {SCHEMA}): upgrade pytest-sweep, or name another store"
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            raise StoreError(sqlite.explain(error.orig, self._path, self._busy_timeout)) from error
        except sqlite3.Error as error:
            raise StoreError(sqlite.explain(error, self._path, self._busy_timeout)) from error


def _begin(connection: sa.Connection) -> None:
    """Begin a transaction; one that will write takes its lock first, and so waits for its turn."""
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
