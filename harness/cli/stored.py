"""Choose among stored runs, for the verbs that list, export or import them."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from harness.errors import UsageError, nearest
from harness.records import Result, Status

if TYPE_CHECKING:
    from harness.store import Store


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose among the stored runs of a sweep."""
    parser.add_argument(
        "--arm", metavar="NAME", help="only runs of this arm; main for the sweep's own"
    )
    parser.add_argument(
        "--status",
        choices=get_args(Status),
        metavar="STATUS",
        help=f"only runs of this status: {', '.join(get_args(Status))}",
    )


def results(
    store: Store, sweep: str | None, options: argparse.Namespace, *, traces: bool = False
) -> tuple[Result, ...]:
    """Return the runs of a sweep, or of all, that ``options`` choose, ``traces`` and all if so.

    Raises
    ------
    UsageError
        Where no such sweep is stored.
    """
    if sweep is not None:
        check_sweep(store, sweep)
    found = store.results(sweep, options.arm, traces=traces)
    return tuple(r for r in found if options.status in (None, r.outcome.status))


def earlier(results: Sequence[Result]) -> tuple[Result, ...]:
    """Return those of ``results`` that earlier code has trained.

    The code of a sweep on a backend is that of the run which finished last.
    """
    last: dict[tuple[str, str], Result] = {}
    for result in results:
        known = last.setdefault(_code_of(result), result)
        if (result.finished_at or "") > (known.finished_at or ""):
            last[_code_of(result)] = result
    return tuple(
        result
        for result in results
        if result.conditions.trainer_version != last[_code_of(result)].conditions.trainer_version
    )


def _code_of(result: Result) -> tuple[str, str]:
    return result.run.sweep, result.conditions.backend


def check_sweep(store: Store, name: str, *, nor: str = "", place: str = "the store") -> None:
    """Raise a UsageError where no sweep of this name is stored; ``nor`` adds what else is not."""
    known = [summary.sweep for summary in store.sweeps()]
    if name not in known:
        has = f"which has {', '.join(known)}" if known else "which is empty"
        raise UsageError(f"no sweep {name!r}{nor} in {place}, {has}{nearest(name, known)}")


def by_status(results: Sequence[Result]) -> str:
    """Return how many results have each status: ``21 completed, 3 diverged``."""
    statuses = Counter(result.outcome.status for result in results).most_common()
    return ", ".join(f"{number:,} {status}" for status, number in statuses)
