"""What a report says of each parameter, and its pictures of those that matter."""

from dataclasses import replace

import pytest

from harness.metrics import Metric
from harness.report.blocks import Bars, Scatter, Table
from harness.report.documents.parameters import parameter_blocks
from harness.report.documents.sweep import digits_of, document
from harness.report.renderers import html, markdown
from harness.report.renderers.terminal import render
from tests.factories import make_results
from tests.report.documents.test_summary import ACCURACY, RATES, WIDTHS, best, matters
from tests.report.samples import sample


def report(*verdicts, values=None, outcomes=None, **fields):
    outcomes = outcomes or [0.5 + 0.01 * step for step in range(12)]
    parameters = {"width": values or [64, 256, 1024] * 4, "lr": [10.0**-n for n in range(12)]}
    main = make_results(outcomes, prefix="m7", se=None, curve=(), parameters=parameters)
    return sample(main, False, False, verdicts, (), **{"metric": ACCURACY, **fields})


def blocks(kind, found):
    return [b for b in parameter_blocks(found, digits_of(found)) if isinstance(b, kind)]


def test_every_parameter_has_a_row_the_one_shown_best_first():
    found = report(
        matters("lr", RATES, "inconclusive", 0.4),
        best("lr", RATES),
        matters("width"),
        best("width"),
        replace(matters("heads", (), "unanswerable", None), reason="given by width"),
    )
    (table,) = blocks(Table, found)
    assert [row[:2] for row in table.rows] == [
        ("width", "yes"),
        ("lr", "not shown"),
        ("heads", "unanswerable"),
    ]
    assert table.rows[0][2:] == ("0.200 (0.180 to 0.220)", "< 0.001", "80%", "1024")
    assert table.rows[1][-1] == "any may be"
    assert table.rows[2][-1] == "given by width"


def test_where_nothing_can_be_answered_the_reasons_have_the_width():
    none = replace(matters("heads", (), "unanswerable", None), reason="given by width")
    none = replace(none, effect=replace(none.effect, share=None))
    (table,) = blocks(Table, report(none))
    assert [column.title for column in table.columns] == ["parameter", "matters", "best value"]
    assert table.rows == (("heads", "unanswerable", "given by width"),)


def test_of_many_parameters_the_strongest_have_a_row():
    found = report(*[matters(f"p{n}", WIDTHS, "inconclusive", (n + 1) / 100) for n in range(40)])
    (table,) = blocks(Table, found)
    assert [row[0] for row in table.rows] == [f"p{n}" for n in range(24)]
    assert "16 more parameters" in table.note


def test_what_matters_is_drawn_and_nothing_else():
    quiet = report(matters("width", verdict="inconclusive", p_holm=0.4), best("width"))
    assert not blocks(Bars, quiet)
    assert not blocks(Scatter, quiet)
    found = report(matters("width"), best("width"))
    (bars,) = blocks(Bars, found)
    assert [label for label, _ in bars.bars] == ["64", "256", "1024"]
    assert (bars.marked, bars.key, bars.parameter) == ((2,), "may be the best", "width")
    (scatter,) = blocks(Scatter, found)
    assert (scatter.parameter, scatter.is_log, scatter.judged) == ("width", True, False)
    assert {point.x for point in scatter.points} == {64.0, 256.0, 1024.0}


def test_an_axis_is_logarithmic_only_where_the_range_is_read_so():
    found = report(matters("width"), values=[1, 2, 3] * 4)
    assert not blocks(Scatter, found)[0].is_log
    assert blocks(Scatter, report(matters("width"), values=["a", "b", "c"] * 4)) == []
    assert blocks(Bars, report(matters("width"), values=["a", "b", "c"] * 4))


def test_the_best_mean_is_marked_where_no_level_is_ruled_out():
    open_ = tuple(replace(level, may_be_best=True) for level in WIDTHS)
    (bars,) = blocks(Bars, report(matters("width", open_), best("width", open_)))
    assert (bars.marked, bars.key) == ((2,), "the best mean")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_pictures_keep_within_the_width(width):
    long = "a_parameter_with_a_name_that_is_longer_than_any_axis"
    found = report(matters("width"), best("width"), matters(long), best(long))
    text = render(found, width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "──●──" in text


def test_effects_are_drawn_in_every_form():
    found = report(matters("width"), best("width"))
    assert "1024 │" in render(found, 80)
    assert "1024 │" in markdown.render(found)
    page = html.render(found)
    assert 'aria-label="Mean acc of levels of width, with 95% intervals"' in page
    assert 'aria-label="acc of each run against its width"' in page
    assert "may be the best" in page
    titles = [section.title for section in document(found).questions_first]
    assert titles.index("Parameters") < titles.index("Runs by acc")


def test_a_run_far_off_is_drawn_at_the_edge_and_leaves_the_others_room():
    loss = Metric("loss", "arbitrary", minimised=True)
    outcomes = [-0.07 - 0.001 * step for step in range(11)] + [-4.5e9]
    found = report(matters("width", RATES), outcomes=outcomes, metric=loss)
    text = render(found, 100)
    picture = text.split("loss of each run against width")[1].split("Questions")[0]
    assert picture.count("○") > 5
    assert "◇ 1 beyond the edge" in picture
    assert "◇" in html.render(found)
