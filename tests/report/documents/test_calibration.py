"""The page of a range test: what it says of each way in which one ends."""

from dataclasses import replace

import pytest

from harness import LogUniform, Sweep
from harness.judging.range_test import Rung, read
from harness.records import ItemScores, Outcome
from harness.report.documents.calibration import CalibrationPage, document
from harness.report.renderers.document_json import calibration_data
from harness.report.renderers.html import render_document as html
from harness.report.renderers.markdown import render_document as markdown
from harness.report.renderers.terminal import render_document as terminal
from harness.sweeps.transfer import middle
from tests.factories import make_result, make_trace

SWEEP = Sweep(
    "small",
    runs=4,
    steps=40,
    space=dict(learning_rate=LogUniform(1e-7, 1e-5), batch_size=4, generations=8),
)
GAINS = {1e-6: 0.0, 3.2e-6: 0.1, 1e-5: 0.02}
SURE = (0.08, 0.09, 0.1)
"""The gains of three fresh seeds that confirm a rate."""


def rung(rate, gain, **more):
    if gain is None:
        return Rung(rate, Outcome("diverged", stopped_at=3, **more))
    after = tuple(0.3 + gain + 0.02 * (-1) ** n for n in range(40))
    items = ItemScores(after, (0.3,) * 40)
    return Rung(
        rate, Outcome("completed", delta_perf=gain, delta_perf_se=0.003, items=items, **more)
    )


def page(gains=GAINS, fresh=(), **more):
    test = read([rung(rate, gain) for rate, gain in gains.items()], 0.025)
    if test.rate is not None:
        test = test.with_fresh(*(rung(test.rate, gain) for gain in fresh))
    usual = CalibrationPage(
        sweep=SWEEP,
        ladder="small-calibrate",
        config=middle(SWEEP),
        steps=10,
        declared=(1e-7, 1e-5),
        conditions=make_result(model="tiny@1").conditions,
        test=test,
        factor=3.2 if test.standing == "found" else None,
        own=None,
        results=(),
        kept="lr_transfer.json" if test.standing == "found" else "",
    )
    return replace(usual, **more)


def found(**more):
    return page(fresh=SURE, **more)


def said(of):
    return {line.label: line.text for line in document(of).summary}


def test_a_rate_that_was_found_has_five_lines():
    lines = said(found())
    assert list(lines) == ["Rate", "Factor", "Why", "Uncertain", "Beware"]
    assert lines["Rate"] == (
        "3.2e-6 for all weights: after 10 steps ΔPerf is +0.080, +0.090 and +0.100 with 3 fresh "
        "seeds, whose mean is above 0 one-sided at 0.025"
    )
    assert "1e-6, to that rate: 1e-7 to 1e-5 are used as 3.2e-7 to 3.2e-5" in lines["Factor"]
    assert "between 1.8e-6 and 5.7e-6" in lines["Uncertain"]
    assert "10 of the sweep's 40 steps" in lines["Beware"]


def test_an_open_end_is_said_and_how_to_go_on():
    lines = said(page({1e-6: 0.0, 3.2e-6: 0.1}, fresh=SURE))
    assert "the best rate lies above 1.8e-6" in lines["Uncertain"]
    assert "the highest rate tried may be the best: go on by --to" in lines["Beware"]
    lines = said(page({1e-6: 0.1, 3.2e-6: -0.1}, fresh=SURE))
    assert "the best rate lies below 1.8e-6" in lines["Uncertain"]
    assert "go down by --from" in lines["Beware"]


@pytest.mark.parametrize(
    ("of", "rate", "why"),
    [
        (page(fresh=[0.0]), "the first fresh seed gains nothing there (ΔPerf 0.000)", "3.2e-6"),
        (page(fresh=[None]), "the first fresh seed gains nothing there (ΔPerf diverged)", "3.2e-6"),
        (
            page(fresh=[0.1, 0.02, -0.02]),
            "fresh seed 3 gains nothing there (ΔPerf +0.100, +0.020 and −0.020)",
            "3.2e-6 gained most (+0.100 ± 0.003)",
        ),
        (page(fresh=[0.001] * 5), "may be 0, as far as prompts differ", "3.2e-6"),
        (page(fresh=[0.1]), "of 3 to 5 runs with fresh seeds 1 have finished", "3.2e-6"),
        (page({1e-6: 0.0, 1e-5: -0.1}), "no rate helped", "0.000 ± 0.003 at 1e-6, is within"),
        (page({1e-6: None}), "no rate helped", "every run diverged"),
    ],
)
def test_where_none_is_named_it_says_why_and_writes_nothing(of, rate, why):
    lines = said(of)
    assert lines["Rate"].startswith("none: ")
    assert rate in lines["Rate"]
    assert why in lines["Why"]
    assert "nothing is written to lr_transfer.json" in lines["Factor"]
    assert len(lines) <= 5


def test_a_run_that_failed_is_named():
    failed = make_result(status="oom", error="no memory", config={"learning_rate": 1e-5})
    for rates in ({}, {1e-6: 0.0}):
        lines = said(page(rates, failed=failed))
        assert lines["Rate"] == "none yet: the run at 1e-05 did not finish"
        assert "the run at 1e-05 is oom (no memory)" in lines["Beware"]


def test_what_the_task_declares_stays():
    assert "not kept, because the task itself declares 7" in said(found(own=7.0))["Factor"]
    assert "the task's own lr_transfer, 7, stays" in said(page(own=7.0))["Factor"]


def test_groups_without_signal_are_warned_of():
    trace = make_trace([1e-6], no_signal=0.81)
    collapsed = rung(1e-5, -0.2, trace=make_trace([1e-5], no_signal=0.99))
    test = read([rung(1e-6, 0.0, trace=trace), collapsed], 0.025)
    assert "in 81% of groups all rewards were equal" in said(page(test=test))["Beware"]


def test_five_seeds_that_gain_confirm_what_three_do_not():
    lines = said(page(fresh=[0.01, 0.1, 0.1, 0.1, 0.02]))
    assert "with 5 fresh seeds, all of which gain" in lines["Rate"]


@pytest.mark.parametrize("of", [found(), page(), page({}), page({1e-6: None})])
def test_every_form_can_be_written(of):
    for width in (40, 80):
        text = terminal(document(of), width)
        assert max(map(len, text.splitlines())) <= width
    assert "small" in html(document(of), "small-calibrate")
    assert "Rate" in markdown(document(of))
    data = calibration_data(of)
    assert data["standing"] == of.test.standing
    assert len(data["fresh"]) == len(of.test.fresh)


def test_the_data_say_what_fresh_seeds_show():
    data = calibration_data(found())
    assert data["doubt"] is None
    assert data["again"]["value"] == pytest.approx(0.09)
    assert data["again"]["se"] == pytest.approx(0.01 / 3**0.5)
    assert [one["delta_perf"] for one in data["fresh"]] == [*SURE]
    assert calibration_data(page(fresh=[0.0]))["doubt"] == "no gain"
    assert calibration_data(page({1e-6: 0.0}))["doubt"] is None
