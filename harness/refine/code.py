"""Values and calls as Python, laid out as a formatter leaves them at any line length from 88 on."""

from __future__ import annotations

import json
import keyword
from collections.abc import Sequence

from harness.records import Value
from harness.sweeps.space import Choice, Constant, Distribution, Given, LogUniform, Uniform

WIDTH = 88
"""No line of code is longer; what does not fit is opened up, with a trailing comma."""

INDENT = "    "


def literal(value: object) -> str:
    """Return a plain value, or a tuple of them, as Python."""
    if isinstance(value, float):
        mantissa, _, exponent = repr(value).partition("e")
        return f"{mantissa}e{int(exponent)}" if exponent else mantissa
    if isinstance(value, str):
        quoted = '"' in value and "'" not in value
        return repr(value) if quoted else json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        inside = ", ".join(map(literal, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value)


def call(name: str, arguments: Sequence[str], *, depth: int, room: int = 0) -> str:
    """Return a call: on one line where it fits, else with a line an argument.

    ``depth`` is the indentation of its line, ``room`` how many further characters that has.
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
    if isinstance(drawn, Uniform | LogUniform):
        arguments = [literal(drawn.low), literal(drawn.high)]
    elif isinstance(drawn, Choice):
        arguments = [literal(option) for option in drawn.options]
        if len(set(drawn.weights)) > 1:
            arguments.append(f"weights={literal(drawn.weights)}")
    else:
        raise TypeError(f"{drawn!r} cannot be written as Python")
    return call(type(drawn).__name__, arguments, depth=depth, room=room)


def is_keyword(name: Value) -> bool:
    """Whether ``name`` can be the name of an argument."""
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
    flat = f"Given({parent}, {{{', '.join(parts)}}})"
    if "\n" not in flat and len(INDENT) * depth + room + len(flat) <= WIDTH:
        return flat
    inside = INDENT * (depth + 1)
    return f"Given(\n{inside}{parent},\n{inside}{one},\n{INDENT * depth})"
