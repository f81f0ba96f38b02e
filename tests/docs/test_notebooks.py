"""The notebooks of the documentation run, and show what is stored in them.

To write what they show anew, after a change that is meant to be seen, run

    GOLDEN=write python -m pytest tests/docs/test_notebooks.py -m slow -n 0
"""

import copy
import json
import os
import re

import pytest

from tests.docs.notebooks import executed
from tests.docs.pages import DOCS
from tests.golden.comparing import text_of_html

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
TIME = re.compile(r"\b\d+(\.\d+)?(e-\d+)? ?(ms|s|min)\b( \d+ s\b)?")


def lines_of(output):
    """Return what an output says, line by line, without times and the widths of columns."""
    parts = output.get("data", {"text": output.get("text", [])})
    texts = []
    for kind, lines in parts.items():
        text = "".join(lines)
        texts.append(text_of_html(text) if kind == "text/html" else text)
    lines = "\n".join(texts).splitlines()
    return [re.sub(r"\s+|─+", " ", TIME.sub("(time)", line)).strip() for line in lines]


@pytest.mark.slow  # the environment that runs the slow tests has pandas
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_shows_what_is_stored_in_it(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    stored = json.loads(path.read_text("utf-8"))
    found = executed(copy.deepcopy(stored))
    if os.environ.get("GOLDEN") == "write":
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
        return
    for before, after in zip(stored["cells"], found["cells"], strict=True):
        was, now = before.get("outputs", []), after.get("outputs", [])
        assert [lines_of(one) for one in now] == [lines_of(one) for one in was], before["source"]
