import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics import DELTA_PERF, Metric
from harness.records import Evaluation
from harness.session import progress
from harness.session.progress import ERASE, LiveLine, LogLine, describe, shown
from harness.session.tally import Going, Tally
from harness.text import clock


def tally(**changes):
    given = {"total": 46, "done": 12, "steps_total": 4600, "steps_done": 1200, "workers": 2}
    given |= {"took": (120.0, 1200), "timer": lambda: 30.0}
    return Tally(**(given | changes))


def test_the_line_of_a_sweep_with_its_own_metric_shows_that_metric():
    loss = Metric.final("val_loss", "min")
    running = {"a": going()}
    at = tally(running=running, latest={loss: Evaluation(40, 0.31, 0.01, 0.0)})
    assert "val_loss 0.310 at step 40" in describe(at, 30.0, 120)
    done = tally(running=running, latest=at.latest, best={loss: -0.271})
    assert "best val_loss 0.271" in describe(done, 30.0, 120)
    assert "ΔPerf" not in describe(done, 30.0, 120)


def going(first=10.0, last=(20.0, 41)):
    return Going(100, first, (first, 1), last)


def test_the_line_says_what_a_waiting_person_asks():
    ended = {"failed": 3, "oom": 1, "diverged": 2, "completed": 6}
    running = {"a": going(), "b": going()}
    line = describe(tally(running=running, ended=ended, best={DELTA_PERF: 0.0612}), 30.0, 120)
    assert line == (
        "12/46 runs · 4 failed · 2 diverged · 2:45 to go · best ΔPerf +0.061 · 2 running · "
        "8 steps/s"
    )


def test_runs_without_reports_have_their_own_pace():
    line = describe(tally(running={"a": Going(100, 25.0)}, took=(540.0, 1200)), 30.0, 120)
    assert line == "12/46 runs · 12:45 to go · 1 running · 45 s a run"
    line = describe(tally(done=0, steps_done=0, took=(0.0, 0), since=12.0), 30.0, 120)
    assert line == "0/46 runs · 0:18 so far · 0 running"
    slow = {"a": going(last=(40.0, 2))}
    assert "30 s a step" in describe(tally(running=slow), 40.0, 120)


@given(st.integers(1, 200), st.integers(0, 46))
def test_the_line_is_never_wider_than_the_terminal(width, running):
    running = {str(i): going() for i in range(running)}
    assert len(describe(tally(running=running), 5.0, width)) <= width


def test_warm_starts_are_named():
    assert "warm start" in describe(tally(preparing="warm start 40%"), 5.0, 80)


def test_durations_read_as_clocks():
    assert [clock(s) for s in (None, 0, 59.6, 61, 3661)] == ["…", "0:00", "1:00", "1:01", "1:01:01"]


def test_the_live_line_leaves_no_trace_and_returns_to_pytest_s_column(monkeypatch):
    now = iter([0.0, 2.0, 3.0, 4.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    stream = io.StringIO()
    line = LiveLine(stream, 100, lambda: 31)
    line.update(tally())
    assert stream.getvalue() == ""
    line.update(tally())
    assert "12/46 runs" in stream.getvalue()
    line.pause()
    assert stream.getvalue().endswith("\x1b[1A\x1b[31C")
    line.pause()
    assert stream.getvalue().count("\x1b[31C") == 1


def test_the_live_line_comes_back_at_once_when_many_short_waits_follow(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    line = LiveLine(stream, 100, lambda: 31)
    shown = []
    for _ in range(150):
        now[0] += 0.01
        stream.seek(0)
        stream.truncate()
        line.update(tally())
        line.pause()
        shown.append("12/46 runs" in stream.getvalue())
    assert shown == [False] * 100 + [True] * 50


class Kept(io.StringIO):
    """Text that can still be read when it is closed."""

    is_closed = False

    def close(self):
        self.is_closed = True


@pytest.mark.parametrize("kind", ["live", "log"])
def test_the_line_is_drawn_while_a_run_reports_nothing(monkeypatch, kind):
    monkeypatch.setattr(progress, "SHOW_AFTER", 0.01)
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.01)
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 0.01)
    stream = Kept()
    many = LiveLine(stream, 100, lambda: 0, ticks=True)
    line = many if kind == "live" else LogLine(stream, 100, lambda: 0, ticks=True)
    line.update(tally())
    _until(lambda: stream.getvalue().count("12/46 runs") > 1)
    line.pause()
    paused = stream.getvalue()
    time.sleep(0.05)
    assert stream.getvalue() == paused
    line.update(tally())
    line.close()
    closed = stream.getvalue()
    line.update(tally())
    time.sleep(0.05)
    assert stream.getvalue() == closed
    assert stream.is_closed, "it is a second way to the terminal, and would stay open"


def _until(holds):
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_log_gets_a_plain_line_now_and_then(monkeypatch):
    now = iter([0.0, 10.0, 31.0, 40.0, 62.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    stream = io.StringIO()
    line = LogLine(stream, 80, lambda: 0)
    for _ in range(5):
        line.update(tally())
    assert stream.getvalue().count("sweep: 12/46 runs") == 2
    assert "\x1b" not in stream.getvalue()


def test_a_log_ends_the_line_of_pytest_and_has_no_empty_ones(monkeypatch):
    now, columns = iter([0.0, 31.0, 62.0, 93.0]), iter([20, 20, 21])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(progress, "describe", lambda *_: "12/46 runs")
    stream = io.StringIO("tests/test_it.py ....")
    stream.seek(0, io.SEEK_END)
    line = LogLine(stream, 80, lambda: next(columns))
    for _ in range(4):
        line.update(tally())
        if stream.getvalue().count("sweep") == 2:
            stream.write(".")
    said = "sweep: 12/46 runs\n"
    assert stream.getvalue() == f"tests/test_it.py ....\n{said}{said}.\n{said}"


def test_what_takes_its_time_before_the_first_run_is_shown_while_it_does():
    stream = io.StringIO()
    with LiveLine(stream, 80, lambda: 0).waiting("reading"):
        assert stream.getvalue() == "sweep: reading …"
    assert stream.getvalue() == f"sweep: reading …{ERASE}"
    with pytest.raises(ValueError, match="x"), shown(stream, "more"):
        raise ValueError("x")
    assert stream.getvalue().endswith(f"more …{ERASE}")
    log = io.StringIO()
    with LogLine(log, 80, lambda: 0).waiting("reading"):
        assert log.getvalue() == ""
