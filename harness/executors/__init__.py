"""Train runs in this process, in worker processes of this machine, or on Ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.errors import BackendError, UsageError, nearest
from harness.protocols import Event, Executor, MayBegin

EXECUTORS = ("local", "inline", "ray")


def make_executor(
    name: str,
    workers: int | None = 2,
    *,
    threads: int = 1,
    gpus: int | Sequence[str] | None = None,
    per_gpu: int = 1,
    address: str | None = None,
    debug: bool = False,
    stops: tuple[type[BaseException], ...] = (),
    on_event: Callable[[Event], None] | None = None,
    may_begin: MayBegin | None = None,
) -> Executor:
    """Return the executor called ``name``. It starts no process before its first job.

    ``workers`` (None for as many as there are places), ``threads`` per worker, ``gpus`` (the first
    so many, or those with these indices or UUIDs) and the runs ``per_gpu`` are for ``local`` and
    ``ray``; ``address`` is for `RayExecutor`, ``debug`` and ``stops`` are for `InlineExecutor`.
    `harness.protocols.Executor` describes ``on_event`` and ``may_begin``.

    Raises
    ------
    UsageError
        Where a value cannot be used, a GPU is not here, or there is no Ray cluster at ``address``.
    BackendError
        Where the executor is not available.
    """
    for number, what in (
        (workers, "workers"),
        (threads, "threads a worker"),
        (per_gpu, "runs a GPU"),
    ):
        if number is not None and number < 1:
            raise UsageError(f"the number of {what} must be at least 1, not {number}")
    if name == "inline":
        if gpus is not None:
            raise UsageError(
                "the executor 'inline' trains in this process, on the device that --sweep-device "
                "names: leave the GPUs out, or use 'local'"
            )
        from harness.executors.inline import InlineExecutor

        return InlineExecutor(on_event=on_event, may_begin=may_begin, debug=debug, stops=stops)
    if name == "local":
        from harness.executors.devices import chosen
        from harness.executors.local import LocalExecutor

        return LocalExecutor(
            workers,
            threads=threads,
            devices=() if gpus is None else chosen(gpus),
            per_device=per_gpu,
            on_event=on_event,
            may_begin=may_begin,
        )
    if name == "ray":
        try:
            from harness.executors.ray import RayExecutor
        except ImportError as error:
            raise BackendError(
                f"executor 'ray' needs Ray ({' '.join(str(error).split())}): "
                "pip install 'pytest-sweep[ray]', or use 'local' (worker processes of this machine)"
            ) from error

        return RayExecutor(
            workers,
            threads=threads,
            address=address,
            gpus=gpus,
            per_gpu=per_gpu,
            on_event=on_event,
            may_begin=may_begin,
        )
    raise UsageError(
        f"executor {name!r} is not one of {', '.join(EXECUTORS)}{nearest(name, EXECUTORS)}"
    )
