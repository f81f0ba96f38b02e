"""Run a notebook without a kernel, and say what its cells show."""

from __future__ import annotations

import ast
import contextlib
import io
from typing import Any


def executed(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return the notebook with what its cells show when they are run in order."""
    names: dict[str, Any] = {"__name__": "__main__"}
    count, cells = 0, []
    for cell in notebook["cells"]:
        changed = {}
        if cell["cell_type"] == "code":
            count += 1
            shown = _shown("".join(cell["source"]), names, count)
            changed = {"execution_count": count, "outputs": shown}
        cells.append(cell | changed)
    return notebook | {"cells": cells}


def _shown(source: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Run a cell in a namespace; return its outputs: what it printed, and its last expression."""
    tree, last = ast.parse(source), None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"cell {count}", "exec"), names)
        value = None if last is None else eval(compile(last, f"cell {count}", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": _lines(printed)})
    if value is not None:
        data = {"text/plain": repr(value).splitlines(keepends=True)}
        if hasattr(value, "_repr_html_"):
            data = {"text/html": value._repr_html_().splitlines(keepends=True)} | data
        outputs.append(
            {
                "data": data,
                "execution_count": count,
                "metadata": {},
                "output_type": "execute_result",
            }
        )
    return outputs


def _lines(printed: io.StringIO) -> list[str]:
    return printed.getvalue().splitlines(keepends=True)
