"""What every executor does, wherever it trains."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from harness.errors import StoreError
from harness.protocols import Finished, Progressed, Skipped, Started
from harness.records import Conditions, Config, Job, Outcome, Run
from tests.executors import trainers

HERE = Path(__file__).parent


def make_job(folder, index, trainer="quick", timeout=None, steps=20, program="", **config):
    """A job for a trainer of `trainers`, or for a whole reference."""
    memory = config.pop("memory", None)
    alone = config.pop("alone", False)
    reference = trainer if ":" in trainer else f"{trainers.FILE}:{trainer}"
    run = Run(
        id=f"s-{index:02}",
        sweep="s",
        index=index,
        arm="main",
        pair=None,
        config=Config(config),
        seed=index,
        steps=steps,
        declared_steps=steps,
        evaluate_every=10,
    )
    under = Conditions(reference, "1", "torch", "float32", "cpu", "addition", "1", "tiny")
    log = str(folder / "logs" / f"{run.id}.log")
    key = f"key-{index}"
    return Job(key, run, under, str(folder), log, timeout, program, memory=memory, alone=alone)


def drain(executor, count, seconds=30.0):
    """Poll until ``count`` jobs have finished, and return all events."""
    events = []
    until = time.monotonic() + seconds
    while sum(isinstance(event, Finished) for event in events) < count:
        assert time.monotonic() < until, f"only {events[-20:]} after {seconds} s"
        events += executor.poll(0.5)
    return events


def outcomes(events):
    """The outcome of each job by its index; each has exactly one."""
    ended: dict[int, Outcome] = {}
    for event in events:
        if isinstance(event, Finished):
            index = int(event.key.removeprefix("key-"))
            assert index not in ended, f"{event.key} ended twice"
            ended[index] = event.outcome
    return ended


def progress_of(events):
    return [event.progress for event in events if isinstance(event, Progressed)]


def children():
    """The processes below this one, without the database's: PostgreSQL starts them as it likes."""
    below = psutil.Process().children(recursive=True)
    return [child for child in below if not child.name().startswith("postgres")]


class ExecutorContract:
    """Inherited by the test of each executor; ``make`` makes one, closed after the test.

    ``start`` are seconds that a first worker may take to be ready, beyond the usual.
    """

    start = 0.0

    def make(self, **options):
        raise NotImplementedError

    @pytest.fixture
    def executor(self):
        executor = self.make()
        yield executor
        executor.close()

    @pytest.fixture(autouse=True)
    def _leaves_no_process(self):
        before = set(children())
        yield
        assert [child for child in children() if child not in before] == []

    @pytest.fixture
    def run(self, executor, tmp_path):
        """Run jobs to their ends and return their outcomes by index."""

        def run(*jobs):
            executor.submit(jobs)
            return outcomes(drain(executor, len(jobs)))

        return run

    @pytest.fixture
    def job(self, tmp_path):
        def job(index=0, trainer="quick", **options):
            return make_job(tmp_path, index, trainer, **options)

        return job

    def test_every_job_ends_once_in_completion(self, run, job):
        ended = run(*[job(index) for index in range(25)])
        assert sorted(ended) == list(range(25))
        for index, outcome in ended.items():
            assert outcome.status == "completed"
            assert outcome.delta_perf == index / 100
            assert outcome.error is None

    def test_events_of_a_job_are_in_order(self, executor, job):
        executor.submit([job(index, "steps", steps=50) for index in range(4)])
        by_key = defaultdict(list)
        for event in drain(executor, 4):
            by_key[event.key].append(event)
        assert len(by_key) == 4
        for events in by_key.values():
            assert isinstance(events[0], Started)
            assert isinstance(events[-1], Finished)
            middle = events[1:-1]
            assert all(isinstance(event, Progressed) for event in middle)
            steps = [event.progress.step for event in middle]
            assert steps == sorted(steps)
            seen = [event.progress.evaluation for event in middle if event.progress.evaluation]
            assert seen == [trainers.point(step) for step in (10, 20, 30, 40, 50)]

    @pytest.mark.parametrize("program", ["", "4x16"])
    def test_jobs_begin_in_the_order_submitted(self, job, program):
        executor = self.make(workers=1)
        try:
            executor.submit([job(index, program=program) for index in (3, 1, 2)])
            executor.submit([job(index, program=program) for index in (5, 4)])
            began = [e.key for e in drain(executor, 5) if isinstance(e, Started)]
        finally:
            executor.close()
        assert began == [f"key-{index}" for index in (3, 1, 2, 5, 4)]

    def test_every_job_ends_whatever_its_program(self, run, job):
        ended = run(*[job(index, program="abc "[index % 4].strip()) for index in range(24)])
        assert sorted(ended) == list(range(24))
        assert {outcome.status for outcome in ended.values()} == {"completed"}

    def test_the_callback_hears_the_same_events_in_the_same_order(self, job):
        heard = []
        executor = self.make(on_event=heard.append)
        try:
            executor.submit([job(index, "steps") for index in range(4)])
            assert drain(executor, 4) == heard
        finally:
            executor.close()

    def test_progress_is_heard_while_training(self, job):
        heard = []
        executor = self.make(on_event=lambda event: heard.append((time.monotonic(), event)))
        try:
            executor.submit([job(0, "slow")])
            drain(executor, 1)
        finally:
            executor.close()
        at = [when for when, event in heard if isinstance(event, Progressed)]
        end = heard[-1][0]
        assert len(at) >= 4
        assert end - at[0] > 0.3
        assert all(later - earlier < 0.5 for earlier, later in pairwise(at))

    def test_with_nothing_to_do_poll_returns_at_once(self, executor, run, job):
        began = time.monotonic()
        assert list(executor.poll(5)) == []
        run(job())
        assert list(executor.poll(5)) == []
        assert time.monotonic() - began < 4 + self.start

    def test_an_exception_fails_its_own_run_only(self, run, job):
        ended = run(*[job(index, "raises_on_odd") for index in range(6)])
        statuses = [ended[index].status for index in range(6)]
        assert statuses == ["completed", "failed"] * 3
        assert ended[1].error.startswith("ValueError: odd (log: ")

    def test_a_failed_run_says_why_in_a_line_and_keeps_its_curve(self, run, job):
        submitted = job(0, "raises")
        outcome = run(submitted)[0]
        assert outcome.status == "failed"
        assert outcome.error == (f"ValueError: the loss is not what it was (log: {submitted.log})")
        assert outcome.curve == (trainers.point(10),)
        assert outcome.delta_perf is None
        assert outcome.seconds >= 0
        log = Path(submitted.log).read_text()
        assert "Traceback (most recent call last)" in log
        assert "trainers.py" in log

    def test_importing_the_trainer_s_file_is_not_training(self, run, job, tmp_path):
        text = "import time\nfrom tests.executors.trainers import quick\ntime.sleep(0.7)\n"
        (tmp_path / "heavy.py").write_text(text)
        outcome = run(job(0, f"{tmp_path}/heavy.py:quick"))[0]
        assert outcome.status == "completed"
        assert outcome.seconds < 0.6

    @pytest.mark.parametrize("trainer", ["no_memory", "no_device_memory"])
    def test_running_out_of_memory_is_told_apart(self, run, job, trainer):
        ended = run(job(0, trainer), job(1))
        assert ended[0].status == "oom"
        assert "4 TiB" in ended[0].error or "20 GiB" in ended[0].error
        assert ended[1].status == "completed"

    def test_leaving_python_is_a_failure(self, run, job):
        ended = run(job(0, "exits_python"), job(1))
        assert ended[0].status == "failed"
        assert ended[0].error.startswith("SystemExit: 3")
        assert ended[1].status == "completed"

    def test_no_outcome_is_a_failure(self, run, job):
        outcome = run(job(0, "returns_nothing"))[0]
        assert outcome.status == "failed"
        assert "the trainer returned NoneType, expected an Outcome" in outcome.error

    def test_a_perf_that_is_no_number_is_a_diverged_run(self, run, job):
        outcome = run(job(0, "returns_nan"))[0]
        assert outcome.status == "diverged"
        assert outcome.error == "perf is not a finite number"
        assert (outcome.perf_before, outcome.perf_after, outcome.delta_perf) == (0.1, None, None)
        assert outcome.curve == (trainers.point(0),)
        assert outcome.trace == ()

    @pytest.mark.parametrize(
        ("reference", "says"),
        [
            ("nowhere", "is not a reference"),
            ("no_such_module_here:train", "No module named 'no_such_module_here'"),
            (f"{trainers.FILE}:quik", "defines no 'quik'; did you mean 'quick'?"),
            (f"{trainers.FILE}:NOT_CALLABLE", "but 'NOT_CALLABLE' is of type int"),
            (f"{HERE}/missing.py:train", "there is no file"),
            (f"{HERE}/broken_trainers.py:train", "No module named 'a_module_that_nobody_has'"),
        ],
    )
    def test_a_trainer_that_cannot_be_had_is_a_failure(self, run, tmp_path, reference, says):
        jobs = [make_job(tmp_path, index, ":") for index in range(2)]
        ended = run(*[_with_trainer(job, reference) for job in jobs])
        for outcome in ended.values():
            assert outcome.status == "failed"
            assert f"trainer '{reference}'" in outcome.error
            assert says in outcome.error
            assert "\n" not in outcome.error

    def test_a_run_past_its_timeout_is_stopped(self, run, job):
        ended = run(job(0, timeout=30), job(1, "hangs_reporting", timeout=0.4), job(2, timeout=30))
        assert [ended[index].status for index in range(3)] == ["completed", "timeout", "completed"]
        assert ended[1].error.startswith("stopped at its timeout of 0.4 s")
        assert 0.3 < ended[1].seconds < 10

    def test_a_timeout_is_a_run_s_own(self, run, job):
        ended = run(*[job(index, "slow", timeout=20) for index in range(3)])
        assert {outcome.status for outcome in ended.values()} == {"completed"}

    def test_a_job_of_another_session_is_withheld(self, job):
        asked, heard = [], []

        def may_begin(job):
            asked.append((job.key, job.key in {event.key for event in heard}))
            return job.run.index % 2 == 0

        executor = self.make(may_begin=may_begin, on_event=heard.append)
        try:
            executor.submit([job(index) for index in range(6)])
            events = []
            until = time.monotonic() + 30
            while len({event.key for event in events if not isinstance(event, Started)}) < 6:
                assert time.monotonic() < until, events
                events += executor.poll(0.5)
        finally:
            executor.close()
        assert events == heard
        assert sorted(outcomes(events)) == [0, 2, 4]
        of_others = [event for event in events if event.key in ("key-1", "key-3", "key-5")]
        assert of_others == [Skipped("key-1"), Skipped("key-3"), Skipped("key-5")]
        assert asked == [(f"key-{index}", False) for index in range(6)]

    def test_it_is_asked_only_when_a_worker_is_free(self, job):
        asked = []
        executor = self.make(workers=1, may_begin=lambda job: not asked.append(job.key))
        try:
            executor.submit([job(index) for index in range(3)])
            assert len(asked) <= 1
            for event in drain(executor, 3):
                assert event.key in asked
        finally:
            executor.close()
        assert asked == ["key-0", "key-1", "key-2"]

    def test_the_log_of_another_session_s_run_is_left_alone(self, job):
        submitted = job()
        Path(submitted.log).parent.mkdir(exist_ok=True)
        Path(submitted.log).write_text("what the other prints")
        executor = self.make(may_begin=lambda job: False)
        try:
            executor.submit([submitted])
            assert list(executor.poll(5 + self.start)) == [Skipped("key-0")]
        finally:
            executor.close()
        assert Path(submitted.log).read_text() == "what the other prints"

    def test_where_it_cannot_be_told_whose_a_job_is_the_session_hears_why(self, job):
        asked = []

        def may_begin(job):
            asked.append(job.key)
            if len(asked) < 3:
                raise StoreError("the store is gone")
            return True

        executor = self.make(workers=1, may_begin=may_begin)
        jobs = [job(index) for index in range(3)]
        try:
            raised = 0
            for call in (lambda: executor.submit(jobs), *[lambda: executor.poll(5)] * 3):
                try:
                    call()
                except StoreError:
                    raised += 1
                if raised == 2:
                    break
            assert raised == 2
            began = [event.key for event in drain(executor, 3) if isinstance(event, Started)]
        finally:
            executor.close()
        assert began == ["key-0", "key-1", "key-2"]
        assert asked == ["key-0", "key-0", "key-0", "key-1", "key-2"]

    def test_more_can_be_submitted_later(self, run, job):
        assert run(job(0))[0].status == "completed"
        ended = run(job(1), job(2, "raises"))
        assert [ended[1].status, ended[2].status] == ["completed", "failed"]
        assert run(job(3))[3].status == "completed"

    def test_closing_loses_what_is_queued_and_can_be_done_twice(self, executor, job):
        executor.submit([job(index, "slow") for index in range(4)])
        began = time.monotonic()
        executor.close()
        executor.close()
        assert time.monotonic() - began < 5
        assert list(executor.poll(5)) == []
        with pytest.raises(RuntimeError, match="closed"):
            executor.submit([job(9)])

    def test_closing_before_the_first_job(self, executor):
        executor.close()
        assert list(executor.poll(5)) == []


def _with_trainer(job, reference):
    return replace(job, conditions=replace(job.conditions, trainer=reference))
