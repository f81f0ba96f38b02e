"""The claim that the best value of a parameter lies inside its range."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from harness import observations, statistics
from harness.claims import nights
from harness.claims.base import NO_MARGIN, MarginClaim, level_of, more
from harness.claims.design import MOST_SIMULATED, Design, effects
from harness.errors import SweepError
from harness.metrics import DELTA_PERF, Metric
from harness.observations.levels import is_domain_end, is_number
from harness.records import Config
from harness.statistics import FEWEST_BRACKETED, Bracket
from harness.sweeps import checks
from harness.sweeps.distributions import Range
from harness.text import number, p_text, parameter_name, parameter_value, plural
from harness.verdicts import Difference, Evidence, Need, Pricing, Verdict, VerdictName

DROPS = (3.0, 4.0, 5.3)
"""Standard drops from a best value to both ends of the range, in SDs of a run."""


@dataclass(frozen=True)
class BestInside(MarginClaim):
    """The best value of a numeric ``parameter`` lies inside its range, not at an edge.

    The bracket test must show both that the metric rises from the lower end and that it falls to
    the upper end. Refuted where all thirds of the range are shown to be within ±``margin`` of each
    other (None is the sweep's margin). With ``within``, only runs that agree on that parameter are
    compared.
    """

    parameter: str
    within: str | None = None
    margin: float | None = None

    def __post_init__(self) -> None:
        checks.text("best_inside: the parameter", self.parameter, "learning_rate")
        if self.within is not None:
            checks.text("best_inside: within", self.within, "batch_size")
        if self.within == self.parameter:
            raise SweepError(f"{self.parameter!r} cannot be compared within itself")
        super().__post_init__()

    @property
    def parameters(self) -> tuple[str, ...]:
        return (self.parameter,) if self.within is None else (self.parameter, self.within)

    def question(self, metric: Metric = DELTA_PERF) -> str:
        return f"Does the best {parameter_name(self.parameter)} lie inside the range?"

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        within = "" if self.within is None else f" within levels of {self.within}"
        return (
            f"best {self.parameter} inside its range: bracket test, {metric.improving.rising} from "
            f"the lower end and {metric.worsening.rising} to the upper{within}; refuted where "
            f"thirds agree within margin: {self.margin_words}"
        )

    def decide(self, id: str, evidence: Evidence) -> Verdict:
        observed = observations.observe(evidence.runs)
        name = parameter_name(self.parameter)
        kept = [
            (float(value), outcome, result.run.config.get(self.within or ""))
            for result, outcome in zip(observed.final, observed.ranked, strict=True)
            if is_number(value := result.run.config.get(self.parameter))
        ]
        distinct = len({value for value, _, _ in kept})
        if distinct < 3:
            reason = f"{name} has {plural(distinct, 'value')} in this sweep"
            if not kept:
                reason = f"no run of this sweep has a number for {name}"
            return self.unanswerable(
                id,
                evidence,
                f"{reason}: a best one inside the range needs at least three",
                by_design=True,
                n=len(kept),
                needs=(Need("parameter", f"a sweep that varies {self.parameter}"),),
            )
        values, results = np.array([row[0] for row in kept]), np.array([row[1] for row in kept])
        blocks = None if self.within is None else [row[2] for row in kept]
        tested = statistics.bracket(values, results, nights.generator(evidence.seed, id), blocks)
        margin = self.margin_of(evidence)
        same = margin is not None and statistics.flat(values, results, margin, level_of(evidence))
        verdict, answer = _bracketed(tested, values, evidence, margin if same else None)
        up, down = evidence.metric.improving, evidence.metric.worsening
        found = f"{up.rising} {p_text(tested.p_rising)}, {down.rising} {p_text(tested.p_falling)}"
        details = []
        if math.isfinite(tested.peak) and tested.p_value < 1.0:
            details = [
                f"strongest {up.rise} up to {parameter_value(tested.rising_to)}: "
                f"{p_text(tested.p_rising)}",
                f"strongest {down.rise} from {parameter_value(tested.falling_from)} on: "
                f"{p_text(tested.p_falling)}",
            ]
        if observed.diverged:
            details.append(f"{plural(len(observed.diverged), 'diverged run')} ranked worst")
        if without := observed.total - len(kept):
            details.append(f"{plural(without, 'run')} without a number for {name} left out")
        helps = _what_helps(tested, evidence.alpha, self.parameter)
        return self.verdict(
            id,
            evidence,
            verdict,
            answer,
            estimate=tested.peak,
            p_value=tested.p_value if tested.n >= FEWEST_BRACKETED else 1.0,
            n=tested.n,
            unit="parameter",
            method="bracket test (Kendall's S, 1,999 permutations)"
            + ("" if self.within is None else f" within {self.within}"),
            reason=found if margin is not None else f"{found}; {NO_MARGIN}",
            needs=(helps,) if verdict == "inconclusive" else (),
            details=details,
        )

    def power(self, design: Design) -> Pricing:
        name = parameter_name(self.parameter)
        return self.priced(design, DROPS, f"the SD is that of runs of equal {name}")

    def priced(self, design: Design, sizes: Sequence[float], sd: str) -> Pricing:
        """Return the pricing at drops of these ``sizes``, in SDs of a run; ``sd`` says of which."""
        name = parameter_name(self.parameter)
        values = {config[self.parameter] for config in design.configs(design.n)}
        distinct = sum(is_number(value) for value in values)
        if distinct < 3:
            why = f"{name} has {plural(distinct, 'number')} in this sweep; it needs three"
            return Pricing(design.n, why=why)
        if design.n < FEWEST_BRACKETED:
            why = f"the bracket test needs {FEWEST_BRACKETED} runs, not {design.n}"
            return Pricing(design.n, why=why)

        def power(drop: float, n: int) -> float:
            n = min(n, MOST_SIMULATED)
            configs = [c for c in design.configs(n) if is_number(c[self.parameter])]
            blocks = None if self.within is None else [config[self.within] for config in configs]
            positions = _positions(self.parameter, configs, design)
            return statistics.bracket_power(
                positions,
                drop,
                design.rng("bracket"),
                blocks,
                alpha=design.sweep.alpha,
                simulations=design.simulations(n, 2_000),
                resamples=design.simulations(n, 1_999),
            )

        drops = effects(
            power,
            [(drop, drop, f"{drop:g}") for drop in sizes],
            lambda drop: f"drop of {drop} SD to both ends",
            lambda drop: (
                f"a best {name} in the middle, {drop} SD above both ends, is shown to lie inside"
            ),
        )
        given = f"{sd}; at the values that are drawn"
        return Pricing(design.n, drops, given=given, least=FEWEST_BRACKETED, most=MOST_SIMULATED)

    @property
    def fewest(self) -> int:
        """The runs that the bracket test needs."""
        return FEWEST_BRACKETED

    def worse(self, now: Evidence, then: Evidence, was: Verdict) -> tuple[Difference, ...]:
        """Test whether runs near the earlier best value lost, and those away from it gained."""
        best, rng, floor = was.estimate, nights.of_nights(now, was), nights.floor_of(now, then)
        if best is None:
            return ()
        place: Callable[[float], float] = math.log if self._positive(now, then, best) else float

        def distances(evidence: Evidence) -> dict[Hashable, float]:
            values = ((r, r.run.config.get(self.parameter)) for r in evidence.runs)
            return {
                nights.same_run(r): abs(place(v) - place(best)) for r, v in values if is_number(v)
            }

        reach = distances(then)
        if not reach:
            return ()
        half = float(np.median(list(reach.values())))

        def parts(evidence: Evidence) -> tuple[nights.Values, nights.Values]:
            away, gains = distances(evidence), nights.gains(evidence.runs, floor)
            near = {name: gain for name, gain in gains.items() if away.get(name, math.inf) <= half}
            return near, {name: gain for name, gain in gains.items() if away.get(name, 0.0) > half}

        (near, far), (near_then, far_then) = parts(now), parts(then)
        metric = now.metric.name
        return (
            Difference(f"{metric} near the best value", nights.fell(near, near_then, rng)),
            Difference(f"{metric} away from the best value", nights.fell(far_then, far, rng)),
        )

    def _positive(self, now: Evidence, then: Evidence, best: float) -> bool:
        values = [r.run.config.get(self.parameter) for r in (*now.runs, *then.runs)]
        return best > 0.0 and all(value > 0.0 for value in values if is_number(value))


def _bracketed(
    tested: Bracket, values: observations.FloatArray, evidence: Evidence, margin: float | None
) -> tuple[VerdictName, str]:
    """Return the verdict and answer of a bracket test; ``margin`` where the range is flat in it."""
    peak, alpha = parameter_value(tested.peak), evidence.alpha
    up, down = evidence.metric.improving, evidence.metric.worsening
    if tested.n < FEWEST_BRACKETED:
        return "inconclusive", f"too few runs to tell: {plural(tested.n, 'run')}, best near {peak}"
    if tested.p_value <= alpha:
        return "supported", f"yes: {up.rises} to about {peak} and {down.rises} beyond it"
    if margin is not None:
        return "refuted", f"no best value: the same within ±{number(margin)} along the range"
    if min(tested.p_rising, tested.p_falling) <= alpha:
        return "inconclusive", _at_edge(tested, np.sort(values), evidence.metric)
    return "inconclusive", (
        f"undecided: neither a {up.rise} from the lower end nor a {down.rise} to the upper end is "
        f"shown; best near {peak}"
    )


def is_monotone(tested: Bracket, ordered: observations.FloatArray) -> bool:
    """Return whether the one rise or fall that is shown runs over the whole of ``ordered`` values.

    Then the best runs lie in the last, or the first, window.
    """
    share = statistics.smallest_window(tested.n) / tested.n  # of many runs some are tested
    window = min(ordered.size, math.ceil(share * ordered.size))
    if tested.p_rising < tested.p_falling:
        return bool(tested.peak >= ordered[-window])
    return bool(tested.peak <= ordered[window - 1])


def _at_edge(tested: Bracket, ordered: observations.FloatArray, metric: Metric) -> str:
    """Return the answer where only a rise, or only a fall, is shown along ``ordered`` values."""
    peak = parameter_value(tested.peak)
    rises = tested.p_rising < tested.p_falling
    edge, name = (float(ordered[-1]), "upper") if rises else (float(ordered[0]), "lower")
    where = f"{parameter_value(edge)}, the {name} "
    is_end = is_domain_end(ordered.tolist(), edge)
    where += "end" if is_end else "edge of the range: widen it"
    if is_monotone(tested, ordered):
        return f"best near {where}"
    up, down = metric.improving, metric.worsening
    if rises:
        way = f"{up.rises} from the lower end to about {peak}"
        return f"{way}, with no {down.rise} shown up to {where}"
    return f"{down.rises} from about {peak} to the upper end, with no {up.rise} shown from {where}"


def _what_helps(tested: Bracket, alpha: float, parameter: str) -> Need:
    rising, falling = tested.p_rising <= alpha, tested.p_falling <= alpha
    if tested.n < FEWEST_BRACKETED or rising == falling:
        if tested.n < FEWEST_BRACKETED:
            return Need("runs", f"at least {FEWEST_BRACKETED} runs ({tested.n} now)")
        return more([statistics.size_to_decide(tested.n, tested.p_value, alpha)], tested.n)
    where = "higher" if rising else "lower"
    return Need("parameter", f"a range of {parameter} that goes {where}")


def _positions(parameter: str, configs: list[Config], design: Design) -> list[float]:
    """Return where the values of a parameter lie in its range, 0 to 1.

    On the scale that they are drawn on; the values of a choice lie evenly, in their order.
    """
    values = [float(v) for config in configs if is_number(v := config[parameter])]
    drawn = design.sweep.parameters.distributions[parameter]
    if isinstance(drawn, Range):
        scale = math.log if drawn.is_log else float
        low, width = scale(drawn.low), scale(drawn.high) - scale(drawn.low)
        return [(scale(value) - low) / width for value in values]
    levels = sorted(set(values))
    return [levels.index(value) / max(1, len(levels) - 1) for value in values]
