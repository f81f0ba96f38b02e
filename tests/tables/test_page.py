"""The page on tables says what the code does."""

import re

import pytest

from harness import words
from harness.tables import files, naming, trackers
from harness.tables.columns import IDS, NAMES, ROLES
from tests.docs.pages import DOCS, blocks, code_spans, tables
from tests.tables.tables import read

PAGE = DOCS / "tables.md"


def spans():
    return set(code_spans(PAGE))


def row(first):
    """Return the names in the second cell of the table row that begins with ``first``."""
    return next(set(re.findall(r"`([^`]+)`", r[1])) for r in tables(PAGE) if r[0] == first)


def test_the_example_is_read_as_it_says(tmp_path):
    table, printed = blocks(PAGE, "csv")[0], blocks(PAGE, "text")[0]
    assert "\n".join(read(tmp_path / "runs.csv", table).notes) + "\n" == printed


def test_the_curve_of_the_example_is_read(tmp_path):
    table, curve = blocks(PAGE, "csv")[:2]
    (tmp_path / "curves.csv").write_text(curve)
    reading = read(tmp_path / "runs.csv", table, curves=tmp_path / "curves.csv")
    assert [point.perf for point in reading.results[0].outcome.curve] == [0.12, 0.18, 0.22]


def test_every_role_is_there_with_the_names_that_have_it():
    names = {name for called, _ in ROLES.values() for name in called.split()}
    missing = {*names, *IDS, *NAMES} - spans() - {"state", "train.delta_perf"}
    assert missing == set()


@pytest.mark.parametrize("name", sorted(set(words.ALIASES.values()) - set(ROLES)))
def test_every_alias_is_there(name):
    aliases = {alias for alias, target in words.ALIASES.items() if target == name}
    assert row(f"`{name}`") == aliases


def test_every_prefix_is_there():
    assert set(naming.PREFIXES) <= spans()


@pytest.mark.parametrize("state", ["completed", "failed", "timeout", "oom"])
def test_every_word_for_a_status_is_there(state):
    words = {word for word, known in trackers.STATES.items() if known == state}
    assert row(f"`{state}`") == words - {state}


def test_every_word_for_what_is_left_out_is_there():
    words = {word for word, known in trackers.STATES.items() if known == "unfinished"}
    assert row("left out") == words


def test_every_ending_is_there():
    assert set(files.FORMATS) <= spans()
    assert f"{files.LARGEST // 2**20} MiB" in PAGE.read_text()
