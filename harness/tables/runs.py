"""Read a table of finished runs as the harness's records, with notes on how it was read."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.errors import UsageError, nearest
from harness.metrics import DELTA_PERF, Metric
from harness.records import (
    MAIN,
    Conditions,
    Config,
    Evaluation,
    Gap,
    Outcome,
    Result,
    Run,
    Value,
    digest,
)
from harness.tables import notes, rows
from harness.tables.budgets import AtFull, at_equal_budgets, at_one_step
from harness.tables.columns import (
    NOTHING,
    Columns,
    ReadOptions,
    as_stored,
    find_roles,
    without_ignored,
)
from harness.tables.curves import read_curves, stored_curves
from harness.tables.exporting import restored
from harness.tables.gaps import check_groups, gaps_of, notes_on, unclear
from harness.tables.objects import opened
from harness.tables.outcomes import OutcomeColumns, choose, outcomes
from harness.tables.parameters import find_parameters
from harness.tables.reading import Source, path_of, read_table
from harness.tables.stores.evals import with_items
from harness.tables.table import Table, levels
from harness.tables.trackers import OURS, State
from harness.tables.units import check_curves, check_scores
from harness.text import plural
from harness.verdicts import Finding

Curves = Mapping[str, tuple[Evaluation, ...]]
"""Run id → learning curve."""

CHANGED_BY = {"placebo": "learning_rate"}
"""Arms that do not have the name of the parameter they change → that parameter."""

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
"""The conditions of a table's runs: a table states none."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The runs of a table.

    ``name`` is the file's stem, ``source`` its path as given. ``results`` are the runs of all arms
    in the order of the rows; in their configs a blank cell is None. ``parameters`` names the
    columns of the configs, constant ones too. ``groups`` has each result's values of the columns
    ``by``. ``notes`` say how the table was read, and what was left out and why. ``has_seed`` says
    that some run has a seed, ``is_ours`` that ``sweep export`` wrote the table, so that each run
    names its sweep. ``adaptive`` says why later runs depended on the results of earlier ones; None
    where nothing says that they did. ``judged_by`` are the columns of the metric, ``set_aside`` a
    reason → columns that are neither parameters nor used, and ``findings`` what to beware of in how
    the table was read. ``at_full`` are runs that went further than where all are compared.
    """

    name: str
    source: str
    results: tuple[Result, ...]
    metric: Metric
    parameters: tuple[str, ...]
    by: tuple[str, ...]
    groups: tuple[tuple[Value, ...], ...]
    notes: tuple[str, ...]
    has_seed: bool
    is_ours: bool = False
    adaptive: str | None = None
    judged_by: OutcomeColumns | None = None
    set_aside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    at_full: AtFull | None = None


def read_runs(source: Source, options: ReadOptions = NOTHING) -> Reading:
    """Read the runs in the table that ``source`` names or is, see `read_table`.

    Raises
    ------
    UsageError
        Where the file is not a table, a cell does not fit its column, or the table alone does not
        tell what a column is.
    """
    table, ignored = without_ignored(opened(read_table(source, options)), options)
    if options.before_log is not None:
        options = replace(options, metric=None)  # it has said which change is in the table
    options = as_stored(table, options)
    columns = find_roles(table, options)
    judged_by = choose(table, columns, options)
    columns = find_parameters(table, columns, options, judged_by.columns)
    for column in (*judged_by.columns, *columns.parameters.values(), *columns.by.values()):
        table.check(column)
    aside = {**({"--ignore": ignored} if ignored else {}), **table.aside}
    columns = replace(columns, ignored={**aside, **columns.ignored})
    states, unknown = rows.states(table, columns.roles.get("status"))
    finished, left_out = _kept(table, columns, judged_by, states)
    compared = at_equal_budgets(table, columns, options, states, finished)
    columns, kept = compared.columns, compared.rows
    was = states
    states = ["pruned" if row in compared.stopped else state for row, state in enumerate(states)]
    settings = {name: levels(table.values(raw)) for name, raw in columns.parameters.items()}
    by = [levels(table.values(raw)) for raw in columns.by.values()]
    groups = tuple(tuple(column[row] for column in by) for row in kept)
    check_groups(table, columns, kept)
    doubtful = unclear(table, columns, kept)
    measured, turned = outcomes(
        table, columns, judged_by, states, kept, unclear=doubtful, stopped=compared.stopped
    )
    ids = rows.ids(table, columns.run, kept)
    curves, of_curves = _curves(table, columns, judged_by, options, ids)
    stated = options.metric is not None
    check_scores(table, judged_by, measured, stated=stated)
    broken = None
    if options.curves is not None:
        at_end = dict(zip(ids, _last_levels(table, judged_by), strict=True))
        check_curves(path_of(options.curves), curves, judged_by, at_end, stated=stated)
    if curves:
        broken = [row for row in kept if _has_gap(curves.get(ids[row], ()))]
    gaps = gaps_of(table, columns, judged_by, measured, no_point=broken)
    made, has_seed = _runs(table, columns, ids, settings, kept, curves=curves)
    if compared.budget is not None:
        steps = compared.budget
        made = [replace(run, steps=steps, declared_steps=steps) for run in made]
    runs, of_pairs = paired(made, groups, seeded=has_seed)
    results = tuple(
        _result(run, measured[row], curves.get(run.id, ()), gaps.get(row, ()))
        for run, row in zip(runs, kept, strict=True)
    )
    if columns.tracker is OURS:
        results = restored(table, kept, results)
    results = _with_items(table, judged_by.value, results)
    early = {ids[row] for row in kept if states[row] == "pruned" and not options.every_budget}
    results, of_step, at_full = at_one_step(results, judged_by, early, options.at)
    if any(result.run.id in early and result.outcome.delta_perf is not None for result in results):
        # Those that were stopped early count at that step, and are not said to be lost.
        was = ["completed" if state == "pruned" else state for state in was]
        compared = replace(compared, notes=())
    beware = (
        [notes.against_the_name(judged_by.value, judged_by.metric.minimised)]
        if judged_by.against
        else []
    )
    return Reading(
        name=table.stem,
        source=source if isinstance(source, str) else str(path_of(source)),
        results=results,
        metric=judged_by.metric,
        parameters=tuple(settings),
        by=tuple(columns.by),
        groups=groups,
        notes=(
            *notes.read_as(table, columns, judged_by),
            *table.notes,
            *notes.conventions(table, judged_by.columns, columns),
            *(finding.message for finding in beware),
            *left_out,
            *notes.not_completed(table, columns, was, kept),
            *notes.unknown_words(columns, unknown),
            *compared.notes,
            *turned,
            *notes_on(gaps, ids),
            *notes.arms_of(runs),
            *of_pairs,
            *of_curves,
            *of_step,
        ),
        has_seed=has_seed,
        is_ours=columns.tracker is OURS,
        adaptive=compared.adaptive,
        judged_by=judged_by,
        set_aside=notes.set_aside(columns, judged_by),
        findings=(*beware, *compared.findings),
        at_full=at_full,
    )


def _with_items(table: Table, column: str, results: tuple[Result, ...]) -> tuple[Result, ...]:
    """Return the results with the scores by item that the source has of a column."""
    found = table.items(column) if table.items else {}
    return tuple(
        replace(result, outcome=with_items(result.outcome, found[result.run.id]))
        if result.run.id in found and result.outcome.status == "completed"
        else result
        for result in results
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
    """Return the runs of the rows ``kept``, and whether any of them has a seed."""
    roles, name = columns.roles, table.stem
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
    table: Table,
    columns: Columns,
    judged_by: OutcomeColumns,
    options: ReadOptions,
    ids: Sequence[str],
) -> tuple[Curves, list[str]]:
    """Return the learning curves by run id, and a note on them, if there are any.

    Those asked for come first; else a tracker's store may have the metric along training.
    """
    if options.curves is None:
        found = table.history(judged_by.value) if table.history and columns.run else {}
        history = {id_: found[id_] for id_ in ids if id_ in found}
        return stored_curves(history, judged_by.value, judged_by.sign)
    if columns.run is None:
        raise UsageError(
            f"{table.path.name} has no column of run ids for --curves to go by: name one run"
        )
    curves, note = read_curves(
        options.curves, ids, columns.names[judged_by.value].canonical, judged_by.sign
    )
    return curves, [note]


def _last_levels(table: Table, judged_by: OutcomeColumns) -> list[float | None]:
    """Return the metric at the end of training [rows]; None where the table has only a change."""
    last = judged_by.value if judged_by.metric != DELTA_PERF else judged_by.perf_after
    return rows.finite_numbers(table.values(last)) if last else [None] * len(table)


def _has_gap(curve: Iterable[Evaluation]) -> bool:
    return any(math.isnan(point.perf) for point in curve)


def _result(
    run: Run, outcome: Outcome, curve: tuple[Evaluation, ...], gaps: tuple[Gap, ...]
) -> Result:
    """Return a run with its outcome, curve and gaps; its key is unique in the table."""
    if curve:
        # A blank point has said which step was the last, and that it is missing.
        known = tuple(point for point in curve if not math.isnan(point.perf))
        outcome = replace(outcome, curve=known)
    return Result(digest(["table", run.sweep, run.id]), run, CONDITIONS, outcome, gaps=gaps)


def _kept(
    table: Table, columns: Columns, judged_by: OutcomeColumns, states: Sequence[State]
) -> tuple[list[int], list[str]]:
    """Return the rows that are finished runs, and notes on those that are not.

    A row without parameters and outcome is no run: MLflow has such a parent of its runs.
    """
    outcome = table.values(judged_by.value)
    settings = [table.values(raw) for raw in columns.parameters.values()]
    unfinished = {row for row, state in enumerate(states) if state == "unfinished"}
    bare = {
        row
        for row, state in enumerate(states)
        if settings
        and state == "completed"
        and outcome[row] is None
        and all(column[row] is None for column in settings)
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


# ---- arms and their main runs --------------------------------------------------------------------


def paired(
    runs: Sequence[Run], groups: Sequence[tuple[Value, ...]], *, seeded: bool
) -> tuple[list[Run], list[str]]:
    """Pair the runs [n] of arms with their main runs, and return notes on those that have none.

    A run that names no main run gets the one of its group, and of its seed if there are seeds,
    that differs from it only in the arm's parameter. If several do, it gets none.

    Raises
    ------
    UsageError
        Where a run names as its pair one that is not a main run.
    """
    mains = {run.id for run in runs if run.arm == MAIN}
    indexes: dict[str | None, dict[Hashable, list[Run]]] = {}
    found: list[Run] = []
    alone: dict[str, int] = defaultdict(int)
    for run, group in zip(runs, groups, strict=True):
        if run.arm == MAIN:
            found.append(run if run.pair is None else replace(run, pair=None))
            continue
        if run.pair is not None and run.pair not in mains:
            raise UsageError(
                f"run {run.id!r} of the arm {run.arm!r} is paired with {run.pair!r}, which is no "
                f"main run of the table{nearest(run.pair, mains)}"
            )
        pair = run.pair
        if pair is None:
            changed = CHANGED_BY.get(run.arm, run.arm if run.arm in run.config else None)
            if changed not in indexes:
                indexes[changed] = _index(runs, groups, changed, seeded)
            alike = indexes[changed].get(_key(run, group, changed, seeded), [])
            if changed is not None:
                alike = [
                    main for main in alike if main.config.get(changed) != run.config.get(changed)
                ]
            pair = alike[0].id if len(alike) == 1 else None
        alone[run.arm] += pair is None
        found.append(replace(run, pair=pair))
    return found, [
        f"arm {arm}: {number:,} of its runs {'is' if number == 1 else 'are'} matched with no main "
        "run, or with several"
        for arm, number in alone.items()
        if number
    ]


def _index(
    runs: Sequence[Run], groups: Sequence[tuple[Value, ...]], changed: str | None, seeded: bool
) -> dict[Hashable, list[Run]]:
    index: dict[Hashable, list[Run]] = defaultdict(list)
    for run, group in zip(runs, groups, strict=True):
        if run.arm == MAIN:
            index[_key(run, group, changed, seeded)].append(run)
    return index


def _key(run: Run, group: tuple[Value, ...], changed: str | None, seeded: bool) -> Hashable:
    """Return the values that an arm's run and its main run share."""
    same = tuple(item for name, item in run.config.items() if name != changed)
    return same, group, run.seed if seeded else None
