"""The far end of the Ray executor, without Ray."""

from __future__ import annotations

import pickle
import sys
import time
from pathlib import Path

import pytest

from harness.executors.host import Host, Request
from harness.executors.logs import begin_log
from harness.protocols import Finished, Progressed, Started
from tests.executors.contract import make_job

MARK = "[sweep] handed over\n"


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    host = Host(1, 0, list(sys.path), str(tmp_path))
    yield host
    host.close()


def begun(host, job, written=MARK):
    """Hand ``job`` over as a session does whose log of it holds what is ``written``."""
    begin_log(job.log)
    Path(job.log).write_text(written)
    return pickle.loads(host.work(pickle.dumps(Request(job, MARK)), 30))


def heard_to_the_end(host, job, **how):
    heard = [begun(host, job, **how)]
    until = time.monotonic() + 30
    while not any(isinstance(event, Finished) for event in heard[-1].events):
        assert time.monotonic() < until
        heard.append(pickle.loads(host.work(None, 5)))
    return heard


def test_events_come_as_they_happen_and_progress_is_gathered(host, tmp_path):
    heard = heard_to_the_end(host, make_job(tmp_path, 0, "steps", steps=50))
    events = [event for one in heard for event in one.events]
    assert events[0] == Started("key-0")
    assert all(isinstance(event, Progressed) for event in events[1:-1])
    assert events[-1].outcome.status == "completed"
    assert len(heard) <= 3


def test_with_nothing_to_tell_it_waits_as_long_as_it_may(host, tmp_path):
    begun(host, make_job(tmp_path, 1, "hangs_deaf"))
    began = time.monotonic()
    assert pickle.loads(host.work(None, 0.3)).events == ()
    assert 0.25 < time.monotonic() - began < 2


def test_a_log_that_the_session_sees_is_not_sent(host, tmp_path):
    for heard in heard_to_the_end(host, make_job(tmp_path, 0, "prints")):
        assert (heard.lines, heard.log) == ((), None)


@pytest.mark.parametrize("written", ["of another session", ""])
def test_a_log_that_the_session_does_not_see_is_sent(host, tmp_path, written):
    job = make_job(tmp_path, 0, "prints")
    heard = heard_to_the_end(host, job, written=written)
    assert heard[-1].log == Path(job.log).read_bytes()
    assert heard[-1].log.count(b"error stream") == 1
    assert heard[-1].lines[-1] == "a child" or "C library" in heard[-1].lines[-1]
    assert all(one.log is None for one in heard[:-1])


def test_what_it_says_last_is_what_the_worker_had_sent(host, tmp_path):
    begun(host, make_job(tmp_path, 0, "slow"))
    time.sleep(1.5)
    last = pickle.loads(host.close())
    assert isinstance(last.events[-1], Finished)


def test_a_session_s_paths_come_first(tmp_path, monkeypatch):
    before = list(sys.path)
    monkeypatch.setattr(sys, "path", list(before))
    monkeypatch.chdir(tmp_path)
    Host(1, 0, ["/theirs", before[-1]], "/nowhere").close()
    assert sys.path == ["/theirs", before[-1], *(e for e in before if e != before[-1])]
    assert Path.cwd() == tmp_path
