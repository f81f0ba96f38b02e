"""What is said of the best run after selection: its numbers, its noise, and what cannot be said."""

from dataclasses import replace

import numpy as np
import pytest

from harness.analysis import analyze
from harness.metrics import DELTA_PERF, Metric
from harness.observations.selection import Selection, Worth
from harness.report.documents.analysis import document as analysis_document
from harness.report.documents.selection import best_text, probability, selection_blocks
from harness.report.documents.summary import summary
from harness.report.renderers import html, markdown
from harness.report.renderers.as_json import as_data
from harness.report.renderers.document_json import analysis_data
from harness.report.renderers.terminal import render
from tests.factories import make_evidence, make_results
from tests.report.samples import deltas, sample

LOSS = Metric("val_loss", "arbitrary", minimised=True)


def a_selection(outcome, worth, **fields):
    (top,) = make_results([outcome], prefix="focused")
    of = {} if worth is None else {top.run.id: worth}
    fields = {"noise": "standard errors" if worth else None, "results": (top,), **fields}
    return Selection(top, 24, of=of, **fields)


GAIN = a_selection(0.031, Worth(0.016, -0.015, 0.060, 0.4))


def test_the_best_run_has_what_is_left_its_interval_and_its_probability():
    assert best_text(GAIN, DELTA_PERF) == (
        "focused-00 (ΔPerf +0.031; +0.016 after selection, −0.015 to +0.060; the best with "
        "probability 0.40)"
    )
    (block,) = selection_blocks(GAIN, DELTA_PERF)
    assert block.text.startswith(
        "The best of 24 runs looks better than it is. 00 has ΔPerf +0.031; +0.016 after "
        "selection, 95% interval −0.015 to +0.060; the best with probability 0.40."
    )
    assert "of the evaluation alone: what another seed would change is left out" in block.text
    assert block.text.endswith("Only fresh seeds of the leaders tell without bias what they are "
                               "worth.")  # fmt: skip


def test_a_loss_is_told_in_its_own_unit_and_direction():
    found = a_selection(-0.31, Worth(-0.36, -0.42, -0.28, 0.997))
    assert best_text(found, LOSS) == (
        "focused-00 (val_loss 0.310; 0.360 after selection, 0.280 to 0.420; the best with "
        "probability > 0.99)"
    )


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        ("seeds", "the seeds of a config, whose mean counts"),
        ("residual", "what the parameters, added up, leave unexplained"),
    ],
)
def test_it_says_where_the_noise_is_known_from(noise, said):
    (block,) = selection_blocks(replace(GAIN, noise=noise), DELTA_PERF)
    assert f"The noise is known from {said}" in block.text


def test_it_says_that_it_cannot():
    found = a_selection(0.031, None, lack="no noise")
    assert best_text(found, DELTA_PERF) == (
        "focused-00 (ΔPerf +0.031; how much of it is luck cannot be said: no standard errors, no "
        "seeds, and too few runs to tell noise from effects)"
    )
    missing = a_selection(0.031, None, noise="standard errors", lacking=1)
    assert best_text(missing, DELTA_PERF).endswith(
        "how much of it is luck cannot be said: its standard error is missing)"
    )
    (block,) = selection_blocks(missing, DELTA_PERF)
    assert "1 run has no standard error, and could have been chosen" in block.text
    assert best_text(a_selection(0.031, None, lack="one result"), DELTA_PERF) == (
        "focused-00 (ΔPerf +0.031)"
    )
    assert best_text(Selection(None, 0), DELTA_PERF) == ""


@pytest.mark.parametrize(
    ("p", "said"), [(0.001, "< 0.01"), (0.006, "0.01"), (0.404, "0.40"), (0.996, "> 0.99")]
)
def test_a_probability_is_never_0_or_1(p, said):
    assert probability(p) == said


# ---- in reports ----------------------------------------------------------------------------------


def test_it_stands_in_every_form_of_a_report():
    report = sample()
    top = report.selection.top
    assert top is max(report.main, key=lambda result: result.outcome.delta_perf)
    said = best_text(report.selection, DELTA_PERF)
    assert f"Best: the best run is {said}" in [str(line) for line in summary([report])]
    for text in (render(report, 80), markdown.render(report), html.render(report)):
        flat = " ".join(text.split())
        assert "after selection" in flat
        assert "looks better than it is" in flat
        assert "P(best)" in flat
    assert max(map(len, render(report, 80).splitlines())) <= 80


def test_json_has_it_for_each_main_run():
    report = sample(make_results(deltas(24), prefix="focused", se=0.05))
    found = as_data(report)
    worth = report.selection.of
    top = report.selection.top.run.id
    assert found["selection"] == {
        "best": top, "of": 24, "noise": "standard errors", "lack": None, "error": 0.05,
        "lacking": 0, "mean": report.selection.centre, "spread": report.selection.spread,
        "level": 0.95,
    }  # fmt: skip
    for run in found["runs"]:
        if run["arm"] != "main":
            assert run["after_selection"] is run["probability_best"] is None
            continue
        one = worth[run["id"]]
        assert run["after_selection"] == one.shrunk
        assert run["probability_best"] == one.best
        assert (run["after_selection_low"], run["after_selection_high"]) == (one.low, one.high)
    ahead = next(run for run in found["runs"] if run["id"] == top)
    assert ahead["after_selection"] < ahead["delta_perf"]
    assert sum(one.best for one in worth.values()) == pytest.approx(1.0)


def test_json_of_a_loss_is_in_its_own_direction():
    main = make_results([-0.5 - delta for delta in deltas(24)], prefix="m", se=0.05)
    found = as_data(sample(main, False, False, (), (), LOSS))
    best = min(found["runs"], key=lambda run: run["value"])
    assert found["selection"]["best"] == best["id"]
    assert best["value"] < best["after_selection"] < found["selection"]["mean"]
    assert best["after_selection_low"] < best["value"] < best["after_selection_high"]
    # Towards the mean it may lie further off than away from it.
    up, down = (best["after_selection_high"] - best["value"],
                best["value"] - best["after_selection_low"])  # fmt: skip
    assert up > 1.5 * down


def test_equal_runs_and_a_single_one_have_no_best():
    equal = sample(make_results([0.2] * 5), False, False, (), ())
    assert [str(line) for line in summary([equal])] == [
        "Best: no run is better than another in ΔPerf"
    ]
    assert "looks better" not in render(equal)
    assert as_data(equal)["selection"]["lack"] == "equal results"
    one = sample(make_results([0.2]), False, False, (), ())
    assert [line.label for line in summary([one])] == ["Not known"]


def test_without_noise_there_are_no_columns():
    text = render(sample(make_results(deltas(5), se=None), False, False, (), ()), 80)
    assert "P(best)" not in text
    assert "how much of it is luck cannot be said" in " ".join(text.split())


# ---- in an analysis ------------------------------------------------------------------------------


def analysed(n=24, **fields):
    rng = np.random.default_rng(4)
    width = rng.choice([64, 256], n)
    outcomes = 0.1 * (width == 256) + rng.normal(0.03, 0.05, n)
    columns = {"width": width.tolist(), "learning_rate": rng.uniform(1e-7, 4e-7, n).tolist()}
    runs = make_results(outcomes, parameters=columns, prefix="focused", **fields)
    return analyze(make_evidence(runs=runs)), runs


def test_high_performers_are_listed_with_what_is_left_of_them():
    found, runs = analysed(se=0.05)
    (section,) = [
        one for one in analysis_document(found).sections if one.title == "After selection"
    ]
    table, text = section.blocks
    high = [run for run in runs if run.outcome.delta_perf > 0.1]
    assert len(found.leaders) == len(high) == found.high.count
    assert len(table.rows) == min(10, len(high))
    assert [column.title for column in table.columns] == [
        "high performer", "ΔPerf", "shrunk", "95% interval", "P(best)",
    ]  # fmt: skip
    assert text.text.startswith("The best of 24 runs looks better than it is.")
    data = analysis_data(found)["selection"]
    assert [one["run"] for one in data["high"]] == [run.run.id for run in found.leaders]
    assert data["high"][0]["after_selection"] == found.selection.of[data["best"]].shrunk
    assert data["high"][0]["value"] == max(run.outcome.delta_perf for run in runs)


def test_an_analysis_says_what_a_report_says():
    _, runs = analysed(se=None)
    found = analyze(make_evidence(runs=runs)).selection
    report = sample(runs, False, False, (), ())
    assert found.noise == "residual"
    assert found.of == report.selection.of
