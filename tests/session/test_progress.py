import io

from hypothesis import given
from hypothesis import strategies as st

from harness import Outcome
from harness.session import progress
from harness.session.progress import LiveLine, LogLine, Tally, describe
from harness.text import clock


def tally(**changes):
    given = {"total": 46, "done": 12, "steps_total": 4600, "steps_done": 1200, "began": 0.0}
    return Tally(**(given | changes))


def test_the_line_says_what_a_waiting_person_asks():
    last = ("s-00", Outcome(status="completed", delta_perf=0.0612))
    line = describe(tally(running={"a": (10, 100), "b": (20, 100)}, last=last), 30.0, 100)
    assert line == (
        "12/46 runs · 2 running · 32 left · 41 steps/s · 1:22 to go · last ΔPerf +0.061"
    )


@given(st.integers(1, 200), st.integers(0, 46))
def test_the_line_is_never_wider_than_the_terminal(width, running):
    running = {str(i): (1, 100) for i in range(running)}
    assert len(describe(tally(running=running), 5.0, width)) <= width


def test_warm_starts_and_endings_are_named():
    assert "warm start" in describe(
        tally(done=0, steps_done=0, preparing="warm start 40%"), 5.0, 80
    )
    assert "last diverged" in describe(tally(last=("s", Outcome(status="diverged"))), 5.0, 100)


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


def test_a_log_gets_a_plain_line_now_and_then(monkeypatch):
    now = iter([0.0, 10.0, 31.0, 40.0, 62.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    stream = io.StringIO()
    line = LogLine(stream, 80)
    for _ in range(5):
        line.update(tally())
    assert stream.getvalue().count("sweep: 12/46 runs") == 2
    assert "\x1b" not in stream.getvalue()


def test_a_log_of_its_own_has_no_empty_lines(monkeypatch):
    now = iter([0.0, 31.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    stream = io.StringIO()
    line = LogLine(stream, 80, lead="")
    line.update(tally())
    line.update(tally())
    assert stream.getvalue().startswith("sweep: 12/46 runs")
