"""Scores by item compared: those of a run before and after training, or those of two runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from harness import statistics
from harness.errors import UsageError
from harness.observations.sample import FloatArray
from harness.records import ItemScores
from harness.text import plural


class ItemChange(NamedTuple):
    """An item with its two scores."""

    item: str
    first: float
    second: float


@dataclass(frozen=True, eq=False)
class ItemComparison:
    """Items that were scored twice, ``first`` [n] and ``second`` [n], in one order.

    ``items`` [n] name them: their ids, or their positions from 1 where they have none.
    ``clusters`` [n] are empty where not known. ``unmatched`` counts the items that only the first
    and only the second have.
    """

    items: Sequence[str]
    first: FloatArray
    second: FloatArray
    clusters: Sequence[str] = ()
    unmatched: tuple[int, int] = (0, 0)

    @cached_property
    def mean(self) -> statistics.Estimate:
        """The mean of the differences, second less first, with its 95% interval.

        The interval is for other items like these, by cluster where clusters are known. It does not
        hold what another training would change.
        """
        clusters = self.clusters if len(self.clusters) else None
        return statistics.mean_interval(self.second - self.first, clusters=clusters)

    @property
    def rose(self) -> int:
        """The number of items whose second score is higher."""
        return int((self.second > self.first).sum())

    @property
    def fell(self) -> int:
        """The number of items whose second score is lower."""
        return int((self.second < self.first).sum())

    @cached_property
    def changed(self) -> tuple[ItemChange, ...]:
        """The items whose scores differ, those that differ most first."""
        size = np.abs(self.second - self.first)
        order = [at for at in np.argsort(-size, kind="stable").tolist() if size[at]]
        return tuple(
            ItemChange(self.items[at], float(self.first[at]), float(self.second[at]))
            for at in order
        )


def before_and_after(items: ItemScores) -> ItemComparison | None:
    """Compare a run's scores before training with those after; None where there are none before."""
    if not len(items.before):
        return None
    first, second = _scores(items.before), _scores(items.after)
    return ItemComparison(item_names(items), first, second, tuple(items.clusters))


def compare(one: ItemScores, other: ItemScores) -> ItemComparison:
    """Compare the scores after training of two runs, item by item.

    Items are matched by id, or by position where neither run has ids and both have as many items.

    Raises
    ------
    UsageError
        Where the items cannot be matched.
    """
    if not len(one.ids) and not len(other.ids):
        if len(one.after) != len(other.after):
            raise UsageError(
                f"their items have no ids, and there are {len(one.after):,} and "
                f"{len(other.after):,}: give ids to compare those that both have"
            )
        first, second = _scores(one.after), _scores(other.after)
        return ItemComparison(item_names(one), first, second, tuple(one.clusters or other.clusters))
    for items in (one, other):
        if not len(items.ids):
            raise UsageError("the items of one have ids and those of the other have none")
        name, times = Counter(items.ids).most_common(1)[0]
        if times > 1:
            raise UsageError(f"{plural(times, 'item')} of one run have the id {name!r}")
    theirs = {id_: at for at, id_ in enumerate(other.ids)}
    both = [(at, theirs[id_]) for at, id_ in enumerate(one.ids) if id_ in theirs]
    if not both:
        raise UsageError(f"no item of one has the id of an item of the other ({one.ids[0]!r}, …)")
    mine, its = (list(places) for places in zip(*both, strict=True))
    clusters = one.clusters or other.clusters
    places = mine if one.clusters else its
    return ItemComparison(
        tuple(one.ids[at] for at in mine),
        _scores(one.after)[mine],
        _scores(other.after)[its],
        tuple(clusters[at] for at in places) if clusters else (),
        (len(one.ids) - len(both), len(other.ids) - len(both)),
    )


def item_names(items: ItemScores) -> Sequence[str]:
    """Return the ids of ``items`` [n], or their positions from 1 where they have none."""
    return tuple(items.ids) or tuple(str(at) for at in range(1, len(items.after) + 1))


def _scores(scores: Sequence[float]) -> FloatArray:
    return np.array(tuple(scores), dtype=np.float64)
