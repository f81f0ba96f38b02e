"""The claim that more than a share of the runs are shown to improve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness import observations, statistics
from harness.claims.base import level_of, more, verdict_of
from harness.claims.curtailment import NO_SUCCESS, Bounds, CountedClaim
from harness.claims.design import Design, effects, share
from harness.metrics import DELTA_PERF, Metric
from harness.observations import Observations, SuccessCount, rule_text
from harness.records import USELESS
from harness.sweeps import checks
from harness.text import exact, interval, number, p_text, plural
from harness.verdicts import Evidence, Pricing, Verdict

SUCCESSES = (0.4, 0.6)
"""Standard success rates, as shares of the way from the rate to beat to 1: 0.7 and 0.8 for ½."""

NULL_RATE = 0.5
"""The share of useless runs whose ΔPerf is above zero."""


@dataclass(frozen=True)
class SuccessAbove(CountedClaim):
    """More than ``rate`` of the runs are shown to improve.

    Supported by the exact one-sided binomial test on successes; refuted when the same test shows
    that more than 1 − ``rate`` of the runs are *shown to fail*. Few of either is inconclusive.
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        expected = "a number above 0 and below 1"
        rate = checks.number("success_rate", self.rate, expected, lambda rate: 0 < rate < 1)
        object.__setattr__(self, "rate", rate)

    def question(self, metric: Metric = DELTA_PERF) -> str:
        return f"Do more than {self._target} of the runs {improve(metric)}?"

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        return (
            f"success rate > {self.rate!r}: exact one-sided binomial on runs with "
            f"{rule_text('shown', metric)}; failing means below the sweep's min_gain"
        )

    @property
    def _target(self) -> str:
        return f"{100 * self.rate:.4g}%"

    def decide(self, id: str, evidence: Evidence) -> Verdict:
        observed, metric = observations.observe(evidence.runs), evidence.metric
        if not metric.knows_success:
            return self.no_success(id, evidence)
        level = level_of(evidence)
        count = observations.count_successes(observed, evidence.min_gain)
        rate = statistics.binomial(count.successes, count.runs, self.rate, level)
        failed = statistics.binomial(count.failures, count.runs, 1.0 - self.rate, level)
        enough = statistics.binomial_threshold(count.runs, self.rate, evidence.alpha)
        reason = f"{p_text(rate.p_greater)}; " + (
            f"no count of {plural(count.runs, 'run')} could show more than {self._target}"
            if enough is None
            else f"{enough} of {count.runs} would show more than {self._target}"
        )
        verdict = verdict_of(evidence, rate.p_greater, failed.p_greater)
        if verdict == "supported":
            answer = self._supported(count, metric)
        elif verdict == "refuted":
            answer = _refuted(count, evidence.min_gain, metric)
            reason = f"the opposite is shown ({p_text(failed.p_greater)}); {reason}"
        else:
            answer = f"not shown: {_shown(count, metric)}{_undecided(count, observed, metric)}"
        tests = (rate.p_greater, failed.p_greater)
        sizes = [statistics.size_to_decide(count.runs, p, evidence.alpha) for p in tests]
        finer = "an evaluation of more prompts" if metric == DELTA_PERF else "a finer evaluation"
        # A run that need only pass a value is not decided by a smaller standard error.
        helps = more(sizes, count.runs, otherwise=finer if count.rule == "shown" else "")
        rule = rule_text(count.rule, metric)
        return self.verdict(
            id,
            evidence,
            verdict,
            answer,
            estimate=rate.estimate,
            low=rate.low,
            high=rate.high,
            level=level,
            p_value=rate.p_greater,
            n=count.runs,
            unit="share",
            method=f"exact one-sided binomial, Clopper–Pearson; success: {rule}",
            reason=reason,
            needs=(helps,) if verdict == "inconclusive" else (),
            details=details_of(evidence, observed, count),
        )

    def _supported(self, count: SuccessCount, metric: Metric) -> str:
        shown = _shown(count, metric)
        if count.rule == "shown" or metric.zero == "target":
            return f"yes: {shown}, more than {self._target}"
        above = metric.improving.above
        if self.rate == NULL_RATE:
            return f"median {above} zero, if measurements are independent: {shown}"
        return (
            f"more than {self._target} end {above} zero, if measurements are independent: "
            f"{shown}; half of useless runs would"
        )

    def power(self, design: Design) -> Pricing:
        n, alpha = design.n, design.sweep.alpha
        if not design.sweep.judged_by.knows_success:
            return Pricing(n, why=NO_SUCCESS)
        if statistics.binomial_threshold(n, self.rate, alpha) is None:
            fewest = math.ceil(math.log(alpha) / math.log(self.rate))
            why = f"no count of {plural(n, 'run')} can show more than {share(self.rate)}; "
            return Pricing(n, why=f"{why}it takes {plural(fewest, 'run')}")
        target = "one half" if self.rate == NULL_RATE else share(self.rate)
        rates = effects(
            lambda rate, n: statistics.binomial_power(n, rate, self.rate, alpha),
            rates_above(self.rate),
            lambda rate: f"{rate} of runs succeed",
            lambda rate: f"a true success rate of {rate} is shown to be above {target}",
        )
        return Pricing(n, rates, every=True)

    def bounds(self, evidence: Evidence, observed: Observations, planned: int) -> Bounds | None:
        """Return the bounds of the binomial test; None where runs to come can change its result."""
        count = observations.count_successes(observed, evidence.min_gain)
        said = statistics.curtailed_binomial(
            count.successes,
            count.failures,
            count.runs,
            planned,
            rate=self.rate,
            alpha=evidence.alpha,
        )
        if said is None:
            return None
        worst, best = (
            statistics.binomial(successes, planned, self.rate, level_of(evidence))
            for successes in (count.successes, count.successes + planned - count.runs)
        )
        return Bounds(said, count.successes, count.runs, worst.low, best.high, worst.p_greater)


def rates_above(rate: float) -> list[tuple[float, float, str]]:
    """Return the standard success rates above ``rate``, as sizes of `effects`."""
    rates = [rate + part * (1.0 - rate) for part in SUCCESSES]
    return [(one, one, share(one)) for one in rates]


def of_runs(count: SuccessCount) -> str:
    """Return a count in words: "6 of 19 (32%)"."""
    share = f" ({count.successes / count.runs:.0%})" if count.runs else ""
    return f"{count.successes} of {count.runs}{share}"


def improve(metric: Metric) -> str:
    """Return what a success does: it improves, or passes the target."""
    if metric.zero != "target":
        return "improve"
    return f"reach {metric.name} {metric.improving.above} {exact(metric.target, plus=False)}"


def _shown(count: SuccessCount, metric: Metric) -> str:
    did = f"are shown to {improve(metric)}"
    if count.rule == "above zero":
        zero = exact(metric.target, plus=False) if metric.zero == "target" else "zero"
        did = f"end {metric.improving.above} {zero}"
    return f"{of_runs(count)} {did}"


def _refuted(count: SuccessCount, min_gain: float, metric: Metric) -> str:
    shown = _shown(count, metric)
    if count.rule == "above zero":
        return f"no: only {shown}"
    fail = f"to gain less than {number(min_gain)}"
    if metric.zero == "target":
        fail = f"to be less than {number(min_gain)} past the target" if min_gain else "not to"
    return f"no: {count.failures} of {count.runs} runs are shown to fail ({fail}); {shown}"


def _undecided(count: SuccessCount, observed: Observations, metric: Metric) -> str:
    """Finish the answer of a count that shows neither direction."""
    if count.rule == "above zero":
        return ", as half of useless runs would" if metric.zero == "no change" else ""
    text = f" and {count.failures} to fail"
    if observed.se is not None and observed.se.size:
        smallest = number(statistics.detectable_gain(observed.se))
        text += f"; this evaluation detects gains from {smallest} on (2.8·SE)"
    return text


def details_of(evidence: Evidence, observed: Observations, count: SuccessCount) -> tuple[str, ...]:
    """Return the lines printed beside a success rate."""
    wilson = statistics.wilson(count.successes, count.runs)
    lines = [f"success rate: {interval(wilson, percent=True)} (Wilson)"]
    if count.rule == "shown":
        lines.append(f"shown to fail: {count.failures} of {count.runs}")
        above = int(np.sum(observed.delta > 0.0))
        useless = "; about half of useless runs would pass that"
        lines.append(
            f"{rule_text('above zero', evidence.metric)} in {above} of {count.runs}"
            + (useless if evidence.metric.is_change else "")
        )
    if observed.diverged:
        lines.append(f"{plural(len(observed.diverged), 'diverged run')} counted as no success")
    if observed.missing:
        lines.append(f"{plural(len(observed.missing), 'run')} without a result: no success")
    unknown = count.unknown - len(observed.missing)
    if unknown:
        lines.append(f"{plural(unknown, 'run')} without a standard error counted as not shown")
    for arm, how in USELESS.items():
        others = observations.observe(evidence.arms.get(arm, ()))
        if others.total:
            theirs = observations.count_successes(others, evidence.min_gain, count.rule)
            which = f"{arm} arm ({how})" if evidence.metric == DELTA_PERF else f"{arm} arm"
            lines.append(f"{which}: {_shown(theirs, evidence.metric)}")
    return tuple(lines)
