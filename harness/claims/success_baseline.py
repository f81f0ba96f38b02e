"""The claim that more of the runs are shown to improve than in the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from harness import observations, statistics
from harness.claims.base import BaselineClaim, level_of, like_for_like, more, verdict_of
from harness.claims.curtailment import NO_SUCCESS, Bounds, CountedClaim, compare_counts
from harness.claims.design import Design, effects, share
from harness.claims.success import NULL_RATE, details_of, improve, of_runs, rates_above
from harness.metrics import DELTA_PERF, Metric
from harness.observations import Observations, SuccessCount, rule_text
from harness.text import interval, p_text, plural
from harness.verdicts import Counts, Evidence, Need, Pricing, Rule, Verdict

BASELINE_RATE = 1 / 3
"""Assumed success rate of a baseline whose runs are not stored."""


@dataclass(frozen=True)
class SuccessAboveBaseline(CountedClaim, BaselineClaim):
    """The success rate is higher than the baseline's.

    Supported by Boschloo's one-sided exact test, which takes both rates as uncertain, with the same
    success rule on both sides. Where that rule is ΔPerf > 0, which half of useless runs pass, the
    runs must also be shown to succeed more often than one half. Refuted by the mirrored test. Sides
    that were evaluated differently, or counted by another rule, cannot be compared by counts. Where
    the evaluation is not recorded and standard errors differ somewhat, the claim must also be shown
    with those of the noisier side on both.
    """

    def question(self, metric: Metric = DELTA_PERF) -> str:
        return f"Do more of the runs {improve(metric)} than in the baseline?"

    def describe(self, metric: Metric = DELTA_PERF) -> str:
        return (
            "success rate > the baseline's: one-sided Boschloo on runs with "
            f"{rule_text('shown', metric)}; "
            f"where only {rule_text('above zero', metric)} is known, also the exact one-sided "
            "binomial above 0.5"
        )

    def against_counts(self, id: str, evidence: Evidence, counts: Counts) -> Verdict:
        observed = observations.observe(evidence.runs)
        if not evidence.metric.knows_success:
            return self.no_success(id, evidence)
        rule = counts.known_rule(evidence.metric)
        ours = observations.count_successes(observed, evidence.min_gain, rule)
        failures = counts.runs - counts.successes
        theirs = SuccessCount(counts.successes, failures, counts.runs, ours.rule)
        differs = None if rule else f"the baseline was counted by another rule ({counts.rule})"
        source = f"published counts ({counts.source}); how they were measured is not known"
        lines = (f"baseline: {source}",)
        return self._compare(id, evidence, observed, (ours, theirs), differs=differs, lines=lines)

    def against(self, id: str, evidence: Evidence, other: Observations) -> Verdict:
        observed = observations.observe(evidence.runs)
        if not evidence.metric.knows_success:
            return self.no_success(id, evidence)
        rule = observations.shared_rule(observed, other)
        count = partial(observations.count_successes, min_gain=evidence.min_gain, rule=rule)
        # A missing success helps neither the claim nor its opposite.
        least = (count(observed), count(other, unknown_succeed=True))
        most = (count(observed, unknown_succeed=True), count(other))
        differs = evidence.unlike or observations.evaluated_differently(observed, other)
        if differs is not None:
            differs = f"the two were evaluated differently ({differs})"
        alike = observations.at_equal_noise(observed, other) if rule == "shown" else None
        again = alike and (count(alike[0]), count(alike[1], unknown_succeed=True))
        unknown = least[1].unknown
        lines = f"{plural(unknown, 'run')} of the baseline without a result or a standard error"
        return self._compare(
            id,
            evidence,
            observed,
            least,
            most=most,
            differs=differs,
            lines=(f"{lines} counted as successes",) if unknown else (),
            at_equal_noise=again,
        )

    def _compare(
        self,
        id: str,
        evidence: Evidence,
        observed: Observations,
        counts: tuple[SuccessCount, SuccessCount],
        *,
        most: tuple[SuccessCount, SuccessCount] | None = None,
        differs: str | None,
        lines: tuple[str, ...] = (),
        at_equal_noise: tuple[SuccessCount, SuccessCount] | None = None,
    ) -> Verdict:
        ours, theirs = counts
        level = level_of(evidence)
        compared = compare_counts(ours, theirs, level)
        if most is not None and most != counts:
            mirrored = compare_counts(*most, level)
            compared = statistics.strictest(compared.method, compared, mirrored)
        if at_equal_noise is not None:
            one, two = at_equal_noise
            again = compare_counts(one, two, level)
            compared = statistics.strictest(compared.method, compared, again)
            noisier = f"at the standard error of the noisier: {of_runs(one)} against {of_runs(two)}"
            lines = (*lines, noisier)
        counts_by_sign = _counts_by_sign(ours.rule, evidence.metric)
        p_value, p_less = compared.p_greater, compared.p_less
        found = f"{of_runs(ours)} against {of_runs(theirs)} in the baseline"
        reason = f"{p_text(p_value)} against the baseline"
        if counts_by_sign:
            p_null = statistics.binomial(ours.successes, ours.runs, NULL_RATE).p_greater
            p_value = max(p_value, p_null)
            reason += f", {p_text(p_null)} against one half"
        sizes = [
            statistics.size_to_decide(compared.n, p, evidence.alpha) for p in (p_value, p_less)
        ]
        need = more(sizes, compared.n, "runs of both sides together")
        answer = f"not shown: {found}"
        if differs is not None:
            p_value = p_less = 1.0
            answer = f"{found}, but {differs}: see the mean"
            reason = f"{differs}: the counts do not compare"
            need = Need("evaluation", "the same evaluation and success rule on both sides")
        verdict = verdict_of(evidence, p_value, p_less)
        if verdict == "supported":
            answer = f"yes: {found}"
        elif verdict == "refuted":
            answer = f"no, fewer: {found}"
            reason = f"the opposite is shown ({p_text(p_less)}); {reason}"
        elif differs is None and compared.p_greater <= evidence.alpha:
            answer = f"better than the baseline, not than doing nothing: {found}"
            errors = f"standard errors of {evidence.metric.name} on both sides"
            need = Need("evaluation", f"{errors}, or {need}")
        method = f"{compared.method}, one-sided; success: {rule_text(ours.rule, evidence.metric)}"
        baseline_rate = statistics.wilson(theirs.successes, theirs.runs)
        return self.verdict(
            id,
            evidence,
            verdict,
            like_for_like(evidence, answer),
            estimate=compared.estimate,
            unit="difference",
            low=compared.low,
            high=compared.high,
            level=level,
            p_value=p_value,
            n=compared.n,
            method=method + (" and binomial against one half" if counts_by_sign else ""),
            reason=reason,
            needs=(need,) if verdict == "inconclusive" else (),
            details=(
                f"baseline's success rate: {interval(baseline_rate, percent=True)} (Wilson)",
                *lines,
                *details_of(evidence, observed, ours),
            ),
        )

    def power(self, design: Design) -> Pricing:
        baseline, alpha, m = design.sweep.baseline, design.sweep.alpha, design.other_n
        metric = design.sweep.judged_by
        if not metric.knows_success:
            return Pricing(design.n, why=NO_SUCCESS)
        if design.lacks_baseline:
            return Pricing(design.n, why=design.lacks_baseline)
        counted: tuple[int, int] | None = None
        by_sign = False
        if isinstance(baseline, Counts):
            rule = baseline.known_rule(metric)
            if rule is None:
                why = f"the baseline counts by another rule ({baseline.rule})"
                return Pricing(design.n, why=why)
            counted = (baseline.successes, baseline.runs)
            by_sign = _counts_by_sign(rule, metric)
        elif design.baseline_is_finished:
            observed = observations.observe(design.theirs)
            count = observations.count_successes(observed, design.sweep.min_gain or 0.0)
            counted = (count.successes, count.runs)
            by_sign = _counts_by_sign(count.rule, metric)

        def power(rate: float, n: int) -> float:
            if counted is None:
                return statistics.boschloo_power(n, rate, m, BASELINE_RATE, alpha)
            enough = [statistics.boschloo_threshold(n, *counted, alpha)]
            enough += [statistics.binomial_threshold(n, NULL_RATE, alpha)] if by_sign else []
            known = [successes for successes in enough if successes is not None]
            return statistics.at_least(max(known) if len(known) == len(enough) else None, n, rate)

        base = BASELINE_RATE if counted is None else counted[0] / counted[1]
        given = f"{share(base)} of the baseline's {plural(m, 'run')} are assumed to succeed"
        if counted is not None:
            given = f"in the baseline {counted[0]} of {counted[1]} succeeded"
            given += "; one half is to be beaten too" if by_sign else ""
        rates = effects(
            power,
            rates_above(max(base, NULL_RATE)),
            lambda rate: f"{rate} succeed, {share(base)} in the baseline",
            lambda rate: f"a true success rate of {rate} is shown to be above the baseline's",
        )
        return Pricing(design.n, rates, given=given)

    def bounds(self, evidence: Evidence, observed: Observations, planned: int) -> Bounds | None:
        """Return the bounds of the comparison; None where runs to come can change its result."""
        baseline = evidence.baseline
        rule: Rule | None
        if isinstance(baseline, Counts):
            rule = baseline.known_rule(evidence.metric)
            if rule is None:
                return Bounds(None)
            others = (baseline.successes, baseline.runs)
        else:
            other = observations.observe(baseline.results if baseline else ())
            unlike = evidence.unlike or observations.evaluated_differently(observed, other)
            if other.total == 0 or unlike or observations.at_equal_noise(observed, other):
                return None
            rule = observations.shared_rule(observed, other)
            theirs = observations.count_successes(other, evidence.min_gain, rule)
            if theirs.unknown:
                return None
            others = (theirs.successes, theirs.runs)
        count = observations.count_successes(observed, evidence.min_gain, rule)
        level, by_sign = level_of(evidence), _counts_by_sign(count.rule, evidence.metric)
        above = NULL_RATE if by_sign else None
        said = statistics.curtailed_boschloo(
            count.successes, count.runs, planned, others, alpha=evidence.alpha, above=above
        )
        if said is None:
            return None
        worst, best = (
            statistics.boschloo(successes, planned, *others, level)
            for successes in (count.successes, count.successes + planned - count.runs)
        )
        p_value = worst.p_greater
        if above is not None:
            p_value = max(p_value, statistics.binomial(count.successes, planned, above).p_greater)
        return Bounds(said, count.successes, count.runs, worst.low, best.high, p_value)


def _counts_by_sign(rule: Rule, metric: Metric) -> bool:
    """Return whether half of useless runs count as successes."""
    return rule == "above zero" and metric.is_change
