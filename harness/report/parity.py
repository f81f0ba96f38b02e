"""Two backends compared, as text for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from harness.judging.parity import Pair, Parity
from harness.records import FINAL, Outcome, Run, finite
from harness.report.blocks import Column, Table
from harness.report.layout import table_text, wrap
from harness.report.terminal import COLOURS
from harness.text import NONE, Digits, learning_rate, plural

SCHEMA = 1

ROUNDING = {"float32": 1e-3, "bfloat16": 5e-2}
"""Relative differences at step 1 that rounding explains, with room to spare."""

NAMED = 6
"""So many steps at which runs part are listed one by one."""


def as_data(found: Parity) -> dict[str, Any]:
    """Return a comparison as what JSON can hold; what is missing or unbounded is null."""
    first, second = found.backends
    verdict, step_one = found.verdict, found.step_one
    return {
        "schema": SCHEMA,
        "sweep": found.sweep,
        "backends": [first, second],
        "precision": found.precision,
        "steps": found.steps,
        "runs": [
            {
                "id": pair.run.id,
                first: _side(pair.first),
                second: _side(pair.second),
                "difference": pair.difference,
                "difference_se": pair.difference_se,
                "parted_at": pair.parted_at,
                "steps": pair.steps,
            }
            for pair in found.pairs
        ],
        "step_1": {
            "runs": step_one.runs,
            "loss": step_one.loss,
            "entropy": step_one.entropy,
            "grad_norm": step_one.grad_norm,
            "largest": step_one.largest,
        },
        "equivalence": {
            "estimate": verdict.estimate,
            "low": verdict.low,
            "high": verdict.high,
            "level": verdict.level,
            "margin": found.margin,
            "verdict": verdict.verdict,
            "n": verdict.n,
            "reason": verdict.reason,
            "needs": list(map(str, verdict.needs)),
        },
    }


def _side(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.status,
        "perf_before": finite(outcome.perf_before),
        "delta_perf": finite(outcome.delta_perf),
        "se": finite(outcome.delta_perf_se),
        "error": outcome.error,
    }


def as_text(found: Parity, width: int, *, colour: bool = False) -> list[str]:
    """Return a comparison in lines of at most ``width``: a row a run, and what it comes to."""
    first, second = found.backends
    size = f"{plural(len(found.pairs), 'run')} of {plural(found.steps, 'step')}"
    on = [device for device in dict.fromkeys(found.devices) if device]
    if len(on) == 2:
        on = [f"{name}: {there}" for name, there in zip(found.backends, found.devices, strict=True)]
    title = ", ".join([f"{found.sweep}: {first} and {second}", size, found.precision, *on])
    said = [*wrap(title, width), "", *_table(found, width), ""]
    for lead, text in _words(found):
        said += wrap(f"{lead}: {text}", width, hanging=2)
    verdict = found.verdict
    word = verdict.verdict
    head = wrap(f"{word}: {verdict.question}", width, hanging=2)
    if colour:
        head[0] = f"\033[{COLOURS[word]}m{word}\033[0m{head[0][len(word) :]}"
    said += ["", *head]
    below = wrap(verdict.answer, width - 2)
    for need in verdict.needs:
        below += wrap(f"needs: {need}", width - 2, hanging=2)
    return [*said, *(f"  {line}" for line in below)]


def _table(found: Parity, width: int) -> list[str]:
    outcomes = [side for pair in found.pairs for side in pair.sides]
    digits = Digits.of(outcome.delta_perf for outcome in outcomes)
    fine = Digits.of(pair.difference for pair in found.pairs)
    columns = (
        Column("run", right=False),
        *(Column(f"ΔPerf, {backend}") for backend in found.backends),
        Column("difference"),
        Column("in SEs"),
        Column("tokens part at step"),
    )

    def measured(outcome: Outcome) -> str:
        if outcome.status != "completed":
            return outcome.status
        return digits.with_error(outcome.delta_perf, outcome.delta_perf_se)

    def laid(name: Callable[[Run], str], width: int) -> list[str]:
        rows = tuple(
            (
                name(pair.run),
                *(measured(side) for side in pair.sides),
                fine.signed(pair.difference),
                NONE if pair.in_errors is None else Digits(1).signed(pair.in_errors),
                _parting(pair),
            )
            for pair in found.pairs
        )
        return table_text(Table(columns, rows), width)

    # A run by its number where its id has no room.
    whole = laid(lambda run: run.id.removeprefix(f"{found.sweep}-"), 10 * width)
    if max(map(len, whole)) <= width:
        return whole
    return laid(_number, width)


def _number(run: Run) -> str:
    return f"{run.index:02d}"


def _parting(pair: Pair) -> str:
    if pair.parted_at is not None:
        return str(pair.parted_at)
    if pair.steps:
        return "never"
    return "not recorded" if pair.finished else NONE


def _words(found: Parity) -> list[tuple[str, str]]:
    """Return what the rows come to, a lead and a sentence each."""
    said = []
    for pair in found.pairs:
        if pair.diverged_on:
            alone = " alone" if len(pair.diverged_on) == 1 and pair.finished else ""
            which = " and on ".join(
                f"{found.backends[side]}, at step {at}"
                if (at := pair.sides[side].stopped_at) is not None
                else found.backends[side]
                for side in pair.diverged_on
            )
            said.append(("diverged", f"{_number(pair.run)}{alone} on {which}"))
        for backend, side in zip(found.backends, pair.sides, strict=True):
            if side.status not in FINAL:
                text = f"{_number(pair.run)} on {backend}: {side.error or 'no error was recorded'}"
                said.append((side.status, text))
    if found.apart_at_the_start:
        which = f"{found.apart_at_the_start} of {plural(len(found.pairs), 'run')}"
        said.append(
            ("starting weights", f"other ones on each backend in {which}: train those anew")
        )
    same, known = found.before
    agreed = found.agreement
    said += [
        ("step 1", _step_one(found)),
        ("tokens", _tokens(found)),
        ("perf before", f"equal in {same} of {plural(known, 'run')}" if known else "not recorded"),
    ]
    if agreed.runs:
        said.append(
            (
                "each run",
                f"the difference lies within 1 standard error in {agreed.one_error} of "
                f"{plural(agreed.runs, 'run')}, within about 2 (95%) in {agreed.interval}",
            )
        )
    return said


def _step_one(found: Parity) -> str:
    step_one, everyone = found.step_one, len(found.pairs)
    if step_one.largest is None:
        if not any(pair.steps for pair in found.pairs):
            return "not compared: which tokens were drawn is not recorded"
        return "not compared: the tokens differ in every run, from the first step"
    some = f"in the {step_one.runs} of {plural(everyone, 'run')} whose tokens agree, "
    numbers = "" if step_one.runs == everyone else some
    numbers += "loss, entropy and gradient norm"
    if step_one.largest == 0.0:
        return f"{numbers} are equal"
    text = learning_rate(step_one.largest, 1)
    if step_one.largest <= ROUNDING[found.precision]:
        return f"{numbers} agree to {text}"
    return f"{numbers} differ by up to {text}, which is more than rounding explains"


def _tokens(found: Parity) -> str:
    known = [pair for pair in found.pairs if pair.steps]
    if not known:
        return "not recorded"
    steps = sorted(pair.parted_at for pair in known if pair.parted_at is not None)
    equal = len(known) - len(steps)
    whole = all(pair.parted_at or pair.steps == found.steps for pair in known)
    which = f"all {found.steps} steps" if whole else "all steps that both have"
    text = f"the completions of {which} are equal in {equal} of {plural(len(known), 'run')}"
    if not steps:
        return text
    if len(steps) == 1:
        return f"{text}, and part at step {steps[0]}{' in the other' if equal else ''}"
    at = ", ".join(map(str, steps)) if len(steps) <= NAMED else f"{steps[0]} to {steps[-1]}"
    others = " in the others" if equal else ""
    return f"{text}, and first part at steps {at}{others} (median {median(steps):g})"
