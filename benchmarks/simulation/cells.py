"""A cell of a table: what is simulated, how often it happens, and how often it may."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from harness import statistics
from harness.claims import BaseClaim
from harness.statistics import Estimate
from harness.verdicts import Evidence

ALPHA = 0.05
PERMUTATIONS = 999

Trial = Callable[[np.random.Generator], Collection[str]]
"""What is simulated once: from a generator to the names of all that happened."""

Sized = Callable[[np.random.Generator, int], Evidence]
"""Draws evidence of a size, such as a number of runs."""


@dataclass(frozen=True, eq=False)
class Cell:
    """What is simulated, for one entry of a table.

    ``wrong`` are the happenings that are errors, each to be had with a probability of α at most;
    ``limit`` says up to where it is known to be more. ``shown`` are the others worth a figure.
    ``weight`` scales the number of simulations, for what takes long.
    """

    table: str
    row: str
    column: str
    trial: Trial
    wrong: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    weight: float = 1.0
    limit: float | None = None

    @property
    def key(self) -> str:
        return f"{self.table}: {self.row}: {self.column}"

    @property
    def allowed(self) -> float:
        return ALPHA if self.limit is None else self.limit


@dataclass(frozen=True)
class Measured:
    """How often things happened in ``simulations`` of a cell."""

    counts: Counter[str]
    simulations: int
    again: bool = False

    def rate(self, name: str) -> float:
        return self.counts[name] / self.simulations

    def above(self, name: str, allowed: float = ALPHA, errors: float = 2.0) -> bool:
        """Whether the rate is more than ``errors`` simulation errors above what is allowed."""
        return self.rate(name) > allowed + errors * error_of(allowed, self.simulations)


def error_of(rate: float, simulations: int) -> float:
    """Return the simulation error of a rate: its standard error."""
    return math.sqrt(rate * (1.0 - rate) / simulations)


def judged(claim: BaseClaim, draw: Callable[[np.random.Generator], Evidence]) -> Trial:
    """Return the trial that judges a claim; what happens is its verdict."""

    def trial(rng: np.random.Generator) -> tuple[str]:
        return (claim.judge("question", draw(rng)).verdict,)

    return trial


def measure(cell: Cell, simulations: int, *, seed: int = 0, twice: bool = False) -> Measured:
    """Simulate a cell; equal arguments give equal counts.

    What is no error needs half as many simulations: nothing hangs by its third digit. With
    ``twice``, a rate above α by two to six simulation errors is measured anew, with four times the
    simulations and another seed, and once more with twenty times where it is still above and not
    known to be; the last measurement stands. Of hundreds of rates that are α exactly, one in fifty
    would otherwise be above by chance. None is by six.
    """
    share = cell.weight if cell.wrong else cell.weight / 2
    found = _counted(cell, max(50, round(share * simulations)), seed)
    if not twice or _is_above(cell, found, errors=6.0):
        return found
    for number, times in enumerate((4, 20) if cell.limit is None else (4,), start=1):
        if not _is_above(cell, found):
            break
        again = _counted(cell, times * max(50, round(share * simulations)), seed + number)
        found = Measured(again.counts, again.simulations, again=True)
    return found


def _is_above(cell: Cell, found: Measured, errors: float = 2.0) -> bool:
    return any(found.above(name, errors=errors) for name in cell.wrong)


def _counted(cell: Cell, simulations: int, seed: int) -> Measured:
    rng = np.random.default_rng([seed, zlib.crc32(cell.key.encode())])
    counts: Counter[str] = Counter()
    with undistracted():
        for _ in range(simulations):
            counts.update(set(cell.trial(rng)))
    return Measured(counts, simulations)


@contextmanager
def undistracted() -> Iterator[None]:
    """Judge without what takes long and decides nothing.

    The bootstraps that are printed beside a verdict are left out, what depends on counts alone is
    computed once for each count, and 999 permutations stand in for some thousands: their p values
    are as right, and only the power is a little lower.
    """
    unmade = Estimate(math.nan, -math.inf, math.inf, 0.95, 0, "not made")
    changed: dict[str, Any] = {
        "bca_mean": lambda *given, **named: unmade,
        "interquartile_mean": lambda *given, **named: unmade,
        **{name: _remembered(name) for name in ("binomial", "boschloo", "wilson")},
        **{
            name: partial(getattr(statistics, name), resamples=PERMUTATIONS)
            for name in ("compare_means", "compare_tails", "bracket")
        },
    }
    before = {name: getattr(statistics, name) for name in changed}
    vars(statistics).update(changed)
    try:
        yield
    finally:
        vars(statistics).update(before)


@lru_cache
def _remembered(name: str) -> Callable[..., Any]:
    return lru_cache(maxsize=None)(getattr(statistics, name))


def of_sizes(
    table: str,
    claim: BaseClaim,
    row: str,
    draw: Sized,
    sizes: Sequence[int],
    *,
    wrong: tuple[str, ...] = (),
    shown: tuple[str, ...] = (),
    limits: dict[int, float] | None = None,
    weights: dict[int, float] | None = None,
) -> Iterator[Cell]:
    """Yield a cell for each size that is drawn: runs, or pairs of runs."""
    for n in sizes:
        yield Cell(
            table,
            row,
            str(n),
            judged(claim, partial(_at, draw, n)),
            wrong=wrong,
            shown=shown,
            limit=(limits or {}).get(n),
            weight=(weights or {}).get(n, 1.0),
        )


def _at(draw: Sized, n: int, rng: np.random.Generator) -> Evidence:
    return draw(rng, n)
