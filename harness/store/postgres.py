"""PostgreSQL as a store: connections to its server, and the meaning of its errors."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine.interfaces import DBAPIConnection

from harness.errors import StoreError

INSTALL = "pip install 'pytest-sweep[postgres]'"

_WRITING = 0x73776565
"""The lock of transactions that write. They go one at a time, as in SQLite."""
_SILENCE = "60s"
"""A client that says nothing for so long while it is its turn to write is disconnected."""
_NETWORK = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "pytest-sweep",
}
"""Options by which libpq notices that a server is gone. The URL may have other values."""


class PostgreSQL:
    """A database of a PostgreSQL server as a store (see `database.Kind`)."""

    instead = "name another database"
    shared = True
    clock: sa.ColumnElement[float] = sa.literal_column(
        "extract(epoch FROM clock_timestamp())::double precision", sa.Double()
    )
    insert = staticmethod(insert)

    def __init__(self, url: str, *, read_only: bool, wait: float) -> None:
        self._url = _parsed(url)
        self._read_only = read_only
        self._wait = wait
        self.patience = wait
        self.name = _name(self._url)

    def engine(self) -> sa.Engine:
        """Return an engine whose connections are to the server; none is made yet.

        Raises `StoreError` if the driver is not installed.
        """
        network = {name: at for name, at in _NETWORK.items() if name not in self._url.query}
        try:
            engine = sa.create_engine(self._url, connect_args=network)
        except ImportError as error:
            raise StoreError(
                f"{self.name} needs psycopg, which this Python does not have "
                f"({' '.join(str(error).split())}): {INSTALL}"
            ) from error
        sa.event.listen(engine, "connect", self._connected)
        return engine

    def begin(self, connection: sa.Connection, *, write: bool) -> None:
        """Begin a transaction. One that will write waits its turn."""
        if write:
            connection.exec_driver_sql(
                f"SELECT set_config('idle_in_transaction_session_timeout', '{_SILENCE}', true), "
                f"pg_advisory_xact_lock({_WRITING})"
            )

    def ready_to_write(self, engine: sa.Engine) -> None:
        """Do nothing: a server always is."""

    def may_pass(self, error: BaseException | None) -> bool:
        """Return whether the connection was lost, or the server is restarting."""
        state = _state(error)
        if state is None:
            return _is_operational(error)
        return state[:2] == "08" or state in _PASSING

    def explain(self, error: BaseException | None) -> str:
        """Explain ``error`` in one line, with what to do."""
        state = _state(error)
        message = _message(error)
        for states, words in _MEANINGS:
            if state is not None and state.startswith(states):
                return f"{self.name} {words.format(message=message, wait=self._wait)}"
        if self.may_pass(error):
            hint = next((hint for part, hint in _HINTS if part in message), _HINTS[-1][1])
            return f"{self.name} cannot be reached ({message}): {hint}"
        if state is None:  # the driver refused a value
            return f"{self.name} cannot hold what it was given ({message})"
        return f"{self.name} cannot be used ({message}): {self.instead}"

    def _connected(self, connection: DBAPIConnection, _record: object) -> None:
        mode = "on" if self._read_only else "off"
        cursor = connection.cursor()
        cursor.execute(
            f"SELECT set_config('lock_timeout', '{int(self._wait * 1000)}ms', false), "
            f"set_config('default_transaction_read_only', '{mode}', false)"
        )
        cursor.close()
        connection.commit()


_PASSING = ("57P01", "57P02", "57P03", "57P05", "25P03", "40001", "40P01", "53300")
"""Shut down, crashed, starting up, idle for too long (twice), serialisation, deadlock, too many."""

_MEANINGS: tuple[tuple[tuple[str, ...] | str, str], ...] = (
    ("55P03", "is locked by another session (waited {wait:g} s): wait for it or end it"),
    ("25006", "cannot be written ({message}): open it to write, or name another store"),
    (
        "42501",
        "cannot be used ({message}): GRANT its user USAGE and CREATE on the schema and ALL on the "
        "tables sweep_* (SELECT on them is enough to read), or name another store",
    ),
    ("53", "cannot be written ({message}): make room on the server and run again"),
    ("58", "cannot be written ({message}): see to the server's disk and run again"),
)
_HINTS = (
    ("password", "give the password in PGPASSWORD or ~/.pgpass, or correct the user in the URL"),
    ("does not exist", "make it (createdb, createuser), or correct the URL"),
    ("pg_hba.conf", "let this user and host in (pg_hba.conf), or correct the URL"),
    ("resolve", "correct the host in the URL"),
    ("", "see that its server runs and that host, port, user and database in the URL are right"),
)


def _parsed(url: str) -> sa.URL:
    expected = "expected postgresql+psycopg://user@host/database"
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise StoreError(f"the URL of the store cannot be read: {expected}") from error
    if parsed.drivername not in ("postgresql", "postgresql+psycopg"):
        raise StoreError(f"there is no store of the kind '{parsed.drivername}': {expected}")
    if not parsed.database:
        raise StoreError(f"{_name(parsed)} names no database: {expected}")
    return parsed.set(drivername="postgresql+psycopg")


def _name(url: sa.URL) -> str:
    """Return the store's name in messages: the URL without a password."""
    bare = sa.URL.create("postgresql", url.username, None, url.host, url.port, url.database)
    return f"store {bare.render_as_string()}"


def _state(error: BaseException | None) -> str | None:
    return getattr(error, "sqlstate", None)


def _is_operational(error: BaseException | None) -> bool:
    import psycopg

    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def _message(error: BaseException | None) -> str:
    """Return the message of the server or its driver, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:1] or [type(error).__name__])
