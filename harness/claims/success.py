"""Claims on the success rate: the share of runs that are shown to improve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness import observations, statistics
from harness.claims.base import (
    BaseClaim,
    BaselineClaim,
    level_of,
    like_for_like,
)
from harness.errors import SweepError
from harness.observations import RULES, Observations, Rule, SuccessCount
from harness.text import interval, number, p_text, plural
from harness.verdicts import Counts, Evidence, Metric, Verdict, VerdictName

NULL_RATE = 0.5
"""The share of useless runs whose ΔPerf is above zero."""


@dataclass(frozen=True)
class SuccessAbove(BaseClaim):
    """More than ``rate`` of the runs are shown to improve.

    Supported by the exact one-sided binomial test on successes; refuted when more than 1 − ``rate``
    of the runs are *shown to fail* by the same test. Few of either is inconclusive.
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.rate < 1.0:
            raise SweepError(f"the success rate to beat must lie between 0 and 1, got {self.rate}")

    @property
    def text(self) -> str:
        """The question in plain words."""
        return f"Do more than {self._target} of the runs improve?"

    def describe(self) -> str:
        """Return the claim and its thresholds in one line."""
        return (
            f"success rate > {self.rate!r}: exact one-sided binomial on runs with "
            f"{RULES['shown']}; failing means below the sweep's min_gain"
        )

    @property
    def _target(self) -> str:
        return f"{100 * self.rate:.4g}%"

    def _decide(self, id: str, evidence: Evidence, observed: Observations) -> Verdict:
        if evidence.metric.zero == "arbitrary":
            return _no_success(self, id, observed)
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
        verdict: VerdictName = "inconclusive"
        needs: tuple[str, ...] = ()
        if rate.p_greater <= evidence.alpha:
            verdict, answer = "supported", self._supported(count, evidence.metric)
        elif failed.p_greater <= evidence.alpha:
            verdict, answer = "refuted", _refuted(count, evidence.min_gain)
            reason = f"the opposite is shown ({p_text(failed.p_greater)}); {reason}"
        else:
            answer = f"not shown: {_shown(count)}{_undecided(count, observed, evidence.metric)}"
            needs = ("more runs, or an evaluation of more prompts",)
        return self._verdict(
            id,
            verdict,
            answer,
            estimate=rate.estimate,
            low=rate.low,
            high=rate.high,
            level=level,
            p_value=rate.p_greater,
            n=count.runs,
            method=f"exact one-sided binomial, Clopper–Pearson; success: {RULES[count.rule]}",
            reason=reason,
            needs=needs,
            beside=_beside(evidence, observed, count),
        )

    def _supported(self, count: SuccessCount, metric: Metric) -> str:
        if count.rule == "shown" or metric.zero == "target":
            return f"yes: {_shown(count)}, more than {self._target}"
        if self.rate == NULL_RATE:
            return f"median above zero, if measurements are independent: {_shown(count)}"
        return (
            f"more than {self._target} end above zero, if measurements are independent: "
            f"{_shown(count)}; half of useless runs would"
        )


@dataclass(frozen=True)
class SuccessAboveBaseline(BaselineClaim):
    """The success rate is higher than the baseline's.

    Supported by Boschloo's one-sided exact test, both sides uncertain, with the same success rule
    on both. Where that rule is ΔPerf > 0, which half of useless runs pass, the runs must also be
    shown to succeed more often than one half. Refuted by the mirrored test. Sides that were
    evaluated differently, or counted by another rule, cannot be compared by counts; where that is
    not recorded and their standard errors differ somewhat, it must be shown as well with those of
    the noisier side on both.
    """

    @property
    def text(self) -> str:
        """The question in plain words."""
        return "Do more of the runs improve than in the baseline?"

    def describe(self) -> str:
        """Return the claim and its thresholds in one line."""
        return (
            f"success rate > the baseline's: one-sided Boschloo on runs with {RULES['shown']}; "
            "where only ΔPerf > 0 is known, also the exact one-sided binomial above 0.5"
        )

    def _against_counts(
        self,
        id: str,
        evidence: Evidence,
        observed: Observations,
        counts: Counts,
    ) -> Verdict:
        if evidence.metric.zero == "arbitrary":
            return _no_success(self, id, observed)
        rule = observations.rule_of_words(counts.rule)
        ours = observations.count_successes(observed, evidence.min_gain, rule)
        failures = counts.runs - counts.successes
        theirs = SuccessCount(counts.successes, failures, counts.runs, ours.rule)
        differs = None if rule else f"the baseline was counted by another rule ({counts.rule})"
        source = (
            f"baseline: published counts ({counts.source}); how they were measured is not known"
        )
        return self._compare(
            id, evidence, observed, (ours, theirs), differs=differs, lines=(source,)
        )

    def _against(
        self,
        id: str,
        evidence: Evidence,
        observed: Observations,
        other: Observations,
    ) -> Verdict:
        if evidence.metric.zero == "arbitrary":
            return _no_success(self, id, observed)
        rule: Rule = "shown" if observed.rule == other.rule == "shown" else "above zero"
        ours = observations.count_successes(observed, evidence.min_gain, rule)
        theirs = observations.count_successes(other, evidence.min_gain, rule)
        differs = evidence.apart or observations.evaluated_differently(observed, other)
        if differs is not None:
            differs = f"the two were evaluated differently ({differs})"
        alike = observations.at_equal_noise(observed, other) if rule == "shown" else None
        again = alike and tuple(
            observations.count_successes(side, evidence.min_gain, rule) for side in alike
        )
        return self._compare(
            id, evidence, observed, (ours, theirs), differs=differs, at_equal_noise=again
        )

    def _compare(
        self,
        id: str,
        evidence: Evidence,
        observed: Observations,
        counts: tuple[SuccessCount, SuccessCount],
        *,
        differs: str | None,
        lines: tuple[str, ...] = (),
        at_equal_noise: tuple[SuccessCount, ...] | None = None,
    ) -> Verdict:
        ours, theirs = counts
        alpha, level = evidence.alpha, level_of(evidence)
        compared = statistics.boschloo(
            ours.successes, ours.runs, theirs.successes, theirs.runs, level
        )
        if at_equal_noise is not None:
            one, two = at_equal_noise
            again = statistics.boschloo(one.successes, one.runs, two.successes, two.runs, level)
            compared = statistics.strictest(compared.method, compared, again)
            lines = (*lines, f"at the standard error of the noisier: {_of(one)} against {_of(two)}")
        against_null = statistics.binomial(ours.successes, ours.runs, NULL_RATE, level)
        counts_by_sign = ours.rule == "above zero" and evidence.metric.zero == "no change"
        p_value = compared.p_greater
        if counts_by_sign:
            p_value = max(p_value, against_null.p_greater)
        found = f"{_of(ours)} against {_of(theirs)} in the baseline"
        reason = f"{p_text(compared.p_greater)} against the baseline"
        if counts_by_sign:
            reason += f", {p_text(against_null.p_greater)} against one half"
        verdict: VerdictName = "inconclusive"
        needs: tuple[str, ...] = ()
        if differs is not None:
            p_value = 1.0
            answer = f"{found}, but {differs}: see the mean"
            reason = f"{differs}: the counts do not compare"
            needs = ("the same evaluation and success rule on both sides",)
        elif p_value <= alpha:
            verdict, answer = "supported", f"yes: {found}"
        elif compared.p_less <= alpha:
            verdict, answer = "refuted", f"no, fewer: {found}"
            reason = f"the opposite is shown ({p_text(compared.p_less)}); {reason}"
        elif compared.p_greater <= alpha:
            answer = f"better than the baseline, not than doing nothing: {found}"
            needs = ("standard errors of ΔPerf on both sides, or more runs",)
        else:
            answer = f"not shown: {found}"
            needs = ("more runs on both sides",)
        method = f"{compared.method}, one-sided; success: {RULES[ours.rule]}"
        baseline_rate = statistics.wilson(theirs.successes, theirs.runs)
        return self._verdict(
            id,
            verdict,
            like_for_like(evidence, answer),
            estimate=compared.estimate,
            low=compared.low,
            high=compared.high,
            level=level,
            p_value=p_value,
            n=compared.n,
            method=method + (" and binomial against one half" if counts_by_sign else ""),
            reason=reason,
            needs=needs,
            beside=(
                f"baseline's success rate: {interval(baseline_rate, percent=True)} (Wilson)",
                *lines,
                *_beside(evidence, observed, ours),
            ),
        )


def _no_success(claim: BaseClaim, id: str, observed: Observations) -> Verdict:
    return claim._unanswerable(
        id,
        "a final metric alone does not say which run is a success",
        by_design=True,
        n=observed.total,
        needs=("the metric before training, or a target to reach",),
    )


def _of(count: SuccessCount) -> str:
    share = f" ({count.successes / count.runs:.0%})" if count.runs else ""
    return f"{count.successes} of {count.runs}{share}"


def _shown(count: SuccessCount) -> str:
    return f"{_of(count)} {'are shown to improve' if count.rule == 'shown' else 'end above zero'}"


def _refuted(count: SuccessCount, min_gain: float) -> str:
    if count.rule == "above zero":
        return f"no: only {_shown(count)}"
    return (
        f"no: {count.failures} of {count.runs} runs are shown to fail (to gain less than "
        f"{number(min_gain)}); {_shown(count)}"
    )


def _undecided(count: SuccessCount, observed: Observations, metric: Metric) -> str:
    """Return what follows the count of successes where neither direction is shown."""
    if count.rule == "above zero":
        return ", as half of useless runs would" if metric.zero == "no change" else ""
    text = f" and {count.failures} to fail"
    if observed.se is not None and observed.se.size:
        smallest = number(statistics.detectable_gain(observed.se))
        text += f"; this evaluation detects gains from {smallest} on (2.8·SE)"
    return text


def _beside(evidence: Evidence, observed: Observations, count: SuccessCount) -> tuple[str, ...]:
    """Return the lines printed beside a success rate."""
    wilson = statistics.wilson(count.successes, count.runs)
    lines = [f"success rate: {interval(wilson, percent=True)} (Wilson)"]
    if count.rule == "shown":
        lines.append(f"shown to fail: {count.failures} of {count.runs}")
        above = int(np.sum(observed.delta > 0.0))
        useless = "; about half of useless runs would pass that"
        lines.append(
            f"ΔPerf > 0 in {above} of {count.runs}"
            + (useless if evidence.metric.zero == "no change" else "")
        )
    if observed.diverged:
        lines.append(f"{plural(len(observed.diverged), 'diverged run')} counted as no success")
    null = observations.observe(evidence.arms.get("null", ()))
    if null.total:
        permuted = observations.count_successes(null, evidence.min_gain, count.rule)
        lines.append(f"null arm (rewards permuted): {_shown(permuted)}")
    return tuple(lines)
