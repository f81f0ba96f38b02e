"""SQLite files as stores: the file that a URL means, its connections, and its errors."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from harness.errors import StoreError

_NO_LOCKS = (
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_IOERR_LOCK,
    sqlite3.SQLITE_IOERR_UNLOCK,
    sqlite3.SQLITE_IOERR_RDLOCK,
    sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP,
)
"""The errors of a file system that cannot lock a file, or map one that processes share."""

REPLACE = "move it away (a new one is made), or name another store"


def locate(url: str) -> Path:
    """Return the file that ``url`` means: ``sqlite:///path``, or a path.

    Raises `StoreError` for another kind of store, and if the URL names no file.
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
    if not place or place == ":memory:":
        raise StoreError(f"store '{url}' names no file: expected sqlite:///path or a path")
    if separator and "?" in place:
        raise StoreError(f"store '{url}': options after ? are not read; give the path alone")
    path = Path(place).expanduser().absolute()
    if path.is_dir():
        raise StoreError(f"store {path} is a directory: expected a file, such as {path}/store.db")
    return path


def check_there(path: Path, *, create: bool) -> None:
    """Check that the file exists; to ``create`` it, make its folders.

    Raises `StoreError` if neither is possible.
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
    """An SQLite file as a store (see `database.Kind`). All its sessions are on this machine."""

    instead = REPLACE
    shared = False
    patience = 0.0
    clock: sa.ColumnElement[float] = sa.literal_column(
        "(julianday('now') - 2440587.5) * 86400.0", sa.Double()
    )
    insert = staticmethod(insert)

    def __init__(self, path: Path, *, read_only: bool, wait: float) -> None:
        self.name = f"store {path}"
        self._path = path
        self._read_only = read_only
        self._wait = wait

    def engine(self) -> sa.Engine:
        """Return an engine whose connections are to the file."""
        return sa.create_engine("sqlite://", creator=self._connect, poolclass=sa.QueuePool)

    def begin(self, connection: sa.Connection, *, write: bool) -> None:
        """Begin a transaction. One that will write takes its lock first, and so waits its turn."""
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    def ready_to_write(self, engine: sa.Engine) -> None:
        """Switch the file to its write-ahead log."""
        until = time.monotonic() + self._wait
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            while True:
                try:
                    driver.execute("PRAGMA journal_mode=WAL").fetchone()
                except sqlite3.OperationalError as error:
                    # The switch itself does not wait for others' locks.
                    if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                        raise
                    time.sleep(0.02)
                else:
                    return

    def may_pass(self, error: BaseException | None) -> bool:
        """Return False: SQLite itself waits for what passes."""
        return False

    def explain(self, error: BaseException | None) -> str:
        """Explain ``error`` in one line, with what to do."""
        code, whole = _code(error), getattr(error, "sqlite_errorcode", 0)
        said = " ".join(str(error).split())
        if whole in _NO_LOCKS or (code == sqlite3.SQLITE_BUSY and not _can_lock(self._path.parent)):
            what = (
                f"cannot be used where it is ({said}): its file system lacks file locks or shared "
                "memory, as network file systems may; name a store on a local disk, or PostgreSQL "
                "(postgresql+psycopg://user@host/database)"
            )
        elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            what = (
                f"is locked by another process (waited {self._wait:g} s): wait for it or end it, "
                "or name another store"
            )
        elif code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            what = f"is damaged or not a database ({said}): {REPLACE}"
        elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            what = (
                f"cannot be written ({said}): make it and its directory writable, or name another "
                "store"
            )
        elif code == sqlite3.SQLITE_FULL or whole == sqlite3.SQLITE_IOERR_SHMSIZE:
            what = f"cannot be written ({said}): make room on its disk and run again"
        elif code == sqlite3.SQLITE_IOERR:
            what = (
                f"cannot be read or written ({said}): its disk or network fails, or a quota is "
                "used up; mend that and run again, or name another store"
            )
        else:
            what = f"cannot be used ({said}): {REPLACE}"
        return f"{self.name} {what}"

    def _connect(self) -> sqlite3.Connection:
        """Open the file with no transaction begun.

        The death of a process loses nothing committed. With the write-ahead log that needs no sync
        per commit; only a power failure may lose the last commits.
        """
        mode = "ro" if self._read_only else "rwc"
        folder, log = self._path.parent, self._path.with_name(f"{self._path.name}-wal")
        if self._read_only and not os.access(folder, os.W_OK) and not log.exists():
            mode = "ro&immutable=1"  # reading a write-ahead log would need files beside it
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode={mode}",
            uri=True,
            timeout=self._wait,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection


def _can_lock(folder: Path) -> bool:
    """Return whether files in ``folder`` can be locked.

    SQLite takes a lock that is refused for lack of a lock server for one that another process has.
    The file locked here is another than the store, whose locks would end with it.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
    return True


def _code(error: BaseException | None) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
