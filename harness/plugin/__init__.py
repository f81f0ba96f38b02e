"""The pytest plugin: hooks, each of which delegates."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from harness.plugin import wiring
from harness.plugin.options import add_options
from harness.plugin.xdist import Node


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the sweep group."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options' values before anything is collected."""
    wiring.configure(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every run and every question of a module's sweeps an item of its own."""
    wiring.parametrize(metafunc)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Check, before xdist starts its workers, that what is asked for can be run."""
    wiring.prepare(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Node) -> None:
    """Tell an xdist worker what session it is a part of."""
    wiring.instruct(node)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Node) -> None:
    """Hear what an xdist worker could not do."""
    wiring.debrief(node)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Show a sweep that cannot be run as one line, not as a traceback."""
    report = yield
    return wiring.shorten(report)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the chosen sweeps' items."""
    wiring.select(config, items)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Start a session for the items that are left, whatever else deselected some."""
    wiring.start(session)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what is about to be trained."""
    return wiring.announce(config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give a sweep's item its properties and its own category."""
    wiring.add_properties(item, call)
    report = yield
    return wiring.categorise(item, call, report)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, Any] | None:
    """Count what neither passed nor failed under its own name."""
    return wiring.status(report)


def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """End in order now, and at once if interrupted again."""
    wiring.interrupted()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the reports and stop the workers."""
    wiring.finish(session)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the reports."""
    wiring.summarise(terminalreporter)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave no worker behind, whatever happened."""
    wiring.close(config)
