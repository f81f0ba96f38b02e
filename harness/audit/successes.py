"""Findings about successes: that useless training has them too, by the rule or as a fact."""

from __future__ import annotations

from collections.abc import Iterator

from harness import observations, statistics
from harness.audit.view import ALARM, View
from harness.records import USELESS
from harness.verdicts import Counts, Finding

USELESS_RATE = 0.025
"""The share of useless runs that are shown to improve: the upper tail of a 95% interval."""


def null_success_rule(view: View) -> Iterator[Finding]:
    n, baseline = view.observed.total, view.evidence.baseline
    if view.evidence.metric.zero != "no change" or not n:
        return
    if view.observed.rule == "above zero":
        why = "there are no standard errors"
    elif isinstance(baseline, Counts) and any(c.uses_baseline for c in view.questions.values()):
        why = f"the baseline {baseline.name} was counted so"
    else:
        return
    chance = statistics.binomial(n // 2 + 1, n).p_greater
    yield Finding(
        "null_success_rule",
        "warning",
        f"a success is {view.metric} > 0 here, because {why}: half of useless runs pass that, so "
        f"{n} useless runs show more than 50% success with probability {chance:.2f}",
        brief="half of useless runs count as a success",
    )


def useless_succeeds(view: View) -> Iterator[Finding]:
    """Find arms of useless training that succeed more often than by chance, beside the main runs.

    By chance a useless run passes the success rule in `USELESS_RATE`, and ends above zero in half;
    how often it passes a target is not known, and more than half is often.
    """
    metric, main = view.evidence.metric, view.observed
    arms = {arm: observations.observe(view.evidence.arms.get(arm, ())) for arm in USELESS}
    arms = {arm: observed for arm, observed in arms.items() if observed.total}
    if not metric.knows_success or not main.total:
        return
    for arm, observed in arms.items():
        rule = observations.shared_rule(main, observed)
        by_chance = USELESS_RATE if rule == "shown" and metric.is_change else 0.5
        theirs, ours = (
            observations.count_successes(side, view.evidence.min_gain, rule)
            for side in (observed, main)
        )
        chance = statistics.binomial(theirs.successes, theirs.runs, by_chance).p_greater
        if chance > ALARM / len(arms):
            continue
        found = f"{theirs.successes} of {theirs.runs} runs of the arm {arm} succeed, in which "
        found += "training is useless"
        if metric.is_change:
            share = f"{by_chance:.1%}" if by_chance < 0.5 else "half"
            found += f", where {share} would by chance"
        high = ours.successes > ours.runs / 2
        if high:
            found += (
                f", beside {ours.successes} of {ours.runs} main runs: most succeed whatever is "
                "rewarded, so the success rate is no evidence of learning from these rewards; "
                f"{_how_far(view, arm)}"
            )
        else:
            found += (
                f" ({ours.successes} of {ours.runs} main runs do): training moves the metric "
                "whatever is rewarded, or the standard errors are too small; do not believe the "
                "success rates"
            )
        brief = f"useless training (arm {arm}) succeeds" + (" too" if high else "")
        yield Finding("useless_succeeds", "warning", found, brief=brief)


def _how_far(view: View, arm: str) -> str:
    """Say which question tells how far the main runs are ahead of an ``arm``, or how to ask it."""
    for id_, claim in view.questions.items():
        if claim.arms == (arm,) and claim.on_gains:
            return f"{id_} asks how far they are ahead"
    return f'ask how far they are ahead, mean_gain.above_arm("{arm}")'
