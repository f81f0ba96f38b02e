"""A table of finished runs as the harness's records, with what was read as what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import UsageError
from harness.records import (
    MAIN,
    Conditions,
    Config,
    Evaluation,
    Outcome,
    Result,
    Run,
    Value,
    digest,
)
from harness.tables import rows
from harness.tables.asked import NOTHING, Asked
from harness.tables.cells import levels
from harness.tables.columns import Columns, find_parameters, find_roles
from harness.tables.curves import read_curves
from harness.tables.exported import restored
from harness.tables.judged import Judged, choose
from harness.tables.nested import opened
from harness.tables.outcomes import Curves, outcomes, status_of
from harness.tables.pairs import paired
from harness.tables.reading import read_table
from harness.tables.table import Table
from harness.tables.trackers import OURS, State
from harness.text import plural
from harness.verdicts import Metric

CONDITIONS = Conditions(
    trainer="table",
    trainer_version="",
    backend="",
    precision="",
    device="",
    task="",
    task_version="",
    model="",
)
"""What the runs of a table were trained under, which a table does not say."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The runs of a table.

    ``name`` is the file's stem, ``source`` its path as given. ``results`` are the runs of all arms
    in the order of the rows, each with its parameters as its config (None where a cell is blank).
    ``metric`` is what they are judged by, ``parameters`` their names, constant ones too. For each
    result ``groups`` holds its values of the columns ``by``. ``said`` are lines on what was read as
    what, and what was left out and why. ``has_seed`` is whether any run has a seed, ``is_ours``
    whether ``sweep export`` wrote the table, so that a run has the sweep it was of.
    """

    name: str
    source: str
    results: tuple[Result, ...]
    metric: Metric
    parameters: tuple[str, ...]
    by: tuple[str, ...]
    groups: tuple[tuple[Value, ...], ...]
    said: tuple[str, ...]
    has_seed: bool
    is_ours: bool = False


def read_runs(path: Path, asked: Asked = NOTHING) -> Reading:
    """Return the runs in the table at ``path``.

    Raises
    ------
    UsageError
        Where the file is no table, a cell is not what its column needs, or what a column is cannot
        be known without asking. The message says which, and what to do.
    """
    table = opened(read_table(path))
    columns = find_roles(table, asked)
    judged = choose(table, columns, asked)
    columns = find_parameters(table, columns, asked, judged.columns)
    states = rows.states(table, columns.roles.get("status"))
    settings = {name: levels(table.values(raw)) for name, raw in columns.parameters.items()}
    kept, left_out = _kept(table, judged, states, settings)
    by = [levels(table.values(raw)) for raw in columns.by.values()]
    groups = tuple(tuple(column[row] for column in by) for row in kept)
    measured, turned = outcomes(table, columns, judged, states, kept)
    ids = rows.ids(table, columns.run)
    curves, of_curves = _curves(table, columns, judged, asked, ids)
    made, has_seed = _runs(table, columns, ids, settings, kept, curves=curves)
    runs, of_pairs = paired(made, groups, seeded=has_seed)
    results = tuple(
        _result(run, measured[row], curves.get(run.id, ()))
        for run, row in zip(runs, kept, strict=True)
    )
    if columns.tracker is OURS:
        results = restored(table, kept, results)
    return Reading(
        name=path.stem,
        source=str(path),
        results=results,
        metric=judged.metric,
        parameters=tuple(settings),
        by=tuple(columns.by),
        groups=groups,
        said=(
            *_read_as(table, columns, judged),
            *left_out,
            *_not_completed(table, columns, states, kept),
            *turned,
            *_arms(runs),
            *of_pairs,
            *of_curves,
        ),
        has_seed=has_seed,
        is_ours=columns.tracker is OURS,
    )


def _runs(
    table: Table,
    columns: Columns,
    ids: Sequence[str],
    settings: Mapping[str, Sequence[Value]],
    kept: Sequence[int],
    *,
    curves: Curves,
) -> tuple[list[Run], bool]:
    """Return the runs of the rows ``kept``, and whether any has a seed."""
    roles, name = columns.roles, table.path.stem
    arms = rows.arms(table, roles.get("arm"), settings)
    pairs = rows.pairs(table, roles.get("pair"))
    seeds = rows.counts(table, roles.get("seed"), "the seed", kept, None)
    steps = rows.counts(table, roles.get("steps"), "steps", kept)
    counted = columns.tracker.iterations if columns.tracker else None
    if roles.get("steps") in (None, counted):
        steps |= {row: curves[ids[row]][-1].step for row in kept if ids[row] in curves}
    made = [
        Run(
            id=ids[row],
            sweep=name,
            index=index,
            arm=arms[row],
            pair=pairs[row],
            config=Config({name: column[row] for name, column in settings.items()}),
            seed=seeds.get(row, 0),
            steps=steps.get(row, 0),
            declared_steps=steps.get(row, 0),
            evaluate_every=0,
        )
        for index, row in enumerate(kept)
    ]
    return made, bool(seeds)


def _curves(
    table: Table, columns: Columns, judged: Judged, asked: Asked, ids: Sequence[str]
) -> tuple[Curves, list[str]]:
    """Return the learning curves by run id, and a line on them, where they are asked for."""
    if asked.curves is None:
        return {}, []
    if columns.run is None:
        raise UsageError(
            f"{table.path.name} has no column of run ids for --curves to go by: name one run"
        )
    curves, said = read_curves(
        asked.curves, ids, columns.names[judged.value].canonical, judged.sign
    )
    return curves, [said]


def _result(run: Run, outcome: Outcome, curve: tuple[Evaluation, ...]) -> Result:
    """Return a run with what came of it, under a key that no other row of the table has."""
    if curve:
        outcome = replace(outcome, curve=curve)
    return Result(digest(["table", run.sweep, run.id]), run, CONDITIONS, outcome)


def _kept(
    table: Table, judged: Judged, states: Sequence[State], settings: Mapping[str, Sequence[Value]]
) -> tuple[list[int], list[str]]:
    """Return the rows that are finished runs, and lines on those that are not.

    A row of neither parameters nor an outcome is no run, such as the parent of MLflow's runs.
    """
    outcome = table.values(judged.value)
    unfinished = {row for row, state in enumerate(states) if state == "unfinished"}
    bare = {
        row
        for row, state in enumerate(states)
        if settings
        and state == "completed"
        and outcome[row] is None
        and all(column[row] is None for column in settings.values())
    }
    kept = [row for row in range(len(table)) if row not in unfinished and row not in bare]
    said = []
    if unfinished:
        said.append(f"not finished yet, left out: {plural(len(unfinished), 'row')}")
    if bare:
        said.append(f"neither parameters nor an outcome, left out: {plural(len(bare), 'row')}")
    if not kept:
        raise UsageError(f"{table.path.name} has no finished run: {'; '.join(said)}")
    return kept, said


# ---- what is said -----------------------------------------------------------------------------


def _read_as(table: Table, columns: Columns, judged: Judged) -> list[str]:
    """Return lines on what was read as what, and what was ignored."""
    rows = plural(len(table), "row")
    about = f"{table.path.name}: {rows} of {len(table.columns)} columns, {table.format}"
    if columns.tracker is not None:
        about += f"; an export of {columns.tracker.name} ({columns.tracker.known_by})"
    parameters = ", ".join(_named(name, raw) for name, raw in columns.parameters.items())
    lines = [about, judged.said, f"parameters: {parameters or 'none'}"]
    if columns.by:
        lines.append(f"judged by: {', '.join(_named(n, raw) for n, raw in columns.by.items())}")
    shown = {"arm": "arms", "pair": "pairs", "status": "statuses", "seed": "seeds"}
    shown |= {"steps": "steps"}
    roles = {"run ids": columns.run or "the number of the row"}
    roles |= {shown[role]: raw for role, raw in columns.roles.items() if role in shown}
    lines.append("; ".join(f"{what} from {raw}" for what, raw in roles.items()))
    if unused := _unused(columns, judged):
        lines.append(f"ignored, not what the runs are judged by: {_some(unused)}")
    lines += [f"ignored, {reason}: {_some(raws)}" for reason, raws in columns.ignored.items()]
    if table.unnamed:
        lines.append(f"ignored, without a name: {table.unnamed} of the columns")
    return lines


def _unused(columns: Columns, judged: Judged) -> list[str]:
    """Return the columns that say what was measured, where something else is judged."""
    outcome = ("delta_perf", "delta_perf_se", "perf_before", "perf_after", "train_delta_perf")
    used = {*judged.columns}
    if judged.metric.zero == "no change":
        used.add(columns.roles.get("train_delta_perf", ""))
    found = (columns.roles[role] for role in outcome if role in columns.roles)
    return [raw for raw in found if raw not in used]


def _not_completed(
    table: Table, columns: Columns, states: Sequence[State], kept: Sequence[int]
) -> list[str]:
    """Return a line on the runs that are not completed, by the words of the table."""
    column = columns.roles.get("status")
    if column is None:
        return []
    words, ours = table.values(column), columns.tracker is OURS
    count = Counter((str(words[row]), states[row]) for row in kept if states[row] != "completed")
    said = [
        f"{word}: {plural(number, 'run')}"
        + (f", held as {status}" if (status := status_of(state)) != word and not ours else "")
        for (word, state), number in count.items()
    ]
    if any(state == "pruned" for _, state in count):
        said.append(
            "pruned runs stopped early because they looked poor: what is left flatters the values "
            "they were pruned at"
        )
    return said


def _arms(runs: Sequence[Run]) -> list[str]:
    count = Counter(run.arm for run in runs)
    if set(count) <= {MAIN}:
        return []
    return ["arms: " + ", ".join(f"{arm} ({number:,})" for arm, number in count.items())]


def _named(name: str, raw: str) -> str:
    return name if name == raw else f"{name} ({raw})"


def _some(raws: Sequence[str], most: int = 8) -> str:
    more = len(raws) - most
    return ", ".join(raws[:most]) + (f" and {more} more" if more > 0 else "")
