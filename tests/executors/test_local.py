"""The local executor: the contract of all executors, and what can befall processes."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from harness.executors import local, make_executor
from harness.executors.logs import KEPT, LIMIT
from harness.protocols import Finished, Started
from tests.executors import trainers
from tests.executors.contract import ExecutorContract, drain, outcomes, progress_of
from tests.processes import is_gone

ROOT = Path(__file__).parents[2]
FAULTY = f"{ROOT}/benchmarks/faulty_trainers.py:train"
OTHERS = set()
"""What other tests of this process have running: a database server, say."""


@pytest.fixture(autouse=True)
def others():
    OTHERS.update(psutil.Process().children())
    yield
    OTHERS.clear()


def workers():
    return [process for process in psutil.Process().children() if process not in OTHERS]


class TestLocalExecutor(ExecutorContract):
    def make(self, **options):
        return make_executor("local", **{"workers": 2} | options)

    def log_of(self, executor, job):
        executor.submit([job])
        outcome = outcomes(drain(executor, 1))[job.run.index]
        return outcome, Path(job.log).read_text()

    def test_no_worker_before_a_job_and_no_more_workers_than_jobs(self, executor, job):
        assert workers() == []
        executor.submit([job(0, "slow")])
        assert len(workers()) == 1
        drain(executor, 1)
        executor.submit([job(index, "slow") for index in range(1, 5)])
        drain(executor, 4)
        assert len(workers()) == 2

    def test_workers_live_on_and_share_the_work(self, run, job):
        ended = run(*[job(index, "slow") for index in range(4)])
        pids = [ended[index].device for index in range(4)]
        assert len(set(pids)) == 2
        again = run(*[job(index, "slow") for index in range(4, 6)])
        assert {outcome.device for outcome in again.values()} == set(pids)

    def programs_by_worker(self, executor, jobs):
        """The programs that each worker trained, in its order."""
        executor.submit(jobs)
        programs = {job.key: job.program for job in jobs}
        by_worker = defaultdict(list)
        for event in drain(executor, len(jobs)):
            if isinstance(event, Finished):
                by_worker[event.outcome.device].append(programs[event.key])
        return list(by_worker.values())

    def test_a_worker_keeps_to_a_program_while_there_are_jobs_of_it(self, executor, job):
        jobs = [job(index, "brief", program="abc"[index % 3]) for index in range(30)]
        trained = self.programs_by_worker(executor, jobs)
        assert sorted(programs[0] for programs in trained) == ["a", "b"]
        for programs in trained:
            changes = sum(one != other for one, other in pairwise(programs))
            assert changes == len(set(programs)) - 1, "a program was left and taken up again"
            assert changes <= 2

    def test_the_first_jobs_of_programs_are_on_different_workers(self, job):
        executor = self.make(workers=3)
        try:
            jobs = [job(index, "slow", program="aaaabc"[index]) for index in range(6)]
            trained = self.programs_by_worker(executor, jobs)
        finally:
            executor.close()
        assert sorted(programs[0] for programs in trained) == ["a", "b", "c"]

    def test_an_idle_worker_is_given_what_it_has_ready(self, run, job):
        first = run(job(0, "slow", program="a"), job(1, "slow", program="b"))
        pids = [first[index].device for index in range(2)]
        assert len(set(pids)) == 2
        for index, ready in ((2, 1), (3, 0), (4, 1)):
            again = run(job(index, program="ab"[ready]))
            assert again[index].device == pids[ready]

    def test_a_job_without_a_program_leaves_a_worker_the_one_it_has(self, run, job):
        first = run(job(0, "slow", program="a"), job(1, "slow", program="b"))
        run(job(2, "slow"), job(3, "slow"))
        assert run(job(4, program="b"))[4].device == first[1].device

    def test_a_job_that_a_worker_died_with_before_it_began_is_next(self, job):
        executor = self.make(workers=1)
        try:
            executor.submit([job(1, program="b")])
            drain(executor, 1)
            workers()[0].kill()
            executor.submit([job(2, program="a"), job(3, program="b"), job(4, program="b")])
            events = drain(executor, 3)
        finally:
            executor.close()
        assert {outcome.status for outcome in outcomes(events).values()} == {"completed"}
        began = [event.key for event in events if isinstance(event, Started)]
        assert began == ["key-3", "key-4", "key-2"]

    @pytest.mark.parametrize(
        ("how", "says"),
        [
            ("exit", "the worker exited with code 7"),
            ("segfault", "the worker was killed by SIGSEGV"),
            ("kill", "the worker was killed by SIGKILL"),
            ("abort", "the worker was killed by SIGABRT"),
            ("close", "the worker closed its pipe"),
        ],
    )
    def test_the_death_of_a_worker_costs_its_run_only(self, executor, job, how, says):
        jobs = [job(index, "dies", how=how) for index in range(5)]
        executor.submit(jobs)
        events = drain(executor, 5)
        ended = outcomes(events)
        assert [ended[i].status for i in (0, 2, 3, 4)] == ["completed"] * 4
        assert ended[1].status == "crashed"
        assert says in ended[1].error
        assert jobs[1].log in ended[1].error
        assert "\n" not in ended[1].error
        assert ended[1].curve == (trainers.point(10),)
        assert sum(e.key == "key-1" and isinstance(e, Started) for e in events) == 1
        if how == "exit":
            assert ended[1].error.endswith(" ends: last words")
        if how == "segfault":
            assert "Fatal Python error: Segmentation fault" in ended[1].error
            assert "in dies" in ended[1].error

    def test_a_worker_killed_from_outside_is_replaced(self, executor, job):
        executor.submit([job(index, "slow") for index in range(4)])
        began = []
        while len(began) < 2:
            began += [e.key for e in executor.poll(0.5) if isinstance(e, Started)]
        victim = workers()[0]
        victim.kill()
        ended = outcomes(drain(executor, 4))
        assert sorted(o.status for o in ended.values()) == ["completed"] * 3 + ["crashed"]
        assert victim.pid not in {process.pid for process in workers()}

    @pytest.mark.parametrize("pause", [True, False])
    def test_a_worker_killed_while_idle_costs_nothing(self, run, job, pause):
        run(job(-1, "slow"), job(0, "slow"))
        for process in workers():
            process.kill()
        if pause:
            time.sleep(0.1)
        ended = run(*[job(index) for index in range(1, 6)])
        assert {outcome.status for outcome in ended.values()} == {"completed"}

    def test_a_run_that_hangs_is_killed_at_its_timeout(self, run, job):
        ended = run(*[job(i, "hangs", timeout=1.5 if i == 1 else 30) for i in range(4)])
        assert [ended[i].status for i in (0, 2, 3)] == ["completed"] * 3
        assert ended[1].status == "timeout"
        assert ended[1].error.startswith("stopped at its timeout of 1.5 s; its log ")
        assert ended[1].curve == (trainers.point(10),)
        assert 1.4 < ended[1].seconds < 10

    def test_a_worker_deaf_to_everything_is_killed_at_its_timeout(self, run, job):
        assert run(job(0, "hangs_deaf", timeout=0.3))[0].status == "timeout"

    @pytest.mark.parametrize(
        ("fault", "status", "says"),
        [
            ("none", "completed", None),
            ("segfault", "crashed", "Fatal Python error: Segmentation fault"),
            ("kill", "crashed", "was killed by SIGKILL, .* ends: about to kill"),
            ("exit", "crashed", "exited with code 3; .* ends: about to exit"),
            ("hang", "timeout", "stopped at its timeout of 3 s; .* ends: about to hang"),
            ("hang_in_c", "timeout", "stopped at its timeout of 3 s; .* ends: about to hang_in_c"),
            ("raise", "failed", "ValueError: the loss is not what it was"),
            ("raise_at_once", "failed", "ValueError: at once"),
            ("no_memory", "oom", "MemoryError: 4 TiB"),
            ("nan", "diverged", "perf is not a finite number"),
            ("print", "completed", None),
            ("print_and_die", "crashed", r"was killed by SIGKILL, .* \| the last words"),
        ],
    )
    def test_a_fault_costs_its_own_run_only(self, run, job, fault, status, says):
        faulty = job(1, FAULTY, fault=fault, timeout=3 if status == "timeout" else 60)
        ended = run(job(0, FAULTY, fault="none"), faulty, *[job(i, FAULTY) for i in (2, 3, 4)])
        assert [ended[i].status for i in (0, 2, 3, 4)] == ["completed"] * 4
        assert ended[1].status == status
        assert ended[1].error is None if says is None else re.search(says, ended[1].error)
        if fault != "raise_at_once":
            assert ended[1].curve[-1].step == (20 if status == "completed" else 10)
            assert "about to" in Path(faulty.log).read_text() or fault == "none"
        assert Path(faulty.log).stat().st_size <= LIMIT

    @pytest.mark.parametrize("fault", ["allocate", "allocate_in_children"])
    def test_a_run_that_takes_too_much_memory_is_stopped(self, run, job, fault):
        limit = 150 * 2**20
        jobs = [job(i, FAULTY, fault="none", memory=limit) for i in (0, 2, 3)]
        ended = run(jobs[0], job(1, FAULTY, fault=fault, memory=limit), *jobs[1:])
        assert [ended[i].status for i in (0, 2, 3)] == ["completed"] * 3
        assert ended[1].status == "oom"
        had = r"it had (\d+\.\d) MiB of memory, more than the 150\.0 MiB that a run may have"
        said = re.match(f"stopped: {had};", ended[1].error)
        assert said
        assert 150 < float(said[1]) < 600
        assert ended[1].error.endswith(f" ends: about to {fault}")
        assert ended[1].peak_memory > limit
        assert [point.step for point in ended[1].curve] == [10]

    def test_a_worker_that_has_kept_too_much_memory_is_replaced(self, job):
        executor = self.make(workers=1)
        try:
            executor.submit([job(0, "keeps_memory"), job(1), job(2, memory=100 * 2**20), job(3)])
            ended = outcomes(drain(executor, 4))
        finally:
            executor.close()
        assert {outcome.status for outcome in ended.values()} == {"completed"}
        assert ended[0].device == ended[1].device != ended[2].device == ended[3].device

    @pytest.mark.parametrize(("before", "after", "status"), [(3, 4, "oom"), (3, 3, "crashed")])
    def test_the_system_s_own_killing_is_told_apart(
        self, run, job, monkeypatch, before, after, status
    ):
        counts = [before]
        monkeypatch.setattr(local, "oom_kills", lambda: counts.pop() if counts else after)
        outcome = run(job(1, "dies", how="kill"))[1]
        assert outcome.status == status
        says = {
            "oom": "the system killed the worker because memory had run out; ",
            "crashed": "the worker was killed by SIGKILL, as the system does when memory runs out",
        }
        assert outcome.error.startswith(says[status])
        assert outcome.error.endswith("last words")

    def test_the_system_is_to_kill_a_worker_before_the_session(self, executor, job):
        outcome, _ = self.log_of(executor, job(0))
        score = Path(f"/proc/{outcome.device}/oom_score_adj")
        assert not score.exists() or score.read_text() == "1000\n"

    def test_what_a_run_has_started_goes_with_it(self, run, job, tmp_path):
        assert run(job(0, "has_children", timeout=2.0))[0].status == "timeout"
        assert is_gone(int((tmp_path / "child").read_text()))

    def test_a_death_is_noticed_though_a_fork_holds_the_pipe(self, run, job, tmp_path):
        began = time.monotonic()
        outcome = run(job(0, "leaves_fork_and_dies"))[0]
        assert outcome.status == "crashed"
        assert "exited with code 9" in outcome.error
        assert time.monotonic() - began < 5
        assert is_gone(int((tmp_path / "child").read_text()))

    def test_everything_printed_is_in_the_log_of_its_run(self, executor, job, capfd):
        jobs = [job(index, "prints") for index in range(4)]
        executor.submit(jobs)
        drain(executor, 4)
        for submitted in jobs:
            log = Path(submitted.log).read_text()
            assert f"python of {submitted.run.id} ✓" in log
            assert f"the C library of {submitted.run.index}\n" in log
            for line in ("error stream", "descriptor 1", "descriptor 2", "a child"):
                assert log.count(line) == 1
        assert capfd.readouterr() == ("", "")

    def test_a_log_is_that_of_the_last_try(self, executor, job):
        submitted = job(0, "prints")
        Path(submitted.log).parent.mkdir()
        Path(submitted.log).write_text("from before")
        _, log = self.log_of(executor, submitted)
        assert "from before" not in log

    def test_much_output_blocks_nothing_and_its_ends_are_in_the_log(self, executor, job):
        outcome, log = self.log_of(executor, job(0, "prints_much"))
        assert outcome.status == "completed"
        assert len(log) < LIMIT
        assert log.startswith("0 xxxx")
        assert log.endswith("x\nlast words\n")
        cut = "\n[sweep] the middle of this log is left out: too much was printed\n"
        assert log.count(cut) == 1

    def test_a_log_is_cut_while_it_is_written(self, executor, job):
        """Also where the session is busy with other things: it is the guard that cuts."""
        submitted = job(0, "prints_forever")
        executor.submit([submitted])
        log = Path(submitted.log)
        until = time.monotonic() + 30
        while not (log.exists() and b"\n[sweep] the middle" in log.read_bytes()[KEPT:][:99]):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert log.read_bytes().startswith(b"0 xxxx")
        executor.close()
        time.sleep(0.1)
        assert log.stat().st_size < 400 * 2**20

    def test_a_log_that_cannot_be_written_fails_its_run_only(self, run, job, tmp_path):
        (tmp_path / "logs" / "s-01.log").mkdir(parents=True)
        ended = run(job(0), job(1), job(2))
        assert [ended[i].status for i in range(3)] == ["completed", "failed", "completed"]
        assert "cannot begin: IsADirectoryError" in ended[1].error

    def test_progress_is_thinned_but_evaluations_are_not(self, executor, job):
        executor.submit([job(0, "chatty")])
        assert len(progress_of(drain(executor, 1))) < 200
        executor.submit([job(1, "notifies_from_threads")])
        assert len(progress_of(drain(executor, 1))) == 200

    def test_a_message_that_cannot_be_read_costs_its_run_only(self, run, job):
        ended = run(job(0, "sends_unreadable"), job(1), job(2))
        assert ended[0].status == "crashed"
        assert "sent something that cannot be read (ValueError" in ended[0].error
        assert [ended[1].status, ended[2].status] == ["completed"] * 2

    def test_an_outcome_that_cannot_be_sent_is_a_failure(self, run, job):
        ended = run(job(0, "returns_unreadable"), job(1))
        assert [ended[0].status, ended[1].status] == ["failed", "completed"]
        assert ended[0].error.startswith("the trainer returned something that cannot be sent: ")
        assert "<lambda>" in ended[0].error

    def test_what_a_run_leaves_running_does_not_speak_for_the_next(self, executor, job):
        executor.submit([job(0, "leaves_a_thread"), job(1, "slow"), job(2, "slow")])
        events = drain(executor, 3)
        assert {p.stage for p in progress_of(events)} == {"train"}
        assert [type(e) for e in events if e.key == "key-0"] == [Started, Finished]

    def test_workers_leave_interrupts_to_the_session(self, run, job):
        assert run(job(0, "ignores_interrupt"))[0].status == "completed"

    def test_threads_are_set_and_nothing_of_ours_is_loaded(self, job, monkeypatch):
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        executor = self.make(threads=3)
        try:
            _, log = self.log_of(executor, job(0, "tells_threads"))
        finally:
            executor.close()
        assert log == "3 3\nFalse False\n"
        assert os.environ["OMP_NUM_THREADS"] == "7"

    def test_workers_that_cannot_start_are_given_up(self, executor, job, monkeypatch):
        monkeypatch.setattr(
            "harness.executors.process.BOOT", "raise SystemExit('no such interpreter')"
        )
        executor.submit([job(index) for index in range(40)])
        ended = outcomes(drain(executor, 40))
        statuses = [outcome.status for outcome in ended.values()]
        assert statuses.count("crashed") in (local.HOPELESS, local.HOPELESS + 1)
        assert statuses.count("failed") + statuses.count("crashed") == 40
        assert "workers cannot start on this machine" in ended[39].error
        assert "no such interpreter" in ended[39].error

    def test_an_interpreter_that_is_not_there(self, executor, job, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        executor.submit([job(0)])
        outcome = outcomes(drain(executor, 1))[0]
        assert outcome.status == "failed"
        assert "cannot begin: FileNotFoundError" in outcome.error

    def test_it_may_be_used_from_another_thread_that_ends(self, executor, job):
        thread = threading.Thread(target=lambda: executor.submit([job(0, "slow")]))
        thread.start()
        thread.join()
        assert outcomes(drain(executor, 1))[0].status == "completed"

    def test_closing_is_quick_and_may_come_from_a_signal(self, executor, job):
        executor.submit([job(index, "hangs_deaf") for index in range(4)])
        before = signal.signal(signal.SIGALRM, lambda *_: executor.close())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            began = time.monotonic()
            while time.monotonic() - began < 0.7:
                executor.poll(5)
            assert time.monotonic() - began < 2
        finally:
            signal.signal(signal.SIGALRM, before)
        assert workers() == []

    def test_a_thousand_jobs_cost_little(self, executor, job):
        jobs = [job(index) for index in range(1000)]
        executor.submit(jobs[:2])
        drain(executor, 2)
        began, computed = time.perf_counter(), time.process_time()
        executor.submit(jobs[2:])
        drain(executor, 998)
        assert time.process_time() - computed < 2  # 0.2 s
        assert time.perf_counter() - began < 20  # 0.24 s when nothing else runs
