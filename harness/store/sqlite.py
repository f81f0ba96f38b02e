"""SQLite files as stores: which file a URL means, how it is opened, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import Insert, insert

from harness.errors import StoreError

REPLACE = "move it away (a new one is made), or name another store"


def locate(url: str) -> Path:
    """Return the file that ``url`` means: ``sqlite:///path``, or a path.

    Raises
    ------
    StoreError
        For another kind of store, and where the URL names no file.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        place = url
    elif scheme not in ("sqlite", "sqlite+pysqlite"):
        raise StoreError(
            f"there is no store of the kind '{scheme}': expected sqlite:///path, the path of a "
            "file, or postgresql+psycopg://user@host/database"
        )
    else:
        place = rest.removeprefix("/") if rest.startswith("/") else ""
    if not place or place == ":memory:" or "?" in place:
        raise StoreError(f"store '{url}' names no file: expected sqlite:///path or a path")
    path = Path(place).expanduser().absolute()
    if path.is_dir():
        raise StoreError(f"store {path} is a directory: expected a file, such as {path}/store.db")
    return path


def check_there(path: Path, *, create: bool) -> None:
    """Check that the file is there, or make the folders to it.

    Raises
    ------
    StoreError
        Where it is missing and not to be made, or its folders cannot be made.
    """
    try:
        if path.exists():
            return
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
            return
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StoreError(
            f"store {path} cannot be created ({reason}: {error.filename}): "
            "name a place that can be written"
        ) from error
    raise StoreError(f"there is no store at {path}: run a sweep first, or name another store")


class SQLite:
    """An SQLite file as a store (see `database.Kind`); all its sessions are on this machine."""

    instead = REPLACE
    shared = False
    patience = 0.0
    clock: sa.ColumnElement[float] = sa.literal_column(
        "(julianday('now') - 2440587.5) * 86400.0", sa.Double()
    )

    def __init__(self, path: Path, *, read_only: bool, wait: float) -> None:
        self.name = f"store {path}"
        self._path = path
        self._read_only = read_only
        self._wait = wait

    def engine(self) -> sa.Engine:
        """Return an engine whose connections are to the file."""

        def connected() -> sqlite3.Connection:
            return connect(self._path, read_only=self._read_only, busy_timeout=self._wait)

        return sa.create_engine("sqlite://", creator=connected, poolclass=sa.QueuePool)

    def begin(self, connection: sa.Connection, *, write: bool) -> None:
        """Begin a transaction; one that will write takes its lock first, and so waits its turn."""
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    def ready_to_write(self, engine: sa.Engine) -> None:
        """Switch the file to its write-ahead log."""
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            use_log(driver, self._wait)

    def insert(self, table: sa.Table) -> Insert:
        """Return an insert that knows what to do about a row that is there already."""
        return insert(table)

    def may_pass(self, error: BaseException | None) -> bool:
        """Return False: SQLite itself waits for what passes."""
        return False

    def explain(self, error: BaseException | None) -> str:
        """Explain ``error`` in one line, with what to do."""
        return explain(error, self._path, self._wait)


def connect(path: Path, *, read_only: bool, busy_timeout: float) -> sqlite3.Connection:
    """Open ``path`` with no transaction begun, waiting ``busy_timeout`` seconds for locks.

    A process that dies, in whatever way, loses nothing committed. (With the write-ahead log that
    is so without a sync per commit; only a power failure may cost the last ones.)
    """
    mode = "ro" if read_only else "rwc"
    if read_only and not os.access(path.parent, os.W_OK) and not _log(path).exists():
        mode = "ro&immutable=1"  # reading a write-ahead log would need files beside it
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=busy_timeout,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def use_log(connection: sqlite3.Connection, patience: float) -> None:
    """Switch the database to its write-ahead log, trying for ``patience`` seconds."""
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            # The switch does not wait for others' locks by itself.
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def explain(error: BaseException | None, path: Path, busy_timeout: float) -> str:
    """Explain ``error`` of the store at ``path`` in one line, with what to do."""
    code = _code(error)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return (
            f"store {path} is locked by another process (waited {busy_timeout:g} s): "
            "wait for it or end it, or name another store"
        )
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return f"store {path} is damaged or not a database ({error}): {REPLACE}"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return (
            f"store {path} cannot be written ({error}): make it and its directory writable, "
            "or name another store"
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return f"store {path} cannot be written ({error}): make room on its disk and run again"
    return f"store {path} cannot be used ({' '.join(str(error).split())}): {REPLACE}"


def _code(error: BaseException | None) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
