import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report.blocks import Column, Table
from harness.report.renderers.layout import table_text
from harness.report.renderers.terminal import render
from harness.verdicts import Verdict
from tests.factories import make_results, report_of
from tests.report.samples import LONG, VERDICTS, deltas, every_kind, sample

KINDS = every_kind()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(name, width):
    for line in render(KINDS[name], width).splitlines():
        assert len(line) <= width, line
        assert line == line.rstrip()


@pytest.mark.parametrize("name", KINDS)
def test_nothing_reads_like_a_number_that_is_none(name):
    text = render(KINDS[name], 120)
    assert not re.search(r"\b(nan|inf|None)\b", text), name


def test_every_verdict_is_said_with_its_answer_and_what_it_needs():
    text = render(sample(), 100)
    flat = " ".join(text.split())
    for verdict in VERDICTS:
        assert verdict.verdict in text
        assert verdict.id in text
    assert "yes: 17 of 24" in flat
    assert "needs: pytest experiments/ --sweep broad,focused" in flat
    assert "success rate: 95% interval 51% to 85% (Wilson)" in flat
    assert LONG.split(":")[0] in flat


def test_the_report_ends_with_the_verdicts_and_their_numbers():
    end = render(sample(), 100).splitlines()[-len(VERDICTS) :]
    assert [line.split("  ")[0] for line in end] == [v.verdict for v in VERDICTS]
    assert re.search(r"0\.71\d* .*0\.5\d+ to 0\.8\d+", end[0])
    assert "−0.041" in end[1]
    assert "−0.061 to −0.021" in end[1]
    assert "above +0.10" in end[-1]


def test_the_headline_counts_the_verdicts():
    first = render(sample()).splitlines()[0]
    assert first == (
        "focused: 2 supported, 1 refuted, 1 inconclusive, 1 unanswerable, 1 not judged"
    )


def test_what_is_less_than_the_declared_sweep_says_so_first():
    main = make_results(deltas(4), steps=20, declared_steps=100)
    lines = render(sample(main=main, scaled_down=True, scale="4 of 24 runs", steps=20)).splitlines()
    assert lines[0].startswith("SCALED DOWN: 4 of 24 runs; ")
    lines = render(sample(missing=["4 of 24 runs missing (2 failed)"])).splitlines()
    assert lines[0] == "INCOMPLETE: 4 of 24 runs missing (2 failed)"


def test_colour_is_for_the_words_of_verdicts_alone():
    plain, coloured = render(sample(), 80), render(sample(), 80, colour=True)
    assert "\033" not in plain
    assert re.sub(r"\033\[\d+m", "", coloured) == plain
    words = re.findall(r"\033\[\d+m([^\033]*)\033\[0m", coloured)
    assert set(words) == {verdict.verdict for verdict in VERDICTS}


def test_runs_that_failed_are_named_with_their_error():
    failed = make_results([None], prefix="late", error="RuntimeError: the disk is full")
    failed = [replace(r, outcome=replace(r.outcome, status="failed")) for r in failed]
    text = render(sample(unfinished=failed), 80)
    assert re.search(r"^late-00 +failed +RuntimeError: the disk is full$", text, re.MULTILINE)
    assert "did not finish" not in render(sample(), 80)


def test_an_empty_sweep_is_short():
    text = render(KINDS["empty"], 80)
    assert "No run of the sweep has finished." in text
    assert len(text.splitlines()) < 12


def test_a_long_table_of_runs_shows_its_two_ends():
    text = render(KINDS["200 runs"], 100)
    assert "176 more" in text
    runs = text.split("Runs by ΔPerf")[1].split("Learning rate\n")[0]
    assert len(re.findall(r"^\d+ +[●○]", runs, re.MULTILINE)) == 24


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


def test_a_picture_has_a_mark_for_each_run():
    section = render(sample(), 120).split("\nLearning rate\n")[1].split("● success")[0]
    drawing = "".join(line for line in section.splitlines() if "│" in line)
    assert drawing.count("●") + drawing.count("○") == 24


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@settings(max_examples=60, deadline=None)
@given(
    answer=words,
    id_=words,
    beside=st.lists(words, max_size=2),
    numbers=st.tuples(*[st.none() | st.floats(allow_nan=False, allow_infinity=False)] * 3),
    width=st.integers(40, 140),
)
def test_whatever_is_answered_fits(answer, id_, beside, numbers, width):
    verdict = Verdict(id_, answer, "c", "supported", answer, *numbers, 0.9, beside=tuple(beside))
    report = sample(main=(), baseline=False, verdicts=(verdict,))
    assert all(len(line) <= width for line in render(report, width).splitlines())


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(st.tuples(words, words, words, words), max_size=4),
    flags=st.tuples(*[st.tuples(st.booleans(), st.integers(0, 2), st.booleans())] * 4),
    width=st.integers(20, 100),
)
def test_whatever_a_table_holds_fits(rows, flags, width):
    columns = tuple(
        Column(f"a title {i}", right=right, drop=drop, wrap=wrap)
        for i, (right, drop, wrap) in enumerate(flags)
    )
    lines = table_text(Table(columns, tuple(rows)), width)
    assert all(len(line) <= width for line in lines)
