"""Questions against a baseline: success, mean, spread and lower tail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from harness.claims import BaseClaim, lower_tail, mean_gain, spread, success_rate
from harness.verdicts import Counts, Evidence

from .cells import Cell, judged
from .evidence import SE, versus
from .samples import COLLAPSE, DEEP, NORMAL, WIDE, Draw, FloatArray, Mixture, tied

Size = tuple[int, int]
SIZES: tuple[Size, ...] = ((8, 8), (8, 48), (16, 16), (24, 48), (48, 48), (96, 96), (200, 200))
IN_TAIL: tuple[Size, ...] = ((16, 16), (16, 48), *SIZES[3:])
BOTH = ("supported", "refuted")
PUBLISHED = Counts("published", 6, 19, "ΔPerf > 0", "a summary")

BETTER = success_rate.above_baseline()
MEAN = mean_gain.above_baseline()
SPREAD = spread.below_baseline()
TAIL = lower_tail.above_baseline()

Sized = Callable[[np.random.Generator, Size], Evidence]


def _cells(
    table: str,
    claim: BaseClaim,
    row: str,
    draw: Sized,
    sizes: Sequence[Size] = SIZES,
    *,
    wrong: tuple[str, ...] = (),
    shown: tuple[str, ...] = (),
    limits: dict[Size, float] | None = None,
    weights: dict[Size, float] | None = None,
) -> Iterator[Cell]:
    for size in sizes:
        yield Cell(
            table,
            row,
            f"{size[0]}/{size[1]}",
            judged(claim, partial(_at, draw, size)),
            wrong=wrong,
            shown=shown,
            limit=(limits or {}).get(size),
            weight=(weights or {}).get(size, 1.0),
        )


def _at(draw: Sized, size: Size, rng: np.random.Generator) -> Evidence:
    return draw(rng, size)


def _two(
    ours: Draw,
    theirs: Draw,
    *,
    better: float = 0.0,
    shared: float = 0.0,
    noise: tuple[float, float] | None = None,
    table: bool = False,
) -> Sized:
    """Two samples, the first ``better`` by so much.

    ``shared`` is the standard error of one measurement before training that all runs of a side
    have in common, ``noise`` that of the measurement of each run, beside the spread of the runs.
    """

    def draw(rng: np.random.Generator, size: Size) -> Evidence:
        n, m = size
        sides: list[FloatArray] = [ours(rng, n) + better, theirs(rng, m)]
        errors = (SE, SE)
        if noise is not None:
            errors = noise
            sides = [s + rng.normal(0, se, s.size) for s, se in zip(sides, noise, strict=True)]
        if shared:
            sides = [side - rng.normal(0, shared) for side in sides]
        prompts = None if table else 512
        return versus(rng, *sides, se=errors[0], other_se=errors[1], prompts=prompts)

    return draw


# ---- success_vs_baseline ------------------------------------------------------------------------


def _rates(ours: float, theirs: float) -> Sized:
    def draw(rng: np.random.Generator, size: Size) -> Evidence:
        sides = [
            np.where(rng.random(n) < rate, 0.1, 0.0) + rng.normal(0, 0.001, n)
            for n, rate in zip(size, (ours, theirs), strict=True)
        ]
        return versus(rng, *sides)

    return draw


def _useless(theirs: Counts | float, se: float | None) -> Sized:
    """Useless runs against published counts, or against runs that lose so much."""

    def draw(rng: np.random.Generator, size: Size) -> Evidence:
        other = theirs if isinstance(theirs, Counts) else rng.normal(-theirs, SE, size[1])
        return versus(rng, rng.normal(0, SE, size[0]), other, se=se, other_se=se)

    return draw


def success_vs_baseline() -> Iterator[Cell]:
    """Whether more of the runs improve than in the baseline."""
    most, heavy = SIZES[:-1], {(96, 96): 0.25}
    table = partial(_cells, "success_vs_baseline", BETTER, weights=heavy)
    supported = ("supported",)
    for rate in (0.1, 0.4, 0.5):
        yield from table(f"{rate:.0%} succeed on both sides", _rates(rate, rate), most, wrong=BOTH)
    yield from table("30% against 50%", _rates(0.3, 0.5), most, wrong=supported)
    yield from table("useless against useless", _useless(0.0, SE), most, wrong=BOTH)
    published = [(n, 19) for n in (8, 16, 24, 48, 96, 200)]
    yield from table(
        "useless against published counts", _useless(PUBLISHED, SE), published, wrong=supported
    )
    yield from table(
        "no SE: useless against a baseline that loses", _useless(0.01, None), most, wrong=supported
    )
    gains = NORMAL.times(0.4).moved(0.02)
    yield from table(
        "table, SE .0100 against .0124",
        _two(gains, gains, noise=(0.01, 0.0124), table=True),
        most,
        wrong=BOTH,
    )
    yield from table(
        "table, SE .01 against .02",
        _two(gains, gains, noise=(0.01, 0.02), table=True),
        most,
        wrong=BOTH,
    )
    yield from table(
        "one before for each side †",
        _two(gains, gains, shared=SE),
        most,
        wrong=BOTH,
        limits=dict.fromkeys(most, 0.3),
    )
    for ours, theirs in ((0.7, 0.3), (0.8, 0.5)):
        yield from table(
            f"{ours:.0%} against {theirs:.0%}", _rates(ours, theirs), most, shown=supported
        )


# ---- mean, spread and lower tail ----------------------------------------------------------------


def _pair_of_samples(alike: Callable[[Mixture], Mixture]) -> list[tuple[str, Draw, Draw]]:
    """Return pairs of samples that are ``alike`` in what is compared, and not in other ways."""
    n, w, c, d = (alike(one) for one in (NORMAL, WIDE, COLLAPSE, DEEP))
    return [
        ("normal", n, n),
        ("twice as wide here", w, n),
        ("twice as wide there", n, w),
        ("15% collapse", c, c),
        ("15% collapse deeply", d, d),
        ("15% collapse, only here", c, n),
        ("15% collapse, only there", n, c),
        ("15% collapse deeply, only here", d, n),
        ("15% collapse deeply, only there", n, d),
        ("tied", tied(n), tied(n)),
    ]


def _unseen(name: str) -> dict[Size, float] | None:
    """Return the known limits where what collapses on one side may be in no sample."""
    if "only" not in name:
        return None
    return {(8, 8): 0.30, (8, 48): 0.30, (16, 16): 0.11, (16, 48): 0.11}


def mean_vs_baseline() -> Iterator[Cell]:
    """Whether the mean is higher than the baseline's."""
    table = partial(_cells, "mean_vs_baseline", MEAN, weights={(200, 200): 0.4})
    for name, ours, theirs in _pair_of_samples(lambda one: one.centred):
        yield from table(
            f"equal means; {name}", _two(ours, theirs), wrong=BOTH, limits=_unseen(name)
        )
    yield from table(
        "equal means; table, SE .01 against .05",
        _two(NORMAL, NORMAL, noise=(0.01, 0.05), table=True),
        wrong=BOTH,
    )
    yield from table(
        "equal means; one before for each side †",
        _two(NORMAL, NORMAL, shared=SE),
        wrong=BOTH,
        limits=dict.fromkeys(SIZES, 0.40),
    )
    yield from table("lower by .02", _two(NORMAL, NORMAL, better=-0.02), wrong=("supported",))
    for by in (0.025, 0.05):
        for name, ours, theirs in (
            ("normal", NORMAL, NORMAL),
            ("15% collapse", COLLAPSE, COLLAPSE),
        ):
            size = by / ours.sd
            yield from table(
                f"higher by {by:g} ({size:.2g} SD); {name}",
                _two(ours, theirs, better=by),
                shown=("supported",),
            )


def variance_vs_baseline() -> Iterator[Cell]:
    """Whether the runs vary less than the baseline's."""
    table = partial(_cells, "variance_vs_baseline", SPREAD)
    for name, ours, theirs in _pair_of_samples(lambda one: one.unit_spread):
        if "wide" not in name:
            yield from table(
                f"equal spread; {name}", _two(ours, theirs), wrong=BOTH, limits=_unseen(name)
            )
    narrow = NORMAL.times(0.2)
    for here, there, name in (
        (0.0100, 0.0124, ".0100 against .0124"),
        (0.0124, 0.0100, ".0124 against .0100"),
        (0.01, 0.02, ".01 against .02"),
    ):
        yield from table(
            f"equal spread of .01; table, SE {name}",
            _two(narrow, narrow, noise=(here, there), table=True),
            wrong=BOTH,
        )
    yield from table(
        "equal spread; one before for each side", _two(NORMAL, NORMAL, shared=SE), wrong=BOTH
    )
    yield from table("half as much again", _two(NORMAL.times(1.5), NORMAL), wrong=("supported",))
    for ratio in (0.5, 0.7):
        yield from table(
            f"SD {ratio:g} of the baseline's",
            _two(NORMAL.times(ratio), NORMAL),
            shown=("supported",),
        )
    yield from table(
        "SD half, 15% collapse", _two(COLLAPSE.times(0.5), COLLAPSE), shown=("supported",)
    )


def lower_tail_vs_baseline() -> Iterator[Cell]:
    """Whether the worst quarter does better than the baseline's."""
    table = partial(
        _cells,
        "lower_tail_vs_baseline",
        TAIL,
        sizes=IN_TAIL,
        weights={(96, 96): 0.6, (200, 200): 0.3},
    )
    for name, ours, theirs in _pair_of_samples(lambda one: one.tail_at_zero):
        yield from table(
            f"equal tails; {name}", _two(ours, theirs), wrong=BOTH, limits=_unseen(name)
        )
    narrow = NORMAL.times(0.2).tail_at_zero
    for here, there, name in (
        (0.0100, 0.0124, ".0100 against .0124"),
        (0.01, 0.02, ".01 against .02"),
    ):
        yield from table(
            f"equal runs, SD .01; table, SE {name}",
            _two(narrow, narrow, noise=(here, there), table=True),
            wrong=BOTH,
        )
    yield from table(
        "equal tails; one before for each side †",
        _two(NORMAL, NORMAL, shared=SE),
        wrong=BOTH,
        limits=dict.fromkeys(IN_TAIL, 0.40),
    )
    yield from table("worse by .03", _two(NORMAL, NORMAL, better=-0.03), wrong=("supported",))
    for by in (0.05, 0.075):
        yield from table(
            f"better by {by:g} ({by / NORMAL.sd:.2g} SD)",
            _two(NORMAL, NORMAL, better=by),
            shown=("supported",),
        )
    yield from table(
        "better by .075; 15% collapse", _two(COLLAPSE, COLLAPSE, better=0.075), shown=("supported",)
    )
