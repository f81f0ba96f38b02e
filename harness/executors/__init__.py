"""Where runs are trained: in this process, in worker processes of this machine, or on Ray."""

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
    """Return the executor called ``name``; no process is started before its first job.

    ``workers`` and ``threads`` (per worker) are those of ``local``, and so is ``gpus``: the first
    so many of this machine, or those of an index or UUID, with up to ``per_gpu`` runs on each and
    no more workers than that makes; None are as many. ``ray`` has the same, on the cluster at
    ``address``, or with None on a Ray of its own (see `RayExecutor`). ``debug`` lets a trainer's
    exceptions out of ``inline``'s ``poll``, and ``stops`` are exceptions that always leave it.
    ``on_event`` hears of every event as it happens, and ``may_begin`` is asked before each job is
    begun, see `harness.protocols.Executor`.

    Raises
    ------
    UsageError
        Where a value cannot be used, GPUs are asked for that are not here, or there is no Ray
        cluster at ``address``.
    BackendError
        Where the executor is not available.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"the number of workers must be at least 1, not {workers}")
    if threads < 1:
        raise UsageError(f"the number of threads a worker must be at least 1, not {threads}")
    if per_gpu < 1:
        raise UsageError(f"the number of runs a GPU must be at least 1, not {per_gpu}")
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
