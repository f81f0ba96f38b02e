"""The main run that an arm's run is matched with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace

from harness.errors import UsageError, nearest
from harness.records import MAIN, Run, Value

TURNED_OFF = {"placebo": "learning_rate"}
"""Arms that are not called by the parameter in which they differ."""


def paired(
    runs: Sequence[Run], groups: Sequence[tuple[Value, ...]], *, seeded: bool
) -> tuple[list[Run], list[str]]:
    """Return the runs [n], those of arms with their main run, and lines on those that have none.

    A run that names no main run gets the one that differs from it in the arm's parameter alone,
    within its group and, where there are seeds, of its seed; where there are several, none.

    Raises
    ------
    UsageError
        Where a run names one that is no main run.
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
            apart = TURNED_OFF.get(run.arm, run.arm if run.arm in run.config else None)
            if apart not in indexes:
                indexes[apart] = _index(runs, groups, apart, seeded)
            alike = indexes[apart].get(_key(run, group, apart, seeded), [])
            if apart is not None:
                alike = [main for main in alike if main.config.get(apart) != run.config.get(apart)]
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
    runs: Sequence[Run], groups: Sequence[tuple[Value, ...]], apart: str | None, seeded: bool
) -> dict[Hashable, list[Run]]:
    index: dict[Hashable, list[Run]] = defaultdict(list)
    for run, group in zip(runs, groups, strict=True):
        if run.arm == MAIN:
            index[_key(run, group, apart, seeded)].append(run)
    return index


def _key(run: Run, group: tuple[Value, ...], apart: str | None, seeded: bool) -> Hashable:
    """Return what an arm's run and its main run have in common."""
    same = tuple(item for name, item in run.config.items() if name != apart)
    return same, group, run.seed if seeded else None
