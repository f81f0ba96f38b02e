"""Sessions that train until all is answered: a fake executor, a real store."""

from pathlib import Path

from harness import Outcome
from harness.claims import mean_gain, success_rate
from harness.sweeps.plan import Selection
from tests.session.fakes import FakeExecutor, done, make

UNTIL = Selection(until="answered")
HALF = {"half": success_rate.above(0.5)}
GAINS = {index: done(0.1 + 0.001 * index) for index in range(48)}


def test_a_sweep_that_is_answered_trains_no_further(start):
    sweep = make(runs=24, questions=HALF)
    session = start(sweep, selection=UNTIL, outcomes=GAINS)
    session.finish()
    trained = [job.run for job in session.fakes[0].submitted]
    assert len(trained) == 17
    assert [run.index for run in trained] != sorted(run.index for run in trained)
    assert session.verdict("s", "half").verdict == "supported"
    assert session.missing("s") is None
    spared = [run for run in sweep.plan() if session.not_needed(run)]
    assert len(spared) == 7
    assert {session.result(run) for run in spared} == {None}
    report = session.report("s")
    assert (report.complete, report.not_needed.trained, report.not_needed.left) == (True, 17, 7)
    assert session.report_folder("s").name == "s"
    assert len(session.results("s")) == 17
    assert (session.tally.total, session.tally.done, session.tally.left) == (17, 17, 0)
    assert session.tally.steps_total == session.tally.steps_done


def test_the_same_command_gives_the_same_answer_and_trains_nothing(start):
    sweep = make(runs=24, questions=HALF)
    first = start(sweep, selection=UNTIL, outcomes=GAINS)
    first.finish()
    before = first.report("s")
    first.close()
    again = start(sweep, selection=UNTIL)
    again.finish()
    assert again.fakes[0].submitted == []
    assert (again.report("s").verdicts, again.report("s").not_needed) == (
        before.verdicts,
        before.not_needed,
    )
    assert sum(again.not_needed(run) for run in sweep.plan()) == 7
    again.close()
    offline = start(sweep, selection=UNTIL, offline=True)
    assert offline.report("s").verdicts == before.verdicts
    assert sum(offline.not_needed(run) for run in sweep.plan()) == 7
    offline.close()
    whole = start(sweep, outcomes=GAINS)
    assert not any(whole.not_needed(run) for run in sweep.plan())
    whole.finish()
    assert len(whole.fakes[0].submitted) == 7
    assert whole.verdict("s", "half").n == 24
    assert whole.verdict("s", "half").decided is None
    assert whole.report("s").not_needed is None


def test_with_more_workers_what_is_in_flight_finishes(start, monkeypatch):
    monkeypatch.setattr(FakeExecutor, "workers", 4)
    sweep = make(runs=24, questions=HALF)
    session = start(sweep, selection=UNTIL, outcomes=GAINS)
    session.result(sweep.plan()[0])
    fake = session.fakes[0]
    assert len(fake.jobs) <= 4
    session.finish()
    assert 17 <= len(fake.submitted) <= 20
    assert fake.jobs == []
    assert len(session.store.results()) == len(fake.submitted)
    assert session.verdict("s", "half").verdict == "supported"


def test_where_no_answer_comes_every_run_is_trained(start):
    mixed = {index: done(0.001 * (index - 12)) for index in range(24)}
    sweep = make(runs=24, questions={**HALF, "mean": mean_gain.above_baseline()}, baseline="base")
    base = make("base", runs=24)
    session = start(base, sweep, selection=UNTIL, outcomes=mixed)
    session.finish()
    assert len(session.fakes[0].submitted) == 48
    assert session.report("s").not_needed is None
    assert session.missing("s") is None


def test_a_baseline_of_this_session_is_trained_first_and_whole(start):
    base = make("base", runs=24, questions=HALF)
    asked = {**HALF, "mean": mean_gain.above_baseline()}
    sweep = make(runs=24, questions=asked, baseline="base")
    gains = {index: done(0.1 + 0.001 * index) for index in range(24)}
    session = start(sweep, base, selection=UNTIL, outcomes=gains)
    session.finish()
    names = [job.run.sweep for job in session.fakes[0].submitted]
    assert names[:24] == ["base"] * 24
    assert names.count("s") == 24, "its mean is no other than the baseline's"
    assert session.report("base").not_needed is None
    session.close()
    alone = start(base, selection=UNTIL, fresh=True, outcomes=gains)
    alone.finish()
    assert len(alone.fakes[0].submitted) == 17


def test_the_runs_left_of_a_baseline_are_dropped_with_what_needs_them(start):
    base = make("base", runs=24, questions={})
    sweep = make(runs=24, questions=HALF, baseline="base")
    session = start(base, sweep, selection=UNTIL, outcomes=GAINS)
    session.finish()
    names = [job.run.sweep for job in session.fakes[0].submitted]
    assert (names.count("base"), names.count("s")) == (24, 17)


def test_a_failed_run_is_not_tried_again_where_it_is_not_needed(start):
    sweep = make(runs=24, questions=HALF)
    failing = GAINS | {2: Outcome(status="failed", error="no")}
    session = start(sweep, selection=UNTIL, outcomes=failing)
    session.finish()
    failed = sweep.plan()[2]
    tried = failed in [job.run for job in session.fakes[0].submitted]
    assert session.not_needed(failed) != tried
    session.close()
    again = start(sweep, selection=UNTIL)
    again.finish()
    assert again.fakes[0].submitted == []
    assert again.not_needed(failed)
    assert again.result(failed) is None


def test_only_selected_runs_are_begun_and_the_others_may_be_spared(start):
    sweep = make(runs=24, questions=HALF)
    session = start(sweep, selection=UNTIL, outcomes=GAINS, select=lambda runs: runs[:20])
    session.finish()
    assert len(session.fakes[0].submitted) == 17
    assert session.not_needed(sweep.plan()[23])
    session = start(sweep, selection=UNTIL, select=lambda runs: runs[:3], fresh=True)
    session.finish()
    assert len(session.fakes[0].submitted) == 3
    assert not session.not_needed(sweep.plan()[23])
    assert str(session.missing("s")) == "21 of 24 runs missing"


def test_fresh_begins_to_answer_anew(start):
    sweep = make(runs=24, questions=HALF)
    start(sweep, selection=UNTIL, outcomes=GAINS).finish()
    again = start(sweep, selection=UNTIL, outcomes=GAINS, fresh=True)
    again.finish()
    assert len(again.fakes[0].submitted) == 17


def test_an_interrupted_sweep_goes_on_where_it_was(start):
    sweep = make(runs=24, questions=HALF)
    session = start(sweep, selection=UNTIL, outcomes=GAINS)
    order = []
    for _ in range(5):
        session._launch()
        session._step(session._queue)
    order += [job.run for job in session.fakes[0].submitted[:5]]
    session.stop()
    assert session.report("s").missing
    assert not any(session.not_needed(run) for run in sweep.plan() if run not in order)
    session.close()
    again = start(sweep, selection=UNTIL, outcomes=GAINS)
    again.finish()
    order += [job.run for job in again.fakes[0].submitted]
    assert len(order) == len(set(order)) == 17


def test_a_checkpoint_goes_with_its_run_and_a_fresh_session_begins_without(start, tmp_path):
    sweep = make()
    session = start(sweep, outcomes={1: Outcome(status="failed", error="no")})
    session._launch()
    places = [job.checkpoint for job in session.fakes[0].submitted]
    (tmp_path / "checkpoints").mkdir()

    def leave():
        for place in places:
            Path(place).write_text("step 5")

    leave()
    session.finish()
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == [Path(places[1]).name], (
        "kept is that of the run to be tried again"
    )
    session.close()
    leave()
    files = [Path(job.folder) for job in session.fakes[0].submitted]
    for folder in files:
        folder.mkdir(parents=True)
    start(sweep, fresh=True)._launch()
    assert list((tmp_path / "checkpoints").iterdir()) == []
    assert not any(folder.exists() for folder in files)
