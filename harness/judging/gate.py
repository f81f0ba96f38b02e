"""Judge the last nights of a training that runs every night: page, or do not.

The rule is `harness.statistics.nights`. Here is which metrics and nights it takes, and what it says
of them. What cannot be judged is refused, or named beside the answer: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from harness.errors import UsageError, nearest
from harness.statistics import (
    MOST_NIGHTS,
    Trend,
    autocorrelation,
    fewest_before,
    is_constant,
    most_total,
    power_of_shift,
    rank_last,
    slow_decline,
    usual_nights,
)
from harness.statistics.values import FloatArray
from harness.tables.nights import History, Night, plain_direction
from harness.text import first, plural
from harness.words import Direction

SHIFTS = (2.0, 3.0, 4.0)
"""The changes whose power is given, in SDs."""

USUAL_SHARE = 0.9
"""A metric that nobody named is judged where this share of the history has it."""

MOST_METRICS = 200
RESEMBLE, DECLINE = 0.05, 0.01
"""The levels at which nights are said to resemble the ones before, and a decline is."""

SALT = 0x6A7E
"""The seed of what is drawn: the same nights get the same answer."""

Why = Literal["no direction", "not in the history", "constant"]


class TooFewNightsError(UsageError):
    """There are too few nights to judge: ``has`` where ``needs`` are needed, tonight included."""

    def __init__(self, said: str, has: int, needs: int) -> None:
        self.has, self.needs = has, needs
        super().__init__(said)


@dataclass(frozen=True, slots=True)
class Asked:
    """The user's choices: judge ``metrics`` and no others if given, ``ignored`` ones never.

    ``directions`` say of a metric whether more or less is better; ``nights`` how many last nights
    are judged together, None for the usual number.
    """

    metrics: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    directions: Mapping[str, Direction] | None = None
    nights: int | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """A metric in the nights before, of mean ``before`` and SD ``sd``, and in the last ones.

    ``in_sds`` is the change for the worse in these SDs, None where the nights before are equal.
    """

    metric: str
    direction: Direction
    before: float
    last: float
    sd: float
    in_sds: float | None


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign that all is not well: the ``metric`` that has it most, and the p value over all.

    ``size`` is the correlation of a night with the next, or the cumulative sum of a decline, which
    began ``since`` a night.
    """

    metric: str
    size: float
    p_value: float
    since: str


@dataclass(frozen=True, slots=True)
class Gate:
    """The answer on the last nights.

    ``worst`` is the place, among ``shifts``, of the metric that is worst. ``last`` and ``before``
    name the nights, in order ``by`` date or name. ``power`` is that of a change by so many SDs in
    one metric; empty where all were the same before. Nights resemble the ones before if
    ``resembling`` is set, and then the rate of pages is not the promised one; ``declining`` is set
    where a metric has got worse slowly.
    ``aside`` are metrics that were not judged, with why, and ``incomplete`` nights that lack one
    that was. ``earlier`` nights were too many to count.
    """

    pages: bool
    rank: int
    choices: int
    worst: int
    shifts: tuple[Shift, ...]
    last: tuple[str, ...]
    before: tuple[str, ...]
    by: str
    power: tuple[tuple[float, float], ...]
    resembling: Sign | None = None
    declining: Sign | None = None
    aside: tuple[tuple[str, Why], ...] = ()
    incomplete: tuple[str, ...] = ()
    earlier: int = 0
    same: str = ""

    @property
    def p_value(self) -> float:
        """The exact p value of "the last nights are worse"."""
        return self.rank / self.choices

    @property
    def shift(self) -> Shift:
        """The metric that is worst."""
        return self.shifts[self.worst]


def judge(tonight: Night, history: History, asked: Asked | None = None) -> Gate:
    """Judge the last nights, of which ``tonight`` is the last, against those before.

    Raises
    ------
    TooFewNightsError
        Where there are too few nights, with how many are needed.
    UsageError
        Where a metric that is asked for, or that the nights before have, is no number tonight, is
        the same in every night, or has no plain direction; or there is nothing to judge.
    """
    asked = asked or Asked()
    _check(tonight, history, asked)
    ways, aside = _directions(tonight, history, asked)
    nights = [n for n in (*history.nights, tonight) if all(name in n.metrics for name in ways)]
    incomplete = tuple(n.name for n in history.nights if not all(w in n.metrics for w in ways))
    m = asked.nights or usual_nights(len(nights))
    needs = m + fewest_before(m)
    if len(nights) < needs:
        raise TooFewNightsError(_too_few(len(nights), m, incomplete), len(nights), needs)
    earlier = max(0, len(nights) - most_total(m))
    nights = nights[earlier:]
    columns = {name: np.array([night.metrics[name] for night in nights]) for name in ways}
    constant = [name for name, column in columns.items() if is_constant(column)]
    named = [name for name in constant if name in asked.metrics]
    if named or len(constant) == len(ways):
        raise UsageError(
            f"{first(named or constant, 5)}: the same in all {len(nights)} nights, so nothing can "
            f"be told by it"
        )
    aside += [(name, "constant") for name in constant]
    names = [name for name in ways if name not in constant]
    worse = np.stack([columns[n] if ways[n] == "min" else -columns[n] for n in names], axis=1)
    found, rng = rank_last(worse, m), np.random.default_rng(SALT)
    labels = [night.name for night in nights]
    # A change in the last nights is no sign that nights resemble each other.
    moving = [place for place in range(len(names)) if not is_constant(worse[:-m, place])]
    moved, called = worse[:, moving], [names[place] for place in moving]
    return Gate(
        pages=found.pages,
        rank=found.rank,
        choices=found.choices,
        worst=found.metric,
        shifts=tuple(_shift(name, ways[name], columns[name], m) for name in names),
        last=tuple(labels[-m:]),
        before=tuple(labels[:-m]),
        by=history.by,
        resembling=_sign(autocorrelation(moved[:-m], rng), RESEMBLE, called, labels)
        if moving
        else None,
        declining=_sign(slow_decline(worse, rng), DECLINE, names, labels),
        power=tuple((shift, power_of_shift(moved, m, shift, rng)) for shift in SHIFTS)
        if moving
        else (),
        aside=tuple(aside),
        incomplete=incomplete,
        earlier=earlier,
        same=history.same,
    )


def _check(tonight: Night, history: History, asked: Asked) -> None:
    """Check the names that were given.

    Raises
    ------
    UsageError
        Where one is in no night, a metric that is asked for is no number tonight, or a direction or
        number of nights is none.
    """
    if asked.nights is not None and asked.nights not in range(1, MOST_NIGHTS + 1):
        raise UsageError(f"nights {asked.nights!r}: 1 to {MOST_NIGHTS} are judged together")
    for name, way in (asked.directions or {}).items():
        if way not in get_args(Direction):
            raise UsageError(f"the direction of {name} is max or min, not {way!r}")
    here = {*tonight.metrics, *tonight.others}
    known = here.union(*({*night.metrics, *night.others} for night in history.nights))
    given = (("--ignore", asked.ignored), ("--direction", tuple(asked.directions or ())))
    for flag, names in (("--metric", asked.metrics), *given):
        for name in names:
            if name not in known:
                raise UsageError(f"{flag} {name}: no night has it{nearest(name, known)}")
    for name in asked.metrics:
        if name not in tonight.metrics:
            raise UsageError(
                f"{tonight.file}: {name} is {tonight.says(name)} tonight, where a number was "
                f"expected"
            )
    if not tonight.metrics:
        raise UsageError(f"{tonight.file} has no number, so nothing to judge")


def _directions(
    tonight: Night, history: History, asked: Asked
) -> tuple[dict[str, Direction], list[tuple[str, Why]]]:
    """Return the metrics to judge with their directions, and those set aside.

    Raises
    ------
    UsageError
        Where the direction of a metric that is asked for is not plain, a metric of the history is
        gone tonight, or none is left.
    """
    told, ways, aside = asked.directions or {}, dict[str, Direction](), list[tuple[str, Why]]()
    usual = {name for name in _all_names(history.nights) if _is_usual(name, history.nights)}
    for name in sorted(usual - {*tonight.metrics, *asked.ignored, *asked.metrics}):
        if not asked.metrics and (name in told or plain_direction(name)):
            raise UsageError(
                f"{tonight.file}: {name} is {tonight.says(name)} tonight and a number in the "
                f"nights before; mend it, or leave it out by --ignore {name}"
            )
    for name in asked.metrics or tonight.metrics:
        way = told.get(name) or plain_direction(name)
        if name in asked.ignored:
            continue
        if way is None and asked.metrics:
            raise UsageError(
                f"whether more or less of {name} is better is not plain by its name; say "
                f"--direction {name}=max or --direction {name}=min"
            )
        if way is None:
            aside.append((name, "no direction"))
        elif history.nights and not asked.metrics and name not in usual:
            aside.append((name, "not in the history"))
        else:
            ways[name] = way
    if not ways:
        raise UsageError(_nothing(tonight, aside))
    if len(ways) > MOST_METRICS:
        raise UsageError(
            f"{tonight.file} has {len(ways)} metrics; each costs the others power, so name those "
            f"that matter by --metric, at most {MOST_METRICS}"
        )
    return ways, aside


def _nothing(tonight: Night, aside: Sequence[tuple[str, Why]]) -> str:
    """Say why none of tonight's metrics can be judged."""
    young = [name for name, why in aside if why == "not in the history"]
    if young:
        return (
            f"no metric of {tonight.file} is in nine of ten nights of the history: "
            f"{first(young, 5)}; --metric NAME judges one by the nights that have it"
        )
    names = first([name for name, _ in aside], 5)
    return (
        f"no metric of {tonight.file} has a name that says whether more or less is better: "
        f"{names or 'all are ignored'}; say it by --direction NAME=max or NAME=min"
    )


def _too_few(has: int, nights: int, incomplete: Collection[str]) -> str:
    """Say how many nights there are, and how many are needed."""
    lacking = f" ({plural(len(incomplete), 'night')} lack a metric)" if incomplete else ""
    needs = nights + fewest_before(nights)
    fewer = [
        f"{m} together take {m + fewest_before(m)}"
        for m in range(nights + 1, MOST_NIGHTS + 1)
        if m + fewest_before(m) <= has
    ]
    instead = f"; {first(fewer, 3)} (--nights)" if fewer else ""
    return (
        f"too few nights: {has} with tonight{lacking}, and {nights} judged together take {needs} "
        f"({fewest_before(nights)} before them){instead}"
    )


def _all_names(nights: Sequence[Night]) -> set[str]:
    return set().union(*(night.metrics for night in nights))


def _is_usual(name: str, nights: Sequence[Night]) -> bool:
    return sum(name in night.metrics for night in nights) >= USUAL_SHARE * len(nights)


def _sign(trend: Trend, level: float, names: Sequence[str], nights: Sequence[str]) -> Sign | None:
    """Return a trend in words where it is shown at ``level``."""
    if trend.p_value > level:
        return None
    return Sign(names[trend.metric], trend.size, trend.p_value, nights[trend.since])


def _shift(name: str, way: Direction, values: FloatArray, m: int) -> Shift:
    before, last = float(values[:-m].mean()), float(values[-m:].mean())
    sd = 0.0 if is_constant(values[:-m]) else float(values[:-m].std(ddof=1))
    change = last - before if way == "min" else before - last
    return Shift(name, way, before, last, sd, change / sd if sd else None)
