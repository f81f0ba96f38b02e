"""Load a trainer by its reference."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Container
from pathlib import Path
from types import ModuleType
from typing import cast

from harness.errors import UsageError, nearest
from harness.protocols import Trainer
from harness.records import Conditions, file_digest

_DIGESTS: dict[Path, str] = {}
"""The files that this process has trained with, as they were at first."""


def load_trainer(reference: str) -> Trainer:
    """Return the function that ``reference`` names.

    A reference is ``package.module:function``, or ``path/to/file.py:function`` with an absolute
    path or one relative to the working directory. A process imports a file once, and the file can
    import modules that lie beside it. Every mistake is a `UsageError` that quotes the reference.
    """
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise UsageError(
            f"trainer '{reference}' is not a reference: write 'package.module:function' "
            "or 'path/to/file.py:function'"
        )
    is_file = place.endswith(".py") or os.sep in place
    module = _import_file(place, reference) if is_file else _import_module(place, reference)
    found = getattr(module, name, None)
    if found is None:
        hint = nearest(name, vars(module))
        raise UsageError(f"trainer '{reference}': '{place}' defines no '{name}'{hint}")
    if not callable(found):
        raise UsageError(
            f"trainer '{reference}': expected a function of a run, "
            f"but '{name}' is of type {type(found).__name__}"
        )
    return cast("Trainer", found)


def check_unchanged(conditions: Conditions) -> None:
    """Check that this process has imported the code that ``conditions`` are made from.

    A process imports a file once. If it is changed between the plan and the import, or trained with
    again after a change, as in a notebook, the run would be stored as one of other code. Raises
    `UsageError` then, with the file's name.
    """
    base = Path(conditions.trainer.rpartition(":")[0]).parent
    for name, planned in conditions.files.items():
        if name.endswith(".py") and _known(base / name) != planned:
            raise UsageError(
                f"{base / name} changed after it was read for this session; run the same command "
                "again, in a notebook with a new kernel"
            )


def forget(file: Path) -> None:
    """Note that the module in ``file`` is imported anew the next time, as it is then."""
    _DIGESTS.pop(file.resolve(), None)


def forget_project(root: Path, modules: Container[str], path: Container[str]) -> None:
    """Forget the modules below ``root`` that are not among ``modules``, and their places.

    ``modules`` are those that were imported before, and ``path`` was `sys.path`: of a notebook's
    process nothing changes, and the project's files are read anew the next time.
    """
    sys.path[:] = [entry for entry in sys.path if entry in path]
    python = sysconfig.get_path("stdlib")
    for name in [name for name in sys.modules if name not in modules]:
        file = Path(getattr(sys.modules[name], "__file__", None) or "")
        is_ours = name.partition(".")[0] == __name__.partition(".")[0]
        is_here = file.is_relative_to(root) and "site-packages" not in file.parts
        is_here = is_here and not file.is_relative_to(python)
        if file.suffix == ".py" and is_here and not is_ours:
            del sys.modules[name]
            forget(file)


def _known(file: Path) -> str:
    """Return a digest of a file as it was when this process first trained with it."""
    path = file.resolve()
    if path not in _DIGESTS:
        _DIGESTS[path] = file_digest(file)
    return _DIGESTS[path]


def _import_module(name: str, reference: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _import_failed(reference, error) from error


def _import_file(place: str, reference: str) -> ModuleType:
    path = Path(place).resolve()
    if not path.is_file():
        raise UsageError(f"trainer '{reference}': there is no file {path}")
    name = f"_sweep_trainer_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"trainer '{reference}': {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    beside = str(path.parent)
    if beside not in sys.path:
        sys.path.append(beside)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _import_failed(reference, error) from error
    return module


def _import_failed(reference: str, error: BaseException) -> UsageError:
    message = " ".join(str(error).split())
    return UsageError(
        f"trainer '{reference}' cannot be imported: {type(error).__name__}: {message}"
    )
