"""A PostgreSQL server for tests: Debian's binaries, in a folder and on a port of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path

import pytest

HBA = """
host all locked 127.0.0.1/32 scram-sha-256
host all unwelcome 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
"""
"""``locked`` needs a password, ``unwelcome`` is never let in, all others need nothing."""


def binary(name):
    """Return the path of a program of PostgreSQL; the test that needs it fails without."""
    found = [*Path("/usr/lib/postgresql").glob(f"*/bin/{name}")]
    path = max(found, key=lambda at: int(at.parts[-3])) if found else shutil.which(name)
    if path is None:
        pytest.fail(f"PostgreSQL's {name} is not here: apt-get install postgresql", pytrace=False)
    return str(path)


class Server:
    """A running server; ``with`` stops it and removes all of it."""

    def __init__(self):
        self._folder = Path(tempfile.mkdtemp(prefix="sweep-postgres-"))
        self._as = {}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            names = {user.pw_name for user in pwd.getpwall()}
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._names = count()
        data = self._folder / "data"
        self._run("initdb", "-D", data, "-U", "me", "-E", "UTF8", "--no-locale", "--no-sync")
        (data / "pg_hba.conf").write_text(HBA)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder)

    def start(self):
        """Start the server and wait until it answers."""
        settings = {"fsync": "off", "listen_addresses": "127.0.0.1", "port": self.port}
        settings |= {"unix_socket_directories": "", "max_connections": 60}
        with Path(self._folder, "log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary("postgres"), "-D", self._folder / "data"]
                + [f"--{name}={value}" for name, value in settings.items()],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                **self._as,
            )
        deadline = time.monotonic() + 60
        while subprocess.call([binary("pg_isready"), "-q", "-h", "127.0.0.1", f"-p{self.port}"]):
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL does not start: {(self._folder / 'log').read_text()}")
            time.sleep(0.05)

    def stop(self, how=signal.SIGINT):
        """Stop the server: transactions are rolled back, connections cut; SIGQUIT is a crash."""
        self._process.send_signal(how)
        self._process.wait(60)

    def sql(self, statement, database="postgres"):
        """Run a statement that is no query, as the server's owner."""
        import psycopg

        url = self.url(database).replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)

    def database(self):
        """Make a new database, and return its URL."""
        name = f"db{next(self._names)}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def schema(self):
        """Make a new schema in one database, and return a URL that means it: that is quicker."""
        name = f"schema{next(self._names)}"
        self.sql(f"CREATE SCHEMA {name}")
        return self.url(f"postgres?options=-csearch_path%3D{name}")

    def url(self, database, user="me"):
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    def _run(self, program, *arguments):
        done = subprocess.run(
            [binary(program), *map(str, arguments)],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            **self._as,
        )
        assert done.returncode == 0, done.stdout + done.stderr
