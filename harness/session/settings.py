"""Where a session works, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from harness.sweeps.plan import Selection


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a session works and how.

    Everything is written under the folder ``home``; ``root`` is the project's.
    ``timeout`` is a run's, in seconds, and ``memory`` the bytes that it may have. ``ray_address``
    is the Ray cluster's, None for a Ray of our own. ``workers`` is the number of runs at the same
    time, None for as many places as the GPUs, or else the cluster, have. ``threads`` is per worker.
    ``gpus`` are how many or which GPUs, with up to ``per_gpu`` runs on each; None for the
    selection's device. A run that crashed, ran out of memory or took too long is tried again
    ``retries`` times. An interrupted run loses up to ``checkpoint_every``, steps or a time, or all
    with None.
    ``offline`` trains nothing. ``fresh`` ignores stored runs. ``debug`` lets a trainer's exception
    through, for a debugger. ``stops`` are exceptions that end the session, not a run.
    ``baseline`` replaces the declared one: a sweep, counts, or the path of a table. ``track`` are
    trackers, each with its place where one was given. A ``shared``
    session consists of several processes, and began at ``since``. ``references`` are reports to
    compare with; with ``needs_references`` there must be some.
    """

    root: Path
    home: Path
    store: str
    reports: Path
    selection: Selection = field(default_factory=Selection)
    executor: str = "local"
    ray_address: str | None = None
    workers: int | None = 2
    threads: int = 1
    gpus: int | tuple[str, ...] | None = None
    per_gpu: int = 1
    timeout: float | None = None
    memory: int | None = None
    retries: int = 1
    checkpoint_every: int | timedelta | None = None
    offline: bool = False
    fresh: bool = False
    baseline: str | None = None
    track: tuple[str, ...] = ()
    references: tuple[Path, ...] = ()
    needs_references: bool = False
    debug: bool = False
    stops: tuple[type[BaseException], ...] = ()
    shared: bool = False
    since: str | None = None
