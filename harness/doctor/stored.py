"""The store: whether it can be read, whether it is whole, and who uses it now."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

from harness.doctor.check import Check
from harness.errors import StoreError
from harness.store import Store
from harness.store.inspection import Inspection, inspect
from harness.store.sqlite import locate
from harness.text import plural

_SKEW = 60.0
"""Seconds that the newest run may lie in the future before a clock is suspected."""


def store(url: str) -> Iterator[Check]:
    """Yield what there is of the store at ``url``."""
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
            "move it away; what sweep export still reads of it can be imported into a new one",
        )
    else:
        yield Check("integrity", "the database is whole" if found.checked else "left to the server")
    yield _sessions(found)
    yield _clock(found.newest)


def _sessions(found: Inspection) -> Check:
    live = [session for session in found.sessions if session.lives]
    dead = [session for session in found.sessions if not session.lives and session.taken]
    said = [f"{plural(s.taken, 'run')} taken by process {s.pid} on {s.host}" for s in live]
    if dead:
        freed = sum(session.taken for session in dead)
        said.append(f"{plural(freed, 'run')} that ended sessions had taken, free again")
    return Check("sessions", "; ".join(said) or "none has a run now")


def _clock(newest: str | None) -> Check:
    now = datetime.now().astimezone()
    said = now.isoformat(timespec="seconds")
    try:
        ahead = datetime.fromisoformat(newest).timestamp() - time.time() if newest else 0.0
    except ValueError:
        ahead = 0.0
    if ahead > _SKEW:
        return Check(
            "clock",
            f"{said}, but the newest run finished at {newest}, {ahead:,.0f} s later",
            "warning",
            "set the clock of this machine, or of the one that trained it",
        )
    return Check("clock", said)
