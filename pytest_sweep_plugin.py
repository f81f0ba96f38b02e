"""Where pytest-sweep is installed, pytest loads this: it loads the plugin, ``harness.plugin``.

A project may have a module or package ``harness`` of its own, and one process has only one module
of that name. It is ours in a run with an option of ours, and else the project's, whose tests go on
without the plugin. This module lies beside our package, and so tells the two apart.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

NAME = "harness"
HERE = Path(__file__).resolve().parent


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: Sequence[str]) -> None:
    """Load the plugin, before a conftest.py can import anything.

    Raises
    ------
    pytest.UsageError
        Where a sweep is to be run and the project's own ``harness`` is imported already.
    """
    theirs = _theirs([str(early_config.rootpath), *sys.path])
    is_free = theirs is None or NAME not in sys.modules
    wanted = any(argument.startswith("--sweep") for argument in args)
    if wanted and not is_free:
        raise pytest.UsageError(
            f"{theirs} is imported already, and {NAME} is also the name of pytest-sweep's package: "
            "run the sweep in a process that has not imported it"
        )
    if theirs is None or (is_free and (wanted or early_config.known_args_namespace.help)):
        early_config.pluginmanager.register(_ours(), f"{NAME}.plugin.hooks")
    if theirs is not None and "PYTEST_XDIST_WORKER" not in os.environ:  # its controller says it
        capture = early_config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
            print(_said(theirs, wanted=wanted), file=sys.stderr)


def _theirs(path: Sequence[str]) -> Path | None:
    """Return the ``harness`` that is not ours and would be imported; None if ours would be."""
    loaded = sys.modules.get(NAME)
    spec = loaded.__spec__ if loaded is not None else PathFinder.find_spec(NAME, path)
    if spec is None or spec.origin is None:  # without a file it is a mere folder
        return None
    file = Path(spec.origin).resolve()
    return None if file.is_relative_to(HERE / NAME) else file


def _ours() -> object:
    """Import the plugin from beside this module, whatever comes first on ``sys.path``."""
    sys.path.insert(0, str(HERE))
    try:
        return import_module(f"{NAME}.plugin")
    finally:
        sys.path.remove(str(HERE))


def _said(theirs: Path, *, wanted: bool) -> str:
    if wanted:
        return (
            f"pytest-sweep: with --sweep, 'import {NAME}' is pytest-sweep's package and not "
            f"{theirs}; where a sweep or a conftest.py needs that one, rename it"
        )
    return (
        f"pytest-sweep: not loaded, for this project has a {NAME} of its own, {theirs}; --sweep "
        "NAME loads it, and -p no:harness.plugin silences this"
    )
