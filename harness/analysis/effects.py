"""Judge what each parameter does with the others held equal, and find pairs that interact."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness import statistics
from harness.analysis.units import Units
from harness.claims import BestValue, Matters, with_holm
from harness.claims.judging import judge_one
from harness.observations import FloatArray
from harness.observations.columns import Column
from harness.protocols import Claim
from harness.records import Span, Value
from harness.verdicts import Evidence, Verdict

MOST_PAIRED = 12
"""The most parameters that are tested in pairs: those that explain most."""

FEW_LEVELS = 8
"""A parameter with more levels than this is not tested in pairs: too few runs share a cell."""

Cell = Value | Span
"""A level, or the two ends of a third of a range."""


@dataclass(frozen=True, slots=True)
class Effect:
    """A parameter with the others held equal: whether it ``matters``, and which value is ``best``.

    Both are verdicts on a claim of that name, with p values corrected over all questions.
    """

    parameter: str
    matters: Verdict
    best: Verdict

    @property
    def share(self) -> float:
        """The share of the variance of the ranks that it explains beside the others, 0 to 1."""
        effect = self.matters.effect
        return 0.0 if effect is None or effect.share is None else effect.share

    def is_shown(self, alpha: float) -> bool:
        """Whether it is shown to matter at ``alpha``, over all questions."""
        return self.matters.is_shown(alpha)


@dataclass(frozen=True, slots=True)
class Interaction:
    """Two parameters whose effects do not simply add up.

    ``share`` is the interaction's share of the variance. The cell that stands out most has these
    ``values``; the mean of its ``runs`` lies ``beyond`` the sum of the two effects.
    """

    parameters: tuple[str, str]
    share: float
    p_value: float
    values: tuple[Cell, Cell]
    runs: int
    beyond: float
    p_holm: float = 1.0


@dataclass(frozen=True, slots=True)
class Interactions:
    """The interactions that are shown, the number of ``pairs`` tested, and the least p of all."""

    shown: tuple[Interaction, ...]
    pairs: int
    smallest: float | None


def find_effects(
    evidence: Evidence, parameters: Iterable[str], asked: Sequence[Verdict] = ()
) -> tuple[Effect, ...]:
    """Return what ``parameters`` do, those that explain most first.

    Verdicts among those ``asked`` already are taken as they are. The questions that nobody asked
    are judged here, each corrected over all questions, asked ones too.
    """
    found: dict[tuple[str, str], Verdict] = {}
    for verdict in asked:
        if verdict.effect is not None:
            found.setdefault((verdict.effect.asks, verdict.effect.parameter), verdict)
    names = tuple(parameters)
    claims: dict[tuple[str, str], Claim] = {}
    for name in names:
        claims |= {("matters", name): Matters(name), ("best", name): BestValue(name)}
    missing = {key: claim for key, claim in claims.items() if key not in found}
    counted = [verdict for verdict in asked if verdict.p_value is not None]
    together = replace(evidence, questions=len(counted) + len(missing))
    judged = [judge_one("_".join(key), claim, together) for key, claim in missing.items()]
    corrected = with_holm([*asked, *judged], evidence.alpha, of_every_parameter=True)[len(asked) :]
    found |= dict(zip(missing, corrected, strict=True))
    effects = [Effect(name, found["matters", name], found["best", name]) for name in names]
    return tuple(sorted(effects, key=lambda effect: -effect.share))


def find_interactions(
    columns: Mapping[str, Column],
    effects: Sequence[Effect],
    units: Units,
    rng: np.random.Generator,
    alpha: float,
) -> Interactions:
    """Find the interactions that are shown, at ``alpha`` over all pairs of parameters.

    The ``effects`` are those of `find_effects`, in its order.
    """
    among = [
        columns[effect.parameter]
        for effect in effects
        if len(columns[effect.parameter].levels) <= FEW_LEVELS
    ][:MOST_PAIRED]
    pairs = list(itertools.combinations(among, 2))
    done = units.finished
    outcomes = units.outcomes[done]
    resamples = statistics.resamples_for(len(pairs), alpha)
    tested = []
    for one, two in pairs:
        codes = one.codes[done], two.codes[done]
        inside = [
            statistics.within_levels(column.scaled[done], column.codes[done])
            for column in (one, two)
            if column.numbers is not None and column.scaled is not None
        ]
        beside = np.column_stack(inside) if inside else None
        share, p_value = statistics.interaction(*codes, outcomes, rng, resamples, beside=beside)
        cell, runs, beyond = _outstanding(*codes, outcomes)
        values = (one.levels[cell[0]], two.levels[cell[1]])
        names = (one.name, two.name)
        tested.append(Interaction(names, share, p_value, values, runs, beyond))
    holm = statistics.holm([one.p_value for one in tested])
    corrected = [replace(one, p_holm=p) for one, p in zip(tested, holm, strict=True)]
    corrected.sort(key=lambda one: (one.p_holm, -one.share))
    shown = tuple(one for one in corrected if one.p_holm <= alpha)
    smallest = min((one.p_value for one in tested), default=None)
    return Interactions(shown, len(pairs), smallest)


def _outstanding(
    codes: NDArray[np.intp], others: NDArray[np.intp], outcomes: FloatArray
) -> tuple[tuple[int, int], int, float]:
    """Return the cell that stands out most from the sum of both effects, its runs, and how far."""
    width = int(others.max()) + 1
    one, two = np.eye(int(codes.max()) + 1)[codes], np.eye(width)[others]
    design = np.hstack([one, two])
    weights, *_ = np.linalg.lstsq(design, outcomes, rcond=None)
    cells, index, sizes = np.unique(codes * width + others, return_inverse=True, return_counts=True)
    beyond = np.bincount(index.ravel(), outcomes - design @ weights) / sizes
    place = int(np.argmax(np.abs(beyond) * np.sqrt(sizes)))
    return (
        (int(cells[place]) // width, int(cells[place]) % width),
        int(sizes[place]),
        float(beyond[place]),
    )
