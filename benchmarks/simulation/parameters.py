"""Whether a parameter matters: where it does not, where it does, and by itself as often read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

import numpy as np
from scipy import stats

from harness.claims import matters

from . import designs as of
from .cells import ALPHA, Cell
from .designs import Design, Noise, Response, Sample

SIZES = (12, 24, 48, 100)
MIDDLE = (24, 48)
FEW = {36: 0.5, 48: 0.5, 54: 0.5, 72: 0.5, 96: 0.3, 100: 0.3, 108: 0.3, 200: 0.2, 500: 0.1}
"""What takes long is simulated less often."""

Draw = Callable[[np.random.Generator, int], Sample]


def drawn(
    design: Design,
    response: Response = of.nothing,
    noise: Noise = of.normal,
    margin: float | None = None,
) -> Draw:
    """Return the draw of a table by design, response and noise."""
    return lambda rng, n: of.sample(rng, n, design, response, noise, margin=margin)


def learnt(response: Response, noise: Noise = of.normal, *, told: bool = True) -> Draw:
    """Return the draw of a table by a sampler that learns; ``told`` says that this is known."""

    def draw(rng: np.random.Generator, n: int) -> Sample:
        table, outcomes = of.learning(rng, n, response, noise)
        return Sample(
            of.evidence_of(rng, table, outcomes, adaptive=told), table, response, outcomes
        )

    return draw


def crossed(kept: float = 1.0, repeats: int = 1, **named: bool) -> Design:
    """Return a grid of about n runs, of which so many are there."""
    dims = {12: (3, 2, 2), 24: (4, 3, 2), 48: (4, 4, 3), 96: (6, 4, 4), 100: (5, 5, 4)}

    def draw(rng: np.random.Generator, n: int) -> of.Table:
        whole = min(dims, key=lambda size: abs(size - n / kept / repeats))
        return of.grid(*dims[whole], repeats=repeats, kept=kept, **named)(rng, n)

    return draw


def cells_of(
    table: str,
    row: str,
    trial: Callable[[Draw, int, np.random.Generator], Collection[str]],
    draw: Draw,
    sizes: Sequence[int],
    *,
    wrong: tuple[str, ...] = (),
    shown: tuple[str, ...] = (),
    limit: float | None = None,
    weight: float = 1.0,
) -> Iterator[Cell]:
    for n in sizes:
        yield Cell(
            table,
            row,
            str(n),
            partial(trial, draw, n),
            wrong=wrong,
            shown=shown,
            limit=limit,
            weight=weight * FEW.get(n, 1.0),
        )


# ---- matters ------------------------------------------------------------------------------------

X = matters("x")


def _matters(draw: Draw, n: int, rng: np.random.Generator) -> Collection[str]:
    return {X.judge("matters_x", draw(rng, n).evidence).verdict}


BESIDE = of.both(of.adds(a=3.0), of.multiplies(3.0))
"""A parameter of 3 SD, and an interaction of 3 SD with another."""


def matters_x() -> Iterator[Cell]:
    """Whether x matters, where it does nothing, and where it does."""
    size = partial(cells_of, "matters", trial=_matters, wrong=("supported",))
    a, random = of.adds(a=1.0), of.random_design
    null: list[tuple[str, Draw, Sequence[int]]] = [
        ("random, 2 parameters", drawn(random(2), a), SIZES),
        ("random, 6 parameters", drawn(random(6), a), SIZES),
        ("random, 6 parameters, a choice of three", drawn(random(6, 3), a), SIZES),
        ("random, 12 parameters", drawn(random(12), a), (24, 48)),
        ("random, 20 parameters", drawn(random(20), a), (48, 100, 500)),
        ("another of 3 SD", drawn(random(6, 3), of.adds(a=3.0)), SIZES),
        ("another of 8 SD", drawn(random(6), of.adds(a=8.0)), MIDDLE),
        ("others interact by 4 SD", drawn(random(6), of.multiplies(4.0)), MIDDLE),
        (
            "others interact by 4 SD, design unknown",
            drawn(random(6, 3, declared=False), of.multiplies(4.0)),
            MIDDLE,
        ),
        ("grid, others interact", drawn(crossed(), BESIDE), SIZES),
        ("grid, repeated, others interact", drawn(crossed(repeats=2), BESIDE), MIDDLE),
        (
            "grid, a quarter missing, others interact",
            drawn(crossed(0.75, declared=False), BESIDE),
            (18, 36),
        ),
        (
            "grid, half missing, others interact",
            drawn(crossed(0.5, declared=False), BESIDE),
            (12, 24, 48),
        ),
        ("three runs a configuration", drawn(of.repeated(3), a, of.of_config), (36, 72)),
        *(
            (
                f"three that go together, r = {r:g}",
                drawn(of.collinear(r, 3), of.adds(a=1.0, b=1.0)),
                MIDDLE,
            )
            for r in (0.5, 0.8, 0.95)
        ),
        *(
            (f"noise: {name}", drawn(random(4, 3), of.adds(a=1.5), noise), sizes)
            for name, noise, sizes in (
                ("lognormal", of.skewed, MIDDLE),
                ("t with 2 degrees of freedom", of.heavy, MIDDLE),
                ("5% of the runs ten times as far", of.outliers, MIDDLE),
                ("rounded to one SD", of.tied, MIDDLE),
                ("a floor that holds half of the runs", of.floored, MIDDLE),
                ("15% diverge", of.diverging, SIZES),
                ("15% collapse", of.collapsing, MIDDLE),
                ("spreads with another parameter", of.uneven("a"), MIDDLE),
            )
        ),
        *(
            (
                f"x given by another, which matters{known}",
                drawn(of.scheduled("warmup", declared=not known), of.adds(other=1.5, a=1.0)),
                MIDDLE,
            )
            for known in ("", ", design unknown")
        ),
        *(
            (
                f"x gives another, which matters{known}",
                drawn(of.scheduled("schedule", declared=not known), of.adds(other=1.0, a=1.0)),
                MIDDLE,
            )
            for known in ("", ", design unknown")
        ),
        (
            "x set at one value of another, which matters",
            drawn(of.nested("momentum"), of.adds(optimizer=2.0, damping=1.0)),
            (48, 100),
        ),
        (
            "the same, two levels deep, design unknown",
            drawn(of.nested("damping", declared=False), of.adds(optimizer=2.0, momentum=2.0)),
            (100,),
        ),
        (
            "x decides whether another is set, of .5 SD",
            drawn(of.nested("optimizer", declared=False), of.adds(momentum=0.5)),
            MIDDLE,
        ),
        ("trials that learn, of nothing", learnt(of.nothing), MIDDLE),
        ("trials that learn, of another of 2 SD", learnt(of.adds(a=2.0)), MIDDLE),
        (
            "the same, but not known to learn",
            learnt(of.adds(a=2.0), told=False),
            MIDDLE,
        ),
    ]
    for row, draw, sizes in null:
        yield from size(row, draw=draw, sizes=sizes)
    margin = 1.0
    # Of three equally frequent levels in a line, the ends are 2·√1.5 SDs apart.
    apart = margin / (2 * 1.5**0.5)
    for row, design, sizes in (
        ("best and worst a margin of 1 SD apart", random(3, 3), MIDDLE),
        ("the same in a grid", threes(), (27, 54, 108)),
    ):
        draw = drawn(design, of.adds(x=apart, a=1.0), margin=margin)
        yield from cells_of("matters", row, _matters, draw, sizes, wrong=("refuted",))
    power = partial(cells_of, "matters", trial=_matters)
    for row, design, response in (
        ("0.6 SD", random(2), of.adds(x=0.6)),
        ("0.6 SD, 6 parameters", random(6), of.adds(x=0.6)),
        ("1 SD, 6 parameters", random(6), of.adds(x=1.0)),
        ("1.5 SD, 6 parameters", random(6), of.adds(x=1.5)),
        ("0.6 SD, 6 parameters, a choice of three", random(6, 3), of.adds(x=0.6)),
        (
            "1 SD times another parameter",
            random(4, 3),
            of.both(of.adds(x=0.5), of.multiplies(1.0, "x", "a")),
        ),
    ):
        yield from power(row, draw=drawn(design, response), sizes=SIZES, shown=("supported",))
    for row, x in (("equal, margin 2 SD", 0.0), ("equal, margin 1 SD", 0.0)):
        draw = drawn(random(3, 3), of.adds(x=x, a=1.0), margin=2.0 if "2" in row else 1.0)
        yield from power(row, draw=draw, sizes=MIDDLE, shown=("refuted",))


def threes(**named: bool) -> Design:
    """Return a grid of three parameters of three values, run as often as n asks."""
    return lambda rng, n: of.grid(3, 3, 3, repeats=n // 27, **named)(rng, n)


# ---- one parameter at a time --------------------------------------------------------------------


def _alone(drawn_: Sample) -> float:
    """Return the p value of x by itself: Spearman's of numbers, Kruskal and Wallis's of levels."""
    values, y = drawn_.table.values["x"], drawn_.outcomes
    if isinstance(values[0], float):
        return float(stats.spearmanr(np.array(values), y).pvalue)
    _, codes = np.unique(np.array(values, dtype=str), return_inverse=True)
    return float(stats.kruskal(*(y[codes == code] for code in range(codes.max() + 1))).pvalue)


def _compared(draw: Draw, n: int, rng: np.random.Generator) -> Collection[str]:
    one = draw(rng, n)
    p_value = X.judge("matters_x", one.evidence).p_value
    happened = {"beside"} if p_value is not None and p_value <= ALPHA else set()
    return happened | ({"alone"} if _alone(one) <= ALPHA else set())


def one_at_a_time() -> Iterator[Cell]:
    """How often a parameter is found beside the others, and by itself as tables are often read."""
    table = partial(
        cells_of, "one_at_a_time", trial=_compared, shown=("beside", "alone"), weight=1.0
    )
    random = of.random_design
    for row, design, response, sizes in (
        ("0.6 SD, nothing else, 2 parameters", random(2), of.adds(x=0.6), (12, 24, 48, 100, 200)),
        ("1 SD, nothing else, 6 parameters", random(6), of.adds(x=1.0), (12, 24, 48, 100)),
        ("0.6 SD beside 3 SD, 2 parameters", random(2), of.adds(x=0.6, a=3.0), (12, 24, 48, 100)),
        ("0.6 SD beside 3 SD, 6 parameters", random(6), of.adds(x=0.6, a=3.0), (24, 48, 100)),
        ("0.6 SD beside 3 SD, 20 parameters", random(20), of.adds(x=0.6, a=3.0), (48, 100)),
        (
            "0.6 SD beside interactions of 4 SD, 6 parameters",
            random(6),
            of.both(of.adds(x=0.6), of.multiplies(4.0)),
            (24, 48, 100),
        ),
        (
            "0.6 SD beside 3 SD, grid of 3 × 3 × 3",
            threes(),
            of.adds(x=0.6, a=3.0),
            (27, 54),
        ),
        (
            "1 SD beside 3 SD, grid of 3 × 3 × 3",
            threes(),
            of.adds(x=1.0, a=3.0),
            (27, 54),
        ),
        ("nothing, beside 3 SD with r = .8", of.collinear(0.8), of.adds(a=3.0), (24, 48, 100)),
    ):
        yield from table(row, draw=drawn(design, response), sizes=sizes)
