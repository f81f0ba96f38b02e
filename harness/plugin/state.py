"""The state of the sweeps of one pytest run, kept in pytest's stash."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import UsageError
from harness.plugin import xdist
from harness.plugin.items import SessionSlot
from harness.plugin.settings import fail_on, where
from harness.plugin.settings import settings as settings_of
from harness.plugin.xdist import Node, Role
from harness.session.settings import Settings
from harness.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from harness.report.model import Report


@dataclass
class State:
    """The options, the sweeps found and the session of one pytest run.

    ``modules`` are those that were imported before it, and ``path`` was `sys.path`. ``where`` are
    the options of the command ``sweep`` with which it reads the same store.
    """

    wanted: tuple[str, ...]
    role: Role
    settings: Settings
    slot: SessionSlot
    runs_tests: bool = True
    found: dict[str, tuple[Sweep, Path]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    modules: frozenset[str] = frozenset()
    path: tuple[str, ...] = ()
    collected: bool = False
    deselected: bool = False
    reports: list[tuple[Report, Path | str]] = field(default_factory=list)
    removed: list[Path | None] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    where: tuple[str, ...] = ()

    @property
    def sweeps(self) -> dict[str, Sweep]:
        """The collected sweeps by name."""
        return {name: sweep for name, (sweep, _) in self.found.items()}

    def warn(self, line: str) -> None:
        """Show a warning at the end, each once."""
        if line not in self.warnings:
            self.warnings.append(line)


STATE = pytest.StashKey[State]()

WITHOUT_TESTS = (
    "collectonly",
    "showfixtures",
    "show_fixtures_per_test",
    "setuponly",
    "setupplan",
    "cacheshow",
)
"""The options of pytest with which no test is called, and so nothing trained or reported."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the state of this pytest run from its options."""
    wanted = tuple(dict.fromkeys(config.getoption("--sweep") or ()))
    role = xdist.role(config)
    try:
        slot = SessionSlot(fail_on(config.getoption("--sweep-fail-on")))
        settings = settings_of(config)
        if wanted and role != "alone":
            settings = xdist.shared(settings, config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[STATE] = State(
        wanted,
        role,
        settings,
        slot,
        runs_tests=_runs_tests(config),
        modules=frozenset(sys.modules),
        path=tuple(sys.path),
        where=where(config),
    )


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Forget the project's modules: a notebook's next session reads its files anew."""
    state = config.stash.get(STATE, None)
    if state is None or not state.wanted:
        return
    from harness.executors.load import forget_project

    forget_project(config.rootpath, state.modules, state.path)


def _runs_tests(config: pytest.Config) -> bool:
    return not any(config.getoption(name, None) for name in WITHOUT_TESTS)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Node) -> None:
    """Tell an xdist worker when its session began."""
    node.workerinput[xdist.SINCE] = node.config.stash[STATE].settings.since


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Node) -> None:
    """Collect the problems of an xdist worker."""
    told = getattr(node, "workeroutput", {}).get(xdist.PROBLEMS, ())
    node.config.stash[STATE].problems.extend(told)


def shown(path: Path, config: pytest.Config) -> str:
    """Return ``path`` as seen from where pytest was called."""
    here = config.invocation_params.dir
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
