"""The fixture ``sweep_gate``: in a project without sweeps it fails, skips or passes a test."""

import json

import pytest

from tests.judging.histories import drawn, write_nights

pytest_plugins = ["pytester"]

TEST = """
def test_tonight(sweep_gate):
    found = sweep_gate({call})
    assert found.shift.metric in ("accuracy", "val_loss")
"""


@pytest.fixture
def run(pytester):
    """Write nights and a test that calls the fixture, and run it."""
    pytester.makeini("[pytest]\n")

    def go(rows, call='"metrics.json", "history"', *options):
        write_nights(pytester.path, rows)
        pytester.makepyfile(TEST.format(call=call))
        return pytester.runpytest_inprocess("-p", "harness.plugin", "-rs", *options)

    return go


def stored(pytester):
    return len(list((pytester.path / "history").iterdir()))


def test_unchanged_nights_pass(run, pytester):
    run(drawn(23), '"metrics.json", "history"', "--junitxml=out.xml").assert_outcomes(passed=1)
    written = (pytester.path / "out.xml").read_text()
    assert 'name="sweep.gate.pages" value="False"' in written
    assert 'name="sweep.gate.p_value" value="0.' in written
    assert stored(pytester) == 22


def test_worse_nights_fail_with_the_answer_and_no_traceback(run):
    result = run(drawn(23, faulty=3, accuracy=-4))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["Page: accuracy is worse: *", "Nights: *", "Size: *", "Power: *"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*def test_tonight*")


def test_too_few_nights_are_skipped_with_how_many_are_needed(run):
    result = run(drawn(6))
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no answer yet: too few nights: 6 with tonight*take 10*"])


def test_what_cannot_be_judged_fails_in_one_line(run):
    rows = drawn(23)
    rows[-1]["accuracy"] = None
    result = run(rows)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*accuracy is null tonight*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_metrics_may_be_a_mapping_and_options_are_those_of_the_command(run, pytester):
    row = json.dumps(drawn(23, faulty=3, accuracy=-4)[-1])
    run(drawn(23, faulty=3, accuracy=-4), f"{row}, 'history'").assert_outcomes(failed=1)
    call = f"{row}, 'history', metric='val_loss', direction={{'val_loss': 'min'}}, nights=4"
    run(drawn(23), call).assert_outcomes(passed=1)
    run(drawn(23), "{'accuracy': object()}, 'history'").assert_outcomes(failed=1)


def test_a_night_is_kept_unless_it_pages(run, pytester):
    run(drawn(23), '"metrics.json", "history", keep=True').assert_outcomes(passed=1)
    assert stored(pytester) == 23
    (pytester.path / "history" / "2026-01-23.json").unlink()
    worse = drawn(23, faulty=3, accuracy=-4)
    run(worse, '"metrics.json", "history", keep=True').assert_outcomes(failed=1)
    assert stored(pytester) == 22


def test_nights_are_kept_until_there_are_enough(run, pytester):
    run(drawn(4), '"metrics.json", "history", keep=True').assert_outcomes(skipped=1)
    assert stored(pytester) == 4
    run(drawn(4), '"metrics.json", "history", keep=True').assert_outcomes(skipped=1)
    assert stored(pytester) == 4
