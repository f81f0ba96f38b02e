"""Make a session's executor and jobs from its settings."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.protocols import Event, Executor, MayBegin
from harness.records import Job, Run
from harness.session.arguments import HOME_VARIABLE
from harness.session.settings import Settings
from harness.sweeps.plan import Plan, check_configs

if TYPE_CHECKING:
    from harness.training.backends import Memory

READING = "reading the model and its task"
"""The work that takes some seconds before the first run of a language model."""


def make_executor(
    settings: Settings, on_event: Callable[[Event], None], may_begin: MayBegin
) -> Executor:
    """Return the executor that the settings name."""
    from harness import executors

    return executors.make_executor(
        settings.executor,
        workers=settings.workers,
        threads=settings.threads,
        gpus=settings.gpus,
        per_gpu=settings.per_gpu,
        address=settings.ray_address,
        on_event=on_event,
        may_begin=may_begin,
        debug=settings.debug,
        stops=settings.stops,
    )


def make_job(settings: Settings, key: str, run: Run, planned: Plan) -> Job:
    """Return the job that trains ``run``."""
    from harness.training.settings import program

    backend = planned.conditions.backend
    return Job(
        key=key,
        run=run,
        conditions=planned.conditions,
        cache=str(settings.home / "cache"),
        log=str(log_file(settings.home, key, run)),
        timeout=settings.timeout,
        program="" if planned.conditions.model_source else program(backend, run.config),
        memory=settings.memory,
        checkpoint=str(checkpoint_of(settings.home, key)),
        checkpoint_every=settings.checkpoint_every,
        metric=planned.conditions.metric,
        folder=str(folder_of(settings.home, key, run)),
    )


def check_trainable(planned: Plan, settings: Settings) -> None:
    """Check that the planned runs can be trained on this machine.

    Raises `UsageError` if the device or a GPU is not here, or as `check_configs` does. Of a Ray
    cluster, whose machines are others, the memory is not known.
    """
    from harness.training.backends import require_device

    if planned.sweep.trainer is None:
        require_device(planned.conditions.device, planned.conditions.backend)
    memory: Sequence[Memory] = ()
    if settings.executor != "ray":
        workers = 1 if settings.executor == "inline" else settings.workers
        memory = memory_of(planned, workers, gpus=settings.gpus, per_gpu=settings.per_gpu)
    check_configs(planned, memory)


def memory_of(
    planned: Plan,
    workers: int | None,
    *,
    gpus: int | Sequence[str] | None = None,
    per_gpu: int = 1,
) -> tuple[Memory, ...]:
    """Return each memory of this machine that planned runs of a language model may share.

    There are up to ``workers`` at the same time, on the ``gpus`` if any (see `Settings`). The
    embedded task takes little, and has no memory to be looked for.
    """
    if not planned.conditions.model_source:
        return ()
    from harness.executors.memory import shared

    device, runs = planned.conditions.device, len(planned.runs)
    return shared(device, workers, runs, gpus=gpus, per_gpu=per_gpu)


def check_writable(settings: Settings, plans: Iterable[Plan]) -> None:
    """Check that what a session writes while it trains can be written.

    Raises `UsageError` naming the first folder that cannot be, and the option that moves it.
    """
    home, all_of_it = settings.home, f"--sweep-dir or {HOME_VARIABLE}"
    needed = [("logs of runs", home / "logs", all_of_it)]
    if settings.checkpoint_every is not None:
        needed.append(("checkpoints of runs", home / "checkpoints", all_of_it))
    if _lacks_weights(home / "cache", plans):
        needed.append(("weights that runs start from", home / "cache", all_of_it))
    needed.append(("reports", settings.reports, f"--sweep-report, {all_of_it}"))
    for what, folder, options in needed:
        try:
            there = next(p for p in (folder, *folder.parents) if os.path.lexists(p))
            with tempfile.TemporaryFile(dir=there) as file:
                file.write(bytes(4096))  # a full disk still takes an empty file
        except OSError as error:
            raise UsageError(
                f"the {what} cannot be written to {folder} ({error.strerror}): mend that, or name "
                f"another folder by {options}"
            ) from error


def _lacks_weights(cache: Path, plans: Iterable[Plan]) -> bool:
    """Return whether a sweep that our own trainers train has no weights to start from yet."""
    from harness.training.tasks import get_task
    from harness.training.warm_start import cache_file

    tasks = {
        planned.conditions.task
        for planned in plans
        if planned.sweep.trainer is None and not planned.conditions.model_source
    }
    return not all(cache_file(get_task(task), cache).is_file() for task in tasks)


def discard_checkpoint(settings: Settings, key: str) -> None:
    """Delete the checkpoint of a run, if there is one."""
    from harness.training.checkpoints import discard

    discard(checkpoint_of(settings.home, key))


def discard_files(home: Path, key: str, run: Run) -> None:
    """Delete all that a run has written, but for its log: its checkpoint and its own files."""
    from harness.training.checkpoints import discard

    discard(checkpoint_of(home, key))
    discard(folder_of(home, key, run))


def log_file(home: Path, key: str, run: Run) -> Path:
    """Return the file that a run prints into."""
    return home / "logs" / f"{run.id[:100]}-{key}.log"


def folder_of(home: Path, key: str, run: Run) -> Path:
    """Return the folder that a run has for files of its own."""
    return home / "runs" / f"{run.id[:100]}-{key}"


def checkpoint_of(home: Path, key: str) -> Path:
    """Return the file or folder where a run saves its state."""
    return home / "checkpoints" / key
