"""Write the next sweep as a complete Python file, with its reasons as comments.

A formatter leaves the code as it is at any line length from 88 on.
"""

from __future__ import annotations

import ast
import inspect
import json
import keyword
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from harness import claims
from harness.records import Value
from harness.refine.proposal import Proposal, ProposedQuestion, Revision
from harness.sweeps.distributions import DISTRIBUTIONS, Choice, Constant, Distribution, Given, Range
from harness.sweeps.sweep import Pairs, Sweep
from harness.text import plural, short_exponent
from harness.verdicts import Counts

WIDTH = 88
"""The longest line of code: a call that does not fit has a line for each argument."""

INDENT = "    "

_NAMES = (*DISTRIBUTIONS, "Counts", "Pairs", "Sweep")

_STUB = '''
def train(run):
    """Train a run with run.config and run.seed: still to be written.

    {what}
    """
    raise NotImplementedError("train a run with run.config")


'''

_SCORES = "Give the held-out scores to run.before and run.after, and run.log between them."

_TESTS = """

def test_run(run):
    run.train()


def test_question(question):
    question.judge()
"""


def python(
    proposal: Proposal,
    *,
    command: str,
    cost: Sequence[str] = (),
    power: Mapping[str, str] | None = None,
) -> str:
    """Return the file that declares the next sweep, with its reasons as comments.

    ``command`` is the command that made it, ``cost`` are sentences on its cost, and ``power`` has
    sentences by the ids of their questions.
    """
    return sweep_file(
        proposal.sweep,
        _docstring(proposal, command),
        proposal.questions,
        stub=proposal.stub,
        comments=[*proposal.sizes, *cost],
        reasons={r.parameter: _reasons(r) for r in proposal.revisions},
        arms=_arms(proposal) if proposal.sweep.arms else "",
        power=power or {},
        trainer=proposal.trainer,
    )


def sweep_file(
    sweep: Sweep,
    paragraphs: Sequence[str],
    questions: Sequence[ProposedQuestion],
    *,
    stub: bool,
    comments: Sequence[str] = (),
    reasons: Mapping[str, Sequence[str]] | None = None,
    arms: str = "",
    power: Mapping[str, str] | None = None,
    trainer: tuple[str, str] | None = None,
) -> str:
    """Return the file that declares a sweep, with ``paragraphs`` as its docstring.

    ``stub`` puts a training function to be written before it; ``trainer`` is the module and the
    name of one to import. ``comments`` stand under the sweep's name, those of ``reasons`` above
    their parameter, those of ``power`` above their question. ``arms`` is code.
    """
    what = f"Return the final {sweep.metric}." if sweep.metric else _SCORES
    body = [*_STUB.format(what=what).splitlines()] if stub else []
    body += [f"{_variable(sweep.name)} = Sweep(", f"{INDENT}{literal(sweep.name)},"]
    for sentence in comments:
        body += _comment(sentence, 1)
    body += [f"{INDENT}{name}={value}," for name, value in _settings(sweep, stub=stub)]
    space = {
        name: (distribution(drawn, depth=2, room=_around(name)), (reasons or {}).get(name, ()))
        for name, drawn in sweep.parameters.distributions.items()
    }
    body.append(f"{INDENT}space={_commented(space)},")
    if arms:
        body.append(f"{INDENT}arms={arms},")
    if questions:
        body.append(f"{INDENT}questions={_questions(questions, power or {})},")
    text = "\n".join([*body, ")"]) + "\n" + _TESTS
    wrapped = [_wrapped(text.replace("\\", "\\\\").replace('"', "'")) for text in paragraphs]
    lines = [line for paragraph in wrapped for line in ("", *paragraph)][1:]
    head = [f'"""{lines[0]}', *lines[1:], '"""', "", *_imports(text, trainer), "", ""]
    return "\n".join(head) + text


def _docstring(proposal: Proposal, command: str) -> list[str]:
    runs = plural(proposal.runs, "finished run")
    held = "Nothing could be tested, and nothing is left out."
    if proposal.tests:
        held = (
            f"It leaves out only what is shown to be worse. Each of {proposal.tests} tests is held "
            f"against {proposal.alpha:g}/{proposal.tests}: of sweeps in which nothing matters, at "
            f"most {proposal.alpha:.0%} lose something."
        )
    return [
        f"The sweep after {proposal.source}: what its {runs} support.",
        f"Made by `{command}`. {held}",
        *(_sentence(line) for line in proposal.notes),
    ]


def _imports(body: str, trainer: tuple[str, str] | None) -> list[str]:
    """Return the lines that import what ``body`` uses, and the training function."""
    used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    lines = [
        enclosed(f"from {module} import ", sorted(names), "", depth=0)
        for module, names in (
            ("harness", used & set(_NAMES)),
            ("harness.claims", used & set(claims.__all__)),
        )
        if names
    ]
    if trainer is not None:
        module, name = trainer
        lines.append(f"from {module} import {name}")
    opened = [line.replace("import \n", "import (\n") for line in lines]
    return [f"{line})" if "\n" in line else line for line in opened]


def _settings(sweep: Sweep, *, stub: bool) -> Iterator[tuple[str, str]]:
    """Yield the settings that are not the default, other than space, arms and questions."""
    for field in fields(Sweep):
        value = getattr(sweep, field.name)
        if field.name in ("name", "space", "arms", "questions", "parameters"):
            continue
        default = sweep.usual.get(field.name, field.default)
        if field.name not in ("runs", "steps", "seed") and value == default:
            continue
        yield field.name, _setting(value)
    if stub and sweep.trainer is None:
        yield "trainer", "train"


def _setting(value: object) -> str:
    if isinstance(value, Counts):
        parts = [f"{f.name}={literal(getattr(value, f.name))}" for f in fields(Counts)]
        return enclosed("Counts(", parts, ")", depth=1, room=len("baseline=,"))
    return value.__name__ if inspect.isfunction(value) else literal(value)


def _reasons(revision: Revision) -> list[str]:
    lines = [f"{revision.action}: {revision.why}."]
    if revision.gives_up:
        lines.append(f"Gives up {revision.gives_up}.")
    return lines


def _arms(proposal: Proposal) -> str:
    purposes = dict(proposal.arms)
    items = {}
    for arm, size in proposal.sweep.arms.items():
        code = literal(size)
        if isinstance(size, Pairs):
            parts = [literal(size.count), f"values={literal(size.values)}"]
            code = call("Pairs", parts, depth=2, room=_around(arm))
        items[arm] = code, [_sentence(purposes[arm])]
    return _commented(items)


def _questions(questions: Sequence[ProposedQuestion], power: Mapping[str, str]) -> str:
    items = {}
    for one in questions:
        code = call(one.function, one.arguments, depth=2, room=_around(one.id))
        items[one.id] = code, [_sentence(power[one.id])] if one.id in power else []
    return _commented(items)


def _commented(items: Mapping[str, tuple[str, Sequence[str]]]) -> str:
    """Return a mapping of names to code, each under its comment."""
    lines = ["{"]
    for name, (code, comments) in items.items():
        for comment in comments:
            lines += _comment(comment, 2)
        lines.append(f"{INDENT * 2}{literal(name)}: {code},")
    return "\n".join([*lines, INDENT + "}"])


def _around(name: str) -> int:
    """Return the number of other characters on the line with the value of ``name``."""
    return len(literal(name)) + len(": ,")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _comment(text: str, depth: int) -> list[str]:
    return [f"{INDENT * depth}# {line}" for line in _wrapped(text, WIDTH - len(INDENT) * depth - 2)]


def _wrapped(text: str, width: int = WIDTH - 3) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()), width, break_on_hyphens=False, break_long_words=False
    )


def _variable(name: str) -> str:
    """Return a name for the variable that holds a sweep."""
    plain = re.sub(r"\W", "_", name)
    taken = plain in (*_NAMES, *claims.__all__, "train") or keyword.iskeyword(plain)
    return f"sweep_{plain}" if taken or plain[0].isdigit() else plain


# ---- values and calls ---------------------------------------------------------------------------


def literal(value: object) -> str:
    """Return a plain value, or a tuple of them, as Python."""
    if isinstance(value, float):
        return short_exponent(repr(value))
    if isinstance(value, str):
        quoted = '"' in value and "'" not in value
        return repr(value) if quoted else json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        inside = ", ".join(map(literal, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value)


def call(name: str, arguments: Sequence[str], *, depth: int, room: int = 0) -> str:
    """Return a call: on one line where it fits, else with a line for each argument.

    ``depth`` is the indentation of its line, ``room`` the number of other characters on it.
    """
    return enclosed(f"{name}(", arguments, ")", depth=depth, room=room)


def enclosed(before: str, parts: Sequence[str], after: str, *, depth: int, room: int = 0) -> str:
    """Return ``parts`` between brackets: on one line where they fit, else a line each."""
    line = f"{before}{', '.join(parts)}{after}"
    if "\n" not in line and len(INDENT) * depth + room + len(line) <= WIDTH:
        return line
    inside = "".join(f"{INDENT * (depth + 1)}{part},\n" for part in parts)
    return f"{before}\n{inside}{INDENT * depth}{after}"


def distribution(drawn: Distribution, *, depth: int, room: int = 0) -> str:
    """Return a distribution as Python. A constant is its plain value."""
    if isinstance(drawn, Constant):
        return literal(drawn.value)
    if isinstance(drawn, Given):
        return _given(drawn, depth=depth, room=room)
    if isinstance(drawn, Range):
        arguments = [literal(drawn.low), literal(drawn.high)]
    elif isinstance(drawn, Choice):
        arguments = _options(drawn)
        if len(set(drawn.weights)) > 1:
            arguments.append(f"weights={literal(drawn.weights)}")
    else:
        raise TypeError(f"{drawn!r} cannot be written as Python")
    return call(type(drawn).__name__, arguments, depth=depth, room=room)


def _options(drawn: Choice) -> list[str]:
    """Return the options of a choice; many numbers at one step as a range."""
    if drawn.progression is None:
        return [literal(option) for option in drawn.options]
    k, unit = drawn.progression
    step = "" if k.step == 1 else f", {k.step}"
    written = f"range({k.start}, {k.stop}{step})"
    return [f"*(k / {unit} for k in {written})" if unit else f"*{written}"]


def is_keyword(name: Value) -> bool:
    """Return whether ``name`` can be the name of a keyword argument."""
    return isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)


def _given(drawn: Given, *, depth: int, room: int) -> str:
    parent = literal(drawn.parameter)
    if all(map(is_keyword, drawn.cases)):
        cases = [
            f"{value}={distribution(case, depth=depth + 1, room=len(str(value)) + 2)}"
            for value, case in drawn.cases.items()
        ]
        return call("Given", [parent, *cases], depth=depth, room=room)
    parts = [
        f"{literal(value)}: {distribution(case, depth=depth + 2, room=len(literal(value)) + 3)}"
        for value, case in drawn.cases.items()
    ]
    one = enclosed("{", parts, "}", depth=depth + 1, room=1)
    return call("Given", [parent, one], depth=depth, room=room)
