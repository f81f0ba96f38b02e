"""Nothing is decided by a sentence that was written for people.

A need has a kind, a verdict its unit, a document its metric. Code that looks into text to choose
what to do breaks as soon as somebody words the text better, and no type checker sees it.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[1] / "harness"
ROOMS = ("judging", "report", "cli", "claims")

LOOKS = {
    "startswith",
    "endswith",
    "removeprefix",
    "removesuffix",
    "find",
    "partition",
    "rpartition",
}
PATTERNS = {"match", "search", "fullmatch", "findall", "sub", "split"}

ALLOWED = {
    ("claims/power.py", "found.unit.removesuffix('s')"): "writes one of a unit",
    ("cli/__init__.py", "argument[:len(flag) + 1] == f'{flag}='"): "reads an option, --flag=value",
    ("cli/confirm.py", "'=' not in text"): "reads an option, NAME=VALUE",
    ("cli/confirm.py", "part.partition('=')"): "reads an option, NAME=VALUE",
    ("cli/common.py", "'numpy' not in sys.modules"): "asks whether a module is loaded",
    ("cli/doctor.py", "line.replace(f' {word} ', f' \\x1b[{code}m{word}\\x1b[0m ', 1)"): "paints",
    ("cli/gate.py", "text.rpartition('=')"): "reads an option, NAME=max",
    ("cli/importing.py", "'://' in source"): "tells an address from a file",
    ("cli/importing.py", "'://' in file"): "tells an address from a file",
    ("cli/judge.py", "text.partition('=')"): "reads an option, COL=VALUE",
    ("cli/runs.py", "r.run.id.startswith(r.run.sweep)"): "the id of a run begins with its sweep",
    ("judging/reference.py", "field.replace('_', ' ')"): "writes the name of a field",
    ("judging/stored.py", "re.sub('[^\\\\w.=,+-]', '_', name_of(baseline))"): "names a folder",
    ("report/documents/parity.py", "pair.run.id.removeprefix(f'{found.sweep}-')"): "shortens an id",
    (
        "report/failures.py",
        "re.match(f'(.*)(?: \\\\(log: |; its log |; )/.*?{log}', error)",
    ): "leaves out the place of a log, known by the run's id and key",
    ("report/failures.py", "reason(result).replace(result.run.id, '#')"): "a run's id in an error",
    (
        "report/failures.py",
        "reason(result).replace(result.run.id, '#').replace(result.key, '#')",
    ): "a run's key in an error",
    ("report/failures.py", "id.removeprefix(f'{sweep}-')"): "shortens an id",
    ("judging/stored.py", "smoke.removesuffix(SMOKE)"): "the name of a folder",
    ("report/model.py", "'half' in evidence.arms"): "the name of an arm, in a mapping",
    ("report/renderers/html.py", "str(word).replace(' ', '-')"): "names a class of the style sheet",
    ("report/renderers/layout.py", "'\\n' in text"): "lays out lines",
    ("report/renderers/pictures.py", "row[c] in ' ┈'"): "a place of a drawing that is free",
    ("report/renderers/html.py", "re.sub('(?m)^( *)(:root|body)(?= )', '\\\\1&', STYLE)"): (
        "nests a style sheet"
    ),
    ("report/renderers/write.py", "re.sub('[^A-Za-z0-9_.=,+-]', '_', parts)"): "names a folder",
    ("report/renderers/terminal.py", "line.startswith(word)"): "paints",
}


def literals(tree):
    """Yield every string that a ``Literal`` of the code allows: such a value is no prose."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Literal"):
            yield from (one.value for one in ast.walk(node.slice) if isinstance(one, ast.Constant))


@cache
def values():
    """Return all such strings: read by the first test that asks, not where tests are collected."""
    files = HARNESS.rglob("*.py")
    return {value for file in files for value in literals(ast.parse(file.read_text()))}


def is_text(node):
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def is_sentence(node):
    """Whether it is text of more than one word that is not a value of some ``Literal``."""
    if isinstance(node, ast.JoinedStr):
        return True
    return is_text(node) and " " in node.value.strip() and node.value not in values()


def looks_into_text(node):
    """Whether an expression looks for text within text, or compares it with a sentence."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name, of = node.func.attr, node.func.value
        if isinstance(of, ast.Name) and of.id == "re":
            return name in PATTERNS
        return name in LOOKS or (name == "replace" and len(node.args) > 1)
    if not isinstance(node, ast.Compare):
        return False
    sides = [node.left, *node.comparators]
    if any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
        members = [one for side in sides for one in getattr(side, "elts", ())]
        return any(map(is_text, sides)) or any(map(is_sentence, members))
    return any(map(is_sentence, sides))


def found(code):
    return [ast.unparse(node) for node in ast.walk(ast.parse(code)) if looks_into_text(node)]


@cache
def in_rooms():
    """Return what looks into text in the rooms: the file, and the expression."""
    files = [file for room in ROOMS for file in sorted((HARNESS / room).rglob("*.py"))]
    return {
        (str(file.relative_to(HARNESS)), expression)
        for file in files
        for expression in found(file.read_text())
    }


def test_nothing_is_decided_by_a_sentence():
    assert in_rooms() - ALLOWED.keys() == set()


def test_what_is_allowed_is_still_there():
    assert ALLOWED.keys() - in_rooms() == set()


@pytest.mark.parametrize(
    "code",
    [
        "line.startswith(('pytest ', 'an arm '))",
        "verdict.method.startswith(LEVELS)",
        "text.replace(DELTA_PERF.name, metric.name)",
        "why.removeprefix('not like for like: ')",
        "'not shown' in verdict.answer",
        "f'{name} is missing' not in reason",
        "why == 'the same in every run'",
        "title in ('mean ΔPerf', 'ΔPerf > 0')",
        "re.search('of (.*) runs', answer)",
    ],
)
def test_a_decision_by_prose_is_seen(code):
    assert found(code)


@pytest.mark.parametrize(
    "code",
    [
        "verdict.verdict == 'not judged'",
        "metric.zero in ('no change', 'target')",
        "need.kind in TRAINED",
        "replace(verdict, needs=needs)",
        "config.replace(rank=number)",
        "Path(temporary).replace(path)",
        "', '.join(names)",
    ],
)
def test_what_decides_by_values_is_not(code):
    assert not found(code)
