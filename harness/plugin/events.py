"""Call the hooks of a sweep, and write what they tell to the trackers of ``--sweep-track``."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.plugin.state import STATE, State, shown
from harness.records import Result
from harness.sweeps.sweep import Sweep
from harness.verdicts import Verdict

if TYPE_CHECKING:
    from harness.integrations.trackers import Tracking
    from harness.session.session import SweepSession

TRACKERS = "sweep-trackers"
"""The name of the plugin that writes to trackers."""


def on_finished(config: pytest.Config) -> Callable[[Result], None] | None:
    """Return what tells pytest's hooks of a run; None in xdist's workers, which tell nothing."""
    state = config.stash[STATE]
    if state.role == "worker":
        return None

    def tell(result: Result) -> None:
        sweep = state.sweeps[result.run.sweep]
        _call(config, "pytest_sweep_run_finished", sweep=sweep, result=result)

    return tell


def tell_verdicts(config: pytest.Config, name: str) -> None:
    """Tell pytest's hooks of the verdicts on a sweep, of which there is a report."""
    state = config.stash[STATE]
    session = state.slot.ready
    sweep, scope = state.sweeps[name], session.scope(name)
    for verdict in session.report(name).verdicts:
        if verdict.id in sweep.questions:  # a report also has those that nobody asked
            _call(config, "pytest_sweep_verdict", sweep=sweep, verdict=verdict, scope=scope)


def _call(config: pytest.Config, name: str, **given: object) -> None:
    """Call a hook; what it raises, unless it ends the session, is a warning."""
    try:
        for returned in getattr(config.hook, name)(config=config, **given):
            if inspect.iscoroutine(returned):
                code = returned.cr_code
                returned.close()
                where = f"{shown(Path(code.co_filename), config)}:{code.co_firstlineno}"
                config.stash[STATE].warn(
                    f"{name} is async and was not run; expected a plain function ({where})"
                )
    except (KeyboardInterrupt, SystemExit, pytest.exit.Exception):
        raise
    except BaseException as error:  # noqa: BLE001  a user's hook may raise anything
        frame = traceback.extract_tb(error.__traceback__)[-1]
        said = " ".join(str(error).split())[:200]
        where = f"{shown(Path(frame.filename), config)}:{frame.lineno}"
        line = f"{name} raised {type(error).__name__}{': ' * bool(said)}{said} ({where})"
        config.stash[STATE].warn(line)


class WorkersRuns:
    """Tells in xdist's controller of the runs that its workers report."""

    def __init__(self, session: SweepSession) -> None:
        self._session = session

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell of a run that has ended, unless the store cannot be read: then it is at the end."""
        told = dict(report.user_properties)
        if report.when == "call" and "sweep.status" in told:
            with suppress(HarnessError):
                self._session.tell_of(str(told["sweep.id"]))


class Trackers:
    """Writes to trackers what the hooks tell.

    A tracker that fails costs a warning, which has the command that writes the rest.
    """

    def __init__(self, tracking: Tracking, state: State) -> None:
        self._tracking = tracking
        self._state = state
        self._verdicts: dict[tuple[str, str], list[Verdict]] = {}

    @pytest.hookimpl(tryfirst=True)  # before a user's, which may raise
    def pytest_sweep_run_finished(self, result: Result) -> None:
        """Write a run."""
        self._tracking.write_run(result)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sweep_verdict(self, sweep: Sweep, verdict: Verdict, scope: str) -> None:
        """Keep a verdict, until all are there."""
        self._verdicts.setdefault((sweep.name, scope), []).append(verdict)

    def write_known(self) -> None:
        """Write the runs that count and are not there yet, whoever trained them."""
        for result in self._state.slot.ready.results_known():
            self._tracking.write_run(result)

    def finish(self) -> None:
        """Write what is left, and warn of the trackers that failed."""
        from harness.integrations.trackers import hidden, repeated

        self.write_known()
        for (name, scope), verdicts in self._verdicts.items():
            self._tracking.write_verdicts(name, verdicts, scope)
        self._tracking.close()
        for target, why in self._tracking.failures.items():
            command = repeated(self._state.wanted, target, self._state.where)
            self._state.warn(
                f"{hidden(target)} was not written to the end: {why}; the results are in the "
                f"store, and this writes them: {command}"
            )


def open_trackers(config: pytest.Config) -> None:
    """Open the trackers that were asked for, and write to them what is in the store.

    Raises
    ------
    UsageError
        Where one cannot be used. Nothing has been trained then.
    """
    state = config.stash[STATE]
    if state.role == "worker" or not state.settings.track:
        return
    from harness.integrations.trackers import Tracking
    from harness.integrations.trackers.base import tracked_sweep

    settings = state.settings
    tracking = Tracking(settings.track, settings.home, config.invocation_params.dir)
    tracking.begin(tracked_sweep(state.sweeps[name]) for name in state.wanted)
    trackers = Trackers(tracking, state)
    config.pluginmanager.register(trackers, TRACKERS)
    trackers.write_known()


def close_trackers(config: pytest.Config) -> None:
    """Write what is left to the trackers."""
    trackers = config.pluginmanager.unregister(name=TRACKERS) if _has_trackers(config) else None
    if isinstance(trackers, Trackers):
        trackers.finish()


def _has_trackers(config: pytest.Config) -> bool:
    return config.pluginmanager.has_plugin(TRACKERS)
