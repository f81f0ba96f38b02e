"""Tables of many parameters: how their values were chosen, what they do, and what noise is on top.

The parameter that is asked about is x. Sizes of effects are standard deviations of what a parameter
contributes, in those of the noise of a run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product as crossing

import numpy as np

from harness.records import Run, Value
from harness.verdicts import Evidence, LevelEffect

from .evidence import STEPS, results, seeded
from .samples import FloatArray

Columns = Mapping[str, FloatArray]
"""Each parameter, in SDs from its middle; NaN where it is not set. Broadcast together."""

Response = Callable[[Columns], FloatArray]
"""The mean of the metric, in SDs of the noise."""

Noise = Callable[[np.random.Generator, FloatArray, Columns], FloatArray]
"""From means [n] to results [n]; −inf is a diverged run."""

LETTERS = "abcdefgh"


@dataclass(frozen=True, eq=False)
class Table:
    """The ``values`` [n] of each parameter as a table has them, and as `Columns`.

    ``given`` is what a sweep declares, None for a table of unknown design.
    """

    values: Mapping[str, list[Value]]
    columns: Columns
    given: Mapping[str, str] | None = None


Design = Callable[[np.random.Generator, int], Table]


@dataclass(frozen=True, eq=False)
class Sample:
    """A simulated table with its truth: what the mean would be at other values of x."""

    evidence: Evidence
    table: Table
    response: Response
    outcomes: FloatArray

    def truth(self, level: LevelEffect) -> float:
        """Return the true mean of a level of x, averaged over the other parameters of the runs."""
        done = np.isfinite(self.outcomes) & np.isfinite(self.table.columns["x"])
        values = [v for v, d in zip(self.table.values["x"], done, strict=True) if d]
        x = self.table.columns["x"][done]
        wanted = level.level
        if isinstance(wanted, tuple):
            low, high = wanted
            inside = [low <= v <= high for v in values]  # type: ignore[operator]
        else:
            inside = [v == wanted for v in values]
        others = {name: column[done][None, :] for name, column in self.table.columns.items()}
        means = self.response({**others, "x": x[np.array(inside)][:, None]})
        return float(np.mean(np.broadcast_to(means, (sum(inside), x.size))))


def sample(
    rng: np.random.Generator,
    n: int,
    design: Design,
    response: Response,
    noise: Noise,
    *,
    adaptive: bool = False,
    margin: float | None = None,
) -> Sample:
    """Return a simulated table. ``adaptive`` says that its runs are in the order of trials."""
    table = design(rng, n)
    size = len(table.values["x"])
    means = np.broadcast_to(response(table.columns), (size,))
    outcomes = noise(rng, means, table.columns)
    evidence = evidence_of(rng, table, outcomes, adaptive=adaptive, margin=margin)
    return Sample(evidence, table, response, outcomes)


def evidence_of(
    rng: np.random.Generator,
    table: Table,
    outcomes: FloatArray,
    *,
    adaptive: bool = False,
    margin: float | None = None,
) -> Evidence:
    """Return a table's evidence; without a margin nothing is refuted."""
    names = list(table.values)
    configs = [
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in zip(*table.values.values(), strict=True)
    ]
    runs = results(outcomes, se=None, configs=configs, runs=_runs(len(configs)))
    return Evidence(
        "s",
        runs,
        margin=margin,
        seed=seeded(rng),
        given=table.given,
        adaptive="a sampler that learns" if adaptive else None,
    )


_PLAIN = results(np.zeros(1))[0].run


def _runs(n: int) -> list[Run]:
    return [replace(_PLAIN, index=index, steps=STEPS) for index in range(n)]


# ---- parameters ---------------------------------------------------------------------------------


def in_range(places: FloatArray, decades: float = 0.0) -> list[Value]:
    """Return numbers at ``places`` from 0 to 1 of a range: from 1 to 2, or over decades."""
    return list((10 ** (decades * (places - 1)) if decades else 1.0 + places).tolist())


def of_place(places: FloatArray) -> FloatArray:
    """Return places from 0 to 1 in SDs from the middle."""
    return np.asarray((places - 0.5) * math.sqrt(12))


def of_code(codes: FloatArray, levels: int) -> FloatArray:
    """Return the codes of equally frequent levels in SDs from the middle."""
    return np.asarray((codes - (levels - 1) / 2) / math.sqrt((levels**2 - 1) / 12))


def _others(parameters: int) -> list[str]:
    return [LETTERS[k] if k < len(LETTERS) else f"p{k}" for k in range(parameters - 1)]


def random_design(
    parameters: int = 2, levels: int = 0, *, declared: bool = True, shares: tuple[float, ...] = ()
) -> Design:
    """Draw x (a number over three decades, or a choice of ``levels``) and as many others.

    Of the others every second is a choice of three.
    """

    def draw(rng: np.random.Generator, n: int) -> Table:
        values: dict[str, list[Value]] = {}
        columns: dict[str, FloatArray] = {}
        if levels:
            code = rng.choice(levels, n, p=shares or None)
            values["x"] = [LETTERS[k] for k in code]
            columns["x"] = of_code(code.astype(np.float64), levels)
        else:
            place = rng.random(n)
            values["x"], columns["x"] = in_range(place, 3.0), of_place(place)
        for k, name in enumerate(_others(parameters)):
            if k % 2 == 0:
                place = rng.random(n)
                values[name], columns[name] = in_range(place), of_place(place)
            else:
                code = rng.integers(3, size=n)
                values[name] = [LETTERS[c] for c in code]
                columns[name] = of_code(code.astype(np.float64), 3)
        return Table(values, columns, {} if declared else None)

    return draw


def grid(
    *levels: int,
    repeats: int = 1,
    numeric: bool = True,
    kept: float = 1.0,
    declared: bool = True,
) -> Design:
    """Cross parameters of so many levels, x first; a share ``kept`` of the runs is there."""

    def draw(rng: np.random.Generator, n: int) -> Table:
        codes = np.array(list(crossing(*map(range, levels))) * repeats)
        if kept < 1.0:
            codes = codes[rng.permutation(len(codes))[: round(kept * len(codes))]]
        values: dict[str, list[Value]] = {}
        columns: dict[str, FloatArray] = {}
        for k, name in enumerate(["x", *_others(len(levels))]):
            code = codes[:, k]
            as_number = numeric and k % 2 == 0
            values[name] = [
                float(10.0 ** (c - 3)) if as_number else LETTERS[c] for c in code.tolist()
            ]
            columns[name] = of_code(code.astype(np.float64), levels[k])
        return Table(values, columns, {} if declared else None)

    return draw


def collinear(r: float, parameters: int = 2, levels: int = 0) -> Design:
    """Draw numbers that all go together with a correlation of ``r``; a table of unknown design."""

    def draw(rng: np.random.Generator, n: int) -> Table:
        shared = rng.normal(size=n)
        rows = np.sqrt(r) * shared + np.sqrt(1 - r) * rng.normal(size=(parameters, n))
        names = ["x", *_others(parameters)]
        values: dict[str, list[Value]] = {
            name: list((100.0 + row).tolist()) for name, row in zip(names, rows, strict=True)
        }
        columns = dict(zip(names, rows, strict=True))
        if levels:
            code = np.searchsorted(np.quantile(rows[0], np.arange(1, levels) / levels), rows[0])
            values["x"] = [LETTERS[c] for c in code]
            columns["x"] = of_code(code.astype(np.float64), levels)
        return Table(values, columns)

    return draw


def repeated(times: int, parameters: int = 4) -> Design:
    """Draw configurations at random and run each several times."""
    once = random_design(parameters)

    def draw(rng: np.random.Generator, n: int) -> Table:
        table = once(rng, n // times)
        config = rng.normal(size=n // times)
        return Table(
            {name: column * times for name, column in table.values.items()},
            {
                **{name: np.tile(column, times) for name, column in table.columns.items()},
                "own": np.tile(config, times),
            },
            table.given,
        )

    return draw


def scheduled(tested: str, *, declared: bool = True) -> Design:
    """A schedule of two, and warmup steps given by it; x is one of them, the other is `other`."""
    cases = {"advanced": (10, 20, 30), "cosine": (0, 10, 20)}

    def draw(rng: np.random.Generator, n: int) -> Table:
        schedule, third = rng.integers(2, size=n), rng.integers(3, size=n)
        names = [list(cases)[s] for s in schedule]
        steps = np.array([cases[s][t] for s, t in zip(names, third, strict=True)])
        place = rng.random(n)
        both: dict[str, tuple[list[Value], FloatArray]] = {
            "schedule": (list(names), of_code(schedule.astype(np.float64), 2)),
            "warmup": (list(steps.tolist()), (steps - 15.0) / 9.6),
        }
        other = "warmup" if tested == "schedule" else "schedule"
        child, by = ("x", "other") if tested == "warmup" else ("other", "x")
        return Table(
            {"x": both[tested][0], "other": both[other][0], "a": in_range(place)},
            {"x": both[tested][1], "other": both[other][1], "a": of_place(place)},
            {child: by} if declared else None,
        )

    return draw


def nested(tested: str, *, declared: bool = True) -> Design:
    """An optimizer of three; momentum of sgd alone; damping where momentum is high."""

    def draw(rng: np.random.Generator, n: int) -> Table:
        code = rng.integers(3, size=n)
        sgd = code == 0
        momentum = rng.integers(3, size=n)
        high = sgd & (momentum == 2)
        damping, place = rng.integers(2, size=n), rng.random(n)
        unset = np.full(n, np.nan)
        names = ("sgd", "adam", "lion")
        found: dict[str, tuple[list[Value], FloatArray]] = {
            "optimizer": ([names[c] for c in code], of_code(code.astype(np.float64), 3)),
            "momentum": (
                [(0.0, 0.5, 0.9)[m] if s else None for m, s in zip(momentum, sgd, strict=True)],
                np.where(sgd, momentum - 1.0, unset),
            ),
            "damping": (
                [(0.0, 0.1)[d] if h else None for d, h in zip(damping, high, strict=True)],
                np.where(high, 2.0 * damping - 1.0, unset),
            ),
            "a": (in_range(place), of_place(place)),
        }
        named = {"x" if name == tested else name: both for name, both in found.items()}
        links = {"momentum": "optimizer", "damping": "momentum"}
        given = {
            "x" if child == tested else child: "x" if by == tested else by
            for child, by in links.items()
        }
        return Table(
            {name: both[0] for name, both in named.items()},
            {name: both[1] for name, both in named.items()},
            given if declared else None,
        )

    return draw


# ---- what parameters do -------------------------------------------------------------------------


def nothing(columns: Columns) -> FloatArray:
    return np.zeros(1)


def adds(**sizes: float) -> Response:
    """Return a line along each named parameter, of so many SDs; where not set it adds nothing."""

    def response(columns: Columns) -> FloatArray:
        total = np.zeros(1)
        for name, size in sizes.items():
            total = total + size * np.nan_to_num(columns[name])
        return total

    return response


def multiplies(size: float, one: str = "a", two: str = "b") -> Response:
    """Return the product of two parameters, of so many SDs."""
    return lambda columns: size * columns[one] * columns[two]


def both(*responses: Response) -> Response:
    return lambda columns: sum((one(columns) for one in responses), np.zeros(1))


# ---- noise --------------------------------------------------------------------------------------


def _noise(draw: Callable[[np.random.Generator, int], FloatArray]) -> Noise:
    return lambda rng, means, columns: means + draw(rng, means.size)


normal = _noise(lambda rng, n: rng.normal(size=n))
skewed = _noise(
    lambda rng, n: (rng.lognormal(0, 1, n) - math.exp(0.5)) / math.sqrt(math.e**2 - math.e)
)
"""Lognormal, of skewness 6, with an SD of 1."""
heavy = _noise(lambda rng, n: rng.standard_t(2, n))
"""Student's t with 2 degrees of freedom: outliers without a variance."""
outliers = _noise(lambda rng, n: np.where(rng.random(n) < 0.05, 10.0, 1.0) * rng.normal(size=n))


def tied(rng: np.random.Generator, means: FloatArray, columns: Columns) -> FloatArray:
    """Round to one SD."""
    return np.asarray(np.round(means + rng.normal(size=means.size)))


def floored(rng: np.random.Generator, means: FloatArray, columns: Columns) -> FloatArray:
    """Let nothing fall below 0, where half of the runs would lie."""
    return np.maximum(0.0, means + rng.normal(size=means.size))


def diverging(rng: np.random.Generator, means: FloatArray, columns: Columns) -> FloatArray:
    """Let 15% of the runs diverge."""
    return np.where(rng.random(means.size) < 0.15, -np.inf, normal(rng, means, columns))


def collapsing(rng: np.random.Generator, means: FloatArray, columns: Columns) -> FloatArray:
    """Let 15% of the runs lose ten SDs."""
    return normal(rng, means, columns) + np.where(rng.random(means.size) < 0.15, -8.5, 1.5)


def uneven(by: str, factor: float = 4.0) -> Noise:
    """Spread the more, the higher a parameter: ``factor`` times as far three SDs on."""

    def noise(rng: np.random.Generator, means: FloatArray, columns: Columns) -> FloatArray:
        wide = factor ** (np.nan_to_num(columns[by]) / 3.0)
        return means + wide * rng.normal(size=means.size)

    return noise


def of_config(rng: np.random.Generator, means: FloatArray, columns: Columns) -> FloatArray:
    """Add what a configuration has by itself, twice the noise of its repeats."""
    return means + columns["own"] + rng.normal(0, 0.5, means.size)


# ---- samplers that learn ------------------------------------------------------------------------


def learning(
    rng: np.random.Generator, n: int, response: Response, noise: Noise, parameters: int = 4
) -> tuple[Table, FloatArray]:
    """Draw trials as a tree-structured Parzen estimator does (Bergstra et al. 2011).

    A quarter at random; then, of 24 candidates near the best fifth, the one at which these are
    densest beside the others. Parameters are numbers, each by itself.
    """
    names = ["x", *_others(parameters)]
    places, outcomes = np.empty((n, parameters)), np.empty(n)
    for trial in range(n):
        if trial < n // 4:
            place = rng.random(parameters)
        else:
            order = np.argsort(-outcomes[:trial])
            top = max(2, trial // 5)
            good, bad = places[order[:top]], places[order[top:]]
            centres = good[rng.integers(top, size=(24, parameters)), np.arange(parameters)]
            tried = np.abs(centres + rng.normal(0, 0.15, centres.shape)) % 2.0
            tried = np.where(tried > 1.0, 2.0 - tried, tried)
            gain = np.log(_density(tried, good)) - np.log(_density(tried, bad))
            place = tried[gain.argmax(axis=0), np.arange(parameters)]
        places[trial] = place
        columns = dict(zip(names, of_place(place)[:, None], strict=True))
        outcomes[trial] = noise(rng, np.broadcast_to(response(columns), (1,)), columns)[0]
    values: dict[str, list[Value]] = {name: in_range(places[:, k]) for k, name in enumerate(names)}
    columns = {name: of_place(places[:, k]) for k, name in enumerate(names)}
    return Table(values, columns), outcomes


def _density(at: FloatArray, points: FloatArray) -> FloatArray:
    near = np.exp(-(((at[:, None, :] - points[None, :, :]) / 0.15) ** 2) / 2)
    return np.asarray(near.mean(axis=1) + 0.05)
