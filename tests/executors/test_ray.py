"""The Ray executor on a Ray that is there: the contract of executors, and what can befall it."""

from __future__ import annotations

import os
import re
import socket
import time
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from harness.executors import make_executor
from harness.protocols import Finished, Started
from tests.executors import trainers
from tests.executors.contract import ExecutorContract, drain, make_job, outcomes
from tests.processes import is_gone

pytestmark = pytest.mark.ray

FAULTY = f"{Path(__file__).parents[2]}/benchmarks/faulty_trainers.py:train"
HERE = socket.gethostname()


@pytest.fixture(scope="module", autouse=True)
def _ray():
    """One Ray for all tests of this module: it takes seconds to start."""
    from harness.executors.cluster import Cluster

    ray = Cluster.start(4)
    yield
    ray.close()


def hosts():
    """The processes that Ray has started for hosts; at work they have another name."""
    here = psutil.Process().children(recursive=True)
    return [process for process in here if _name(process).startswith("ray::Host")]


def _name(process):
    try:
        return process.cmdline()[0]
    except (psutil.Error, IndexError):
        return ""


def host_of(pid):
    """The host of a worker process."""
    return psutil.Process(pid).parent()


@pytest.mark.slow  # two seconds each; `test_ray_start` has whole sessions, and is quick
class TestRayExecutor(ExecutorContract):
    start = 20.0

    def make(self, **options):
        return make_executor("ray", **{"workers": 2} | options)

    @pytest.fixture(autouse=True)
    def _leaves_no_process(self):
        yield
        assert all(is_gone(process.pid) for process in hosts())

    def test_no_more_hosts_than_jobs_nor_than_workers(self, executor, job):
        executor.submit([job(0, "slow")])
        drain(executor, 1)
        assert len(hosts()) == 1
        executor.submit([job(index, "slow") for index in range(1, 6)])
        drain(executor, 5)
        assert len(hosts()) == 2

    def test_workers_live_on_and_share_the_work(self, run, job):
        first = run(*[job(index, "slow") for index in range(4)])
        pids = {outcome.device for outcome in first.values()}
        assert len(pids) == 2
        again = run(*[job(index, "slow") for index in range(4, 8)])
        assert {outcome.device for outcome in again.values()} == pids

    def test_a_worker_keeps_to_a_program_while_there_are_jobs_of_it(self, executor, run, job):
        run(job(0, "slow"), job(1, "slow"))  # both are ready
        jobs = [job(index, "brief", program="abc"[index % 3]) for index in range(2, 32)]
        executor.submit(jobs)
        programs = {job.key: job.program for job in jobs}
        by_worker = defaultdict(list)
        for event in drain(executor, len(jobs)):
            if isinstance(event, Finished):
                by_worker[event.outcome.device].append(programs[event.key])
        assert len(by_worker) == 2
        for trained in by_worker.values():
            changes = sum(one != other for one, other in pairwise(trained))
            assert changes == len(set(trained)) - 1, "a program was left and taken up again"

    @pytest.mark.parametrize(
        ("fault", "status", "says"),
        [
            ("segfault", "crashed", "Fatal Python error: Segmentation fault"),
            ("kill", "crashed", "was killed by SIGKILL, .* ends: about to kill"),
            ("exit", "crashed", "exited with code 3; .* ends: about to exit"),
            ("hang_in_c", "timeout", "stopped at its timeout of 3 s; .* ends: about to hang_in_c"),
            ("raise_at_once", "failed", "ValueError: at once"),
            ("print_and_die", "crashed", r"was killed by SIGKILL, .* \| the last words"),
        ],
    )
    def test_a_fault_costs_its_own_run_only(self, run, job, fault, status, says):
        faulty = job(1, FAULTY, fault=fault, timeout=3 if status == "timeout" else 60)
        ended = run(job(0, FAULTY, fault="none"), faulty, *[job(i, FAULTY) for i in (2, 3)])
        assert [ended[i].status for i in (0, 2, 3)] == ["completed"] * 3
        assert ended[1].status == status
        assert re.search(says, ended[1].error)
        assert "\n" not in ended[1].error
        assert len(hosts()) == 2, "a host outlives its worker"

    def test_a_run_that_takes_too_much_memory_is_stopped(self, run, job):
        limit = 150 * 2**20
        ended = run(job(0, FAULTY, fault="allocate", memory=limit), job(1, FAULTY, memory=limit))
        assert [ended[0].status, ended[1].status] == ["oom", "completed"]
        assert "more than the 150.0 MiB that a run may have" in ended[0].error

    def test_a_host_that_is_killed_costs_its_run_only(self, executor, job):
        executor.submit([job(index, "steps_slowly") for index in range(4)])
        events = []
        while sum(isinstance(event, Started) for event in events) < 2:
            events += executor.poll(0.5)
        time.sleep(0.5)
        victim = hosts()[0]
        worker = victim.children()[0]
        victim.kill()
        events += drain(executor, 4)
        ended = outcomes(events)
        assert sorted(o.status for o in ended.values()) == ["completed"] * 3 + ["crashed"]
        crashed = next(outcome for outcome in ended.values() if outcome.status == "crashed")
        assert crashed.error.startswith(f"the worker on {HERE} was lost: The actor")
        assert crashed.error.endswith("ends: step 1 of 20"), "what it had printed by then"
        assert crashed.curve == (trainers.point(1),)
        assert crashed.seconds > 0.4
        assert is_gone(worker.pid), "a worker ends with its host"
        assert sum(isinstance(event, Started) for event in events) == 4

    def test_a_host_that_is_killed_while_idle_costs_nothing(self, run, job):
        run(job(0, "slow"), job(1, "slow"))
        for process in hosts():
            process.kill()
            process.wait()
        ended = run(*[job(index) for index in range(2, 8)])
        assert {outcome.status for outcome in ended.values()} == {"completed"}

    def test_what_a_host_dies_of_again_is_not_begun_for_ever(self, executor, job, monkeypatch):
        monkeypatch.setattr(type(executor), "_handle", lambda self, worker, answer: None)
        executor.submit([job(0, "hangs_deaf")])  # whose events are not heard
        events = []
        for _ in range(2):
            until = time.monotonic() + 30
            while not [process for process in hosts() if process.children()]:
                assert time.monotonic() < until
                events += executor.poll(0.1)
            for process in hosts():
                process.kill()
                process.wait()
        until = time.monotonic() + 30
        while not events:
            assert time.monotonic() < until
            events += executor.poll(0.5)
        outcome = outcomes(events)[0]
        assert outcome.status == "crashed"
        assert "was lost" in outcome.error

    def test_everything_printed_is_in_the_log_of_its_run(self, executor, job, capfd):
        jobs = [job(index, "prints") for index in range(4)]
        executor.submit(jobs)
        drain(executor, 4)
        for submitted in jobs:
            log = Path(submitted.log).read_text()
            assert log.startswith(f"python of {submitted.run.id} ✓")
            for line in ("error stream", "descriptor 1", "descriptor 2", "a child"):
                assert log.count(line) == 1
        assert capfd.readouterr() == ("", "")

    def test_the_log_of_a_node_with_other_files_comes_back(
        self, executor, run, tmp_path, monkeypatch
    ):
        """As on another machine: the path is relative, and the host is in another folder."""
        there, here = tmp_path / "there", tmp_path / "here"
        there.mkdir()
        here.mkdir()
        monkeypatch.chdir(there)
        run(make_job(tmp_path, 0))
        monkeypatch.chdir(here)
        jobs = [
            replace(make_job(tmp_path, index, FAULTY, fault=fault), log=f"logs/{index}.log")
            for index, fault in ((1, "none"), (2, "raise"), (3, "exit"))
        ]
        ended = run(*jobs)
        assert [ended[i].status for i in (1, 2, 3)] == ["completed", "failed", "crashed"]
        assert ended[3].error.endswith("ends: about to exit")
        for submitted in jobs:
            assert (here / submitted.log).read_bytes() == (there / submitted.log).read_bytes()
        assert "Traceback" in (here / "logs/2.log").read_text()

        executor.submit([replace(make_job(tmp_path, 4, "steps_slowly"), log="logs/4.log")])
        executor.poll(5)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            executor.poll(0.1)
        for process in hosts():
            process.kill()
        lost = outcomes(drain(executor, 1))[4]
        assert lost.status == "crashed"
        assert lost.error.endswith(" | step 1 of 20"), "its last lines had come by then"

    def test_threads_and_nothing_of_ray_s_are_in_a_worker(self, job):
        executor = self.make(threads=2)
        try:
            jobs = [job(0, "tells_threads"), job(1, "tells_psutil")]
            executor.submit(jobs)
            drain(executor, 2)
            assert Path(jobs[0].log).read_text() == "2 2\nFalse False\n"
            assert Path(jobs[1].log).read_text() == f"{psutil.__file__}\n"
        finally:
            executor.close()

    def test_a_worker_that_no_node_has_room_for_is_given_up(self, job, monkeypatch):
        from harness.executors import ray

        monkeypatch.setattr(ray, "NOWHERE", 0.5)
        executor = self.make(threads=99)
        try:
            executor.submit([job(index) for index in range(3)])
            ended = outcomes(drain(executor, 3))
        finally:
            executor.close()
        for outcome in ended.values():
            assert outcome.status == "failed"
            assert outcome.error.startswith(
                "no node has room for a run: it needs 99 CPUs, and the Ray that this process uses "
                "has 4 CPUs, "
            )
            assert "ask for less with --sweep-threads" in outcome.error

    @pytest.mark.slow
    def test_where_others_leave_no_room_a_worker_waits_and_is_then_given_up(self, job, monkeypatch):
        from harness.executors import ray

        others = self.make(workers=4)
        executor = self.make()
        try:
            others.submit([job(index, "hangs_deaf") for index in range(4)])
            begun, until = 0, time.monotonic() + 60
            while begun < 4:
                assert time.monotonic() < until
                begun += sum(isinstance(event, Started) for event in others.poll(0.5))
            monkeypatch.setattr(ray, "BUSY", 2.0)
            executor.submit([job(0)])
            outcome = outcomes(drain(executor, 1))[0]
            assert outcome.status == "failed"
            assert "others have left no room for a run in 0 minutes" in outcome.error
            monkeypatch.setattr(ray, "BUSY", 60.0)
            executor.submit([job(2)])
            executor.poll(0.5)
            others.close()
            assert outcomes(drain(executor, 1))[2].status == "completed"
        finally:
            others.close()
            executor.close()

    def test_workers_that_cannot_start_are_given_up(self, executor, job, monkeypatch):
        import ray

        from harness.executors.cluster import Cluster

        class Broken:
            def __init__(self):
                raise ModuleNotFoundError("No module named 'harness'")

            def node(self):
                raise AssertionError

        monkeypatch.setattr(Cluster, "start_host", lambda self, needs: ray.remote(Broken).remote())
        executor.submit([job(index) for index in range(20)])
        ended = outcomes(drain(executor, 20))
        assert {outcome.status for outcome in ended.values()} == {"failed"}
        assert ended[0].error == (
            "workers cannot start on the Ray that this process uses: "
            "ModuleNotFoundError: No module named 'harness'"
        )

    def test_a_run_that_does_not_serialise_fails_in_a_line(self, run, job):
        ended = run(job(0, odd=lambda: 1), job(1))
        assert [ended[0].status, ended[1].status] == ["failed", "completed"]
        assert re.fullmatch(
            r"the run cannot be sent to a worker: \w+: Can't (get|pickle) .*<lambda>.*",
            ended[0].error,
        )

    @pytest.mark.parametrize(
        ("trainer", "status", "says"),
        [
            ("sends_unreadable", "crashed", "the worker sent something that cannot be read (Value"),
            ("returns_unreadable", "failed", "the trainer returned something that cannot be sent"),
        ],
    )
    def test_what_a_trainer_tells_that_does_not_serialise_costs_its_run(
        self, run, job, trainer, status, says
    ):
        ended = run(job(0, trainer), job(1), job(2))
        assert ended[0].status == status
        assert ended[0].error.startswith(says)
        assert "\n" not in ended[0].error
        assert [ended[1].status, ended[2].status] == ["completed"] * 2

    def test_what_can_be_read_on_its_node_alone_costs_its_run(self, executor, job, monkeypatch):
        from harness.executors.cluster import Cluster

        right, spoiled = Cluster.answer, []

        def answer(self, asked):
            said = right(self, asked)
            if b"Finished" in said and not spoiled:
                spoiled.append(said)
                return b"cthere_alone\nThing\n."
            return said

        monkeypatch.setattr(Cluster, "answer", answer)
        executor.submit([job(0), job(1), job(2)])
        ended = outcomes(drain(executor, 3))
        assert sorted(outcome.status for outcome in ended.values()) == ["completed"] * 2 + [
            "crashed"
        ]
        crashed = next(outcome for outcome in ended.values() if outcome.status == "crashed")
        assert crashed.error.startswith(
            "the worker sent something that cannot be read here (ModuleNotFoundError: No module "
            "named 'there_alone')"
        )

    def test_what_has_finished_before_closing_is_told(self, executor, run, job):
        run(job(0, "slow"), job(1, "slow"))
        executor.submit([job(2), job(3, "hangs_deaf")])
        time.sleep(1.0)  # nobody has listened
        began = time.monotonic()
        events = executor.close()
        assert time.monotonic() - began < 5
        assert [e.key for e in events if isinstance(e, Finished)] == ["key-2"]
        assert all(is_gone(process.pid) for process in hosts())

    def test_workers_are_gone_when_it_is_closed(self, executor, run, job, tmp_path):
        pids = {int(outcome.device) for outcome in run(job(0, "slow"), job(1, "slow")).values()}
        executor.submit([job(2, "has_children")])
        until = time.monotonic() + 20
        while not (tmp_path / "child").exists():
            assert time.monotonic() < until
            executor.poll(0.1)
        time.sleep(0.2)
        pids.add(int((tmp_path / "child").read_text()))
        executor.close()
        assert all(is_gone(pid) for pid in pids)

    def test_another_address_than_that_which_this_process_uses(self):
        import ray

        from harness.errors import UsageError

        with pytest.raises(UsageError, match="this process is connected to another Ray, at "):
            make_executor("ray", address="127.0.0.1:1")
        address = ray.get_runtime_context().gcs_address
        executor = make_executor("ray", None, address=address)
        assert executor.workers == 4
        executor.close()
        assert ray.is_initialized()


@pytest.mark.slow
def test_the_parent_of_a_worker_is_a_host(tmp_path):
    executor = make_executor("ray", 1)
    try:
        executor.submit([make_job(tmp_path, 0)])
        pid = int(outcomes(drain(executor, 1))[0].device)
        assert pid != os.getpid()
        assert _name(host_of(pid)).startswith("ray::Host")
    finally:
        executor.close()
