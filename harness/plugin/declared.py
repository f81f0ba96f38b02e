"""Find the sweeps that pytest would collect, without making their items.

pytest reads its own configuration and imports the files, so that a sweep is found here where
``pytest --sweep`` finds it, and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
import traceback
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.errors import SweepError, UsageError
from harness.session.arguments import is_project, sweep_paths
from harness.sweeps.discovery import sweeps_in
from harness.sweeps.sweep import Sweep

GIVE = "give files or directories with sweeps"


@dataclass
class Declared:
    """The sweeps by name and the file of each, and the files that could not be read.

    ``read`` are all files that were imported. ``unread`` has a line for each that cannot be: its
    place, and what was raised there. ``patterns`` are those of the names of test files.
    """

    sweeps: dict[str, Sweep] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    read: set[Path] = field(default_factory=set)
    patterns: Sequence[str] = ("test_*.py", "*_test.py")
    unread: dict[Path, str] = field(default_factory=dict)


def discover(paths: Iterable[Path | str] = ()) -> dict[str, Sweep]:
    """Return the sweeps that `declared` finds, by name."""
    return declared(paths).sweeps


def in_project(experiments: Iterable[Path | str], root: Path) -> Declared:
    """Return the sweeps in ``experiments``, or else those of the project at ``root``.

    A project has them in ``experiments/`` at its root, or else where pytest looks. A folder that
    nothing says is a project has none: pytest would search all that is below it.

    Raises
    ------
    UsageError
        Where one of ``experiments`` does not exist, or pytest cannot be set up.
    SweepError
        Where two sweeps have the same name.
    """
    paths = sweep_paths(experiments, root)
    return declared(paths, root) if paths or is_project(root) else Declared()


def declared(paths: Iterable[Path | str] = (), root: Path | None = None) -> Declared:
    """Return the sweeps that pytest would collect from ``paths``.

    A path is a file, a directory, or the name of a package that can be imported. Without any,
    pytest looks where its configuration says, as if it were called in ``root``. The test files are
    imported anew by each call.

    Raises
    ------
    UsageError
        Where a path does not exist, or pytest cannot be set up.
    SweepError
        Where two sweeps have the same name.
    """
    arguments: list[str] = []
    options = ["-p", "no:unraisableexception"]  # it looks for garbage twice, all over the process
    for path in map(str, paths):
        if Path(path).exists():
            arguments.append(str(Path(path).absolute()))
        elif all(part.isidentifier() for part in path.split(".")):
            arguments.append(path)
            options.append("--pyargs")
        else:
            raise UsageError(f"{path} does not exist; {GIVE}")
    if importlib.util.find_spec("pytest_cov"):
        options.append("--no-cov")  # it would begin a file of its own
    known, printed, finder = set(sys.modules), io.StringIO(), _Finder()
    with (
        warnings.catch_warnings(action="ignore"),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        contextlib.chdir("." if arguments else root or "."),
    ):
        status = pytest.main([*options, *arguments], plugins=[finder])
    for name in set(sys.modules) - known:
        if finder.has_read(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]
    if isinstance(finder.error, pytest.UsageError):
        said = " ".join(" ".join(map(str, finder.error.args)).split())
        raise UsageError(f"{said}; {GIVE}")
    if finder.error is not None:
        raise finder.error
    if finder.path is None:
        said = " ".join(printed.getvalue().split()) or f"exit status {status}"
        raise UsageError(f"pytest cannot be set up here: {said.removeprefix('ERROR: ')}")
    sys.path[:] = finder.path  # pytest takes away what its configuration added
    return finder.found


def collect(session: pytest.Session, found: Declared) -> None:
    """Add to ``found`` the sweeps of the modules that pytest's ``session`` would collect.

    Raises
    ------
    SweepError
        Where two sweeps have the same name.
    """
    reader = _Reader(found)
    found.patterns = session.config.getini("python_files")
    manager = session.config.pluginmanager
    files = [argument.split("::", maxsplit=1)[0] for argument in session.config.args]
    manager.register(reader)
    terminal = manager.unregister(name="terminalreporter")  # nothing is collected to be run
    try:
        with warnings.catch_warnings(action="ignore"):
            session.perform_collect(files)
    finally:
        if terminal is not None:
            manager.register(terminal, "terminalreporter")
        manager.unregister(reader)
        session.testsfailed = 0


class _Reader:
    """A plugin that imports the modules which pytest collects, in the place of making items."""

    def __init__(self, found: Declared) -> None:
        self.found = found

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> pytest.CollectReport | None:
        """Read a file; directories are left to pytest."""
        if not isinstance(collector, pytest.File):
            return None
        is_doctest = type(collector).__module__ == "_pytest.doctest"
        if isinstance(collector, pytest.Module) and not is_doctest:
            self._read(collector)
        return pytest.CollectReport(collector.nodeid, "passed", None, [])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a directory that cannot be read."""
        if report.failed:
            self.found.unread[Path(report.nodeid)] = str(report.longrepr).splitlines()[-1]

    def _read(self, module: pytest.Module) -> None:
        self.found.read.add(module.path)
        try:
            sweeps = sweeps_in(module.obj)
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except pytest.skip.Exception:
            return
        except BaseException as error:  # noqa: BLE001  a user's file may raise anything
            self.found.unread[module.path] = _blame(module.path, error)
            return
        for sweep in sweeps:
            file = self.found.files.setdefault(sweep.name, module.path)
            if self.found.sweeps.setdefault(sweep.name, sweep) is not sweep:
                where = f"in {_shown(file)} and in {_shown(module.path)}"
                if file == module.path:
                    where = f"twice in {_shown(file)}"
                raise SweepError(f"sweep {sweep.name!r} is declared {where}; rename one")


class _Finder:
    """A plugin that ends pytest where it would begin its session."""

    def __init__(self) -> None:
        self.found = Declared()
        self.error: BaseException | None = None
        self.path: list[str] | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        """Collect without a session, which would start workers and write reports."""
        config.option.collectonly, config.option.sweep = True, None
        # This one would leave a thread and a socket, and there is nothing to run again.
        if (reruns := config.pluginmanager.get_plugin("rerunfailures")) is not None:
            config.pluginmanager.unregister(reruns)
        try:
            config._do_configure()
            collect(pytest.Session.from_config(config), self.found)
        except BaseException as error:  # noqa: BLE001  raised again outside, where pytest has ended
            self.error = error
        self.path = list(sys.path)
        return 0

    def has_read(self, file: str | None) -> bool:
        """Return whether ``file`` is one that pytest imports: a test file or a conftest.py."""
        return file is not None and (
            Path(file).name == "conftest.py" or Path(file) in self.found.read
        )


def _blame(file: Path, error: BaseException) -> str:
    """Return ``file:line: message`` for the last line of ``file`` that led to ``error``."""
    if isinstance(error, pytest.Collector.CollectError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(Path(error.filename))}:{error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == file]
    said = " ".join(str(error).split())
    if not isinstance(error, SweepError):
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"{_shown(file)}:{lines[-1] if lines else 1}: {said}"


def _shown(file: Path) -> str:
    """Return ``file`` relative to the working directory where it is below it."""
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)
