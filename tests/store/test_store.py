"""The SQLite store: the contract of every store, and what is a file's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

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
    (small_disk / "ballast").write_bytes(b"x" * 450_000)
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
