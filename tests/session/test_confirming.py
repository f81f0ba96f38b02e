"""A session that confirms leaders: which configs they are, when they are known, what is trained."""

from harness import Choice, Confirm, Outcome
from harness.protocols import Finished, Started
from harness.records import CONFIRM
from harness.store import Store
from harness.sweeps.plan import Selection
from tests.session.fakes import done, make
from tests.sweeps.test_confirming import Wins

VALUES = [0.1, 0.5, 0.3, 0.6, 0.2, 0.4]
"""The outcomes of the main runs: the best are 3, 1, 5, and the median is 2 (0.3)."""


def outcome(run):
    return done(VALUES[run.index] if run.arm == "main" else 0.01 * run.index)


def sweep_of(top=2, seeds=4, reference=None, **changes):
    questions = {} if reference is None else {"winner": Wins(reference)}
    return make(runs=6, arms={"confirm": Confirm(top, seeds)}, questions=questions, **changes)


def confirmed(session):
    """Return the places with the main run that has their config, of what was submitted."""
    jobs = [job for fake in session.fakes for job in fake.submitted if job.run.arm == CONFIRM]
    return sorted((job.run.index, job.run.pair[:4], job.run.repeat) for job in jobs)


def test_the_best_and_the_median_are_trained_once_all_main_runs_are_in(start):
    sweep = sweep_of()
    session = start(sweep, outcomes=outcome)
    assert session.planned("s") == 18
    session.finish()
    submitted = session.fakes[0].submitted
    assert [job.run.arm for job in submitted] == ["main"] * 6 + [CONFIRM] * 12
    assert confirmed(session) == [
        *((0, "s-02", seed) for seed in range(4)),
        *((1, "s-03", seed) for seed in range(4)),
        *((2, "s-01", seed) for seed in range(4)),
    ]
    configs = {run.id: run.config for run in sweep.plan() if run.arm == "main"}
    assert all(job.run.config == configs[job.run.pair] for job in submitted[6:])
    assert session.missing("s") is None
    assert (session.tally.total, session.tally.done) == (18, 18)


def test_less_is_better_where_the_metric_says_so(start):
    sweep = sweep_of(top=1, metric="val_loss", direction="min")
    session = start(sweep, outcomes=lambda run: Outcome("completed", value=VALUES[run.index]))
    session.finish()
    assert {(place, main) for place, main, _ in confirmed(session)} == {(0, "s-05"), (1, "s-00")}


def test_a_run_waits_for_the_main_runs_that_tell_its_config(start):
    sweep = sweep_of()
    session = start(sweep, outcomes=outcome)
    last = session.result(sweep.plan()[-1])
    assert (last.run.arm, last.run.index, last.run.pair[:4]) == (CONFIRM, 2, "s-01")
    assert session.result(sweep.plan()[0]).outcome.delta_perf == VALUES[0]


def test_it_resumes_with_what_is_missing(start):
    session = start(sweep_of(), outcomes=outcome)
    session.finish()
    session.close()
    again = start(sweep_of(seeds=5), outcomes=outcome)
    assert again.stored("s") == 18
    again.finish()
    assert {seed for _, _, seed in confirmed(again)} == {4}
    assert len(again.fakes[0].submitted) == 3


def test_nothing_is_confirmed_while_a_main_run_has_not_finished(start):
    sweep = sweep_of()

    def fails(run):
        return Outcome("failed", error="no") if run.index == 4 else outcome(run)

    session = start(sweep, outcomes=fails)
    session.finish()
    assert confirmed(session) == []
    assert session.result(sweep.plan()[-1]) is None
    assert session.no_leader(sweep.plan()[-1]).startswith("1 of 6 runs missing (1 failed), and the")
    assert (session.tally.total, session.tally.done) == (6, 6)
    assert str(session.missing("s")) == "13 of 18 runs missing (1 failed)"


def test_a_diverged_run_is_no_leader_and_no_median(start):
    def diverges(run):
        return Outcome("diverged", stopped_at=3) if run.index == 3 else outcome(run)

    session = start(sweep_of(), outcomes=diverges)
    session.finish()
    # Of .5, .4, .3, .2 and .1 the middle one is .3.
    assert {(place, main) for place, main, _ in confirmed(session)} == {
        (0, "s-02"),
        (1, "s-01"),
        (2, "s-05"),
    }


def test_a_config_that_was_drawn_twice_is_one_leader(start):
    space = {"batch_size": Choice(4, 8), "learning_rate": Choice(1e-7, 2e-7)}
    sweep = sweep_of(top=3, space=space, seed=0)
    configs = [run.config for run in sweep.plan() if run.arm == "main"]
    assert len(set(configs)) == 3
    session = start(sweep, outcomes=lambda run: done(0.1))
    session.finish()
    places = [job.run for job in session.fakes[0].submitted if job.run.arm == CONFIRM]
    assert len({run.config for run in places}) == len({run.index for run in places}) == 2
    left = [run for run in sweep.plan() if run.arm == CONFIRM and run.index == 3]
    assert all(session.result(run) is None for run in left)
    assert session.no_leader(left[0]) == "too few configs completed for as many leaders"


def test_the_reference_that_a_question_names_is_no_leader(start):
    session = start(sweep_of(reference=3), outcomes=outcome)
    session.finish()
    assert {(place, main) for place, main, _ in confirmed(session)} == {
        (0, "s-03"),
        (1, "s-01"),
        (2, "s-05"),
    }


def test_several_seeds_of_a_config_choose_by_their_mean(start):
    # The second seeds turn the order round: by their means run 5 is the best.
    def turned(run):
        first = VALUES[run.index] if run.arm == "main" else 0.0
        return done(first + (2.0 * (run.index == 5) if run.repeat else 0.0))

    sweep = make(runs=6, seeds=2, arms={"confirm": Confirm(1, 4)})
    session = start(sweep, outcomes=turned)
    session.finish()
    assert {main for place, main, _ in confirmed(session) if place == 1} == {"s-05"}


def test_anew_the_leaders_are_those_of_the_new_runs(start):
    start(sweep_of(top=1), outcomes=outcome).finish()
    again = start(sweep_of(top=1), outcomes=lambda run: done(-VALUES[run.index]), fresh=True)
    again.finish()
    assert {main for place, main, _ in confirmed(again) if place == 1} == {"s-00"}
    assert len(again.fakes[0].submitted) == 14


def test_offline_nothing_is_trained(start):
    start(sweep_of(), outcomes=outcome, select=lambda runs: runs[:6]).finish()
    session = start(sweep_of(), offline=True)
    session.finish()
    assert str(session.missing("s")) == "12 of 18 runs missing"


def test_another_process_of_a_session_is_told_of(start):
    """xdist's controller learns of the leaders when a worker reports a run that confirms one."""
    told = []
    controller = start(sweep_of(top=1), on_finished=lambda result: told.append(result.run.id))
    start(sweep_of(top=1), outcomes=outcome).finish()
    controller.tell_of("s-confirm-1-s1")
    assert told == ["s-confirm-1-s1"]
    controller.refresh()
    assert controller.missing("s") is None
    assert len(told) == 14


def test_the_question_is_registered_until_the_first_run_that_confirms(start, tmp_path):
    def hashes():
        file = f"sqlite:///{tmp_path / 'store.db'}"
        with Store.open(file, create=False, read_only=True) as store:
            return store.registered("s", sweep_of().declaration)

    start(make(runs=6), outcomes=outcome).finish()
    assert hashes() == {}
    first = start(sweep_of(seeds=4, reference="median"), outcomes=outcome)
    registered = hashes()["winner"].hash
    second = start(sweep_of(seeds=5, reference="median"), outcomes=outcome)
    assert hashes()["winner"].hash != registered
    registered = hashes()["winner"].hash
    second.finish()
    start(sweep_of(seeds=6, reference="median"))
    assert hashes()["winner"].hash == registered
    first.close()


def test_fewer_main_runs_have_leaders_of_their_own(start):
    session = start(
        sweep_of(top=3),
        outcomes=outcome,
        select=lambda runs: [],
        selection=Selection(runs=2),
    )
    assert session.planned("s") == 2 + 2 * 4


def test_main_runs_that_are_not_trained_anew_count_as_they_are_stored(start):
    start(sweep_of(top=1), outcomes=outcome).finish()
    again = start(sweep_of(top=1), outcomes=outcome, fresh=True, select=lambda runs: runs[6:])
    again.finish()
    assert {job.run.arm for job in again.fakes[0].submitted} == {CONFIRM}
    assert len(again.fakes[0].submitted) == 8


def test_a_main_run_that_ends_as_the_session_stops_queues_nothing(start):
    session = start(sweep_of(), outcomes=outcome, select=lambda runs: runs)
    for run in sweep_of().plan()[:5]:
        session.result(run)
    fake = session.fakes[0]
    (last,) = [job for job in fake.jobs if job.run.arm == "main"]
    fake.untold = [Started(last.key), Finished(last.key, outcome(last.run))]
    session.stop()
    assert session.missing("s") is not None


def test_a_run_has_its_config_once_its_leader_is_known(start):
    sweep = sweep_of()
    session = start(sweep, outcomes=outcome)
    last = sweep.plan()[-1]
    assert session.known(last).config == {}
    session.finish()
    assert session.known(last).config == sweep.plan()[1].config


def test_forgotten_main_runs_leave_the_question_open(start, tmp_path):
    """Only fresh seeds are its data."""
    asking = sweep_of(reference="median")
    session = start(make(runs=6), outcomes=outcome)
    session.finish()
    session.store.forget(session.store.results("s"))
    session.close()
    first = start(asking, outcomes=outcome)
    registered = first.store.registered("s", asking.declaration)
    assert "winner" in registered
    first.finish()
    first.store.forget(r for r in first.store.results("s") if r.run.arm == CONFIRM)
    first.close()
    changed = sweep_of(seeds=5, reference="median")
    second = start(changed)
    assert second.store.registered("s", changed.declaration)["winner"] == registered["winner"]
