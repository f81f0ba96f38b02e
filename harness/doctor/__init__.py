"""Examine the store, the machine and the software, and say what to do. Nothing is repaired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from harness.doctor import checks, machine
from harness.doctor.checks import Check
from harness.errors import HarnessError
from harness.sweeps.sweep import Sweep

__all__ = ["Check", "examine"]


def examine(
    store: str, home: Path, sweeps: Mapping[str, Sweep] | None = None, unread: Iterable[str] = ()
) -> Iterator[Check]:
    """Yield the result of every check, in a fixed order.

    They are of the store's URL, the folder ``home``, the declared ``sweeps``, the files of sweeps
    that are ``unread``, and what is installed. Asking for devices is slow, so it runs in the
    background meanwhile. A check that fails with an error yields that as its result.
    """
    answers = machine.ask_devices()
    looks: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
        ("store", lambda: checks.store(store)),
        ("disk", lambda: machine.disk(store, home)),
        ("versions", checks.versions),
        ("backends", checks.backends),
        ("devices", lambda: machine.devices_found(answers)),
        ("machine", machine.machine),
        ("tasks", checks.tasks),
        ("warm starts", lambda: checks.warm_starts(home / "cache")),
        ("workers", machine.workers),
        ("logs", lambda: checks.logs(home / "logs")),
        ("sweeps", lambda: checks.unread(unread)),
        ("code", lambda: checks.code(sweeps or {})),
    )
    for name, look in looks:
        try:
            yield from look()
        except (HarnessError, OSError, ImportError) as error:
            yield Check(name, " ".join(str(error).split()), "error")
