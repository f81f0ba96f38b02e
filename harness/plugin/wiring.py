"""What the plugin's hooks do: from collected sweep files to a session, items' outcomes, reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError, UsageError, nearest
from harness.plugin import signals as interrupts
from harness.plugin import xdist as distributed
from harness.plugin.items import Item, QuestionItem, RunItem, SessionSlot, SweepItem
from harness.plugin.options import fail_on
from harness.plugin.options import settings as settings_of
from harness.plugin.xdist import Node, Role
from harness.records import MAIN, Run
from harness.session.progress import LiveLine, LogLine, Observer
from harness.session.session import SweepSession
from harness.session.settings import Settings
from harness.sweeps.discovery import sweeps_in
from harness.sweeps.plan import ANSWERED, check_arms, planned
from harness.sweeps.sweep import Sweep

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


@dataclass
class State:
    """What one pytest run knows of its sweeps."""

    wanted: tuple[str, ...]
    role: Role
    settings: Settings
    slot: SessionSlot
    found: dict[str, tuple[Sweep, Path]] = field(default_factory=dict)
    collected: bool = False
    deselected: bool = False
    reports: list[tuple[Report, Path | str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def sweeps(self) -> dict[str, Sweep]:
        """The collected sweeps by name."""
        return {name: sweep for name, (sweep, _) in self.found.items()}


STATE = pytest.StashKey[State]()


def configure(config: pytest.Config) -> None:
    """Make the state of this pytest run from its options.

    Raises
    ------
    pytest.UsageError
        Where an option has a value that cannot be used.
    """
    wanted = tuple(dict.fromkeys(config.getoption("--sweep") or ()))
    role = distributed.role(config)
    try:
        slot = SessionSlot(fail_on(config.getoption("--sweep-fail-on")))
        settings = settings_of(config)
        if wanted and role != "alone":
            settings = distributed.shared(settings, config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[STATE] = State(wanted, role, settings, slot)


def prepare(config: pytest.Config) -> None:
    """Check in xdist's controller, which collects nothing, that its workers can do what is asked.

    Raises
    ------
    pytest.UsageError
        Where they cannot.
    """
    state = config.stash[STATE]
    if state.role != "controller" or not state.wanted or config.getoption("collectonly"):
        return
    try:
        state.found = distributed.declared(config)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None
    _open(config, {name: _runs(state, sweep) for name, sweep in _chosen(state).items()})
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        for line in announce(config):
            reporter.write_line(line)


def instruct(node: Node) -> None:
    """Tell an xdist worker when the session began that it is a part of."""
    node.workerinput[distributed.SINCE] = node.config.stash[STATE].settings.since


def debrief(node: Node) -> None:
    """Take note of what an xdist worker could not do."""
    told = getattr(node, "workeroutput", {}).get(distributed.PROBLEMS, ())
    node.config.stash[STATE].problems.extend(told)


def interrupted() -> None:
    """Let a second signal end everything at once, now that the first ends it in order."""
    interrupts.end_at_once_next_time()


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Parametrize ``run``, ``question`` and ``sweep`` in a module that declares sweeps."""
    asked = {"run", "question", "sweep"}.intersection(metafunc.fixturenames)
    if not asked:
        return
    state = metafunc.config.stash[STATE]
    sweeps = sweeps_in(metafunc.module)
    file = Path(metafunc.module.__file__ or "")
    for sweep in sweeps:
        _remember(state, sweep, file)
    if "run" in asked and sweeps:
        runs = [RunItem(slot=state.slot, planned=run) for s in sweeps for run in _runs(state, s)]
        metafunc.parametrize("run", runs, ids=[item.planned.id for item in runs])
    if "question" in asked and sweeps:
        questions = [
            QuestionItem(slot=state.slot, sweep=sweep, id=id_)
            for sweep in sweeps
            for id_ in sweep.questions
        ]
        ids = [f"{item.sweep.name}-{item.id}" for item in questions]
        metafunc.parametrize("question", questions, ids=ids)
    if "sweep" in asked and sweeps:
        whole = [SweepItem(slot=state.slot, declared=sweep) for sweep in sweeps]
        metafunc.parametrize("sweep", whole, ids=[sweep.name for sweep in sweeps])


def shorten(report: pytest.CollectReport) -> pytest.CollectReport:
    """Reduce a collection failure of a user's making to one line."""
    excinfo = getattr(getattr(report, "call", None), "excinfo", None)
    if excinfo is not None and isinstance(excinfo.value, HarnessError):
        file = report.nodeid.split("::", maxsplit=1)[0]
        lines = [e.lineno + 1 for e in excinfo.traceback if str(e.path).endswith(file)]
        where = f"{file}:{lines[-1]}: " if lines else f"{file}: "
        report.longrepr = where + str(excinfo.value)
    return report


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the items of sweeps that were not asked for."""
    state = config.stash[STATE]
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        names = {_sweep_of(value) for value in _values(item)}
        (kept if names <= set(state.wanted) else dropped).append(item)
    if dropped:
        items[:] = kept
        config.hook.pytest_deselected(items=dropped)
        state.deselected = True
    state.collected = True


def start(session: pytest.Session) -> None:
    """Start the sweep session with what is left after every deselection.

    Raises
    ------
    pytest.UsageError
        Where what was asked for cannot be run.
    """
    config = session.config
    state = config.stash[STATE]
    if not state.wanted or not state.collected:
        return
    if session.testsfailed and not config.getoption("continue_on_collection_errors"):
        return
    _chosen(state)
    if config.getoption("collectonly"):
        return
    selected: dict[str, dict[str, Run]] = {name: {} for name in state.wanted}
    for item in session.items:
        for value in _values(item):
            if isinstance(value, RunItem):
                selected[value.planned.sweep][value.planned.id] = value.planned
    _open(config, {name: runs.values() for name, runs in selected.items()})


def announce(config: pytest.Config) -> list[str]:
    """Return what the session trains with, and for each sweep its size and what is stored."""
    state = config.stash[STATE]
    session = state.slot.session
    if session is None:
        return []
    lines = [line for line in [session.trained_with()] if line]
    settings = state.settings
    for name in state.wanted:
        steps = settings.selection.steps or state.sweeps[name].steps
        stored = f"{session.stored(name)} in the store{session.not_counted(name)}"
        if settings.fresh:
            stored = "all to be trained anew"
        until = ", trained until all is answered" * (settings.selection.until == ANSWERED)
        lines.append(
            f"sweep {name}: {session.planned(name)} runs of up to {steps} steps, {stored}{until}"
        )
    lines += [f"baseline: {line}" for line in session.baseline_read]
    for name, (path, supported) in session.references().items():
        lines.append(
            f"sweep {name}: compared with {_shown(path, config)}, which supports {supported} of "
            f"its questions"
        )
    return lines


def add_properties(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Hand an item's properties to pytest, before it makes the report that carries them."""
    if call.when == "call":
        for value in _values(item):
            item.user_properties.extend(value.properties)


def categorise(
    item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport
) -> pytest.TestReport:
    """Mark the report of an item that neither passed nor failed; shorten a user's errors."""
    if call.when != "call":
        return report
    for value in _values(item):
        if value.category is not None and report.skipped:
            report.__dict__[CATEGORY] = value.category
        if call.excinfo is not None and isinstance(call.excinfo.value, HarnessError):
            report.longrepr = str(call.excinfo.value)
    return report


def status(report: pytest.TestReport) -> tuple[str, str, Any] | None:
    """Return category, letter and word of a report that has a category of its own."""
    category = getattr(report, CATEGORY, None)
    if category is None:
        return None
    letter, word, colour = LETTERS.get(category, ("f", category.upper(), "red"))
    return category, letter, (word, {colour: True})


def finish(session: pytest.Session) -> None:
    """Write the report of every chosen sweep and end the session."""
    state = session.config.stash[STATE]
    sweeps = state.slot.session
    if sweeps is None:
        return
    from harness.report.renderers.write import write_report

    try:
        sweeps.stop()
        if state.role == "controller":
            sweeps.recall()
    except HarnessError as error:
        state.problems.append(f"results of this session could not be saved: {error}")
    if state.role == "worker":
        vars(session.config)["workeroutput"][distributed.PROBLEMS] = state.problems
        return
    for name in state.wanted:
        try:
            report = sweeps.report(name)
        except HarnessError as error:
            state.problems.append(f"no report of sweep {name}: {error}")
            continue
        try:
            folder = sweeps.report_folder(name)
            write_report(report, folder)
            state.reports.append((report, folder))
        except UsageError as error:
            state.reports.append((report, str(error)))
    close(session.config)
    if state.problems and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def summarise(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the reports, where their files are, and what to do where nothing was chosen."""
    config = terminalreporter.config
    state = config.stash[STATE]
    if state.deselected and not state.wanted:
        terminalreporter.write_line("")
        for line in _offer(state):
            terminalreporter.write_line(line)
    for problem in state.problems:
        terminalreporter.write_line(f"sweep: error: {problem}", red=True)
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
            terminalreporter.write_line(
                f"\nreport: {_shown(where, config)}/report.{{html,md,json}}"
            )
        else:
            terminalreporter.write_line(f"\nreport not written: {where}", red=True)


def close(config: pytest.Config) -> None:
    """Stop the workers where nothing else has."""
    state = config.stash.get(STATE, None)
    if state is None or state.slot.session is None:
        return
    try:
        state.slot.session.close()
    except HarnessError as error:
        state.problems.append(str(error))


def _chosen(state: State) -> dict[str, Sweep]:
    """Return the sweeps that were asked for.

    Raises
    ------
    pytest.UsageError
        Where one of them is not there.
    """
    for name in state.wanted:
        if name not in state.found:
            known = ", ".join(state.found) or "none; give their folder, as experiments/"
            raise pytest.UsageError(
                f"no sweep {name!r} was collected{nearest(name, state.found)} (there is: {known})"
            )
    return {name: state.sweeps[name] for name in state.wanted}


def _open(config: pytest.Config, selected: Mapping[str, Iterable[Run]]) -> None:
    """Open a session for the selected runs of each chosen sweep.

    Raises
    ------
    pytest.UsageError
        Where what was asked for cannot be run.
    """
    state = config.stash[STATE]
    session = SweepSession(state.settings, state.sweeps, _observer(config))
    try:
        if state.settings.selection.arms:
            check_arms(state.settings.selection.arms, _chosen(state).values())
        session.choose(selected)
    except HarnessError as error:
        session.close()
        raise pytest.UsageError(str(error)) from None
    state.slot.session = session
    interrupts.heed_sigterm()


def _remember(state: State, sweep: Sweep, file: Path) -> None:
    other, where = state.found.setdefault(sweep.name, (sweep, file))
    if other is not sweep:
        raise UsageError(
            f"sweep {sweep.name!r} is declared in {where.name} and in {file.name}: rename one"
        )


def _runs(state: State, sweep: Sweep) -> Sequence[Run]:
    return planned(sweep, state.settings.selection) if sweep.name in state.wanted else sweep.plan()


def _values(item: pytest.Item) -> Iterator[Item]:
    callspec = getattr(item, "callspec", None)
    params: Mapping[str, object] = callspec.params if callspec is not None else {}
    return (value for value in params.values() if isinstance(value, Item))


def _sweep_of(value: Item) -> str:
    if isinstance(value, RunItem):
        return value.planned.sweep
    if isinstance(value, QuestionItem):
        return value.sweep.name
    assert isinstance(value, SweepItem)
    return value.name


def _offer(state: State) -> Iterator[str]:
    yield "sweeps here, run with --sweep NAME:"
    for name, sweep in state.sweeps.items():
        beside = sum(1 for run in sweep.plan() if run.arm != MAIN)
        arms = f" and {beside} in arms" if beside else ""
        yield f"  {name}: {sweep.runs} runs of {sweep.steps} steps{arms}"


def _observer(config: pytest.Config) -> Observer:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.get_verbosity() < 0:
        return Observer()
    writer = config.get_terminal_writer()
    capture = config.pluginmanager.get_plugin("capturemanager")
    uncaptured = capture.global_and_fixture_disabled if capture is not None else nullcontext
    if writer._file.isatty():
        column = partial(getattr, writer, "width_of_current_line")
        return LiveLine(writer._file, writer.fullwidth, column, uncaptured)
    return LogLine(writer._file, writer.fullwidth, uncaptured)


def _shown(path: Path, config: pytest.Config) -> str:
    here = config.invocation_params.dir
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
