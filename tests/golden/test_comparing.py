"""How documents are compared: what counts as a difference, and what is said of it."""

from pathlib import Path

import pytest

from tests.golden import comparing
from tests.golden.comparing import (
    check_json,
    check_text,
    differences,
    normalised,
    text_of_html,
)

GOLDEN = {"questions": [{"id": "mean", "p_holm": 0.25, "needs": ["more runs"]}], "complete": True}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Golden files of this test's own, written once."""
    monkeypatch.setattr(comparing, "FILES", tmp_path / "files")
    monkeypatch.setenv("GOLDEN", "write")
    check_json("one", GOLDEN, tmp_path)
    check_text("one", "first\nsecond\n", tmp_path)
    monkeypatch.delenv("GOLDEN")
    return tmp_path


def changed(**fields):
    return {**GOLDEN, "questions": [{**GOLDEN["questions"][0], **fields}]}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (changed(p_holm=0.2501), "questions[0 mean].p_holm: 0.2501 instead of 0.25"),
        (changed(p_holm=None), "questions[0 mean].p_holm: null instead of 0.25"),
        (changed(p_holm="0.25"), 'questions[0 mean].p_holm: "0.25" instead of 0.25'),
        (changed(needs=[]), "questions[0 mean].needs: 0 items instead of 1"),
        (changed(id="a\nb\n"), 'questions[0 mean].id.line 1: "a" instead of "mean"'),
        (changed(more=1), "questions[0 mean].more: is new: 1"),
        ({"questions": GOLDEN["questions"]}, "complete: is gone"),
        ({**GOLDEN, "complete": 1}, "complete: 1 instead of true"),
    ],
)
def test_a_difference_is_named_by_its_path(found, said):
    assert next(differences(GOLDEN, found)) == said


def test_floats_differ_from_a_thousand_millionth_on():
    assert list(differences(GOLDEN, changed(p_holm=0.25 * (1 + 1e-10)))) == []
    assert list(differences(GOLDEN, changed(p_holm=0.25 * (1 + 1e-8))))
    assert list(differences({"steps": 1000000001}, {"steps": 1000000002}))


def test_a_document_that_differs_fails_and_is_not_written(files):
    check_json("one", GOLDEN, files)
    check_text("one", "first\nsecond\n", files)
    with pytest.raises(pytest.fail.Exception, match=r"one\.json: 1 differences\n.*p_holm"):
        check_json("one", changed(p_holm=1.0), files)
    with pytest.raises(pytest.fail.Exception, match=r'line 2: "other" instead of "second"'):
        check_text("one", "first\nother\n", files)
    with pytest.raises(pytest.fail.Exception, match=r"line 3: is gone"):
        check_text("one", "first\nsecond", files)
    check_json("one", GOLDEN, files)


def test_a_golden_file_that_is_missing_fails(files):
    with pytest.raises(pytest.fail.Exception, match="there is no"):
        check_json("two", GOLDEN, files)
    assert not (files / "files" / "two.json").exists()


def test_only_what_is_of_this_machine_is_left_out():
    run = {"status": "failed", "seconds": 0.1}
    done = {"status": "completed", "seconds": 2.0, "error": "in /a/b_c/x, in /a/b\\_c/x"}
    found = normalised({"environment": {"python": "3.11"}, "runs": [run, done]}, Path("/a/b_c"))
    left = "(measured here)"
    assert found["environment"] == {"python": left}
    assert found["runs"] == [
        {"status": "failed", "seconds": left},
        {"status": "completed", "seconds": 2.0, "error": "in (root)/x, in (root)/x"},
    ]


def test_of_a_page_its_text_is_left():
    page = (
        "<style>p {}</style><h1>One</h1><table><tr><th>a</th><td>1</td></tr></table><p> b\n c</p>"
    )
    assert text_of_html(page) == "One\na | 1 |\nb c\n"
