"""The PostgreSQL store: the contract of every store, and what is a server's own."""

from __future__ import annotations

import threading
import time

import pytest

from harness.errors import StoreError
from harness.store import Store
from harness.store.tables import SCHEMA
from tests.factories import make_result
from tests.processes import python
from tests.store.contract import ITEMS, StoreContract
from tests.store.lease_contract import HOLDS, LeaseContract

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(postgres):
    """The URL of a new database."""
    return postgres.database()


class TestPostgreSQLStore(StoreContract, LeaseContract):
    @pytest.fixture
    def url(self, postgres):
        return postgres.schema()


def refusal(url, **options):
    """Return the message of the error that opening ``url`` raises, soon; it is one line."""
    began = time.monotonic()
    with pytest.raises(StoreError) as caught:
        Store.open(url, **options)
    assert time.monotonic() - began < 15
    message = str(caught.value)
    assert "\n" not in message
    assert "secret" not in message
    return message


def name_of(url):
    return url.replace("+psycopg", "")


class TestWhatIsWrongWithIt:
    def test_no_server(self, url):
        url = url.replace("127.0.0.1:", "me:secret@127.0.0.1:").replace("me@me", "me")
        nobody = url[: url.rindex(":")] + ":1/db?connect_timeout=2&password=secret"
        message = refusal(nobody)
        assert "store postgresql://me@127.0.0.1:1/db cannot be reached (" in message
        assert "refused" in message
        assert "see that its server runs and that host, port" in message

    def test_no_such_host(self):
        message = refusal("postgresql+psycopg://me:secret@nowhere.invalid/db")
        assert "store postgresql://me@nowhere.invalid/db cannot be reached (" in message
        assert message.endswith("correct the host in the URL")

    def test_no_such_database(self, url):
        message = refusal(f"{url}x")
        assert f"store {name_of(url)}x cannot be reached (" in message
        assert 'database "db' in message
        assert "make it (createdb, createuser), or correct the URL" in message

    def test_no_such_user(self, postgres, url):
        message = refusal(url.replace("me@", "nobody:secret@"))
        assert f"store {name_of(url).replace('me@', 'nobody@')} cannot be reached" in message
        assert 'role "nobody" does not exist' in message

    def test_the_password(self, postgres, url):
        postgres.sql("DROP ROLE IF EXISTS locked")
        postgres.sql("CREATE ROLE locked LOGIN SUPERUSER PASSWORD 'right secret'")
        for user in ("locked", "locked:wrong%20secret"):
            message = refusal(url.replace("me@", f"{user}@"))
            assert f"store {name_of(url).replace('me@', 'locked@')} cannot be reached" in message
            assert "give the password in PGPASSWORD or ~/.pgpass" in message
        with Store.open(url.replace("me@", "locked:right%20secret@")) as store:
            assert store.save(make_result())

    def test_one_who_is_not_let_in(self, url):
        message = refusal(url.replace("me@", "unwelcome:secret@"))
        assert "let this user and host in (pg_hba.conf)" in message

    def test_what_may_not_be_written(self, postgres, url):
        postgres.sql("DROP ROLE IF EXISTS reader")
        postgres.sql("CREATE ROLE reader LOGIN")
        database = url.rpartition("/")[2]
        theirs = url.replace("me@", "reader@")
        try:
            message = refusal(theirs)
            assert f"store {name_of(theirs)} cannot be used (permission denied for" in message
            assert "GRANT its user USAGE and CREATE on the schema" in message
            with Store.open(url) as store:
                store.save(make_result())
            message = refusal(theirs, read_only=True)
            assert "cannot be used (permission denied for table sweep_meta)" in message
            assert "SELECT on them is enough to read" in message
            postgres.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", database)
            assert "permission denied for table sweep_meta" in refusal(theirs)
            with Store.open(theirs, read_only=True) as store:
                assert len(store.results()) == 1
        finally:
            postgres.sql("DROP OWNED BY reader", database)
            postgres.sql("DROP ROLE reader")

    @pytest.mark.parametrize("options", [{"create": False}, {"read_only": True}])
    def test_an_empty_database_is_no_store_yet(self, url, options):
        assert f"store {name_of(url)} is empty: run a sweep first" in refusal(url, **options)
        Store.open(url).close()
        Store.open(url, **options).close()

    def test_others_tables_may_be_beside(self, postgres, url):
        postgres.sql("CREATE TABLE theirs (x int)", url.rpartition("/")[2])
        with Store.open(url) as store:
            assert store.save(make_result())

    @pytest.mark.parametrize(
        ("value", "words"),
        [("99", "was written by a newer version (schema 99"), ("x", "is damaged (schema 'x')")],
    )
    def test_another_schema(self, postgres, url, value, words):
        Store.open(url).close()
        postgres.sql(f"UPDATE sweep_meta SET value = '{value}'", url.rpartition("/")[2])
        assert f"store {name_of(url)} {words}" in refusal(url)
        assert words in refusal(url, read_only=True)

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("postgresql+psycopg2://me:secret@h/db", "no store of the kind 'postgresql+psycopg2'"),
            ("postgresql+psycopg://me:secret@h", "store postgresql://me@h names no database"),
            ("postgresql://me:secret@h:x/db", "the URL of the store cannot be read"),
        ],
    )
    def test_a_url_that_cannot_be_used(self, url, words):
        message = refusal(url)
        assert words in message
        assert "expected postgresql+psycopg://user@host/database" in message

    def test_what_no_column_holds_is_no_lost_connection(self, url):
        with Store.open(url) as store, pytest.raises(StoreError) as caught:
            store.save(make_result(finished_at="\0"))
        said = "cannot hold what it was given (PostgreSQL text fields cannot contain NUL"
        assert f"store {name_of(url)} {said}" in str(caught.value)

    def test_locked_by_another(self, url):
        Store.open(url).close()
        with Store.open(url, busy_timeout=0.3) as store, Store.open(url) as other:
            held, done = threading.Event(), threading.Event()

            def hold(_connection):
                held.set()
                done.wait(10)

            holder = threading.Thread(target=other._database.write, args=(hold,))
            holder.start()
            held.wait(10)
            with pytest.raises(StoreError, match=r"locked by another session \(waited 0.3 s\)"):
                store.save(make_result())
            done.set()
            holder.join()
            assert store.save(make_result())


def test_it_is_brought_up_to_date(postgres, url):
    with Store.open(url) as store:
        store.save(make_result())
    database = url.rpartition("/")[2]
    for statement in (
        "DROP TABLE sweep_sessions, sweep_takings, sweep_item_labels",
        "ALTER TABLE sweep_outcomes DROP COLUMN item_scores, DROP COLUMN item_labels",
        "UPDATE sweep_meta SET value = '1'",
    ):
        postgres.sql(statement, database)
    with Store.open(url, read_only=True) as store:
        assert store.results() == (make_result(),)
        assert store.leases("a") == {}
    with Store.open(url) as store:
        assert store.results() == (make_result(),)
        assert store.acquire("a")
        with_items = make_result(items=ITEMS)
        assert store.save(with_items, fresh=True)
        assert store.results() == (with_items,)
        assert store._database.schema == SCHEMA


def test_names_are_in_the_order_of_their_bytes(postgres):
    postgres.sql(
        "CREATE DATABASE english TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
        " LOCALE 'C'"
    )
    with Store.open(postgres.url("english")) as store:
        for seed, sweep in enumerate(["a_b", "aa", "B", "ab"]):
            store.save(make_result(sweep=sweep, seed=seed))
        assert [summary.sweep for summary in store.sweeps()] == ["B", "a_b", "aa", "ab"]
        assert [result.run.sweep for result in store.results()] == ["B", "a_b", "aa", "ab"]


def test_two_schemes_are_one_store(url):
    with Store.open(url) as store:
        store.save(make_result())
    with Store.open(url.replace("+psycopg", ""), create=False) as store:
        assert len(store.results()) == 1


@pytest.mark.slow
class TestARestart:
    """The server is restarted while sessions use it: connections drop, and nothing is lost."""

    def test_what_is_written_then_is_written_when_it_is_back(self, restarting, url):
        with Store.open(url) as store:
            made = [make_result(f"s-{n}", seed=n, index=n) for n in range(400)]
            stop = threading.Event()
            restarts = threading.Thread(target=restarting, args=(stop,))
            restarts.start()
            try:
                for result in made:
                    assert store.acquire(result.key)
                    store.save(result)
                    time.sleep(0.01)
            finally:
                stop.set()
                restarts.join()
            assert restarting.times >= 2
            assert store.results() == tuple(made)

    def test_what_is_taken_stays_taken(self, postgres, url):
        holder = python(HOLDS, url, "a", stdin=-1)
        assert holder.stdout.readline() == "a\n"
        with Store.open(url) as store:
            assert store.acquire("b")
            postgres.stop()
            postgres.start()
            assert list(store.leases("ab")) == ["a"]
            assert not store.acquire("a")
            holder.communicate()
            assert holder.returncode == 0
            assert store.acquire("a")

    def test_one_that_does_not_come_back_is_said(self, postgres, url):
        with Store.open(url, busy_timeout=2.0) as store:
            store.save(make_result("s-0", seed=0))
            postgres.stop()
            try:
                began = time.monotonic()
                with pytest.raises(
                    StoreError, match=r"cannot be reached \(.*server runs"
                ) as caught:
                    store.save(make_result("s-1", seed=1))
                assert 1.0 < time.monotonic() - began < 10
                assert "\n" not in str(caught.value)
            finally:
                postgres.start()
            assert store.save(make_result("s-1", seed=1))
            assert len(store.results()) == 2

    @pytest.fixture
    def restarting(self, postgres):
        return _Restarting(postgres)


class _Restarting:
    """Restarts a server every half a second, three seconds off once."""

    def __init__(self, server):
        self._server = server
        self.times = 0

    def __call__(self, stop):
        while not stop.wait(0.5):
            self._server.stop()
            time.sleep(3 if self.times == 1 else 0)
            self._server.start()
            self.times += 1


def test_a_client_that_falls_silent_is_thrown_out(postgres, url, monkeypatch):
    Store.open(url).close()
    monkeypatch.setattr("harness.store.postgres._SILENCE", "200ms")
    with Store.open(url) as store, pytest.raises(StoreError, match="idle-in-transaction"):
        store._database.write(lambda _: time.sleep(1), patience=0)
