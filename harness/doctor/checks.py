"""Check what is installed and what is stored: versions, backends, tasks, the store, files."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from harness.errors import StoreError, UsageError
from harness.session.environment import version_of
from harness.store import Store
from harness.store.inspection import Inspection, inspect
from harness.store.sqlite import locate
from harness.sweeps.plan import Selection, conditions_of
from harness.sweeps.sources import described
from harness.sweeps.sweep import Sweep
from harness.text import byte_size, plural
from harness.training.backends import BACKENDS, missing_libraries, pip
from harness.training.tasks import TASKS
from harness.training.warm_start import cache_file

MANY = 2**30
"""Logs with more bytes than this are worth deleting."""

_PACKAGE = "pytest-sweep"
_SHOWN = ("pytest", "sqlalchemy", "numpy", "scipy")

_SKEW = 60.0
"""Seconds that the newest run may lie in the future before a clock seems wrong."""

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    An ``error`` is broken; a ``warning`` may break later, or costs something. ``advice`` says what
    to do, if anything.
    """

    name: str
    found: str
    level: Level = "ok"
    advice: str = ""


# ---- the software --------------------------------------------------------------------------------


def versions() -> Iterator[Check]:
    """Check the versions of the packages that are always needed."""
    shown = [f"{name} {version_of(name) or 'missing'}" for name in (_PACKAGE, *_SHOWN)]
    wanting = [text for text in _requirements() if not _met(Requirement(text))]
    quoted = " ".join(f'"{text}"' for text in wanting)
    yield Check(
        "versions",
        f"Python {platform.python_version()}, {', '.join(shown)}"
        + (f"; not as needed: {', '.join(wanting)}" if wanting else ""),
        "error" if wanting else "ok",
        f"pip install {quoted}" if wanting else "",
    )


def backends() -> Iterator[Check]:
    """Check the libraries of each backend; a warning where no backend has all it needs."""
    missing = {name: missing_libraries(backend) for name, backend in BACKENDS.items()}
    none = all(missing.values())
    for name, backend in BACKENDS.items():
        lacks = missing[name]
        has = (f"{library} {version_of(library)}" for library in backend.libraries)
        yield Check(
            f"backend {name}",
            f"lacks {', '.join(lacks)}" if lacks else ", ".join(has),
            "warning" if none else "ok",
            f"{pip(name)}, to train by it" if lacks else "",
        )


def tasks() -> Iterator[Check]:
    """Check that the tasks of the package can make their prompts."""
    for name, task in TASKS.items():
        held_out = len(task.prompts("held_out"))
        yield Check(f"task {name}", f"version {task.version}, {held_out:,} held-out prompts")


def _requirements() -> list[str]:
    """Return the requirements of the package, without those of its extras."""
    try:
        stated = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        return []
    return [text for text in stated if "extra ==" not in text]


def _met(requirement: Requirement) -> bool:
    version = version_of(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def code(sweeps: Mapping[str, Sweep]) -> Iterator[Check]:
    """Check what the runs of sweeps with a training function of their own are known by."""
    for name, sweep in sweeps.items():
        if sweep.trainer is None:
            continue
        try:
            found = conditions_of(sweep, Selection(), trains=False)
        except UsageError as error:
            yield Check(f"code of {name}", str(error), "error")
            continue
        noted = f"; not part of it: {', '.join(described(found.noted))}" if found.noted else ""
        yield Check(f"code of {name}", f"{', '.join(described(found.files))}{noted}")


def unread(lines: Iterable[str]) -> Iterator[Check]:
    """Yield an error for each file of sweeps that cannot be read."""
    for line in lines:
        yield Check("sweeps", f"not read: {line}", "error")


# ---- the store -----------------------------------------------------------------------------------


def store(url: str) -> Iterator[Check]:
    """Check that the store at ``url`` can be read and is whole, who uses it, and the clock."""
    if "://" not in url or url.startswith("sqlite"):
        path = locate(url)
        if not path.exists():
            yield Check("store", f"none yet at {path}: the first session makes it")
            return
    try:
        with Store.open(url, create=False, read_only=True, busy_timeout=5.0) as opened:
            found = inspect(opened)
    except StoreError as error:
        yield Check("store", str(error), "error")
        return
    statuses = ", ".join(f"{number:,} {status}" for status, number in found.statuses.items())
    yield Check(
        "store",
        f"{found.name}, schema {found.schema}: {plural(found.runs, 'run')}"
        + (f" ({statuses})" if statuses else ""),
    )
    if found.damage:
        yield Check(
            "integrity",
            f"the database is damaged: {found.damage}",
            "error",
            "move it away; try sweep export on it first, and import what it reads into a new one",
        )
    else:
        yield Check("integrity", "the database is whole" if found.checked else "left to the server")
    yield _sessions(found)
    yield _clock(found.newest)


def _sessions(store: Inspection) -> Check:
    live = [session for session in store.sessions if session.lives]
    dead = [session for session in store.sessions if not session.lives and session.leases]
    found = [f"{plural(s.leases, 'run')} taken by process {s.pid} on {s.host}" for s in live]
    if dead:
        freed = sum(session.leases for session in dead)
        found.append(f"{plural(freed, 'run')} that ended sessions had taken, free again")
    return Check("sessions", "; ".join(found) or "none has a run now")


def _clock(newest: str | None) -> Check:
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    try:
        ahead = datetime.fromisoformat(newest).timestamp() - time.time() if newest else 0.0
    except ValueError:
        ahead = 0.0
    if ahead > _SKEW:
        return Check(
            "clock",
            f"{now}, but the newest run finished at {newest}, {ahead:,.0f} s later",
            "warning",
            "set the clock of this machine, or of the one that trained it",
        )
    return Check("clock", now)


# ---- files under .sweep --------------------------------------------------------------------------


def warm_starts(cache: Path) -> Iterator[Check]:
    """Check for each task whether the weights that its runs start from are there yet."""
    for name, task in TASKS.items():
        file = cache_file(task, cache)
        made = file.is_file()
        yield Check(
            f"warm start {name}",
            f"made, {byte_size(file.stat().st_size)}"
            if made
            else "none yet: the first run makes it",
        )


def logs(folder: Path) -> Iterator[Check]:
    """Check the size of the logs of the runs."""
    sizes = [file.stat().st_size for file in folder.glob("*") if file.is_file()]
    total = sum(sizes)
    yield Check(
        "logs",
        f"{plural(len(sizes), 'file')}, {byte_size(total)}" if sizes else "none",
        "warning" if total > MANY else "ok",
        f"delete those of runs you are done with in {folder}" if total > MANY else "",
    )
