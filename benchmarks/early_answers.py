"""How often questions that are answered early are wrong, what they see, and what it saves.

    python benchmarks/early_answers.py [--simulations 2000] [--seed 1] [--jobs 2]

A sweep of 24 runs, or of 48 where it says so, with a baseline of 48, judged once with all runs at
.05, and over the looks that `--sweep-until answered` takes. "At once" and "at looks" are the shares
of simulations in which the claim is supported: in the first table it is false, in the second true.
"Runs" are those after which it was decided, or pairs. Then counts, and whole sweeps until all of
their questions are answered.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from zlib import crc32

import numpy as np
from simulation.planned import finish, place, planned_sweep, seen
from simulation.samples import COLLAPSE, NORMAL, WIDE, FloatArray, Mixture
from tabulate import tabulate

from harness import statistics
from harness.claims import (
    best_inside,
    lower_tail,
    mean_gain,
    no_worse,
    spread,
    still_improves,
    success_rate,
)
from harness.judging.early import EarlyAnswers, launch_order
from harness.protocols import Claim
from harness.records import Run

RUNS, BASELINE = 24, 48
Drawn = tuple[dict[str, float], FloatArray | None, dict[str, float] | float]
"""ΔPerf by key, the baseline's, and what of the gain comes late."""


@dataclass(frozen=True)
class Row:
    """One simulated question: ``draw`` makes what its runs and its baseline come to."""

    name: str
    truth: str
    draw: Callable[[np.random.Generator, dict[str, Run]], Drawn]
    holds: bool = False
    weight: float = 1.0
    pairs: int = 0
    runs: int = RUNS


def against(ours: Mixture, theirs: Mixture) -> Callable[..., Drawn]:
    """Return a draw of ΔPerf [24] against [48]."""

    def draw(rng: np.random.Generator, runs: dict[str, Run]) -> Drawn:
        values = dict(zip(runs, ours(rng, len(runs)).tolist(), strict=True))
        return values, theirs(rng, BASELINE), 0.5

    return draw


def along(truth: Callable[[float], float], sd: float = 0.05) -> Callable[..., Drawn]:
    """Return a draw of ΔPerf along the learning rate, whose place is from 0 to 1."""

    def draw(rng: np.random.Generator, runs: dict[str, Run]) -> Drawn:
        return {k: truth(place(r)) + sd * rng.normal() for k, r in runs.items()}, None, 0.5

    return draw


def late(gain: Mixture) -> Callable[..., Drawn]:
    """Return a draw of gains after half of the steps."""

    def draw(rng: np.random.Generator, runs: dict[str, Run]) -> Drawn:
        gains = dict(zip(runs, gain(rng, len(runs)).tolist(), strict=True))
        return {k: 0.1 * rng.normal() + g for k, g in gains.items()}, None, gains

    return draw


def pairs(ahead: float) -> Callable[..., Drawn]:
    """Return a draw in which the reference is ``ahead`` of every other value in the mean."""

    def draw(rng: np.random.Generator, runs: dict[str, Run]) -> Drawn:
        ours = {r.id: rng.normal(0.0, 0.05) for r in runs.values() if r.pair is None}
        return (
            {
                k: (ours[r.pair] - ahead if r.pair else ours[r.id]) + 0.02 * rng.normal()
                for k, r in runs.items()
            },
            None,
            0.5,
        )

    return draw


MEAN, SPREAD, TAIL, GAIN, BEST, NO_WORSE = (
    "mean", "spread", "lower tail", "plateau", "best inside", "no worse"
)  # fmt: skip
CLAIMS: dict[str, Claim] = {
    MEAN: mean_gain.above_baseline(),
    SPREAD: spread.below_baseline(),
    TAIL: lower_tail.above_baseline(),
    GAIN: still_improves(since=50, margin=0.001),
    BEST: best_inside("learning_rate", margin=0.02),
    NO_WORSE: no_worse("batch_size", 8, than=(4, 12), margin=0.02),
}
COUNTS: dict[str, Claim] = {
    "half": success_rate.above(0.5),
    "success": success_rate.above_baseline(),
}
ASKED: dict[str, dict[str, Claim]] = {
    "success": COUNTS,
    "success, mean": COUNTS | {MEAN: CLAIMS[MEAN]},
    "success, mean, spread, tail": COUNTS | {n: CLAIMS[n] for n in (MEAN, SPREAD, TAIL)},
    "all eight": COUNTS | CLAIMS,
}


def rows() -> Iterator[Row]:
    """Yield what is simulated, false claims first."""
    yield Row(MEAN, "equal, normal", against(NORMAL, NORMAL))
    yield Row(MEAN, "equal, twice the spread", against(WIDE, NORMAL))
    yield Row(MEAN, "equal, 15% collapse", against(COLLAPSE, COLLAPSE))
    yield Row(SPREAD, "equal, normal", against(NORMAL, NORMAL))
    yield Row(SPREAD, "equal, 15% collapse", against(COLLAPSE, COLLAPSE))
    yield Row(TAIL, "equal, normal", against(NORMAL, NORMAL))
    yield Row(TAIL, "equal, 15% collapse", against(COLLAPSE, COLLAPSE))
    yield Row(GAIN, "no gain, normal", late(NORMAL))
    yield Row(GAIN, "no gain, 15% collapse", late(COLLAPSE))
    yield Row(GAIN, "… of 48 runs", late(COLLAPSE), runs=48)
    yield Row(BEST, "flat", along(lambda x: 0.0), weight=0.5)
    yield Row(BEST, "rises to the end", along(lambda x: 0.4 * x), weight=0.5)
    yield Row(BEST, "rises, then flat", along(lambda x: 0.6 * min(x, 0.5)), weight=0.5)
    yield Row(BEST, "a cliff", along(lambda x: 0.3 * (x > 0.4)), weight=0.5)
    yield Row(NO_WORSE, "worse by the margin", pairs(-0.02), pairs=24)
    yield Row(MEAN, "better by one SD", against(NORMAL.moved(0.05), NORMAL), holds=True)
    yield Row(MEAN, "better by half an SD", against(NORMAL.moved(0.025), NORMAL), holds=True)
    yield Row(SPREAD, "half the spread", against(NORMAL, WIDE), holds=True)
    yield Row(TAIL, "better by one SD", against(NORMAL.moved(0.05), NORMAL), holds=True)
    yield Row(GAIN, "half an SD a run", late(NORMAL.moved(0.025)), holds=True)
    yield Row(GAIN, "one SD a run", late(NORMAL.moved(0.05)), holds=True)
    yield Row(GAIN, "half an SD, 48 runs", late(NORMAL.moved(0.025)), holds=True, runs=48)
    yield Row(
        BEST, "a peak of 4 SDs", along(lambda x: 0.2 - 0.8 * (x - 0.5) ** 2), holds=True, weight=0.5
    )
    yield Row(NO_WORSE, "equal", pairs(0.0), holds=True, pairs=24)
    yield Row(NO_WORSE, "better by the margin", pairs(0.02), holds=True, pairs=24)


def simulate(row: Row, simulations: int, seed: int) -> tuple[float, float, float]:
    """Return how often it is supported at once and over the looks, and the units that takes."""
    planned = planned_sweep({"q": CLAIMS[row.name]}, row.runs, row.pairs)
    rng = np.random.default_rng([seed, crc32(f"{row.name} {row.truth}".encode())])
    at_once = early = taken = 0.0
    for _ in range(simulations):
        deltas, baseline, share = row.draw(rng, dict(planned.runs))
        evidence = seen(planned, finish(planned, deltas, share), baseline)
        at_once += CLAIMS[row.name].judge("q", evidence).verdict == "supported"
        verdict = EarlyAnswers(planned).verdicts(evidence)["q"]
        early += verdict.verdict == "supported"
        assert verdict.decided is not None
        taken += verdict.decided.runs
    return at_once / simulations, early / simulations, taken / simulations


def count_runs(rate: float, simulations: int, seed: int) -> tuple[float, float]:
    """Return how often more than half is shown at a true ``rate``, and the runs that takes."""
    rng = np.random.default_rng([seed, round(1000 * rate)])
    drawn = (rng.random((simulations, RUNS)) < rate).cumsum(axis=1)
    shown, taken = 0, 0
    for row in drawn.tolist():
        for n, successes in enumerate(row, start=1):
            said = statistics.curtailed_binomial(successes, n - successes, n, RUNS)
            if said is not None:
                shown, taken = shown + (said == "greater"), taken + n
                break
    return shown / simulations, taken / simulations


def whole(asked: str, gain: float, simulations: int, seed: int) -> tuple[float, float, int]:
    """Return the share of sweeps answered early, and the runs that all take, of the planned.

    ΔPerf has a mean of ``gain`` at the best learning rate, in the middle of the range, and falls by
    .1 to its ends, with an SD of .05 beside; the baseline has a mean of 0 and an SD of .1. Batch
    sizes 4 and 12 are worse by .02, in 12 pairs each, where that is asked.
    """
    questions = ASKED[asked]
    planned = planned_sweep(questions, RUNS, 12 if NO_WORSE in questions else 0)
    order = launch_order(planned)
    rng = np.random.default_rng([seed, round(1000 * gain)])
    early = taken = 0.0
    for _ in range(simulations):
        mine = {r.id: rng.normal(0.0, 0.045) for r in planned.runs.values() if r.pair is None}
        deltas = {
            key: gain
            - 0.4 * (place(run) - 0.5) ** 2
            + mine[run.pair or run.id]
            - 0.02 * (run.pair is not None)
            + 0.02 * rng.normal()
            for key, run in planned.runs.items()
        }
        found, baseline = finish(planned, deltas), WIDE(rng, BASELINE)
        answers, count = EarlyAnswers(planned), 0
        for count in range(1, len(order) + 1):
            if answers.all_answered(seen(planned, found, baseline, order[:count])):
                break
        early += count < len(order)
        taken += count
    return early / simulations, taken / simulations, len(order)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--simulations", type=int, default=2000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--jobs", type=int, default=2)
    given = options.parse_args()
    listed = list(rows())
    sizes = [round(row.weight * given.simulations) for row in listed]
    with ProcessPoolExecutor(given.jobs) as pool:
        jobs = [
            pool.submit(_numbered, number, size, given.seed) for number, size in enumerate(sizes)
        ]
        found = [job.result() for job in jobs]
    for title, holds in (("The claim is false", False), ("The claim is true", True)):
        judged = [
            (row.name, row.truth, size, at_once, looks, taken, row.runs - taken)
            for row, size, (at_once, looks, taken) in zip(listed, sizes, found, strict=True)
            if row.holds == holds
        ]
        head = ("claim", "truth", "simulations", "at once", "at looks", "runs", "saved")
        show(title, head, judged, ("", "", "", ".3f", ".3f", ".1f", ".1f"))
    counted = [
        (rate, *count_runs(rate, 10 * given.simulations, given.seed))
        for rate in (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
    ]
    rated = [(rate, shown, taken, RUNS - taken) for rate, shown, taken in counted]
    title = "More than half of the runs improve, by curtailment"
    show(title, ("true rate", "supported", "runs", "saved"), rated, (".1f", ".3f", ".1f", ".1f"))
    few = max(1, given.simulations // 10)
    cases = [(asked, gain) for asked in ASKED for gain in (0.05, 0.1, 0.2)]
    with ProcessPoolExecutor(given.jobs) as pool:
        ended = list(pool.map(partial(_whole, simulations=few, seed=given.seed), cases))
    sweeps = [(*case, *end) for case, end in zip(cases, ended, strict=True)]
    names = ("questions on", "mean ΔPerf", "answered early", "runs", "of")
    show(f"Whole sweeps, {few} each", names, sweeps, ("", ".2f", ".2f", ".1f", "d"))


def show(
    title: str, head: Sequence[str], table: Sequence[Sequence[object]], digits: Sequence[str]
) -> None:
    """Print a table under its title."""
    print(f"\n{title}\n")
    print(tabulate(table, head, tablefmt="github", floatfmt=tuple(digits)), flush=True)


def _whole(case: tuple[str, float], simulations: int, seed: int) -> tuple[float, float, int]:
    return whole(*case, simulations, seed)


def _numbered(number: int, simulations: int, seed: int) -> tuple[float, float, float]:
    return simulate(list(rows())[number], simulations, seed)


if __name__ == "__main__":
    main()
