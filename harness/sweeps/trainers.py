"""A sweep's own training function: what it must be, and the file that it is loaded from."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

from harness.errors import SweepError, UsageError
from harness.protocols import takes_run
from harness.sweeps.checks import shown


def check_trainer(
    trainer: Callable[..., object] | None, depends_on: object, model: str | None
) -> None:
    """Check a training function that a sweep declares, what it depends on, and the sweep's model.

    Raises
    ------
    SweepError
        Where workers could not load the function by its name or it does not take a run; where
        ``depends_on`` is no list of files, folders and packages; or where only one of the function
        and the others can be declared.
    """
    if not isinstance(depends_on, list | tuple) or not all(
        isinstance(one, str | os.PathLike) and str(one) for one in depends_on
    ):
        raise SweepError(
            f"depends_on is {shown(depends_on)}; expected a list of files, folders and packages"
        )
    if trainer is None:
        if depends_on:
            raise SweepError(
                f"depends_on is {shown(depends_on)}, which needs a trainer: the harness's own "
                "training has a version, and reads nothing of yours"
            )
        return
    if model is not None:
        raise SweepError(
            f"model {shown(model)} is for the harness's own training, and this sweep has "
            "a trainer; leave one of them out, or make the model a parameter in space"
        )
    named = getattr(trainer, "__qualname__", "<unnamed>")
    module = sys.modules.get(getattr(trainer, "__module__", ""))
    found = getattr(module, named, trainer if module is None else None)
    if not inspect.isfunction(trainer) or "<" in named or found is not trainer:
        raise SweepError(
            f"trainer is {_kind(trainer)}; workers load it by name: write def train(run) "
            "at the top level of a file and give trainer=train (a fixed value for it is a "
            "parameter in space)"
        )
    try:
        takes_run(cast("Callable[..., object]", trainer))
    except UsageError as error:
        raise SweepError(str(error)) from None


def _kind(trainer: object) -> str:
    """Say in words what was given in place of a function of a file."""
    name = getattr(trainer, "__qualname__", "")
    if isinstance(trainer, functools.partial):
        return "a functools.partial"
    if inspect.isclass(trainer):
        return f"the class {name}"
    if inspect.ismethod(trainer):
        return f"the method {name}"
    if inspect.isfunction(trainer):
        lost = f"the function {name}, which its file does not have under this name"
        return "a lambda" if trainer.__name__ == "<lambda>" else lost
    return f"an instance of {type(trainer).__name__}" if callable(trainer) else shown(trainer)


def trainer_file(trainer: Callable[..., object]) -> Path:
    """Return the file that a training function is loaded from."""
    module = sys.modules.get(trainer.__module__)
    return Path(getattr(module, "__file__", None) or inspect.getfile(trainer)).resolve()
