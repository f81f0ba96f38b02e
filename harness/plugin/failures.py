"""pytest's section of failures: a reason for which several runs failed is shown once."""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.executors.logs import last_traceback, tail
from harness.plugin.state import STATE, State, shown
from harness.report.failures import Failure, failures

if TYPE_CHECKING:
    from _pytest._io import TerminalWriter

TRACEBACKS = ("auto", "long", "short", "native")
"""The styles of ``--tb`` that show more than a line."""


@dataclass(frozen=True)
class Message:
    """The message of a failure, as pytest's short summary and ``--tb=line`` show it."""

    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Reason:
    """A failure as pytest shows it: a message, and the lines of its section."""

    reprcrash: Message
    lines: tuple[str, ...]

    def toterminal(self, writer: TerminalWriter) -> None:
        """Write the lines."""
        for line in self.lines:
            writer.line(line)

    def __str__(self) -> str:
        return "\n".join(self.lines)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, object, object]:
    """Show of the runs that failed for one reason the first; with ``-v`` each of them.

    The counts at the end, and what other plugins have been told, are of all of them.
    """
    config, stats = terminalreporter.config, terminalreporter.stats
    every = stats.get("failed", [])
    if every:
        stats["failed"] = list(_once(every, config))
    try:
        return (yield)
    finally:
        if every:
            stats["failed"] = every


def _once(
    reports: Iterable[pytest.TestReport], config: pytest.Config
) -> Iterator[pytest.TestReport]:
    state = config.stash[STATE]
    reasons = {
        id_: one
        for report, _ in state.reports
        for one in failures(r for r in report.singles if r.outcome.status != "completed")
        for id_ in one.ids
    }
    told: set[tuple[str, ...]] = set()
    for report in reports:
        why = reasons.get(str(dict(report.user_properties).get("sweep.id")))
        if why is None:
            yield report
        elif why.ids not in told:
            told.add(why.ids)
            first = copy.copy(report)
            first.longrepr = _section(why, state, config)  # type: ignore[assignment]
            yield first
        elif config.get_verbosity() > 0:
            yield report


def _section(why: Failure, state: State, config: pytest.Config) -> Reason:
    """Return what is shown of a reason: the runs, the end of a log, and where the logs are."""
    if config.getoption("tbstyle") not in TRACEBACKS:
        return Reason(Message(why.line), ())
    logs = [state.slot.ready.log(result.run) for result in why.results]
    lines = [why.line, *(last_traceback(str(logs[0])) or tail(str(logs[0])))]
    there = [log for log in logs if log.exists()]
    if there:
        lines.append(_where(there, config))
    return Reason(Message(why.headline), tuple(lines))


def _where(logs: list[Path], config: pytest.Config) -> str:
    if len(logs) == 1:
        return f"log: {shown(logs[0], config)}"
    return f"{len(logs)} logs in {shown(logs[0].parent, config)}, the first {logs[0].name}"
