"""The progress of a session in pytest's terminal, and that of pytest-xdist's workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, TextIO, get_args

import pytest

from harness.plugin.state import STATE
from harness.plugin.xdist import Node
from harness.protocols import Finished, Started
from harness.records import Outcome, Run, Status
from harness.session.progress import LiveLine, LogLine, Observer, rewrites
from harness.session.tally import Tally

if TYPE_CHECKING:
    from harness.session.session import SweepSession

Uncaptured = Callable[[], AbstractContextManager[None]]


def observer(config: pytest.Config) -> Observer:
    """Return what shows the progress of this pytest run: a live line, plain lines, or nothing.

    With plain lines nothing is redrawn where a trainer or a log may print into the terminal.
    """
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.get_verbosity() < 0:
        return Observer()
    writer = config.get_terminal_writer()
    capture = config.pluginmanager.get_plugin("capturemanager")
    uncaptured = capture.global_and_fixture_disabled if capture is not None else nullcontext
    settings = config.stash[STATE].settings
    with uncaptured():
        is_terminal = rewrites(writer._file)
        own = None if settings.debug else _second(writer._file)
    stream: TextIO = own or writer._file
    if own is not None:
        uncaptured = nullcontext
    inline = settings.executor == "inline" and not settings.shared
    prints = inline and config.getoption("capture") == "no"
    logs = config.getini("log_cli") or config.getoption("log_cli_level") is not None
    ticks = own is not None
    column = partial(getattr, writer, "width_of_current_line")
    if is_terminal and not prints and not logs:
        return LiveLine(stream, writer.fullwidth, column, uncaptured, ticks=ticks)
    return LogLine(stream, writer.fullwidth, column, uncaptured, ticks=ticks)


def _second(stream: TextIO) -> TextIO | None:
    """Return a second stream to the same place, which no capturing redirects; None without one."""
    try:
        descriptor = os.dup(stream.fileno())
    except (OSError, ValueError, AttributeError):  # a stream of the user's, such as a notebook's
        return None
    return os.fdopen(descriptor, "w", encoding=stream.encoding, errors="replace")


@pytest.hookimpl
def pytest_enter_pdb(config: pytest.Config) -> None:
    """Leave the terminal to the debugger."""
    session = config.stash[STATE].slot.session
    if session is not None:
        session.observer.pause()


class WorkersProgress:
    """Shows in xdist's controller how far its workers are.

    A worker trains the runs in the plan's order, whichever its items are, so that of the runs that
    are left the first ones are in training. A run has ended when a worker reports it.
    """

    def __init__(self, session: SweepSession) -> None:
        self._session = session
        self._tally = Tally(workers=0, metrics=session.tally.metrics)
        self._waiting: dict[str, Run] = {}
        self._left: dict[str, Run] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Count a worker, and the runs that it has items of."""
        self._tally.workers += 1
        if self._tally.total:
            return
        items = {id_.partition("[")[2].removesuffix("]") for id_ in ids}
        self._waiting = {r.id: r for r in self._session.unfinished() if r.id in items}
        self._left = dict(self._waiting)
        for run in self._waiting.values():
            self._tally.expect(run)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self) -> Generator[None, object, object]:
        """Show the progress from the first item on."""
        return (yield from self._shown())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        """Count a run that has ended."""
        told = dict(report.user_properties)
        run = self._left.pop(str(told.get("sweep.id")), None)
        if run is not None and told.get("sweep.status") in get_args(Status):
            key = run.id if run.id in self._tally.running else next(iter(self._tally.running), "")
            if key != run.id:
                self._waiting.pop(run.id, None)
            self._tally.count(Finished(key, _outcome(told)), run)
        return (yield from self._shown())

    @pytest.hookimpl(wrapper=True, tryfirst=True, optionalhook=True)
    def pytest_testnodedown(self, node: Node) -> Generator[None, object, object]:
        """Count a worker that is gone."""
        self._tally.workers = max(0, self._tally.workers - 1)
        return (yield from self._shown())

    def _shown(self) -> Generator[None, object, object]:
        """Clear the line while the terminal is written to, then show the runs in training."""
        self._session.observer.pause()
        try:
            return (yield)
        finally:
            while self._waiting and len(self._tally.running) < self._tally.workers:
                run = self._waiting.pop(next(iter(self._waiting)))
                self._tally.count(Started(run.id), run)
            if self._tally.running:
                self._session.observer.update(self._tally)


def _outcome(told: dict[str, object]) -> Outcome:
    """Return what a report's properties tell of a run's outcome."""
    names = ("status", "delta_perf", "value", "seconds")
    return Outcome(**{name: told.get(f"sweep.{name}") for name in names})  # type: ignore[arg-type]
