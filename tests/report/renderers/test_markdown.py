"""Reports as Markdown."""

import re

import pytest

from harness.report.renderers import as_json, markdown
from harness.verdicts import Verdict
from tests.factories import make_result
from tests.report.samples import every_kind, sample

KINDS = every_kind()


@pytest.mark.parametrize("name", KINDS)
def test_markdown_agrees_with_json(name):
    text, data = markdown.render(KINDS[name]), as_json.as_data(KINDS[name])
    plain = text.replace("\\", "")
    for question in data["questions"]:
        assert f"### {question['id']}: {question['verdict']}" in plain
        assert f"| {question['verdict']} | {question['id']} |" in plain
        assert " ".join(question["answer"].split()) in plain
    for finding in data["audit"]:
        assert finding["message"] in plain
    main = [run for run in data["runs"] if run["arm"] == "main"]
    if main:
        table = text.split("## Runs by ΔPerf")[1].split("\n\n")[1]
        assert len(table.splitlines()) == 2 + len(main)


@pytest.mark.parametrize("name", KINDS)
def test_tables_of_markdown_are_even(name):
    for block in markdown.render(KINDS[name]).split("\n\n"):
        if block.startswith("| "):
            bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(bars) == 1, block


def asked(number, verdict="supported"):
    return Verdict(f"q{number}", "Is it?", "it is", verdict, "not judged: 3 missing", reason="why")


def test_the_answers_come_first():
    lines = markdown.render(sample(missing=["2 of 24 runs missing"])).splitlines()
    assert lines[0].startswith("# focused: ")
    assert lines[2].startswith("> **INCOMPLETE")
    assert lines[4].startswith("- **Answers**: supported ")
    assert lines[5].startswith("- **Best**: the best run is ")
    assert re.match(r"- \*\*\w+\*\* \w+", lines[10])
    lines = markdown.render(sample()).splitlines()
    assert lines[2].startswith("- **Answers**: supported ")
    sections = [line for line in lines if line.startswith("## ")]
    assert sections[0] == "## Questions"


def test_a_summary_keeps_to_its_lines_with_the_answers_first():
    for most in (3, 4, 7, 10):
        for number in (0, 1, 3, 9):
            report = sample(verdicts=tuple(map(asked, range(number))))
            text = markdown.summary(report, most, "reports/focused")
            lines = text.splitlines()
            assert len([line for line in lines if line]) <= most
            assert lines[0].startswith("**focused: ")
            assert lines[1] == ""
            if most == 10:
                assert lines[-1] == "- Report: reports/focused"
                listed = [line for line in lines if "not judged: 3 missing" in line]
                assert f"- and {number - len(listed)} other questions" in lines or number <= 4


def test_a_summary_that_is_cut_keeps_what_was_decided():
    verdicts = [asked(number, "unanswerable") for number in range(8)]
    report = sample(verdicts=(*verdicts, asked(8, "refuted"), asked(9, "supported")))
    lines = markdown.summary(report, 10).splitlines()
    assert [line.split("**")[1] for line in lines[2:9]] == [
        *("Answers", "Best", "Not known", "Beware", "Noise"),
        *("supported", "refuted"),
    ]
    waiting = sample(verdicts=(asked(1, "not judged"),))
    assert "- **not judged** q1: why" in markdown.summary(waiting)


def test_a_summary_says_why_runs_failed():
    left = [
        make_result(id=f"s-{n}", sweep="s", index=n, status="failed", error=f"E: {n} of 3")
        for n in range(4)
    ]
    odd = make_result(id="s-9", sweep="s", index=9, status="oom", error="too large")
    text = markdown.summary(sample(unfinished=[*left, odd]))
    assert (
        "4 failed, 1 diverged, 1 oom; 4 runs failed: E: 0 of 3 (runs 00 to 03); and 1 other reason"
        in text
    )
