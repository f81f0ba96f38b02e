"""What an ordinary test would say by itself, beside the tests that must agree for a verdict."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial

import numpy as np

from harness import statistics
from harness.statistics import Comparison

from .cells import ALPHA, Cell
from .samples import COLLAPSE, DEEP, NORMAL, WIDE, Draw, FloatArray, Mixture

Test = Callable[[FloatArray, FloatArray, np.random.Generator], Comparison]
Size = tuple[int, int]
SIZES: tuple[Size, ...] = ((16, 16), (24, 24), (24, 48), (48, 48))


def _welch(a: FloatArray, b: FloatArray, rng: np.random.Generator) -> Comparison:
    return statistics.welch(a, b)


def _means(a: FloatArray, b: FloatArray, rng: np.random.Generator) -> Comparison:
    return statistics.compare_means(a, b, rng)


def _brown_forsythe(a: FloatArray, b: FloatArray, rng: np.random.Generator) -> Comparison:
    return statistics.brown_forsythe(b, a)  # supported where the first spreads less


def _spreads(a: FloatArray, b: FloatArray, rng: np.random.Generator) -> Comparison:
    return statistics.compare_spreads(b, a)


def _permutation(a: FloatArray, b: FloatArray, rng: np.random.Generator) -> Comparison:
    return statistics.cvar_permutation(a, b, rng, resamples=999)


def _tails(a: FloatArray, b: FloatArray, rng: np.random.Generator) -> Comparison:
    return statistics.compare_tails(a, b, rng)


def _student(a: FloatArray, b: FloatArray, rng: np.random.Generator) -> Comparison:
    return statistics.paired(a)


def _gains(a: FloatArray, b: FloatArray, rng: np.random.Generator) -> Comparison:
    return statistics.skewed_paired(a)


def _judged(
    together: Test, alone: Test, ours: Draw, theirs: Draw, size: Size, rng: np.random.Generator
) -> Collection[str]:
    sides = ours(rng, size[0]), theirs(rng, size[1])
    said = {"together": together, "alone": alone}
    return {name for name, test in said.items() if test(*sides, rng).p_greater <= ALPHA}


def _rows() -> Iterator[tuple[str, Test, Test, Draw, Draw]]:
    """Yield rows with both tests and both samples: first where nothing is better, then power."""
    n, w, c, d = NORMAL, WIDE, COLLAPSE, DEEP
    for name, ours, theirs in (
        ("15% collapse", c, c),
        ("15% collapse deeply, only here", d, n),
        ("higher by 1 SD; normal", n.moved(0.05), n),
        ("higher by .05; 15% collapse", c.moved(0.05), c),
    ):
        yield f"Welch: {name}", _means, _welch, ours, theirs
    narrow: Mixture = n.times(0.5)
    for name, ours, theirs in (
        ("15% collapse", c, c),
        ("15% collapse deeply, only here", d.unit_spread, n.unit_spread),
        ("SD half; normal", narrow, n),
    ):
        yield f"Brown–Forsythe: {name}", _spreads, _brown_forsythe, ours, theirs
    for name, ours, theirs in (
        ("twice as wide here", w.tail_at_zero, n.tail_at_zero),
        ("twice as wide there", n.tail_at_zero, w.tail_at_zero),
        ("15% collapse deeply, only here", d.tail_at_zero, n.tail_at_zero),
        ("better by 1 SD; normal", n.moved(0.05), n),
    ):
        yield f"CVaR, permuted: {name}", _tails, _permutation, ours, theirs
    for name, ours in (
        ("15% fall back", c),
        ("15% fall far back", d),
        ("gain of half an SD; normal", n.moved(0.025)),
    ):
        yield f"Student, paired: {name}", _gains, _student, ours, n


def alone() -> Iterator[Cell]:
    """What is called better by all tests of a verdict together, and by the ordinary one alone."""
    for name, together, by_itself, ours, theirs in _rows():
        for size in SIZES:
            if name.startswith("Student") and size == (24, 48):
                continue
            yield Cell(
                "ordinary",
                name,
                f"{size[0]}/{size[1]}",
                partial(_judged, together, by_itself, ours, theirs, size),
                shown=("together", "alone"),
                weight=2.0,
            )
