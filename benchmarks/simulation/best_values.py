"""Which value of a parameter is best, how far ahead, and what a table's headline says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

import numpy as np

from harness.claims import best_value, judge_all, matters
from harness.protocols import Claim
from harness.verdicts import ParameterEffect, Verdict

from . import designs as of
from .cells import ALPHA, Cell
from .designs import Response, Sample
from .parameters import BESIDE, MIDDLE, SIZES, Draw, X, cells_of, crossed, drawn, learnt, threes
from .samples import FloatArray

# ---- best_value ---------------------------------------------------------------------------------


ASKED: dict[str, Claim] = {"matters_x": X, "best_x": best_value("x")}


def _best(best: str, draw: Draw, n: int, rng: np.random.Generator) -> Collection[str]:
    """Ask both questions on x, of which ``best`` is a truly best value."""
    verdict = judge_all(ASKED, draw(rng, n).evidence)[1]
    assert verdict.effect is not None
    happened: set[str] = {verdict.verdict, verdict.effect.shape or "no shape"}
    if any(one.level == best and not one.may_be_best for one in verdict.effect.levels):
        happened.add("left out")
    if _names(verdict):
        happened.add("named")
    return happened


def _uncorrected(best: str, draw: Draw, n: int, rng: np.random.Generator) -> Collection[str]:
    """Ask which x is best, whether or not it is shown to matter."""
    verdict = best_value("x").judge("best_x", draw(rng, n).evidence)
    effect = verdict.effect or ParameterEffect("best", "x")
    out = any(one.level == best and not one.may_be_best for one in effect.levels)
    return {"left out"} if out else set()


def _names(verdict: Verdict) -> bool:
    """Return whether a verdict says anything of which value is best."""
    effect = verdict.effect
    if effect is None or verdict.verdict == "unanswerable":
        return False
    ruled_out = any(not level.may_be_best for level in effect.levels)
    return verdict.verdict == "supported" or ruled_out or effect.shape is not None


def _first_ahead(by: float) -> Response:
    """Return the first of some levels ahead of all others."""
    return lambda columns: np.where(columns["x"] < -1.0, by, 0.0)


def _third_is_worse(columns: of.Columns) -> FloatArray:
    return np.where(columns["x"] > 1.0, -2.0, 0.0)


def until(place: float, slope: float) -> Response:
    """Return a rise up to a place in the range, in SDs from its middle, then flat."""
    return lambda columns: slope * np.minimum(columns["x"], place)


def beyond(place: float, slope: float) -> Response:
    """Return a fall from a place in the range on."""
    return lambda columns: -slope * np.maximum(columns["x"] - place, 0.0)


def peak(place: float, drop: float) -> Response:
    """Return a peak from which the mean falls by ``drop`` SDs to the farther end."""
    far = 3**0.5 + abs(place)
    return lambda columns: -drop * ((columns["x"] - place) / far) ** 2


def best_x() -> Iterator[Cell]:
    """Which value of x is best: what is said of it wrongly, and what is found."""
    random, a = of.random_design, of.adds(a=1.0)
    wide, steep = of.uneven("x", 8.0), of.uneven("x", 1 / 8.0)
    uneven_shares = random(3, 3, shares=(0.6, 0.25, 0.15))
    for row, draw, sizes in (
        ("the best of 3 equal values is left out", drawn(random(3, 3), a), SIZES),
        ("of 5 equal values", drawn(random(3, 5), a), MIDDLE),
        ("of 3, the best the least spread", drawn(random(3, 3), a, wide), MIDDLE),
        ("of 3, the best the most spread", drawn(random(3, 3), a, steep), MIDDLE),
        (
            "of 3, the best the most frequent, least spread",
            drawn(uneven_shares, a, wide),
            MIDDLE,
        ),
        (
            "of 3, the best the most frequent, most spread",
            drawn(uneven_shares, a, steep),
            MIDDLE,
        ),
        ("of 2 equal ones, the third far worse", drawn(random(3, 3), _third_is_worse), MIDDLE),
        ("of 3, beside another of 3 SD", drawn(random(6, 3), of.adds(a=3.0)), MIDDLE),
        ("of 3 that go with another, r = .8", drawn(of.collinear(0.8, 2, 3), a), MIDDLE),
        ("of 3 in a grid", drawn(threes(numeric=False), BESIDE), (27, 54)),
        ("of 3, lognormal", drawn(random(3, 3), a, of.skewed), MIDDLE),
    ):
        yield from cells_of(
            "best_value", row, partial(_uncorrected, "a"), draw, sizes, wrong=("left out",)
        )
    asked = partial(cells_of, "best_value", trial=partial(_best, "a"), weight=0.4)
    for row, draw in (
        ("no value is best; a choice of three", drawn(random(3, 3), a)),
        ("no value is best; a range", drawn(random(3), a)),
        ("no value is best; a range, lognormal", drawn(random(3), a, of.skewed)),
        ("no value is best; a range, 15% collapse", drawn(random(3), a, of.collapsing)),
        ("no value is best; trials that learn", learnt(of.adds(a=2.0))),
    ):
        yield from asked(row, draw=draw, sizes=MIDDLE, wrong=("named",))
    for row, response, wrong in (
        ("rises by 2 SD", of.adds(x=2.0, a=1.0), ("supported", "falls")),
        ("rises by 2 SD to the middle, then flat", until(0.0, 2.0), ("supported", "falls")),
        ("flat to the middle, then falls by 2 SD", beyond(0.0, 2.0), ("supported", "rises")),
        ("best in the middle, 4 SD above both ends", peak(0.0, 4.0), ("rises", "falls")),
        (
            "best just below the upper third, 4 SD above the far end",
            peak(0.52, 4.0),
            ("rises", "falls"),
        ),
    ):
        yield from asked(row, draw=drawn(random(3), response), sizes=MIDDLE, wrong=wrong)
    for row, design, response, shown in (
        (
            "one of three ahead by 1.2 SD",
            random(3, 3),
            _first_ahead(1.2),
            ("supported",),
        ),
        (
            "one of three ahead by 2 SD",
            random(3, 3),
            _first_ahead(2.0),
            ("supported",),
        ),
        (
            "one of five ahead by 2 SD",
            random(3, 5),
            _first_ahead(2.0),
            ("supported",),
        ),
        (
            "one of three ahead by 2 SD, beside 3 SD",
            random(6, 3),
            of.both(of.adds(a=3.0), _first_ahead(2.0)),
            ("supported",),
        ),
        ("a line of 1 SD is called a rise", random(3), of.adds(x=1.0), ("rises",)),
        (
            "a line of 1 SD is called a rise, beside 3 SD",
            random(6),
            of.adds(x=1.0, a=3.0),
            ("rises",),
        ),
        ("falls by 4 SD to both sides", random(3), peak(0.0, 4.0), ("supported",)),
        (
            "falls by 4 SD to both sides, beside 3 SD",
            random(6),
            of.both(of.adds(a=3.0), peak(0.0, 4.0)),
            ("supported",),
        ),
    ):
        draw = drawn(design, response)
        yield from asked(row, draw=draw, sizes=MIDDLE, shown=shown)


# ---- how large -----------------------------------------------------------------------------------


def _covered(draw: Draw, n: int, rng: np.random.Generator) -> Collection[str]:
    """Ask by how much the best x is ahead of the worst, and what each is worth."""
    one = draw(rng, n)
    verdict = X.judge("matters_x", one.evidence)
    levels = () if verdict.effect is None else verdict.effect.levels
    if not levels:
        return ()
    truth = [one.truth(level) for level in levels]
    means = [level.mean for level in levels]
    apart = truth[int(np.argmax(means))] - truth[int(np.argmin(means))]
    happened = set() if _inside(verdict.low, apart, verdict.high) else {"difference"}
    if all(_inside(level.low, t, level.high) for level, t in zip(levels, truth, strict=True)):
        return happened
    return happened | {"level"}


def _inside(low: float | None, value: float, high: float | None) -> bool:
    return (low is None or low <= value) and (high is None or value <= high)


def parameter_intervals() -> Iterator[Cell]:
    """How often the intervals of the adjusted differences and means miss the truth."""
    random, x = of.random_design, of.adds(x=0.5, a=1.0)
    rows: list[tuple[str, Draw, Sequence[int], float | None]] = [
        ("a choice of three", drawn(random(3, 3), x), SIZES, None),
        ("a choice of five", drawn(random(3, 5), x), MIDDLE, None),
        ("thirds of a range", drawn(random(3), x), SIZES, None),
        ("6 parameters, another of 3 SD", drawn(random(6), of.adds(a=3.0)), MIDDLE, None),
        (
            "shares of 60, 25 and 15%",
            drawn(random(3, 3, shares=(0.6, 0.25, 0.15)), x),
            MIDDLE,
            None,
        ),
        (
            "the same, the rarest the most spread",
            drawn(random(3, 3, shares=(0.6, 0.25, 0.15)), x, of.uneven("x", 8.0)),
            MIDDLE,
            None,
        ),
        ("spreads with x", drawn(random(3, 3), x, of.uneven("x", 8.0)), MIDDLE, None),
        ("grid, others interact", drawn(crossed(), of.both(x, BESIDE)), MIDDLE, None),
        (
            "x times another parameter",
            drawn(random(3, 3), of.both(x, of.multiplies(1.0, "x", "a"))),
            MIDDLE,
            None,
        ),
        ("goes with another, r = .8", drawn(of.collinear(0.8, 3), x), MIDDLE, None),
        ("goes with another, r = .95", drawn(of.collinear(0.95, 3), x), MIDDLE, None),
        (
            "x given by another",
            drawn(of.scheduled("warmup"), of.adds(other=1.5, a=1.0)),
            MIDDLE,
            None,
        ),
        ("t with 2 degrees of freedom", drawn(random(3, 3), x, of.heavy), MIDDLE, None),
        ("15% diverge", drawn(random(3, 3), x, of.diverging), MIDDLE, None),
        ("15% collapse", drawn(random(3, 3), x, of.collapsing), MIDDLE, 0.3),
        ("lognormal", drawn(random(3, 3), x, of.skewed), MIDDLE, 0.3),
        ("trials that learn", learnt(x), MIDDLE, None),
    ]
    for row, draw, sizes, limit in rows:
        yield from cells_of(
            "parameter_intervals",
            row,
            _covered,
            draw,
            sizes,
            wrong=("difference", "level"),
            limit=limit,
        )


# ---- all parameters at once ---------------------------------------------------------------------


def shuffled(draw: Draw) -> Draw:
    """Return the draw with its results shuffled over the runs: no parameter matters."""

    def mixed(rng: np.random.Generator, n: int) -> Sample:
        one = draw(rng, n)
        outcomes = rng.permutation(one.outcomes)
        told = one.evidence.adaptive is not None
        evidence = of.evidence_of(rng, one.table, outcomes, adaptive=told)
        return Sample(evidence, one.table, of.nothing, outcomes)

    return mixed


def kinds() -> dict[str, Draw]:
    """Return twenty kinds of tables in which parameters matter."""
    random, a = of.random_design, of.adds(a=2.0, x=1.0)
    return {
        "random, 2 parameters": drawn(random(2), a),
        "random, 6 parameters": drawn(random(6, 3), a),
        "random, 6 parameters, design unknown": drawn(random(6, declared=False), a),
        "random, 12 parameters": drawn(random(12), a),
        "random, 20 parameters": drawn(random(20, 4), a),
        "another of 8 SD": drawn(random(4), of.adds(a=8.0)),
        "interactions": drawn(random(6), of.multiplies(4.0)),
        "grid": drawn(crossed(), BESIDE),
        "grid, repeated": drawn(crossed(repeats=2), BESIDE),
        "grid, half missing": drawn(crossed(0.5, declared=False), BESIDE),
        "three runs a configuration": drawn(of.repeated(3), a, of.of_config),
        "that go together": drawn(of.collinear(0.8, 4), a),
        "lognormal": drawn(random(5, 3), a, of.skewed),
        "outliers": drawn(random(5), a, of.heavy),
        "rounded": drawn(random(5, 3), a, of.tied),
        "a floor": drawn(random(5), a, of.floored),
        "15% diverge": drawn(random(5, 3), a, of.diverging),
        "given": drawn(of.scheduled("warmup"), of.adds(other=1.0, a=1.0)),
        "set at one value of another": drawn(
            of.nested("momentum", declared=False), of.adds(optimizer=1.0, x=1.0)
        ),
        "trials that learn": learnt(a),
    }


def _together(draw: Draw, n: int, rng: np.random.Generator) -> Collection[str]:
    """Ask of every parameter of a table whether it matters; best values need that one does."""
    evidence = draw(rng, n).evidence
    names = sorted({name for run in evidence.runs for name in run.run.config})
    asked: dict[str, Claim] = {f"matters_{name}": matters(name) for name in names}
    verdicts = judge_all(asked, evidence)
    happened = {"any"} if any(v.verdict == "supported" for v in verdicts) else set()
    if any(v.p_holm is not None and v.p_holm <= ALPHA for v in verdicts):
        happened.add("after Holm")
    return happened


def parameters_together() -> Iterator[Cell]:
    """Whether any parameter of a table without effects makes its headline."""
    for row, draw in kinds().items():
        yield from cells_of(
            "parameters_together",
            f"shuffled; {row}",
            _together,
            shuffled(draw),
            (48,),
            wrong=("after Holm",),
            shown=("any",),
            weight=0.3,
        )
