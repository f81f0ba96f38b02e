"""Load a trainer by its reference."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Container
from pathlib import Path
from typing import cast

from harness.errors import UsageError
from harness.protocols import Trainer
from harness.records import Conditions, file_digest
from harness.training.references import load

_DIGESTS: dict[Path, str] = {}
"""The files that this process has trained with, as they were at first."""


def load_trainer(reference: str) -> Trainer:
    """Return the function that ``reference`` names.

    A reference is ``package.module:function``, or ``path/to/file.py:function`` with an absolute
    path or one relative to the working directory. A process imports a file once, and the file can
    import modules that lie beside it. Every mistake is a `UsageError` that quotes the reference.
    """
    found = load(reference, "trainer")
    if not callable(found):
        raise UsageError(
            f"trainer '{reference}': expected a function of a run, "
            f"but '{reference.rpartition(':')[2]}' is of type {type(found).__name__}"
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
