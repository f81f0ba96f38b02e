"""The inline executor: the contract of all executors, and what only this process can do."""

from __future__ import annotations

import os

import pytest

from harness.executors import make_executor
from harness.executors.logs import TRACEBACK, last_traceback
from harness.protocols import Finished, Progressed, Started
from tests.executors.contract import ExecutorContract, drain, make_job, outcomes


class TestInlineExecutor(ExecutorContract):
    def make(self, **options):
        return make_executor("inline", **options)

    def test_it_trains_here_a_job_for_each_poll(self, executor, job):
        executor.submit([job(0), job(1)])
        first = executor.poll(0)
        assert [type(event) for event in first] == [Started, Finished]
        assert first[-1].outcome.device == str(os.getpid())
        assert [event.key for event in executor.poll(0)] == ["key-1", "key-1"]
        assert list(executor.poll(0)) == []

    def test_what_is_printed_appears_here(self, run, job, capfd):
        run(job(0, "prints"))
        printed = capfd.readouterr()
        assert "python of s-00 ✓" in printed.out
        assert "error stream" in printed.err

    def test_all_progress_is_told(self, executor, job):
        executor.submit([job(0, "steps", steps=50)])
        steps = [e.progress.step for e in drain(executor, 1) if isinstance(e, Progressed)]
        assert steps == list(range(1, 51))

    def test_a_debugger_gets_the_exception_and_the_session_its_event(self, tmp_path):
        executor = self.make(debug=True)
        executor.submit([make_job(tmp_path, 0, "raises"), make_job(tmp_path, 1)])
        with pytest.raises(ValueError, match="the loss") as caught:
            executor.poll(0)
        assert caught.traceback[-1].name == "raises"
        events = executor.poll(0)
        assert [type(event) for event in events] == [Started, Progressed, Finished]
        assert outcomes(events)[0].status == "failed"
        assert outcomes(executor.poll(0))[1].status == "completed"

    def test_a_debugger_has_all_the_time(self, tmp_path):
        executor = self.make(debug=True)
        executor.submit([make_job(tmp_path, 0, "slow", timeout=0.1)])
        assert outcomes(executor.poll(0))[0].status == "completed"

    def test_an_interrupt_always_leaves(self, executor, job):
        executor.submit([job(0, "interrupted"), job(1)])
        with pytest.raises(KeyboardInterrupt):
            executor.poll(0)
        assert outcomes(executor.poll(0))[0].status == "interrupted"
        assert outcomes(executor.poll(0))[1].status == "completed"

    def test_some_exceptions_can_be_said_to_leave(self, tmp_path):
        executor = self.make(stops=(ValueError,))
        executor.submit([make_job(tmp_path, 0, "raises"), make_job(tmp_path, 1, "no_memory")])
        with pytest.raises(ValueError, match="the loss"):
            executor.poll(0)
        assert outcomes(executor.poll(0))[0].status == "interrupted"
        assert outcomes(executor.poll(0))[1].status == "oom"


def test_the_last_traceback_of_a_log_is_shortened_in_the_middle(tmp_path):
    log = tmp_path / "x.log"
    assert last_traceback(str(log)) == []
    log.write_text("epoch 1\n")
    assert last_traceback(str(log)) == []
    entries = "".join(f'  File "a.py", line {n}, in f\n' for n in range(100))
    first = f"{TRACEBACK}  old\nKeyError: 1\n"
    log.write_text(f"epoch 1\n{first}epoch 2\n{TRACEBACK}{entries}ValueError: odd\n\n")
    found = last_traceback(str(log), lines=6)
    assert found == [
        TRACEBACK.strip(),
        '  File "a.py", line 0, in f',
        "  …",
        '  File "a.py", line 98, in f',
        '  File "a.py", line 99, in f',
        "ValueError: odd",
    ]
