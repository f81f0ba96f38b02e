"""The table of leaders with fresh seeds: in the terminal, in Markdown, in HTML and in JSON."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.claims import judge_all, winner
from harness.metrics import Metric
from harness.records import CONFIRM
from harness.report.documents.confirmed import TITLE, confirmed_section
from harness.report.documents.summary import summary
from harness.report.documents.sweep import digits_of
from harness.report.failures import short_of
from harness.report.model import build
from harness.report.renderers import html, markdown
from harness.report.renderers.as_json import as_data
from harness.report.renderers.terminal import render
from harness.verdicts import Judgement
from tests.claims.cases import noise
from tests.factories import make_confirmed, make_evidence, make_results

ASKED = {"winner": winner.beats(margin=0.02)}
ROWS = (
    noise(0.0, 0.02, 8),
    [*noise(0.05, 0.02, 7, seed=1), None],
    noise(0.06, 0.02, 8, seed=2),
    noise(-0.02, 0.02, 8, seed=3),
)


def report_of(rows=ROWS, metric=None, places=None, questions=ASKED, runs=24, **common):
    main = make_results(noise(0.05, 0.05, runs), prefix="focused", **common)
    order = sorted(main, key=lambda one: -one.outcome.delta_perf)
    places = [order[runs // 2], *order[:3]] if places is None else places
    arm = make_confirmed(rows, places[: len(rows)], sweep="focused")
    evidence = make_evidence(runs=main, arms={CONFIRM: arm})
    if metric is not None:
        evidence = replace(evidence, metric=metric)
    return build(Judgement(evidence, judge_all(questions, evidence)))


def table_of(report):
    (table,) = confirmed_section(report, digits_of(report)).blocks
    titles = [column.title for column in table.columns]
    return [dict(zip(titles, row, strict=True)) for row in table.rows], table


def test_a_row_for_the_reference_and_one_for_each_leader():
    report = report_of()
    rows, table = table_of(report)
    reference, first, second, third = rows
    assert [row["place"] for row in rows] == ["reference", "1", "2", "3"]
    for row, one in zip(rows, report.confirmed, strict=True):
        assert row["run"] == one.run.removeprefix("focused-")
        assert row["ΔPerf"] == f"{one.mean:+.3f}".replace("-", "−")
        assert row["sweep"] == f"{one.measured:+.3f}".replace("-", "−")
        assert row["shrunk"] == f"{one.after_selection:+.3f}".replace("-", "−")
    assert (reference["gain"], reference["interval"], reference["best"]) == ("", "", "")
    assert (first["seeds"], second["seeds"]) == ("7 of 8", "8")
    two = report.confirmed[2]
    assert second["gain"] == f"{two.difference:+.3f}"
    assert second["interval"] == f"{two.difference_low:+.3f} to {two.difference_high:+.3f}"
    assert second["95% interval"] == f"{two.low:+.3f} to {two.high:+.3f}"
    assert (second["best"], third["best"]) == ("may be", "no")
    assert "its interval at 90% holds for all leaders together" in table.note
    assert "Place 1 led the sweep and was named before" in table.note


def test_one_leader_needs_no_words_on_several():
    rows, table = table_of(report_of(ROWS[:1] + ROWS[2:3]))
    assert [row["place"] for row in rows] == ["reference", "1"]
    assert "best" not in rows[0]
    assert "together" not in table.note
    assert "named before" not in table.note


def test_a_loss_is_written_as_it_was_measured_and_its_gains_are_better_above_zero():
    report = report_of(metric=Metric("val_loss", "arbitrary", minimised=True))
    rows, table = table_of(report)
    two = report.confirmed[2]
    assert rows[2]["val_loss"] == f"−{two.mean:.3f}"  # a loss of −0.06 is an outcome of 0.06
    assert rows[2]["gain"] == f"+{two.difference:.3f}"
    assert "seed by seed, + is better;" in table.note


def test_a_reference_that_no_run_has_and_a_leader_without_results_have_empty_cells():
    main = make_results(noise(0.05, 0.05, 24), prefix="focused")
    other = {"learning_rate": 1e-5, "batch_size": 4}
    rows, _ = table_of(report_of((ROWS[0], [None] * 8, ROWS[2]), places=[other, *main[:2]]))
    assert (rows[0]["run"], rows[0]["sweep"], rows[0]["batch size"]) == ("", "", "4")
    lost = rows[1]
    assert (lost["ΔPerf"], lost["95% interval"], lost["seeds"]) == ("", "", "0 of 8")
    assert (lost["interval"], lost["best"]) == ("", "no")


def test_it_is_in_every_form_of_the_report_and_fits_a_terminal():
    report = report_of(parameters={"batch_size": [8, 16] * 12})
    text = render(report, 80)
    section = text.split(TITLE)[1].split("\n\n")[0]
    assert "may be" in section
    assert "shrunk" in section
    assert max(map(len, text.splitlines())) <= 80
    assert f"## {TITLE}" in markdown.render(report) or TITLE in markdown.render(report)
    assert TITLE in html.render(report)


def test_json_has_the_numbers_of_each_place_as_values_of_the_metric():
    report = report_of()
    (question,) = [one for one in as_data(report)["questions"] if one["id"] == "winner"]
    reference, first, second, third = question["confirmed"]
    two = report.confirmed[2]
    assert second == {
        "place": 2,
        "run": two.run,
        "config": dict(two.config),
        "seeds": 8,
        "diverged": 0,
        "mean": two.mean,
        "low": two.low,
        "high": two.high,
        "se": two.se,
        "pairs": 8,
        "difference": two.difference,
        "difference_low": two.difference_low,
        "difference_high": two.difference_high,
        "p_value": two.p_value,
        "may_be_best": True,
        "measured": two.measured,
        "after_selection": two.after_selection,
    }
    assert (reference["difference"], reference["may_be_best"]) == (None, None)
    assert (first["seeds"], first["diverged"], third["may_be_best"]) == (7, 1, False)
    others = [one for one in as_data(report)["questions"] if one["id"] != "winner"]
    assert not any("confirmed" in one for one in others)
    loss = report_of(metric=Metric("val_loss", "arbitrary", minimised=True))
    two_of_loss = as_data(loss)["questions"][0]["confirmed"][2]
    assert two_of_loss["mean"] == pytest.approx(-second["mean"])
    assert (two_of_loss["low"], two_of_loss["high"]) == pytest.approx(
        (-second["high"], -second["low"])
    )
    assert two_of_loss["difference"] == pytest.approx(second["difference"])
    assert two_of_loss["measured"] == pytest.approx(-second["measured"])


def test_fresh_runs_say_their_place_and_seed_in_json():
    """So that a later night, which reads this report, finds the blocks again."""
    runs = [one for one in as_data(report_of())["runs"] if one["arm"] == CONFIRM]
    assert {(one["place"], one["repeat"]) for one in runs} == {
        (place, repeat) for place in range(4) for repeat in range(8)
    }
    assert all("place" not in one for one in as_data(report_of())["runs"] if one["arm"] == "main")


def test_fresh_runs_are_no_arm_beside_the_main_runs_where_they_have_a_table():
    assert report_of().arms == ()
    assert [(arm.name, arm.pairs) for arm in report_of(questions={}).arms] == [(CONFIRM, 0)]
    assert not confirmed_section(report_of(questions={}), digits_of(report_of())).blocks


def test_the_answer_names_the_winner():
    """The third leader is not ahead, the second is further ahead than the first."""
    report = report_of()
    best = max((one for one in report.confirmed if one.place), key=lambda one: one.difference)
    (answers,) = (line.text for line in summary([report]) if line.label == "Answers")
    assert f"winner ({short_of(best.run, report.sweep)} +0." in answers
    behind = report_of(rows=(ROWS[0], *([noise(-0.03, 0.02, 8, seed=5)] * 2)))
    (answers,) = (line.text for line in summary([behind]) if line.label == "Answers")
    assert answers.startswith("refuted winner (−0.")


def test_only_where_nothing_is_confirmed_fresh_seeds_are_asked_for():
    asks = "Only fresh seeds of the leaders tell"
    assert asks not in " ".join(render(report_of(), 120).split())
    assert asks in " ".join(render(report_of(questions={}), 120).split())
