"""The arithmetic of a session's progress, by a clock of the test's own."""

import pytest

from harness import Outcome
from harness.metrics import DELTA_PERF
from harness.protocols import Finished, Progressed, Started
from harness.records import Progress
from harness.session.tally import Going, Tally
from tests.session.fakes import make

RUNS = make(runs=6, steps=10).plan()


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Session:
    """Runs that begin and end when the test says so."""

    def __init__(self, runs, workers):
        self.clock = Clock()
        self.tally = Tally(workers=workers, timer=self.clock)
        for run in RUNS[:runs]:
            self.tally.expect(run)

    def at(self, seconds):
        self.clock.now = 100.0 + seconds
        return self

    def start(self, *numbers):
        for number in numbers:
            self.tally.count(Started(str(number)), RUNS[number])

    def step(self, number, step, stage="train"):
        self.tally.count(Progressed(str(number), Progress(stage, step, 10)), RUNS[number])

    def end(self, number, status="completed", **facts):
        self.tally.count(Finished(str(number), Outcome(status, **facts)), RUNS[number])

    @property
    def left(self):
        return self.tally.seconds_left(self.clock.now)


def test_three_runs_on_two_workers_take_two_rounds():
    session = Session(3, workers=2)
    session.at(0).start(0, 1)
    for number in (0, 1):
        session.step(number, 0)
    for number in (0, 1):
        session.at(9).step(number, 2)
    assert session.left == pytest.approx(36 + 45)
    session.at(14)
    assert session.left == pytest.approx(31 + 45)  # no report in between


def test_runs_that_report_nothing_are_told_by_those_that_ended():
    session = Session(5, workers=2)
    session.at(0).start(0, 1)
    assert session.at(30).left is None
    session.at(45).end(0)
    session.start(2)
    assert session.left == pytest.approx(45 + 45)  # run 3 goes where run 1 is, late
    session.at(46).end(1)
    session.start(3)
    assert session.left == pytest.approx(44.5 + 45.5, abs=0.1)
    session.at(91).end(2)
    session.at(91).end(3)
    session.start(4)
    assert session.at(101).left == pytest.approx(35, abs=0.5)
    session.at(136).end(4)
    assert session.left == 0


def test_a_run_that_takes_longer_than_the_others_is_not_called_done():
    session = Session(2, workers=2)
    session.at(0).start(0, 1)
    session.at(45).end(0)
    assert session.at(60).left == pytest.approx(4.5)  # a tenth of a run


def test_many_runs_are_spread_over_the_workers_as_one_by_one():
    tally = Tally(total=1003, workers=4, steps_total=10_030, took=(5.0, 10))
    assert tally.seconds_left(0.0) == pytest.approx(251 * 5)
    tally.running = {str(n): Going(10, began=-n) for n in range(4)}  # 5, 4, 3, 2 s to go
    assert tally.seconds_left(0.0) == pytest.approx(4 + 250 * 5)


def test_imports_and_a_warm_start_are_no_training():
    session = Session(2, workers=1)
    session.at(0).start(0)
    session.at(20).step(0, 4, "warm start")
    assert session.tally.preparing == "warm start 40%"
    session.at(60).step(0, 1)
    session.at(63).step(0, 4)
    assert session.tally.preparing == ""
    assert session.tally.rate() == pytest.approx(1.0)
    assert session.left == pytest.approx(6 + 10)
    session.at(70).end(0, seconds=10.0)  # the worker says what training took
    assert session.left == pytest.approx(10)


def test_a_run_that_goes_on_from_a_checkpoint_is_timed_by_its_own_steps():
    session = Session(1, workers=1)
    session.at(0).start(0)
    session.at(1).step(0, 5)
    session.at(3).step(0, 6)
    assert session.tally.rate() == pytest.approx(0.5)
    assert session.left == pytest.approx(8)


def test_a_run_that_evaluates_after_its_last_step_is_not_over():
    session = Session(1, workers=1)
    session.at(0).start(0)
    session.at(5).step(0, 1)
    session.at(95).step(0, 10)
    assert session.left == pytest.approx(9)  # a tenth of what its steps took
    assert session.at(200).left == pytest.approx(9)


def test_failures_do_not_tell_how_long_a_run_takes():
    session = Session(4, workers=1)
    session.at(0).start(0)
    session.at(0.1).end(0, "failed")
    assert session.left is None
    session.start(1)
    session.at(8.1).end(1)
    assert session.left == pytest.approx(16)
    assert (session.tally.failed, session.tally.ended) == (1, {"failed": 1, "completed": 1})


def test_a_run_that_is_tried_again_counts_once():
    session = Session(2, workers=1)
    session.at(0).start(0)
    session.at(1).end(0, "crashed")
    session.tally.expect_again(RUNS[0], Outcome("crashed"))
    assert (session.tally.done, session.tally.total, session.tally.left) == (0, 2, 2)
    assert (session.tally.steps_done, session.tally.failed) == (0, 0)


def test_the_best_is_that_of_the_main_runs():
    session = Session(3, workers=1)
    for number, gain in enumerate((0.02, 0.07, -0.1)):
        session.at(number).start(number)
        session.end(number, delta_perf=gain)
    arm = make(arms={"placebo": 1}).plan()[-1]
    session.tally.count(Finished("a", Outcome("completed", delta_perf=0.5)), arm)
    assert session.tally.best == {DELTA_PERF: 0.07}
