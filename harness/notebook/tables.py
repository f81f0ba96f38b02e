"""Judge a table: for ``sweep judge``, and from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import UsageError
from harness.metrics import DELTA_PERF, Metric
from harness.notebook.frames import Library, Reported, library_of
from harness.notebook.stored import store_url
from harness.records import Result, Value
from harness.sweeps.baseline import counted, is_table
from harness.verdicts import Baseline, Counts

if TYPE_CHECKING:
    from harness.judging.table import Judged
    from harness.judging.table_questions import Terms
    from harness.tables import Reading, ReadOptions

Names = str | Iterable[str]
"""Columns: one name, several with commas between them, or several names."""

Stored = Callable[[str], tuple[Result, ...]]
"""The name of a stored sweep → its runs."""


def judge(
    source: Any,  # noqa: ANN401 (a data frame of any library)
    *,
    metric: str | None = None,
    direction: Literal["max", "min"] | None = None,
    before: str | None = None,
    after: str | None = None,
    target: float | None = None,
    params: Names = (),
    ignore: Names = (),
    by: Names = (),
    baseline: Any = None,  # noqa: ANN401 (a data frame of any library)
    curves: Any = None,  # noqa: ANN401 (a data frame of any library)
    at: int | None = None,
    clusters: str | None = None,
    before_log: str | None = None,
    success_above: float = 0.5,
    reference: Mapping[str, Value] | None = None,
    margin: float | None = None,
    min_gain: float | None = None,
    store: str | Path | None = None,
    library: Library | None = None,
) -> JudgedTable:
    """Judge a table of finished runs, as ``sweep judge`` does with the options of these names.

    Parameters
    ----------
    source
        A data frame of pandas, polars, pyarrow or another library; a list of dictionaries; or a
        path as ``sweep judge`` takes it.
    metric, direction, before, after, target, params, ignore, by
        Which columns are judged, how, and within which groups.
    baseline
        Another table or data frame, the counts "6/19", "published", or the name of a stored sweep.
    curves
        A long table or data frame with the columns run, step, perf and optionally se.
    at
        The step of the curves to judge runs at.
    clusters, before_log
        Of logs of evaluations, of which a tuple may name several: the field of an item that names
        its cluster, and the model or id of those that were made before training.
    success_above
        The success rate to be above, from 0 to 1.
    reference
        Parameter → the value to ask of whether it is no worse than the others.
    margin, min_gain
        The difference that matters and the least gain, in the metric's unit.
    store
        The path or URL of the store with the baseline; by default that of this project.
    library
        What tables are handed back as: "pandas", "polars", or "records", which are lists of
        dictionaries. By default as ``source``, or else the first of these that is installed.

    Returns
    -------
    JudgedTable
        As the last line in a cell of a notebook it shows the report.

    Raises
    ------
    UsageError
        Where the table cannot be read or does not say what is asked for; the message is that of
        ``sweep judge``.
    """
    from harness.judging.table_questions import Terms
    from harness.tables import ReadOptions

    if not 0.0 <= success_above <= 1.0:
        raise UsageError(f"success_above={success_above!r} is not a share from 0 to 1")
    for name, given in (("margin", margin), ("min_gain", min_gain)):
        if given is not None and not 0.0 < given < float("inf"):
            raise UsageError(f"{name}={given!r} is not a number above 0")
    asked = ReadOptions(
        params=_names(params),
        ignore=_names(ignore),
        before=before,
        after=after,
        metric=metric,
        direction=direction,
        target=target,
        by=_names(by),
        curves=curves,
        at=at,
        clusters=clusters,
        before_log=before_log,
    )
    terms = Terms(
        margin=margin,
        min_gain=min_gain,
        success_above=success_above,
        references=dict(reference or {}),
    )
    stored = partial(_stored, store=store)
    return judged_table(source, asked, terms, baseline, stored, library=library_of(library, source))


def judged_table(
    source: Any,  # noqa: ANN401 (a data frame of any library)
    asked: ReadOptions,
    terms: Terms,
    baseline: Any,  # noqa: ANN401 (a data frame of any library)
    stored: Stored,
    *,
    library: Library = "records",
) -> JudgedTable:
    """Read a table and judge it; ``stored`` looks a baseline up that is a stored sweep.

    Raises
    ------
    UsageError
        Where the table or its baseline cannot be read, or they do not say what is asked for.
    """
    from harness.judging.table import judge_table
    from harness.report.model import build
    from harness.tables import canonical, read_runs

    reading = read_runs(source, asked)
    against, said = _against(baseline, asked, reading, stored)
    references = {
        name if name in reading.parameters else canonical(name): value
        for name, value in terms.references.items()
    }
    judged = judge_table(reading, against, replace(terms, references=references))
    reports = tuple((group.by, build(group.judgement)) for group in judged.groups)
    notes = (*reading.notes, *said, *judged.notes)
    return JudgedTable(reports, notes, library, judged, reading)


def _names(given: Names) -> tuple[str, ...]:
    words = given.split(",") if isinstance(given, str) else given
    return tuple(dict.fromkeys(word.strip() for word in words if word.strip()))


# ---- the baseline --------------------------------------------------------------------------------


def _against(
    given: Any,  # noqa: ANN401 (a data frame of any library)
    asked: ReadOptions,
    reading: Reading,
    stored: Stored,
) -> tuple[Reading | Baseline | Counts | None, tuple[str, ...]]:
    """Return the baseline, with notes on how it was read."""
    if given is None or isinstance(given, Counts):
        return given, ()
    if isinstance(given, str):
        if (counts := counted(given)) is not None:
            return counts, ()
        if not is_table(given):
            return Baseline(given, _judged_alike(given, stored(given), reading)), ()
    from harness.tables import read_runs

    # The baseline may have none of the columns that the runs are grouped by.
    alike = replace(asked, by=(), curves=None, at=None, may_lack=True, **_metric_of(reading))
    other = read_runs(given, alike)
    if other.metric != reading.metric:
        raise UsageError(
            f"{other.source} is judged by {other.metric.name}, {reading.source} by "
            f"{reading.metric.name}: name one metric for both, as --metric COL"
        )
    return other, tuple(f"baseline: {line}" for line in other.notes)


def _metric_of(reading: Reading) -> dict[str, Any]:
    """Return the options that judge another table by what ``reading`` was judged by."""
    judged_by = reading.judged_by
    if judged_by is None or not judged_by.inferred:
        return {}
    way = judged_by.metric.direction
    if judged_by.before is not None:
        return {"before": judged_by.before, "after": judged_by.value, "direction": way}
    return {"metric": judged_by.value, "direction": way}


def _judged_alike(name: str, results: tuple[Result, ...], reading: Reading) -> tuple[Result, ...]:
    """Return a stored sweep's runs, judged by the metric of a table.

    Raises
    ------
    UsageError
        Where they were trained for another metric, or the table's ΔPerf is no change of scores.
    """
    from harness.judging.baselines import told
    from harness.judging.evidence import judged_by
    from harness.tables.units import is_score

    metric = Metric.of(results[0].conditions)
    ours = reading.metric
    if not metric.is_change:
        ours = replace(ours, zero=metric.zero, target=metric.target)
    if ours != metric:
        raise UsageError(
            f"--baseline {name}: that sweep is judged by {told(metric)}, {reading.source} by "
            f"{told(reading.metric)}; give a table of the same metric"
        )
    if metric == DELTA_PERF and not is_score(metric, reading.results):
        raise UsageError(
            f"--baseline {name}: stored sweeps have scores from 0 to 1, and {reading.source} has "
            "other numbers: divide percentages by 100, or give a table in the same unit"
        )
    return judged_by(reading.metric, results)


def _stored(name: str, *, store: str | Path | None) -> tuple[Result, ...]:
    """Return the runs of a stored sweep, in the store of this project unless another is given."""
    from harness.judging.stored import undeclared
    from harness.session.arguments import root
    from harness.store import Store

    here = Path.cwd()
    url = store_url(store, root((), here), here)
    with Store.open(url, create=False, read_only=True) as opened:
        found = undeclared(name, opened.results(sweep=name, traces=False))
        if found is None:
            known = ", ".join(one.sweep for one in opened.sweeps()) or "none"
            raise UsageError(f"baseline={name!r}: no such sweep is in {url}, which has {known}")
    return found[0].runs


# ---- what was found ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class JudgedTable(Reported):
    """A judged table. A notebook shows its report; `print` writes it as text.

    ``judged`` are its groups with what pooling them would have hidden, and ``reading`` is how the
    table was read.
    """

    judged: Judged
    reading: Reading

    @cached_property
    def data(self) -> dict[str, Any]:
        """Return all of it as values that JSON can hold, as ``sweep judge --json`` prints it."""
        from harness.judging.reference import SCHEMA
        from harness.report.renderers import as_json

        reading, judged = self.reading, self.judged
        read = {
            "table": reading.source,
            "metric": as_json.metric_data(reading.metric),
            "inferred": reading.judged_by is not None and reading.judged_by.inferred,
            "parameters": list(reading.parameters),
            "set_aside": {reason: list(columns) for reason, columns in reading.set_aside.items()},
            "unit": "score from 0 to 1" if judged.scores else None,
            "margin": judged.terms.margin,
            "min_gain": judged.terms.min_gain,
            "read": list(self.notes),
        }
        if not reading.by:
            (whole,) = self.groups
            return {**{name: of for name, of in whole.items() if name != "by"}, **read}
        return {
            "schema": SCHEMA,
            "summary": list(self.summary),
            "sweep": reading.name,
            **read,
            "groups": list(self.groups),
            "pooling": [as_json.picked(finding, as_json.FINDING) for finding in judged.pooling],
        }

    def text(self, width: int = 80, *, colour: bool = False) -> str:
        """Return what a terminal shows, in lines of at most ``width`` characters (40 at least)."""
        from harness.report.renderers import terminal
        from harness.report.renderers.layout import wrap

        if len(self.reports) == 1:
            return terminal.render(self.report, width, colour=colour, preface=self.notes)
        texts = [terminal.summary_text(self.answer, width, colour=colour)]
        texts.append(
            "".join(f"{line}\n" for note in self.notes for line in wrap(note, width, hanging=2))
        )
        texts += [terminal.render(report, width, colour=colour) for _, report in self.reports]
        return "\n".join([*texts, self._compared(width)])

    def _compared(self, width: int) -> str:
        """Return the verdicts of all groups side by side, and the effect of pooling the groups."""
        from harness.report.blocks import Column, Table
        from harness.report.renderers.layout import table_text, wrap

        ids = dict.fromkeys(v.id for _, report in self.reports for v in report.asked)
        rows = {id_: [id_] for id_ in ids}
        columns = [Column(", ".join(self.reports[0][0]), right=False)]
        for by, report in self.reports:
            label = ", ".join(map(str, by.values()))
            columns.append(Column(label, right=False, wrap=True))
            found = {verdict.id: verdict.verdict for verdict in report.asked}
            for id_, row in rows.items():
                row.append(found.get(id_, ""))
        title = "Groups side by side, with Holm's correction over all of their questions"
        table = Table(tuple(columns), tuple(map(tuple, rows.values())))
        pooling = [f"{one.severity}: {one.code}: {one.message}" for one in self.judged.pooling]
        pooling = pooling or ["Pooling the groups would not have changed an answer."]
        lines = [*wrap(title, width, hanging=2), *table_text(table, width)]
        lines += [line for text in pooling for line in wrap(text, width, hanging=2)]
        return "".join(f"{line}\n" for line in lines)

    def _repr_html_(self) -> str:
        """Return the reports as a part of a page, for a notebook."""
        from harness.report.renderers import html

        reports = [report for _, report in self.reports]
        return html.fragment(reports, self.notes, about="How the table was read")
