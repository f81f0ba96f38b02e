"""Links and file names lead somewhere."""

import re

from tests.docs.pages import ROOT, code_spans, page, prose


def anchors(path):
    """Return the anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading.replace("`", "")).lower() for heading in headings)
    return {re.sub(r"\s+", "-", heading.strip()) for heading in plain}


@page
def test_every_relative_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


@page
def test_every_file_named_in_a_page_exists(page):
    for span in code_spans(page):
        if re.fullmatch(r"\.?(harness|experiments|tests|scripts|docs|benchmarks)/[\w./-]+", span):
            assert (ROOT / span).exists(), span


def test_nothing_refers_to_what_is_not_in_the_repository():
    outside = ["DESIGN" + ".md", ".." + "/shared", "/work" + "/shared"]
    folders = ("harness", "experiments", "tests", "benchmarks", "docs", "scripts", ".github", ".ci")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.is_file()]
    files += [file for file in ROOT.iterdir() if file.is_file()]
    for file in files:
        if file.suffix in (".pyc", ".db") or "__pycache__" in file.parts:
            continue
        text = file.read_text(errors="ignore")
        assert not any(name in text for name in outside), file
