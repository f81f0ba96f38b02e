"""Findings about the health of training: of the main runs, for arms are made to learn nothing."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from harness.audit.view import View
from harness.observations.columns import RATE
from harness.observations.health import (
    CUT_OFF,
    FROZEN,
    SILENT,
    RunHealth,
    nothing_to_learn,
    observe_health,
    share,
)
from harness.records import is_number
from harness.text import first, learning_rate, percent, plural, significant
from harness.verdicts import Finding

CODES = ("no_signal", "truncation", "policy_collapse", "frozen_weights")
"""The codes of these findings."""

NAMED = 2
"""The most runs that are named."""


def no_signal(view: View) -> Iterator[Finding]:
    """Find that most groups have equal rewards, so that nothing is learned from them."""
    runs = observe_health(view.evidence.runs)
    if (all_of_them := nothing_to_learn(view.evidence.runs)) is not None:
        message = f"{all_of_them} (mean over {plural(len(runs), 'run')})"
        yield Finding("no_signal", "warning", message, brief="little to learn from")
        return
    few = [run for run in runs if run.no_signal.mean >= SILENT]
    if few:
        worst = max(few, key=lambda run: run.no_signal.mean)
        yield Finding(
            "no_signal",
            "info",
            f"{_of(few, runs)} had little to learn from: all rewards were equal in {SILENT:.0%} of "
            f"groups or more ({percent(worst.no_signal.mean)} in {worst.result.run.id})",
        )


def truncation(view: View) -> Iterator[Finding]:
    """Find that many completions are cut off, and so graded without their end."""
    runs = observe_health(view.evidence.runs)
    cut = [run for run in runs if run.truncated.mean >= CUT_OFF]
    if not cut:
        return
    mean = fmean(run.truncated.mean for run in runs)
    what = "graded without their end; raise max_tokens, or ask for shorter answers"
    if mean >= CUT_OFF:
        yield Finding(
            "truncation",
            "warning",
            f"{percent(mean)} of completions were cut off at the most tokens allowed (mean over "
            f"{plural(len(runs), 'run')}): {what}",
            brief="many completions were cut off",
        )
        return
    worst = max(cut, key=lambda run: run.truncated.mean)
    yield Finding(
        "truncation",
        "info",
        f"in {_of(cut, runs)} {CUT_OFF:.0%} of completions or more were cut off at the most tokens "
        f"allowed ({percent(worst.truncated.mean)} in {worst.result.run.id}): {what}",
    )


def policy_collapse(view: View) -> Iterator[Finding]:
    """Find runs whose policy has left where it began, and lost its answers."""
    runs = observe_health(view.evidence.runs)
    collapsed = [run for run in runs if run.collapsed]
    if collapsed:
        yield Finding(
            "policy_collapse",
            "warning",
            f"the policy of {_of(collapsed, runs)} collapsed: "
            f"{first(map(_fall, collapsed), NAMED)}; lower the learning rate, or raise kl_coef or "
            "entropy_coef",
            brief=f"the policy of {plural(len(collapsed), 'run')} collapsed",
        )


def frozen_weights(view: View) -> Iterator[Finding]:
    """Find runs in which hardly any weight has changed, though a step should have moved them.

    Where no group has a signal, there may be no gradient, and `no_signal` says so.
    """
    runs = [run for run in observe_health(view.evidence.runs) if run.learns]
    frozen = [run for run in runs if run.moved < FROZEN]
    if not frozen:
        return
    if len(frozen) == len(runs) and not any(run.moved for run in runs):
        yield Finding(
            "frozen_weights",
            "error",
            f"no weight changed in any of {plural(len(runs), 'run')}: the steps are too small, or "
            "training does not reach the model",
            brief="no weight changed",
        )
        return
    least = min(run.moved for run in frozen)
    rates = [rate for run in frozen if is_number(rate := run.result.run.config.get(RATE))]
    upto = f", at learning rates up to {learning_rate(max(rates))}" if rates else ""
    precise = all(run.result.conditions.precision == "float32" for run in frozen)
    yield Finding(
        "frozen_weights",
        "warning",
        f"in {_of(frozen, runs)} less than {FROZEN:.0%} of the weights changed, as the model "
        f"computes with them (from {share(least)}{upto}): it is nearly the model that it was; "
        f"raise the learning rate or train longer{'' if precise else ', or compute in float32'}",
        brief="hardly any weight changed",
    )


def _of(some: list[RunHealth], runs: tuple[RunHealth, ...] | list[RunHealth]) -> str:
    return f"{len(some)} of {plural(len(runs), 'run')}"


def _fall(run: RunHealth) -> str:
    """Return what became of a run: entropy, KL, length and perf from start to end."""
    outcome = run.result.outcome
    told = [f"entropy {significant(run.entropy.start, 2)} to {significant(run.entropy.end, 2)}"]
    if run.kl is not None:
        told.append(f"KL {significant(run.kl.end, 2)}")
    told.append(f"length {significant(run.length.start, 2)} to {significant(run.length.end, 2)}")
    if outcome.perf_before is not None and outcome.perf_after is not None:
        told.append(f"perf {outcome.perf_before:.3f} to {outcome.perf_after:.3f}")
    return f"{run.result.run.id} ({', '.join(told)})"
