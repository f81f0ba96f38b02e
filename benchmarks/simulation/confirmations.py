"""Sweeps whose leaders are trained again with fresh seeds: what is said, and how often it is wrong.

What a confirmed config is worth is simulated in the shapes of `selections`. The claim on the winner
is simulated on its own, in SDs of a run: leaders and a reference of known means, seed by seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from harness import statistics
from harness.claims import winner
from harness.records import CONFIRM, Conditions, Config, Outcome, Result, Run
from harness.verdicts import Confirmed, Evidence, Verdict

from .samples import COLLAPSE, DEEP, NORMAL, Draw
from .selections import FRESH, RUNS, FloatArray, Noise, Rng, Shape, noise_of

TOP = 3
LOOKS = (0.5, 0.75, 1.0)

# ---- what the confirmed are worth ----------------------------------------------------------------


@dataclass(frozen=True)
class Worth:
    """What is said of a sweep's leaders after fresh seeds, beside what they are worth.

    A bias is in standard errors of a confirmed mean. ``covered`` is the share of 95% intervals that
    have the truth. The best is the one of three with the highest fresh mean; ``together`` is the
    coverage of its interval at 1 − .05/3. Of the best's gain over the median config, ``alone`` and
    ``of_all`` say how often the lower end lies below the truth: its own, and that of the intervals
    that hold for all three together.
    """

    named_bias: float
    named_covered: float
    best_bias: float
    best_covered: float
    together: float
    alone: float
    of_all: float


def confirm(shape: Shape, kind: Noise, sweeps: int, rng: Rng, n: int = RUNS) -> Worth:
    """Train the best three and the median of each sweep again, with seeds that all of them share.

    What a seed does to all configs alike has an SD of one run's error.
    """
    found = np.zeros((sweeps, 7))
    own, of_three = special.stdtrit(FRESH - 1, 1.0 - np.array([0.05, 0.05 / TOP]) / 2.0)
    for sweep in range(sweeps):
        truth, errors = shape.draw(rng, n)
        order = (truth + errors * noise_of(kind, rng, n)).argsort()[::-1]
        places = np.array([order[n // 2], *order[:TOP]])
        noise = noise_of(kind, rng, (TOP + 1, FRESH))
        seeds = rng.normal(size=FRESH)
        fresh = truth[places][:, None] + errors[places][:, None] * noise
        means, error = fresh.mean(axis=1), fresh.std(axis=1, ddof=1) / math.sqrt(FRESH)
        unit, off = errors[places] / math.sqrt(FRESH), means - truth[places]
        best = 1 + int(means[1:].argmax())
        each = (fresh + seeds)[1:] - (fresh + seeds)[0]
        gain = truth[places[best]] - truth[places[0]]
        together = statistics.matched_each(list(each))[best - 1]
        found[sweep] = (
            off[1] / unit[1],
            abs(off[1]) <= own * error[1],
            off[best] / unit[best],
            abs(off[best]) <= own * error[best],
            abs(off[best]) <= of_three * error[best],
            statistics.matched(each[best - 1]).low <= gain,
            together.low <= gain,
        )
    return Worth(*map(float, found.mean(axis=0)))


# ---- the claim on the winner ---------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """Leaders and a reference with fresh seeds.

    ``ahead`` are the true leads of the leaders in SDs of a run. ``draws`` are the noise of the
    reference and of the leaders, of which the last one stands for all others, each of SD 1. All
    runs of a seed share what it does to them, of SD ``shared``. A share of the runs ``diverges``.
    """

    name: str
    ahead: tuple[float, ...]
    seeds: int
    draws: tuple[Draw, ...]
    shared: float = 0.0
    diverges: float = 0.0


def _of(draw: Draw, sd: float = 1.0) -> Draw:
    """Return ``draw`` scaled from the SD of its normal part, .05, to ``sd``."""
    return lambda rng, n: np.asarray(draw(rng, n) * (sd / 0.05))


def _t3(rng: Rng, n: int) -> FloatArray:
    return noise_of("t3", rng, n)


ONE, WIDE, BAD, WORST = _of(NORMAL), _of(NORMAL, 3.0), _of(COLLAPSE), _of(DEEP)

NOISES: tuple[tuple[str, tuple[Draw, ...], float, float], ...] = (
    ("normal", (ONE,), 0.0, 0.0),
    ("normal, seeds shared, twice the SD", (ONE,), 2.0, 0.0),
    ("t3", (_t3,), 0.0, 0.0),
    ("the reference three times as wide", (WIDE, ONE), 0.0, 0.0),
    ("a leader three times as wide", (ONE, WIDE, ONE), 0.0, 0.0),
    ("15% collapse", (BAD,), 0.0, 0.0),
    ("15% collapse deeply", (WORST,), 0.0, 0.0),
    ("15% diverge", (ONE,), 0.0, 0.15),
    ("only leaders: 15% collapse", (ONE, BAD), 0.0, 0.0),
    ("only the reference: 15% collapse", (BAD, ONE), 0.0, 0.0),
)
"""Noise by name: the draws, what seeds share, and what share diverges."""

UNSEEN = "only leaders: 15% collapse"
"""A known limit: with so few seeds, none that collapses may be seen."""


def equal(leaders: int, seeds: int) -> Iterator[Trial]:
    """Yield trials in which no leader is better than the reference on average."""
    for name, draws, shared, diverges in NOISES:
        yield Trial(name, (0.0,) * leaders, seeds, draws, shared, diverges)


def ahead(by: float, leaders: int, seeds: int) -> Iterator[Trial]:
    """Yield trials in which one leader is ahead ``by`` so many SDs of a run."""
    for name, draws, shared, diverges in (NOISES[0], NOISES[2]):
        yield Trial(name, (by, *(0.0,) * (leaders - 1)), seeds, draws, shared, diverges)


@dataclass(frozen=True)
class Found:
    """Rates over simulated sweeps.

    Of those judged once, ``supported`` and ``refuted``; ``missed`` where the leader that is truly
    best is said not to be; ``covered`` where all intervals have their true lead. ``early`` are
    those supported at one of the looks, which need ``taken`` of the seeds on average.
    """

    supported: float
    refuted: float
    missed: float
    covered: float
    early: float
    taken: float


SLIGHTEST = winner.beats(margin=0.001)
"""Without a lead a wider margin only helps: a small one is least favourable."""

_CONDITIONS = Conditions("", "", "", "", "", "", "", "", metric="m", direction="max")


def _result(run: Run, outcome: float | None) -> Result:
    ended = Outcome("diverged") if outcome is None else Outcome("completed", delta_perf=outcome)
    return Result(run.id, run, _CONDITIONS, ended)


def _main() -> tuple[Result, ...]:
    runs = (
        Run(f"r{i}", "s", i, "main", None, Config({"x": i}), i, 10, 10, 10) for i in range(RUNS)
    )
    return tuple(_result(run, 0.1 * run.index) for run in runs)


MAIN = _main()


def evidence(trial: Trial, rng: Rng) -> Evidence:
    """Return a sweep with fresh seeds of its leaders and the reference."""
    seeds, places = rng.normal(size=trial.seeds) * trial.shared, (12, *range(len(trial.ahead)))
    results = []
    for place, lead in enumerate((0.0, *trial.ahead)):
        draw = trial.draws[min(place, len(trial.draws) - 1)]
        values = lead + seeds + draw(rng, trial.seeds)
        lost = rng.random(trial.seeds) < trial.diverges
        of = MAIN[places[place]].run
        for repeat, (value, gone) in enumerate(zip(values.tolist(), lost, strict=True)):
            run = replace(of, id=f"c{place}-{repeat}", arm=CONFIRM, pair=of.id, index=place)
            results.append(_result(replace(run, repeat=repeat), None if gone else value))
    return Evidence("s", MAIN, {CONFIRM: tuple(results)}, margin=0.001)


def looks_of(trial: Trial) -> tuple[list[int], tuple[float, ...]]:
    """Return the numbers of seeds at which the claim is judged, and the levels."""
    looks = [math.ceil(share * trial.seeds) for share in LOOKS]
    at = [look for look in looks if look >= SLIGHTEST.fewest]
    shares = tuple(look / trial.seeds for look in at)
    return at, statistics.look_levels(0.05, shares, len(trial.ahead))


def judge(trial: Trial, sweeps: int, rng: Rng) -> Found:
    """Judge so many sweeps, at the end and at looks."""
    at, levels = looks_of(trial)
    found = np.zeros((sweeps, 6))
    best = 1 + int(np.argmax(trial.ahead))
    for sweep in range(sweeps):
        whole = evidence(trial, rng)
        verdict = SLIGHTEST.judge("winner", whole)
        rows = [row for row in verdict.confirmed if row.place]
        missed = any(row.place == best and row.may_be_best is False for row in rows)
        covered = all(_covers(row, trial.ahead[row.place - 1]) for row in rows)
        said = verdict.verdict
        early, taken = said == "supported", trial.seeds
        if len(at) > 1:
            early, taken = _at_looks(whole, at, levels)
        found[sweep] = (said == "supported", said == "refuted", missed, covered, early, taken)
    return Found(*map(float, found.mean(axis=0)))


def _covers(row: Confirmed, lead: float) -> bool:
    low, high = row.difference_low, row.difference_high
    return (low is None or low <= lead) and (high is None or lead <= high)


def _at_looks(whole: Evidence, at: Sequence[int], levels: Sequence[float]) -> tuple[bool, int]:
    """Return whether the claim is supported at a look, and after how many seeds it is decided."""
    for look, level in zip(at, levels, strict=True):
        seen = tuple(r for r in whole.arms[CONFIRM] if r.run.repeat < look)
        verdict: Verdict = SLIGHTEST.judge(
            "winner", replace(whole, arms={CONFIRM: seen}, alpha=level)
        )
        if verdict.verdict in ("supported", "refuted"):
            return verdict.verdict == "supported", look
    return False, at[-1]
