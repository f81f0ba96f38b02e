"""Reports as Markdown."""

import re

import pytest

from harness.report.renderers import as_json, markdown
from tests.report.samples import every_kind

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
