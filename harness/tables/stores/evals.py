"""Logs of evaluations as a table: a row an evaluation, with the scores of its items beside it.

An evaluation is a run: the model and the settings are its parameters, and the mean score of its
items is its metric. Two evaluations become one run, with a score before training and one after,
only where the user says which were made before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, NamedTuple

import numpy as np

from harness import statistics
from harness.errors import UsageError, nearest
from harness.records import ItemScores, is_number
from harness.tables.stores.common import Row, as_table
from harness.tables.table import Direction, Table
from harness.text import first, plural

LogKind = Literal["Inspect", "lm-eval"]

CORRECT = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""Words for scores, as Inspect counts them."""

_CLOSE = 1e-6
"""The most that a mean of scores may differ from the metric in the log, as a share of it."""


class Sample(NamedTuple):
    """A scored sample of an item; ``score`` is None where it has none."""

    item: str
    score: float | None
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric of an evaluation: its value and standard error in the log, and its samples.

    ``items`` are None where the log has no samples of it, or their mean is another number.
    """

    value: float | None
    se: float | None = None
    items: ItemScores | None = None
    samples: int | None = None


@dataclass(frozen=True, slots=True)
class EvalLog:
    """An evaluation: its ``id``, what it may be called by, its settings and its metrics."""

    id: str
    names: frozenset[str]
    task: str
    model: str
    status: str
    created: str
    settings: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, Measured] = field(default_factory=dict)
    directions: Mapping[str, Direction] = field(default_factory=dict)


def measured(
    value: float | None, se: float | None, samples: Iterable[Sample], each: int | None = None
) -> Measured:
    """Return a metric with its samples by item, if their mean is the metric's value.

    ``each`` is the number of samples of an item, where one score stands for all of them.
    """
    scores: dict[str, list[float]] = {}
    clusters: dict[str, str] = {}
    for sample in samples:
        if sample.score is not None and math.isfinite(sample.score):
            scores.setdefault(sample.item, []).append(sample.score)
            clusters[sample.item] = sample.cluster
    if not scores:
        return Measured(value, se)
    means = tuple(map(fmean, scores.values()))
    mean = fmean(means)
    if value is not None and abs(mean - value) > _CLOSE * max(1.0, abs(value)):
        return Measured(value, se)
    given = any(clusters.values())
    names = tuple(clusters[item] or f"{item} alone" for item in scores) if given else ()
    counts = {len(some) for some in scores.values()}
    items = ItemScores(means, ids=tuple(scores), clusters=names)
    one = counts.pop() if len(counts) == 1 else None
    return Measured(mean, se, items, each if one == 1 and each is not None else one)


def score_of(value: object) -> float | None:
    """Return the number that a score stands for; None where it stands for none."""
    if isinstance(value, str):
        value = CORRECT.get(value, CORRECT.get(value.lower(), value))
    try:
        return float(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        return None


def cluster_of(places: Sequence[object], wanted: str) -> str:
    """Return the value of the field ``wanted``, ``a.b`` inside ``a``, in the first that has it."""
    for place in places:
        found: Any = place
        for name in wanted.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        if found is not None and not isinstance(found, dict | list):
            return str(found)
    return ""


def scalars(settings: Mapping[str, object]) -> dict[str, object]:
    """Return the settings that are numbers, text or truth values; the others have no column."""
    return {
        name: value
        for name, value in settings.items()
        if isinstance(value, str | bool) or is_number(value)
    }


def joined(*parts: tuple[str, Mapping[str, object]]) -> dict[str, object]:
    """Join settings of several kinds; one whose name is taken gets the name of its kind before."""
    found: dict[str, object] = {}
    for kind, settings in parts:
        for name, value in settings.items():
            found[f"{kind}.{name}" if name in found else name] = value
    return found


def loaded(text: str | bytes, path: Path, what: str) -> Any:  # noqa: ANN401 (whatever JSON has)
    """Return the JSON in ``text``; a UsageError of one line where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path.name} is not whole: {what} is not JSON ({str(error)[:120]}); was the "
            "evaluation interrupted, or the file cut off?"
        ) from error


# ---- the table -----------------------------------------------------------------------------------


def table_of(
    path: Path,
    kind: LogKind,
    logs: Sequence[EvalLog],
    *,
    clusters: str | None = None,
    before: str | None = None,
    metric: str | None = None,
) -> Table:
    """Return a row for each of ``logs``; with ``before``, for each that was made after training.

    ``clusters`` is the field of an item that names its cluster, ``before`` the model or the id of
    the evaluations before training, and ``metric`` what then is compared.

    Raises
    ------
    UsageError
        Where no item has that cluster, or an evaluation cannot be compared with one before.
    """
    if not logs:
        raise UsageError(f"{path} has no evaluation in it: there is nothing to read")
    items = [m.items for log in logs for m in log.metrics.values() if m.items is not None]
    if clusters is not None and not any(one.clusters for one in items):
        raise UsageError(
            f"--clusters {clusters}: no item in {path.name} has a field of that name "
            "(in Inspect's logs of the sample's metadata, in lm-eval's of the document)"
        )
    logs = sorted(logs, key=lambda log: (log.created, log.id))
    notes: tuple[str, ...] = (f"{plural(len(logs), 'evaluation')} by {kind}",)
    found: dict[str, dict[str, ItemScores]] = {}
    logs, left_out = _having(logs, metric)
    notes = (*notes, *left_out)
    if before is None:
        rows = [_row(log, found) for log in logs]
        ways = {f"metrics.{name}": way for log in logs for name, way in log.directions.items()}
    else:
        rows, said = _changes(logs, before, metric, found)
        notes, ways = (*notes, *said), {}
    return as_table(
        path,
        kind,
        rows,
        "evaluation",
        notes=notes,
        directions=ways,
        items=lambda column: found.get(column, {}),
    ).replaced(format=f"{kind}'s logs")


def _having(logs: Sequence[EvalLog], metric: str | None) -> tuple[Sequence[EvalLog], Iterator[str]]:
    """Return the evaluations whose task has the metric, and a note on the others.

    All of them where none has it, or none is named: what is asked for may be another column.
    """
    wanted = (metric or "").removeprefix("metrics.")
    tasks = {log.task for log in logs if wanted in log.metrics}
    kept = [log for log in logs if log.task in tasks] or logs
    left_out = len(logs) - len(kept)
    return kept, iter([f"without {wanted}, left out: {plural(left_out, 'evaluation')}"][:left_out])


def _about(log: EvalLog) -> Row:
    row: Row = {"run": log.id, "status": log.status, "created_at": log.created or None}
    settings = {"task": log.task, "model": log.model, **log.settings}
    return row | {f"config.{name}": value for name, value in settings.items()}


def _row(log: EvalLog, found: dict[str, dict[str, ItemScores]]) -> Row:
    row = _about(log)
    for name, one in log.metrics.items():
        column = f"metrics.{name}"
        row[column] = one.value
        row[f"{column}_stderr"] = one.se
        if one.items is not None:
            found.setdefault(column, {})[log.id] = one.items
            error, clusters, _ = errors(one.items.after, one.items.clusters)
            row[f"{column}_stderr"] = error if clusters is not None or one.se is None else one.se
    return row


def errors(
    values: Sequence[float], clusters: Sequence[str]
) -> tuple[float | None, float | None, int | None]:
    """Return the standard error of a mean, and by cluster their effective number and changes."""
    if not clusters:
        error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
        return error, None, None
    found = statistics.clustered_error(values, clusters)
    return None if math.isnan(found.se) else found.se, found.clusters, found.changed


def _changes(
    logs: Sequence[EvalLog],
    before: str,
    metric: str | None,
    found: dict[str, dict[str, ItemScores]],
) -> tuple[list[Row], Iterator[str]]:
    """Return the rows of the evaluations after training, and notes on what they rest on."""
    first_ones = [log for log in logs if before in log.names]
    if not first_ones:
        known = sorted({log.model for log in logs})
        raise UsageError(
            f"--before-log {before}: no evaluation of that model or id{nearest(before, known)}; "
            f"the models are {first(known, 6)}"
        )
    later = [log for log in logs if log not in first_ones and log.status == "completed"]
    if not later:
        raise UsageError(f"--before-log {before}: no other evaluation was completed")
    rows, left_out = [], 0
    for log in later:
        start = _start_of(log, first_ones, before)
        name = _metric_of(log, start, metric)
        both, apart = _paired(log, start, name)
        left_out += apart
        differences = np.subtract(both.after, both.before)
        error, _, _ = errors(differences.tolist(), both.clusters)
        samples = {one.metrics[name].samples for one in (log, start)}
        row = _about(log) | {
            "perf_before": fmean(both.before),
            "perf_after": fmean(both.after),
            "delta_perf": float(differences.mean()),
            "delta_perf_se": error,
            "prompts": len(both.after),
            "samples": samples.pop() if len(samples) == 1 else None,
            "prompts_changed": int(np.count_nonzero(differences)),
        }
        found.setdefault("delta_perf", {})[log.id] = both
        rows.append(row)
    return rows, _said(before, first_ones, left_out)


def _said(before: str, first_ones: Sequence[EvalLog], left_out: int) -> Iterator[str]:
    yield f"before training: {first([log.id for log in first_ones], 3)} (--before-log {before})"
    if left_out:
        yield f"scored in only one of two evaluations, left out: {plural(left_out, 'item')}"


def _start_of(log: EvalLog, first_ones: Sequence[EvalLog], before: str) -> EvalLog:
    alike = [one for one in first_ones if one.task == log.task and one.status == "completed"]
    if len(alike) > 1:
        alike = [one for one in alike if one.settings == log.settings] or alike
    if len(alike) != 1:
        raise UsageError(
            f"--before-log {before}: {len(alike) or 'no'} completed evaluations of task "
            f"{log.task!r} are called that, and {log.id} needs one"
        )
    return alike[0]


def _metric_of(log: EvalLog, start: EvalLog, wanted: str | None) -> str:
    known = [
        name
        for name, one in log.metrics.items()
        if one.items is not None
        and start.metrics.get(name, Measured(None)).items is not None
        and log.directions.get(name) != "min"
    ]
    if wanted is not None:
        wanted = wanted.removeprefix("metrics.")
        if wanted not in known:
            raise UsageError(
                f"--metric {wanted}: {log.id} and {start.id} do not both have scores of it by "
                f"item{nearest(wanted, known)}; they have them of {first(known, 6) or 'nothing'}"
            )
        return wanted
    if len(known) != 1:
        which = f"of {first(known, 6)}: name one by --metric" if known else "of no metric"
        raise UsageError(f"{log.id} and {start.id} both have scores by item {which}")
    return known[0]


def _paired(log: EvalLog, start: EvalLog, name: str) -> tuple[ItemScores, int]:
    """Return the scores of the items that both evaluations have, and how many only one has."""
    after, earlier = log.metrics[name].items, start.metrics[name].items
    assert after is not None
    assert earlier is not None
    known = dict(zip(earlier.ids, earlier.after, strict=True))
    both = [at for at, item in enumerate(after.ids) if item in known]
    if not both:
        raise UsageError(f"{log.id} and {start.id} have no item in common ({after.ids[0]!r}, …)")
    ids = tuple(after.ids[at] for at in both)
    paired = ItemScores(
        tuple(after.after[at] for at in both),
        tuple(known[item] for item in ids),
        ids,
        tuple(after.clusters[at] for at in both) if after.clusters else (),
    )
    return paired, len(after.ids) + len(earlier.ids) - 2 * len(both)


def with_items(outcome: Any, items: ItemScores) -> Any:  # noqa: ANN401
    """Return an outcome with its scores by item, and how many independent parts they have."""
    values = np.subtract(items.after, items.before) if items.before else items.after
    _, clusters, changed = errors(list(values), items.clusters)
    return replace(
        outcome,
        items=items,
        prompts=len(items.after),
        clusters=clusters,
        clusters_changed=changed if items.before else None,
    )
