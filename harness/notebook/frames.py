"""Hand reports back as data frames, of whatever library there is."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import UsageError
from harness.records import Result, Value
from harness.tables.exporting import CONFIG, as_cell

if TYPE_CHECKING:
    from harness.report.blocks import SummaryLine
    from harness.report.model import Report

Library = Literal["pandas", "polars", "records"]
"""The kinds of table that are returned; records are a list of dictionaries."""

LIBRARIES: tuple[Library, ...] = ("pandas", "polars", "records")
"""The first that is installed is taken."""

Row = dict[str, Any]

RUNS = ("run", "arm", "pair", "seed", "steps", "status")
CURVES = ("run", "arm", "step", "perf", "se")
AUDIT = ("code", "severity", "message", "parameters")
"""The columns that a table has even where it has no rows."""

NESTED = {"config", "curve", "decided", "effect"}
"""Parts of a run or a question in a report that are no single cell."""


def library_of(asked: str | None, source: object = None) -> Library:
    """Return the library to hand tables back in: the one ``asked`` for, or else one there is.

    A data frame as ``source`` gets its own.

    Raises
    ------
    UsageError
        Where it is not known, or not installed.
    """
    if asked is None:
        own = type(source).__module__.partition(".")[0]
        return next(one for one in sorted(LIBRARIES, key=lambda one: one != own) if is_there(one))
    for known in LIBRARIES:
        if asked == known:
            if not is_there(known):
                raise UsageError(f"library={asked!r} is not installed: pip install {asked}")
            return known
    raise UsageError(f"library={asked!r} is not known; expected {', '.join(map(repr, LIBRARIES))}")


def is_there(library: Library) -> bool:
    """Return whether ``library`` can be imported."""
    return library == "records" or importlib.util.find_spec(library) is not None


def frame(
    rows: Sequence[Row],
    library: Library,
    columns: Iterable[str] = (),
) -> Any:  # noqa: ANN401 (a data frame of any library)
    """Return ``rows`` as a data frame, or as they are; ``columns`` are there without rows too."""
    if library == "pandas":
        import pandas

        return pandas.DataFrame(rows, columns=None if rows else list(columns))
    if library == "polars":
        import polars

        if not rows:
            return polars.DataFrame(schema=list(columns))
        return polars.DataFrame(rows, infer_schema_length=None, strict=False)
    return list(rows)


def long_frame(columns: Mapping[str, Sequence[object]], library: Library) -> Any:  # noqa: ANN401 (a data frame of any library)
    """Return columns of equal length as a data frame, or as a dictionary for each row."""
    if library == "pandas":
        import pandas

        return pandas.DataFrame(columns)
    if library == "polars":
        import polars

        return polars.DataFrame(columns, strict=False)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@dataclass(frozen=True, eq=False, repr=False)
class Reported:
    """Reports of finished runs. A notebook shows them; `print` writes them as text.

    ``reports`` has the report of each group of ``by``, with the group's values by column; there is
    one with no values where the runs were judged together. ``notes`` say how the runs were read or
    looked up.
    """

    reports: tuple[tuple[Mapping[str, Value], Report], ...]
    notes: tuple[str, ...]
    library: Library

    @property
    def report(self) -> Report:
        """Return the report; of several groups, that of the first."""
        return self.reports[0][1]

    @property
    def summary(self) -> tuple[str, ...]:
        """Return the answer of all groups in at most five lines."""
        return tuple(map(str, self.answer))

    @cached_property
    def answer(self) -> tuple[SummaryLine, ...]:
        """Return the lines of `summary` in their parts."""
        from harness.report.documents.summary import summary

        labels = [
            ", ".join(f"{name} {value}" for name, value in by.items()) for by, _ in self.reports
        ]
        return summary([report for _, report in self.reports], labels)

    @cached_property
    def groups(self) -> tuple[Row, ...]:
        """Return each report as values that JSON can hold, with its values ``by`` column."""
        from harness.report.renderers import as_json

        return tuple({"by": dict(by), **as_json.as_data(report)} for by, report in self.reports)

    @property
    def runs(self) -> Any:  # noqa: ANN401 (a data frame of any library)
        """Return the runs, a row each: a data frame if there is a library, else dictionaries.

        Those of all arms and statuses are among them. A parameter is a column ``config.NAME``.
        """
        rows = (
            {**by, **_run_row(result, written)} for by, result, written in self._runs_as_written()
        )
        return frame(list(rows), self.library, RUNS)

    @property
    def curves(self) -> Any:  # noqa: ANN401 (a data frame of any library)
        """Return the points of the learning curves, a row each, as `runs`.

        ``run`` is that of `runs`, ``perf`` is held-out perf after ``step`` steps of training, and
        ``se`` its standard error, where that is known.
        """
        rows = [
            {**by, "run": result.run.id, "arm": result.run.arm, **point}
            for by, result, written in self._runs_as_written()
            for point in written["curve"]
        ]
        return frame(rows, self.library, CURVES)

    @property
    def questions(self) -> Any:  # noqa: ANN401 (a data frame of any library)
        """Return the questions with their verdicts, a row each, as `runs`."""
        return frame(list(self._rows("questions")), self.library)

    @property
    def audit(self) -> Any:  # noqa: ANN401 (a data frame of any library)
        """Return the findings on the runs, a row each, as `runs`."""
        return frame(list(self._rows("audit")), self.library, AUDIT)

    def _rows(self, what: str) -> Iterator[Row]:
        for group in self.groups:
            for row in group[what]:
                yield {**group["by"], **_cells(row)}

    def _runs_as_written(self) -> Iterator[tuple[Mapping[str, Value], Result, Row]]:
        """Yield each run with its group's values, and as its report writes it."""
        from harness.report.renderers.as_json import run_data

        for (by, report), group in zip(self.reports, self.groups, strict=True):
            for result, written in zip(report.runs, group["runs"], strict=True):
                # A config with several seeds is one of the report's runs, but a row for each seed.
                for run in result.repeats:
                    yield by, run, run_data(run, report.metric, report.worth(result))
                if not result.repeats:
                    yield by, result, written

    def text(self, width: int = 80, *, colour: bool = False) -> str:
        """Return what a terminal shows, in lines of at most ``width`` characters (40 at least)."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.text(shutil.get_terminal_size().columns)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """Return the reports as a part of a page, for a notebook."""
        raise NotImplementedError

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Write ``report.html``, ``report.md`` and ``report.json`` into a folder.

        Of several groups, each has a folder of its own in it, named after its values.

        Raises
        ------
        UsageError
            Where the folder cannot be made or written to.
        """
        from harness.report.renderers.write import folder_of, write_report

        for by, report in self.reports:
            write_report(report, Path(folder) / folder_of(by))


def _run_row(result: Result, written: Row) -> Row:
    """Return a run as a row: its parameters after its status, the cells as in an export."""
    from harness.observations.health import health_columns

    cells = _cells({"run": written["id"], **written})
    cells.pop("id")
    parameters = {CONFIG + name: as_cell(value) for name, value in result.run.config.items()}
    before = {name: cells.pop(name) for name in RUNS}
    cells.pop("weights_moved", None)
    health = {name: column[0] for name, column in health_columns([result]).items()}
    return {**before, **parameters, **cells, **health}


def _cells(row: Mapping[str, Any]) -> Row:
    return {name: cell for name, cell in row.items() if name not in NESTED}
