"""JSON, Markdown and HTML, and how they are written to files."""

import json
import re
import stat
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.report.renderers import as_json, html, markdown
from harness.report.renderers.write import write_report
from harness.verdicts import Verdict
from tests.factories import make_results
from tests.report.samples import VERDICTS, every_kind, sample

KINDS = every_kind()
NUMBER = (int, float, type(None))
TEXT = (str, type(None))
RUN = {
    "id": str, "arm": str, "pair": TEXT, "seed": int, "steps": int, "status": str, "config": dict,
    "perf_before": NUMBER, "perf_after": NUMBER, "delta_perf": NUMBER, "delta_perf_se": NUMBER,
    "train_delta_perf": NUMBER, "curve": list, "backend": str, "device": TEXT, "seconds": NUMBER,
}  # fmt: skip
QUESTION = {
    "id": str, "question": str, "claim": str, "verdict": str, "answer": str, "estimate": NUMBER,
    "low": NUMBER, "high": NUMBER, "level": NUMBER, "p_value": NUMBER, "p_holm": NUMBER, "n": int,
    "method": str, "reason": str, "needs": list,
}  # fmt: skip
FINDING = {"code": str, "severity": str, "message": str, "parameters": list}
TOP = {
    "schema": int, "sweep": str, "baseline": TEXT, "scaled_down": bool, "complete": bool,
    "environment": dict, "runs": list, "questions": list, "audit": list,
}  # fmt: skip


def check(data, schema):
    for key, kind in schema.items():
        assert isinstance(data[key], kind), (key, data[key])


@pytest.mark.parametrize("name", KINDS)
def test_json_keeps_its_schema(name):
    text = as_json.render(KINDS[name])
    data = json.loads(text, parse_constant=pytest.fail)
    check(data, TOP)
    assert data["schema"] == 1
    assert list(data)[:3] == ["schema", "sweep", "baseline"]
    for run in data["runs"]:
        check(run, RUN)
        for point in run["curve"]:
            assert list(point) == ["step", "perf", "se"]
    for question in data["questions"]:
        check(question, QUESTION)
    for finding in data["audit"]:
        check(finding, FINDING)


def test_json_has_every_run_of_every_arm_and_every_verdict():
    data = as_json.as_data(sample())
    assert [q["verdict"] for q in data["questions"]] == [v.verdict for v in VERDICTS]
    arms = [run["arm"] for run in data["runs"]]
    assert [arms.count(arm) for arm in ("main", "placebo", "null", "half", "batch_size")] == [
        24, 2, 4, 4, 6,
    ]  # fmt: skip
    diverged = [run for run in data["runs"] if run["status"] == "diverged"]
    assert [run["delta_perf"] for run in diverged] == [None]


def test_unfinished_runs_are_listed_but_are_no_evidence():
    failed = make_results([None], prefix="late", error="out of memory")
    report = sample(unfinished=failed, missing=["1 of 25 runs missing (1 failed)"])
    data = as_json.as_data(report)
    assert data["complete"] is False
    assert data["runs"][-1]["id"] == "late-00"
    assert data["runs"][-1]["error"] == "out of memory"


def test_equal_reports_give_equal_json():
    assert as_json.render(sample()) == as_json.render(sample())


floats = st.none() | st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=60, deadline=None)
@given(numbers=st.tuples(*[floats] * 6), delta=floats, setting=floats)
def test_json_never_holds_what_is_not_a_number(numbers, delta, setting):
    verdict = Verdict("q", "", "", "inconclusive", "", *numbers)
    (odd,) = make_results([0.1], seconds=delta, train_delta_perf=delta)
    odd = replace(odd, run=replace(odd.run, config=odd.run.config.replace(x=setting)))
    report = sample(main=(odd,), verdicts=(verdict,), baseline=False)
    json.loads(as_json.render(report), parse_constant=pytest.fail)


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


class Checker(HTMLParser):
    VOID = ("meta", "br", "img", "hr", "link")

    def __init__(self):
        super().__init__()
        self.open, self.links, self.said = [], [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)


@pytest.mark.parametrize("name", KINDS)
def test_the_page_is_whole_and_needs_nothing(name):
    text = html.render(KINDS[name])
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert not checker.open
    assert not checker.links
    assert "<script" not in text
    assert "url(" not in text
    assert "http" not in text
    said = " ".join(" ".join(checker.said).split())
    for verdict in KINDS[name].verdicts:
        assert verdict.id in said
        assert " ".join(verdict.answer.split()) in said


def test_pictures_are_drawings_with_a_mark_a_run():
    drawings = re.findall(r"<svg.*?</svg>", html.render(KINDS["transfer"]), re.DOTALL)
    assert len(drawings) == 3
    trees = [ET.fromstring(drawing) for drawing in drawings]
    marks = [c for c in trees[0].iter("circle") if c.get("class") in ("good", "other")]
    assert len(marks) == 24
    assert any("1.2e-3" in (text.text or "") for text in trees[0].iter("text"))


def test_what_comes_from_a_report_is_escaped():
    nasty = Verdict("<script>x</script>", "<i>", "<b>", "supported", "a & <b>b</b> | `c`")
    report = sample(verdicts=(nasty,))
    page = html.render(report)
    assert "<script" not in page
    assert "a &amp; &lt;b&gt;b&lt;/b&gt;" in page
    assert "\\<b\\>b\\</b\\> \\| \\`c\\`" in markdown.render(report)


def test_the_page_is_for_light_and_dark_and_for_a_phone():
    page = html.render(sample())
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_all_files_are_written_and_nothing_else_is_left(tmp_path):
    folder = write_report(sample(), tmp_path / "a" / "focused")
    assert folder == tmp_path / "a" / "focused"
    assert sorted(path.name for path in folder.iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]
    assert json.loads((folder / "report.json").read_text("utf-8"))["sweep"] == "focused"
    assert stat.S_IMODE((folder / "report.md").stat().st_mode) & 0o444 == 0o444


def test_a_report_replaces_the_one_before(tmp_path):
    write_report(sample(), tmp_path)
    write_report(sample(verdicts=()), tmp_path)
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["questions"] == []


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write the report to .*file/x: .*directory"):
        write_report(sample(), tmp_path / "file" / "x")


def test_a_file_that_cannot_be_replaced_leaves_no_rest(tmp_path):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(UsageError, match="cannot write the report"):
        write_report(sample(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_of_very_many_runs_pages_show_some_and_json_all(monkeypatch):
    monkeypatch.setattr("harness.report.documents.sweep_runs.MOST_LISTED", 10)
    monkeypatch.setattr("harness.report.documents.sweep_runs.MOST_DRAWN", 20)
    runs = [0.01 * number for number in range(60)]
    report = sample(main=make_results(runs, prefix="focused"), baseline=False, arms=False)
    text = as_json.render(report)
    data = json.loads(text)
    assert [run["delta_perf"] for run in data["runs"]] == pytest.approx(runs)
    assert sum(line.startswith("  {") for line in text.splitlines()) >= 60, "a line a run"
    page = markdown.render(report)
    listed = page.split("Runs by ΔPerf")[1].split("\n## ")[0]
    assert "The best 5 and the worst 5; report.json has the 50 between them too." in listed
    rows = [int(found) for found in re.findall(r"^\| (\d\d) ", listed, re.MULTILINE)]
    assert rows == [59, 58, 57, 56, 55, 4, 3, 2, 1, 0]
    assert "20 of 60 runs are drawn, evenly over the sample." in page
    drawn = html.render(report)
    assert drawn.count('class="behind"') <= 20
