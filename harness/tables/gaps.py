"""Find what a table leaves blank of some of its runs, where others have it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from harness.errors import UsageError
from harness.records import MAIN, Gap, GapKind, Outcome
from harness.tables import rows
from harness.tables.columns import Columns
from harness.tables.outcomes import OutcomeColumns
from harness.tables.table import Table, identity
from harness.tables.trackers import OURS, SKLEARN, state
from harness.text import first

Gaps = Mapping[int, tuple[Gap, ...]]
"""Row → what is missing of its run."""

MOST_NAMED = 4
"""The most runs that a note names."""

_MEANS: Mapping[GapKind, str] = {
    "result": "no success, and nothing is supported that its result could change",
    "error": "not shown to improve",
    "evaluation": "evaluated differently from the others",
    "curve": "not known on the curve, so that no improvement along it is supported",
    "start": "of unknown loss, so that nothing is supported on the worst runs",
    "setting": "not known to have any value, so that nothing is supported on its parameters",
    "match": "matched with none for certain, so that nothing is supported that needs pairs",
}
"""The words for what a run with a gap counts as, by the gap's kind."""


def unclear(table: Table, columns: Columns, of: Sequence[int]) -> dict[int, str]:
    """Return row → column for those of the rows that do not say their status or arm.

    A blank means completed, or main, only in a column in which no row says so.
    """
    found: dict[int, str] = {}
    if (column := columns.roles.get("status")) is not None:
        words = {item for item in table.values(column) if isinstance(item, str)}
        if any(state(word) == "completed" for word in words):
            found |= dict.fromkeys(rows.blanks(table, column, of), column)
    if (column := columns.roles.get("arm")) is not None:
        arms = [identity(cell) for cell in table.columns[column]]
        if any(word.lower() == MAIN for word in arms):
            found |= {row: column for row in of if rows.is_blank_arm(arms[row])}
    return found


def gaps_of(
    table: Table,
    columns: Columns,
    judged_by: OutcomeColumns,
    outcomes: Mapping[int, Outcome],
    *,
    no_point: Collection[int] | None,
) -> Gaps:
    """Return what is missing of the runs in the rows whose ``outcomes`` are given.

    It is missing where others have it; a standard error also where the column has none at all. The
    rows ``no_point`` lack a point of their curve; None where there are no curves.
    """
    found: dict[int, list[Gap]] = defaultdict(list)
    of = list(outcomes)
    roles, arm = columns.roles, columns.roles.get("arm")

    def mark(kind: GapKind, column: str | None, where: Iterable[int]) -> None:
        for row in where:
            found[row].append(Gap(kind, column or ""))

    def blanks(role: str, among: Sequence[int]) -> list[int]:
        return rows.blanks(table, roles.get(role), among)

    done = [row for row in of if outcomes[row].status == "completed"]
    doubtful = unclear(table, columns, of)
    for row in done:
        if outcomes[row].delta_perf is None:
            ends = [end for end in (judged_by.value, judged_by.before) if end is not None]
            blank = next((end for end in ends if table.values(end)[row] is None), ends[0])
            mark("result", doubtful.get(row, blank), (row,))
    done = [row for row in done if outcomes[row].delta_perf is not None]
    mark("match", arm, (row for row, column in doubtful.items() if column == arm))
    mark("error", judged_by.se, _no_error(table, columns, judged_by, done, outcomes))
    if judged_by.se is not None and judged_by.se == roles.get("delta_perf_se"):
        for role in ("prompts", "prompts_changed"):
            mark("error", role, blanks(role, done))
        mark("evaluation", "samples", blanks("samples", done))
    without = set(rows.blanks(table, judged_by.perf_before, of))
    mark(
        "start",
        judged_by.perf_before,
        (row for row in of if row in without and outcomes[row].status == "diverged"),
    )
    set_to_none = columns.tracker is SKLEARN
    for name, column in () if set_to_none else columns.parameters.items():
        mark("setting", name, rows.one_blank(table, column, of))
    mark("match", roles.get("seed"), blanks("seed", of))
    of_arms = [row for row in of if arm and not _is_main(identity(table.columns[arm][row]))]
    mark("match", roles.get("pair"), blanks("pair", of_arms))
    if no_point is not None:
        mark("curve", roles.get("steps"), blanks("steps", of))
        mark("curve", "perf at every step of its curve", no_point)
    return {row: tuple(gaps) for row, gaps in found.items()}


def _no_error(
    table: Table,
    columns: Columns,
    judged_by: OutcomeColumns,
    done: Sequence[int],
    outcomes: Mapping[int, Outcome],
) -> list[int]:
    """Return the rows without a standard error, where the table has a column of them.

    `sweep export` writes that column always: empty, it says nothing.
    """
    if judged_by.se is None or (columns.tracker is OURS and not _any_error(outcomes)):
        return []
    return [row for row in done if outcomes[row].delta_perf_se is None]


def _any_error(outcomes: Mapping[int, Outcome]) -> bool:
    return any(outcome.delta_perf_se is not None for outcome in outcomes.values())


def _is_main(word: str) -> bool:
    return rows.is_blank_arm(word) or word.lower() == MAIN


def check_groups(table: Table, columns: Columns, of: Sequence[int]) -> None:
    """Raise a UsageError where a run does not say which group it is of."""
    for name, column in columns.by.items():
        for row in rows.blanks(table, column, of):
            raise UsageError(
                f"{table.where(row)}: no value in column {column!r}, by which runs are grouped "
                f"(--by {name}): fill it in, or leave the row out"
            )


def notes_on(gaps: Gaps, ids: Sequence[str]) -> Iterator[str]:
    """Yield a note for each column with gaps: the runs, and what they count as."""
    without: dict[Gap, list[str]] = defaultdict(list)
    for row, found in gaps.items():
        for gap in found:
            without[gap].append(ids[row])
    for gap, runs in without.items():
        verb = "has" if len(runs) == 1 else "have"
        yield (
            f"{first(runs, MOST_NAMED)} {verb} no {gap.column}, which others have: counted as "
            f"{_MEANS[gap.kind]}"
        )
