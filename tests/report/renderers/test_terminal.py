"""Reports on a terminal: within its width, in words and in colour."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report.renderers.terminal import render
from harness.verdicts import Verdict
from tests.report.samples import LONG, VERDICTS, every_kind, sample

KINDS = every_kind()
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


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


def test_colour_is_for_the_words_of_verdicts_and_the_labels_of_the_summary():
    plain, coloured = render(sample(), 80), render(sample(), 80, colour=True)
    assert "\033" not in plain
    assert re.sub(r"\033\[\d+m", "", coloured) == plain
    words = re.findall(r"\033\[\d+m([^\033]*)\033\[0m", coloured)
    labels = {"Answers:", "Best:", "Not known:", "Beware:", "Noise:"}
    assert set(words) == {verdict.verdict for verdict in VERDICTS} | labels


def test_a_long_table_of_runs_shows_its_two_ends():
    text = render(KINDS["200 runs"], 100)
    assert "176 more" in text
    runs = text.split("Runs by ΔPerf")[1].split("Learning rate\n")[0]
    assert len(re.findall(r"^\d+ +[●○]", runs, re.MULTILINE)) == 24


def test_a_picture_has_a_mark_for_each_run():
    section = render(sample(), 120).split("\nLearning rate\n")[1].split("● success")[0]
    drawing = "".join(line for line in section.splitlines() if "│" in line)
    assert drawing.count("●") + drawing.count("○") == 24


@settings(max_examples=60, deadline=None)
@given(
    answer=words,
    id_=words,
    details=st.lists(words, max_size=2),
    numbers=st.tuples(*[st.none() | st.floats(allow_nan=False, allow_infinity=False)] * 3),
    width=st.integers(40, 140),
)
def test_whatever_is_answered_fits(answer, id_, details, numbers, width):
    verdict = Verdict(id_, answer, "c", "supported", answer, *numbers, 0.9, details=tuple(details))
    report = sample(main=(), baseline=False, verdicts=(verdict,))
    assert all(len(line) <= width for line in render(report, width).splitlines())
