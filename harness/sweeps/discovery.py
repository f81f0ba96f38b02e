"""Find sweeps in the files that declare them, without pytest."""

from __future__ import annotations

import ast
import fnmatch
import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from harness.errors import SweepError, UsageError
from harness.sweeps.sweep import Sweep

PATTERNS = ("test_*.py", "*_test.py")
SKIPPED = ("__pycache__", "node_modules", "venv", "build", "dist")
"""Directories that are not searched, beside those whose name begins with a dot."""


def discover(paths: Iterable[Path | str]) -> dict[str, Sweep]:
    """Return the sweeps declared in the test files at or below ``paths``, by name.

    Only files whose text mentions ``Sweep`` are imported.

    Raises
    ------
    UsageError
        Where a path does not exist.
    SweepError
        Where a file cannot be imported, or two sweeps have the same name.
    """
    return {name: sweep for name, (sweep, _) in located(paths).items()}


def located(paths: Iterable[Path | str]) -> dict[str, tuple[Sweep, Path]]:
    """Return the sweeps by name, as `discover` does, each with the file that declares it."""
    found: dict[str, tuple[Sweep, Path]] = {}
    for file in sweep_files(paths):
        for sweep in sweeps_in(_load(file)):
            if sweep.name in found:
                other = found[sweep.name][1]
                where = (
                    f"twice in {_shown(file)}"
                    if other == file
                    else f"in {_shown(other)} and in {_shown(file)}"
                )
                raise SweepError(f"sweep {sweep.name!r} is declared {where}; rename one")
            found[sweep.name] = (sweep, file)
    return found


def sweep_files(paths: Iterable[Path | str]) -> tuple[Path, ...]:
    """Return the test files at or below ``paths`` that mention ``Sweep``, in order of their path.

    A file that is given itself may have any name.
    """
    files: dict[Path, None] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise UsageError(f"{path} does not exist; give files or directories with sweeps")
        for file in [path] if path.is_file() else sorted(_test_files(path)):
            if b"Sweep" in file.read_bytes():
                files[file.resolve()] = None
    return tuple(files)


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


def _test_files(directory: Path) -> Iterator[Path]:
    """Yield the files below ``directory`` that are named like tests."""
    for folder, folders, names in os.walk(directory):
        folders[:] = [f for f in folders if not f.startswith(".") and f not in SKIPPED]
        for name in names:
            if any(fnmatch.fnmatch(name, pattern) for pattern in PATTERNS):
                yield Path(folder, name)


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


def _load(file: Path) -> ModuleType:
    """Import ``file`` under a unique name, and resolve its imports as pytest does."""
    base = file.parent
    while (base / "__init__.py").exists():
        base = base.parent
    unique = f"_sweeps_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}_{file.stem}"
    name = ".".join([*file.parent.relative_to(base).parts, unique])
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise SweepError(f"{_shown(file)}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(base))
    try:
        spec.loader.exec_module(module)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001  a user's file may raise anything, skips too
        sys.modules.pop(name, None)
        raise SweepError(_blame(file, error)) from None
    finally:
        sys.path.remove(str(base))
    return module


def _blame(file: Path, error: BaseException) -> str:
    """Return ``file:line: message`` for the last line of ``file`` that led to ``error``."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(Path(error.filename))}:{error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == file]
    said = " ".join(str(error).split())
    if not isinstance(error, SweepError):
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"{_shown(file)}:{lines[-1] if lines else 1}: {said}"


def _shown(file: Path) -> str:
    """Return ``file`` relative to the working directory where it is below it."""
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)
