"""The answer in five lines: what is in it, in which numbers, and what is not."""

from dataclasses import replace

import pytest

from harness.metrics import Metric
from harness.records import Span
from harness.report.documents.summary import summary
from harness.report.renderers import as_json, html, markdown
from harness.report.renderers.terminal import render, summary_text
from harness.verdicts import Finding, LevelEffect, Need, ParameterEffect, Verdict
from tests.factories import make_results
from tests.report.samples import VERDICTS, sample

LOSS = Metric("val_loss", "arbitrary", minimised=True)
ACCURACY = Metric("acc", "arbitrary")
WIDTHS = (
    LevelEffect(64, 9, 0.52, 0.50, 0.54, may_be_best=False),
    LevelEffect(256, 9, 0.62, 0.60, 0.64, may_be_best=False),
    LevelEffect(1024, 9, 0.72, 0.70, 0.74),
)
FALLING = tuple(replace(one, may_be_best=one.level == 64) for one in WIDTHS)
RATES = (
    LevelEffect(Span(1e-4, 1e-3), 9, -0.30, -0.32, -0.28),
    LevelEffect(Span(2e-3, 1e-2), 9, -0.34, -0.36, -0.32, may_be_best=False),
    LevelEffect(Span(2e-2, 1e-1), 9, -0.41, -0.43, -0.39, may_be_best=False),
)


def matters(name, levels=WIDTHS, verdict="supported", p_holm=0.0004, **fields):
    """A verdict on whether a parameter matters."""
    means = [level.mean for level in levels] or [0.0]
    apart = max(means) - min(means)
    known = {} if not levels else {"estimate": apart, "low": apart - 0.02, "high": apart + 0.02}
    fields = {"p_value": p_holm, "n": 27, **known, **fields}
    return Verdict(
        f"matters_{name}", f"Does {name} matter?", "it does", verdict, "its answer",
        p_holm=p_holm, effect=ParameterEffect("matters", name, levels, 0.8), **fields,
    )  # fmt: skip


def best(name, levels=WIDTHS, shape=None, needs=(), verdict="inconclusive", **fields):
    """A verdict on which value is best."""
    return Verdict(
        f"best_{name}", f"Which {name}?", "one is", verdict, "its answer", p_value=1.0, p_holm=1.0,
        needs=needs, effect=ParameterEffect("best", name, levels, 0.8, shape), **fields,
    )  # fmt: skip


def report(*verdicts, findings=(), metric=ACCURACY, **fields):
    main = make_results([0.5 + 0.01 * step for step in range(12)], prefix="m7", se=None, curve=())
    return sample(main, False, False, verdicts, findings, metric, **fields)


def lines_of(*verdicts, **fields):
    """The lines by their labels."""
    found = summary([report(*verdicts, **fields)])
    assert len(found) <= 5
    return dict(found)


HIGHER = (Need("parameter", "a range of width that goes higher"),)


def test_what_matters_has_its_size_its_interval_and_holms_p():
    lines = lines_of(matters("width"), best("width", shape="rises", needs=HIGHER))
    assert lines == {
        "Matters": "width (1024 ahead of 64 by 0.200 acc, 0.180 to 0.220, p < 0.001)",
        "Best": "width 1024 or beyond, better all the way up",
    }


def test_the_largest_effect_comes_first_and_the_rest_is_counted():
    small = tuple(replace(level, mean=level.mean / 10) for level in WIDTHS)
    open_ = matters("depth", verdict="inconclusive", p_holm=0.4)
    said = lines_of(matters("few", small), open_, matters("width"))["Matters"]
    assert said.index("width (") < said.index("few (")
    assert said.endswith("; 1 of 3 not shown")
    many = [matters(f"p{index}") for index in range(7)]
    assert "and 3 more parameters" in lines_of(*many)["Matters"]


def test_what_is_shown_not_to_matter_is_told_apart_from_what_is_not_shown():
    def refuted(name):
        return matters(name, verdict="refuted", p_holm=1.0)

    open_ = matters("depth", verdict="inconclusive", p_holm=0.4)
    said = lines_of(matters("width"), refuted("ema"), refuted("bias"), open_)["Matters"]
    assert said.endswith("; ema and bias do not, within the margin; 1 of 4 not shown")
    assert lines_of(refuted("ema"))["Matters"] == "ema does not, within the margin"
    said = lines_of(refuted("ema"), open_, matters("heads", verdict="inconclusive", p_holm=0.6))
    assert said["Matters"] == (
        "none of 2 parameters is shown to matter; the smallest p = 0.40; ema does not, within the "
        "margin"
    )


@pytest.mark.parametrize(
    ("runs", "low", "high", "said"),
    [
        (1, None, None, "by 0.200 acc, from 1 run with 1024, p < 0.001"),
        (2, -0.1, 0.5, "by 0.20 acc, −0.10 to 0.50, from 2 runs with 1024, p < 0.001"),
        (2, 0.1, 0.3, "by 0.200 acc, 0.100 to 0.300, p < 0.001"),
        (9, -0.1, 0.5, "by 0.20 acc, −0.10 to 0.50, p < 0.001"),
    ],
)
def test_a_difference_that_rests_on_few_runs_says_so(runs, low, high, said):
    levels = (*WIDTHS[:2], replace(WIDTHS[2], runs=runs))
    assert lines_of(matters("width", levels, low=low, high=high))["Matters"] == (
        f"width (1024 ahead of 64 {said})"
    )


def test_means_that_contradict_the_ranks_name_no_winner():
    def turned(verdict):
        return replace(verdict, effect=replace(verdict.effect, by_ranks=(64, 1024)))

    found = report(turned(matters("width")), turned(best("width")))
    lines = dict(summary([found]))
    assert lines["Matters"] == "width (64 ahead of 1024 by ranks, not by means, p < 0.001)"
    assert lines["Best"] == "width 64 leads by ranks, not by means"
    assert "64 ahead of 1024 by ranks; by means the other way round" in render(found, 200)


def test_where_the_other_values_diverged_one_is_left():
    only = WIDTHS[2:]
    found = lines_of(
        matters("width", only, estimate=None, low=None, high=None), best("width", only)
    )
    assert found["Matters"] == "width (every run with another value than 1024 diverged, p < 0.001)"
    assert found["Best"] == "width 1024, the only one that did not diverge"


def test_a_metric_that_is_the_same_in_every_run_leaves_everything_open():
    same = Finding("degenerate_metric", "error", "long", brief="acc is the same in every run")
    lines = lines_of(matters("width", (), "unanswerable", None), findings=(same,))
    assert lines["Not known"] == "everything: acc does not differ between runs"


def test_one_run_is_nothing_to_compare():
    one = make_results([0.5], prefix="m7", se=None, curve=())
    assert [str(line) for line in summary([sample(one, False, False, (), (), ACCURACY)])] == [
        "Not known: one run has no other to be compared with"
    ]


def test_headlines_use_holms_p_alone():
    lucky = matters("width", p_holm=0.3, p_value=0.03)
    lines = lines_of(lucky, best("width"))
    assert lines["Matters"] == "width is not shown to matter (p = 0.30)"
    assert lines["Best"].startswith("no value is shown to be better than another; the best run is ")
    assert lines["Not known"].startswith("whether width matters")
    alone = replace(VERDICTS[0], p_holm=0.19)
    said = lines_of(alone)["Answers"]
    assert said.startswith("supported, but not after Holm's correction: success_above_half (71%")


def test_where_no_best_value_was_asked_for_the_best_run_is_named():
    lines = lines_of(matters("width"))
    assert lines["Matters"].startswith("width (")
    assert lines["Best"].startswith("the best run is ")


def test_a_minimised_metric_is_told_in_the_users_own_numbers():
    lines = lines_of(matters("lr", RATES), best("lr", RATES, "falls"), metric=LOSS, findings=())
    assert lines["Matters"] == (
        "lr (1e-4 to 0.001 ahead of 0.02 to 0.1 by 0.110 val_loss, 0.090 to 0.130, p < 0.001)"
    )
    assert lines["Best"] == "lr 1e-4 to 0.001, better all the way down"
    nothing = lines_of(matters("lr", RATES, "inconclusive", 0.5), best("lr", RATES), metric=LOSS)
    assert nothing["Best"].startswith("no value is shown to be better than another; the best run")
    assert "the best run is m7-11 (val_loss −0.610; how much of it is luck" in nothing["Best"]


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (best("width", FALLING, "falls"), "width 64, better all the way down"),
        (best("width", shape="peak inside", estimate=256.0, unit="parameter"),
         "width near 256, inside its range"),
        (best("width"), "width 1024"),
        (best("width", tuple(replace(one, may_be_best=True) for one in WIDTHS)),
         "width 1024 leads, not shown to be best"),
        (best("width", tuple(replace(one, may_be_best=one.level > 64) for one in WIDTHS)),
         "width 256 or 1024"),
        (best("width", tuple(replace(one, may_be_best=one.level > 64) for one in WIDTHS),
              "rises", HIGHER), "width 256 to 1024 or beyond, better all the way up"),
    ],
)  # fmt: skip
def test_best_values_follow_the_shape_or_the_set(verdict, said):
    assert lines_of(matters("width"), verdict)["Best"] == said


def test_what_is_not_known_comes_with_the_most_useful_need():
    more = (Need("runs", "about 60 runs (27 now)"),)
    lines = lines_of(
        matters("depth", verdict="inconclusive", p_holm=0.4, needs=more),
        matters("heads", verdict="inconclusive", p_holm=0.5, needs=more),
        matters("seq", (), "unanswerable", None, needs=(Need("parameter", "runs of other seq"),)),
        VERDICTS[3],
    )
    assert lines["Not known"] == (
        "whether depth or heads matters; cannot be told: seq; variance_vs_baseline; needs about 60 "
        "runs (27 now)"
    )


def test_of_three_that_give_each_other_one_is_to_be_left_out():
    more = (Need("runs", "more than 1,000 runs"),)
    three = [
        matters(name, verdict="inconclusive", p_holm=0.5, needs=more)
        for name in ("size", "times", "total")
    ]
    given = Finding("redundant", "warning", "long", ("total", "size", "times"), "total is given")
    said = lines_of(*three, findings=(given,))["Not known"]
    assert said == (
        "whether size, times or total matters; needs one of total, size and times left out"
    )
    said = lines_of(*three[:2], findings=(given,))["Not known"]
    assert said.endswith("needs more than 1,000 runs")


def test_beware_names_the_worst_findings_once_and_no_information():
    findings = (
        Finding("confounded", "warning", "long", ("a", "b"), "a depends on b"),
        Finding("mixed_conditions", "warning", "x", brief="the baseline is not like for like"),
        Finding("mixed_conditions", "warning", "y", brief="the baseline is not like for like"),
        Finding("post_hoc", "info", "asked after"),
        Finding("placebo_moved", "error", "moved"),
    )
    assert lines_of(findings=findings)["Beware"] == (
        "placebo moved; a depends on b; the baseline is not like for like"
    )


def test_groups_share_five_lines():
    one, two = (
        report(matters("width")),
        report(matters("width", verdict="inconclusive", p_holm=0.4)),
    )
    found = summary([one, two], ["model a", "model b"])
    assert str(found[0]).startswith("Matters: model a: width (1024 ahead of 64")
    assert found[0].text.endswith("; model b: width is not shown to matter (p = 0.40)")
    same = summary([two, two], ["model a", "model b"])
    assert "(in each of 2 groups)" in same[0].text
    many = summary([one, two] * 5, [f"g{index}" for index in range(10)])
    assert "and 6 more groups" in many[0].text
    assert len(many) <= 5


def test_every_form_of_a_report_begins_with_it():
    found = report(matters("width"), best("width", shape="rises", needs=HIGHER))
    lines = summary([found])
    text = render(found, 200)
    assert text.startswith("".join(f"{line}\n" for line in lines))
    assert as_json.as_data(found)["summary"] == list(map(str, lines))
    page = html.render(found)
    assert page.index("<b>Matters</b>") < page.index('class="tally"')
    assert markdown.render(found).splitlines()[2].startswith("- **Matters**: width (1024 ahead")
    assert markdown.summary(found).splitlines()[2].startswith("- **Matters**: width (1024 ahead")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_lines_keep_within_the_width_and_colour_changes_no_letter(width):
    lines = summary([report(*[matters(f"parameter_{index}") for index in range(5)])])
    plain = summary_text(lines, width)
    assert all(len(line) <= width for line in plain.splitlines())
    coloured = summary_text(lines, width, colour=True)
    assert coloured.replace("\033[1m", "").replace("\033[0m", "") == plain


def test_json_has_the_effect_of_a_parameter_and_null_elsewhere():
    data = as_json.as_data(report(matters("lr", RATES), VERDICTS[0]))
    effect, none = (question["effect"] for question in data["questions"])
    assert none is None
    assert effect["levels"][0] == {
        "level": {"low": 1e-4, "high": 1e-3}, "runs": 9, "mean": -0.30, "low": -0.32,
        "high": -0.28, "may_be_best": True,
    }  # fmt: skip
    assert (effect["asks"], effect["parameter"], effect["share"]) == ("matters", "lr", 0.8)
    assert (
        as_json.as_data(report(matters("w")))["questions"][0]["effect"]["levels"][0]["level"] == 64
    )
