"""Scores by item, as ``sweep runs`` shows them: what changed in a run, and between two runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.cli import common
from harness.errors import UsageError
from harness.records import ItemScores, Result, finite

if TYPE_CHECKING:
    from harness.observations.items import ItemComparison


class Words(NamedTuple):
    """Words for the two scores of an item, and for an item whose second is above or below."""

    first: str
    second: str
    up: str
    down: str


WITHIN = Words("before", "after", "rose", "fell")
BETWEEN = Words("against", "score", "higher", "lower")

MOST_LISTED = 20
"""The most items that are listed; JSON has all."""


def data(result: Result) -> dict[str, Any]:
    """Return the items of a run that changed, as JSON has them; nothing where none are stored."""
    from harness.observations.items import before_and_after

    items = result.outcome.items
    if items is None:
        return {}
    found = before_and_after(items)
    if found is None:
        return {"items": {"n": len(items.after)}}
    return {"items": {**_counts(found, WITHIN), "changed": _changed(found, WITHIN)}}


def lines(result: Result) -> Iterator[str]:
    """Yield how many items of a run changed with its training, and those that changed most."""
    from harness.observations.items import before_and_after
    from harness.text import plural

    items = result.outcome.items
    if items is None:
        return
    yield ""
    found = before_and_after(items)
    if found is None:
        yield f"{plural(len(items.after), 'item')} scored after training"
        return
    yield f"{_summary(found, WITHIN)} with training"
    yield from _listed(found, WITHIN)


def show(one: Result, other: Result, *, as_json: bool) -> None:
    """Print two runs compared item by item: the first less the second.

    Raises `UsageError` where their items cannot be matched.
    """
    from harness.observations.items import compare
    from harness.text import Digits, interval

    scores = [_items(result) for result in (one, other)]
    try:
        found = compare(scores[1], scores[0])
    except UsageError as error:
        raise UsageError(
            f"{one.run.id} and {other.run.id} cannot be compared item by item: {error}"
        ) from error
    mean = found.mean
    if as_json:
        common.print_json(
            {
                "run": one.run.id,
                "against": other.run.id,
                "items": {
                    **_counts(found, BETWEEN),
                    "only_run": found.unmatched[1],
                    "only_against": found.unmatched[0],
                    "changed": _changed(found, BETWEEN),
                },
                "difference": {
                    "estimate": mean.value,
                    "low": finite(mean.low),
                    "high": finite(mean.high),
                    "level": mean.level,
                    "n": mean.n,
                    "clusters": len(set(found.clusters)) or None,
                    "method": mean.method,
                },
            }
        )
        return
    digits = Digits.of((mean.value, mean.low, mean.high))
    by = f" by {len(set(found.clusters)):,} clusters" if len(found.clusters) else ""
    print(f"run         {one.run.id}: {digits.plain(float(found.second.mean()))}")
    print(f"against     {other.run.id}: {digits.plain(float(found.first.mean()))}")
    print(f"difference  {digits.signed(mean.value)}, {interval(mean)}{by}")
    print(f"items       {_summary(found, BETWEEN)}{_alone(found)}")
    print("\n".join(_listed(found, BETWEEN)))
    print("The interval is for other items like these, not for another training of the two.")


def _items(result: Result) -> ItemScores:
    if result.outcome.items is None:
        raise UsageError(
            f"{result.run.id} has no scores by item: its training function gives them with "
            "run.after(scores), or import its evaluation log"
        )
    return result.outcome.items


def _summary(found: ItemComparison, words: Words) -> str:
    from harness.text import plural

    same = len(found.items) - found.rose - found.fell
    rest = f", {same:,} the same" if same else ""
    n = plural(len(found.items), "item")
    return f"{found.rose:,} of {n} {words.up}, {found.fell:,} {words.down}{rest}"


def _alone(found: ItemComparison) -> str:
    against, run = found.unmatched
    if not (against or run):
        return ""
    return f"; left out: {run:,} that only the first has, {against:,} only the second"


def _counts(found: ItemComparison, words: Words) -> dict[str, Any]:
    return {"n": len(found.items), words.up: found.rose, words.down: found.fell}


def _changed(found: ItemComparison, words: Words) -> list[dict[str, Any]]:
    return [
        {"item": one.item, words.first: one.first, words.second: one.second}
        for one in found.changed
    ]


def _listed(found: ItemComparison, words: Words) -> Iterator[str]:
    """Yield a table of the items that differ most, and how many more do."""
    from harness.report.blocks import Column, Table
    from harness.report.renderers.layout import clean, table_text
    from harness.text import Digits

    if not found.changed:
        return
    shown = found.changed[:MOST_LISTED]
    digits = Digits.of([score for one in shown for score in one[1:]])
    columns = (Column("item", right=False), *map(Column, words[:2]), Column("change"))
    rows = tuple(
        (
            clean(one.item),
            digits.plain(one.first),
            digits.plain(one.second),
            digits.signed(one.second - one.first),
        )
        for one in shown
    )
    yield from table_text(Table(columns, rows), common.width())
    if more := len(found.changed) - len(shown):
        yield f"{more:,} more changed: --json lists all"
