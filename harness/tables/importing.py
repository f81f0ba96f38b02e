"""Turn the runs of a table into stored runs, with keys made of their content."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.metrics import DELTA_PERF, Metric
from harness.records import IMPORTED, ItemScores, Outcome, Result, digest
from harness.sweeps.baseline import counted, is_table
from harness.sweeps.sweep import NAME
from harness.tables.runs import CONDITIONS, Reading
from harness.tables.units import AS_ANY, is_score

NEEDED = "stored runs are judged by ΔPerf, perf after training less before, where more is better"
HOW = "name both ends by --before and --after, or store them by a metric: --metric COL"
"""The columns that a table must have to be imported, in words, and how to name others."""

_RUN = ("id", "arm", "pair", "seed", "steps")
_LATER = ("value", "clusters", "clusters_changed", "weights_moved")
"""Fields of an outcome that earlier versions did not have: a key has those that are not None."""

_OUTCOME = tuple(
    f.name for f in fields(Outcome) if f.name not in ("curve", "trace", "items", *_LATER)
)


def imported(reading: Reading, sweep: str | None) -> tuple[Result, ...]:
    """Return the runs of a table as stored runs of ``sweep``; if None, of the sweeps it names.

    Their keys are digests of all that is known of a run, and differ from those of runs trained
    here. The backend that the table names is kept in the run's environment, with the table's name.

    Raises
    ------
    UsageError
        Where the runs are judged by something other than ΔPerf and no metric was named, or their
        sweep is not known.
    """
    metric, judged_by = reading.metric, reading.judged_by
    own = not metric.is_change and metric.name != DELTA_PERF.name
    scored = own and _has_items(reading)
    named_so = scored or reading.is_ours or (judged_by is not None and not judged_by.inferred)
    if (own and not named_so) or (not own and (not metric.is_change or metric.minimised)):
        less = ", of which less is better" if metric.minimised else ""
        raise UsageError(
            f"{Path(reading.source).name} is judged by {metric.name}{less}, and {NEEDED}: {HOW}; "
            "sweep judge takes any metric"
        )
    known = any(result.outcome.delta_perf is not None for result in reading.results)
    if known and not own and not is_score(metric, reading.results):
        raise UsageError(
            f"{Path(reading.source).name} has numbers that are no scores from 0 to 1, as stored "
            f"runs have: divide percentages by 100; sweep judge takes any unit, by {AS_ANY}"
        )
    results, named = reading.results, tuple[str, ...]()
    if reading.is_ours:
        named = tuple(dict.fromkeys(result.run.sweep for result in results))
        results = _plain_ids(results)
    if sweep is None and not named:
        raise UsageError(f"name the sweep of the runs in {reading.source}: --sweep NAME")
    if sweep is not None and len(named) > 1:
        raise UsageError(
            f"{Path(reading.source).name} has runs of several sweeps, {', '.join(named)}: leave "
            "--sweep out, or export one of them"
        )
    for name in named if sweep is None else (sweep,):
        _check_name(name)
    if own:
        results = tuple(_by_value(result, metric) for result in results)
    return tuple(_imported(result, sweep or result.run.sweep, reading) for result in results)


def _by_value(result: Result, metric: Metric) -> Result:
    """Return a run judged by its own metric as it is stored: its values as they were measured."""
    outcome = result.outcome
    raw = replace(
        outcome,
        delta_perf=None,
        curve=tuple(point._replace(perf=metric.change(point.perf)) for point in outcome.curve),
    )
    under = replace(result.conditions, metric=metric.name, direction=metric.direction)
    return replace(result, outcome=raw, conditions=under)


def _check_name(name: str) -> None:
    """Check that ``name`` can be a sweep's, so that it can also be named as a baseline."""
    if not NAME.fullmatch(name) or is_table(name) or counted(name):
        raise UsageError(
            f"sweep name {name!r}: use letters, digits, '_' and '.', a letter or digit first; not "
            "the ending of a table, and not published"
        )


def _imported(result: Result, sweep: str, reading: Reading) -> Result:
    named = result.conditions.backend
    return replace(
        result,
        key=IMPORTED + digest(_content(result)),
        run=replace(result.run, sweep=sweep),
        conditions=replace(
            CONDITIONS,
            trainer=IMPORTED,
            backend=IMPORTED,
            trainer_version=result.conditions.trainer_version,
            metric=result.conditions.metric,
            direction=result.conditions.direction,
        ),
        environment={
            "imported_from": Path(reading.source).name,
            **({"backend": named} if named else {}),
        },
    )


def _content(result: Result) -> dict[str, Any]:
    """Return all that is known of a run except its sweep and its place in the table."""
    metric = result.conditions.metric
    return {
        **({metric: result.outcome.value} if metric else {}),
        **{name: getattr(result.run, name) for name in _RUN},
        "config": dict(result.run.config),
        "outcome": {name: getattr(result.outcome, name) for name in _OUTCOME}
        | {name: known for name in _LATER if (known := getattr(result.outcome, name)) is not None},
        **_items(result.outcome.items),
        "curve": [
            (point.step, point.perf, None if math.isnan(point.se) else point.se)
            for point in result.outcome.curve
        ],
    }


def _items(items: ItemScores | None) -> dict[str, Any]:
    if items is None:
        return {}
    names = ("after", "before", "ids", "clusters")
    return {"items": {name: list(getattr(items, name)) for name in names}}


def _has_items(reading: Reading) -> bool:
    """Return whether runs have scores by item that make up their metric: all of them, or none.

    Raises `UsageError` where some have and others have not.
    """
    done = [result for result in reading.results if result.outcome.status == "completed"]
    if all(result.outcome.items is None for result in done):
        return False
    for result in done:
        if result.outcome.items is None:
            raise UsageError(
                f"{result.run.id} has no scores by item that make up its {reading.metric.name}, "
                "and others have: log the samples of each evaluation (lm-eval: --log_samples)"
            )
    return True


def _plain_ids(results: Sequence[Result]) -> tuple[Result, ...]:
    """Return results with the ids they had before an export made them unique.

    Two runs of one sweep that had the same id keep the exported ones.
    """
    plain = {r.run.id: re.sub(r"@[0-9a-f]{8}$", "", r.run.id) for r in results}
    times = Counter((result.run.sweep, plain[result.run.id]) for result in results)
    names = {
        r.run.id: plain[r.run.id] if times[r.run.sweep, plain[r.run.id]] == 1 else r.run.id
        for r in results
    }
    return tuple(
        replace(r, run=replace(r.run, id=names[r.run.id], pair=names.get(r.run.pair or "")))
        for r in results
    )
