"""Reports written to files."""

import json
import re
import stat

import pytest

from harness.errors import UsageError
from harness.report.renderers import as_json, html, markdown
from harness.report.renderers.write import add_to_job_summary, write_report
from tests.factories import make_results
from tests.report.samples import sample


def test_all_files_are_written_and_nothing_else_is_left(tmp_path):
    folder = tmp_path / "a" / "focused"
    write_report(sample(), folder)
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
    monkeypatch.setattr("harness.report.documents.sweep_breakdown.MOST_DRAWN", 20)
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


def test_a_job_has_ten_lines_of_its_reports_once(tmp_path, monkeypatch):
    file = tmp_path / "summary.md"
    assert add_to_job_summary([(sample(), "here")]) == ""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    assert add_to_job_summary([]) == ""
    assert not file.exists()
    file.write_text("before\n")
    for _ in range(2):
        assert add_to_job_summary([(sample(), "here"), (sample(), "there")]) == ""
    text = file.read_text("utf-8")
    assert text.startswith("before\n**focused")
    assert text.count("- Report: here") == text.count("- Report: there") == 1
    assert len([line for line in text.splitlines() if line]) <= 1 + 10
    assert add_to_job_summary([(sample(verdicts=()), "here")]) == ""
    assert file.read_text("utf-8").startswith(text)


@pytest.mark.parametrize("place", ["", "no/such/folder/x"])
def test_a_summary_that_cannot_be_written_is_one_warning(tmp_path, monkeypatch, place):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / place))
    warning = add_to_job_summary([(sample(), "here")])
    assert re.fullmatch(
        "no summary of this job: GITHUB_STEP_SUMMARY=.* cannot be written: .*", warning
    )
