"""Make a session's executor and jobs from its settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.protocols import Event, Executor, MayBegin
from harness.records import Job, Run
from harness.session.settings import Settings
from harness.sweeps.plan import Plan, check_configs


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

    return Job(
        key=key,
        run=run,
        conditions=planned.conditions,
        cache=str(settings.home / "cache"),
        log=str(log_file(settings.home, key, run)),
        timeout=settings.timeout,
        program=program(planned.conditions.backend, run.config),
        memory=settings.memory,
        checkpoint=str(checkpoint_of(settings.home, key)),
        checkpoint_every=settings.checkpoint_every,
    )


def check_trainable(planned: Plan) -> None:
    """Check that the planned runs can be trained on this machine.

    Raises `UsageError` if the device is not here, or as `check_configs` does.
    """
    from harness.training.backends import require_device

    if planned.sweep.trainer is None:
        require_device(planned.conditions.device, planned.conditions.backend)
    check_configs(planned)


def discard_checkpoint(settings: Settings, key: str) -> None:
    """Delete the checkpoint of a run, if there is one."""
    from harness.training.checkpoints import discard

    discard(checkpoint_of(settings.home, key))


def log_file(home: Path, key: str, run: Run) -> Path:
    """Return the file that a run prints into."""
    return home / "logs" / f"{run.id[:100]}-{key}.log"


def checkpoint_of(home: Path, key: str) -> Path:
    """Return the file or folder where a run saves its state."""
    return home / "checkpoints" / key
