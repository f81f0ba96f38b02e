"""Stores that cannot be opened, read or written: one clear line each."""

from __future__ import annotations

import errno
import gc
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.store import Store
from harness.store.sqlite import SQLite
from tests.factories import make_result


def refusal(url, **options):
    """Return the message of the error that opening ``url`` raises; it is one line."""
    with pytest.raises(StoreError) as caught:
        Store.open(str(url), **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def explained(path, name):
    """Return what is said of the SQLite error of this name."""
    error = sqlite3.OperationalError("said by SQLite")
    error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{name}")
    return SQLite(path, read_only=False, wait=0.1).explain(error)


class TestWhereItIs:
    @pytest.mark.parametrize("form", ["{}", "sqlite:///{}", "sqlite+pysqlite:///{}"])
    def test_a_path_or_a_url(self, tmp_path, form):
        path = tmp_path / "s%20p ü?#.db".replace("?", "")
        Store.open(form.format(path)).close()
        assert path.exists()

    def test_a_relative_path(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Store.open("sqlite:///here/store.db").close()
        Store.open("there.db").close()
        assert (tmp_path / "here/store.db").exists()
        assert (tmp_path / "there.db").exists()

    def test_a_store_of_another_kind(self):
        message = refusal("mysql://me:secret@host/db")
        assert "there is no store of the kind 'mysql'" in message
        assert "sqlite:///path" in message
        assert "postgresql+psycopg://" in message
        assert "secret" not in message

    def test_postgresql_without_its_driver(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "psycopg", None)
        message = refusal("postgresql+psycopg://me:secret@host/db")
        assert "store postgresql://me@host/db needs psycopg" in message
        assert message.endswith("pip install 'pytest-sweep[postgres]'")
        assert "secret" not in message

    @pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", ":memory:"])
    def test_a_url_without_a_file(self, url):
        assert "names no file" in refusal(url)

    def test_options_of_a_url(self):
        assert "options after ? are not read; give the path alone" in refusal("sqlite:///a?b=c")

    def test_a_path_may_have_any_character(self, tmp_path):
        place = str(tmp_path / "really? #1 %20" / "store.db")
        Store.open(place).close()
        assert Path(place).is_file()

    def test_a_directory(self, tmp_path):
        assert f"store {tmp_path} is a directory" in refusal(tmp_path)

    @pytest.mark.parametrize("options", [{"create": False}, {"read_only": True}])
    def test_nothing_there_and_nothing_to_be_made(self, tmp_path, options):
        path = tmp_path / "folder" / "store.db"
        assert f"there is no store at {path}: run a sweep first" in refusal(path, **options)
        assert not path.parent.exists()

    @pytest.mark.parametrize("options", [{"create": False}, {"read_only": True}])
    def test_an_empty_file_is_no_store_yet(self, tmp_path, options):
        path = tmp_path / "store.db"
        path.touch()
        assert f"store {path} is empty" in refusal(path, **options)
        Store.open(str(path)).close()
        Store.open(str(path), **options).close()


class TestWhatIsWrongWithIt:
    def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").touch()
        message = refusal(tmp_path / "file" / "deeper" / "store.db")
        assert f"store {tmp_path}/file/deeper/store.db cannot be created" in message
        assert "name a place that can be written" in message

    @pytest.mark.parametrize("what", ["file", "directory"])
    def test_what_may_not_be_written(self, what):
        # A process without root's privileges tries: to root, everything can be written.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "store.db")
            Store.open(str(path)).close()
            path.chmod(0o444 if what == "file" else 0o666)
            Path(folder).chmod(0o777 if what == "file" else 0o555)
            code = (
                f"import os, sys; sys.path[:] = {sys.path!r}\n"
                "from harness.errors import StoreError\n"
                "from harness.store import Store\n"
                "if os.getuid() == 0: os.setgid(65534), os.setuid(65534)\n"
                f"try: Store.open({str(path)!r})\n"
                "except StoreError as error: print(error)\n"
                f"Store.open({str(path)!r}, read_only=True).close(); print('read')\n"
            )
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=False
            )
            Path(folder).chmod(0o777)
        assert f"store {path} cannot be written" in done.stdout, done.stderr
        assert "another store" in done.stdout
        assert done.stdout.endswith("\nread\n"), done.stderr
        assert done.stdout.count("\n") == 2

    def test_no_database(self, tmp_path):
        path = tmp_path / "store.db"
        path.write_text("run,delta_perf\n" * 200)
        assert f"store {path} is damaged or not a database" in refusal(path)
        assert path.read_text() == "run,delta_perf\n" * 200

    @pytest.mark.parametrize("cut", [5000, 300])
    def test_a_file_cut_short(self, path, cut):
        content = path.read_bytes()
        assert len(content) > cut
        path.write_bytes(content[:cut])
        assert f"store {path} is damaged" in refusal(path)

    def test_damage_in_the_middle_is_found_when_read(self, path):
        with sqlite3.connect(path) as connection:
            page, size = connection.execute(
                "SELECT rootpage, (SELECT page_size FROM pragma_page_size) "
                "FROM sqlite_master WHERE name = 'sweep_outcomes'"
            ).fetchone()
        connection.close()
        content = bytearray(path.read_bytes())
        content[(page - 1) * size : page * size] = b"\xff" * size
        path.write_bytes(content)
        with Store.open(str(path)) as store, pytest.raises(StoreError, match="is damaged"):
            store.results()

    def test_reading_leaves_the_collector_as_it_was(self, path):
        with Store.open(str(path)) as store:
            store.results()
            assert gc.isenabled()
            store._database.write(
                lambda connection: connection.exec_driver_sql("UPDATE sweep_runs SET run = '{'")
            )
            with pytest.raises(StoreError):
                store.results()
            assert gc.isenabled()

    def test_a_document_that_is_none_of_ours(self, path):
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE sweep_outcomes SET record = '{}'")
        connection.close()
        with (
            Store.open(str(path)) as store,
            pytest.raises(StoreError, match=r"the run with key .* cannot be read"),
        ):
            store.results()

    def test_a_damaged_trace_is_found_by_who_looks_at_it(self, path):
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE sweep_outcomes SET trace = x'00'")
        connection.close()
        with Store.open(str(path)) as store:
            outcome = store.results()[0].outcome
            assert outcome.status == "completed"
            with pytest.raises(StoreError, match=r"the run with key .* cannot be read \(error:"):
                len(outcome.trace)

    def test_another_programs_database(self, tmp_path):
        path = tmp_path / "theirs.db"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        connection.close()
        before = path.read_bytes()
        said = "is an SQLite database but not a sweep store (it has a table 'theirs')"
        assert said in refusal(path)
        assert path.read_bytes() == before

    def test_a_newer_schema(self, path):
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE sweep_meta SET value = '99'")
        connection.close()
        message = refusal(path)
        assert f"store {path} was written by a newer version (schema 99" in message
        assert "upgrade pytest-sweep" in message
        refusal(path, read_only=True)

    def test_a_schema_that_is_no_number(self, path):
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE sweep_meta SET value = 'x'")
        connection.close()
        assert "is damaged (schema 'x')" in refusal(path)

    @pytest.mark.parametrize("mode", ["WAL", "DELETE"])
    def test_locked_by_another(self, path, mode):
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute(f"PRAGMA journal_mode={mode}")
        holder.execute("BEGIN EXCLUSIVE")
        try:
            began = time.monotonic()
            message = refusal(path, busy_timeout=0.2)
            assert 0.15 < time.monotonic() - began < 3
        finally:
            holder.close()
        assert f"store {path} is locked by another process (waited 0.2 s)" in message
        Store.open(str(path)).close()

    @pytest.mark.parametrize(
        "name",
        [
            "PROTOCOL",
            "IOERR_LOCK",
            "IOERR_RDLOCK",
            "IOERR_SHMMAP",
            "IOERR_SHMLOCK",
            "IOERR_SHMOPEN",
        ],
    )
    def test_a_file_system_without_locks_or_shared_memory(self, path, name):
        message = explained(path, name)
        assert f"store {path} cannot be used where it is (said by SQLite)" in message
        assert "lacks file locks or shared memory" in message
        assert "a store on a local disk, or PostgreSQL" in message

    @pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
    def test_a_lock_refused_for_lack_of_locks_is_not_another_process(
        self, path, monkeypatch, number
    ):
        def lockf(file, operation):
            raise OSError(number, os.strerror(number))

        assert "is locked by another process" in explained(path, "BUSY")
        monkeypatch.setattr("fcntl.lockf", lockf)
        assert "lacks file locks or shared memory" in explained(path, "BUSY")

    @pytest.mark.parametrize(
        ("name", "advice"),
        [
            ("FULL", "make room on its disk"),
            ("IOERR_SHMSIZE", "make room on its disk"),
            ("IOERR_WRITE", "its disk or network fails, or a quota is used up"),
            ("IOERR_READ", "its disk or network fails, or a quota is used up"),
        ],
    )
    def test_a_disk_that_fails_is_not_one_that_is_full(self, path, name, advice):
        assert advice in explained(path, name)

    def test_locked_when_saving(self, path):
        with Store.open(str(path), busy_timeout=0.1) as store:
            holder = sqlite3.connect(path, isolation_level=None)
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="is locked by another process"):
                store.save(make_result(seed=2))
            assert len(store.results()) == 1
            holder.close()
            assert store.save(make_result(seed=2))

    def test_a_lock_that_is_given_back_in_time_is_waited_for(self, path):
        holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.3, holder.close)
        release.start()
        with Store.open(str(path), busy_timeout=10) as store:
            assert store.save(make_result(seed=2))
        release.join()

    def test_a_full_disk(self, path):
        with Store.open(str(path)) as store:
            driver = store._database._engine.raw_connection()
            driver.driver_connection.execute("PRAGMA max_page_count=1")
            driver.close()
            big = make_result(seed=2, environment={"x": "y" * 100_000})
            with pytest.raises(StoreError, match="make room on its disk"):
                store.save(big)
            assert len(store.results()) == 1
