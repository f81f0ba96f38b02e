"""Check the runs of a sweep on a language model before any of them is trained.

The weights are not read: a model's config says what it is made of.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from harness.errors import UsageError
from harness.records import Conditions
from harness.training.backends import (
    BACKENDS,
    Backend,
    Memory,
    devices_here,
    lacks_text,
    require_adapters,
    resolve_device,
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
    memory: Iterable[Memory],
) -> None:
    """Check that a model can be trained on a task with some settings.

    ``memory`` is what the runs may compute in, at most one of a kind. That of the device which they
    use must be enough for them; of another kind, such as another machine's, nothing is asked. Where
    the backend is not installed, as when a sweep is only planned, what it would say is not checked.

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
    too_small: dict[str, UsageError] = {}
    for part in memory:
        try:
            check_memory(files.name, of, settings, conditions.precision, part)
        except UsageError as error:
            too_small[part.kind] = error
    if too_small and (kind := _kind_of_device(conditions)) in too_small:
        raise too_small[kind]


def anatomy_of(backend: Backend, files: ModelFiles) -> Anatomy:
    """Return what a model is made of; `UsageError` where ``backend`` cannot train it."""
    module, _, name = backend.text_anatomy.partition(":")
    found = cast(Callable[[ModelFiles], Anatomy], getattr(importlib.import_module(module), name))
    return found(files)


def _kind_of_device(conditions: Conditions) -> str:
    """Return the kind of the device that the runs use; to look for it takes seconds."""
    device = conditions.device
    if device == "auto":
        device = resolve_device(device, devices_here(conditions.backend))
    return device.partition(":")[0]
