"""The SQLite store: the contract of every store, and what is a file's own."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from harness.errors import StoreError
from harness.records import MAIN
from harness.store import Store
from tests.factories import make_result, make_trace
from tests.processes import python
from tests.store.contract import STATUSES, StoreContract
from tests.store.lease_contract import LeaseContract


class TestSQLiteStore(StoreContract, LeaseContract):
    @pytest.fixture
    def url(self, tmp_path):
        return f"sqlite:///{tmp_path}/made/for it/store.db"


class StoreMachine(RuleBasedStateMachine):
    """A store against a dictionary, closed and opened again as it may happen."""

    keys = st.sampled_from(["a", "b", "c"])
    sweeps = st.sampled_from(["s", "t"])

    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.store = Store.open(f"{self.folder}/store.db")
        self.kept = {}
        self.listed = {}
        self.saved = 0

    @rule(key=keys, sweep=sweeps, status=st.sampled_from(STATUSES), fresh=st.booleans())
    def save(self, key, sweep, status, fresh):
        self.saved += 1
        result = make_result(f"{sweep}-{key}", sweep=sweep, key=key, status=status)
        result = replace(result, outcome=replace(result.outcome, seconds=float(self.saved)))
        is_new = key not in self.kept or not self.kept[key].is_final
        is_kept = is_new or (fresh and result.is_final)
        assert self.store.save(result, fresh=fresh) == is_kept
        if is_kept:
            self.kept[key] = result
        self.listed[sweep, key] = result.run

    @rule()
    def reopen(self):
        self.store.close()
        self.store = Store.open(f"sqlite:///{self.folder}/store.db")

    @invariant()
    def agrees(self):
        expected = {
            place: replace(self.kept[place[1]], run=run) for place, run in self.listed.items()
        }
        assert {(r.run.sweep, r.key): r for r in self.store.results()} == expected
        assert {key: r.outcome for key, r in self.store.get("abcd").items()} == {
            key: r.outcome for key, r in self.kept.items()
        }
        for sweep in ("s", "t"):
            found = [r for (of, _), r in expected.items() if of == sweep]
            assert sorted(self.store.results(sweep, MAIN), key=lambda r: r.key) == sorted(
                found, key=lambda r: r.key
            )
        assert {s.sweep: s.runs for s in self.store.sweeps()} == {
            sweep: sum(of == sweep for of, _ in expected) for sweep, _ in expected
        }

    def teardown(self):
        self.store.close()
        shutil.rmtree(self.folder)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)


def refusal(url, **options):
    """Return the message of the error that opening ``url`` raises; it is one line."""
    with pytest.raises(StoreError) as caught:
        Store.open(str(url), **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def path(tmp_path):
    """The file of a store with one result in it."""
    path = tmp_path / "store.db"
    with Store.open(str(path)) as store:
        store.save(make_result(trace=make_trace([0.1] * 50)))
    return path


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

    @pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", ":memory:", "sqlite:///a?b=c"])
    def test_a_url_without_a_file(self, url):
        assert "names no file" in refusal(url)

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
        assert "is an SQLite database but no sweep store (it has a table 'theirs')" in refusal(path)
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


def test_kill_loses_nothing_that_was_saved(tmp_path):
    code = (
        "from tests.factories import make_result\n"
        "from harness.store import Store\n"
        "store = Store.open(sys.argv[1])\n"
        "for seed in range(10**6):\n"
        "    store.save(make_result(f's-{seed}', seed=seed, index=seed))\n"
        "    print(seed, flush=True)\n"
    )
    path = tmp_path / "store.db"
    for count in (1, 7, 60):
        path.unlink(missing_ok=True)
        process = python(code, str(path))
        for _ in range(count):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().splitlines()
        process.stdout.close()
        process.wait()
        told = count + len([line for line in rest if line])
        with Store.open(str(path)) as store:
            seeds = [result.run.seed for result in store.results()]
            assert seeds == list(range(len(seeds)))
            assert len(seeds) in (told, told + 1)
            assert store.save(make_result("next", seed=10**7))
            assert store.get([make_result(seed=0).key])


LOCKS = """
import sqlite3, time
holder = sqlite3.connect(sys.argv[1], isolation_level=None)
holder.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
holder.execute("COMMIT")
"""


@pytest.mark.slow
def test_a_lock_of_ten_seconds_costs_time_alone(path):
    with Store.open(str(path)) as store, Store.open(str(path)) as other:
        assert store.acquire("a")
        locker = python(LOCKS, str(path), "10")
        assert locker.stdout.readline() == "locked\n"
        began = time.monotonic()
        with ThreadPoolExecutor(3) as pool:
            kept = pool.submit(store.save, make_result("s-01", seed=2))
            taken = pool.submit(store.acquire, "b")
            refused = pool.submit(other.acquire, "a")
            assert len(store.results()) == 1  # reading waits for nobody
            assert kept.result()
            assert taken.result()
            assert not refused.result()
        assert time.monotonic() - began > 8
        assert len(other.results()) == 2
        assert sorted(other.leases("ab")) == ["a", "b"]
        locker.communicate()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("who may not mount a disk has test_a_full_disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_what_a_full_disk_refused_is_saved_once_there_is_room(small_disk):
    (small_disk / "ballast").write_bytes(b"x" * 300_000)
    made = [make_result(f"s-{n}", seed=n, index=n, error=f"{n}" * 20_000) for n in range(100)]
    kept = []

    def fill(store):
        for result in made:
            assert store.acquire(result.key)
            store.save(result)
            kept.append(result)

    with Store.open(str(small_disk / "store.db")) as store:
        with pytest.raises(StoreError, match="make room on its disk and run again") as caught:
            fill(store)
        assert "\n" not in str(caught.value)
        saved = len(kept)
        assert 3 < saved < 90
        assert store.results() == tuple(made[:saved])
        with pytest.raises(StoreError, match="make room on its disk"):
            store.save(made[saved])
        (small_disk / "ballast").unlink()
        assert store.save(made[saved])
        assert store.results() == tuple(made[: saved + 1])
    with Store.open(str(small_disk / "store.db")) as store:
        assert store.results() == tuple(made[: saved + 1])
        assert store.acquire(made[-1].key)


def test_many_sessions_make_one_store_at_once(tmp_path):
    code = (
        "from tests.factories import make_result\n"
        "from harness.store import Store\n"
        "with Store.open(sys.argv[1]) as store:\n"
        "    for seed in range(10):\n"
        "        store.save(make_result(seed=100 * int(sys.argv[2]) + seed))\n"
    )
    path = tmp_path / "store.db"
    processes = [python(code, str(path), str(number)) for number in range(4)]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0] * 4
    with Store.open(str(path)) as store:
        assert len(store.results()) == 40


def test_listing_is_quick(tmp_path):
    with Store.open(str(tmp_path / "store.db")) as store:
        trace = make_trace([0.1] * 100)
        for seed in range(1000):
            store.save(make_result(f"s-{seed}", seed=seed, trace=trace))
        began = time.perf_counter()
        assert len(store.results("s", traces=False)) == 1000
        assert time.perf_counter() - began < 1.0  # 0.06 s when nothing else runs


def test_nothing_but_the_store_imports_sqlalchemy():
    code = (
        "import harness.records, harness.protocols, harness.session.environment\n"
        "import harness.executors\n"
        "import harness.executors.local, harness.executors.worker, harness.executors.inline\n"
        "heavy = {'sqlalchemy', 'numpy', 'scipy', 'torch', 'jax', 'pytest'} & set(sys.modules)\n"
        "print(sorted(heavy))\n"
    )
    process = python(code)
    assert process.communicate()[0].strip() == "[]"
    assert os.waitstatus_to_exitcode(process.returncode) == 0
