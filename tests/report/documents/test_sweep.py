"""What the report of a sweep says, section by section."""

import re
from dataclasses import replace

import pytest

from harness.metrics import Metric
from harness.report.blocks import Table
from harness.report.documents.sweep import document
from harness.report.renderers import html, markdown
from harness.report.renderers.terminal import render
from harness.verdicts import Counts, Finding
from tests.factories import PUBLISHED, make_results, make_trace, report_of
from tests.report.samples import deltas, every_kind, sample

KINDS = every_kind()


def test_the_headline_counts_the_verdicts():
    lines = render(sample()).splitlines()
    assert (
        "focused: 2 supported, 1 refuted, 1 inconclusive, 1 unanswerable, 1 not judged"
    ) in lines


def test_what_is_less_than_the_declared_sweep_says_so_first():
    main = make_results(deltas(4), steps=20, declared_steps=100)
    lines = render(sample(main=main, scaled_down=True, scale="4 of 24 runs", steps=20)).splitlines()
    assert lines[0].startswith("SCALED DOWN: 4 of 24 runs; ")
    lines = render(sample(missing=["4 of 24 runs missing (2 failed)"])).splitlines()
    assert lines[0] == "INCOMPLETE: 4 of 24 runs missing (2 failed)"


def test_runs_that_failed_are_named_with_their_error():
    failed = make_results([None], prefix="late", error="RuntimeError: the disk is full")
    failed = [replace(r, outcome=replace(r.outcome, status="failed")) for r in failed]
    text = render(sample(unfinished=failed), 80)
    assert re.search(r"^ +1 +failed +00 +RuntimeError: the disk is full$", text, re.MULTILINE)
    assert "did not finish" not in render(sample(), 80)


def test_an_empty_sweep_is_short():
    text = render(KINDS["empty"], 80)
    assert "No run of the sweep has finished." in text
    assert len(text.splitlines()) < 12


def test_runs_are_listed_from_best_to_worst_and_diverged_ones_last():
    main = make_results([0.1, None, 0.3, -0.2])
    runs = render(sample(main=main), 100).split("Runs by ΔPerf")[1]
    assert re.findall(r"^(\d\d) +[●○×]", runs, re.MULTILINE) == ["02", "00", "03", "01"]


def test_learning_rates_of_the_task_stand_beside_those_of_the_sweep():
    text = render(KINDS["transfer"], 100)
    assert "12,000 times the sweep's" in text
    assert re.search(r"8e-8 to 1e-7 +9.6e-4 to 1.2e-3", text)


def test_training_is_shown_only_where_its_sign_disagrees():
    main = make_results([0.1, 0.2, -0.05], train_delta_perf=0.3)
    text = render(sample(main=main), 120)
    assert "training" in text
    assert text.count("+0.300") == 1
    assert "In training" not in render(sample(main=make_results([0.1, 0.2])), 120)


def test_the_arms_are_read_beside_their_main_runs():
    text = render(sample(), 100)
    arms = text.split("\nArms\n")[1]
    assert re.search(r"placebo .*exactly 0, as it must", arms)
    assert re.search(r"null +4 .* of 4 ", arms)
    assert re.search(r"batch_size 12 +3 .*\(2 pairs\)", arms)


def test_the_health_of_training_is_shown_where_it_was_measured():
    trace = make_trace([1e-7] * 20, no_signal=0.81, truncated=0.004, length=5.5, kl=None)
    main = make_results(deltas(24), prefix="focused", trace=trace, weights_moved=0.0052)
    findings = [Finding("no_signal", "warning", "in 81% of groups …")]
    text = render(sample(main=main, findings=findings), 80)
    section = text.split("Health of training")[1].split("Audit")[0]
    said = " ".join(section.split())
    assert "There was something to learn from in 19% of groups, and 0.52% of the weights" in said
    assert "moved; the audit has no_signal." in said
    assert re.search(r"^groups without signal +81% +81% +81% +81% +00$", section, re.MULTILINE)
    assert re.search(r"^completions cut off +0.4% .*", section, re.MULTILINE)
    assert re.search(r"^weights that moved +0.52% +0.52% +00$", section, re.MULTILINE)
    assert "KL from" not in section
    assert max(map(len, section.splitlines())) <= 80
    assert "Health of training" not in render(sample(), 80)


def test_a_moved_placebo_stands_out():
    report = sample()
    (placebo,) = [arm for arm in report.arms if arm.name == "placebo"]
    assert placebo.moved == 0
    main = make_results(deltas(4))
    from tests.factories import make_arm, make_evidence

    arm = make_arm("placebo", main[:2], [0.0, 0.01], {"learning_rate": 0.0})
    text = render(report_of(make_evidence(runs=main, arms={"placebo": arm}), (), ()))
    assert "MOVED in 1" in text


def test_the_curve_is_shown_at_a_few_steps():
    text = render(sample(arms=False, baseline=False), 80)
    assert re.search(r"mean perf +runs +0 +20 +40 +60 +80 +100\n", text)


def test_the_bracket_answer_stands_with_the_picture():
    section = render(sample(), 80).split("\nLearning rate\n")[1].split("\nLearning curve\n")[0]
    assert "●" in section
    assert "lr_sweet_spot is inconclusive: the best learning rate is near 4e-7" in section


# ---- other metrics ------------------------------------------------------------------------------

LOSS = Metric("loss", "arbitrary", minimised=True)


def tables(page):
    return [block for section in page.sections for block in section.blocks if type(block) is Table]


@pytest.mark.parametrize("name", ["loss", "accuracy"])
def test_another_metric_is_named_in_every_form(name):
    main = make_results(deltas(24), prefix="focused", train_delta_perf=-0.3)
    report = sample(main=main, baseline=replace(PUBLISHED, rule=""), metric=Metric(name, "target"))
    for text in (render(report, 120), markdown.render(report), html.render(report)):
        assert "ΔPerf" not in text
        assert f"mean {name}" in text
        assert f"Runs by {name}" in text
    drawn = html.render(report)
    assert f'aria-label="{name} of each run against its learning rate"' in drawn
    assert f'aria-label="Mean {name} of the sweep and of each arm' in drawn


def test_without_a_zero_no_row_and_no_column_is_of_successes():
    figures, _, rates, _, arms, *_ = tables(document(sample(metric=LOSS)))
    assert not {"successes", "loss < 0"} & {row[0] for row in figures.rows}
    assert [column.title for column in rates.columns][-1] == "mean loss"
    assert "success" not in [column.title for column in arms.columns]
    assert {len(row) for table in (figures, rates, arms) for row in table.rows} == {5, 4}
    figures, _, rates, _, arms, *_ = tables(document(sample(metric=Metric("gain", "target"))))
    assert {"successes", "gain > 0"} <= {row[0] for row in figures.rows}
    assert [column.title for column in rates.columns][-2:] == ["success", "rate"]
    assert "success" in [column.title for column in arms.columns]


def test_a_parameter_that_is_called_rate_or_success_is_shown_for_every_metric():
    main = make_results(deltas(4), parameters={"rate": [1, 2, 3, 4], "success": [5, 6, 7, 8]})
    (runs,) = [t for t in tables(document(sample(main=main, metric=LOSS))) if t.long]
    assert {"rate", "success"} <= {column.title for column in runs.columns}


def test_published_successes_are_counted_by_the_metric_or_by_their_own_rule():
    metric = Metric("accuracy", "target")
    for rule in ("", "Accuracy > 0.0"):
        ours = Counts("old", 6, 19, rule, "a table")
        page = render(sample(baseline=ours, metric=metric), 200)
        assert "there, a success is accuracy > 0." in page
    gains = Counts("old", 6, 19, "ΔPerf > 0", "a table")
    assert "a success is ΔPerf > 0." in render(sample(baseline=gains, metric=metric), 200)
    other = Counts("old", 6, 19, "better than yesterday", "a table")
    assert "a success is better than yesterday." in render(sample(baseline=other), 200)
