"""How often `sweep calibrate` names a rate, and how good it is: its rule on made-up runs.

    python benchmarks/range_test.py             the figures of the decision record, in two minutes
    python benchmarks/range_test.py --trials 50

In half of the settings nothing helps. In the others the gain rises over two decades up to a best
rate, which differs from trial to trial, and above it the policy collapses. Measured gains have
noise by held-out prompt, and seeds move all prompts of a run together.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import partial

import numpy as np

from harness.judging.range_test import Limits, RangeTest, Rung, next_rate, read
from harness.records import ItemScores, Outcome

ALPHA = 0.025
LIMITS = Limits(1e-6, 1e-6, 1e-2)
NOISE = 0.25
"""The spread of a prompt's measured gain."""


def gain_at(rate: float, best: float, height: float) -> float:
    """Return the true gain of a rate, ``height`` at the best one."""
    x = math.log10(rate / best)
    if x <= 0:
        return height * math.exp(-(x**2) / 0.72)
    return height - (height + 0.25) / (1 + math.exp(-(x - 0.8) / 0.15))


def measured(
    rng: np.random.Generator, prompts: int, spread: float, gain: Callable[[float], float]
) -> Callable[[float], Rung]:
    """Return a function that trains a run at a rate: draws its gains by prompt."""

    def run(rate: float) -> Rung:
        seed = rng.normal(0.0, spread) if spread else 0.0
        gains = gain(rate) + seed + rng.normal(0.0, NOISE, prompts)
        error = float(gains.std(ddof=1)) / math.sqrt(prompts)
        items = ItemScores(tuple(gains.tolist()), (0.0,) * prompts)
        outcome = Outcome(
            "completed", delta_perf=float(gains.mean()), delta_perf_se=error, items=items
        )
        return Rung(rate, outcome)

    return run


def tested(run: Callable[[float], Rung]) -> RangeTest:
    """Return the whole test, as `sweep calibrate` does it."""
    rungs: list[Rung] = []
    while (rate := next_rate(rungs, LIMITS, ALPHA)) is not None:
        rungs.append(run(rate))
    test = read(rungs, ALPHA)
    return test if test.rate is None else test.confirmed_by(run(test.rate))


def largest(test: RangeTest) -> float:
    """Return the rate with the largest measured gain."""
    return max(test.rungs, key=lambda rung: rung.gain or 0.0).rate


def between(test: RangeTest) -> float:
    """Return the middle of the rates that help and may be the best."""
    named = [rate for rate in test.helps if rate in test.may_be_best]
    return math.sqrt(named[0] * named[-1])


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=500, help="tests of each setting")
    trials = parser.parse_args().trials
    rng = np.random.default_rng(18)
    print("nothing helps\nprompts  spread  by the ladder alone  named")
    for prompts in (64, 512):
        for spread in (0.0, 0.02, 0.05):
            run = measured(rng, prompts, spread, lambda _: 0.0)
            tests = [tested(run) for _ in range(trials)]
            alone = np.mean([test.rate is not None for test in tests])
            named = np.mean([test.standing == "found" for test in tests])
            print(f"{prompts:7} {spread:7} {alone:20.3f} {named:6.3f}", flush=True)
    print("\nthe best rate is between 1e-5 and 1e-4; shares of its gain, where a rate is named")
    print("gain  prompts  spread  named  picked  largest  middle  in bracket  rates")
    for height in (0.03, 0.06, 0.15):
        for prompts in (64, 512):
            for spread in (0.0, 0.02):
                print(*_effect(rng, trials, height, prompts, spread), flush=True)


def _effect(
    rng: np.random.Generator, trials: int, height: float, prompts: int, spread: float
) -> list[str]:
    rows = []
    for _ in range(trials):
        best = 10 ** rng.uniform(-5, -4)
        gain = partial(gain_at, best=best, height=height)
        test = tested(measured(rng, prompts, spread, gain))
        if test.rate is None or test.standing != "found":
            continue
        inside = (test.low or 0.0) < best < (test.high or 1.0)
        reached = [gain(rate) / height for rate in (test.rate, largest(test), between(test))]
        rows.append([*reached, inside, len(test.rungs)])
    found = np.mean(rows, axis=0) if rows else [math.nan] * 5
    widths = (7, 8, 7, 11)
    shares = [f"{x:{w}.3f}" for x, w in zip(found[:4], widths, strict=True)]
    head = [f"{height:4}", f"{prompts:7}", f"{spread:7}", f"{len(rows) / trials:6.3f}"]
    return [*head, *shares, f"{found[4]:6.1f}"]


if __name__ == "__main__":
    main()
