"""Sweeps of which the best run is chosen: what is said of it, beside what it is truly worth.

Sweeps come in seven shapes, in units of a run's standard error; one that is unequal is told in the
error of the run that was chosen. The noise is normal, or Student's with 3 degrees of freedom at the
same SD.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from harness import statistics
from harness.observations.selection import selection
from harness.records import Conditions, Config, Outcome, Result, Run

FloatArray = NDArray[np.float64]
Rng = np.random.Generator
Noise = Literal["normal", "t3"]

RUNS = 24
FRESH = 8
"""Fresh seeds of the run that is confirmed."""

NORMAL_95 = 1.959964


# ---- shapes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """True values [n] of a sweep's runs, and their standard errors [n], drawn anew each time.

    In shapes that are ``exchangeable`` no run lies apart from all others by design.
    """

    name: str
    draw: Callable[[Rng, int], tuple[FloatArray, FloatArray]]
    exchangeable: bool = True


def _one_good(size: float, rng: Rng, n: int) -> tuple[FloatArray, FloatArray]:
    return np.where(np.arange(n) == 0, size, 0.0), np.ones(n)


def _many_equal(rng: Rng, n: int) -> tuple[FloatArray, FloatArray]:
    return np.where(np.arange(n) < n // 3, 2.0, 0.0), np.ones(n)


def _ridge(rng: Rng, n: int) -> tuple[FloatArray, FloatArray]:
    return 3.0 * (1.0 - np.linspace(-1.0, 1.0, n) ** 2), np.ones(n)


def _heavy(rng: Rng, n: int) -> tuple[FloatArray, FloatArray]:
    return rng.standard_t(3, n), np.ones(n)


def _unequal(rng: Rng, n: int) -> tuple[FloatArray, FloatArray]:
    return rng.normal(size=n), np.exp(rng.uniform(-math.log(2.0), math.log(2.0), n))


def _nothing(rng: Rng, n: int) -> tuple[FloatArray, FloatArray]:
    return np.zeros(n), np.ones(n)


SHAPES = (
    Shape("one good, at 2 SE", partial(_one_good, 2.0), exchangeable=False),
    Shape("one good, at 4 SE", partial(_one_good, 4.0), exchangeable=False),
    Shape("a third equally good, at 2 SE", _many_equal),
    Shape("a ridge, 3 SE high", _ridge),
    Shape("heavy-tailed effects (t3, 1 SE)", _heavy),
    Shape("effects of SD 1, errors ½ to 2", _unequal),
    Shape("nothing", _nothing),
)


def noise_of(kind: Noise, rng: Rng, size: int | tuple[int, ...]) -> FloatArray:
    """Return noise of SD 1."""
    if kind == "t3":
        return rng.standard_t(3, size) / math.sqrt(3.0)
    return rng.normal(size=size)


# ---- known standard errors -----------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """How far an estimate of the chosen run lies above the truth on average, and its coverage."""

    bias: float
    covered: float


@dataclass(frozen=True)
class Chosen:
    """What is said of the best run: as it was measured, shrunk, and after fresh seeds of it.

    ``probability`` is the mean of the probability that it is the best, ``best`` how often it was.
    """

    naive: Told
    shrunk: Told
    confirmed: Told
    probability: float
    best: float
    sweeps: int


def simulate(shape: Shape, kind: Noise, sweeps: int, rng: Rng, n: int = RUNS) -> Chosen:
    """Choose the best run of each of so many sweeps, and compare what is said with the truth.

    The interval of the naive value is ±1.96 SE, that of the shrunk one the interval for selection.
    Confirmed is the mean of fresh seeds of the leader, with Student's interval over the seeds.
    """
    bias, covered = np.zeros((sweeps, 3)), np.zeros((sweeps, 3), dtype=bool)
    claimed, right = np.zeros(sweeps), np.zeros(sweeps)
    beyond = float(special.stdtrit(FRESH - 1, 0.975))
    for place in range(sweeps):
        truth, errors = shape.draw(rng, n)
        values = truth + errors * noise_of(kind, rng, n)
        best = int(values.argmax())
        unit, true, value = errors[best], truth[best], values[best]
        said = statistics.shrink(values, errors)
        fresh = true + unit * noise_of(kind, rng, FRESH)
        half = beyond * fresh.std(ddof=1) / math.sqrt(FRESH)
        bias[place] = (np.array([value, said.means[best], fresh.mean()]) - true) / unit
        covered[place] = (
            abs(value - true) <= NORMAL_95 * unit,
            said.low[best] <= true <= said.high[best],
            abs(fresh.mean() - true) <= half,
        )
        claimed[place] = said.best[best]
        # Of equally good ones, each is the best with an equal share.
        top = truth == truth.max()
        right[place] = top[best] / top.sum()
    told = (
        Told(float(one), float(share))
        for one, share in zip(bias.mean(axis=0), covered.mean(axis=0), strict=True)
    )
    naive, shrunk, confirmed = told
    return Chosen(naive, shrunk, confirmed, float(claimed.mean()), float(right.mean()), sweeps)


# ---- noise that the data have to tell ------------------------------------------------------------


@dataclass(frozen=True)
class Design:
    """Sweeps of configs whose noise is known from ``seeds`` each, or of one from the residual.

    ``gain`` is what three parameters add up to, in SDs of a run, and ``together`` what two of them
    do beyond that.
    """

    name: str
    seeds: int = 1
    gain: float = 0.0
    together: float = 0.0


DESIGNS = (
    Design("3 seeds a config, no effects", seeds=3),
    Design("3 seeds a config, effects of SD 1", seeds=3, gain=1.0),
    Design("no seeds, no effects", seeds=1),
    Design("no seeds, effects that add up, SD 1", seeds=1, gain=1.0),
    Design("no seeds, and an interaction, SD 1", seeds=1, gain=1.0, together=1.0),
)

_CONDITIONS = Conditions("", "", "", "", "", "", "", "", metric="m", direction="max")


def simulate_design(design: Design, sweeps: int, rng: Rng, n: int = RUNS) -> Chosen:
    """Choose the best config of each sweep; what is said rests on noise that the data tell.

    Biases are in SDs of what is chosen: a config's mean, where it has several seeds. The naive
    interval is ±1.96 of the standard error that the data tell; nothing is confirmed.
    """
    found = []
    for _ in range(sweeps):
        numbers = rng.uniform(-1.0, 1.0, (n, 2))
        levels = rng.integers(0, 3, n)
        added = numbers[:, 0] + (levels - 1.0)
        crossed = numbers[:, 0] * numbers[:, 1]
        # The variances of the two sums are 1/3 + 2/3 and 1/9.
        truth = design.gain * added + design.together * 3.0 * crossed
        values = truth[:, None] + rng.normal(size=(n, design.seeds))
        results = [
            _result(place, seed, (*numbers[place], int(levels[place])), values[place, seed])
            for place in range(n)
            for seed in range(design.seeds)
        ]
        said = selection(results)
        assert said.top is not None
        assert said.error is not None
        top = said.top.run.index
        worth, unit = said.of[said.top.run.id], 1.0 / math.sqrt(design.seeds)
        assert worth.low is not None
        assert worth.high is not None
        value, true = float(values[top].mean()), float(truth[top])
        best = truth == truth.max()
        found.append(
            (
                (value - true) / unit,
                abs(value - true) <= NORMAL_95 * said.error,
                (worth.shrunk - true) / unit,
                worth.low <= true <= worth.high,
                worth.best,
                best[top] / best.sum(),
            )
        )
    means = [float(one) for one in np.array(found, dtype=np.float64).mean(axis=0)]
    nothing = Told(math.nan, math.nan)
    return Chosen(
        Told(means[0], means[1]), Told(means[2], means[3]), nothing, means[4], means[5], sweeps
    )


def _result(place: int, seed: int, values: Sequence[float], outcome: float) -> Result:
    config = Config(dict(zip("abc", values, strict=True)))
    run = Run(f"r{place}-{seed}", "s", place, "main", None, config, seed, 0, 0, 0)
    return Result(run.id, run, _CONDITIONS, Outcome("completed", delta_perf=float(outcome)))
