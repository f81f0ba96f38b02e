"""Group runs that ended for the same reason, so that a reason is read once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.records import MAIN, Result, Status
from harness.text import first, plural

_NUMBER = re.compile(
    r"0x[0-9a-fA-F]+"
    r"|\b(?=[a-f]*[0-9])[0-9a-f]{8,}\b"  # digests, parts of UUIDs
    r"|[+−-]?\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?"
    r"|\b(?:nan|inf)\b"
)
_NUMBERS = re.compile(r"#(?:\s*[,x×/-]\s*#)+")

NAMED = 8
"""The most runs of a table that are named."""

ENDED: dict[Status, str] = {"oom": "ran out of memory", "timeout": "timed out"}
"""The verbs of statuses that are none."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Runs that ended for one ``reason``, which is in the words of the first of them."""

    status: Status
    reason: str
    results: tuple[Result, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the runs."""
        return tuple(result.run.id for result in self.results)

    @property
    def headline(self) -> str:
        """The number of runs, or the only one's id, with their end and the reason."""
        one = len(self.results) == 1
        who = self.ids[0] if one else plural(len(self.results), "run")
        did = ENDED.get(self.status, self.status)
        return f"{who} {did}" + (f": {self.reason}" if self.reason else "")

    @property
    def line(self) -> str:
        """The headline, and which runs they are."""
        return self.headline + (f" (runs {self.numbers})" if len(self.results) > 1 else "")

    @property
    def short_ids(self) -> str:
        """The ids of the first runs, as a table of theirs has them."""
        return first(map(short_id, self.results), NAMED)

    @property
    def numbers(self) -> str:
        """The runs by their numbers, arm by arm: ``00 to 12, 15; half r1 03``."""
        places = max(2, *(len(str(result.run.index)) for result in self.results))
        arms: dict[str, set[int]] = {}
        for result in self.results:
            arm = "" if result.run.arm == MAIN else f"{result.run.arm} "
            seed = f"r{result.run.repeat} " if result.run.repeat else ""
            arms.setdefault(arm + seed, set()).add(result.run.index)
        parts = []
        for name, indices in arms.items():
            parts.append(name + ", ".join(_ranges(sorted(indices), places)))
        return "; ".join(parts)


def short_id(result: Result) -> str:
    """Return a run's number in its sweep, or its id where that has been given elsewhere."""
    return short_of(result.run.id, result.run.sweep)


def short_of(id: str, sweep: str) -> str:
    """Return the number in its sweep of the run with this id, or the id as `short_id` does."""
    number, *_ = id.removeprefix(f"{sweep}-").split("-")
    return number if number.isdecimal() else id


def failures(results: Iterable[Result]) -> tuple[Failure, ...]:
    """Return runs by their end and its reason, the most frequent first.

    Reasons are the same if they differ only in numbers, addresses, and the run's own id and log.
    """
    groups: dict[tuple[Status, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.outcome.status, _pattern(result)), []).append(result)
    found = [Failure(key[0], reason(runs[0]), tuple(runs)) for key, runs in groups.items()]
    return tuple(sorted(found, key=lambda one: -len(one.results)))


def reason(result: Result) -> str:
    """Return why a run ended, without the place of its log and the log's last lines."""
    error = " ".join((result.outcome.error or "").split())
    log = re.escape(f"{result.run.id[:100]}-{result.key}.log")
    before = re.match(rf"(.*)(?: \(log: |; its log |; )/.*?{log}", error)
    return before[1] if before else error


def _pattern(result: Result) -> str:
    """Return the reason without what differs from run to run."""
    text = reason(result).replace(result.run.id, "#").replace(result.key, "#")
    return _NUMBERS.sub("#", _NUMBER.sub("#", text))


def _ranges(indices: Sequence[int], places: int) -> list[str]:
    """Return sorted numbers with three or more in a row as ``03 to 07``."""
    breaks = [i + 1 for i, (a, b) in enumerate(pairwise(indices)) if b != a + 1]
    starts, ends = [0, *breaks], [*breaks, len(indices)]
    found: list[str] = []
    for start, end in zip(starts, ends, strict=True):
        row = [f"{index:0{places}d}" for index in indices[start:end]]
        found += [f"{row[0]} to {row[-1]}"] if len(row) > 2 else row
    return found
