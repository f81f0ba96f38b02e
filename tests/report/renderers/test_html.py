"""Reports as a page."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from harness.report.renderers import as_json, html, markdown
from harness.verdicts import Verdict
from tests.factories import make_results
from tests.report.samples import deltas, every_kind, sample

KINDS = every_kind()


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
    assert len(drawings) == 4
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


def test_a_verdict_is_marked_where_it_is_one():
    main = make_results(deltas(4), parameters={"state": ["supported", "refuted", "a", "b"]})
    page = html.render(sample(main=main))
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page)
    assert cells.count("refuted") == 1
    assert cells.count('<span class="verdict refuted">refuted</span>') == 1


def test_badges_count_what_was_asked():
    verdicts = (
        Verdict("a", "Is it?", "it is", "supported", "yes"),
        Verdict("b", "", "", "unanswerable", "not asked"),
        Verdict("c", "", "", "unanswerable", "not asked"),
    )
    report = sample(verdicts=verdicts)
    badges = re.findall(r'<span class="verdict [a-z]+">(\d+ \w+)</span>', html.render(report))
    assert badges == ["1 supported"]
    assert [one["asked"] for one in as_json.as_data(report)["questions"]] == [True, False, False]
