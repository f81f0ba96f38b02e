"""Every option, verb and default is documented as its parser has it."""

import argparse
import re
from functools import cache

import pytest

from harness.cli import VERBS
from harness.cli import parser as sweep_parser
from tests.docs.pages import (
    DOCS,
    PAGES,
    README,
    code_spans,
    page,
    plugin_options,
    prose,
    pytest_help,
    tables,
)


def default_of(settings):
    """Return the default of an option in words, from what its parser says."""
    default = settings.get("default")
    if settings.get("action") == "store_true":
        return "off"
    if default is None:
        said = re.search(r"\(default: ([^,) ]+)", settings.get("help") or "")
        return said[1] if said else "none"
    return ",".join(default) if isinstance(default, tuple | list) else str(default)


def options_table():
    """Return option → default as docs/options.md states them, by the section they stand in."""
    return {
        match[1]: re.sub("`", "", row[1])
        for row in tables(DOCS / "options.md")
        if (match := re.match(r"`(--sweep[\w-]*)", row[0]))
    }


def test_every_option_of_the_plugin_is_documented():
    shown = set(re.findall(r"^ +(--sweep[\w-]*)", pytest_help(), re.MULTILINE))
    assert shown == set(plugin_options())
    assert set(options_table()) == shown


@pytest.mark.parametrize("name", plugin_options())
def test_the_default_of_an_option_is_the_stated_one(name):
    assert options_table()[name] == default_of(plugin_options()[name])


@pytest.mark.parametrize("name", plugin_options())
def test_the_help_states_the_default_that_the_parser_has(name):
    settings = plugin_options()[name]
    if settings.get("default") is not None and settings.get("action") != "store_true":
        assert f"(default: {default_of(settings)}" in settings["help"]


@page
def test_no_page_names_an_option_that_does_not_exist(page):
    named = set(re.findall(r"(--sweep[\w-]*)", page.read_text()))
    assert named <= set(plugin_options())


@cache
def verbs():
    """Return the parsers of the verbs of ``sweep`` by name."""
    actions = sweep_parser()._actions
    return next(a.choices for a in actions if isinstance(a, argparse._SubParsersAction))


def arguments_of(verb):
    """Return name → action of a verb's arguments and options, ``--help`` apart."""
    actions = [a for a in verbs()[verb]._actions if not isinstance(a, argparse._HelpAction)]
    return {max(a.option_strings, key=len, default=a.metavar or a.dest): a for a in actions}


def verb_table(verb):
    """Return argument → default as docs/options.md states them: the verb's own and the shared."""
    section = re.search(
        rf"^### sweep {verb}$(.*?)(?=^##)", (DOCS / "options.md").read_text(), re.M | re.S
    )
    assert section, f"docs/options.md has no heading 'sweep {verb}'"
    rows = re.findall(r"^\| `([\w-]+)[^|]* \|([^|]*)\|", section[1], re.M)
    rows += [(name, default) for name, default, named in shared_options() if verb in named]
    assert len({name for name, _ in rows}) == len(rows), f"sweep {verb} has an option twice"
    return {name: default.strip().strip("`") for name, default in rows}


@cache
def shared_options():
    """Return (option, default, verbs) as docs/options.md states them for several verbs at once."""
    shared = []
    for option, default, verbs, _ in [r for r in tables(DOCS / "options.md") if len(r) == 4][1:]:
        if verbs == "verbs":  # the head of a further table
            continue
        every, _, left_out = verbs.partition("all")
        named = set(re.findall(r"\w+", every)) or set(VERBS) - set(re.findall(r"\w+", left_out)[1:])
        assert named <= set(VERBS), f"{option}: {verbs}"
        shared.append((re.match(r"`([\w-]+)", option)[1], default, named))
    return shared


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_is_documented_with_its_options(verb):
    assert set(verb_table(verb)) == set(arguments_of(verb))
    assert f"`sweep {verb}" in prose(README)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_the_defaults_of_a_verb_are_the_stated_ones(verb):
    for name, action in arguments_of(verb).items():
        required = not action.option_strings and action.nargs in (None, "+")
        flag = isinstance(action, argparse._StoreTrueAction)
        settings = {"default": action.default, "help": action.help}
        settings |= {"action": "store_true"} if flag else {}
        assert verb_table(verb)[name] == ("" if required else default_of(settings)), name
        assert action.help, f"sweep {verb} {name} has no help"


def test_no_verb_is_documented_that_does_not_exist():
    headings = re.findall(r"^### sweep (\w+)$", (DOCS / "options.md").read_text(), re.M)
    named = {
        match[1]
        for path in PAGES
        for span in code_spans(path)
        if (match := re.match(r"sweep ([a-z]+)\b", span))
    }
    assert set(headings) | named == set(VERBS)
