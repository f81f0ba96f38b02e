"""The question whether main runs gain more than an arm of useless training."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from harness.claims import mean_gain
from harness.verdicts import Evidence

from .cells import Cell, Sized, of_sizes
from .evidence import beside_arm
from .samples import COLLAPSE, DEEP, NORMAL, Draw, FloatArray, tied

PAIRS = (6, 8, 12, 24, 48)
MARGIN = 0.02
UNSEEN = {6: 0.42, 8: 0.31, 12: 0.18}
"""Known limits where the runs of one side that collapse may be in no pair: .85ⁿ, and a little."""

GAIN = mean_gain.above_arm("null", margin=MARGIN)
SLIGHTEST = mean_gain.above_arm("null", margin=0.001)
"""Without gain a wider margin only helps: a small one is least favourable."""


def _sides(
    main: Draw, arm: Draw, ahead: float = 0.0, shared: float = 0.0, each: int | None = None
) -> Sized:
    """Return what draws n pairs, the main run ``ahead`` by so much on average.

    ``shared`` is the SD of what the config of a pair adds to both. With ``each``, so many main runs
    as there are of the arm times this, and no pairs.
    """

    def draw(rng: np.random.Generator, n: int) -> Evidence:
        of_config: FloatArray = rng.normal(0.0, 1.0, n) * shared
        ours = main(rng, n * (each or 1)) + ahead
        theirs = arm(rng, n)
        if each is None:
            ours, theirs = ours + of_config, theirs + of_config
        return beside_arm(rng, ours, theirs, paired=each is None)

    return draw


def gain_over_null() -> Iterator[Cell]:
    """Whether the main runs gain more than useless training, in pairs."""
    collapse, deep, wide = COLLAPSE, DEEP, NORMAL.times(3.0)
    supported, refuted = ("supported",), ("refuted",)
    slightest, by_margin = (
        partial(of_sizes, "gain_over_null", claim, sizes=PAIRS) for claim in (SLIGHTEST, GAIN)
    )
    for name, main, arm, shared, limits in (
        ("normal", NORMAL, NORMAL, 0.0, None),
        ("a config adds twice the SD to both", NORMAL, NORMAL, 0.1, None),
        ("15% collapse", collapse, collapse, 0.0, None),
        ("15% collapse deeply", deep, deep, 0.0, None),
        ("tied", tied(NORMAL), tied(NORMAL), 0.0, None),
        ("main runs three times as wide", wide, NORMAL, 0.0, None),
        ("only main runs: 15% collapse", collapse, NORMAL, 0.0, UNSEEN),
        ("only main runs: 15% collapse deeply", deep, NORMAL, 0.0, UNSEEN),
        ("only useless runs: 15% collapse", NORMAL, collapse, 0.0, None),
    ):
        yield from slightest(
            f"equal means; {name}",
            _sides(main, arm, shared=shared),
            wrong=supported,
            limits=limits,
        )
    for name, draw in (("normal", NORMAL), ("15% collapse", collapse)):
        yield from slightest(
            f"equal means; no pairs, three times as many main runs; {name}",
            _sides(draw, draw, each=3),
            wrong=supported,
        )
    for name, main, arm, limits in (
        ("normal", NORMAL, NORMAL, None),
        ("15% collapse", collapse, collapse, None),
        ("only useless runs: 15% collapse", NORMAL, collapse, UNSEEN),
    ):
        yield from by_margin(
            f"ahead by the margin; {name}",
            _sides(main, arm, ahead=MARGIN),
            wrong=refuted,
            limits=limits,
        )
    for by, name, draw in (
        (0.05, "normal", NORMAL),
        (0.1, "normal", NORMAL),
        (0.1, "15% collapse", collapse),
    ):
        size = by / (np.sqrt(2.0) * draw.sd)
        yield from by_margin(
            f"ahead by {by:g} ({size:.2g} SD of a difference); {name}",
            _sides(draw, draw, ahead=by),
            shown=supported,
        )
    narrow = NORMAL.times(0.2)
    row = "as good as useless, SD .01 of a run"
    yield from by_margin(row, _sides(narrow, narrow), shown=refuted)
