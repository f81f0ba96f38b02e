"""The checks in their order, each of them on its own: what fails in one is told as its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.doctor import devices, leftovers, machine, software, stored
from harness.doctor.check import Check
from harness.errors import HarnessError


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are: the URL of the store, and the folder that all else is written under."""

    store: str
    home: Path


def examine(places: Places) -> Iterator[Check]:
    """Yield what was found; the slow ones, which ask for devices, work beside the others."""
    asked = devices.ask()
    home = places.home
    looks: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
        ("store", lambda: stored.store(places.store)),
        ("disk", lambda: machine.disk(places.store, home)),
        ("versions", software.versions),
        ("backends", software.backends),
        ("devices", lambda: devices.found(asked)),
        ("machine", machine.machine),
        ("tasks", software.tasks),
        ("warm starts", lambda: leftovers.warm_starts(home / "cache")),
        ("workers", leftovers.workers),
        ("logs", lambda: leftovers.logs(home / "logs")),
    )
    for name, look in looks:
        try:
            yield from look()
        except (HarnessError, OSError, ImportError) as error:
            yield Check(name, " ".join(str(error).split()), "error")
