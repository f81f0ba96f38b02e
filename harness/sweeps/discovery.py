"""Find the sweeps that a module declares."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from harness.sweeps.sweep import Sweep


def sweeps_in(module: ModuleType) -> tuple[Sweep, ...]:
    """Return the module-level sweeps that ``module`` itself declares, in order.

    A sweep that it imports belongs to the other file.
    """
    named = {name: value for name, value in vars(module).items() if isinstance(value, Sweep)}
    if not named:
        return ()
    imported = set(_imported_names(module))
    own = (sweep for name, sweep in named.items() if name not in imported)
    return tuple({id(sweep): sweep for sweep in own}.values())


def _imported_names(module: ModuleType) -> Iterator[str]:
    """Yield the names that only module-level import statements of ``module`` bind."""
    file = getattr(module, "__file__", None)
    nodes = list(_module_level(ast.parse(Path(file).read_bytes()))) if file else []
    assigned = {
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    for node in nodes:
        if not isinstance(node, ast.ImportFrom):
            continue
        source = "." * node.level + (node.module or "")
        for alias in node.names:
            if alias.name != "*":
                bound = [alias.asname or alias.name]
            else:
                package = getattr(module, "__package__", None)
                bound = list(vars(sys.modules[importlib.util.resolve_name(source, package)]))
            yield from (name for name in bound if name not in assigned)


def _module_level(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below ``node`` that are not inside a function or a class."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child
            yield from _module_level(child)
