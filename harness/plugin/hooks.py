"""The hooks of a pytest run that has sweeps, each of which delegates."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from harness.plugin import collection, reporting, signals, state
from harness.plugin.xdist import Node


def pytest_configure(config: pytest.Config) -> None:
    """Make the settings of the session from the options."""
    state.configure(config)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Check, before xdist starts its workers, that what is asked for can be run."""
    collection.prepare(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Node) -> None:
    """Tell an xdist worker which session it belongs to."""
    state.instruct(node)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Node) -> None:
    """Collect the problems of an xdist worker."""
    state.debrief(node)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the chosen sweeps' items."""
    collection.select(config, items)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Start a session for the items that are left after every deselection."""
    collection.start(session)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what is about to be trained."""
    return collection.announce(config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give a sweep's item its properties and its own category."""
    reporting.add_properties(item, call)
    report = yield
    return reporting.categorise(item, call, report)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, Any] | None:
    """Count what neither passed nor failed under its own name."""
    return reporting.status(report)


def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """End in order now, and at once if interrupted again."""
    signals.end_at_once_next_time()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the reports and stop the workers."""
    reporting.finish(session)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the reports."""
    reporting.summarise(terminalreporter)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave no worker process behind, whatever happened."""
    reporting.close(config)
