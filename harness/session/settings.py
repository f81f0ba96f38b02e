"""Where a session works, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.sweeps.plan import Selection


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a session works and how.

    ``home`` is the folder that everything is written under; ``timeout`` is a run's, in seconds;
    ``ray_address`` is that of the Ray cluster to train on, None for a Ray of the session's own;
    ``workers`` are runs trained at the same time, None for as many as the GPUs, or else the
    cluster, have places;
    ``memory`` are the bytes that a run may have; ``gpus`` how many or which GPUs are used, None for
    the device of the selection, with up to ``per_gpu`` runs on each; ``threads`` are a worker's;
    ``retries`` how often a run is tried again that crashed, ran out of memory or took too long;
    ``checkpoint_every`` how many steps a run may lose when it is interrupted, None for all;
    ``offline`` trains nothing; ``fresh`` ignores stored runs; ``debug`` lets a trainer's exception
    through, for a debugger; ``stops`` are exceptions that end the session, not a run.
    ``baseline`` names one in place of the declared: a sweep, counts, or the path of a table.
    ``shared`` says that several processes make up one session, which began at ``since``.
    ``references`` are reports to compare with; with ``needs_references`` there must be some.
    """

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
    checkpoint_every: int | None = None
    offline: bool = False
    fresh: bool = False
    baseline: str | None = None
    references: tuple[Path, ...] = ()
    needs_references: bool = False
    debug: bool = False
    stops: tuple[type[BaseException], ...] = ()
    shared: bool = False
    since: str | None = None
