"""Compare a document with the golden one kept beside these tests, and say where they differ.

To write the golden files anew, after a change that is meant to be seen, run

    GOLDEN=write python -m pytest tests/golden -n 0

and read the difference in git. Nothing else writes them: without it a missing file is a failure.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).parent / "files"
CLOSE = {"rel_tol": 1e-9, "abs_tol": 1e-12}
"""Numbers below a million-millionth are what rounding leaves of zero."""
SHOWN = 12
"""So many differences are listed."""

MEASURED = "(measured here)"


def normalised(value: Any, root: Path) -> Any:
    """Return a document without what differs between machines.

    These are paths, all of the environment but the names in it, and the time that a failed run
    took (that of the others is what the trainer says).
    """
    if isinstance(value, dict):
        value = {name: normalised(of, root) for name, of in value.items()}
        if value.get("status") == "failed":
            value["seconds"] = MEASURED
        if isinstance(value.get("environment"), dict):
            value["environment"] = dict.fromkeys(value["environment"], MEASURED)
        return value
    if isinstance(value, list):
        return [normalised(one, root) for one in value]
    if isinstance(value, str):
        in_markdown = str(root).replace("_", "\\_")
        return value.replace(str(root), "(root)").replace(in_markdown, "(root)")
    return value


def differences(golden: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yield a line for each place where two documents differ: its path, what was, what is."""
    if isinstance(golden, dict) and isinstance(found, dict):
        for name in dict.fromkeys([*golden, *found]):
            where = f"{path}.{name}" if path else name
            if name not in found:
                yield f"{where}: is gone"
            elif name not in golden:
                yield f"{where}: is new: {_short(found[name])}"
            else:
                yield from differences(golden[name], found[name], where)
    elif isinstance(golden, list) and isinstance(found, list):
        if len(golden) != len(found):
            yield f"{path}: {len(found)} items instead of {len(golden)}"
        for number, (one, other) in enumerate(zip(golden, found, strict=False)):
            label = one.get("id") or one.get("code") if isinstance(one, dict) else None
            where = f"{path}[{number}]" if label is None else f"{path}[{number} {label}]"
            yield from differences(one, other, where)
    elif isinstance(golden, str) and isinstance(found, str) and "\n" in golden + found:
        yield from differences(_lines(golden), _lines(found), path)
    elif not _equal(golden, found):
        yield f"{path}: {_short(found)} instead of {_short(golden)}"


def _lines(text: str) -> dict[str, str]:
    return {f"line {number}": line for number, line in enumerate(text.split("\n"), 1)}


def _equal(golden: Any, found: Any) -> bool:
    floats = isinstance(golden, float) or isinstance(found, float)
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (golden, found))
    if floats and numbers:
        return math.isclose(golden, found, **CLOSE)
    return type(golden) is type(found) and golden == found


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else f"{text[:157]}..."


def check_json(name: str, found: Any, root: Path) -> None:
    """Fail unless ``found`` is the golden document ``name``, but for what varies by machine."""
    found = normalised(found, root)
    path = FILES / f"{name}.json"
    if _writes(path, json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"):
        return
    _fail(path, list(differences(json.loads(path.read_text("utf-8")), found)))


def check_text(name: str, found: str, root: Path) -> None:
    """Fail unless ``found`` is, line by line, the golden text ``name``."""
    found = normalised(found, root)
    path = FILES / f"{name}.txt"
    if _writes(path, found):
        return
    _fail(path, list(differences(_lines(path.read_text("utf-8")), _lines(found))))


def _writes(path: Path, text: str) -> bool:
    """Write the file where that was asked for; fail where there is none to compare with."""
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        return True
    if not path.exists():
        pytest.fail(f"there is no {path}; how to write it: {__file__}", pytrace=False)
    return False


def _fail(path: Path, found: list[str]) -> None:
    if found:
        more = [f"... and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        lines = [f"{path.name}: {len(found)} differences", *found[:SHOWN], *more]
        pytest.fail("\n  ".join(lines), pytrace=False)


class _Words(HTMLParser):
    """Collects what a page says, a line for each row, paragraph and heading."""

    ENDS = ("tr", "p", "h1", "h2", "h3", "li", "summary", "svg", "dt", "dd", "div", "figcaption")

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._style = False
        between = {"td": " | ", "th": " | ", "text": "; ", "title": "; ", "span": " "}
        self.said.append("\n" if tag in self.ENDS else between.get(tag, ""))

    def handle_data(self, data: str) -> None:
        if not self._style:
            self.said.append(re.sub(r"\s+", " ", data))


def text_of_html(page: str) -> str:
    """Return the text of an HTML page, without its markup and style."""
    words = _Words()
    words.feed(page)
    lines = (re.sub(r" +", " ", line).strip(" ") for line in "".join(words.said).splitlines())
    return "\n".join(line for line in lines if line.strip("| ")) + "\n"
