"""The end of items and of a session: properties, categories, and the reports."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError, UsageError
from harness.plugin import xdist
from harness.plugin.events import close_trackers, tell_verdicts
from harness.plugin.items import values
from harness.plugin.state import STATE, State, shown
from harness.records import MAIN

if TYPE_CHECKING:
    from harness.report.model import Report

LETTERS = {
    "inconclusive": ("i", "INCONCLUSIVE", "yellow"),
    "unanswerable": ("u", "UNANSWERABLE", "yellow"),
    "not judged": ("n", "NOT JUDGED", "yellow"),
    "not trained": ("n", "NOT TRAINED", "yellow"),
    "not needed": ("-", "NOT NEEDED", "green"),
    "refuted": ("r", "REFUTED", "red"),
    "diverged": ("d", "DIVERGED", "red"),
}
"""Category → the letter, the word and the colour it is shown with."""

CATEGORY = "sweep_category"
"""The attribute of a test report that carries its category."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give an item's report its properties and its category; shorten a user's errors."""
    found = list(values(item)) if call.when == "call" else []
    for value in found:
        item.user_properties.extend(value.properties)
    report = yield
    for value in found:
        if value.category is not None and report.skipped:
            report.__dict__[CATEGORY] = value.category
        if call.excinfo is not None and isinstance(call.excinfo.value, HarnessError):
            report.longrepr = str(call.excinfo.value)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, Any] | None:
    """Return category, letter and word of a report that has a category of its own."""
    category = getattr(report, CATEGORY, None)
    if category is None:
        return None
    letter, word, colour = LETTERS.get(category, ("f", category.upper(), "red"))
    return category, letter, (word, {colour: True})


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report of every chosen sweep and end the session."""
    state = session.config.stash[STATE]
    sweeps = state.slot.session
    if sweeps is None:
        return
    from harness.report.renderers.write import add_to_job_summary, remove_superseded, write_report

    try:
        sweeps.stop()
        if state.role == "controller":
            sweeps.refresh()
    except HarnessError as error:
        state.problems.append(f"results of this session could not be saved: {error}")
    if state.role == "worker":
        vars(session.config)["workeroutput"][xdist.PROBLEMS] = state.problems
        return
    for name in state.wanted:
        try:
            report = sweeps.report(name)
            tell_verdicts(session.config, name)
        except HarnessError as error:
            state.problems.append(f"no report of sweep {name}: {error}")
            continue
        try:
            folder = sweeps.report_folder(name)
            write_report(report, folder)
            state.reports.append((report, folder))
            if folder != (smoke := sweeps.smoke_folder(name)):
                state.removed.append(remove_superseded(report, smoke))
        except UsageError as error:
            state.reports.append((report, str(error)))
    close_trackers(session.config)
    warning = add_to_job_summary(
        [
            (report, where if isinstance(where, str) else shown(where, session.config))
            for report, where in state.reports
        ]
    )
    if warning:
        state.warn(warning)
    _add_to_junit(session.config, [report for report, _ in state.reports])
    pytest_unconfigure(session.config)
    if state.problems and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _add_to_junit(config: pytest.Config, reports: Sequence[Report]) -> None:
    """Add the answer of each report to the properties of JUnit's suite.

    pytest has written the file by now, without them: reports are made when all workers are done.
    """
    from _pytest.junitxml import xml_key

    from harness.report.documents.summary import summary

    junit = config.stash.get(xml_key, None)
    if junit is None or not reports:
        return
    for report in reports:
        for line in summary([report]):
            name = line.label.casefold().replace(" ", "_")
            junit.add_global_property(f"sweep.summary.{report.sweep}.{name}", line.text)
    junit.pytest_sessionfinish()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the reports and where their files are, and what to do where nothing was chosen."""
    config = terminalreporter.config
    state = config.stash[STATE]
    if state.deselected and not state.wanted:
        terminalreporter.write_line("")
        for line in _offer(state):
            terminalreporter.write_line(line)
    for problem in state.problems:
        terminalreporter.write_line(f"sweep: error: {problem}", red=True)
    for warning in state.warnings:
        terminalreporter.write_line(f"sweep: warning: {warning}", yellow=True)
    if not state.reports:
        return
    from harness.report.renderers.terminal import render

    writer = config.get_terminal_writer()
    for report, where in state.reports:
        terminalreporter.write_sep("=", f"sweep {report.sweep}")
        text = render(report, width=writer.fullwidth, colour=writer.hasmarkup)
        for line in text.splitlines():
            terminalreporter.write_line(line)
        if isinstance(where, Path):
            terminalreporter.write_line(f"\nreport: {shown(where, config)}/report.{{html,md,json}}")
        else:
            terminalreporter.write_line(f"\nreport not written: {where}", red=True)
    for folder in filter(None, state.removed):
        terminalreporter.write_line(
            f"removed: the report in {shown(folder, config)}, of a part of this sweep"
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the workers, whatever happened."""
    state = config.stash.get(STATE, None)
    if state is None or state.slot.session is None:
        return
    try:
        state.slot.session.close()
    except HarnessError as error:
        state.problems.append(str(error))


def _offer(state: State) -> Iterator[str]:
    yield "sweeps here, run with --sweep NAME:"
    for name, sweep in state.sweeps.items():
        beside = sum(1 for run in sweep.plan() if run.arm != MAIN)
        arms = f" and {beside} in arms" if beside else ""
        seeds = f", {sweep.seeds} seeds each," if sweep.seeds > 1 else ""
        yield f"  {name}: {sweep.runs} runs of {sweep.steps} steps{seeds}{arms}"
