"""The effects at which each kind of claim is priced, and how likely it is supported at them.

`asked` has a rule for each kind of claim: what it needs of a design, and the power of its test.
"""

from __future__ import annotations

import math
from functools import partial, singledispatch

import numpy as np

from harness import observations, statistics
from harness.claims.best_value import BestInside
from harness.claims.curve import TOLERANCE, StillImproves, ends_of
from harness.claims.design import MOST, Asked, Design, Effect, spread_of
from harness.claims.reference_value import FEWEST_PAIRS, NoWorse
from harness.claims.success import NULL_RATE, SuccessAbove, SuccessAboveBaseline
from harness.claims.versus import (
    LowerTailAboveBaseline,
    MeanAboveBaseline,
    SpreadBelowBaseline,
)
from harness.observations.levels import is_number
from harness.records import MAIN, Config
from harness.statistics import FEWEST_BRACKETED
from harness.sweeps.space import LogUniform, Uniform
from harness.text import number, parameter_name, plural
from harness.verdicts import Counts

SUCCESSES = (0.4, 0.6)
"""Standard success rates, as shares of the way from the rate to beat to 1: 0.7 and 0.8 for ½."""

GAINS = (0.5, 1.0)
"""Standard gains, in SDs of a run."""

SPREADS = (0.75, 0.5)
"""Standard ratios of the SD to the baseline's."""

DROPS = (3.0, 4.0, 5.3)
"""Standard drops from a best value to both ends of the range, in SDs of a run."""

RUN_SD = 0.016
"""Assumed SD of a run apart from what its pair shares, where no pairs are stored to tell it."""

BASELINE_RATE = 1 / 3
"""Assumed success rate of a baseline whose runs are not stored."""

MOST_SIMULATED = 192
"""Sizes up to which a power is simulated: that of a larger sweep is at least this one's."""


@singledispatch
def asked(claim: object, design: Design) -> Asked | None:
    """Return the standard effects of a claim under a design; None where it has no rule here."""
    return None


@asked.register
def _(claim: SuccessAbove, design: Design) -> Asked:
    n, alpha = design.n, design.sweep.alpha
    if statistics.binomial_threshold(n, claim.rate, alpha) is None:
        fewest = math.ceil(math.log(alpha) / math.log(claim.rate))
        return Asked(
            n,
            why=f"no count of {plural(n, 'run')} can show more than {_percent(claim.rate)}; "
            f"it takes {plural(fewest, 'run')}",
        )
    target = "one half" if claim.rate == NULL_RATE else _percent(claim.rate)
    effects = tuple(
        Effect(
            f"{_percent(rate)} of runs succeed",
            rate,
            f"a true success rate of {_percent(rate)} is shown to be above {target}",
            partial(statistics.binomial_power, true_rate=rate, rate=claim.rate, alpha=alpha),
        )
        for rate in _rates_above(claim.rate)
    )
    return Asked(n, effects, every=True)


@asked.register
def _(claim: SuccessAboveBaseline, design: Design) -> Asked:
    baseline, alpha, m = design.sweep.baseline, design.sweep.alpha, design.other_n
    lacking = _no_baseline(design)
    if lacking:
        return Asked(design.n, why=lacking)
    counted: tuple[int, int] | None = None
    by_sign = False
    if isinstance(baseline, Counts):
        if observations.rule_of_words(baseline.rule) is None:
            return Asked(design.n, why=f"the baseline counts by another rule ({baseline.rule})")
        counted, by_sign = (baseline.successes, baseline.runs), True
    elif design.baseline_is_finished:
        observed = observations.observe(design.theirs)
        count = observations.count_successes(observed, design.sweep.min_gain)
        counted, by_sign = (count.successes, count.runs), count.rule == "above zero"

    def power(n: int, rate: float) -> float:
        if counted is None:
            return statistics.boschloo_power(n, rate, m, BASELINE_RATE, alpha)
        enough = [statistics.boschloo_threshold(n, *counted, alpha)]
        enough += [statistics.binomial_threshold(n, NULL_RATE, alpha)] if by_sign else []
        known = [successes for successes in enough if successes is not None]
        return statistics.at_least(max(known) if len(known) == len(enough) else None, n, rate)

    base = BASELINE_RATE if counted is None else counted[0] / counted[1]
    given = f"{_percent(base)} of the baseline's {plural(m, 'run')} are assumed to succeed"
    if counted is not None:
        given = f"in the baseline {counted[0]} of {counted[1]} succeeded"
        given += "; one half is to be beaten too" if by_sign else ""
    effects = tuple(
        Effect(
            f"{_percent(rate)} succeed, {_percent(base)} in the baseline",
            rate,
            f"a true success rate of {_percent(rate)} is shown to be above the baseline's",
            partial(power, rate=rate),
        )
        for rate in _rates_above(max(base, NULL_RATE))
    )
    return Asked(design.n, effects, given=given)


@asked.register
def _(claim: MeanAboveBaseline, design: Design) -> Asked:
    def power(n: int, effect: float) -> float:
        return statistics.welch_power(effect, n, design.other_n, alpha=design.sweep.alpha)

    return _versus(
        design,
        2,
        tuple(
            Effect(
                f"mean higher by {words}",
                size,
                f"a mean that is higher by {words} is shown to be above the baseline's",
                partial(power, effect=effect),
            )
            for effect, size, words in _in_spreads(design)
        ),
    )


@asked.register
def _(claim: SpreadBelowBaseline, design: Design) -> Asked:
    def power(n: int, ratio: float) -> float:
        n, m = min(n, MOST_SIMULATED), min(design.other_n, MOST_SIMULATED)
        return statistics.brown_forsythe_power(
            ratio,
            n,
            m,
            design.rng("spread"),
            alpha=design.sweep.alpha,
            simulations=_simulations(n, design, 4_000),
        )

    return _versus(
        design,
        3,
        tuple(
            Effect(
                f"SD {ratio:g} of the baseline's",
                ratio,
                f"an SD that is {ratio:g} of the baseline's is shown to be smaller",
                partial(power, ratio=ratio),
            )
            for ratio in SPREADS
        ),
        MOST_SIMULATED,
    )


@asked.register
def _(claim: LowerTailAboveBaseline, design: Design) -> Asked:
    def power(n: int, effect: float) -> float:
        if n < claim.fewest:
            return 0.0
        n, m = min(n, MOST_SIMULATED), min(design.other_n, MOST_SIMULATED)
        return statistics.cvar_power(
            effect,
            n,
            m,
            design.rng("lower tail"),
            share=claim.share,
            alpha=design.sweep.alpha,
            simulations=_simulations(n, design, 1_000),
        )

    worst = f"worst {_percent(claim.share)}"
    return _versus(
        design,
        claim.fewest,
        tuple(
            Effect(
                f"{worst} better by {words}",
                size,
                f"the {worst} of runs, better by {words}, are shown to be above the baseline's",
                partial(power, effect=effect),
            )
            for effect, size, words in _in_spreads(design)
        ),
        MOST_SIMULATED,
    )


@asked.register
def _(claim: StillImproves, design: Design) -> Asked:
    why, start = _window(claim, design)
    if why:
        return Asked(design.n, why=why)
    margin = design.sweep.margin if claim.margin is None else claim.margin
    found = _gain_spread(claim, design)
    # Without an SD the margin is taken to be as large as the smallest gain that is looked at.
    least = GAINS[0] if found is None else margin / found[0]

    def power(n: int, effect: float) -> float:
        return statistics.gain_power(effect, n, least, design.sweep.alpha)

    if found is None:
        given = f"the SD is that of a run's gain, not known yet; margin: {_spreads(GAINS[0])}"
        gains = [(effect, effect, _spreads(effect)) for effect in GAINS]
    else:
        given = f"the SD of a run's gain is {number(found[0])}, of {found[1]}"
        gains = [(k * least, k * margin, number(k * margin)) for k in (1, 2)]
    effects = tuple(
        Effect(
            f"gain of {words} from step {start:g}",
            size,
            f"a gain of {words} from step {start:g} on is shown",
            partial(power, effect=effect),
        )
        for effect, size, words in gains
    )
    return Asked(design.n, effects, given=given)


@asked.register
def _(claim: BestInside, design: Design) -> Asked:
    name = parameter_name(claim.parameter)
    values = {config[claim.parameter] for config in design.configs(design.n)}
    distinct = sum(is_number(value) for value in values)
    if distinct < 3:
        return Asked(
            design.n, why=f"{name} has {plural(distinct, 'number')} in this sweep; it needs three"
        )
    if design.n < FEWEST_BRACKETED:
        return Asked(design.n, why=f"the bracket test needs {FEWEST_BRACKETED} runs, of {design.n}")

    def power(n: int, drop: float) -> float:
        n = min(n, MOST_SIMULATED)
        configs = [c for c in design.configs(n) if is_number(c[claim.parameter])]
        blocks = None if claim.within is None else [config[claim.within] for config in configs]
        positions = _positions(claim.parameter, configs, design)
        return statistics.bracket_power(
            positions,
            drop,
            design.rng("bracket"),
            blocks,
            alpha=design.sweep.alpha,
            simulations=_simulations(n, design, 2_000),
        )

    effects = tuple(
        Effect(
            f"drop of {drop:g} SD to both ends",
            drop,
            f"a best {name} in the middle, {drop:g} SD above both ends, is shown to lie inside",
            partial(power, drop=drop),
        )
        for drop in DROPS
    )
    given = f"the SD is that of runs of equal {name}; at the values that are drawn"
    return Asked(design.n, effects, given=given, least=FEWEST_BRACKETED, most=MOST_SIMULATED)


@asked.register
def _(claim: NoWorse, design: Design) -> Asked:
    name = parameter_name(claim.parameter)
    mains = {run.id for run in design.main if run.config[claim.parameter] == claim.reference}
    if not mains:
        return Asked(0, why=f"no run has {name} {claim.reference}", unit="pairs")
    arm = [run for run in design.runs if run.arm == claim.parameter and run.pair in mains]
    pairs = {
        value: sum(run.config[claim.parameter] == value for run in arm) for value in claim.than
    }
    fewest = min(pairs.values())
    if not arm:
        return Asked(0, why=f"no {claim.parameter} arm: unanswerable", unit="pairs")
    if fewest < FEWEST_PAIRS:
        few = [f"{pairs[value]} with {value}" for value in claim.than]
        why = f"pairs: {' and '.join(few)}; {FEWEST_PAIRS} of each are needed"
        return Asked(fewest, why=why, unit="pairs")
    margin = design.sweep.margin if claim.margin is None else claim.margin
    found = _pair_spread(claim, design)
    spread = RUN_SD if found is None else found[0]
    values = len(claim.than)

    def power(n: int) -> float:
        return statistics.non_inferiority_power(
            margin / spread,
            n,
            values,
            design.rng("no worse"),
            alpha=design.sweep.alpha,
            simulations=8_000 if n == fewest else 2_000,
        )

    others = " and ".join(map(str, claim.than))
    effect = Effect(
        f"{claim.reference} is equal to {others}, in pairs",
        0.0,
        f"a {name} of {claim.reference} that is equal to {others} is shown to be no worse by "
        f"{number(margin)}",
        power,
    )
    of = "assumed" if found is None else f"of {found[1]}"
    given = f"the SD of a run, apart from what its pair shares, is {number(spread)}, {of}"
    return Asked(fewest, (effect,), given=given, unit="pairs", least=FEWEST_PAIRS)


def _versus(design: Design, fewest: int, effects: tuple[Effect, ...], most: int = MOST) -> Asked:
    """Return what is asked by a claim that needs the baseline's runs one by one."""
    n, m = design.n, design.other_n
    lacking = _no_baseline(design)
    if not lacking and isinstance(design.sweep.baseline, Counts):
        lacking = "published counts have no ΔPerf of each run"
    if not lacking and min(n, m) < fewest:
        lacking = f"it needs {fewest} runs on each side, not {n} against {m}"
    if lacking:
        return Asked(n, why=lacking)
    spread = design.spread
    given = f"against {plural(m, 'run')} of the baseline; the SD of a run is "
    given += "not known yet" if spread is None else f"{number(spread[0])}, of {spread[1]}"
    return Asked(n, effects, given=given, least=fewest, most=most)


def _no_baseline(design: Design) -> str:
    return "" if design.sweep.baseline is not None else "the sweep has no baseline"


def _simulations(n: int, design: Design, most: int) -> int:
    """Return how many samples are simulated: ``most`` for the plan itself, if it is not large."""
    return most if n == design.n and n + design.other_n <= 150 else most * 3 // 10


def _rates_above(rate: float) -> list[float]:
    return [rate + share * (1.0 - rate) for share in SUCCESSES]


def _in_spreads(design: Design) -> list[tuple[float, float, str]]:
    """Return the standard gains: in SDs, as a size in the unit that is known, and in words."""
    if design.spread is None:
        return [(gain, gain, _spreads(gain)) for gain in GAINS]
    spread = design.spread[0]
    return [(gain, gain * spread, f"{number(gain * spread)} ({_spreads(gain)})") for gain in GAINS]


def _spreads(size: float) -> str:
    return "half an SD" if size == 0.5 else f"{size:g} SD"


def _window(claim: StillImproves, design: Design) -> tuple[str, float]:
    """Return what of the claim's window is not evaluated, if anything, and where it begins."""
    run = design.main[0]
    declared = run.declared_steps / 2 if claim.since is None else claim.since
    start = declared * run.steps / run.declared_steps
    points = [*range(0, run.steps, run.evaluate_every), run.steps]
    nearest = min(points, key=lambda step: abs(step - start))
    if start >= run.steps or nearest >= run.steps:
        return f"step {start:g} is not followed by an evaluation before the last", start
    if abs(nearest - start) > TOLERANCE * run.steps:
        every = f"perf is evaluated every {plural(run.evaluate_every, 'step')}, not near enough to "
        return f"{every}step {start:g} (within {TOLERANCE:.0%} of the steps)", start
    return "", start


def _gain_spread(claim: StillImproves, design: Design) -> tuple[float, str] | None:
    """Return the SD of the gain of stored runs in the claim's window, and of which runs."""
    ours = [result for result in design.ours if result.run.arm == MAIN]
    for results, whose in ((ours, design.sweep.name), (design.theirs, design.sweep.baseline)):
        completed = observations.observe(results).completed
        since = claim.since
        if since is not None and completed:
            since = round(since * completed[0].run.declared_steps / design.sweep.steps)
        start, end, used = ends_of(completed, since)
        spread = spread_of(end - start)
        if spread is not None:
            return spread, f"{len(used)} stored runs of {whose}"
    return None


def _pair_spread(claim: NoWorse, design: Design) -> tuple[float, str] | None:
    """Return the SD of a run by chance, from stored pairs of the claim's arm, and of how many."""
    main = observations.observe(r for r in design.ours if r.run.arm == MAIN)
    variances, pairs = [], 0
    for value in claim.than:
        arm = observations.observe(
            r
            for r in design.ours
            if r.run.arm == claim.parameter and r.run.config.get(claim.parameter) == value
        )
        differences = observations.paired_differences(main, arm)
        spread = spread_of(differences)
        if spread is not None:
            variances.append(spread**2)
            pairs += differences.size
    if not variances:
        return None
    return math.sqrt(float(np.mean(variances)) / 2.0), f"{pairs} stored pairs"


def _positions(parameter: str, configs: list[Config], design: Design) -> list[float]:
    """Return where the values of a parameter lie in its range, 0 to 1.

    On the scale that they are drawn on; the values of a choice lie evenly, in their order.
    """
    values = [float(v) for config in configs if is_number(v := config[parameter])]
    drawn = design.sweep.parameters.distributions[parameter]
    if isinstance(drawn, LogUniform):
        span = math.log(drawn.high / drawn.low)
        return [math.log(value / drawn.low) / span for value in values]
    if isinstance(drawn, Uniform):
        return [(value - drawn.low) / (drawn.high - drawn.low) for value in values]
    levels = sorted(set(values))
    return [levels.index(value) / max(1, len(levels) - 1) for value in values]


def _percent(rate: float) -> str:
    return f"{round(100 * rate, 0 if rate >= 0.1 else 1):g}%"
