"""What is written of each use of the next runs."""

import pytest

from harness import LogUniform
from harness.metrics import Metric
from harness.observations.selection import selection
from harness.refine import Advice, ConfirmOption, Narrower, Nothing, Seeds, Wider
from harness.refine.options import Beyond
from harness.report.blocks import Bullets, Document, Section, Table
from harness.report.documents.next_runs import option_blocks, summary_lines, title
from harness.report.renderers.html import render_document as as_html
from harness.report.renderers.markdown import render_document as as_markdown
from harness.report.renderers.terminal import render_document
from tests.factories import make_results

RUNS = make_results([0.01, 0.05, -0.02, 0.03, 0.08, 0.0], se=0.01)
CONFIRM = ConfirmOption(("s-04", "s-01"), 8, 0.91, 0.06, 0.04, 0.03, "residual", 0.623)
SEEDS = Seeds(1, 4, 6, 30, 0.835, "matters_width", 0.31, 0.62)
NARROWER = Narrower(24, 46, 2, "mean_vs_baseline", 0.57)
WIDER = Wider(
    (Beyond("learning_rate", "lower", 1e-7, LogUniform(1e-8, 2e-6)),), 24, 46, False, 0.47
)


def written(option, commands=(), metric=None, runs=24):
    """The row of an option, what is said below it, and the first line of the answer."""
    advice = Advice(runs, (option,), selection(RUNS))
    typed = {option.kind: commands}
    table, bullets = option_blocks(advice, typed, metric or Metric())
    assert isinstance(table, Table)
    assert isinstance(bullets, Bullets)
    return table.rows[0], bullets.items[0][1], summary_lines(advice, typed, metric or Metric())


def test_to_confirm():
    row, said, (first, best) = written(CONFIRM, ("sweep confirm s --top 2 --seeds 8",))
    assert row[:3] == ("confirm", "24", "0.62")
    assert str(first) == (
        "Next: confirm the best 2 configs and the median one, with 8 fresh seeds each: "
        "sweep confirm s --top 2 --seeds 8"
    )
    assert str(best).startswith("Best run: s-04 (ΔPerf +0.080; +0.07")
    assert "Leaders: 04 and 01 (the best is one of them with probability 0.91)" in said
    assert "04 is ahead of the median config by +0.060, of which selection leaves +0.040" in said
    assert "an SD of 0.030" in said
    assert "leave unexplained" in said


def test_a_chance_that_leaves_seeds_out_is_a_bound():
    row, said, _ = written(
        ConfirmOption(("s-04",), 12, 0.9, 0.06, 0.04, 0.03, "standard errors", 0.9)
    )
    assert row[2] == "≤ 0.90"
    assert "of the evaluation alone" in said
    assert "it is the best with probability 0.90" in said


def test_a_chance_that_is_not_known_is_not_invented():
    row, said, _ = written(ConfirmOption(("s-04",), 12))
    assert row[2] == "–"
    assert "not known, since the noise of a run is not" in said


def test_a_lead_in_a_loss_is_better():
    loss = Metric.final("loss", "min")
    _, said, _ = written(CONFIRM, metric=loss)
    assert "by 0.060 better, of which selection leaves 0.040 better" in said


def test_more_seeds():
    row, said, (first, _) = written(SEEDS)
    assert row == ("seeds", "18", "0.62", row[3])
    assert row[3].endswith("the noise of seeds, and matters_width")
    assert str(first) == "Next: train each of 6 configs with 4 seeds in place of 1"
    assert "seeds=4" in said
    assert "With its arms 30 runs." in said
    assert "falls to 0.50" in said
    assert "within 20% with probability 0.83" in said
    assert "goes from 0.31 to 0.62" in said


def test_the_narrower_sweep():
    row, said, (first, _) = written(NARROWER, ("sweep refine s", "pytest test_t.py"))
    assert row == ("narrower", "24", "0.57", "what its questions ask, first mean_vs_baseline")
    assert str(first).endswith("2 parameters changed: sweep refine s && pytest test_t.py")
    assert "With its arms 46 runs." in said
    assert "more than" not in said
    assert "That is more than 9 runs" in written(NARROWER, runs=9)[1]
    assert "the same ranges anew" in written(Narrower(24, 24, 0))[1]


def test_the_wider_sweep():
    row, said, (first, _) = written(WIDER)
    assert row[:3] == ("wider", "24", "0.47")
    assert str(first) == "Next: train a wider sweep: learning rate below 1e-7"
    assert "learning_rate = LogUniform(1e-8, 2e-6)" in said
    above = Wider((Beyond("width", "upper", 64.0, None),), 24, 24, False)
    assert "width above 64" in written(above)[1]
    assert "add values there" in written(above)[1]


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("told apart", "the best run is told apart from the others"),
        ("alike", "no run is ahead of the mean by more than the margin"),
        ("confirmed", "the best run was trained again"),
        ("constant", "the metric is the same in every run"),
    ],
)
def test_no_more(why, words):
    row, said, (first, _) = written(Nothing(why))
    assert row[:3] == ("nothing", "–", "–")
    assert str(first).startswith("Next: train no more: ")
    assert words in said


def test_it_fits_a_terminal_and_is_in_each_form():
    advice = Advice(24, (WIDER, CONFIRM, SEEDS, NARROWER), selection(RUNS))
    blocks = option_blocks(advice, {}, Metric())
    lines = summary_lines(advice, {}, Metric())
    page = Document("s", (Section(title(advice), blocks),), summary=lines)
    text = render_document(page, 80)
    assert text.startswith("Next: ")
    assert max(map(len, text.splitlines())) <= 80
    assert text.index("wider ") < text.index("confirm ") < text.index("seeds ")
    for form in (as_markdown(page), as_html(page, "s")):
        assert "What to do with the next 24 runs" in form
        assert "confirm the best 2 configs" in form
