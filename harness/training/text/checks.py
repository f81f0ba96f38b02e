"""Check the runs of a sweep on a language model before any of them is trained.

The weights are not read: a model's config says what it is made of.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import cast

import psutil

from harness.errors import UsageError
from harness.records import Conditions
from harness.training.backends import (
    BACKENDS,
    Backend,
    devices_here,
    lacks_text,
    require_adapters,
)
from harness.training.settings import GRPOSettings
from harness.training.text.adapters import adapted_layers
from harness.training.text.anatomy import Anatomy, check_memory
from harness.training.text.model_files import ModelFiles
from harness.training.text.tasks import TextTask
from harness.training.text.tokenised import tokenised


def check_runs(
    conditions: Conditions,
    files: ModelFiles,
    task: TextTask,
    settings: Sequence[GRPOSettings],
    *,
    workers: int | None,
) -> None:
    """Check that a model can be trained on a task with some settings.

    ``workers`` is the number of runs at the same time on this machine, whose memory must be enough
    for them; None where it is another machine, or another kind of memory. Where the backend is not
    installed, as when a sweep is only planned, what it would say is not checked.

    Raises
    ------
    UsageError
        Where the backend does not compute such a model, adapters are for layers that it does not
        have, the task does not fit its tokeniser or its context (see `tokenised`), or the memory is
        too small.
    BackendError
        Where a library is missing for adapters.
    """
    backend = BACKENDS[conditions.backend]
    if lacks_text(backend):
        return
    of = anatomy_of(backend, files)
    with_adapters = [one for one in settings if one.lora_rank]
    if with_adapters:
        require_adapters(backend)
    for one in with_adapters:
        adapted_layers(one, [*of.linear])
    tokenised(task, files, trained=max(one.max_tokens or task.max_tokens for one in settings))
    if workers is None:
        return
    try:
        check_memory(
            files.name,
            of,
            settings,
            conditions.precision,
            workers=workers,
            available=psutil.virtual_memory().available,
        )
    except UsageError:
        if _trains_on_cpu(conditions):
            raise


def anatomy_of(backend: Backend, files: ModelFiles) -> Anatomy:
    """Return what a model is made of; `UsageError` where ``backend`` cannot train it."""
    module, _, name = backend.text_anatomy.partition(":")
    found = cast(Callable[[ModelFiles], Anatomy], getattr(importlib.import_module(module), name))
    return found(files)


def _trains_on_cpu(conditions: Conditions) -> bool:
    """Return whether the runs compute in the memory of this machine; looking takes seconds."""
    if conditions.device == "auto":
        return devices_here(conditions.backend) == ("cpu",)
    return conditions.device == "cpu"
