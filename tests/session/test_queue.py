"""What a session trains, with fake executors over real stores: one session, and several at once."""

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harness.protocols import Finished, Progressed, Skipped, Started
from harness.records import Conditions, Config, Evaluation, Job, Outcome, Progress, Run
from harness.session.queue import Queue, now
from harness.store import Store
from harness.store.tables import SESSIONS

CONDITIONS = Conditions("t:t", "1", "own", "float32", "cpu", "task", "1", "model")


def done(delta=0.1):
    return Outcome(
        "completed", perf_before=0.3, perf_after=0.3 + delta, delta_perf=delta, delta_perf_se=0.01
    )


def job(number, sweep="s"):
    run = Run(f"{sweep}-{number}", sweep, number, "main", None, Config({}), number, 10, 10, 5)
    return Job(f"key{number:02d}", run, CONDITIONS, "cache", "log")


class FakeExecutor:
    """Begins one job a poll, and finishes it in the next; ``outcomes`` are by number, in turn."""

    def __init__(self, on_event, may_begin, outcomes=None, workers=1):
        self.workers, self.tell, self.may_begin = workers, on_event, may_begin
        self.outcomes = {number: list(given) for number, given in (outcomes or {}).items()}
        self.jobs, self.running, self.begun = [], [], []

    def submit(self, jobs):
        self.jobs += jobs

    def poll(self, timeout):
        events = [self._finish(self.running.pop(0))] if self.running else []
        while self.jobs and not self.running:
            job = self.jobs[0]
            mine = self.may_begin(job)
            self.jobs.pop(0)
            if mine:
                self.running.append(job)
                self.begun.append(job)
            events.append(Started(job.key) if mine else Skipped(job.key))
        for event in events:
            self.tell(event)
        return events

    def measure(self, key, step=5):
        """Let a run in flight report a point of its curve."""
        evaluation = Evaluation(step, 0.4, 0.01, 0.4)
        self.tell(Progressed(key, Progress("train", step, 10, 0.5, evaluation)))

    def close(self):
        self.jobs.clear()
        return []

    def _finish(self, job):
        outcomes = self.outcomes.get(job.run.index)
        return Finished(job.key, outcomes.pop(0) if outcomes else done())


@pytest.fixture(autouse=True)
def looking_always(monkeypatch):
    monkeypatch.setattr("harness.session.queue.LOOK", 0.0)


@pytest.fixture
def open_store(tmp_path):
    stores = []

    def opened():
        stores.append(Store.open(str(tmp_path / "store.db")))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


def working(store, outcomes=None, **given):
    made = []

    def make(on_event, may_begin):
        made.append(FakeExecutor(on_event, may_begin, outcomes))
        return made[0]

    work = Queue(store, make, **{"since": now(), **given})
    return work, made[0]


def start(work, jobs):
    work.add(jobs, {"host": "here"})
    work.begin(all_at_once=True)


def finish(*works, polls=60):
    """Poll in turn until nothing is open; return what ended in each."""
    ended = [[] for _ in works]
    for _ in range(polls):
        for mine, work in zip(ended, works, strict=True):
            if work:
                mine.extend(work.poll(0.0))
                work.begin(all_at_once=True)
    assert not any(works), "not all ended"
    return ended


def test_runs_are_trained_and_saved_in_order(open_store):
    store = open_store()
    work, executor = working(store)
    start(work, [job(0), job(1), job(2)])
    (ended,) = finish(work)
    assert [r.key for r in ended] == [j.key for j in executor.begun] == ["key00", "key01", "key02"]
    assert list(store.get(["key00", "key01", "key02"])) == ["key00", "key01", "key02"]
    assert ended[0].environment == {"host": "here"}
    assert (work.tally.done, work.tally.total, work.tally.left) == (3, 3, 0)


@pytest.mark.parametrize("status", ["crashed", "timeout", "oom"])
def test_what_may_end_otherwise_is_tried_again_once(open_store, status):
    work, executor = working(open_store(), {0: [Outcome(status, error="gone")]})
    start(work, [job(0), job(1)])
    (ended,) = finish(work)
    assert [r.key for r in ended] == ["key01", "key00"]
    assert {r.outcome.status for r in ended} == {"completed"}
    again = executor.begun[-1]
    assert (again.key, again.alone) == ("key00", status == "oom")
    assert (work.tally.done, work.tally.total, work.tally.left) == (2, 2, 0)


def test_the_last_try_is_the_outcome(open_store):
    store = open_store()
    given = {0: [Outcome("crashed", error=f"try {n}") for n in (1, 2, 3)]}
    work, executor = working(store, given)
    start(work, [job(0)])
    (ended,) = finish(work)
    assert [r.outcome.error for r in ended] == ["try 2"]
    assert store.get(["key00"])["key00"].outcome.error == "try 2"
    assert len(executor.begun) == 2


@pytest.mark.parametrize("status", ["failed", "diverged"])
def test_what_ends_the_same_way_is_not_tried_again(open_store, status):
    work, executor = working(open_store(), {0: [Outcome(status, error="so it is")]})
    start(work, [job(0)])
    finish(work)
    assert len(executor.begun) == 1


def test_a_message_that_a_terminal_would_obey_is_stored_as_text(open_store):
    store = open_store()
    work, _ = working(store, {0: [Outcome("failed", error="\x1b[31mred\x1b[0m, \x00\x07")]})
    start(work, [job(0)])
    finish(work)
    assert store.get(["key00"])["key00"].outcome.error == "red, \ufffd\ufffd"


def test_without_retries_the_first_try_counts(open_store):
    work, executor = working(open_store(), {0: [Outcome("crashed", error="gone")]}, retries=0)
    start(work, [job(0)])
    (ended,) = finish(work)
    assert [r.outcome.status for r in ended] == ["crashed"]
    assert len(executor.begun) == 1


def test_two_sessions_share_the_runs_and_both_see_all(open_store):
    works = [working(open_store()) for _ in range(2)]
    jobs = [job(number) for number in range(9)]
    for work, _ in works:
        start(work, jobs)
    ended = finish(*(work for work, _ in works))
    begun = [{j.key for j in executor.begun} for _, executor in works]
    assert begun[0] & begun[1] == set()
    assert begun[0] | begun[1] == {j.key for j in jobs}
    assert all(begun)
    for mine in ended:
        assert sorted(r.key for r in mine) == sorted(j.key for j in jobs)


def test_what_another_session_has_trained_is_of_the_run_as_named_here(open_store):
    works = [working(open_store()) for _ in range(2)]
    for sweep, (work, _) in zip("st", works, strict=True):
        start(work, [job(number, sweep) for number in range(3)])
    for sweep, mine in zip("st", finish(*(work for work, _ in works)), strict=True):
        assert {result.run.id for result in mine} == {f"{sweep}-{number}" for number in range(3)}


def test_what_fails_in_another_session_at_the_same_time_is_not_trained_again(open_store):
    failing = {number: [Outcome("failed", error="wrong")] * 2 for number in range(6)}
    works = [working(open_store(), failing) for _ in range(2)]
    for work, _ in works:
        start(work, [job(number) for number in range(6)])
    ended = finish(*(work for work, _ in works))
    assert sum(len(executor.begun) for _, executor in works) == 6
    assert all(len(mine) == 6 for mine in ended)


def test_what_failed_before_this_session_is_trained_again(open_store):
    store = open_store()
    earlier, _ = working(store, {0: [Outcome("failed", error="wrong")]})
    start(earlier, [job(0)])
    finish(earlier)
    later, executor = working(store)
    start(later, [job(0)])
    (ended,) = finish(later)
    assert [r.outcome.status for r in ended] == ["completed"]
    assert len(executor.begun) == 1


def test_what_a_session_gives_up_is_begun_by_the_other(open_store):
    (first, mine), (second, theirs) = working(open_store()), working(open_store())
    start(first, [job(0)])
    first.poll(0.0)
    start(second, [job(0)])
    second.poll(0.0)
    assert mine.begun
    assert not theirs.begun
    assert second.tally.elsewhere == 1
    first.stop()
    (ended,) = finish(second)
    assert [r.outcome.status for r in ended] == ["completed"]
    assert second.tally.elsewhere == 0


def test_a_run_whose_process_dies_while_another_asks_for_it_has_crashed(open_store, monkeypatch):
    """It would take the other with it if it were trained again."""
    since, (ours, theirs) = now(), (open_store(), open_store())
    assert theirs.acquire("key01")

    def dies_after_the_first_look(row, looks=[]):  # noqa: B006
        looks.append(row)
        return len(looks) == 1

    monkeypatch.setattr("harness.store.leases.lives", dies_after_the_first_look)
    work, executor = working(ours, shared=True, since=since)
    start(work, [job(1), job(2)])
    finish(work)
    assert [begun.run.index for begun in executor.begun] == [2]
    assert [result.outcome.status for result in ours.results()] == ["crashed", "completed"]


def test_fresh_sessions_train_what_is_stored_once_between_them(open_store):
    store = open_store()
    earlier, _ = working(store, {0: [done(0.2)]})
    start(earlier, [job(0)])
    finish(earlier)
    since = now()
    works = [working(open_store(), fresh=True, since=since) for _ in range(2)]
    for work, _ in works:
        start(work, [job(0)])
    ended = finish(*(work for work, _ in works))
    assert sum(len(executor.begun) for _, executor in works) == 1
    assert [[r.outcome.delta_perf for r in mine] for mine in ended] == [[0.1], [0.1]]


def test_stopping_keeps_the_curves_of_runs_in_flight(open_store):
    store = open_store()
    work, executor = working(store)
    start(work, [job(0), job(1)])
    work.poll(0.0)
    executor.measure("key00")
    (ended,) = work.stop()
    assert ended.outcome.status == "interrupted"
    assert [point.step for point in ended.outcome.curve] == [5]
    assert store.get(["key00"])["key00"].outcome == ended.outcome
    assert store.get(["key01"]) == {}
    assert not work
    assert store.acquire("key01")


def test_what_cannot_be_saved_is_saved_later(open_store, monkeypatch):
    store = open_store()
    work, _ = working(store)
    start(work, [job(0), job(1)])
    real = store.save
    full = iter([True, False, False])

    def save(result, *, fresh=False):
        if next(full):
            raise OSError("no space")
        return real(result, fresh=fresh)

    monkeypatch.setattr(store, "save", save)
    work.poll(0.0)
    with pytest.raises(OSError, match="no space"):
        work.poll(0.0)
    work.poll(0.0)
    assert set(store.get(["key00", "key01"])) == {"key00", "key01"}


# ---- any schedule of faults ---------------------------------------------------------------------

OUTCOMES = st.sampled_from([done(), *(Outcome(s, error="e") for s in ("crashed", "failed", "oom"))])


class Schedules(RuleBasedStateMachine):
    """Sessions on one store, stepped, stopped, killed and replaced in any order.

    Nothing is trained twice or lost.
    """

    @initialize(runs=st.integers(1, 6))
    def begin(self, runs):
        import tempfile
        from pathlib import Path

        self.folder = tempfile.TemporaryDirectory()
        self.path = str(Path(self.folder.name, "store.db"))
        self.jobs = [job(number) for number in range(runs)]
        self.sessions, self.completed, self.dead = [], [], []
        self.open_session()

    @rule()
    @precondition(lambda self: len(self.sessions) < 3)
    def open_session(self):
        store = Store.open(self.path)
        work, executor = working(store)
        start(work, self.jobs)
        self.sessions.append((store, work, executor))

    @rule(which=st.integers(0, 2), outcome=OUTCOMES)
    @precondition(lambda self: self.sessions)
    def step(self, which, outcome):
        _, work, executor = self.sessions[which % len(self.sessions)]
        if not work:
            return
        for running in executor.running:
            executor.outcomes[running.run.index] = [outcome]
            if outcome.status == "completed":
                self.completed.append(running.key)
        work.poll(0.0)
        work.begin(all_at_once=True)

    @rule(which=st.integers(0, 2))
    @precondition(lambda self: self.sessions)
    def stop(self, which):
        store, work, _ = self.sessions.pop(which % len(self.sessions))
        work.stop()
        store.close()

    @rule(which=st.integers(0, 2))
    @precondition(lambda self: self.sessions)
    def kill(self, which):
        """End a session as kill -9 does: its leases stay, in the name of a dead process."""
        store, _, _ = self.sessions.pop(which % len(self.sessions))
        mine = SESSIONS.c.session == store._leases._session
        began = sa.update(SESSIONS).where(mine).values(began=1.0)
        store._database.write(lambda connection: connection.execute(began))
        self.dead.append(store)

    @invariant()
    def nothing_is_trained_twice(self):
        assert len(self.completed) == len(set(self.completed))
        running = [j.key for _, _, executor in self.sessions for j in executor.running]
        assert len(running) == len(set(running))

    @invariant()
    def nothing_is_lost(self):
        if self.completed:
            with Store.open(self.path, read_only=True) as store:
                found = store.get(self.completed)
                assert {k for k, r in found.items() if r.is_final} == set(self.completed)

    def teardown(self):
        if not hasattr(self, "folder"):
            return
        while self.sessions:
            self.stop(0)
        self.open_session()
        _, work, executor = self.sessions[0]
        finish(work)
        assert not {j.key for j in executor.begun} & set(self.completed)
        self.stop(0)
        for store in self.dead:
            store.close()
        self.folder.cleanup()


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
