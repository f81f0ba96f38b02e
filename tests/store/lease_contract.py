"""What every store does so that no run is trained twice, whatever database is under it."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import sqlalchemy as sa

from harness.errors import StoreError
from harness.records import FINAL
from harness.store import Store, leases
from harness.store.tables import LEASES, SESSIONS
from tests.factories import make_result
from tests.processes import python
from tests.store.contract import FLEETING

HOLDS = """
from harness.store import Store
store = Store.open(sys.argv[1])
print(*(key for key in sys.argv[2:] if store.acquire(key)), flush=True)
sys.stdin.read()
store.close()
"""
"""Acquires leases, prints which it got, and holds them until its input ends."""

RACES = """
import random, time
from harness.store import Store
with Store.open(sys.argv[1]) as store:
    keys = random.sample(sys.argv[2:], len(sys.argv[2:]))
    print("ready", flush=True)
    time.sleep(max(0, float(sys.stdin.readline()) - time.time()))
    got = [key for key in keys if store.acquire(key)]
    print(*got, flush=True)
    sys.stdin.readline()
"""


LATE = SESSIONS.c.heartbeat - leases.LEASE_SECONDS - 1
LONG_AGO = SESSIONS.c.heartbeat - 2 * 86400


def change(store, table, **values):
    """Set columns of all rows, as time or another machine would."""
    store._database.write(lambda connection: connection.execute(sa.update(table).values(values)))


def rows(store, table):
    return store._database.read(lambda connection: connection.execute(sa.select(table)).all())


def race(url, keys):
    """Let four processes acquire ``keys`` at once; return what each got, when all have ended."""
    racers = [python(RACES, url, *keys, stdin=-1) for _ in range(4)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    start = time.time() + 0.2
    for racer in racers:
        racer.stdin.write(f"{start}\n")
        racer.stdin.flush()
    shares = [racer.stdout.readline().split() for racer in racers]
    for racer in racers:
        racer.communicate("\n")
    return shares


class LeaseContract:
    """Inherited by the test of each database, which has the fixtures ``url`` and ``store``."""

    @pytest.fixture
    def other(self, store, url):
        """Another session on the same store."""
        with Store.open(url) as other:
            yield other

    @pytest.fixture
    def elsewhere(self, store, other):
        """Make the other session, which has run "a", one of another machine."""
        assert other.acquire("a")
        change(other, SESSIONS, place="elsewhere", host="far")
        return other

    def test_a_run_is_one_sessions(self, store, other):
        assert store.acquire("a")
        assert store.acquire("a")
        assert not other.acquire("a")
        assert other.acquire("b")
        assert not store.acquire("b")

    def test_who_has_it(self, store, other):
        before = time.time()
        other.acquire("b")
        other.acquire("a")
        store.acquire("c")
        found = store.leases(["c", "a", "x", "b", "a"])
        assert list(found) == ["a", "b"]
        assert (found["a"].host, found["a"].pid) == (socket.gethostname(), os.getpid())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["a"].since)
        since = rows(store, LEASES)[0].since
        assert before - 2 < since < time.time() + 2
        assert list(other.leases("abc")) == ["c"]

    def test_what_is_saved_is_no_longer_taken(self, store, other):
        result = make_result(status="crashed")
        assert store.acquire(result.key)
        store.save(result)
        assert other.leases([result.key]) == {}
        assert other.acquire(result.key)

    def test_what_another_has_is_not_freed_by_saving(self, store, other):
        result = make_result(status="crashed")
        assert store.acquire("a")
        assert other.acquire(result.key)
        store.save(result)
        assert list(store.leases([result.key])) == [result.key]

    @pytest.mark.parametrize("status", sorted(FINAL))
    def test_what_is_final_is_not_taken_unless_again(self, store, other, status):
        result = make_result(status=status)
        store.save(result)
        assert not other.acquire(result.key)
        assert store.leases([result.key]) == {}
        assert other.acquire(result.key, again=True)
        assert not store.acquire(result.key, again=True)

    @pytest.mark.parametrize("status", FLEETING)
    def test_what_is_not_final_is_taken(self, store, status):
        result = make_result(status=status)
        store.save(result)
        assert store.acquire(result.key)

    def test_what_is_given_back_is_free(self, store, other):
        for key in "abc":
            assert store.acquire(key)
        store.release(["b", "c", "nothing"])
        assert list(other.leases("abc")) == ["a"]
        assert other.acquire("b")
        store.release(["b"])
        assert list(store.leases("abc")) == ["b"]

    def test_nobody_gives_back_what_others_have(self, store, other):
        assert other.acquire("a")
        store.release(["a"])
        assert not store.acquire("a")

    def test_closing_gives_back_everything(self, store, url):
        with Store.open(url) as other:
            assert other.acquire("a")
            assert other.acquire("b")
        assert store.acquire("a")
        assert store.leases("ab") == {}
        assert len(rows(store, SESSIONS)) == 1

    def test_a_store_that_is_read_says_what_is_taken_and_takes_nothing(self, store, url):
        store.acquire("a")
        with Store.open(url, read_only=True) as reader:
            assert list(reader.leases("a")) == ["a"]
            with pytest.raises(StoreError, match="cannot be written"):
                reader.acquire("b")

    def test_reading_and_saving_take_nothing(self, store):
        store.save(make_result())
        store.release(["a"])
        assert rows(store, SESSIONS) == []
        assert not [t for t in threading.enumerate() if t.name == "sweep-heartbeat"]

    def test_a_session_elsewhere_lives_by_its_heartbeat(self, store, elsewhere):
        change(store, SESSIONS, heartbeat=SESSIONS.c.heartbeat - leases.LEASE_SECONDS + 10)
        assert not store.acquire("a")
        assert store.leases("a")["a"].host == "far"
        change(store, SESSIONS, heartbeat=SESSIONS.c.heartbeat - 11)
        assert store.leases("a") == {}
        assert store.acquire("a")
        assert not elsewhere.acquire("a")

    def test_one_that_is_heard_of_again_keeps_what_nobody_took(self, store, elsewhere):
        elsewhere.acquire("b")
        change(store, SESSIONS, heartbeat=LATE)
        assert store.acquire("a")
        elsewhere._leases._beat()
        assert list(store.leases("ab")) == ["b"]
        assert not store.acquire("b")
        assert list(elsewhere.leases("ab")) == ["a"]

    def test_taking_is_a_sign_of_life(self, store, elsewhere):
        change(store, SESSIONS, heartbeat=LATE)
        assert elsewhere.acquire("b")
        assert list(store.leases("ab")) == ["a", "b"]

    def test_what_one_lost_is_not_freed_by_its_saving(self, store, elsewhere, url):
        result = make_result(status="crashed")
        elsewhere.acquire(result.key)
        change(store, SESSIONS, heartbeat=LATE)
        assert store.acquire(result.key)
        elsewhere.save(result)
        with Store.open(url) as third:
            assert not third.acquire(result.key)

    def test_a_session_here_lives_as_long_as_its_process(self, store, other):
        other.acquire("a")
        change(store, SESSIONS, heartbeat=LONG_AGO)
        assert list(store.leases("a")) == ["a"]
        assert not store.acquire("a")

    def test_what_the_dead_had_is_lost_until_somebody_takes_it(self, store, other):
        other.acquire("a")
        other.acquire("b")
        assert store.abandoned("ab") == {}
        change(store, SESSIONS, began=1.0)
        found = store.abandoned("abc")
        assert list(found) == ["a", "b"]
        assert found["a"].pid == os.getpid()
        assert not store.acquire("a", take_over=False)
        assert store.acquire("c", take_over=False)
        assert store.acquire("a")
        assert list(store.abandoned("abc")) == ["b"]

    @pytest.mark.parametrize("gone", [{"pid": 2**22 + 1}, {"began": 1.0}])
    def test_a_session_here_without_its_process_is_dead(self, store, other, gone):
        other.acquire("a")
        change(store, SESSIONS, **gone)
        assert store.leases("a") == {}
        assert store.acquire("a")

    def test_the_heart_beats_while_something_is_taken(self, store, elsewhere, url, monkeypatch):
        monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
        with Store.open(url) as third:
            third.acquire("c")
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                change(store, SESSIONS, heartbeat=0.0)
                time.sleep(0.2)
                found = {row.place: row.heartbeat for row in rows(store, SESSIONS)}
                if found.pop("elsewhere") == 0.0 and all(found.values()):
                    break
            else:
                pytest.fail("no heartbeat in 10 s")
            third.release(["c"])
            time.sleep(0.2)
            change(store, SESSIONS, heartbeat=0.0)
            time.sleep(0.3)
            assert all(row.heartbeat == 0.0 for row in rows(store, SESSIONS))
        assert not [t for t in threading.enumerate() if t.name == "sweep-heartbeat"][1:]

    def test_the_dead_of_long_ago_are_forgotten(self, store, other, url):
        other.acquire("a")
        change(store, SESSIONS, place="elsewhere", heartbeat=LATE)
        store.acquire("b")
        assert len(rows(store, SESSIONS)) == 2
        change(store, SESSIONS, heartbeat=LONG_AGO)  # our own lives: its process is seen to
        with Store.open(url) as third:
            third.acquire("c")
            assert [row.key for row in rows(store, LEASES)] == ["b", "c"]
            assert len(rows(store, SESSIONS)) == 2

    def test_threads_take_each_run_once(self, url):
        keys = [f"k{number}" for number in range(40)]
        with ExitStack() as stack:
            stores = [stack.enter_context(Store.open(url)) for _ in range(6)]
            barrier = threading.Barrier(len(stores))

            def take(store):
                barrier.wait(10)
                return [key for key in keys if store.acquire(key)]

            with ThreadPoolExecutor(len(stores)) as pool:
                taken = [key for got in pool.map(take, stores) for key in got]
        assert sorted(taken) == sorted(keys)

    def test_processes_take_each_run_once(self, store, url):
        for attempt in range(5):
            keys = [f"{attempt}-{number}" for number in range(200)]
            shares = race(url, keys)
            assert sorted(key for share in shares for key in share) == sorted(keys)
            if sum(map(bool, shares)) > 1:
                break  # on a busy machine one may be through before another begins
        else:
            pytest.fail("there was no race")
        assert store.leases(keys) == {}

    def test_what_a_killed_process_had_is_free_at_once(self, store, url):
        holder = python(HOLDS, url, "a", "b", stdin=-1)
        assert holder.stdout.readline() == "a b\n"
        assert store.leases("ab")["a"].pid == holder.pid
        assert not store.acquire("a")
        holder.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while store.leases("ab") and time.monotonic() < deadline:
            time.sleep(0.01)  # the kernel takes a moment; that nobody waits for it is a zombie
        assert store.acquire("a")
        assert store.leases("ab") == {}
        holder.communicate()
        assert store.acquire("b")
