"""How often `sweep calibrate` names a rate, and how good it is: its rule on made-up runs.

    python benchmarks/range_test.py             the figures of the decision record, in two minutes
    python benchmarks/range_test.py --trials 50

In some settings nothing helps. In the others the gain rises over two decades up to a best rate,
which differs from trial to trial, and above it the policy collapses. Measured gains have noise by
held-out prompt, and a seed moves all prompts of a run together.

Beside the rule there are others that could confirm what the ladder picks. A twin is a run with the
same seed whose rewards say nothing: half of the variance between seeds is shared with it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from harness import statistics
from harness.judging.range_test import (
    FEWEST_SEEDS,
    MOST_SEEDS,
    Limits,
    RangeTest,
    Rung,
    gains_more,
    next_rate,
    read,
)
from harness.records import ItemScores, Outcome

ALPHA = 0.025
LIMITS = Limits(1e-6, 1e-6, 1e-2)
NOISE = 0.25
"""The spread of a prompt's measured gain."""

SHARED = 0.5
"""The share of the variance between seeds that a run has in common with its twin."""

PROMPTS, SPREADS = (64, 512), (0.0, 0.02, 0.05)
ERRORS = (2, 4, 8)
"""The true gain at the best rate, in standard errors of a run."""


def gain_at(rate: float, best: float, height: float) -> float:
    """Return the true gain of a rate, ``height`` at the best one."""
    x = math.log10(rate / best)
    if x <= 0:
        return height * math.exp(-(x**2) / 0.72)
    return height - (height + 0.25) / (1 + math.exp(-(x - 0.8) / 0.15))


@dataclass
class Bench:
    """Draws runs: ``gain`` of a rate is what rewards bring, ``useless`` what any rewards would."""

    rng: np.random.Generator
    prompts: int
    spread: float
    gain: Callable[[float], float]
    useless: float = 0.0

    def run(self, rate: float) -> Rung:
        """Train a run at a rate."""
        return self._drawn(rate, self.gain(rate), self.rng.normal(0.0, self.spread))

    def pair(self, rate: float) -> tuple[Rung, Rung]:
        """Train a run and its twin."""
        common, *own = self.rng.normal(0.0, self.spread, 3)
        seeds = (math.sqrt(SHARED) * common + math.sqrt(1 - SHARED) * one for one in own)
        return (
            self._drawn(rate, self.gain(rate), next(seeds)),
            self._drawn(rate, 0.0, next(seeds)),
        )

    def _drawn(self, rate: float, gain: float, seed: float) -> Rung:
        noise = self.rng.normal(0.0, NOISE, self.prompts)
        gains = gain + self.useless + seed + noise
        error = float(gains.std(ddof=1)) / math.sqrt(self.prompts)
        items = ItemScores(tuple(gains.tolist()), (0.0,) * self.prompts)
        return Rung(
            rate,
            Outcome("completed", delta_perf=float(gains.mean()), delta_perf_se=error, items=items),
        )


@dataclass
class Tested:
    """A whole test as `sweep calibrate` does it, and what other rules say of the same ladder."""

    test: RangeTest
    others: dict[str, bool] = field(default_factory=dict)

    @property
    def named(self) -> bool:
        return self.test.standing == "found"


def tested(bench: Bench) -> Tested:
    """Return a test."""
    rungs: list[Rung] = []
    while (rate := next_rate(rungs, LIMITS, ALPHA)) is not None:
        rungs.append(bench.run(rate))
    test = read(rungs, ALPHA)
    if test.rate is None:
        return Tested(test, dict.fromkeys(OTHERS, False))
    pairs = [bench.pair(test.rate) for _ in range(MOST_SEEDS)]
    others = {name: rule(test, pairs) for name, rule in OTHERS.items()}
    while test.wants_seed:
        test = test.with_fresh(pairs[len(test.fresh)][0])
    return Tested(test, others)


Pairs = list[tuple[Rung, Rung]]


def above_0(values: list[float], degrees: int | None = None, spread: float = math.nan) -> bool:
    """Return whether a mean is above 0 by t, one-sided at twice `ALPHA`; of a given spread too."""
    if degrees is None:
        return statistics.mean_interval(values, 1 - 4 * ALPHA).low > 0
    from scipy import stats

    limit = float(stats.t.ppf(1 - 2 * ALPHA, degrees))
    return float(np.mean(values)) > limit * spread / math.sqrt(len(values))


def means(runs: list[Rung]) -> list[float]:
    return [run.gain or 0.0 for run in runs]


def one(_: RangeTest, pairs: Pairs) -> bool:
    return gains_more(pairs[0][0], None, ALPHA)


def twin(_: RangeTest, pairs: Pairs) -> bool:
    return gains_more(*pairs[0], ALPHA)


def twins(_: RangeTest, pairs: Pairs) -> bool:
    apart = np.subtract(means([run for run, _ in pairs]), means([other for _, other in pairs]))
    return above_0(apart[:FEWEST_SEEDS].tolist())


def pooled(test: RangeTest, pairs: Pairs) -> bool:
    """With the spread of three seeds and of the rates beside the picked one, from their line."""
    fresh = means([run for run, _ in pairs[:FEWEST_SEEDS]])
    degrees, squares = FEWEST_SEEDS - 1, (FEWEST_SEEDS - 1) * float(np.var(fresh, ddof=1))
    at = test.rungs.index(test.nearest) if test.nearest else 0
    if 0 < at < len(test.rungs) - 1:
        below, here, above = means(list(test.rungs[at - 1 : at + 2]))
        degrees, squares = degrees + 1, squares + (here - (below + above) / 2) ** 2 / 1.5
    return above_0(fresh, degrees, math.sqrt(squares / degrees))


def three(_: RangeTest, pairs: Pairs) -> bool:
    return above_0(means([run for run, _ in pairs[:FEWEST_SEEDS]]))


def five(_: RangeTest, pairs: Pairs) -> bool:
    return above_0(means([run for run, _ in pairs]))


OTHERS: dict[str, Callable[[RangeTest, Pairs], bool]] = {
    "1 seed": one,
    "its twin": twin,
    "3 seeds": three,
    "pooled": pooled,
    "3 twins": twins,
    "5 seeds": five,
}


def largest(test: RangeTest) -> float:
    """Return the rate with the largest measured gain."""
    return max(test.rungs, key=lambda rung: rung.gain or 0.0).rate


def between(test: RangeTest) -> float:
    """Return the middle of the rates that help and may be the best."""
    named = [rate for rate in test.helps if rate in test.may_be_best]
    return math.sqrt(named[0] * named[-1])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=500, help="tests of each setting")
    trials = parser.parse_args().trials
    rng = np.random.default_rng(18)
    head = "".join(f"{name:>9}" for name in ("picked", "named", "seeds", *OTHERS))
    print(f"nothing helps\nprompts  spread  useless{head}")
    for useless in (0.0, 0.03):
        for prompts in PROMPTS:
            for spread in SPREADS:
                bench = Bench(rng, prompts, spread, lambda _: 0.0, useless)
                tests = [tested(bench) for _ in range(trials)]
                print(f"{prompts:7} {spread:7} {useless:8}{_shares(tests)}", flush=True)
    print("\nthe best rate is between 1e-5 and 1e-4")
    print(f"prompts  spread   errors{head}")
    rows = []
    for errors in ERRORS:
        for prompts in PROMPTS:
            for spread in SPREADS:
                begins = f"{prompts:7} {spread:7} {errors:8}"
                shares, of_named = _effect(rng, trials, errors, prompts, spread)
                print(f"{begins}{shares}", flush=True)
                rows.append(f"{begins}{of_named}")
    print("\nwhere a rate is named: shares of the best rate's gain")
    print("prompts  spread   errors   picked  largest   middle  in bracket  rates")
    print(*rows, sep="\n")


def _shares(tests: list[Tested]) -> str:
    """Return how often a rate is picked and named, after how many seeds, and by other rules."""
    shares = [
        np.mean([one.test.rate is not None for one in tests]),
        np.mean([one.named for one in tests]),
        np.mean([len(one.test.fresh) for one in tests]),
        *(np.mean([one.others[name] for one in tests]) for name in OTHERS),
    ]
    return "".join(f"{share:9.3f}" for share in shares)


def _effect(
    rng: np.random.Generator, trials: int, errors: int, prompts: int, spread: float
) -> tuple[str, str]:
    height, tests, rows = errors * NOISE / math.sqrt(prompts), [], []
    for _ in range(trials):
        best = 10 ** rng.uniform(-5, -4)
        gain = partial(gain_at, best=best, height=height)
        found = tested(Bench(rng, prompts, spread, gain))
        tests.append(found)
        test = found.test
        if test.rate is None or not found.named:
            continue
        inside = (test.low or 0.0) < best < (test.high or 1.0)
        reached = [gain(rate) / height for rate in (test.rate, largest(test), between(test))]
        rows.append([*reached, inside, len(test.rungs)])
    of_named = np.mean(rows, axis=0) if rows else [math.nan] * 5
    widths = (9, 9, 9, 12, 7)
    good = "".join(f"{x:{w}.3f}" for x, w in zip(of_named, widths, strict=True))
    return _shares(tests), good


if __name__ == "__main__":
    main()
