"""Say how a table was read: what each column is, what is not used and why, what was left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from harness.records import MAIN, Run
from harness.tables.columns import Columns
from harness.tables.outcomes import OutcomeColumns, status_of
from harness.tables.parameters import COUNTING, MEASURES
from harness.tables.table import Table
from harness.tables.trackers import OURS, State
from harness.text import first, plural
from harness.verdicts import Finding

MOST_NAMED = 40
"""The most columns that a note names."""


def read_as(table: Table, columns: Columns, judged_by: OutcomeColumns) -> list[str]:
    """Return lines on how each column was used, and on those that were ignored."""
    rows = plural(len(table), "row")
    about = f"{table.path.name}: {rows} of {len(table.columns)} columns, {table.format}"
    if columns.tracker is not None and table.history is None:
        about += f"; an export of {columns.tracker.name} ({columns.tracker.known_by})"
    parameters = ", ".join(_named(name, raw) for name, raw in columns.parameters.items())
    lines = [about, *judged_by.notes, f"parameters: {parameters or 'none'}"]
    if columns.by:
        lines.append(f"judged by: {', '.join(_named(n, raw) for n, raw in columns.by.items())}")
    plurals = dict(arm="arms", pair="pairs", status="statuses", seed="seeds", steps="steps")
    found = [(plurals[role], raw) for role, raw in columns.roles.items() if role in plurals]
    found = [("run ids", columns.run or "the number of the row"), *found]
    lines.append("; ".join(f"{what} from {raw}" for what, raw in found))
    aside = set_aside(columns, judged_by)
    lines += [f"not used, {reason}: {first(raws, MOST_NAMED)}" for reason, raws in aside.items()]
    if MEASURES in aside or COUNTING in aside:
        named = ",".join([*columns.parameters, "NAME"])
        lines.append(f"to use one of these as a parameter, name all: --params {named}")
    if table.unnamed:
        lines.append(f"not used, without a name: {table.unnamed} of the columns")
    return lines


def set_aside(columns: Columns, judged_by: OutcomeColumns) -> dict[str, tuple[str, ...]]:
    """Return reason → columns that are not used."""
    unused = _unused(columns, judged_by)
    aside = {"not what the runs are judged by": tuple(unused)} if unused else {}
    return aside | {
        reason: left
        for reason, raws in columns.ignored.items()
        if (left := tuple(raw for raw in raws if raw not in judged_by.columns))
    }


def _unused(columns: Columns, judged_by: OutcomeColumns) -> list[str]:
    """Return the columns of measurements that the runs are not judged by."""
    outcome = ["delta_perf", "delta_perf_se", "perf_before", "perf_after"]
    if judged_by.metric.zero != "no change":
        outcome.append("train_delta_perf")
    found = (columns.roles[role] for role in outcome if role in columns.roles)
    return [raw for raw in found if raw not in judged_by.columns]


def not_completed(
    table: Table, columns: Columns, states: Sequence[State], kept: Sequence[int]
) -> list[str]:
    """Return notes on the runs that are not completed, in the words of the table."""
    column = columns.roles.get("status")
    if column is None:
        return []
    words, ours = table.values(column), columns.tracker is OURS
    count = Counter((str(words[row]), states[row]) for row in kept if states[row] != "completed")
    notes = [
        f"{word}: {plural(number, 'run')}"
        + (f", counted as {status}" if (status := status_of(state)) != word and not ours else "")
        for (word, state), number in count.items()
    ]
    if any(state == "pruned" for _, state in count):
        notes.append(
            "pruned runs stopped early because they looked poor: values that lost runs so look "
            "better than they are"
        )
    return notes


def arms_of(runs: Sequence[Run]) -> list[str]:
    """Return a note on the arms of a table, if it has others than main runs."""
    count = Counter(run.arm for run in runs)
    if set(count) <= {MAIN}:
        return []
    return ["arms: " + ", ".join(f"{arm} ({number:,})" for arm, number in count.items())]


def _named(name: str, raw: str) -> str:
    return name if name == raw else f"{name} ({raw})"


def against_the_name(name: str, minimised: bool, option: str = "--direction {}") -> Finding:
    """Return a finding on the metric ``name`` that is judged the other way than its name says.

    ``option`` is how the user states the way.
    """
    given, other = ("min", "max") if minimised else ("max", "min")
    return Finding(
        "against_the_name",
        "warning",
        f"{name} is judged with {option.format(given)}, and by its name "
        f"{'less' if other == 'min' else 'more'} is better: {option.format(other)} if so, for all "
        "that is called best would be the worst",
        (name,),
        brief=f"{name} is judged the other way than its name says",
    )


def unknown_words(columns: Columns, unknown: Sequence[str]) -> list[str]:
    """Return a note on the words of a status that do not say how a run ended."""
    if not unknown:
        return []
    column = columns.roles.get("status")
    said = first(map(repr, unknown), MOST_NAMED)
    return [f"{column} {said}: no word for how a run ended, counted as completed"]


def conventions(table: Table, outcome: Iterable[str], columns: Columns) -> list[str]:
    """Return lines on the columns whose numbers are not written as Python writes them."""
    by_note: dict[str, list[str]] = defaultdict(list)
    counted = [raw for role, raw in columns.roles.items() if role in ("seed", "steps")]
    used = [*outcome, *columns.parameters.values(), *columns.by.values(), *counted]
    for column in dict.fromkeys(used):
        if note := table.convention(column).note:
            by_note[note].append(column)
    return [f"{first(columns, MOST_NAMED)}: {note}" for note, columns in by_note.items()]
