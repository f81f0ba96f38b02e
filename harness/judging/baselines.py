"""The baseline that an option names in place of the declared one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UnclearTableError, UsageError, nearest
from harness.metrics import DELTA_PERF, Metric
from harness.observations.repeats import merge
from harness.records import MAIN, Result
from harness.sweeps.baseline import ENDINGS, PUBLISHED, counted, is_table
from harness.sweeps.sweep import Sweep
from harness.text import exact, listed
from harness.verdicts import Baseline, Counts

if TYPE_CHECKING:
    from harness.store import Store

Named = str | Counts | Baseline
"""A named baseline: a stored sweep by its name, counts, or runs at hand."""


def name_of(baseline: Named) -> str:
    """Return the name of ``baseline`` in reports."""
    return baseline if isinstance(baseline, str) else baseline.name


def named(
    given: str,
    sweeps: Mapping[str, Sweep],
    running: Iterable[str],
    store: Store,
    judged: Iterable[str] = (),
    *,
    metrics: Iterable[Metric] = (DELTA_PERF,),
) -> Named:
    """Return the baseline that ``given`` names: counts, a table's runs, or the name of a sweep.

    Parameters
    ----------
    sweeps
        The sweeps that are declared here.
    running
        Names of the sweeps that this session runs: their runs need not be stored yet.
    judged
        Names of the sweeps that are judged, which cannot be their own baseline.
    metrics
        Those that the sweeps are judged by: a table is read by the one there is.

    Raises
    ------
    UsageError
        Where the table cannot be read without flags, or the sweep is neither stored nor about to
        be run.
    """
    if (counts := counted(given)) is not None:
        return counts
    if is_table(given):
        return of_table(given, sweeps, metrics)
    if given in set(judged):
        raise UsageError(
            f"baseline {given!r} is the sweep itself; name another, a table or published"
        )
    stored = {summary.sweep for summary in store.sweeps()}
    known = {PUBLISHED.name, *running, *stored}
    if given not in known:
        run_it = (
            f"; run it first or beside: --sweep {given},…"
            if given in sweeps
            else nearest(given, known) or f"; a table's name ends in {', '.join(ENDINGS)}"
        )
        raise UsageError(
            f"baseline {given!r} is not in the store, which has "
            f"{', '.join(sorted(stored)) or 'no sweeps yet'}{run_it}"
        )
    return given


def of_table(
    given: str, sweeps: Mapping[str, Sweep], metrics: Iterable[Metric] = (DELTA_PERF,)
) -> Baseline:
    """Return the main runs of the table ``given``, repeats of a configuration as their mean.

    Its name is the file's: without the ending, unless a sweep has that name. It is judged by the
    metric of the sweeps.
    """
    from harness.tables import ReadOptions, read_runs

    path = Path(given)
    metric, *others = set(metrics) or {DELTA_PERF}
    if others:
        each = listed(sorted(told(one) for one in (metric, *others)))
        raise UsageError(
            f"{path.name} would be compared with sweeps of several metrics, {each}: run those of "
            "one metric at a time"
        )
    asked = ReadOptions(every_budget=True)
    if metric != DELTA_PERF:
        target = metric.target if metric.knows_success else None
        asked = replace(asked, metric=metric.name, direction=metric.direction, target=target)
    try:
        reading = read_runs(given, asked)
        if metric == DELTA_PERF and not reading.metric.is_change:
            raise UnclearTableError(
                f"{path.name} has no column delta_perf, as stored runs have, and its runs would be "
                f"judged by {reading.metric.name}"
            )
    except UnclearTableError as error:
        raise UsageError(
            f"{error}. Here a baseline is read without flags: rename the columns of {path.name}, "
            f"or judge a table of your runs with the flags: sweep judge RUNS --baseline {path.name}"
        ) from None
    main = [result for result in reading.results if result.run.arm == MAIN]
    if not any(result.is_final for result in main):
        raise UsageError(
            f"{path.name} has no main run that finished with {metric.name}: there is nothing to "
            "compare with"
        )
    return _of_runs(path.name if reading.name in sweeps else reading.name, main, reading.notes)


def check_metric(sweep: str, ours: Metric, baseline: str, theirs: Metric) -> None:
    """Check that a sweep and its baseline are judged by one metric.

    Raises
    ------
    UsageError
        Naming both metrics, where they differ in the name, the direction or the target.
    """
    if ours != theirs:
        raise UsageError(
            f"sweep {sweep!r} is judged by {told(ours)}, and its baseline {baseline!r} by "
            f"{told(theirs)}: a comparison needs one metric, direction and target"
        )


def check_comparable(sweep: Sweep, baseline: Named | None, sweeps: Mapping[str, Sweep]) -> None:
    """Check that what is known of a baseline before its runs are looked up is of one metric.

    Raises
    ------
    UsageError
        As `check_metric`, for a declared baseline and for the published counts.
    """
    if isinstance(baseline, str) and baseline in sweeps:
        check_metric(sweep.name, sweep.judged_by, baseline, sweeps[baseline].judged_by)
    elif baseline == PUBLISHED:
        check_metric(sweep.name, sweep.judged_by, PUBLISHED.name, DELTA_PERF)


def told(metric: Metric) -> str:
    """Return a metric in words: ``val_loss (min, target 0.3)``."""
    if metric == DELTA_PERF:
        return metric.name
    target = f", target {exact(metric.target, plus=False)}" if metric.zero == "target" else ""
    return f"{metric.name} ({metric.direction}{target})"


def of_imported(name: str, main: Sequence[Result], metric: Metric = DELTA_PERF) -> Baseline:
    """Return the main runs of an imported sweep, read as those of the table they came from."""
    from harness.tables.units import is_score

    if metric == DELTA_PERF and not is_score(metric, main):
        raise UsageError(
            f"the runs of {name} were imported in another unit than scores from 0 to 1: divide "
            "percentages by 100, and import them again as another sweep"
        )
    tables = dict.fromkeys(str(result.environment.get("imported_from")) for result in main)
    return _of_runs(name, main, (f"{name} was imported from {', '.join(tables)}",))


def _of_runs(name: str, main: Sequence[Result], said: Iterable[str]) -> Baseline:
    repeats = merge(main)
    told = tuple(filter(None, (*said, repeats.note("its runs"))))
    return Baseline(name, repeats.results, told)
