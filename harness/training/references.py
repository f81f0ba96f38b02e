"""Load what a reference names: ``package.module:name`` or ``path/to/file.py:name``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from harness.errors import UsageError, nearest


def load(reference: str, kind: str, folder: Path | None = None) -> object:
    """Return what ``reference`` names; ``kind`` says in messages what it is, such as ``task``.

    A path is absolute or relative to ``folder``, by default the working directory. A process
    imports a file once, and the file can import modules that lie beside it. Modules are looked for
    where Python does, then in ``folder``. Every mistake is a `UsageError` that quotes the
    reference.
    """
    what = f"{kind} '{reference}'"
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise UsageError(
            f"{what} is not a reference: write 'package.module:function' "
            "or 'path/to/file.py:function'"
        )
    is_file = place.endswith(".py") or os.sep in place
    path = (folder or Path()) / place if is_file else None
    module = import_module(place, what, folder) if path is None else import_file(path, what)
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            hint = nearest(name, vars(module))
            raise UsageError(f"{what}: '{place}' defines no '{name}'{hint}")
        found = getattr(found, part)
    return found


def import_module(name: str, what: str, folder: Path | None = None) -> ModuleType:
    """Import a module by its name; ``what`` begins the message of a failure."""
    _look_in(folder)
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _failed(what, error) from error


def import_file(file: Path, what: str) -> ModuleType:
    """Import a file, once in a process; ``what`` begins the message of a failure."""
    path = file.resolve()
    if not path.is_file():
        raise UsageError(f"{what}: there is no file {path}")
    name = f"_sweep_file_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{what}: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    _look_in(path.parent)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _failed(what, error) from error
    return module


def _look_in(folder: Path | None) -> None:
    if folder is not None and str(folder) not in sys.path:
        sys.path.append(str(folder))


def _failed(what: str, error: BaseException) -> UsageError:
    message = " ".join(str(error).split())
    return UsageError(f"{what} cannot be imported: {type(error).__name__}: {message}")
