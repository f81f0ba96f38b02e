"""The uses that the next runs could be put to, as values, and the rule that orders them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.observations.selection import Noise, Selection
from harness.refine.ranges import End
from harness.sweeps.distributions import Distribution

CLOSE = 0.2
"""An SD is known once its estimate is off by at most this share."""

EVEN = 0.5
"""An option with a lower chance of deciding its question does not come first."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Train no more. ``why`` says what is settled."""

    why: Literal["told apart", "alike", "confirmed", "constant"]
    runs: int = 0
    chance: float | None = None
    kind: Literal["nothing"] = "nothing"


@dataclass(frozen=True, slots=True)
class ConfirmOption:
    """Train the leaders and the median config again, each with as many fresh ``seeds``.

    ``leaders`` are the ids of their runs, and ``covered`` is the probability that the truly best
    config is among them. ``lead`` is how far the first is ahead of the median config in the
    metric's unit, and ``left`` what is left of it after selection, where a config is trained again.
    ``sd`` is that of a run with a fresh seed, by ``noise``. The ``chance`` that one of them is
    shown to be ahead of the median config is at what is ``left``; where the noise has no seeds in
    it, it is at most that.
    """

    leaders: tuple[str, ...]
    seeds: int
    covered: float | None = None
    lead: float | None = None
    left: float | None = None
    sd: float | None = None
    noise: Noise | None = None
    chance: float | None = None
    kind: Literal["confirm"] = "confirm"

    @property
    def runs(self) -> int:
        return (len(self.leaders) + 1) * self.seeds

    @property
    def at_most(self) -> bool:
        """Whether the chance is an upper bound, since what seeds add is not known."""
        return self.noise == "standard errors"


@dataclass(frozen=True, slots=True)
class Seeds:
    """Train each of the ``configs`` with more seeds: ``then`` in place of ``now``.

    ``with_arms`` counts the runs of arms too. The standard error of a config falls to the share
    ``error`` of what it is, as far as seeds make it. ``known`` is the probability that the SD of
    seeds is then known within `CLOSE`. ``question`` is the first open one whose power is known: it
    goes from ``power_now`` to ``power_then``.
    """

    now: int
    then: int
    configs: int
    with_arms: int
    known: float
    question: str | None = None
    power_now: float | None = None
    power_then: float | None = None
    kind: Literal["seeds"] = "seeds"

    @property
    def runs(self) -> int:
        return self.configs * (self.then - self.now)

    @property
    def error(self) -> float:
        return math.sqrt(self.now / self.then)

    @property
    def chance(self) -> float:
        """The power of the open question, or how likely the SD of seeds is known then."""
        return self.known if self.power_then is None else self.power_then


@dataclass(frozen=True, slots=True)
class Narrower:
    """Train the proposed sweep, of which ``changed`` parameters are drawn otherwise.

    Its main ``question`` is the first one whose power is known, which is the ``chance``.
    """

    runs: int
    with_arms: int
    changed: int
    question: str | None = None
    chance: float | None = None
    kind: Literal["narrower"] = "narrower"


@dataclass(frozen=True, slots=True)
class Beyond:
    """A parameter whose best value may lie beyond one ``end`` of the searched range.

    ``edge`` is the value there; ``after`` the range that goes further, None where none can be said.
    """

    parameter: str
    end: End
    edge: float
    after: Distribution | None


@dataclass(frozen=True, slots=True)
class Wider:
    """Train a sweep that goes ``beyond`` the ends at which the best values lie.

    It is the ``proposed`` one, or that with the ranges of ``beyond``. The ``chance`` is that the
    best value of the first parameter is shown to lie inside the new range, if it does.
    """

    beyond: tuple[Beyond, ...]
    runs: int
    with_arms: int
    proposed: bool
    chance: float | None = None
    kind: Literal["wider"] = "wider"


Option = Nothing | ConfirmOption | Seeds | Narrower | Wider


@dataclass(frozen=True, slots=True)
class Advice:
    """Advice on the next ``runs``: ``options``, the best first.

    ``chosen`` is what the runs are worth after the best of them are chosen.
    """

    runs: int
    options: tuple[Option, ...]
    chosen: Selection

    @property
    def first(self) -> Option:
        return self.options[0]


@dataclass(frozen=True, slots=True)
class Known:
    """Facts about the finished runs, by which the options are ordered.

    ``noise`` says whether the noise of a config with a fresh seed is known, ``apart`` whether one
    is told apart as the best, ``alike`` whether no config is ahead of the mean by more than the
    margin, ``confirmed`` whether the best was trained again with fresh seeds, and ``settled``
    whether every question is decided.
    """

    noise: bool
    apart: bool
    alike: bool
    confirmed: bool
    settled: bool
    constant: bool = False

    @property
    def is_enough(self) -> Nothing | None:
        """The option to train no more, where that is right."""
        if self.constant:
            return Nothing("constant")
        if not self.settled:
            return None
        if self.confirmed:
            return Nothing("confirmed")
        if self.alike:
            return Nothing("alike")
        return Nothing("told apart") if self.apart else None


def order(options: Sequence[Option], known: Known, runs: int) -> tuple[Option, ...]:
    """Return ``options`` with the best use of the next ``runs`` first.

    Nothing, where that is right; wider, where the best lies at an edge; confirm, where the leaders
    are neither told apart nor alike and it is at least as likely as not to show a lead; more seeds,
    where the noise of seeds is not known; narrower, where that changes anything. Then come, each
    where it was not first, more seeds, confirm, and the same ranges anew. A sweep that takes more
    runs than there are comes last.
    """

    def place(option: Option) -> tuple[bool, int]:
        match option:
            case Nothing():
                return False, 0
            case Wider():
                return option.runs > runs, 1
            case ConfirmOption():
                likely = option.chance is not None and option.chance >= EVEN
                useful = known.noise and not (known.apart or known.alike)
                return False, 2 if useful and likely else 6
            case Seeds():
                return False, 5 if known.noise else 3
            case Narrower():
                return option.runs > runs, 4 if option.changed else 7

    return tuple(sorted(options, key=place))
