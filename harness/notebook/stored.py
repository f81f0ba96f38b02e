"""Load a stored sweep: its runs, learning curves and verdicts, as data frames."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError, nearest
from harness.notebook.frames import Library, Reported, library_of, long_frame
from harness.records import Result, StepTrace, is_whole
from harness.session.arguments import STORE, home, root, sweep_paths
from harness.sweeps.baseline import is_table
from harness.sweeps.plan import UNTIL, Selection, check_arms, check_until, place
from harness.sweeps.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.plugin.declared import Declared
    from harness.store import Store


ITEMS = ("run", "arm", "item", "cluster", "before", "after")
"""The columns of scores by item."""


def load(
    name: str,
    *,
    store: str | Path | None = None,
    experiments: str | Path | Iterable[str | Path] = (),
    baseline: str | None = None,
    runs: int | None = None,
    steps: int | None = None,
    seeds: int | None = None,
    arms: Iterable[str] | None = None,
    backend: str = "auto",
    precision: str = "float32",
    until: str = UNTIL[0],
    library: Library | None = None,
) -> StoredSweep:
    """Load a stored sweep, judged as ``sweep report`` does with the options of these names.

    Nothing is trained or written. The sweep files of the project are imported, as pytest does, to
    know what the sweep asks; of a sweep that none declares there are the runs, their learning
    curves and the audit.

    Parameters
    ----------
    name
        The name of the sweep.
    store
        The path or URL of the store; by default that of the project, which is looked for from the
        working directory upwards.
    experiments
        Files, folders or packages with sweep files; by default those of the project.
    baseline
        A stored sweep, a table, the counts "6/19" or "published", in place of the declared
        baseline.
    runs, steps, seeds, arms
        The part of the sweep to judge: the first main runs, runs of so many steps, each config by
        its first seeds, these arms. All by default.
    backend, precision
        The backend, "auto", "torch" or "jax", and the precision that the runs were trained with.
    until
        "answered" where training was to stop once no further run could change an answer.
    library
        What tables are handed back as: "pandas", "polars", or "records", which are lists of
        dictionaries. By default the first of these that is installed.

    Returns
    -------
    StoredSweep
        As the last line in a cell of a notebook it shows the report.

    Raises
    ------
    UsageError
        Where there is no such sweep, or an argument cannot be used.
    StoreError
        Where there is no store, or it cannot be read.
    """
    from harness.judging.stored import judge_stored, judge_undeclared
    from harness.report.model import build
    from harness.store import Store

    wanted = library_of(library)
    here = Path.cwd()
    paths = [experiments] if isinstance(experiments, str | Path) else list(experiments)
    at = root(paths, here)
    _check_name(name)
    with (
        Store.open(store_url(store, at, here), create=False, read_only=True) as opened,
        _declared(paths, at) as found,
    ):
        sweep = found.sweeps.get(name)
        if sweep is None:
            why, results = _undeclared(name, opened, found)
            judgement, notes = judge_undeclared(name, results)
        else:
            selection = _selection(
                sweep,
                runs=runs,
                steps=steps,
                seeds=seeds,
                arms=None if arms is None else tuple([arms] if isinstance(arms, str) else arms),
                backend=backend,
                precision=precision,
                until=check_until(until),
                place=place(map(os.path.relpath, sweep_paths(paths, at)), here),
            )
            judged = judge_stored(sweep, found.sweeps, opened, selection, baseline)
            why, judgement, notes = "", judged.judgement, judged.notes
    return StoredSweep((({}, build(judgement)),), notes, wanted, why)


def _check_name(name: object) -> None:
    """Raise a UsageError where a table is given in place of the name of a sweep."""
    if not isinstance(name, str):
        raise UsageError(
            f"a {type(name).__name__} is not the name of a sweep; a data frame is judged by "
            "harness.judge(frame)"
        )
    if is_table(name):
        raise UsageError(f"{name!r} is a table: harness.judge({name!r}) judges it")


def store_url(given: str | Path | None, at: Path, here: Path) -> str:
    """Return the URL or path of the store: the one ``given``, or that of the project ``at``."""
    return str(given) if given is not None else str(home(None, at, here) / STORE)


@contextmanager
def _declared(experiments: list[str | Path], at: Path) -> Iterator[Declared]:
    """Import the sweep files, and leave modules and path of this process as they were."""
    from harness.executors.load import forget_project
    from harness.plugin.declared import in_project

    modules, path = frozenset(sys.modules), tuple(sys.path)
    try:
        yield in_project(experiments, at)
    finally:
        forget_project(at, modules, path)


def _selection(sweep: Sweep, **asked: Any) -> Selection:  # noqa: ANN401 (fields of a Selection)
    """Return the part of ``sweep`` that is asked for."""
    for name in ("runs", "steps", "seeds"):
        if asked[name] is not None and not (is_whole(asked[name]) and asked[name] >= 1):
            raise UsageError(f"{name}={asked[name]!r} is not a whole number of at least 1")
    check_arms(asked["arms"] or (), [sweep])
    return Selection(**asked)


def _undeclared(name: str, store: Store, found: Declared) -> tuple[str, tuple[Result, ...]]:
    """Return why a stored sweep asks nothing, and its runs.

    Raises
    ------
    UsageError
        Where it is not stored either.
    """
    results = store.results(sweep=name)
    unread = "".join(f"; not read: {line}" for line in found.unread.values())
    if not results:
        known = sorted({*found.sweeps, *(summary.sweep for summary in store.sweeps())})
        there = f"there are {', '.join(known)}" if known else "there is none"
        raise UsageError(
            f"no sweep {name!r} is declared or stored; {there}{nearest(name, known)}{unread}"
        )
    why = f"sweep {name!r} is stored, but no sweep file declares it, and so it asks nothing"
    return f"{why}{unread}", results


@dataclass(frozen=True, eq=False, repr=False)
class StoredSweep(Reported):
    """A sweep of the store, judged. A notebook shows its report; `print` writes it as text.

    ``asks_nothing`` says why there are no questions, where no sweep file declares the sweep.
    """

    asks_nothing: str = ""

    @property
    def data(self) -> Mapping[str, Any]:
        """Return all of it as values that JSON can hold, as ``sweep report --json`` prints it."""
        (whole,) = self.groups
        return {name: of for name, of in whole.items() if name != "by"}

    @property
    def questions(self) -> Any:  # noqa: ANN401 (a data frame of any library)
        """Return the questions with their verdicts, a row each, as `runs`.

        Raises
        ------
        UsageError
            Where no sweep file declares the sweep: it asks nothing.
        """
        if self.asks_nothing:
            raise UsageError(
                f"{self.asks_nothing}; to judge its runs: harness.judge(loaded.runs, "
                "curves=loaded.curves)"
            )
        return super().questions

    @property
    def trace(self) -> Any:  # noqa: ANN401 (a data frame of any library)
        """Return what was measured at each step of training, a row each, as `runs`.

        A training function of the user's own may have measured nothing.
        """
        steps = [(r.run, step) for r in self.report.singles for step in r.outcome.trace]
        measured = {
            field.name: [getattr(step, field.name) for _, step in steps]
            for field in fields(StepTrace)
            if field.name != "parts"
        }
        # The rewards that make up a sum, each by its own name.
        parts = [dict(step.parts) for _, step in steps]
        for name in dict.fromkeys(name for found in parts for name in found):
            measured[f"reward.{name}"] = [found.get(name) for found in parts]
        of = {"run": [run.id for run, _ in steps], "arm": [run.arm for run, _ in steps]}
        return long_frame(of | measured, self.library)

    @property
    def items(self) -> Any:  # noqa: ANN401 (a data frame of any library)
        """Return the scores of the held-out items, a row for each run and item, as `runs`.

        ``item`` is its id, or its position from 1 where it has none; ``before`` and ``after`` are
        its scores before and after training. They and the ``cluster`` are missing where not known.
        """
        from harness.observations.items import item_names

        columns: dict[str, list[Any]] = {name: [] for name in ITEMS}
        for result in self.report.singles:
            if (items := result.outcome.items) is not None:
                count = len(items.after)
                columns["run"] += [result.run.id] * count
                columns["arm"] += [result.run.arm] * count
                columns["item"] += item_names(items)
                columns["cluster"] += list(items.clusters) or [None] * count
                columns["before"] += list(items.before) or [None] * count
                columns["after"] += items.after
        return long_frame(columns, self.library)

    def text(self, width: int = 80, *, colour: bool = False) -> str:
        """Return what a terminal shows, in lines of at most ``width`` characters (40 at least)."""
        from harness.report.renderers import terminal

        preface = [line for line in (self.asks_nothing, *self.notes) if line]
        return terminal.render(self.report, width, colour=colour, preface=preface)

    def _repr_html_(self) -> str:
        """Return the report as a part of a page, for a notebook."""
        from harness.report.renderers import html

        about = "How the runs were looked up"
        return html.fragment([self.report], self.notes, about=about, first=self.asks_nothing)
