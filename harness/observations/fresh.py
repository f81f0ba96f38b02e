"""The runs that confirm a sweep's leaders: configs trained again with fresh seeds, in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from harness.errors import UsageError
from harness.observations.items import ItemComparison, compare
from harness.observations.pairs import PairedRuns
from harness.observations.sample import FloatArray
from harness.records import Config, ItemScores, Result, finite


@dataclass(frozen=True, eq=False)
class FreshRuns:
    """The final runs of one config with fresh seeds.

    ``place`` is 0 for the reference, 1 for the leader of the main runs, 2 for the next, and so on.
    ``run`` is the id of the main run that has the ``config``; None where none has. ``outcomes`` are
    those of its runs by the number of the seed, None where the run diverged. Runs of equal number
    share their seed over all places: they are a block. ``items`` are the scores by item of those
    that completed and have them.
    """

    place: int
    run: str | None
    config: Config
    outcomes: Mapping[int, float | None]
    items: Mapping[int, ItemScores] = field(default_factory=dict)

    @property
    def values(self) -> FloatArray:
        """The outcomes of the runs that completed [n]."""
        return np.array([one for one in self.outcomes.values() if one is not None], np.float64)

    @property
    def diverged(self) -> int:
        """The number of runs that diverged."""
        return sum(one is None for one in self.outcomes.values())

    @property
    def is_lost(self) -> bool:
        """Whether every run diverged."""
        return all(one is None for one in self.outcomes.values())


def fresh_runs(results: Iterable[Result]) -> tuple[FreshRuns, ...]:
    """Return the final runs of the arm `CONFIRM` by their config, in the order of places.

    A completed run whose result is missing is left out, and so is a place of which no run is final.
    """
    found: dict[int, dict[int, Result]] = {}
    for result in results:
        completed = result.outcome.status == "completed"
        if result.is_final and not (completed and finite(result.outcome.delta_perf) is None):
            found.setdefault(result.run.index, {})[result.run.repeat] = result
    return tuple(
        FreshRuns(
            place=place,
            run=next(iter(runs.values())).run.pair,
            config=next(iter(runs.values())).run.config,
            outcomes={repeat: finite(runs[repeat].outcome.delta_perf) for repeat in sorted(runs)},
            items={
                repeat: scores
                for repeat, run in sorted(runs.items())
                if run.outcome.status == "completed" and (scores := run.outcome.items) is not None
            },
        )
        for place, runs in sorted(found.items())
    )


def in_blocks(ours: FreshRuns, theirs: FreshRuns) -> PairedRuns:
    """Return two configs seed by seed, over the seeds that both have final runs of."""
    pairs = [
        (one, theirs.outcomes[repeat])
        for repeat, one in ours.outcomes.items()
        if repeat in theirs.outcomes
    ]
    known = [(one, other) for one, other in pairs if one is not None and other is not None]
    both = np.array(known, dtype=np.float64).reshape(-1, 2)
    return PairedRuns(
        main=both[:, 0],
        arm=both[:, 1],
        lost=np.array([b for a, b in pairs if a is None and b is not None], dtype=np.float64),
        won=np.array([a for a, b in pairs if a is not None and b is None], dtype=np.float64),
        both=sum(one is None and other is None for one, other in pairs),
    )


def by_item(ours: FreshRuns, theirs: FreshRuns) -> ItemComparison | None:
    """Compare two configs item by item, ``theirs`` first, by the mean of an item over the seeds.

    The seeds are those of which both have scores by item. None where there are none, or where their
    items are not the same for every seed.
    """
    both = [repeat for repeat in ours.items if repeat in theirs.items]
    try:
        each = [compare(theirs.items[repeat], ours.items[repeat]) for repeat in both]
    except UsageError:
        return None
    if not each or any(tuple(one.items) != tuple(each[0].items) for one in each):
        return None
    return replace(
        each[0],
        first=np.mean([one.first for one in each], axis=0),
        second=np.mean([one.second for one in each], axis=0),
    )
