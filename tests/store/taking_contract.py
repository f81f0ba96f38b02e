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
from harness.store import Store, taking
from harness.store.tables import SESSIONS, TAKINGS
from tests.factories import make_result
from tests.processes import python
from tests.store.contract import FLEETING

HOLDS = """
from harness.store import Store
store = Store.open(sys.argv[1])
print(*(key for key in sys.argv[2:] if store.take(key)), flush=True)
sys.stdin.read()
store.close()
"""
"""Takes what it is told to, says what it got, and holds it until its input ends."""

RACES = """
import random, time
from harness.store import Store
with Store.open(sys.argv[1]) as store:
    keys = random.sample(sys.argv[2:], len(sys.argv[2:]))
    print("ready", flush=True)
    time.sleep(max(0, float(sys.stdin.readline()) - time.time()))
    got = [key for key in keys if store.take(key)]
    print(*got, flush=True)
    sys.stdin.readline()
"""


LATE = SESSIONS.c.heartbeat - taking.LEASE - 1
LONG_AGO = SESSIONS.c.heartbeat - 2 * 86400


def change(store, table, **values):
    """Set columns of all rows, as time or another machine would."""
    store._database.write(lambda connection: connection.execute(sa.update(table).values(values)))


def rows(store, table):
    return store._database.read(lambda connection: connection.execute(sa.select(table)).all())


class TakingContract:
    """Inherited by the test of each database, which has the fixtures ``url`` and ``store``."""

    @pytest.fixture
    def other(self, store, url):
        """Another session on the same store."""
        with Store.open(url) as other:
            yield other

    @pytest.fixture
    def elsewhere(self, store, other):
        """Make the other session, which has run "a", one of another machine."""
        assert other.take("a")
        change(other, SESSIONS, place="elsewhere", host="far")
        return other

    def test_a_run_is_one_sessions(self, store, other):
        assert store.take("a")
        assert store.take("a")
        assert not other.take("a")
        assert other.take("b")
        assert not store.take("b")

    def test_who_has_it(self, store, other):
        before = time.time()
        other.take("b")
        other.take("a")
        store.take("c")
        found = store.taken(["c", "a", "x", "b", "a"])
        assert list(found) == ["a", "b"]
        assert (found["a"].host, found["a"].pid) == (socket.gethostname(), os.getpid())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["a"].since)
        since = rows(store, TAKINGS)[0].since
        assert before - 2 < since < time.time() + 2
        assert list(other.taken("abc")) == ["c"]

    def test_what_is_saved_is_no_longer_taken(self, store, other):
        result = make_result(status="crashed")
        assert store.take(result.key)
        store.save(result)
        assert other.taken([result.key]) == {}
        assert other.take(result.key)

    def test_what_another_has_is_not_freed_by_saving(self, store, other):
        result = make_result(status="crashed")
        assert store.take("a")
        assert other.take(result.key)
        store.save(result)
        assert list(store.taken([result.key])) == [result.key]

    @pytest.mark.parametrize("status", sorted(FINAL))
    def test_what_is_final_is_not_taken_unless_again(self, store, other, status):
        result = make_result(status=status)
        store.save(result)
        assert not other.take(result.key)
        assert store.taken([result.key]) == {}
        assert other.take(result.key, again=True)
        assert not store.take(result.key, again=True)

    @pytest.mark.parametrize("status", FLEETING)
    def test_what_is_not_final_is_taken(self, store, status):
        result = make_result(status=status)
        store.save(result)
        assert store.take(result.key)

    def test_what_is_given_back_is_free(self, store, other):
        for key in "abc":
            assert store.take(key)
        store.give_back(["b", "c", "nothing"])
        assert list(other.taken("abc")) == ["a"]
        assert other.take("b")
        store.give_back(["b"])
        assert list(store.taken("abc")) == ["b"]

    def test_nobody_gives_back_what_others_have(self, store, other):
        assert other.take("a")
        store.give_back(["a"])
        assert not store.take("a")

    def test_closing_gives_back_everything(self, store, url):
        with Store.open(url) as other:
            assert other.take("a")
            assert other.take("b")
        assert store.take("a")
        assert store.taken("ab") == {}
        assert len(rows(store, SESSIONS)) == 1

    def test_a_store_that_is_read_says_what_is_taken_and_takes_nothing(self, store, url):
        store.take("a")
        with Store.open(url, read_only=True) as reader:
            assert list(reader.taken("a")) == ["a"]
            with pytest.raises(StoreError, match="cannot be written"):
                reader.take("b")

    def test_reading_and_saving_take_nothing(self, store):
        store.save(make_result())
        store.give_back(["a"])
        assert rows(store, SESSIONS) == []
        assert not [t for t in threading.enumerate() if t.name == "sweep-heartbeat"]

    def test_a_session_elsewhere_lives_by_its_heartbeat(self, store, elsewhere):
        change(store, SESSIONS, heartbeat=SESSIONS.c.heartbeat - taking.LEASE + 10)
        assert not store.take("a")
        assert store.taken("a")["a"].host == "far"
        change(store, SESSIONS, heartbeat=SESSIONS.c.heartbeat - 11)
        assert store.taken("a") == {}
        assert store.take("a")
        assert not elsewhere.take("a")

    def test_one_that_is_heard_of_again_keeps_what_nobody_took(self, store, elsewhere):
        elsewhere.take("b")
        change(store, SESSIONS, heartbeat=LATE)
        assert store.take("a")
        elsewhere._takings._beat()
        assert list(store.taken("ab")) == ["b"]
        assert not store.take("b")
        assert list(elsewhere.taken("ab")) == ["a"]

    def test_taking_is_a_sign_of_life(self, store, elsewhere):
        change(store, SESSIONS, heartbeat=LATE)
        assert elsewhere.take("b")
        assert list(store.taken("ab")) == ["a", "b"]

    def test_what_one_lost_is_not_freed_by_its_saving(self, store, elsewhere, url):
        result = make_result(status="crashed")
        elsewhere.take(result.key)
        change(store, SESSIONS, heartbeat=LATE)
        assert store.take(result.key)
        elsewhere.save(result)
        with Store.open(url) as third:
            assert not third.take(result.key)

    def test_a_session_here_lives_as_long_as_its_process(self, store, other):
        other.take("a")
        change(store, SESSIONS, heartbeat=LONG_AGO)
        assert list(store.taken("a")) == ["a"]
        assert not store.take("a")

    def test_what_the_dead_had_is_lost_until_somebody_takes_it(self, store, other):
        other.take("a")
        other.take("b")
        assert store.lost("ab") == {}
        change(store, SESSIONS, began=1.0)
        found = store.lost("abc")
        assert list(found) == ["a", "b"]
        assert found["a"].pid == os.getpid()
        assert store.take("a")
        assert list(store.lost("abc")) == ["b"]

    @pytest.mark.parametrize("gone", [{"pid": 2**22 + 1}, {"began": 1.0}])
    def test_a_session_here_without_its_process_is_dead(self, store, other, gone):
        other.take("a")
        change(store, SESSIONS, **gone)
        assert store.taken("a") == {}
        assert store.take("a")

    def test_the_heart_beats_while_something_is_taken(self, store, elsewhere, url, monkeypatch):
        monkeypatch.setattr(taking, "BEAT", 0.05)
        with Store.open(url) as third:
            third.take("c")
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                change(store, SESSIONS, heartbeat=0.0)
                time.sleep(0.2)
                found = {row.place: row.heartbeat for row in rows(store, SESSIONS)}
                if found.pop("elsewhere") == 0.0 and all(found.values()):
                    break
            else:
                pytest.fail("no heartbeat in 10 s")
            third.give_back(["c"])
            time.sleep(0.2)
            change(store, SESSIONS, heartbeat=0.0)
            time.sleep(0.3)
            assert all(row.heartbeat == 0.0 for row in rows(store, SESSIONS))
        assert not [t for t in threading.enumerate() if t.name == "sweep-heartbeat"][1:]

    def test_the_dead_of_long_ago_are_forgotten(self, store, other, url):
        other.take("a")
        change(store, SESSIONS, place="elsewhere", heartbeat=LATE)
        store.take("b")
        assert len(rows(store, SESSIONS)) == 2
        change(store, SESSIONS, heartbeat=LONG_AGO)  # our own lives: its process is seen to
        with Store.open(url) as third:
            third.take("c")
            assert [row.key for row in rows(store, TAKINGS)] == ["b", "c"]
            assert len(rows(store, SESSIONS)) == 2

    def test_threads_take_each_run_once(self, url):
        keys = [f"k{number}" for number in range(40)]
        with ExitStack() as stack:
            stores = [stack.enter_context(Store.open(url)) for _ in range(6)]
            barrier = threading.Barrier(len(stores))

            def take(store):
                barrier.wait(10)
                return [key for key in keys if store.take(key)]

            with ThreadPoolExecutor(len(stores)) as pool:
                taken = [key for got in pool.map(take, stores) for key in got]
        assert sorted(taken) == sorted(keys)

    def test_processes_take_each_run_once(self, store, url):
        keys = [f"k{number}" for number in range(200)]
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
        assert sorted(key for share in shares for key in share) == sorted(keys)
        assert sum(map(bool, shares)) > 1, "there was no race"
        assert store.taken(keys) == {}

    def test_what_a_killed_process_had_is_free_at_once(self, store, url):
        holder = python(HOLDS, url, "a", "b", stdin=-1)
        assert holder.stdout.readline() == "a b\n"
        assert store.taken("ab")["a"].pid == holder.pid
        assert not store.take("a")
        holder.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while store.taken("ab") and time.monotonic() < deadline:
            time.sleep(0.01)  # the kernel takes a moment; that nobody waits for it is a zombie
        assert store.take("a")
        assert store.taken("ab") == {}
        holder.communicate()
        assert store.take("b")
