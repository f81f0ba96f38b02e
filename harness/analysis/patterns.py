"""Find what the high performers have in common, and conclude which of it is evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness import statistics
from harness.analysis.columns import Association
from harness.observations.columns import Column
from harness.records import Span, Value

Kind = Literal["level", "only", "range"]
Standing = Literal["evidence", "not evidence", "cannot be told apart"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that some or all of the high performers share.

    Its ``values`` are one value ("level"), the values that occur among them where others do not
    ("only"), or the least and the greatest ("range"). ``high`` of the high performers have it, and
    ``runs`` of all runs. Each probability is that of at least as strong a pattern by chance.
    ``p_margins`` keeps the number of runs at each value; ``p_equal`` takes the parameter's
    ``levels`` values to be equally likely. ``p_within`` has the probability among runs that agree
    on a parameter that this one goes with, or None where those all agree on this one too.
    ``p_holm`` is the largest of these except ``p_equal``, corrected for the number of patterns
    tested; ``p_alone`` is ``p_margins`` corrected in the same way.
    """

    parameter: str
    kind: Kind
    values: tuple[Value, ...]
    high: int
    runs: int
    levels: int
    p_margins: float
    p_equal: float | None
    p_within: Mapping[str, float | None]
    p_holm: float = 1.0
    p_alone: float = 1.0

    @property
    def p_adjusted(self) -> float:
        """The p value of a pattern that neither chance nor other parameters explain."""
        within = (1.0 if p is None else p for p in self.p_within.values())
        return max(self.p_margins, *within, 0.0)


@dataclass(frozen=True, slots=True)
class Implication:
    """The ``values`` of a ``parameter`` that allow only certain values of another."""

    parameter: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The worth of a parameter's pattern among the high performers as evidence.

    ``counts`` has the high performers and all runs at each level; it is empty for a range.
    ``pattern`` is the strongest one. ``confounded_with`` are parameters that could explain it as
    well, and ``implied_by`` is one that allows no other values.
    """

    parameter: str
    standing: Standing
    pattern: Pattern
    counts: tuple[tuple[Value, int, int], ...]
    confounded_with: tuple[str, ...] = ()
    implied_by: Implication | None = None


def find_patterns(
    columns: Mapping[str, Column],
    associations: Mapping[str, tuple[Association, ...]],
    high: NDArray[np.bool_],
    rng: np.random.Generator,
    alpha: float,
) -> tuple[Pattern, ...]:
    """Return every pattern that is tested, in the order of the parameters.

    ``high`` [n] marks the high performers.
    """
    looked_at = sum(1 if c.numbers is not None else len(c.levels) + 1 for c in columns.values())
    resamples = statistics.resamples_for(looked_at, alpha)
    found: list[Pattern] = []
    for name, column in columns.items():
        blocks = {other.parameter: columns[other.parameter].codes for other in associations[name]}
        if column.numbers is not None:
            found += _range(column, high, blocks, rng, resamples)
        else:
            found += [_level(column, code, high, blocks) for code in range(len(column.levels))]
            found += _only(column, high, blocks, rng, resamples)
    adjusted = statistics.holm([pattern.p_adjusted for pattern in found])
    alone = statistics.holm([pattern.p_margins for pattern in found])
    return tuple(
        replace(pattern, p_holm=p_holm, p_alone=p_alone)
        for pattern, p_holm, p_alone in zip(found, adjusted, alone, strict=True)
    )


def conclude(
    columns: Mapping[str, Column],
    associations: Mapping[str, tuple[Association, ...]],
    patterns: Sequence[Pattern],
    high: NDArray[np.bool_],
    alpha: float,
) -> tuple[Conclusion, ...]:
    """Conclude for each parameter what its patterns among the high performers are worth."""
    conclusions = []
    for name, column in columns.items():
        own = [pattern for pattern in patterns if pattern.parameter == name]
        if own:
            others = [columns[other.parameter] for other in associations[name]]
            conclusions.append(_conclusion(column, others, own, high, alpha))
    return tuple(conclusions)


def _conclusion(
    column: Column,
    others: Sequence[Column],
    own: Sequence[Pattern],
    high: NDArray[np.bool_],
    alpha: float,
) -> Conclusion:
    """Conclude what a parameter's ``own`` patterns are worth.

    ``others`` are the parameters that it goes with.
    """
    counts = _counts(column, high)
    shown = min(own, key=lambda pattern: (pattern.p_holm, pattern.p_adjusted))
    if shown.p_holm <= alpha:
        return Conclusion(column.name, "evidence", shown, counts)
    seen = _visible(own)
    for other in others:
        implied = _implied(column, other, high)
        if implied is not None:
            return Conclusion(column.name, "not evidence", seen, counts, implied_by=implied)
    alone = min(own, key=lambda pattern: (pattern.p_alone, pattern.p_margins))
    if alone.p_alone <= alpha:
        rivals = tuple(n for n, p in alone.p_within.items() if p is None or p > alpha)
        rivals = rivals or tuple(alone.p_within)
        return Conclusion(column.name, "cannot be told apart", alone, counts, rivals)
    return Conclusion(column.name, "not evidence", seen, counts)


def _visible(own: Sequence[Pattern]) -> Pattern:
    """Return the pattern that a reader would see in the high performers' values."""
    for pattern in own:
        if pattern.kind in ("only", "range"):
            return pattern
    total = sum(pattern.high for pattern in own)
    strongest = min(own, key=lambda pattern: pattern.p_margins)
    return next((pattern for pattern in own if pattern.high == total), strongest)


def _implied(column: Column, other: Column, high: NDArray[np.bool_]) -> Implication | None:
    """Return the implication if the other's values among the high performers allow only these.

    None where each implies the other, because then neither comes first. Ranges imply nothing.
    """
    if column.numbers is not None or other.numbers is not None:
        return None
    ours, theirs = np.unique(column.codes[high]), np.unique(other.codes[high])
    if ours.size == len(column.levels) or theirs.size == len(other.levels):
        return None
    have, cause = np.isin(column.codes, ours), np.isin(other.codes, theirs)
    if (cause & ~have).any() or not (have & ~cause).any():
        return None
    return Implication(other.name, _values(other, theirs))


def _level(
    column: Column, code: int, high: NDArray[np.bool_], blocks: Mapping[str, NDArray[np.intp]]
) -> Pattern:
    having = column.codes == code
    count, marked = int((having & high).sum()), int(high.sum())
    return Pattern(
        column.name,
        "level",
        _values(column, [code]),
        high=count,
        runs=int(having.sum()),
        levels=len(column.levels),
        p_margins=statistics.overlap(high, having),
        p_equal=statistics.binomial(count, marked, 1.0 / len(column.levels)).p_greater,
        p_within={
            name: statistics.overlap(high, having, other) if _varies(having, other) else None
            for name, other in blocks.items()
        },
    )


def _only(
    column: Column,
    high: NDArray[np.bool_],
    blocks: Mapping[str, NDArray[np.intp]],
    rng: np.random.Generator,
    resamples: int,
) -> list[Pattern]:
    """Return the pattern of several levels that leave others out, where there is one."""
    there = np.unique(column.codes[high])
    if not 1 < there.size < len(column.levels):
        return []
    runs, p_margins = statistics.levels_covered(column.codes, high, rng, resamples=resamples)
    having = np.isin(column.codes, there)
    within = {
        name: statistics.levels_covered(column.codes, high, rng, other, resamples)[1]
        if _varies(having, other)
        else None
        for name, other in blocks.items()
    }
    return [
        Pattern(
            column.name,
            "only",
            _values(column, there),
            high=int(high.sum()),
            runs=runs,
            levels=len(column.levels),
            p_margins=p_margins,
            p_equal=None,
            p_within=within,
        )
    ]


def _range(
    column: Column,
    high: NDArray[np.bool_],
    blocks: Mapping[str, NDArray[np.intp]],
    rng: np.random.Generator,
    resamples: int,
) -> list[Pattern]:
    """Return the pattern of a range, over the runs that set the parameter."""
    assert column.numbers is not None
    known = np.isfinite(column.numbers)
    numbers, marked = column.numbers[known], high[known]
    if not marked.any():
        return []
    runs, p_margins = statistics.range_covered(numbers, marked, rng, resamples=resamples)
    within = {
        name: statistics.range_covered(numbers, marked, rng, other[known], resamples)[1]
        for name, other in blocks.items()
    }
    ends = float(numbers[marked].min()), float(numbers[marked].max())
    return [
        Pattern(
            column.name,
            "range",
            ends,
            high=int(marked.sum()),
            runs=runs,
            levels=0,
            p_margins=p_margins,
            p_equal=None,
            p_within=within,
        )
    ]


def _varies(having: NDArray[np.bool_], blocks: NDArray[np.intp]) -> bool:
    """Whether any block has runs with and runs without."""
    return any(np.ptp(having[blocks == block].astype(int)) for block in np.unique(blocks))


def _counts(column: Column, high: NDArray[np.bool_]) -> tuple[tuple[Value, int, int], ...]:
    if column.numbers is not None:
        return ()
    sizes = np.bincount(column.codes, minlength=len(column.levels))
    highs = np.bincount(column.codes[high], minlength=len(column.levels))
    levels = _values(column, range(len(column.levels)))
    return tuple(
        (level, int(some), int(all_))
        for level, some, all_ in zip(levels, highs, sizes, strict=True)
    )


def _values(column: Column, codes: Iterable[int]) -> tuple[Value, ...]:
    levels = [column.levels[int(code)] for code in codes]
    return tuple(level for level in levels if not isinstance(level, Span))
