"""A session under pytest-xdist: its workers share the runs, its controller checks and reports.

Each xdist worker has a session of its own and trains in its own process. No run is trained twice: a
worker leases it in the store before it begins.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Protocol

import pytest

from harness.errors import UsageError
from harness.session.queue import now
from harness.session.settings import Settings

Role = Literal["alone", "controller", "worker"]


class Node(Protocol):
    """A worker as xdist's controller knows it."""

    config: pytest.Config
    workerinput: dict[str, Any]


SINCE, PROBLEMS = "sweep_since", "sweep_problems"
"""Names of the values that controller and workers send each other."""


def role(config: pytest.Config) -> Role:
    """Return the part of this process in the pytest run."""
    if hasattr(config, "workerinput"):
        return "worker"
    spread = any(config.getoption(name, None) for name in ("numprocesses", "tx"))
    return "controller" if spread else "alone"


def shared(settings: Settings, config: pytest.Config) -> Settings:
    """Return the settings of a session that several processes make up together.

    Raises
    ------
    UsageError
        Where they ask for something that needs a session with its own workers.
    """
    for wanted, option in (
        (settings.executor == "ray", "--sweep-executor ray"),
        (settings.gpus is not None, "--sweep-gpus"),
        (settings.memory is not None, "--sweep-memory"),
    ):
        if wanted:
            raise UsageError(
                f"{option} with -n: xdist's workers train in their own processes, where that "
                "cannot be done; leave -n out, and use --sweep-workers N"
            )
    given: dict[str, Any] = getattr(config, "workerinput", {})
    return replace(settings, executor="inline", shared=True, since=given.get(SINCE, now()))
