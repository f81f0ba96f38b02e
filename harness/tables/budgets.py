"""Compare the runs of a table at equal budgets: as many steps, epochs or iterations each.

The budget is chosen by how many configurations have it, never by their results.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from harness import words
from harness.errors import UsageError
from harness.records import Outcome, Result, Value, finite, is_number
from harness.tables import trackers
from harness.tables.columns import Columns, ReadOptions
from harness.tables.outcomes import OutcomeColumns
from harness.tables.parameters import MEASURES
from harness.tables.rows import counts
from harness.tables.table import Table
from harness.tables.trackers import State
from harness.text import first, listed, plural
from harness.verdicts import Finding

NEARLY_ALL = 0.8
"""The share of configurations that must have a budget for all to be compared there."""

RUNGS = 12
"""The most budgets of runs that a scheduler stopped; runs that end by themselves have more."""

MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Compared:
    """The rows to compare, and how they came to be.

    ``stopped`` are row → why a run ended early; they stay, and are not completed. ``budget`` is
    what the others reached, None where a table does not say. ``adaptive`` says why later runs
    depended on the results of earlier ones, None where nothing says so. ``findings`` are what to
    beware of in it.
    """

    columns: Columns
    rows: tuple[int, ...]
    stopped: Mapping[int, str]
    notes: tuple[str, ...]
    adaptive: str | None
    budget: int | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Budgets:
    """The budgets of the completed runs, which ``column`` has.

    ``at`` are row → budget, ``of`` row → configuration, and ``having`` budget → the configurations
    that have it.
    """

    column: str
    at: Mapping[int, int]
    of: Mapping[int, tuple[Value, ...]]
    having: Mapping[int, Set[tuple[Value, ...]]]

    @property
    def configurations(self) -> int:
        return len(set(self.of.values()))

    @property
    def nearly_all(self) -> list[int]:
        """The budgets that nearly all configurations have."""
        least = NEARLY_ALL * self.configurations
        return [budget for budget, has in self.having.items() if len(has) >= least]

    @property
    def is_design(self) -> bool:
        """Whether the budgets were given, whatever the column is called: as many runs have each."""
        counts = Counter(self.at.values()).values()
        return min(counts) > 1 and max(counts) - min(counts) <= 1


def at_equal_budgets(
    table: Table,
    columns: Columns,
    options: ReadOptions,
    states: Sequence[State],
    rows: Sequence[int],
) -> Compared:
    """Return which of ``rows`` are compared, at one budget if the table has several.

    A budget that is given to the runs: the one that at least `NEARLY_ALL` of the configurations
    have, if they have no other alike; else it is a parameter. A budget that was reached: the
    largest that as many have, else the full one, where the others were stopped. A budget that the
    user names as a parameter, or to group by, stays as it is.
    """
    found = Compared(columns, tuple(rows), {}, (), _adaptive(columns, states))
    raw = None if options.every_budget or "arm" in columns.roles else _column(table, columns)
    named = {*columns.by.values(), *(columns.parameters.values() if options.params else ())}
    if raw is None or raw in named:
        return found
    budgets = _budgets(table, columns, raw, states, rows)
    nearly, full = budgets.nearly_all, max(budgets.having, default=0)
    if len(budgets.having) < 2:
        return found
    is_given = columns.names[raw].canonical in words.GIVEN
    if is_given or (budgets.is_design and not nearly):
        if len(nearly) == 1:
            return _given(found, budgets, nearly[0])
        return found if options.params else replace(found, columns=_as_parameter(columns, raw))
    if nearly or (len(budgets.having) <= RUNGS and len(budgets.having[full]) > 1):
        return _reached(found, budgets, max(nearly, default=full))
    said = (
        f"runs got unequally far, {raw} {min(budgets.having):,} to {full:,}, with no budget in "
        "common: one that went further may be better for that alone"
    )
    return replace(found, notes=(said,), findings=(_mixed(raw, said, f"unequal {raw}"),))


def _mixed(raw: str, said: str, brief: str) -> Finding:
    return Finding("mixed_conditions", "warning", said, (raw,), brief=brief)


def _budgets(
    table: Table, columns: Columns, raw: str, states: Sequence[State], rows: Sequence[int]
) -> _Budgets:
    every = counts(table, raw, "steps", rows)
    at = {row: steps for row, steps in every.items() if states[row] == "completed"}
    used = [name for name in (*columns.parameters.values(), *columns.by.values()) if name != raw]
    cells = [table.values(column) for column in used]
    of = {row: tuple(column[row] for column in cells) for row in at}
    having: dict[int, set[tuple[Value, ...]]] = {}
    for row, steps in at.items():
        having.setdefault(steps, set()).add(of[row])
    return _Budgets(raw, at, of, having)


def _column(table: Table, columns: Columns) -> str | None:
    """Return the column of a budget, None where there is none."""
    if (steps := columns.roles.get("steps")) is not None:
        return steps
    set_ = [raw for name, raw in columns.parameters.items() if name in words.GIVEN]
    others = (*columns.ignored.get(MEASURES, ()), *columns.parameters.values())
    reached = [raw for raw in others if columns.names[raw].canonical in words.REACHED]
    return next((raw for raw in (*set_, *reached) if _counts(table.values(raw))), None)


def _counts(cells: Sequence[Value]) -> bool:
    """Return whether cells are whole numbers from 1, or blank."""
    known = [item for item in cells if item is not None]
    return all(is_number(item) and item >= 1 and item % 1 == 0 for item in known)


def _as_parameter(columns: Columns, raw: str) -> Columns:
    """Return the columns with a budget among the parameters, so that it is held equal."""
    if raw in columns.parameters.values():
        return columns
    roles = {role: column for role, column in columns.roles.items() if column != raw}
    ignored = {
        reason: tuple(column for column in raws if column != raw)
        for reason, raws in columns.ignored.items()
    }
    return replace(
        columns,
        roles=roles,
        parameters={**columns.parameters, columns.names[raw].canonical: raw},
        ignored={reason: raws for reason, raws in ignored.items() if raws},
    )


def _given(found: Compared, budgets: _Budgets, budget: int) -> Compared:
    """Compare the runs with a budget that was given to nearly all configurations."""
    raw, at, have = budgets.column, budgets.at, len(budgets.having[budget])
    out = {row for row in at if at[row] != budget}
    others = [f"{other:,}" for other in sorted({at[row] for row in out})]
    called = found.columns.names[raw].canonical
    params = ",".join(dict.fromkeys([*found.columns.parameters, called]))
    said = (
        f"compared at {raw} {budget:,}, which {have} of "
        f"{plural(budgets.configurations, 'configuration')} {'has' if have == 1 else 'have'}; left "
        f"out: {plural(len(out), 'run')} at {first(others, MOST_NAMED)} (--params {params} keeps "
        f"them, with {raw} as a parameter)"
    )
    brief = f"{plural(len(out), 'run')} of other {raw} left out"
    return replace(
        found,
        rows=tuple(row for row in found.rows if row not in out),
        notes=(said,),
        findings=(_mixed(raw, said, brief),),
    )


def _reached(found: Compared, budgets: _Budgets, budget: int) -> Compared:
    """Compare the runs that reached a budget; those that did not were stopped early."""
    raw, at, there = budgets.column, budgets.at, budgets.having[budget]
    others = [row for row in at if at[row] != budget]
    again = {row for row in others if budgets.of[row] in there or at[row] > budget}
    early = [row for row in others if row not in again]
    notes = [f"compared at {raw} {budget:,}: {plural(len(at) - len(others), 'run')}"]
    adaptive = found.adaptive
    if again:
        notes.append(
            f"left out: {plural(len(again), 'row')} at other budgets (--by {raw} judges each "
            "budget apart)"
        )
    if early:
        count = Counter(at[row] for row in early)
        where = listed([f"{number:,} at {at_:,}" for at_, number in sorted(count.items())])
        notes.append(
            f"stopped before: {plural(len(early), 'run')} ({where}), counted as not completed: "
            "they may have been stopped because they looked poor, and their values are those of "
            "less training"
        )
        adaptive = adaptive or (
            f"{len(early):,} of {len(at) - len(again):,} runs were stopped before {raw} "
            f"{budget:,}, it may be by their results so far"
        )
    return replace(
        found,
        rows=tuple(row for row in found.rows if row not in again),
        stopped={row: f"stopped at {raw} {at[row]:,} of {budget:,}" for row in early},
        notes=tuple(notes),
        adaptive=adaptive,
        budget=budget,
    )


def _adaptive(columns: Columns, states: Sequence[State]) -> str | None:
    """Return why later runs depended on the results of earlier ones, as far as a table tells."""
    pruned = states.count("pruned")
    if pruned:
        return f"{plural(pruned, 'run')} of {len(states):,} were pruned by their results so far"
    ends = {words.tokens(name.canonical)[-2:] for name in columns.names.values()}
    if columns.tracker is trackers.OPTUNA and ("grid", "id") not in ends:
        return (
            "Optuna's samplers choose each trial by the results before it, except for random, "
            "quasi-random and grid search"
        )
    names = {name.canonical for name in columns.names.values()}
    if {"n_resources", "iter"} <= names or "tuner.bracket" in names:
        return "configurations were dropped by their results so far"
    return None


@dataclass(frozen=True, slots=True)
class AtFull:
    """The runs that went on to the full ``step``, where all are compared before it."""

    step: int
    results: tuple[Result, ...]


def at_one_step(
    results: Sequence[Result], judged_by: OutcomeColumns, early: Collection[str], wanted: int | None
) -> tuple[tuple[Result, ...], tuple[str, ...], AtFull | None]:
    """Return results as they were at one step of their learning curves, and notes on it.

    Beside them the runs that went on to the full step, None where there are none.

    ``early`` are the ids of runs that were stopped early. Where there are such, the step is the
    largest that nearly all runs have, if it is half of the full one or more: earlier values say
    little of the end. ``wanted`` is the step that the user gives instead. Without either the
    results stay as they are.

    Raises
    ------
    UsageError
        Where no run has a point of its curve at the step ``wanted``.
    """
    runs = [r for r in results if r.outcome.status == "completed" or r.run.id in early]
    having = Counter(p.step for r in runs for p in r.outcome.curve if p.step > 0)
    if wanted is not None and wanted not in having:
        there = f"most have step {having.most_common(1)[0][0]:,}" if having else "there are none"
        raise UsageError(f"--at {wanted}: no run has that step in its learning curve; {there}")
    full = max(having, default=0)
    shared = [step for step, number in having.items() if number >= NEARLY_ALL * len(runs)]
    step = wanted or max(shared, default=0)
    is_stopped = any(r.run.id in early and r.outcome.curve for r in runs)
    if not step or (wanted is None and (not is_stopped or step == full)):
        return tuple(results), (), None
    if wanted is None and 2 * step < full:
        said = [
            f"{having[step]:,} of {plural(len(runs), 'run')} have a value at step {step:,} of "
            f"{full:,}: --at {step} compares them there, which says little of the end"
        ]
        return tuple(results), tuple(said), None
    ends = [r for r in runs if r.outcome.delta_perf is not None and r.outcome.curve]
    whole = tuple(r for r in ends if r.outcome.curve[-1].step == full)
    stopped = sum(r.run.id in early for r in runs)
    said = [
        f"compared at step {step:,} of the learning curves, which {having[step]:,} of "
        f"{plural(len(runs), 'run')} have" + (f"; {stopped:,} stopped early" if stopped else "")
    ]
    beyond = AtFull(full, whole) if whole and step != full else None
    if beyond is not None:
        said.append(f"beside it, at the full {full:,}: {plural(len(whole), 'run')}")
    ids = {result.run.id for result in runs}
    now = tuple(_at(step, r, judged_by) if r.run.id in ids else r for r in results)
    return now, tuple(said), beyond


def _at(step: int, result: Result, judged_by: OutcomeColumns) -> Result:
    """Return a run as it was at a step of its curve, as if it had ended there."""
    curve = tuple(point for point in result.outcome.curve if point.step <= step)
    run = replace(result.run, steps=step, declared_steps=step)
    metric = judged_by.metric
    start: float | None = metric.change(metric.target)
    if metric.is_change:
        start = curve[0].perf if curve and curve[0].step == 0 else None
    if not curve or curve[-1].step != step or start is None:
        why = f"no value at step {step:,} of its learning curve"
        return replace(result, run=run, outcome=Outcome("failed", error=why, curve=curve))
    end, se = curve[-1].perf, math.nan if metric.is_change else curve[-1].se
    outcome = Outcome(
        "completed",
        delta_perf=end - start,
        delta_perf_se=finite(se),
        curve=curve,
        value=None if metric.is_change else metric.change(end),
    )
    gaps = tuple(gap for gap in result.gaps if gap.kind not in ("result", "error", "curve"))
    return replace(result, run=run, outcome=outcome, gaps=gaps)
