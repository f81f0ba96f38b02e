"""The pytest plugin: its options, and the hooks that every pytest run calls.

A project without sweeps must not pay for them, so nothing here imports more than the options. The
hooks of a run with sweeps are those of `state`, `collection`, `reporting`, `failures`,
`progress` and `signals`. They are registered when an option of the plugin is given, or when a
module that declares a sweep is collected.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import HarnessError
from harness.session.arguments import names
from harness.session.options import OPTIONS

if TYPE_CHECKING:
    from harness.plugin.gate import SweepGate

SWEEP: dict[str, Any] = dict(
    metavar="NAME[,NAME]",
    action="extend",
    type=names,
    help="run these sweeps; without it their items are deselected",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the sweep group."""
    group = parser.getgroup("sweep", "hyperparameter sweeps (pytest-sweep)")
    group.addoption("--sweep", **SWEEP)
    for name, keywords in OPTIONS.items():
        group.addoption(f"--sweep-{name}", **keywords)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hooks that a sweep calls."""
    from harness.plugin import hooks

    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options' values, if any is given, before anything is collected."""
    defaults = {name: keywords.get("default") for name, keywords in OPTIONS.items()}
    given = (config.getoption(f"--sweep-{name}") != usual for name, usual in defaults.items())
    if config.getoption("--sweep") or any(given):
        _register_hooks(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every run and every question of a module's sweeps an item of its own."""
    asks = {"run", "question", "sweep"}.intersection(metafunc.fixturenames)
    if asks and _declares_sweeps(metafunc.module):
        _register_hooks(metafunc.config)
        from harness.plugin.collection import parametrize

        parametrize(metafunc, asks)


@pytest.fixture
def sweep_gate(request: pytest.FixtureRequest) -> SweepGate:
    """Fail a test when the last nights of a nightly training are worse than those before.

    Called with tonight's metrics, as a file of JSON or a mapping, and the folder of those before:
    ``sweep_gate("metrics.json", "history")``. It skips the test while there are too few nights.
    """
    from harness.plugin.gate import SweepGate

    return SweepGate(request.node.user_properties)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Show a sweep that cannot be run as one line, not as a traceback."""
    report = yield
    excinfo = getattr(getattr(report, "call", None), "excinfo", None)
    if excinfo is not None and isinstance(excinfo.value, HarnessError):
        file = report.nodeid.split("::", maxsplit=1)[0]
        lines = [e.lineno + 1 for e in excinfo.traceback if str(e.path).endswith(file)]
        where = f"{file}:{lines[-1]}: " if lines else f"{file}: "
        report.longrepr = where + str(excinfo.value)
    return report


def _declares_sweeps(module: ModuleType) -> bool:
    loaded = sys.modules.get("harness.sweeps.sweep")  # no module has a sweep before this is loaded
    return loaded is not None and any(
        isinstance(value, loaded.Sweep) for value in vars(module).values()
    )


def _register_hooks(config: pytest.Config) -> None:
    from harness.plugin import collection, failures, progress, reporting, signals, state

    for hooks in (state, collection, reporting, failures, progress, signals):
        if not config.pluginmanager.is_registered(hooks):
            config.pluginmanager.register(hooks, hooks.__name__)
