"""Runs that ended for the same reason are one group."""

from dataclasses import replace

import pytest

from harness.report.failures import failures
from harness.report.renderers import as_json, html, markdown, terminal
from tests.factories import make_result
from tests.report.samples import sample


def failed(index, error, status="failed", log=" (log: {})", **facts):
    result = make_result(
        id=f"s-{index:02d}-lr1e-7", sweep="s", index=index, status=status, error="", **facts
    )
    file = log.format(f"/tmp/my dir; x/.sweep/logs/{result.run.id}-{result.key}.log")
    return replace(result, outcome=replace(result.outcome, error=error + file))


def one(*results):
    (found,) = failures(results)
    return found


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ValueError: got 3 of 8", "ValueError: got 12 of 8.5e-3"),
        ("ValueError: loss −0.2", "ValueError: loss 4_000"),
        ("RuntimeError: at 0x7f00aa", "RuntimeError: at 0x55e31f"),
        ("OSError: /tmp/344212df2a0743b8/x", "OSError: /tmp/fb2b2810174e6d44/x"),
        ("ValueError: shape [4, 8, 2]", "ValueError: shape [4, 8]"),
        ("ValueError: nan at 3", "ValueError: 0.5 at 3"),
        ("KeyError: 's-00-lr1e-7'", "KeyError: 's-01-lr1e-7'"),
    ],
)
def test_what_differs_in_numbers_addresses_and_ids_is_one_reason(first, second):
    found = one(failed(0, first), failed(1, second))
    assert found.reason == first  # without the log
    assert found.line == f"2 runs failed: {first} (runs 00, 01)"


def test_other_words_or_another_end_are_another_reason():
    results = [
        failed(0, "ValueError: odd"),
        failed(1, "ValueError: even"),
        failed(2, "ValueError: even", status="oom"),
        failed(3, "ValueError: even"),
    ]
    assert [found.line for found in failures(results)] == [
        "2 runs failed: ValueError: even (runs 01, 03)",
        "s-00-lr1e-7 failed: ValueError: odd",
        "s-02-lr1e-7 ran out of memory: ValueError: even",
    ]


def test_the_last_lines_of_a_log_are_no_reason():
    ends = "; {} ends: "
    found = one(
        failed(0, "the worker was killed by SIGKILL", "crashed", ends + "epoch done | saved"),
        failed(1, "the worker was killed by SIGKILL", "crashed", ends + "loading"),
        failed(2, "the worker was killed by SIGKILL", "crashed", "; its log {} is empty"),
    )
    assert found.headline == "3 runs crashed: the worker was killed by SIGKILL"
    assert one(failed(0, "stopped; x (log: y)", "timeout", "")).reason == "stopped; x (log: y)"


def test_runs_are_named_by_their_numbers_arm_by_arm():
    main = [failed(index, "odd") for index in (0, 1, 2, 3, 7, 9, 10)]
    arm = [failed(index, "odd", arm="half") for index in (4, 5)]
    assert one(*main, *arm).numbers == "00 to 03, 07, 09, 10; half 04, 05"


def test_every_document_has_a_reason_once():
    left = [failed(index, f"ValueError: got {index}.5") for index in range(25)]
    report = sample(unfinished=left)
    for text in (terminal.render(report, 100), markdown.render(report), html.render(report)):
        assert text.count("ValueError: got") == 1
        assert "00 to 24" in text
        assert "numbers are one" in " ".join(text.split())
    assert as_json.as_data(report)["failures"] == [
        {
            "status": "failed",
            "reason": "ValueError: got 0.5",
            "runs": [f"s-{index:02d}-lr1e-7" for index in range(25)],
        }
    ]
    assert sum(run["error"] is not None for run in as_json.as_data(report)["runs"]) == 25
