"""From collected sweep files to a session: the items of runs and questions, and their selection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path

import pytest

from harness.errors import HarnessError, UsageError, nearest
from harness.plugin import signals
from harness.plugin.declared import Declared, collect
from harness.plugin.events import WorkersRuns, on_finished, open_trackers
from harness.plugin.items import QuestionItem, RunItem, SweepItem, question_id, sweep_of, values
from harness.plugin.progress import WorkersProgress, observer
from harness.plugin.settings import FORKED
from harness.plugin.state import STATE, State, shown
from harness.records import Run
from harness.session.session import SweepSession
from harness.sweeps.discovery import sweeps_in
from harness.sweeps.plan import ANSWERED, check_arms, planned
from harness.sweeps.sweep import Sweep
from harness.text import plural


def pytest_sessionstart(session: pytest.Session) -> None:
    """Check in xdist's controller, which collects nothing, that its workers can run the sweeps."""
    config = session.config
    state = config.stash[STATE]
    if state.role != "controller" or not state.wanted or not state.runs_tests:
        return
    try:
        collect(session, found := Declared())
        state.found = {name: (sweep, found.files[name]) for name, sweep in found.sweeps.items()}
        state.unread = list(found.unread.values())
        runs = {name: _runs(state, sweep) for name, sweep in _chosen(state).items()}
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None
    _open(config, runs)
    config.pluginmanager.register(WorkersProgress(state.slot.ready), "sweep-workers-progress")
    config.pluginmanager.register(WorkersRuns(state.slot.ready), "sweep-workers-runs")
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        for line in pytest_report_collectionfinish(config):
            reporter.write_line(line)


def parametrize(metafunc: pytest.Metafunc, asked: Set[str]) -> None:
    """Parametrize those of ``run``, ``question`` and ``sweep`` that a test asks for."""
    state = metafunc.config.stash[STATE]
    sweeps = sweeps_in(metafunc.module)  # none where all are imported from another module
    if not sweeps:
        return
    file = Path(metafunc.module.__file__ or "")
    for sweep in sweeps:
        _remember(state, sweep, file)
    if "run" in asked:
        runs = [RunItem(slot=state.slot, planned=run) for s in sweeps for run in _runs(state, s)]
        metafunc.parametrize("run", runs, ids=[item.planned.id for item in runs])
    if "question" in asked:
        questions = [
            QuestionItem(slot=state.slot, sweep=sweep, id=id_)
            for sweep in sweeps
            for id_ in sweep.questions
        ]
        ids = [question_id(item.sweep.name, item.id) for item in questions]
        metafunc.parametrize("question", questions, ids=ids)
    if "sweep" in asked:
        whole = [SweepItem(slot=state.slot, declared=sweep) for sweep in sweeps]
        metafunc.parametrize("sweep", whole, ids=[sweep.name for sweep in sweeps])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the items of sweeps that were not asked for."""
    state = config.stash[STATE]
    if state.role == "controller":
        return  # it has no items; its workers have
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        names = {sweep_of(value) for value in values(item)}
        (kept if names <= set(state.wanted) else dropped).append(item)
    for item in kept:
        if any(values(item)):
            _with_others(item)
    if dropped:
        items[:] = kept
        config.hook.pytest_deselected(items=dropped)
        state.deselected = True
    state.collected = True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the sweep session with the items that are left after every deselection."""
    config = session.config
    state = config.stash[STATE]
    if not state.wanted or not state.collected:
        return
    if session.testsfailed and not config.getoption("continue_on_collection_errors"):
        return
    _chosen(state)
    if not state.runs_tests:
        return
    selected: dict[str, dict[str, Run]] = {name: {} for name in state.wanted}
    for item in session.items:
        for value in values(item):
            if isinstance(value, RunItem):
                selected[value.planned.sweep][value.planned.id] = value.planned
    _open(config, {name: runs.values() for name, runs in selected.items()})


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what the session trains with, and each sweep's size and stored runs."""
    state = config.stash[STATE]
    session = state.slot.session
    if session is None:
        return []
    lines = list(filter(None, [session.trained_with()]))
    settings = state.settings
    for name in state.wanted:
        steps = settings.selection.steps or state.sweeps[name].steps
        stored = f"{session.stored(name)} in the store{session.not_counted(name)}"
        if settings.fresh:
            stored = "all to be trained anew"
        until = ", trained until all is answered" * (settings.selection.until == ANSWERED)
        lines.append(
            f"sweep {name}: {plural(session.planned(name), 'run')} of up to "
            f"{plural(steps, 'step')}, {stored}{until}"
        )
        if transfer := session.transfer_in_words(name):
            lines.append(f"sweep {name}: {transfer}")
        if changed := session.changed_since(name):
            lines.append(f"sweep {name}: {changed}")
    lines += [f"baseline: {line}" for line in session.baseline_read]
    for name, (path, supported) in session.references().items():
        lines.append(
            f"sweep {name}: compared with {shown(path, config)}, which supports {supported} of "
            f"its questions"
        )
    return lines


def _with_others(item: pytest.Item) -> None:
    """Fit an item of a sweep to what other plugins do to items.

    Raises
    ------
    pytest.UsageError
        Where pytest-forked would run it in a process of its own.
    """
    if item.get_closest_marker("forked"):
        raise pytest.UsageError(f"{item.nodeid} is marked to be forked: {FORKED}")
    loaded = item.config.pluginmanager.hasplugin
    timed = loaded("timeout") or loaded("pytest_timeout")  # installed, or named by -p
    if timed and item.get_closest_marker("timeout") is None:
        # pytest-timeout would count what an item waits for: the runs before its own.
        item.add_marker(pytest.mark.timeout(0))


def _chosen(state: State) -> dict[str, Sweep]:
    """Return the sweeps that were asked for, which must have been collected."""
    for name in state.wanted:
        if name not in state.found:
            known = ", ".join(state.found) or "none; give their folder, as experiments/"
            unread = "".join(f"; not read: {line}" for line in state.unread)
            raise pytest.UsageError(
                f"no sweep {name!r} was collected{nearest(name, state.found)} (there is: {known})"
                f"{unread}"
            )
    return {name: state.sweeps[name] for name in state.wanted}


def _open(config: pytest.Config, selected: Mapping[str, Iterable[Run]]) -> None:
    """Open a session for the selected runs of each chosen sweep."""
    state = config.stash[STATE]
    session = SweepSession(state.settings, state.sweeps, observer(config), on_finished(config))
    try:
        if state.settings.selection.arms:
            check_arms(state.settings.selection.arms, _chosen(state).values())
        session.choose(selected)
        state.slot.session = session
        open_trackers(config)
    except HarnessError as error:
        state.slot.session = None
        session.close()
        raise pytest.UsageError(str(error)) from None
    signals.heed()


def _remember(state: State, sweep: Sweep, file: Path) -> None:
    other, where = state.found.setdefault(sweep.name, (sweep, file))
    if other is not sweep:
        raise UsageError(
            f"sweep {sweep.name!r} is declared in {where.name} and in {file.name}: rename one"
        )


def _runs(state: State, sweep: Sweep) -> Sequence[Run]:
    return planned(sweep, state.settings.selection) if sweep.name in state.wanted else sweep.plan()
