"""Questions on the runs of one sweep: its success, plateau, learning rate and batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from harness.claims import best_inside, no_worse, still_improves, success_rate
from harness.records import Value
from harness.verdicts import Evidence

from .cells import Cell, Sized, of_sizes
from .evidence import SE, alone, along, gaining, paired, results
from .samples import COLLAPSE, DEEP, NORMAL, UNEVEN, Draw, FloatArray, Mixture, tied

SIZES = (8, 16, 24, 48, 96, 200)
PAIRS = (12, 16, 24, 48)
MARGIN = 0.02
UNSEEN = {8: 0.30, 12: 0.17, 16: 0.11}
"""Known limits where runs that collapse may be in no sample: .85ⁿ, and what comes on top."""

HALF = success_rate.above(0.5)
PLATEAU = still_improves(since=50, margin=MARGIN)
SLIGHTEST = still_improves(since=50, margin=0.001)
"""Without gain a wider margin only helps: a small one is least favourable."""

INSIDE = best_inside("learning_rate", margin=MARGIN)
WITHIN = best_inside("learning_rate", within="batch_size", margin=MARGIN)
BATCH = no_worse("batch_size", 8, than=(4, 12), margin=MARGIN)

Response = Callable[[FloatArray], FloatArray]


# ---- success_above_half -------------------------------------------------------------------------


def _of_which(rate: float, failing: float = 0.0) -> Sized:
    """Runs of which a share is clearly shown to improve; so much of the rest is shown to fail."""

    def draw(rng: np.random.Generator, n: int) -> Evidence:
        good, fails = rng.random(n) < rate, rng.random(n) < failing
        gains = np.where(good, 0.1, np.where(fails, -0.02, 0.03)) + rng.normal(0, 0.0005, n)
        return alone(rng, results(gains, se=0.02))

    return draw


def _useless(se: float | None, draw: Draw = NORMAL, shared: float = 0.0) -> Sized:
    """Runs in which nothing is learnt, measured with an error of .01.

    A ``shared`` part of its variance is that of one measurement before training, common to all.
    """

    def drawn(rng: np.random.Generator, n: int) -> Evidence:
        error = SE / NORMAL.sd * draw(rng, n)
        deltas = np.sqrt(1 - shared) * error - np.sqrt(shared) * rng.normal(0, SE)
        return alone(rng, results(deltas, se=se))

    return drawn


def success_above_half() -> Iterator[Cell]:
    """Whether more than half of the runs improve, by either success rule."""
    table = partial(of_sizes, "success_above_half", HALF, sizes=SIZES)
    both, either = ("supported", "refuted"), ("supported",)
    half = Mixture(((0.5, -0.02, 0.015), (0.5, 0.05, 0.08)))
    median = half.moved(-half.quantile(0.5))
    yield from table("half succeed, half fail", _of_which(0.5, 1.0), wrong=both)
    yield from table("40% succeed, half of the others fail", _of_which(0.4, 0.5), wrong=both)
    yield from table("useless training", _useless(SE), wrong=either)
    yield from table("useless training, one before for all", _useless(SE, shared=0.5), wrong=either)
    yield from table("no SE: useless training", _useless(None), wrong=both)
    yield from table("no SE: useless, skewed", _useless(None, median), wrong=both)
    yield from table("no SE: useless, tied", _useless(None, tied(NORMAL.times(0.5))), wrong=either)
    yield from table(
        "no SE: useless, one before for all †",
        _useless(None, shared=0.5),
        wrong=both,
        limits=dict.fromkeys(SIZES, 0.42),
    )
    for rate in (0.7, 0.8, 0.9):
        yield from table(f"{rate:.0%} succeed", _of_which(rate), shown=either)
    for rate in (0.7, 0.8):
        yield from table(f"{rate:.0%} fail", _of_which(0.0, rate), shown=("refuted",))


# ---- plateau ------------------------------------------------------------------------------------


def _gains(draw: Draw, gain: float = 0.0, shared: float = 0.0) -> Sized:
    def drawn(rng: np.random.Generator, n: int) -> Evidence:
        common = rng.normal(0, shared) if shared else 0.0
        return gaining(rng, gain + draw(rng, n) + common, 0.4 + rng.normal(0, 0.05, n))

    return drawn


def plateau() -> Iterator[Cell]:
    """Whether perf still improves, at a mean gain of 0 and of the margin."""
    few = {48: 0.7, 96: 0.4, 200: 0.2}
    table, slight = (
        partial(of_sizes, "plateau", claim, sizes=SIZES, weights=few)
        for claim in (PLATEAU, SLIGHTEST)
    )
    gain = NORMAL.times(0.6)
    back, deep = COLLAPSE.times(0.6), DEEP.times(0.6)
    samples: list[tuple[str, Draw, Draw, dict[int, float] | None]] = [
        ("normal", gain, gain, None),
        ("15% fall back", back, back.times(-1.0), UNSEEN),
        ("15% fall far back", deep, deep.times(-1.0), UNSEEN),
        ("tied", tied(gain), tied(gain), None),
        ("uneven spread", UNEVEN, UNEVEN, None),
    ]
    for name, at_zero, at_margin, limits in samples:
        yield from slight(f"no gain; {name}", _gains(at_zero), wrong=("supported",), limits=limits)
        mirrored = name.replace("fall far back", "gain far more").replace("fall back", "gain more")
        yield from table(
            f"gain of the margin; {mirrored}",
            _gains(at_margin, MARGIN),
            wrong=("refuted",),
            limits=limits,
        )
    yield from slight(
        "no gain; one evaluation noise for all †",
        _gains(gain, shared=SE),
        wrong=("supported",),
        limits=dict.fromkeys(SIZES, 0.4),
    )
    yield from table("perf falls by the margin", _gains(gain, -MARGIN), wrong=("supported",))
    for factor in (1.0, 1.5):
        yield from table(
            f"gain of {factor * MARGIN:.2f}, SD .03",
            _gains(gain, factor * MARGIN),
            shown=("supported",),
        )
    yield from table("no gain, SD .03", _gains(gain), shown=("refuted",))


# ---- lr_sweet_spot ------------------------------------------------------------------------------


def _responding(
    response: Response,
    noise: Draw = NORMAL,
    *,
    growing: bool = False,
    evenly: bool = False,
    diverging: float = 1.0,
) -> Sized:
    """Runs along learning rates of which the response is taken at 0 to 1.

    From ``diverging`` on half of the runs diverge.
    """

    def draw(rng: np.random.Generator, n: int) -> Evidence:
        x = (np.arange(n) + 0.5) / n if evenly else rng.random(n)
        y = response(x) + noise(rng, n) * (0.4 + 4 * x if growing else 1.0)
        y[(x > diverging) & (rng.random(n) < 0.5)] = -np.inf
        return along(rng, np.exp(x), y)

    return draw


def _in_blocks(response: Response, drift: float = 0.0) -> Sized:
    """Runs of three batch sizes that differ by far; with ``drift`` they go with the rate."""

    def draw(rng: np.random.Generator, n: int) -> Evidence:
        x = rng.random(n)
        near = 3 * x + drift * rng.normal(0, 1, n) if drift else 3 * rng.random(n)
        block = np.clip(np.floor(near), 0, 2).astype(int)
        y = response(x) + np.array([0.0, 0.2, 0.0])[block] + NORMAL(rng, n)
        sizes: list[Value] = [(4, 8, 12)[b] for b in block.tolist()]
        return along(rng, np.exp(x), y, sizes)

    return draw


def lr_sweet_spot() -> Iterator[Cell]:
    """Whether the best learning rate lies inside, on responses that have none there."""
    few = {96: 0.5, 200: 0.15}
    table = partial(of_sizes, "lr_sweet_spot", INSIDE, weights=few)
    supported = ("supported",)
    nothing: list[tuple[str, Sized]] = [
        ("flat", _responding(np.zeros_like)),
        ("flat; noise that grows with the rate", _responding(np.zeros_like, growing=True)),
        ("flat; 15% collapse", _responding(np.zeros_like, COLLAPSE)),
        ("flat; tied", _responding(np.zeros_like, tied(NORMAL.times(0.4)))),
        ("rising", _responding(lambda x: 0.25 * x)),
        ("falling", _responding(lambda x: -0.25 * x)),
        ("rising, then flat", _responding(lambda x: 0.5 * np.minimum(x, 0.5))),
        (
            "rising, then flat; noise that grows",
            _responding(lambda x: 0.5 * np.minimum(x, 0.5), growing=True),
        ),
        (
            "rising, then flat; 15% collapse",
            _responding(lambda x: 0.5 * np.minimum(x, 0.5), COLLAPSE),
        ),
        ("flat, then falling", _responding(lambda x: -0.5 * np.maximum(x, 0.5))),
        ("cliff at the upper end", _responding(lambda x: np.where(x > 0.7, -0.4, 0.0))),
        ("cliff at the lower end", _responding(lambda x: np.where(x < 0.3, -0.4, 0.0))),
        ("flat; half diverge at the upper end", _responding(np.zeros_like, diverging=0.7)),
    ]
    for name, draw in nothing:
        sizes = SIZES if name in ("flat", "rising, then flat") else SIZES[:-1]
        yield from table(name, draw, sizes, wrong=supported)
    blocked = partial(of_sizes, "lr_sweet_spot", WITHIN, weights=few, sizes=SIZES[1:-1])
    yield from blocked("within levels: flat", _in_blocks(np.zeros_like), wrong=supported)
    yield from blocked(
        "within levels: flat, the best level in the middle",
        _in_blocks(np.zeros_like, drift=0.3),
        wrong=supported,
    )
    yield from blocked(
        "within levels: rising, then flat",
        _in_blocks(lambda x: 0.5 * np.minimum(x, 0.5)),
        wrong=supported,
    )
    steps = _responding(lambda x: np.floor(3 * x) * MARGIN / 2, NORMAL.times(0.2), evenly=True)
    hill = _responding(
        lambda x: np.where(np.floor(3 * x) == 1, MARGIN, 0.0), COLLAPSE.times(0.1), evenly=True
    )
    yield from table("thirds differ by the margin", steps, SIZES[2:-1], wrong=("refuted",))
    yield from table(
        "best third by the margin; 15% collapse", hill, SIZES[2:-1], wrong=("refuted",)
    )
    for drop in (3.0, 4.0, 5.3):
        peak = _responding(lambda x, drop=drop: -drop * 0.05 * (2 * x - 1) ** 2)  # type: ignore[misc]
        yield from table(f"falls by {drop:g} SD to both sides", peak, SIZES[1:-1], shown=supported)
    off = _responding(lambda x: -0.2 * ((x - 0.75) / 0.75) ** 2)
    yield from table(
        "best at three quarters, 4 SD to the far side", off, SIZES[1:-1], shown=supported
    )
    yield from blocked(
        "within levels: falls by 4 SD to both sides",
        _in_blocks(lambda x: -0.2 * (2 * x - 1) ** 2),
        shown=supported,
    )
    level = _responding(np.zeros_like, NORMAL.times(0.2), evenly=True)
    yield from table("flat, SD .01", level, SIZES[2:-1], shown=("refuted",))


# ---- batch_size ---------------------------------------------------------------------------------


def _pairs(reference: Draw, other: Draw, better: tuple[float, float], shared: float = 0.0) -> Sized:
    """Pairs whose other runs are better by so much, in the mean, for each of two values."""

    def draw(rng: np.random.Generator, n: int) -> Evidence:
        arms: dict[Value, FloatArray] = {}
        for value, by in zip((4, 12), better, strict=True):
            arms[value] = other(rng, n) + by + (rng.normal(0, shared) if shared else 0.0)
        return paired(rng, reference(rng, n), arms)

    return draw


def batch_size() -> Iterator[Cell]:
    """Whether a batch size is no worse, where another is better by the margin."""
    table = partial(of_sizes, "batch_size", BATCH, sizes=PAIRS)
    run = NORMAL.times(0.32)
    collapse, deep = COLLAPSE.times(0.32), DEEP.times(0.32)
    far = (MARGIN, -0.2)
    supported, refuted = ("supported",), ("refuted",)
    for name, reference, other, limits in (
        ("normal", run, run, None),
        ("15% collapse", collapse, collapse, None),
        ("only the reference: 15% collapse", collapse, run, UNSEEN),
        ("only the reference: 15% collapse deeply", deep, run, UNSEEN),
        ("tied", tied(run), tied(run), None),
        ("reference three times as wide", run.times(3.0), run, None),
    ):
        yield from table(
            f"one value better by the margin; {name}",
            _pairs(reference, other, far),
            wrong=supported,
            limits=limits,
        )
    for name, other, limits in (
        ("normal", run, None),
        ("only the others: 15% collapse", collapse, UNSEEN),
    ):
        yield from table(
            f"both better by the margin; {name}",
            _pairs(run, other, (MARGIN, MARGIN)),
            wrong=("supported", "refuted"),
            limits=limits,
        )
    yield from table(
        "one value better by the margin; one before for an arm †",
        _pairs(run, run, far, shared=SE),
        wrong=supported,
        limits=dict.fromkeys(PAIRS, 0.45),
    )
    for deviation in (0.016, 0.03):
        same = NORMAL.times(deviation / NORMAL.sd)
        yield from table(
            f"no difference, SD {deviation:g} of a run",
            _pairs(same, same, (0.0, 0.0)),
            shown=supported,
        )
    yield from table("one value better by .05", _pairs(run, run, (0.05, 0.0)), shown=refuted)
